import { readdirSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import {
  type Arguments,
  type Command,
  helpText,
  isSet,
  parseArguments,
  refuseSwallowedFlags,
  textOf,
} from './command.ts';
import { exitStatusOfBug, formatProblem, messageOf, StrataError } from './errors.ts';
import { typedPath } from './files.ts';
import { advise } from './hint.ts';
import { nearest } from './nearest.ts';
import { createScrubber } from './scrub.ts';
import { type Session, systemClock } from './session.ts';
import { shellWord } from './shell.ts';
import { createTerminal, type Terminal } from './terminal.ts';

const commands: Readonly<Record<string, () => Promise<{ command: Command }>>> = {
  env: () => import('../env.ts'),
  generate: () => import('../generate.ts'),
  render: () => import('../render.ts'),
  chart: () => import('../chart.ts'),
  diff: () => import('../diff.ts'),
  up: () => import('../up.ts'),
  down: () => import('../down.ts'),
  status: () => import('../status.ts'),
  doctor: () => import('../doctor.ts'),
  history: () => import('../history.ts'),
  rollback: () => import('../rollback.ts'),
  sandbox: () => import('../sandbox.ts'),
  try: () => import('../try.ts'),
};

export const commandNames: readonly string[] = Object.keys(commands);

async function loadCommand(name: string | undefined): Promise<Command> {
  const load = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load) return (await load()).command;
  const meant = name && nearest(name, commandNames);
  throw new StrataError(
    'USAGE',
    `${name ? `unknown command ${name}` : 'which command?'}${meant ? `, did you mean ${meant}?` : ''}`,
    {
      hint: `npm run ${commandNames.join(' | ')}`,
    },
  );
}

function isFolder(file: string): boolean {
  try {
    return statSync(file).isDirectory();
  } catch {
    return false;
  }
}

/** Names of the folders in this one that may be a root. */
function rootsIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => isFolder(path.join(folder, name, 'overlays')))
      .sort();
  } catch {
    return [];
  }
}

function resolveRoot(home: string, root: string | undefined): string {
  if (root === undefined) return home;
  const resolved = typedPath(process.env, root);
  const hint = 'name a folder that has overlays/ in it';
  if (!isFolder(resolved)) throw new StrataError('USAGE', `--root ${root} is not a folder`, { hint });
  if (isFolder(path.join(resolved, 'overlays'))) return realpathSync(resolved);
  const named = rootsIn(resolved)
    .slice(0, 5)
    .map((name) => `--root ${shellWord(path.join(root, name))}`);
  throw new StrataError('USAGE', `--root ${root} has no overlays/ in it`, {
    hint: named.length > 0 ? `${hint}, like ${named.join(', ')}` : hint,
  });
}

function formatError(error: StrataError, { style }: Terminal): string {
  const lines = error.problems.map(formatProblem);
  lines.push(`${style.red('error')}: ${error.message} [${error.code}]`);
  if (error.hint) lines.push(`  ${style.bold('next')}: ${error.hint}`);
  return lines.join('\n');
}

const formatBug = (error: unknown): string =>
  `error: this is a bug in strata\n${(error instanceof Error && error.stack) || messageOf(error)}`;

function argumentsOf(command: Command, words: readonly string[]): Arguments {
  try {
    return parseArguments(command, words);
  } catch (error) {
    // A flag that npm took leaves its value behind as one argument too many.
    const positionals = words.filter((word) => !word.startsWith('-'));
    refuseSwallowedFlags(command, { positionals, flags: {} }, process.env);
    throw error;
  }
}

/** A write that fails says so some ticks later, also where the write itself was synchronous. */
const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => stream.write('', () => setImmediate(resolve)));

/**
 * Runs one command to its end; the only place that ends the process.
 * @param home the folder of strata itself, without symbolic links
 */
export async function main(argv: readonly string[], home: string): Promise<void> {
  const cleanups = new Set<() => void>();
  const runCleanups = (): void => {
    for (const cleanup of [...cleanups].reverse()) {
      cleanups.delete(cleanup);
      try {
        cleanup();
      } catch {
        // One cleanup that fails may not keep the others from running.
      }
    }
  };
  process.on('exit', runCleanups);

  const scrubber = createScrubber();
  const terminal = createTerminal(process, process.env, scrubber, { verbose: argv.includes('--verbose') });
  const interruption = new AbortController();
  const finishing = new Set<string>();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (interruption.signal.aborted) process.exit(130);
      terminal.live([]);
      terminal.say(
        `${signal === 'SIGINT' ? 'interrupted' : `stopped by ${signal}`}: ${[...finishing].at(-1) ?? 'cleaning up'} (again to end at once)`,
      );
      interruption.abort(
        new StrataError('INTERRUPTED', 'interrupted', { hint: 'the same command again finishes the job' }),
      );
    });
  }

  // Node's own status for these is 1, which `diff` uses for "changed".
  process.on('uncaughtException', (error) => {
    terminal.live([]);
    terminal.say(formatBug(error));
    process.exit(exitStatusOfBug);
  });

  let status: number;
  let advised = (text: string): string => text;
  try {
    const command = await loadCommand(argv[0]);
    const args = argumentsOf(command, argv.slice(1));
    const means = (meant: Arguments): void => {
      advised = (text) => advise(text, command.name, meant);
    };
    means(args);
    if (isSet(args, 'help')) {
      terminal.data(helpText(command));
      status = 0;
    } else {
      refuseSwallowedFlags(command, args, process.env);
      const session: Session = {
        root: resolveRoot(home, textOf(args, 'root')),
        home,
        environment: process.env,
        terminal,
        scrubber,
        clock: systemClock,
        signal: interruption.signal,
        advise: (text) => advised(text),
        means,
        atExit(cleanup) {
          cleanups.add(cleanup);
          return () => cleanups.delete(cleanup);
        },
        finishes(what) {
          finishing.add(what);
          return () => finishing.delete(what);
        },
      };
      status = await command.run(session, args);
    }
    terminal.live([]);
    await flushed(process.stdout);
    terminal.assertWritten();
  } catch (thrown) {
    // Whatever breaks because of an interruption is an interruption.
    const error = interruption.signal.aborted ? interruption.signal.reason : thrown;
    terminal.live([]);
    if (error instanceof StrataError) {
      terminal.say(advised(formatError(error, terminal)));
      status = error.exitStatus;
    } else {
      terminal.say(formatBug(error));
      status = exitStatusOfBug;
    }
  }
  runCleanups();
  process.exitCode = status;
  // Sockets and children that are still closing may not keep a finished command alive.
  process.stdout.write('', () => process.stderr.write('', () => process.exit(status)));
}
