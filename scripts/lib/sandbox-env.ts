import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { generatedLength, loadContract } from './contract.ts';
import { StrataError, systemCode } from './errors.ts';
import { writePrivate } from './files.ts';
import { fillEmpty, generatedKeys } from './init.ts';
import { listOverlays } from './overlay.ts';
import type { Session } from './session.ts';

/** The same for as long as the sandbox lives: another `up` must find nothing changed. */
export function throwawaySecret(seed: string, key: string): string {
  return createHmac('sha384', seed).update(key).digest('base64url').slice(0, generatedLength);
}

/** The text of `.env.example` with a value for each of the keys that is empty or absent there. */
export function sandboxEnvText(example: string, keys: readonly string[], seed: string): string {
  return keys.reduce((text, key) => fillEmpty(text, [key], () => throwawaySecret(seed, key)).text, example);
}

/** Of all overlays; one whose contract is broken is reported by the command that uses it. */
async function keysToGenerate(root: string): Promise<string[]> {
  const keys = new Set<string>();
  for (const overlay of await listOverlays(root)) {
    try {
      for (const key of generatedKeys(await loadContract(root, overlay))) keys.add(key);
    } catch (error) {
      if (!(error instanceof StrataError)) throw error;
    }
  }
  return [...keys];
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** One file per tree, because --root may name another one than the sandbox was started for. */
export function sandboxEnvFile(session: Pick<Session, 'home' | 'root'>, folder: string): string {
  const tree = createHash('sha256').update(session.root).digest('hex').slice(0, 8);
  return path.join(folder, session.root === session.home ? 'sandbox.env' : `sandbox-${tree}.env`);
}

/** Writes the throwaway env file of the session's tree and returns its path. */
export async function writeSandboxEnv(session: Session, folder: string, seed: string): Promise<string> {
  const example = readIfThere(path.join(session.root, '.env.example')) ?? '';
  const file = sandboxEnvFile(session, folder);
  const text = sandboxEnvText(example, await keysToGenerate(session.root), seed);
  if (readIfThere(file) !== text) writePrivate(file, text);
  return file;
}
