import { createReadStream, lstatSync } from 'node:fs';
import path from 'node:path';
import {
  type Contract,
  type ContractObject,
  destinationOf,
  type Field,
  groupByEnvKey,
  readContract,
} from './contract.ts';
import { type EnvEntry, type EnvFile, parseEnvFile } from './envfile.ts';
import { type Problem, StrataError, sortProblems, systemCode, throwOnErrors } from './errors.ts';
import { typedPath } from './files.ts';
import { checkRules, placeholderHostWarning } from './formats.ts';
import { nearest } from './nearest.ts';
import { diskTreeFiles, resolveOverlay, unreadable } from './overlay.ts';
import { placeholderFault } from './placeholder.ts';
import type { Session } from './session.ts';

export type ValueSource =
  | { kind: 'file'; file: string; line: number }
  | { kind: 'default'; file: string; line: number }
  | { kind: 'process' };

/** What one data key gets. */
export interface EnvValue {
  field: Field;
  /** undefined: optional and not set, so the data key is left out. */
  value: string | undefined;
  /** undefined when nothing sets it. */
  source: ValueSource | undefined;
  /** Why it is no secret although the field is one; without the value. */
  placeholder?: string;
}

/** What a secret that is a placeholder is: an error, a warning, or nothing worth a word. */
export type PlaceholderRule = 'refuse' | 'tell' | 'ignore';

/** Environment variables by key, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface CheckOptions {
  /** Set with --from-process: wins over every file, for keys of the contract only. */
  process?: Environment | undefined;
  /** The contract itself has errors: what is missing from it or from the files proves nothing. */
  incomplete?: boolean;
  /** `tell` unless given. */
  placeholders?: PlaceholderRule;
  /** Nothing is made from the values of secrets, so they may be missing. */
  withoutSecrets?: boolean;
  /** The text of .env.example. */
  example?: string | undefined;
}

/** Linux: one `KEY=value` with its NUL has to fit MAX_ARG_STRLEN (include/uapi/linux/binfmts.h). */
const mostVariableBytes = 128 * 1024;
/** The API server's limit for the data of one ConfigMap or Secret. */
const mostObjectBytes = 1024 * 1024;

interface Setting {
  value: string;
  source: ValueSource;
}

/** The last layer that names the key, whether or not it gives it a value. */
function settingOf(key: string, layers: readonly EnvFile[], options: CheckOptions): Setting | undefined {
  const fromProcess =
    options.process && Object.hasOwn(options.process, key) ? options.process[key] : undefined;
  if (fromProcess !== undefined) return { value: fromProcess, source: { kind: 'process' } };
  const entry = layers.findLast(({ values }) => values.has(key))?.values.get(key);
  return entry && { value: entry.value, source: { kind: 'file', file: entry.file, line: entry.line } };
}

function resolve(field: Field, setting: Setting | undefined): EnvValue {
  // `KEY=` says nothing, so what the contract says about a missing value holds.
  if (setting && setting.value !== '') return { field, ...setting };
  if (field.default !== undefined) {
    const { file, line } = field.defaultPlace ?? field.place;
    return { field, value: field.default, source: { kind: 'default', file, line } };
  }
  if (setting && field.optional) return { field, ...setting };
  return { field, value: undefined, source: setting?.source };
}

/** Where a value came from, for messages: the file has its place in front of them. */
function placeOf(source: ValueSource | undefined): { file?: string; line?: number } {
  return source && source.kind !== 'process' ? { file: source.file, line: source.line } : {};
}

const inProcess = (source: ValueSource | undefined): string =>
  source?.kind === 'process' ? ' (in the process environment)' : '';

const sentence = (text: string): string => text.replace(/[.\s]+$/, '');

function missingHint(field: Field, layers: readonly EnvFile[]): string {
  if (layers.length === 0) return 'npm run env -- --init';
  const add = `add \`${field.envKey}=…\` to ${layers[0]!.file}`;
  return field.generate ? `${add}; \`openssl rand -base64 36\` makes a good one` : add;
}

function checkMissing(values: readonly EnvValue[], layers: readonly EnvFile[]): Problem[] {
  const missing = values.filter(({ field, value }) => value === undefined && !field.optional);
  const groups = groupByEnvKey(missing.map(({ field }) => field));
  return [...groups].map(([key, fields]) => {
    const source = missing.find(({ field }) => field.envKey === key)?.source;
    const empty =
      source?.kind === 'file' ? `: empty in ${source.file}:${source.line}` : source ? ': empty' : '';
    const described = fields.find(({ description }) => description)?.description;
    return {
      severity: 'error',
      ...fields[0]!.place,
      subject: key,
      message: `is missing${empty}${inProcess(source)}; ${fields.map(destinationOf).join(', ')} needs it${described ? `: ${sentence(described)}` : ''}`,
      hint: missingHint(fields.find(({ generate }) => generate) ?? fields[0]!, layers),
    };
  });
}

/**
 * What YAML as Kustomize writes it does not carry (measured; the message would print the whole ConfigMap):
 * NEL becomes a space, DEL, C1 and noncharacters abort, a tab before the first of several lines aborts,
 * and U+2028/U+2029 are read differently by Go and by JavaScript.
 */
function configMapFault(value: string): string | undefined {
  const found = /[\u007f-\u009f\u2028\u2029\ufffe\uffff]/.exec(value)?.[0];
  if (found)
    return `has the character U+${found.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}, which a ConfigMap does not carry unchanged`;
  if (value.startsWith('\t') && value.includes('\n')) {
    return 'has several lines and begins with a tab, which Kustomize refuses in a ConfigMap';
  }
  return undefined;
}

/** What the file says for each key, in the lines that are commented out too. */
function examplesOf(text: string): Map<string, Set<string>> {
  const examples = new Map<string, Set<string>>();
  for (const variant of [text, text.replace(/^#[ \t]*(?=[A-Za-z_][A-Za-z0-9_]*=)/gm, '')]) {
    for (const [key, { value }] of parseEnvFile(variant, '').values)
      examples.set(key, (examples.get(key) ?? new Set()).add(value.trim()));
  }
  return examples;
}

/** Formats that only values of few forms have; none of them is a secret that could be left out. */
const openFormats: readonly (string | undefined)[] = ['port', 'integer', 'boolean'];

function withPlaceholders(values: readonly EnvValue[], options: CheckOptions): EnvValue[] {
  if (options.placeholders === 'ignore') return [...values];
  const examples = examplesOf(options.example ?? '');
  return values.map((entry) => {
    const { field, value } = entry;
    if (!value || !field.secret || field.oneOf || field.allowsPlaceholder) return entry;
    if (openFormats.includes(field.format)) return entry;
    const fault = placeholderFault(value, field.envKey, examples.get(field.envKey));
    return fault === undefined ? entry : { ...entry, placeholder: fault };
  });
}

/** One env key may feed several data keys: the override is theirs, the value is one. */
function checkPlaceholders(values: readonly EnvValue[], options: CheckOptions): Problem[] {
  const found = values.filter(({ placeholder }) => placeholder !== undefined);
  return [...groupByEnvKey(found.map(({ field }) => field))].map(([key, fields]) => {
    const { source, placeholder = '' } = found.find(({ field }) => field.envKey === key)!;
    const real = fields.some(({ generate }) => generate)
      ? '`openssl rand -base64 36` makes a good one'
      : 'put the real value there';
    const places = fields.map((field) => `${destinationOf(field)} (${field.place.file}:${field.place.line})`);
    return {
      severity: options.placeholders === 'refuse' ? 'error' : 'warning',
      ...placeOf(source),
      subject: key,
      message: `is no secret: ${/^(?:a|the) /.test(placeholder) ? '' : 'it '}${placeholder}${inProcess(source)}`,
      hint: `${real}; if it is meant so: \`placeholder: allow\` for ${places.join(' and ')}`,
    };
  });
}

function checkValue({ field, value, source, placeholder }: EnvValue): Problem[] {
  if (value === undefined || value === '') return [];
  const problem = (severity: Problem['severity'], message: string, hint?: string): Problem => ({
    severity,
    ...placeOf(source),
    subject: field.envKey,
    message: message + inProcess(source),
    ...(hint ? { hint } : {}),
  });
  const { errors, warnings } = checkRules(field, value);
  const problems = [
    ...errors.map((message) => problem('error', message)),
    ...warnings
      // Told with the other placeholders.
      .filter((message) => placeholder === undefined || message !== placeholderHostWarning)
      .map((message) => problem('warning', message)),
  ];
  const bytes = Buffer.byteLength(`${field.dataKey}=${value}`) + 1;
  if (bytes > mostVariableBytes) {
    problems.push(
      problem(
        'error',
        `is ${bytes} bytes with its key; Linux starts no process with a variable of more than 128 KiB`,
        'put it into a file of a volume instead of an environment variable',
      ),
    );
  }
  // Of files the scanner says it.
  if (value.includes('\0') && source?.kind !== 'file')
    problems.push(problem('error', 'has a NUL character, and no environment can hold one'));
  const fault = field.secret ? undefined : configMapFault(value);
  if (fault)
    problems.push(
      problem(
        'error',
        fault,
        `make it a secret in strata.yaml (Secrets carry every text), or change the value`,
      ),
    );
  return problems;
}

function checkObject(object: ContractObject, values: readonly EnvValue[]): Problem[] {
  const bytes = values
    .filter(({ field }) => field.object.kind === object.kind && field.object.name === object.name)
    .reduce((sum, { value }) => sum + Buffer.byteLength(value ?? ''), 0);
  if (bytes <= mostObjectBytes) return [];
  return [
    {
      severity: 'error',
      ...object.place,
      subject: `${object.kind}/${object.name}`,
      message: `its values are ${bytes} bytes together; the API server takes at most 1 MiB`,
      hint: 'spread the keys over several objects',
    },
  ];
}

function unknownProblem(key: string, entry: EnvEntry, keys: readonly string[]): Problem {
  const { file, line, printable } = entry;
  const meant = printable ? nearest(key, keys) : undefined;
  return {
    severity: 'warning',
    file,
    line,
    ...(printable ? { subject: key } : {}),
    message: `no contract names this key, so its value goes nowhere${meant ? `; did you mean ${meant}?` : ''}`,
    ...(meant ? {} : { hint: 'take the line out, or add the key to a strata.yaml' }),
  };
}

function checkUnknown(contract: Contract, layers: readonly EnvFile[]): Problem[] {
  const keys = new Set(contract.fields.map(({ envKey }) => envKey));
  return layers.flatMap(({ values }) =>
    [...values]
      .filter(([key]) => !keys.has(key))
      .map(([key, entry]) => unknownProblem(key, entry, [...keys])),
  );
}

/** One env key may feed several objects; what is wrong with its value is said once. */
function distinct(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()];
}

/**
 * Pairs the contract with the layers, later ones winning. Pure.
 * The problems include those of the layers; none of them has a value or a part of one.
 */
export function checkValues(
  contract: Contract,
  layers: readonly EnvFile[],
  options: CheckOptions = {},
): { values: EnvValue[]; problems: Problem[] } {
  const values = withPlaceholders(
    contract.fields.map((field) => resolve(field, settingOf(field.envKey, layers, options))),
    options,
  );
  const needed = options.withoutSecrets ? values.filter(({ field }) => !field.secret) : values;
  const problems = [
    ...layers.flatMap((layer) => layer.problems),
    ...values.flatMap(checkValue),
    ...checkPlaceholders(values, options),
    ...contract.objects.flatMap((object) => checkObject(object, values)),
    ...(options.incomplete ? [] : checkMissing(needed, layers)),
    ...(options.incomplete ? [] : checkUnknown(contract, layers)),
  ];
  return { values, problems: distinct(problems) };
}

export interface EnvOptions {
  /** Of --env-file, in order; they replace .env and .env.<overlay>. Relative to where npm was called. */
  envFiles?: readonly string[];
  fromProcess?: boolean;
  /** Absolute path of the sandbox's throwaway env file; used unless `envFiles` names others. */
  sandboxEnvFile?: string | undefined;
  /** `tell` unless given. */
  placeholders?: PlaceholderRule;
  /** See `CheckOptions`. */
  withoutSecrets?: boolean;
}

/** Twice what one object may hold, several times over: more is some other file. */
const mostFileBytes = 16 * 1024 * 1024;

/** In pieces, because a path may also be a pipe or a device without an end. */
async function readBytes(absolute: string, file: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of createReadStream(absolute)) {
      chunks.push(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      if (bytes > mostFileBytes) break;
    }
  } catch (error) {
    throw unreadable(file, error);
  }
  if (bytes <= mostFileBytes) return Buffer.concat(chunks);
  throw new StrataError('FILE_UNREADABLE', `${file} is no env file: it has more than 16 MiB`);
}

/** An env file. */
export interface EnvPath {
  absolute: string;
  /** As the user would type it. */
  file: string;
  required: boolean;
}

function envPaths(session: Session, overlay: string, options: EnvOptions): EnvPath[] {
  if (options.envFiles && options.envFiles.length > 0) {
    return options.envFiles.map((file) => ({
      absolute: typedPath(session.environment, file),
      file,
      required: true,
    }));
  }
  if (options.sandboxEnvFile !== undefined) {
    const relative = path.relative(session.root, options.sandboxEnvFile);
    const file = relative.startsWith('..') ? options.sandboxEnvFile : relative;
    return [{ absolute: options.sandboxEnvFile, file, required: true }];
  }
  return ['.env', `.env.${overlay}`].map((file) => ({
    absolute: path.join(session.root, file),
    file,
    required: false,
  }));
}

async function readLayer(place: EnvPath, keys: ReadonlySet<string>): Promise<EnvFile[]> {
  try {
    return [parseEnvFile(await readBytes(place.absolute, place.file), place.file, keys)];
  } catch (error) {
    const isMissing = error instanceof StrataError && systemCode(error.cause) === 'ENOENT';
    if (!isMissing) throw error;
    if (lstatSync(place.absolute, { throwIfNoEntry: false })?.isSymbolicLink()) {
      throw new StrataError(
        'FILE_UNREADABLE',
        `${place.file} cannot be read: it is a symbolic link to nothing`,
        {
          hint: `ls -ld ${place.file}`,
          cause: error,
        },
      );
    }
    if (place.required) throw error;
    return [];
  }
}

/** Also where the process environment is not read: others may have a copy of it. */
export function learnVariables(session: Session, contract: Contract): void {
  for (const { envKey, dataKey, secret } of contract.fields) {
    const value = session.environment[envKey];
    if (secret && value) session.scrubber.add(envKey, value, [dataKey]);
  }
}

/** Every secret of every layer, also one that a later layer replaces: it may still be in use somewhere. */
function registerSecrets(session: Session, contract: Contract, layers: readonly EnvFile[]): void {
  for (const { envKey, dataKey, secret } of contract.fields) {
    if (!secret) continue;
    for (const { values } of layers) {
      const value = values.get(envKey)?.value;
      if (value) session.scrubber.add(envKey, value, [dataKey]);
    }
  }
  learnVariables(session, contract);
  for (const { file, remains } of layers) for (const text of remains) session.scrubber.add(file, text);
}

export interface EnvReport {
  contract: Contract;
  values: EnvValue[];
  /** The env files that are there. */
  paths: EnvPath[];
  /** Sorted by file and line; of the contract, the files and the values. */
  problems: Problem[];
  contractIsValid: boolean;
}

/**
 * Reads and checks everything and throws for nothing that can be told together.
 * @throws StrataError OVERLAY_NOT_FOUND, TREE_INVALID, FILE_UNREADABLE
 */
export async function readEnvValues(
  session: Session,
  overlay: string,
  options: EnvOptions = {},
): Promise<EnvReport> {
  const folder = await resolveOverlay(session.root, overlay, session.home);
  const files = diskTreeFiles(session.root);
  const { contract, problems: ofContract } = await readContract(files, folder);
  const keys = new Set(contract.fields.map(({ envKey }) => envKey));
  const layers: EnvFile[] = [];
  const paths: EnvPath[] = [];
  for (const place of envPaths(session, overlay, options)) {
    const read = await readLayer(place, keys);
    layers.push(...read);
    if (read.length > 0) paths.push(place);
  }
  const contractIsValid = !ofContract.some(({ severity }) => severity === 'error');
  const checks: CheckOptions = {
    process: options.fromProcess ? session.environment : undefined,
    incomplete: !contractIsValid,
    placeholders: options.placeholders ?? 'tell',
    withoutSecrets: options.withoutSecrets ?? false,
    // Whoever cannot read it has not copied it either.
    example: await files.read('.env.example').catch(() => undefined),
  };
  registerSecrets(session, contract, layers);
  const { values, problems } = checkValues(contract, layers, checks);
  return { contract, values, paths, problems: sortProblems([...ofContract, ...problems]), contractIsValid };
}

/** @throws StrataError CONTRACT_INVALID or ENV_INVALID with all problems, warnings included */
export function throwOnEnvErrors(overlay: string, report: EnvReport): void {
  const hint = `correct what is named above, then: npm run env -- ${overlay}`;
  if (!report.contractIsValid) {
    throwOnErrors('CONTRACT_INVALID', `the env contract of ${overlay} is not valid`, report.problems, hint);
  }
  throwOnErrors('ENV_INVALID', `the env values for ${overlay} are not valid`, report.problems, hint);
}

/**
 * The checked values of an overlay. Secrets are known to the scrubber before anything can be printed.
 * @throws StrataError OVERLAY_NOT_FOUND, TREE_INVALID, FILE_UNREADABLE; CONTRACT_INVALID or ENV_INVALID with all
 *   problems of the contract, the files and the values, warnings included
 */
export async function loadEnvValues(
  session: Session,
  overlay: string,
  options: EnvOptions = {},
): Promise<{ contract: Contract; values: EnvValue[]; paths: EnvPath[]; warnings: Problem[] }> {
  const report = await readEnvValues(session, overlay, options);
  throwOnEnvErrors(overlay, report);
  const { contract, values, paths, problems } = report;
  return { contract, values, paths, warnings: problems };
}
