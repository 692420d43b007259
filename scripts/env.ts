import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { type Arguments, type Command, isSet, overlayOf, textsOf } from './lib/command.ts';
import { destinationOf, loadContract } from './lib/contract.ts';
import { parseEnvFile } from './lib/envfile.ts';
import { formatProblem, type Problem, StrataError } from './lib/errors.ts';
import { exposuresOf } from './lib/exposure.ts';
import { pathToType } from './lib/files.ts';
import { fillEmpty, generatedKeys, randomSecret, writeNewFile } from './lib/init.ts';
import { outputOf } from './lib/output.ts';
import { diskTreeFiles } from './lib/overlay.ts';
import { readRunningSandbox } from './lib/sandbox.ts';
import type { Session } from './lib/session.ts';
import { clip, formatTable, type Style, type Terminal } from './lib/terminal.ts';
import { type EnvReport, type EnvValue, readEnvValues, throwOnEnvErrors } from './lib/values.ts';

/**
 * `default`: from strata.yaml. `unset`: optional and not set, so nothing is generated for it.
 * `placeholder`: a secret that `up` refuses.
 */
type State = 'set' | 'default' | 'empty' | 'unset' | 'missing' | 'placeholder';

function stateOf({ field, value, source, placeholder }: EnvValue): State {
  if (value === undefined) return field.optional ? 'unset' : 'missing';
  if (value === '') return 'empty';
  if (placeholder !== undefined) return 'placeholder';
  return source?.kind === 'default' ? 'default' : 'set';
}

function sourceText({ source }: EnvValue): string {
  if (!source) return '–';
  return source.kind === 'process'
    ? 'process'
    : `${source.kind === 'default' ? 'default ' : ''}${source.file}:${source.line}`;
}

function destinationText({ field }: EnvValue): string {
  const { object, dataKey, envKey } = field;
  return `${object.kind}/${dataKey === envKey ? object.name : destinationOf(field)}`;
}

const printed = (value: string): string => (/\p{Cc}/u.test(value) ? JSON.stringify(value) : value);

/** Of a contract that puts one key into a Secret and a ConfigMap, which is an error, the value is shown nowhere. */
const secretKeysOf = (values: readonly EnvValue[]): ReadonlySet<string> =>
  new Set(values.filter(({ field }) => field.secret).map(({ field }) => field.envKey));

function stateText(entry: EnvValue, secretKeys: ReadonlySet<string>, style: Style): string {
  const { field, value = '' } = entry;
  const state = stateOf(entry);
  if (state === 'missing') return style.red('missing');
  if (state === 'unset') return style.dim('not set');
  if (state === 'empty') return style.dim('empty');
  if (state === 'placeholder') return style.yellow(`placeholder (${[...value].length} characters)`);
  return secretKeys.has(field.envKey) ? `set (${[...value].length} characters)` : clip(printed(value), 24);
}

type Row = readonly [key: string, state: string, source: string, destinations: string];

/** A key that feeds several objects alike is one row. */
function rowsOf(values: readonly EnvValue[], style: Style): Row[] {
  const rows = new Map<string, { key: string; source: string; destinations: string[]; state: string }>();
  const secretKeys = secretKeysOf(values);
  for (const entry of values) {
    const source = sourceText(entry);
    const state = stateText(entry, secretKeys, style);
    const identity = JSON.stringify([entry.field.envKey, source, state]);
    const row = rows.get(identity) ?? { key: entry.field.envKey, source, destinations: [], state };
    row.destinations.push(destinationText(entry));
    rows.set(identity, row);
  }
  return [
    [style.bold('KEY'), style.bold('STATE'), style.bold('SOURCE'), style.bold('GOES TO')],
    ...[...rows.values()].map(
      ({ key, source, destinations, state }): Row => [key, state, source, destinations.join(', ')],
    ),
  ];
}

/** Where a terminal is too narrow for one line, the second half of each row stands below the first. */
function tableOf(rows: readonly Row[], { outIsTerminal, columns }: Terminal): string {
  const fits = (line: string): boolean => !outIsTerminal || stripVTControlCharacters(line).length <= columns;
  const lines = formatTable(rows);
  if (lines.every(fits)) return lines.join('\n');
  const heads = formatTable(rows.map(([key, state]) => [key, state]));
  return rows
    .flatMap(([, , source, destinations], index) => {
      const below = `  ${source} → ${destinations}`;
      return [heads[index], ...(fits(below) ? [below] : [`  ${source}`, `  → ${destinations}`])];
    })
    .join('\n');
}

function jsonOf(overlay: string, report: EnvReport): unknown {
  const secretKeys = secretKeysOf(report.values);
  const values = report.values.map((entry) => {
    const { field, value, source } = entry;
    return {
      key: field.envKey,
      object: field.object,
      dataKey: field.dataKey,
      secret: secretKeys.has(field.envKey),
      state: stateOf(entry),
      source: source ?? null,
      ...(value === undefined
        ? {}
        : secretKeys.has(field.envKey)
          ? { length: [...value].length }
          : { value }),
    };
  });
  return { schema: 'strata.dev/env/v1', overlay, values, problems: report.problems };
}

const isWarning = ({ severity }: Problem): boolean => severity === 'warning';

async function show(session: Session, args: Arguments, overlay: string): Promise<number> {
  const output = outputOf(args);
  const { terminal } = session;
  const sandbox = isSet(args, 'sandbox') ? await readRunningSandbox(session) : undefined;
  const report = await readEnvValues(session, overlay, {
    envFiles: textsOf(args, 'env-file'),
    fromProcess: isSet(args, 'from-process'),
    sandboxEnvFile: sandbox?.envFile,
    placeholders: sandbox ? 'ignore' : 'tell',
  });
  if (!sandbox) report.problems.push(...(await exposuresOf(session, report.values, report.paths)));
  if (output === 'json') terminal.json(jsonOf(overlay, report));
  else terminal.data(tableOf(rowsOf(report.values, terminal.outStyle), terminal));
  throwOnEnvErrors(overlay, report);
  for (const problem of report.problems) terminal.say(session.advise(formatProblem(problem)));
  return 0;
}

const makeOne = '`openssl rand -base64 36` makes a good value';

/** @throws StrataError always: the user asked for a file and there is none that is new */
function refuseExisting(text: string, keys: readonly string[]): never {
  const { values } = parseEnvFile(text, '.env', new Set());
  const problems = keys
    .filter((key) => !values.get(key)?.value)
    .map((key): Problem => {
      const line = values.get(key)?.line;
      return {
        severity: 'error',
        file: '.env',
        ...(line ? { line } : {}),
        subject: key,
        message: line ? 'is empty' : 'is missing',
        hint: makeOne,
      };
    });
  throw new StrataError('FILE_UNWRITABLE', '.env exists already; nothing was changed', {
    problems,
    hint: problems.length > 0 ? `add what is missing to .env yourself; ${makeOne}` : 'npm run env',
  });
}

async function init(session: Session, overlay: string): Promise<number> {
  const { root, terminal, scrubber } = session;
  const files = diskTreeFiles(root);
  const keys = generatedKeys(await loadContract(root, overlay));
  const existing = await files.read('.env');
  if (existing !== undefined) refuseExisting(existing, keys);
  const example = await files.read('.env.example');
  if (example === undefined) {
    throw new StrataError('FILE_UNREADABLE', '.env.example cannot be read: there is no such file', {
      hint: 'write .env yourself; npm run env shows the keys',
    });
  }
  const { text, filled } = fillEmpty(example, keys, () => {
    const value = randomSecret();
    scrubber.add('generated', value);
    return value;
  });
  if (!writeNewFile(path.join(root, '.env'), text, '.env')) refuseExisting('', []);
  const file = pathToType(session.environment, path.join(root, '.env'));
  terminal.say(`wrote ${file} from .env.example, readable by you alone`);
  if (filled.length > 0) terminal.say(`generated: ${filled.join(', ')}`);
  return sayWhatIsNext(session, overlay, file);
}

async function sayWhatIsNext(session: Session, overlay: string, file: string): Promise<number> {
  const { terminal } = session;
  const { problems } = await readEnvValues(session, overlay, { placeholders: 'refuse' });
  for (const problem of problems) {
    // What is still to be filled in is no failure of this command.
    const text = session.advise(formatProblem(problem));
    terminal.say(isWarning(problem) ? text : text.replace(/^error/, 'to do'));
  }
  terminal.say(session.advise(`next: fill in ${file}, then npm run env -- ${overlay}`));
  return 0;
}

export const command: Command = {
  name: 'env',
  summary: 'Show each env value of an overlay: where it comes from, where it goes, what is missing.',
  usage: '[OVERLAY] [flags]',
  flags: ['root', 'env-file', 'from-process', 'sandbox', 'output', 'init', 'verbose'],
  positionals: 1,
  notes: [
    'Values of secrets are never shown, only their length.',
    'Exit status: 0 all is set, 2 something is missing or invalid; the table is printed either way.',
    'A secret that is still a placeholder is a warning here; up refuses it.',
  ].join('\n'),
  async run(session, args) {
    const overlay = overlayOf(args);
    if (!isSet(args, 'init')) return show(session, args, overlay);
    const idle = Object.keys(args.flags).filter((name) => !['init', 'root', 'verbose'].includes(name));
    if (idle.length > 0) {
      throw new StrataError('USAGE', `--init writes .env and takes no --${idle.join(', no --')}`, {
        hint: 'npm run env -- --init',
      });
    }
    return init(session, overlay);
  },
};
