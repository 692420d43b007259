import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { useSandbox } from '../support/cluster.ts';
import { projectFolder } from '../support/session.ts';

const major = Number(process.versions.node.split('.')[0]);

/** Another Node, from the npm package of that name; kept between runs. */
function installNode(version: string): string {
  const folder = path.join(projectFolder, 'node_modules/.cache', `node-${version}`);
  const program = path.join(folder, 'node_modules/.bin/node');
  if (!existsSync(program)) {
    mkdirSync(path.join(folder, 'node_modules'), { recursive: true });
    const args = [
      'install',
      '--no-save',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      '--prefix',
      folder,
      `node@${version}`,
    ];
    const { status, stderr } = spawnSync('npm', args, { cwd: folder, encoding: 'utf8' });
    assert.is(status, 0, stderr);
  }
  return program;
}

interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

function run(program: string, args: readonly string[], environment: NodeJS.ProcessEnv): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['--', path.join(projectFolder, 'scripts/strata.js'), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    const outcome: Outcome = { status: null, stdout: '', stderr: '' };
    child.stdout.on('data', (chunk: Buffer) => {
      outcome.stdout += chunk.toString('utf8');
    });
    child.stderr.on('data', (chunk: Buffer) => {
      outcome.stderr += chunk.toString('utf8');
    });
    child.once('error', reject);
    child.once('close', (status) => resolve({ ...outcome, status }));
  });
}

const versions = suite('other versions');

// The long-term release and the newest; the suite itself runs on the machine's own.
for (const version of ['24', '26']) {
  versions(`Node ${version} renders, compares and reports errors as Node ${major} does`, async () => {
    const sandbox = await useSandbox();
    const program = installNode(version);
    const own = { KUBECONFIG: sandbox.kubeconfig };
    const args = ['render', 'minikube', '--env-file', sandbox.envFile];
    const [here, there] = [await run(process.execPath, args, own), await run(program, args, own)];
    assert.is(there.status, 0, there.stderr);
    assert.is(there.stdout, here.stdout);
    assert.match(there.stdout, /^kind: Deployment$/m);

    const diff = ['diff', 'minikube', '--env-file', sandbox.envFile, '--context', 'nowhere'];
    const refused = await run(program, diff, own);
    assert.is(refused.status, 2);
    assert.match(refused.stderr, /CONTEXT_REFUSED/);
    assert.not.match(refused.stderr, /ExperimentalWarning/);
  });
}

versions('both kubectl at hand render the same, byte for byte', async () => {
  const sandbox = await useSandbox();
  const folder = mkdtempSync(path.join(tmpdir(), 'strata-kubectl-'));
  try {
    symlinkSync(sandbox.kubectl, path.join(folder, 'kubectl'));
    const args = ['render', 'minikube', '--env-file', sandbox.envFile];
    const first = await run(process.execPath, args, {});
    const second = await run(process.execPath, args, {
      PATH: `${folder}${path.delimiter}${process.env.PATH}`,
    });
    assert.is(second.status, 0, second.stderr);
    assert.is(second.stdout, first.stdout);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

versions.run();
