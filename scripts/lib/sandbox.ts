import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { isServing } from './apiserver.ts';
import { StrataError, systemCode } from './errors.ts';
import { isRunning, type ProcessRecord } from './process.ts';
import { writeSandboxEnv } from './sandbox-env.ts';
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

const defaultSandboxName = 'default';

/**
 * Without a name: the one STRATA_SANDBOX names, else `default`.
 * @throws StrataError USAGE when the name cannot be the name of a folder and of a context.
 */
export function sandboxFolder(session: Pick<Session, 'home' | 'environment'>, given?: string): string {
  const name = given ?? (session.environment.STRATA_SANDBOX || defaultSandboxName);
  if (!/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/.test(name)) {
    throw new StrataError('USAGE', `--name ${name} cannot be the name of a sandbox`, {
      hint: 'use up to 40 lower-case letters, digits and dashes, like --name second',
    });
  }
  return path.join(session.home, '.strata', 'sandbox', name);
}

export function sandboxContext(name: string): string {
  return name === defaultSandboxName ? 'strata-sandbox' : `strata-sandbox-${name}`;
}

/** The sandbox that has this context, by its name. */
export function sandboxOfContext(context: string): string | undefined {
  const match = /^strata-sandbox(?:-(.+))?$/.exec(context);
  return match ? (match[1] ?? defaultSandboxName) : undefined;
}

/** Below the sandbox's folder; written at the end of a start. */
export const infoFile = 'sandbox.json';

/** The flag that names the sandbox of this folder or name, with what stands before it. */
function nameFlag(folder: string, before: string): string {
  const name = path.basename(folder);
  return name === defaultSandboxName ? before : `${before} --name ${name}`;
}

export const startHint = (folder: string): string => nameFlag(folder, 'npm run sandbox -- start');

export const restartHint = (folder: string): string =>
  `${nameFlag(folder, 'npm run sandbox -- stop')}, then ${startHint(folder)}`;

/** Of `kubectl` all that stands behind it is its own. */
export const kubectlHint = (name: string): string => `${nameFlag(name, 'npm run sandbox --')} kubectl`;

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
