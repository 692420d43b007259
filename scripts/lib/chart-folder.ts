import { lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { sha256 } from './digest.ts';
import { StrataError, systemCode } from './errors.ts';
import { type FileSet, makeFolders, temporaryPath, unwritable } from './files.ts';
import { isRecord } from './manifest.ts';
import type { Session } from './session.ts';

/** Tells a chart of ours, with the digest of each file. */
export const recordFile = '.strata-chart.json';
const schema = 'strata.dev/chart/v1';

const recordOf = (files: FileSet): string =>
  `${JSON.stringify({ schema, files: Object.fromEntries([...files].map(([name, content]) => [name, sha256(content)])) }, null, 2)}\n`;

/** Paths of all that is below, with `/`; a link is what it is, not what it leads to. */
function filesBelow(folder: string, prefix = ''): string[] {
  return readdirSync(path.join(folder, prefix), { withFileTypes: true }).flatMap((entry) => {
    const name = path.posix.join(prefix, entry.name);
    return entry.isDirectory() ? filesBelow(folder, name) : [name];
  });
}

function digestsOf(folder: string): Record<string, unknown> | undefined {
  try {
    const record: unknown = JSON.parse(readFileSync(path.join(folder, recordFile), 'utf8'));
    return isRecord(record) && record.schema === schema && isRecord(record.files) ? record.files : undefined;
  } catch {
    return undefined;
  }
}

/** What in the folder was not written by this command: files of others, and ours that were edited. */
function foreignIn(folder: string, digests: Record<string, unknown> | undefined): string[] {
  return filesBelow(folder).filter((name) => {
    if (name === recordFile && digests !== undefined) return false;
    const file = path.join(folder, name);
    return !lstatSync(file).isFile() || digests?.[name] !== sha256(readFileSync(file, 'utf8'));
  });
}

/** @throws StrataError FILE_UNWRITABLE for a folder that holds anything but an earlier chart of ours */
function refuseForeign(folder: string, shown: string): void {
  const found = lstatSync(folder, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isDirectory()) {
    throw new StrataError('FILE_UNWRITABLE', `${shown} is no folder, so no chart is written there`, {
      hint: 'name a folder that is new or empty with --out',
    });
  }
  const digests = digestsOf(folder);
  const foreign = foreignIn(folder, digests);
  if (foreign.length === 0) return;
  const list = foreign.slice(0, 5).join(', ') + (foreign.length > 5 ? ` and ${foreign.length - 5} more` : '');
  const isOurs = digests !== undefined;
  throw new StrataError(
    'FILE_UNWRITABLE',
    isOurs
      ? `${shown} holds what this command did not write, or was edited since: ${list}; nothing was changed`
      : `${shown} is not empty and no chart of this command: ${list}; nothing was changed`,
    {
      hint: isOurs
        ? `move it out of ${shown}, or name another folder with --out`
        : 'name a folder that is new or empty with --out',
    },
  );
}

/**
 * Writes the chart as a whole or not at all.
 * @param shown the folder as the user typed it
 * @throws StrataError FILE_UNWRITABLE
 */
export function writeChart(session: Session, folder: string, shown: string, files: FileSet): void {
  try {
    refuseForeign(folder, shown);
    const parent = path.dirname(folder);
    makeParents(parent);
    const fresh = temporaryPath(`.${path.basename(folder)}-`, parent);
    const old = `${fresh}-old`;
    const clean = (): void => {
      rmSync(fresh, { recursive: true, force: true });
      rmSync(old, { recursive: true, force: true });
    };
    const forget = session.atExit(clean);
    try {
      for (const [name, content] of [...files, [recordFile, recordOf(files)] as const]) {
        const file = path.join(fresh, name);
        mkdirSync(path.dirname(file), { recursive: true });
        writeFileSync(file, content, { flag: 'wx' });
      }
      replace(folder, fresh, old);
    } finally {
      clean();
      forget();
    }
  } catch (error) {
    throw systemCode(error) === undefined ? error : unwritable(shown, error);
  }
}

function replace(folder: string, fresh: string, old: string): void {
  const isThere = lstatSync(folder, { throwIfNoEntry: false }) !== undefined;
  if (isThere) renameSync(folder, old);
  try {
    renameSync(fresh, folder);
  } catch (error) {
    if (isThere) renameSync(old, folder);
    throw error;
  }
}

/** For everybody to read, as the chart is: `makeFolders` makes private ones. */
function makeParents(folder: string): void {
  if (lstatSync(folder, { throwIfNoEntry: false })) return;
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    // Node turns the EROFS of a read-only file system into ENOENT.
    if (systemCode(error) !== 'ENOENT') throw error;
    makeFolders(folder);
  }
}
