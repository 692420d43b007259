import { createInterface } from 'node:readline/promises';
import { stripVTControlCharacters } from 'node:util';
import { StrataError, systemCode } from './errors.ts';
import { type Scrubber, scrubJson } from './scrub.ts';

const codes = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

export type Style = Record<keyof typeof codes, (text: string) => string>;

/** stdout is data, stderr is conversation. Everything but `exact` passes the scrubber. */
export interface Terminal {
  /** Both stdin and stderr are a terminal: questions can be asked. */
  readonly interactive: boolean;
  /** stdout is a terminal. */
  readonly outIsTerminal: boolean;
  readonly columns: number;
  /** For text that goes to stderr. */
  readonly style: Style;
  /** For text that goes to stdout. */
  readonly outStyle: Style;
  /** One line or block on stdout. */
  data(text: string): void;
  /** A document on stdout: its texts are scrubbed one by one, so that it stays valid. */
  json(value: unknown): void;
  /** Unscrubbed on stdout: only `render` and `generate` may (design, rule 3). */
  exact(text: string): void;
  /** One line or block on stderr. */
  say(text: string): void;
  /** On stderr with --verbose only. */
  detail(text: string): void;
  /** Live lines below everything said so far; nothing where stderr is no terminal. Empty removes them. */
  live(lines: readonly string[]): void;
  /** Asks on stderr. Rejects with the signal's reason when that is aborted; undefined at end of input. */
  ask(question: string, signal: AbortSignal): Promise<string | undefined>;
  /** Throws if stdout could not be written for another reason than a closed pipe. */
  assertWritten(): void;
}

/** NO_COLOR and FORCE_COLOR by no-color.org and force-color.org: set and not empty counts. */
export function wantsColour(
  environment: Readonly<Record<string, string | undefined>>,
  isTerminal: boolean,
): boolean {
  if (environment.NO_COLOR) return false;
  if (environment.FORCE_COLOR) return environment.FORCE_COLOR !== '0';
  return isTerminal && environment.TERM !== 'dumb';
}

function createStyle(coloured: boolean): Style {
  const entries = Object.entries(codes).map(([name, [open, close]]) => [
    name,
    (text: string) => (coloured ? `\x1b[${open}m${text}\x1b[${close}m` : text),
  ]);
  return Object.fromEntries(entries) as Style;
}

/** Cuts to `columns` visible characters; colour codes do not count and are closed. */
export function clip(line: string, columns: number): string {
  if (stripVTControlCharacters(line).length <= columns) return line;
  let visible = 0;
  let cut = '';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape that starts a colour code
  for (const part of line.split(/(\x1b\[\d+m)/)) {
    if (part.startsWith('\x1b[')) {
      cut += part;
      continue;
    }
    const room = Math.max(0, columns - 1 - visible);
    cut += part.slice(0, room);
    if (part.length > room && visible <= columns - 1) cut += '…';
    visible += part.length > room ? columns : part.length;
  }
  return cut;
}

export interface Streams {
  stdin: NodeJS.ReadStream;
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
}

export function createTerminal(
  streams: Streams,
  environment: Readonly<Record<string, string | undefined>>,
  scrubber: Scrubber,
  options: { verbose: boolean },
): Terminal {
  const { stdin, stdout, stderr } = streams;
  const isLive = Boolean(stderr.isTTY) && environment.TERM !== 'dumb';
  let shown = 0;
  let writeError: unknown;

  // A reader that has seen enough (`| head`) is no reason to stop a deployment half-way.
  const dropWhenClosed = (error: unknown): void => {
    if (systemCode(error) !== 'EPIPE') writeError ??= error;
  };
  stdout.on('error', dropWhenClosed);
  stderr.on('error', () => {});

  const line = (text: string): string => (text.endsWith('\n') ? text : `${text}\n`);
  /** A text that cannot be looked through is not shown. */
  const scrubbed = (text: string): string => {
    try {
      return scrubber.scrub(text);
    } catch {
      return '[withheld: it could not be searched for secrets]\n';
    }
  };
  const erase = (): void => {
    if (shown > 0) stderr.write(`\x1b[${shown}A\x1b[0J`);
    shown = 0;
  };

  const terminal: Terminal = {
    interactive: Boolean(stdin.isTTY && stderr.isTTY),
    outIsTerminal: Boolean(stdout.isTTY),
    get columns() {
      return stderr.columns || 80;
    },
    style: createStyle(wantsColour(environment, Boolean(stderr.isTTY))),
    outStyle: createStyle(wantsColour(environment, Boolean(stdout.isTTY))),
    data(text) {
      erase();
      stdout.write(scrubbed(line(text)));
    },
    json(value) {
      erase();
      stdout.write(`${JSON.stringify(scrubJson(scrubber, value), null, 2)}\n`);
    },
    exact(text) {
      erase();
      stdout.write(text);
    },
    say(text) {
      erase();
      stderr.write(scrubbed(line(text)));
    },
    detail(text) {
      if (options.verbose) terminal.say(terminal.style.dim(text));
    },
    live(lines) {
      if (!isLive) return;
      erase();
      const room = lines.slice(0, Math.max(1, (stderr.rows || 24) - 1));
      for (const entry of room) {
        // Messages of the server may have several lines, and as many would have to be erased.
        const text = scrubbed(entry).replace(/\s*[\r\n]\s*/g, ' ');
        stderr.write(`${clip(text, terminal.columns - 1)}\n`);
      }
      shown = room.length;
    },
    async ask(question, signal) {
      erase();
      const reader = createInterface({ input: stdin, output: stderr });
      const closed = new Promise<undefined>((resolve) => reader.once('close', () => resolve(undefined)));
      const interrupt = new AbortController();
      // In raw mode Ctrl-C arrives here as a key, not as a signal.
      reader.once('SIGINT', () => interrupt.abort());
      try {
        return await Promise.race([
          reader.question(scrubbed(question), { signal: AbortSignal.any([signal, interrupt.signal]) }),
          closed,
        ]);
      } catch (error) {
        if (interrupt.signal.aborted)
          throw new StrataError('INTERRUPTED', 'interrupted, nothing was changed');
        signal.throwIfAborted();
        throw error;
      } finally {
        reader.close();
      }
    },
    assertWritten() {
      if (writeError === undefined) return;
      throw new StrataError(
        'FILE_UNWRITABLE',
        `stdout could not be written: ${(writeError as Error).message}`,
        {
          hint: 'free some space or write somewhere else, then run the same command again',
        },
      );
    },
  };
  return terminal;
}

/** Left-aligned columns, two spaces apart; colour codes do not count as width. */
export function formatTable(rows: readonly (readonly string[])[]): string[] {
  const width = (text: string): number => stripVTControlCharacters(text).length;
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, width(cell));
    });
  }
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === row.length - 1 ? cell : cell + ' '.repeat(widths[column]! - width(cell)),
      )
      .join('  ')
      .trimEnd(),
  );
}
