import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { StrataError, systemCode } from './errors.ts';
import type { Session } from './session.ts';

/** Paths relative to a folder, with their content. */
export type FileSet = ReadonlyMap<string, string>;

function unwritable(folder: string, error: unknown): StrataError {
  const reason = { ENOSPC: 'no space left', EACCES: 'no permission', EROFS: 'read-only' }[
    systemCode(error) ?? ''
  ];
  return new StrataError('FILE_UNWRITABLE', `${folder} cannot be written: ${reason ?? systemCode(error)}`, {
    hint: 'free space or correct the permissions, then run the same command again',
    cause: error,
  });
}

/** The private folder of the tree, mode 0700. */
export function strataFolder(root: string): string {
  const folder = path.join(root, '.strata');
  try {
    // Not `recursive`: Node turns the EROFS of a read-only checkout into ENOENT then.
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
  }
  chmodSync(folder, 0o700);
  return folder;
}

function writeFiles(folder: string, files: FileSet): void {
  for (const [name, content] of files) {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, content, { mode: 0o600, flag: 'wx' });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
}

/** Folders that a SIGKILL left behind. */
function removeStale(strata: string): void {
  for (const name of readdirSync(strata)) {
    const pid = /^run-(\d+)(?:-|$)/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid)))
      rmSync(path.join(strata, name), { recursive: true, force: true });
  }
}

function createRunFolder(root: string): string {
  try {
    const strata = strataFolder(root);
    removeStale(strata);
    return mkdtempSync(path.join(strata, `run-${process.pid}-`));
  } catch (error) {
    const code = systemCode(error);
    // A checkout that cannot be written still can be deployed.
    // Its real path, for Kustomize follows links before it follows the `..` to the overlay.
    if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM')
      return realpathSync(mkdtempSync(path.join(tmpdir(), 'strata-run-')));
    throw error;
  }
}

/**
 * A folder of this run's own, removed at the end of the process however it ends.
 * @throws StrataError FILE_UNWRITABLE
 */
export function writeRunFolder(session: Session, filesFor: (folder: string) => FileSet): string {
  let folder = path.join(session.root, '.strata');
  try {
    folder = createRunFolder(session.root);
    session.atExit(() => rmSync(folder, { recursive: true, force: true }));
    writeFiles(folder, filesFor(folder));
    return folder;
  } catch (error) {
    throw systemCode(error) === undefined ? error : unwritable(folder, error);
  }
}

/**
 * Replaces `.strata/<name>` as a whole: it never holds a mixture of two runs.
 * @throws StrataError FILE_UNWRITABLE
 */
export function replaceFolder(session: Session, name: string, filesFor: (folder: string) => FileSet): string {
  const target = path.join(session.root, '.strata', name);
  try {
    const strata = strataFolder(session.root);
    removeStale(strata);
    const fresh = mkdtempSync(path.join(strata, `run-${process.pid}-`));
    const old = `${fresh}-old`;
    session.atExit(() => {
      rmSync(fresh, { recursive: true, force: true });
      rmSync(old, { recursive: true, force: true });
    });
    writeFiles(fresh, filesFor(target));
    try {
      renameSync(target, old);
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
    }
    renameSync(fresh, target);
    return target;
  } catch (error) {
    throw systemCode(error) === undefined ? error : unwritable(target, error);
  }
}

/** Whole or not at all, readable by the owner alone. */
export function writePrivate(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
