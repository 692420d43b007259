import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { cacheFolder } from '../../scripts/lib/binaries.ts';
import { withLock } from '../../scripts/lib/lock.ts';
import { type KubeObject, parseManifests } from '../../scripts/lib/manifest.ts';
import { projectFolder, testSession } from './session.ts';

export interface Helmed {
  status: number;
  stdout: string;
  stderr: string;
}

const moduleFolder = path.join(projectFolder, 'test/helm');

function run(file: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Helmed> {
  return new Promise((resolve) => {
    execFile(file, [...args], { cwd, env, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) =>
      resolve({
        status: error ? Number(error.code) || 1 : 0,
        stdout,
        stderr: stderr || (error?.message ?? ''),
      }),
    );
  });
}

/** Helm as test/helm/go.mod pins it, built once with Go and kept in the user's cache. */
async function build(): Promise<string> {
  const pins = ['go.mod', 'go.sum'].map((name) => readFileSync(path.join(moduleFolder, name), 'utf8'));
  const key = createHash('sha256').update(JSON.stringify([pins, process.platform, process.arch]));
  const cache = cacheFolder(process.env);
  mkdirSync(cache, { recursive: true, mode: 0o700 });
  const file = path.join(cache, `helm-${key.digest('hex').slice(0, 16)}`);
  const session = testSession({ terminal: { say: (text) => void process.stderr.write(`${text}\n`) } });
  if (existsSync(file)) return file;
  return withLock(
    session,
    `${file}.lock`,
    () => {},
    async () => {
      if (existsSync(file)) return file;
      const started = performance.now();
      session.terminal.say('building helm with Go, once: about three minutes on two cores');
      const options = ['-trimpath', '-mod=readonly', '-buildvcs=false', '-ldflags', '-s -w'];
      const { status, stderr } = await run(
        'go',
        ['build', ...options, '-o', `${file}.new`, 'helm.sh/helm/v4/cmd/helm'],
        moduleFolder,
        { ...process.env, GOTOOLCHAIN: 'local', GOWORK: 'off', CGO_ENABLED: '0' },
      );
      if (status !== 0)
        throw new Error(`helm could not be built (Go 1.26 or later is needed):\n${stderr.slice(-4000)}`);
      renameSync(`${file}.new`, file);
      session.terminal.say(`built helm in ${Math.round((performance.now() - started) / 1000)} s`);
      return file;
    },
  );
}

let built: Promise<string> | undefined;
let home: string | undefined;

/** The real helm, with folders of its own; without a cluster unless a kubeconfig is given. */
export async function helm(args: readonly string[], kubeconfig = '/dev/null'): Promise<Helmed> {
  built ??= build();
  const file = await built;
  if (home === undefined) {
    const folder = mkdtempSync(path.join(tmpdir(), 'strata-helm-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    home = folder;
  }
  const folders = Object.fromEntries(
    ['CACHE', 'CONFIG', 'DATA'].map((name) => [`HELM_${name}_HOME`, path.join(home!, name)]),
  );
  return run(file, args, home, { PATH: process.env.PATH, HOME: home, KUBECONFIG: kubeconfig, ...folders });
}

/** What `helm template` prints, as objects. @throws with what helm said when it refuses */
export async function helmTemplate(
  chart: string,
  args: readonly string[] = [],
  release = 'strata',
): Promise<KubeObject[]> {
  const { status, stdout, stderr } = await helm(['template', release, chart, ...args]);
  if (status !== 0) throw new Error(stderr);
  return parseManifests(stdout);
}
