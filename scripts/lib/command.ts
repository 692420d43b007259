import { parseArgs } from 'node:util';
import { StrataError } from './errors.ts';
import { nearest } from './nearest.ts';
import type { Session } from './session.ts';
import { shellWord } from './shell.ts';

interface Flag {
  /** Placeholder of the value in the help text; absent for a switch. */
  value?: string;
  repeatable?: true;
  help: string;
}

/** Every flag of every command: one meaning each. */
export const flags = {
  root: { value: 'DIR', help: 'the tree with base/ and overlays/ (default: this project)' },
  context: { value: 'NAME', help: 'kubeconfig context; it must be on the list of the overlay' },
  'trust-cluster': { help: 'accept that the context leads to another cluster than before, and remember it' },
  sandbox: { help: 'use the sandbox cluster and its throwaway env file' },
  'env-file': {
    value: 'FILE',
    repeatable: true,
    help: 'read this instead of .env and .env.<overlay>; repeatable',
  },
  'from-process': { help: 'keys of the env contract found in the process environment win' },
  image: {
    value: 'NAME=REF',
    repeatable: true,
    help: 'deploy image NAME as REF (tag or digest); repeatable',
  },
  yes: { help: 'do not ask' },
  'allow-delete': {
    value: 'WHAT',
    repeatable: true,
    help: 'confirm a deletion that is guarded: most, Kind/name or all; repeatable',
  },
  'rollback-on-failure': { help: 'go back to the last healthy deployment when it does not become healthy' },
  to: { value: 'N', help: 'which deployment to go back to, by its number in the history' },
  timeout: { value: 'DURATION', help: 'how long to wait for health, like 90s or 5m (default: 5m)' },
  'force-conflicts': { help: 'take over fields that another manager holds' },
  adopt: { help: 'take over objects that client-side apply or another tool made' },
  'steal-lock': { help: 'do not wait for another run at this overlay, take its lock' },
  save: { value: 'FILE', help: 'write the plan to FILE, for up --plan FILE' },
  plan: { value: 'FILE', help: 'apply exactly what diff --save FILE showed, or nothing' },
  out: { value: 'DIR', help: 'the folder of the chart: new, empty, or one that this command wrote' },
  output: { value: 'FORMAT', help: 'text or json (default: text)' },
  'exit-zero': { help: 'exit 0 also when something changed' },
  'show-secrets': { help: 'do not mask secrets on a terminal' },
  init: { help: 'write .env from .env.example and fill the keys that can be generated' },
  name: { value: 'NAME', help: 'which sandbox, when there are several (default: default)' },
  verbose: { help: 'print every command and request' },
  help: { help: 'show this text' },
} as const satisfies Record<string, Flag>;

export type FlagName = keyof typeof flags;

export interface Arguments {
  positionals: string[];
  flags: Partial<Record<FlagName, string | true | string[]>>;
}

export interface Command {
  name: string;
  /** One sentence for the first line of the help text. */
  summary: string;
  /** What stands after `npm run NAME --`. */
  usage: string;
  flags: readonly FlagName[];
  /** Extra help after the flags: exit statuses, examples. */
  notes?: string;
  /** How many positionals it takes; `Infinity` hands everything after the first one through unparsed. */
  positionals: number;
  /** Returns the exit status. */
  run(session: Session, args: Arguments): Promise<number>;
}

export function isSet(args: Arguments, name: FlagName): boolean {
  return args.flags[name] === true;
}

export function textOf(args: Arguments, name: FlagName): string | undefined {
  const value = args.flags[name];
  return typeof value === 'string' ? value : undefined;
}

export function textsOf(args: Arguments, name: FlagName): string[] {
  const value = args.flags[name];
  return Array.isArray(value) ? value : [];
}

/** The flags for a command to type next, as a POSIX shell reads them. */
export const flagWords = (args: Arguments): string[] =>
  Object.entries(args.flags).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((text) =>
      text === true ? `--${name}` : `--${name} ${shellWord(text)}`,
    ),
  );

const defaultOverlay = 'minikube';

/** The overlay that is meant when none is named. */
export const overlayOf = (args: Arguments): string => args.positionals[0] ?? defaultOverlay;

const helpHint = (command: Command): string => `npm run ${command.name} -- --help`;

/** @throws StrataError USAGE for anything the command does not take. */
export function parseArguments(command: Command, argv: readonly string[]): Arguments {
  const passThrough = command.positionals === Number.POSITIVE_INFINITY;
  const firstWord = argv.findIndex((word) => !word.startsWith('-'));
  const own = passThrough && firstWord >= 0 ? argv.slice(0, firstWord + 1) : argv;
  const rest = passThrough && firstWord >= 0 ? argv.slice(firstWord + 1) : [];

  const options = Object.fromEntries(
    command.flags.map((name) => [
      name,
      { type: 'value' in flags[name] ? ('string' as const) : ('boolean' as const) },
    ]),
  );
  const { tokens } = parseArgs({
    args: [...own],
    options: { ...options, help: { type: 'boolean', short: 'h' } },
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const result: Arguments = { positionals: [], flags: {} };
  for (const token of tokens) {
    if (token.kind === 'positional') result.positionals.push(token.value);
    if (token.kind === 'option') setFlag(command, result, token);
  }
  result.positionals.push(...rest);
  if (result.positionals.length > command.positionals) {
    throw new StrataError('USAGE', `unexpected argument: ${result.positionals[command.positionals]}`, {
      hint: helpHint(command),
    });
  }
  return result;
}

function setFlag(
  command: Command,
  result: Arguments,
  token: { name: string; rawName: string; value?: string | undefined; inlineValue?: boolean | undefined },
): void {
  const name = token.name as FlagName;
  if (!command.flags.includes(name) && name !== 'help') {
    const meant = nearest(token.name, command.flags);
    throw new StrataError(
      'USAGE',
      `unknown flag ${token.rawName}${meant ? `, did you mean --${meant}?` : ''}`,
      {
        hint: helpHint(command),
      },
    );
  }
  const flag: Flag = flags[name];
  if (flag.value === undefined) {
    if (token.value !== undefined) {
      throw new StrataError('USAGE', `--${name} takes no value`, { hint: helpHint(command) });
    }
    result.flags[name] = true;
    return;
  }
  // parseArgs takes the next flag for the value.
  if (!token.value || (!token.inlineValue && token.value.startsWith('-'))) {
    throw new StrataError('USAGE', `--${name} needs a value: --${name} ${flag.value}`, {
      hint: helpHint(command),
    });
  }
  if (flag.repeatable) {
    result.flags[name] = [...textsOf(result, name), token.value];
    return;
  }
  if (result.flags[name] !== undefined && result.flags[name] !== token.value) {
    throw new StrataError('USAGE', `--${name} was given twice`, { hint: helpHint(command) });
  }
  result.flags[name] = token.value;
}

/**
 * `npm run up --yes` never reaches us as a flag: npm takes it and hands it down as `npm_config_yes`.
 * @throws StrataError USAGE with the line that works.
 */
export function refuseSwallowedFlags(
  command: Command,
  args: Arguments,
  environment: Readonly<Record<string, string | undefined>>,
): void {
  const script = environment.npm_lifecycle_event;
  if (!script || environment.npm_command !== 'run') return;
  const taken = command.flags.flatMap((name) => {
    // npm has options of its own under these names, set for other reasons than ours.
    if (name === 'verbose' || name === 'help' || name === 'save') return [];
    const value = environment[`npm_config_${name.replaceAll('-', '_')}`];
    if (!value || value === 'false' || args.flags[name] !== undefined) return [];
    // npm puts an empty line between the values of a flag that was given twice.
    return value.split('\n\n').map((one) => [name, one] as const);
  });
  const [first] = taken;
  if (first === undefined) {
    refuseLeftFile(command, args, script);
    return;
  }
  // The script `up:minikube` names the overlay itself.
  const words = args.positionals.slice(script.endsWith(`:${args.positionals[0]}`) ? 1 : 0);
  // Our flags stand before this word, and what stood behind it has lost its own flags to npm.
  const handed = command.positionals === Number.POSITIVE_INFINITY ? words.indexOf('kubectl') : -1;
  const ending = handed < 0 ? [] : ['kubectl ARGUMENTS...'];
  if (handed >= 0) words.splice(handed);
  // Of `--context x` npm takes the flag alone, and x is a positional.
  const open = taken.filter(([name, value]) => value === 'true' && 'value' in flags[name]);
  const surplus = words.splice(
    Math.max(0, words.length - Math.max(open.length, args.positionals.length - command.positionals)),
  );
  // Which value belongs to which of several flags is lost.
  const isClear = open.every(([name]) => name === open[0]?.[0]);
  const meant = taken.map(([name, value]) => {
    const { value: placeholder }: Flag = flags[name];
    if (placeholder === undefined) return `--${name}`;
    const left = value === 'true' ? isClear && surplus.shift() : value;
    return `--${name} ${left ? shellWord(left) : placeholder}`;
  });
  throw new StrataError('USAGE', `npm took --${first[0]} for itself; flags of strata stand after a lone --`, {
    hint: `npm run ${script} -- ${[...words.map(shellWord), ...flagWords(args), ...meant, ...ending].join(' ')}`,
  });
}

/** npm has a `--save` of its own, which is on anyway: all that is left of ours, and of `--plan`, is the file. */
function refuseLeftFile(command: Command, args: Arguments, script: string): void {
  const name = (['save', 'plan'] as const).find((flag) => command.flags.includes(flag));
  const file = args.positionals.find((word) => word.endsWith('.json'));
  if (name === undefined || file === undefined || args.flags[name] !== undefined) return;
  const words = args.positionals.filter((word) => word !== file);
  throw new StrataError('USAGE', `npm took --${name} for itself; flags of strata stand after a lone --`, {
    hint: `npm run ${script} -- ${[...words.map(shellWord), ...flagWords(args), `--${name} ${shellWord(file)}`].join(' ')}`,
  });
}

export function helpText(command: Command): string {
  const rows = [...command.flags, 'help' as const].map((name) => {
    const flag: Flag = flags[name];
    return [`  --${name}${flag.value ? ` ${flag.value}` : ''}`, flag.help] as const;
  });
  const width = Math.max(...rows.map(([left]) => left.length));
  return [
    command.summary,
    '',
    `usage: npm run ${command.name}${command.usage ? ` -- ${command.usage}` : ''}`,
    ...(command.usage.includes('[OVERLAY]') ? ['', `OVERLAY is ${defaultOverlay} unless given.`] : []),
    '',
    ...rows.map(([left, right]) => `${left.padEnd(width)}  ${right}`),
    ...(command.notes ? ['', command.notes] : []),
    '',
  ].join('\n');
}

/** Milliseconds of `90s`, `5m`, `1h`, `500ms` or a bare number of seconds. @throws StrataError USAGE */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  const factor = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match?.[2] ?? 's'] ?? Number.NaN;
  const milliseconds = Number(match?.[1]) * factor;
  if (!(milliseconds > 0) || milliseconds > 24 * 3_600_000) {
    throw new StrataError('USAGE', `--timeout ${text} is not a duration between 1ms and 24h`, {
      hint: 'write it like --timeout 90s or --timeout 5m',
    });
  }
  return milliseconds;
}
