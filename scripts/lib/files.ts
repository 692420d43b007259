import { createHash, randomBytes } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { StrataError, systemCode } from './errors.ts';
import { processWithPid } from './process.ts';
import type { Session } from './session.ts';

/** Paths relative to a folder, with their content. */
export type FileSet = ReadonlyMap<string, string>;

/** @param folder or file, as the user knows it */
export function unwritable(folder: string, error: unknown): StrataError {
  const reason = { ENOSPC: 'no space left', EACCES: 'no permission', EROFS: 'read-only' }[
    systemCode(error) ?? ''
  ];
  return new StrataError('FILE_UNWRITABLE', `${folder} cannot be written: ${reason ?? systemCode(error)}`, {
    hint: 'free space or correct the permissions, then run the same command again',
    cause: error,
  });
}

/** With its parents. Not by Node's `recursive`, which turns the EROFS of a read-only file system into ENOENT. */
export function makeFolders(folder: string): void {
  const make = (): void => {
    try {
      mkdirSync(folder, { mode: 0o700 });
    } catch (error) {
      const isThere = systemCode(error) === 'EEXIST' && statSync(folder).isDirectory();
      if (!isThere) throw error;
    }
  };
  try {
    make();
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    makeFolders(path.dirname(folder));
    make();
  }
}

/** The private folder of the tree, mode 0700. @throws StrataError FILE_UNWRITABLE when a file has its name */
export function strataFolder(root: string): string {
  const folder = path.join(root, '.strata');
  try {
    // Not `recursive`: Node turns the EROFS of a read-only checkout into ENOENT then.
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
    if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
      throw new StrataError('FILE_UNWRITABLE', `not a folder, so ${folder} cannot be written: EEXIST`, {
        hint: `mv ${folder} ${folder}.old`,
      });
    }
  }
  chmodSync(folder, 0o700);
  return folder;
}

/** @throws StrataError FILE_UNWRITABLE */
function inTemporary<T>(parent: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new StrataError(
      'FILE_UNWRITABLE',
      `the folder for temporary files, ${parent}, cannot be written: ${systemCode(error)}`,
      { hint: 'set TMPDIR to a folder that you can write to', cause: error },
    );
  }
}

/**
 * A fresh private folder outside of the tree.
 * @throws StrataError FILE_UNWRITABLE
 */
export const temporaryFolder = (prefix: string, parent = tmpdir()): string =>
  // Its real path, for Kustomize follows links before it follows the `..` to the overlay.
  inTemporary(parent, () => realpathSync(mkdtempSync(path.join(parent, prefix))));

/**
 * A path that is not taken and that nobody can guess, for a folder that another program makes.
 * @throws StrataError FILE_UNWRITABLE
 */
export const temporaryPath = (prefix: string, parent = tmpdir()): string =>
  inTemporary(parent, () => {
    accessSync(parent, constants.W_OK);
    return path.join(realpathSync(parent), `${prefix}${randomBytes(8).toString('hex')}`);
  });

/** npm runs scripts in the package's folder; the user types somewhere else. */
const folderOfUser = (environment: NodeJS.ProcessEnv): string => environment.INIT_CWD ?? process.cwd();

export const typedPath = (environment: NodeJS.ProcessEnv, typed: string): string =>
  path.resolve(folderOfUser(environment), typed);

/** A path as it is typed in the folder of the user. */
export const pathToType = (environment: NodeJS.ProcessEnv, file: string): string =>
  path.relative(folderOfUser(environment), file) || '.';

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

/** Names one process as long as the machine runs; a pid alone is given to another one sooner or later. */
function birthOf(pid: number): string | undefined {
  const born = processWithPid(pid)?.born;
  return born && createHash('sha256').update(born).digest('hex').slice(0, 12);
}

/** `run-<pid>-<birth>-`; without the birth where the system does not tell it. */
function runPrefix(): string {
  const birth = birthOf(process.pid);
  return `run-${process.pid}-${birth ? `${birth}-` : ''}`;
}

function isStale(name: string): boolean {
  const [, pid, birth] = /^run-(\d+)(?:-([0-9a-f]{12})(?=-)|-|$)/.exec(name) ?? [];
  if (pid === undefined) return false;
  if (!isAlive(Number(pid))) return true;
  const current = birth && birthOf(Number(pid));
  return current !== undefined && current !== birth;
}

/** Folders that a SIGKILL left behind. */
function removeStale(strata: string): void {
  for (const name of readdirSync(strata))
    if (isStale(name)) rmSync(path.join(strata, name), { recursive: true, force: true });
}

function createRunFolder(root: string): string {
  try {
    const strata = strataFolder(root);
    removeStale(strata);
    return mkdtempSync(path.join(strata, runPrefix()));
  } catch (error) {
    const code = systemCode(error);
    // A checkout that cannot be written still can be deployed.
    if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') return temporaryFolder('strata-run-');
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
    const fresh = mkdtempSync(path.join(strata, runPrefix()));
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
  const fresh = `${file}.new`;
  try {
    // Of a run that was killed, or of somebody else: its mode and what it links to are not ours.
    rmSync(fresh, { force: true });
    writeFileSync(fresh, text, { mode: 0o600, flag: 'wx' });
    renameSync(fresh, file);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
}
