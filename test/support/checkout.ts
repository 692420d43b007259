import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Outcome } from './cluster.ts';
import { projectFolder } from './session.ts';

/** What git would give somebody who clones the work tree as it is now. */
function trackedFiles(): string[] {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  return execFileSync('git', args, { cwd: projectFolder, encoding: 'utf8' }).split('\0').filter(Boolean);
}

/** A checkout of its own, with the packages of this one; removed at the end. */
export async function withCheckout(work: (folder: string) => Promise<void>): Promise<void> {
  const parent = realpathSync(mkdtempSync(path.join(tmpdir(), 'strata-checkout-')));
  const folder = path.join(parent, 'my app');
  try {
    for (const file of trackedFiles()) {
      mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
      cpSync(path.join(projectFolder, file), path.join(folder, file));
    }
    symlinkSync(path.join(projectFolder, 'node_modules'), path.join(folder, 'node_modules'));
    // Older than the packages, or the scripts would install them, through the link.
    utimesSync(path.join(folder, 'package-lock.json'), 0, 0);
    await work(folder);
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
}

/** What a user types after `npm`. */
export function npm(folder: string, line: string, environment: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn('npm', line.split(' '), {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        INIT_CWD: folder,
        npm_command: undefined,
        npm_lifecycle_event: undefined,
        FORCE_COLOR: undefined,
        ...environment,
      },
    });
    const outcome: Outcome = { status: 0, stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        outcome[name] += text;
      });
    }
    child.once('error', reject);
    child.once('close', (status) => resolve({ ...outcome, status: status ?? 128 }));
  });
}
