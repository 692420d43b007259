import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { isServing } from './apiserver.ts';
import { StrataError, systemCode } from './errors.ts';
import { isRunning, type ProcessRecord } from './process.ts';
import { writeSandboxEnv } from './sandbox-env.ts';
import { sandboxFolder, startHint } from './sandbox-name.ts';
import type { Session } from './session.ts';

export interface SandboxInfo {
  name: string;
  /** Absolute; everything about this sandbox is in it. */
  folder: string;
  /** Of the administrator; its only context is `context`. */
  kubeconfig: string;
  /** The same server and context for a user without any rights. */
  viewerKubeconfig: string;
  context: string;
  server: string;
  /** `.env.example` of the session's tree, with values for what can be generated. */
  envFile: string;
  /** Of the same build as the server. */
  kubectl: string;
  /** Where the programs came from, for people. */
  source: string;
  /** ISO 8601. */
  startedAt: string;
  processes: Record<string, ProcessRecord>;
}

export interface SandboxPlace {
  /** Absolute; see `sandboxFolder`. */
  folder: string;
}

/** As it is on disk. */
export interface StoredSandbox extends Omit<SandboxInfo, 'envFile'> {
  /** Generated values of env files derive from it. */
  seed: string;
}

export type SandboxState = { state: 'running'; info: SandboxInfo } | { state: 'stopped' | 'broken' };

/** Below the sandbox's folder; written at the end of a start. */
export const infoFile = 'sandbox.json';

/** What `start` wrote at its end, or undefined. Says nothing about whether it still runs. */
function readStored(folder: string): StoredSandbox | undefined {
  try {
    return JSON.parse(readFileSync(path.join(folder, infoFile), 'utf8')) as StoredSandbox;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '') || error instanceof SyntaxError)
      return undefined;
    throw error;
  }
}

/** `broken`: something of it is there, but it does not answer. */
export async function sandboxStatus(session: Session, options: SandboxPlace): Promise<SandboxState> {
  const { folder } = options;
  const stored = readStored(folder);
  if (stored === undefined) return { state: existsSync(folder) ? 'broken' : 'stopped' };
  const isWhole =
    Object.values(stored.processes).every(isRunning) && (await isServing(folder, stored.server));
  return isWhole ? { state: 'running', info: await toInfo(session, stored) } : { state: 'broken' };
}

export async function toInfo(session: Session, stored: StoredSandbox): Promise<SandboxInfo> {
  const { seed, ...rest } = stored;
  return { ...rest, envFile: await writeSandboxEnv(session, stored.folder, seed) };
}

/** The one that `--sandbox` means. @throws StrataError SANDBOX_NOT_RUNNING */
export async function readRunningSandbox(
  session: Session,
  options: SandboxPlace = { folder: sandboxFolder(session) },
): Promise<SandboxInfo> {
  const status = await sandboxStatus(session, options);
  if (status.state === 'running') return status.info;
  const name = path.basename(options.folder);
  const problem = status.state === 'broken' ? 'does not answer' : 'is not running';
  throw new StrataError('SANDBOX_NOT_RUNNING', `the sandbox ${name} ${problem}`, {
    hint: startHint(options.folder),
  });
}
