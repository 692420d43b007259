import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Kubectl } from '../../scripts/lib/kubectl.ts';

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
