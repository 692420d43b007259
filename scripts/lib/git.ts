import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Session } from './session.ts';

export interface Commit {
  commit: string;
  /** Something in the tree is not committed, or not even known to git. */
  isDirty: boolean;
}

/** What `git status --porcelain=v2 --branch` says; undefined before the first commit. */
export function parseStatus(text: string): Commit | undefined {
  const lines = text.split('\n').filter(Boolean);
  const commit = lines.map((line) => /^# branch\.oid ([0-9a-f]{40,64})$/.exec(line)?.[1]).find(Boolean);
  return commit === undefined ? undefined : { commit, isDirty: lines.some((line) => !line.startsWith('# ')) };
}

/** The commit of the tree; undefined without git, outside of a repository, or when it takes too long. */
export async function readCommit(session: Session): Promise<Commit | undefined> {
  const { PATH, HOME } = session.environment;
  const args = ['-c', 'core.fsmonitor=false', 'status', '--porcelain=v2', '--branch', '--', '.'];
  try {
    const { stdout } = await promisify(execFile)('git', args, {
      cwd: session.root,
      // Looking may not take the lock of somebody's index.
      env: { PATH, HOME, GIT_OPTIONAL_LOCKS: '0' },
      timeout: 5000,
      maxBuffer: 16 * 1024 * 1024,
    });
    return parseStatus(stdout);
  } catch {
    return undefined;
  }
}
