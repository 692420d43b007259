import { execFile } from 'node:child_process';
import type { Session } from './session.ts';

/** Milliseconds, bytes: a repository that takes more is left alone. */
const limits = { timeout: 5000, maxBuffer: 32 * 1024 * 1024 };

/** What git prints in the tree; undefined when it has nothing to say: not installed, no repository, nothing found. */
export function git(session: Session, args: readonly string[], input = ''): Promise<string | undefined> {
  const { PATH, HOME } = session.environment;
  return new Promise((resolve) => {
    const child = execFile(
      'git',
      ['-c', 'core.fsmonitor=false', ...args],
      // Looking may not take the lock of somebody's index.
      { ...limits, cwd: session.root, env: { PATH, HOME, LC_ALL: 'C', GIT_OPTIONAL_LOCKS: '0' } },
      (error, stdout) => resolve(error ? undefined : stdout),
    );
    child.stdin?.on('error', () => {});
    // Over a pipe: everybody can read a command line.
    child.stdin?.end(input);
  });
}

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
  const status = await git(session, ['status', '--porcelain=v2', '--branch', '--', '.']);
  return status === undefined ? undefined : parseStatus(status);
}
