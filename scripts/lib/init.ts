import { randomBytes } from 'node:crypto';
import { closeSync, linkSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { type Contract, generatedLength } from './contract.ts';
import { parseEnvFile } from './envfile.ts';
import { messageOf, StrataError, systemCode } from './errors.ts';

/** 288 random bits in 48 characters that need no quotes anywhere. */
export const randomSecret = (): string => randomBytes((generatedLength * 6) / 8).toString('base64url');

export function generatedKeys(contract: Contract): string[] {
  return [...new Set(contract.fields.filter(({ generate }) => generate).map(({ envKey }) => envKey))];
}

const emptyLine = (key: string): RegExp =>
  new RegExp(`^(\\s*(?:export\\s+)?${key}\\s*=)[ \\t]*(?:""|'')?(\\s*(?:\\s#.*)?)$`);

/**
 * The text of an env file with a value for each of the keys that has none; lines that are not there are added.
 * Comments and everything else stay as they are.
 */
export function fillEmpty(
  text: string,
  keys: readonly string[],
  makeValue: () => string,
): { text: string; filled: string[] } {
  const { values } = parseEnvFile(text, '');
  const lines = text.split('\n');
  const filled = keys.filter((key) => !values.get(key)?.value);
  for (const key of filled) {
    const index = lines.findIndex((line) => emptyLine(key).test(line));
    const value = makeValue();
    if (index >= 0)
      lines[index] = lines[index]!.replace(emptyLine(key), (_, head, rest) => `${head}${value}${rest}`);
    else lines.splice(lines.at(-1) === '' ? -1 : lines.length, 0, `${key}=${value}`);
  }
  return { text: lines.join('\n'), filled };
}

const unwritable = (shown: string, error: unknown): StrataError =>
  new StrataError('FILE_UNWRITABLE', `${shown} cannot be written: ${systemCode(error) ?? messageOf(error)}`, {
    hint: 'free space or correct the permissions, then run the same command again',
    cause: error,
  });

/** Whole or not at all, mode 0600. False when there is something at that path, which then stays as it is. */
function linkNew(file: string, text: string, temporary: string): boolean {
  try {
    writeFileSync(temporary, text, { flag: 'wx', mode: 0o600 });
    linkSync(temporary, file);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EOPNOTSUPP'].includes(systemCode(error) ?? '')) throw error;
    // Some mounted folders (WSL, network shares) have no hard links.
    return createNew(file, text);
  } finally {
    rmSync(temporary, { force: true });
  }
}

function createNew(file: string, text: string): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'wx', 0o600);
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  }
  try {
    writeFileSync(descriptor, text);
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    closeSync(descriptor);
  }
  return true;
}

/**
 * Writes a private file that must not be there yet, atomically. False: it is there and was not touched.
 * @param shown its name for messages
 * @throws StrataError FILE_UNWRITABLE
 */
export function writeNewFile(file: string, text: string, shown: string): boolean {
  try {
    return linkNew(file, text, `${file}.${randomBytes(6).toString('hex')}.tmp`);
  } catch (error) {
    throw unwritable(shown, error);
  }
}
