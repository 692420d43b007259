import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { type Binaries, resolveBinaries } from './binaries.ts';
import {
  adminKubeconfig,
  chooseFreePort,
  recordsFolder,
  startControlPlane,
  viewerKubeconfig,
} from './controlplane.ts';
import { messageOf, StrataError, systemCode } from './errors.ts';
import { makeFolders, writePrivate } from './files.ts';
import { withLock } from './lock.ts';
import { readRecords, signalRecorded, stopProcesses } from './process.ts';
import {
  infoFile,
  type SandboxInfo,
  type SandboxPlace,
  type StoredSandbox,
  sandboxStatus,
  toInfo,
} from './sandbox.ts';
import { sandboxContext } from './sandbox-name.ts';
import { formatDuration, type Session } from './session.ts';

export interface SandboxOptions extends SandboxPlace {
  /** A port of 127.0.0.1 that nobody listens on. */
  choosePort?: () => Promise<number>;
}

/** Each of these goes after those before it: an apiserver whose etcd went first ignores SIGTERM for minutes. */
const stopOrder: readonly (readonly string[])[] = [
  ['kwok', 'kube-scheduler', 'kube-controller-manager'],
  ['kube-apiserver'],
  ['etcd'],
];

const asideMark = '.stopping-';

/** Folders that an interrupted stop left behind, and the sandbox itself. */
function foldersOf(folder: string): string[] {
  const parent = path.dirname(folder);
  if (!existsSync(parent)) return [];
  const own = path.basename(folder);
  return readdirSync(parent)
    .filter((name) => name === own || name.startsWith(`${own}${asideMark}`))
    .map((name) => path.join(parent, name));
}

/** Moved away first: a program that is only just being started finds no folder for its record and does not start. */
function moveAside(folder: string): string {
  if (path.basename(folder).includes(asideMark)) return folder;
  const aside = `${folder}${asideMark}${randomBytes(4).toString('hex')}`;
  renameSync(folder, aside);
  return aside;
}

function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

async function endPrograms(session: Session, folder: string): Promise<void> {
  const records = readRecords(path.join(folder, recordsFolder));
  for (const names of stopOrder) {
    const group = names.map((name) => records.get(name)).filter((record) => record !== undefined);
    const survivors = await stopProcesses(session.clock, group);
    if (survivors.length === 0) continue;
    throw new StrataError(
      'SANDBOX_FAILED',
      `could not stop ${names.join(', ')} (pid ${survivors.join(', ')})`,
      { hint: `end it by hand, then delete ${folder}` },
    );
  }
}

async function cleanUp(session: Session, folder: string): Promise<void> {
  for (const found of foldersOf(folder)) {
    const aside = moveAside(found);
    await endPrograms(session, aside);
    removeFolder(aside);
  }
}

/** For the very end of a process that may not wait any more. */
export function killSandbox(folder: string): void {
  for (const found of foldersOf(folder)) {
    const aside = moveAside(found);
    for (const record of readRecords(path.join(aside, recordsFolder)).values())
      signalRecorded(record, 'SIGKILL');
    removeFolder(aside);
  }
}

/** Everything below .strata is private, and so is .strata itself. */
function createPrivateFolder(folder: string): void {
  try {
    makeFolders(folder);
    chmodSync(folder, 0o700);
  } catch (error) {
    throw explain(error, folder);
  }
}

const tokenBytes = 36;

const randomToken = (): string => randomBytes(tokenBytes).toString('base64url');

async function startStored(
  session: Session,
  options: SandboxOptions,
  binaries: Binaries,
): Promise<StoredSandbox> {
  const { folder } = options;
  const name = path.basename(folder);
  const context = sandboxContext(name);
  const [adminToken, viewerToken] = [randomToken(), randomToken()];
  for (const token of [adminToken, viewerToken]) session.scrubber.add('token of the sandbox', token);
  createPrivateFolder(folder);
  const server = await startControlPlane({
    session,
    binaries,
    folder,
    name,
    context,
    choosePort: options.choosePort ?? chooseFreePort,
    adminToken,
    viewerToken,
  });
  const stored: StoredSandbox = {
    name,
    folder,
    kubeconfig: path.join(folder, adminKubeconfig),
    viewerKubeconfig: path.join(folder, viewerKubeconfig),
    context,
    server,
    kubectl: binaries.paths.kubectl,
    source: binaries.source,
    startedAt: new Date().toISOString(),
    processes: Object.fromEntries(readRecords(path.join(folder, recordsFolder))),
    seed: randomToken(),
  };
  writePrivate(path.join(folder, infoFile), `${JSON.stringify(stored, null, 2)}\n`);
  return stored;
}

const diskErrors = ['ENOSPC', 'EDQUOT', 'EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST'];

function explain(error: unknown, folder: string): unknown {
  if (error instanceof StrataError || !diskErrors.includes(systemCode(error) ?? '')) return error;
  return new StrataError('FILE_UNWRITABLE', `${folder} cannot be written: ${messageOf(error)}`, {
    hint: 'free space or correct the permissions, then run the same command again',
    cause: error,
  });
}

async function startFresh(
  session: Session,
  options: SandboxOptions,
  binaries: Binaries,
): Promise<SandboxInfo> {
  const { clock, terminal, signal } = session;
  const { folder } = options;
  const started = clock.now();
  terminal.say(`starting the sandbox ${path.basename(folder)}`);
  const forget = session.atExit(() => killSandbox(folder));
  try {
    const stored = await startStored(session, options, binaries);
    terminal.live([]);
    terminal.say(
      `the sandbox ${stored.name} runs at ${stored.server}, context ${stored.context} (${formatDuration(clock.now() - started)})\nits API server is real; its nodes and pods are simulated: no image is pulled, no container runs`,
    );
    return await toInfo(session, stored);
  } catch (error) {
    terminal.live([]);
    // The logs of a start that failed are what its error points to.
    await (signal.aborted ? cleanUp(session, folder) : endPrograms(session, folder));
    throw signal.aborted ? signal.reason : explain(error, folder);
  } finally {
    forget();
  }
}

async function withSandboxLock<T>(session: Session, folder: string, action: () => Promise<T>): Promise<T> {
  createPrivateFolder(path.dirname(folder));
  const onWait = (pid: number): void =>
    session.terminal.say(`waiting for another start or stop of this sandbox (pid ${pid})`);
  return withLock(session, `${folder}.lock`, onWait, action);
}

/**
 * Starts it, or gives the one that runs. What an earlier start left behind, killed at whatever point, is ended first.
 * @throws StrataError SANDBOX_FAILED, FILE_UNWRITABLE, INTERRUPTED.
 */
export async function startSandbox(session: Session, options: SandboxOptions): Promise<SandboxInfo> {
  const status = await sandboxStatus(session, options);
  if (status.state === 'running') return status.info;
  const binaries = await resolveBinaries(session);
  return withSandboxLock(session, options.folder, async () => {
    const again = await sandboxStatus(session, options);
    if (again.state === 'running') return again.info;
    await cleanUp(session, options.folder);
    return startFresh(session, options, binaries);
  });
}

/** Ends it and deletes its folder. False when there was nothing to stop. @throws StrataError SANDBOX_FAILED */
export async function stopSandbox(session: Session, options: SandboxPlace): Promise<boolean> {
  if (!existsSync(path.dirname(options.folder))) return false;
  return withSandboxLock(session, options.folder, async () => {
    const wasThere = foldersOf(options.folder).length > 0;
    await cleanUp(session, options.folder);
    return wasThere;
  });
}
