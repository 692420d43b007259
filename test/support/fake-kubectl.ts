import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Kubectl } from '../../scripts/lib/kubectl.ts';
import type { Deployment } from './deployment.ts';

export interface FakeKubectl extends Kubectl {
  /** The folder of the program, for PATH and as a home. */
  folder: string;
  /** `KUBECONFIG|arguments` of each call, in order. */
  calls(): string[];
}

/** A kubectl that runs this shell script; gone with everything in its folder when the work ends. */
export async function withKubectl<T>(script: string, work: (kubectl: FakeKubectl) => Promise<T>): Promise<T> {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'strata-kubectl-')));
  const program = path.join(folder, 'kubectl');
  const log = path.join(folder, 'calls');
  try {
    writeFileSync(
      program,
      `#!/bin/sh\nprintf '%s|%s\\n' "\${KUBECONFIG-unset}" "$*" >>'${log}'\n${script}\n`,
    );
    chmodSync(program, 0o755);
    return await work({
      program,
      kubeconfig: undefined,
      folder,
      calls: () => (existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : []),
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Where `wrapKubectl` puts its kubectl, unless told. */
export const wrapFolder = (deployment: Deployment): string => path.join(path.dirname(deployment.root), 'bin');

/** Puts a kubectl first on PATH that runs the script, and then is the real one. */
export function wrapKubectl(
  deployment: Deployment,
  script: string,
  folder = wrapFolder(deployment),
): { PATH: string } {
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, 'kubectl');
  writeFileSync(file, `#!/bin/sh\n${script}\nexec '${deployment.sandbox.kubectl}' "$@"\n`);
  chmodSync(file, 0o755);
  return { PATH: [folder, deployment.environment.PATH].join(path.delimiter) };
}
