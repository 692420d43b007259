import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { systemCode } from './errors.ts';
import { isRunning, type ProcessRecord, processWithPid } from './process.ts';
import type { Session } from './session.ts';

const pollInterval = 100;

const uniqueName = (file: string): string => `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;

function readHolder(file: string): ProcessRecord | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ProcessRecord;
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** A hard link appears whole or not at all, so nobody ever reads a lock without its holder. */
function tryLink(file: string, target: string): boolean {
  try {
    linkSync(file, target);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  }
}

function tryAcquire(file: string): boolean {
  const own = uniqueName(file);
  writeFileSync(own, JSON.stringify(processWithPid(process.pid)), { mode: 0o600 });
  try {
    return tryLink(own, file);
  } finally {
    rmSync(own, { force: true });
  }
}

/** Moved aside before it is deleted: what another process has locked again in between is put back. */
function removeStale(file: string): void {
  const aside = uniqueName(file);
  try {
    renameSync(file, aside);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    throw error;
  }
  const holder = readHolder(aside);
  if (holder && isRunning(holder)) tryLink(aside, file);
  rmSync(aside, { force: true });
}

/**
 * Runs `action` while no other process does so under the same file. A holder that was killed loses the lock.
 * @param onWait told once, with the pid of the holder, when there is one to wait for.
 */
export async function withLock<T>(
  session: Session,
  file: string,
  onWait: (pid: number) => void,
  action: () => Promise<T>,
): Promise<T> {
  let told = false;
  while (!tryAcquire(file)) {
    const holder = readHolder(file);
    if (holder === undefined || !isRunning(holder)) {
      removeStale(file);
      continue;
    }
    if (!told) onWait(holder.pid);
    told = true;
    await session.clock.sleep(pollInterval, session.signal);
  }
  const release = (): void => rmSync(file, { force: true });
  const forget = session.atExit(release);
  try {
    return await action();
  } finally {
    release();
    forget();
  }
}
