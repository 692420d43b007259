import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createScrubber, scrubJson } from '../../scripts/lib/scrub.ts';
import { type Session, systemClock } from '../../scripts/lib/session.ts';
import type { Style, Terminal } from '../../scripts/lib/terminal.ts';

/** Absolute path of the project. */
export const projectFolder = path.resolve(fileURLToPath(new URL('../..', import.meta.url)));

export interface TestSession extends Session {
  /** Everything written so far. */
  readonly output: { stdout: string; stderr: string };
  /** Runs what `atExit` collected, as the end of the process would. */
  end(): void;
  /** Aborts `signal` with this reason, as the first Ctrl-C would. */
  interrupt(reason: unknown): void;
}

export interface TestSessionOverrides extends Partial<Omit<Session, 'terminal'>> {
  terminal?: Partial<Terminal>;
  /** Answers to `ask`, in order; undefined is the end of input. */
  answers?: readonly (string | undefined)[];
  verbose?: boolean;
}

const plain = (text: string): string => text;
const plainStyle: Style = { bold: plain, dim: plain, red: plain, green: plain, yellow: plain, cyan: plain };

/** A session without a terminal that records what is written instead of writing it. */
export function testSession(overrides: TestSessionOverrides = {}): TestSession {
  const { terminal: terminalOverrides, answers = [], verbose = false, ...rest } = overrides;
  const scrubber = rest.scrubber ?? createScrubber();
  const output = { stdout: '', stderr: '' };
  const remaining = [...answers];
  const cleanups = new Set<() => void>();
  const interruption = new AbortController();
  const line = (text: string): string => (text.endsWith('\n') ? text : `${text}\n`);
  const say = (text: string): void => {
    output.stderr += scrubber.scrub(line(text));
  };
  const terminal: Terminal = {
    interactive: false,
    outIsTerminal: false,
    columns: 80,
    style: plainStyle,
    outStyle: plainStyle,
    data(text) {
      output.stdout += scrubber.scrub(line(text));
    },
    json(value) {
      output.stdout += `${JSON.stringify(scrubJson(scrubber, value), null, 2)}\n`;
    },
    exact(text) {
      output.stdout += text;
    },
    say,
    detail(text) {
      if (verbose) say(text);
    },
    live() {},
    async ask(question) {
      output.stderr += scrubber.scrub(question);
      return remaining.shift();
    },
    assertWritten() {},
    ...terminalOverrides,
  };
  return {
    root: projectFolder,
    home: projectFolder,
    environment: process.env,
    clock: systemClock,
    signal: interruption.signal,
    advise: plain,
    means() {},
    atExit(cleanup) {
      cleanups.add(cleanup);
      return () => cleanups.delete(cleanup);
    },
    finishes: () => () => {},
    ...rest,
    scrubber,
    terminal,
    output,
    end() {
      for (const cleanup of [...cleanups].reverse()) cleanup();
      cleanups.clear();
    },
    interrupt(reason) {
      interruption.abort(reason);
    },
  };
}
