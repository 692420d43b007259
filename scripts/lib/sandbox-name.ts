import path from 'node:path';
import { StrataError } from './errors.ts';
import type { Session } from './session.ts';

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
