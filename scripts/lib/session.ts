import type { Arguments } from './command.ts';
import type { Scrubber } from './scrub.ts';
import type { Terminal } from './terminal.ts';

export interface Clock {
  /** Milliseconds, monotonic: wall clocks jump. */
  now(): number;
  /** Rejects with the signal's reason when that is aborted first. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** The one parameter through which effects reach the functions that do the work. */
export interface Session {
  /** Absolute path of the tree with base/ and overlays/. */
  root: string;
  /** Absolute path of the toolkit itself; `root` unless --root was given. */
  home: string;
  environment: Readonly<Record<string, string | undefined>>;
  terminal: Terminal;
  scrubber: Scrubber;
  clock: Clock;
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP; the reason is a StrataError. */
  signal: AbortSignal;
  /** A text with the commands in it as they have to be typed after this one, with its tree, cluster and values. */
  advise(text: string): string;
  /** The arguments that are meant are not the typed ones: advice follows these from now on. */
  means(args: Arguments): void;
  /** Runs synchronously at the end of the process, however it ends; returns a function that takes it back. */
  atExit(cleanup: () => void): () => void;
  /** What the first Ctrl-C waits for from now on, in words; returns a function that takes it back. */
  finishes(what: string): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  sleep(milliseconds, interruption) {
    return new Promise((resolve, reject) => {
      // One of its own, for Node warns of more than ten listeners to one signal.
      const signal = interruption && AbortSignal.any([interruption]);
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      }, milliseconds);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  },
};

/** `1.2 s`, `340 ms`, `2 min 5 s`. */
export function formatDuration(milliseconds: number): string {
  const rounded = Math.round(milliseconds);
  if (rounded < 1000) return `${rounded} ms`;
  if (rounded < 59_950) return `${(rounded / 1000).toFixed(1)} s`;
  const seconds = Math.round(rounded / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
