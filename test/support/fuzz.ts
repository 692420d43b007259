import fc from 'fast-check';
import { isFull, seed } from './chaos.ts';
import { processorTime } from './time.ts';

/** Settings of fast-check: STRATA_CHAOS=full takes ten times the cases. */
export function cases(count: number): { seed: number; numRuns: number } {
  const numRuns = isFull ? count * 10 : count;
  process.stdout.write(`${numRuns} cases, STRATA_SEED=${seed}\n`);
  return { seed, numRuns };
}

/** A text with up to `most` edits: pieces of it removed, doubled, moved or cut off, and pieces of `tokens` put in. */
export function mutated(
  text: fc.Arbitrary<string>,
  tokens: readonly string[],
  most = 4,
): fc.Arbitrary<string> {
  const edit = fc.record({
    deed: fc.constantFrom('insert', 'insert', 'replace', 'remove', 'double', 'cut', 'move'),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.nat(12),
    token: fc.constantFrom(...tokens),
  });
  return fc.tuple(text, fc.array(edit, { maxLength: most })).map(([original, edits]) =>
    edits.reduce((current, { deed, at, length, token }) => {
      const start = Math.floor(at * current.length);
      const [before, piece, rest] = [
        current.slice(0, start),
        current.slice(start, start + length),
        current.slice(start + length),
      ];
      if (deed === 'insert') return `${before}${token}${piece}${rest}`;
      if (deed === 'replace') return `${before}${token}${rest}`;
      if (deed === 'remove') return `${before}${rest}`;
      if (deed === 'double') return `${before}${piece}${piece}${rest}`;
      if (deed === 'move') return `${piece}${before}${rest}`;
      return before;
    }, original),
  );
}

/** Less than this says nothing about growth, in milliseconds. */
const measurable = 6;
const longest = 4_000_000;
const mostGrowth = 2.5;

const fastest = (work: () => void, times: number): number =>
  Math.min(...Array.from({ length: times }, () => processorTime(work)));

/**
 * By how much the processor time grows when the text doubles, at sizes that take long enough to be measured: the ratio of
 * the fastest runs. Other programs and the edges of caches disturb single measurements, upwards more often than down, so
 * it is taken up to six times, also over three doublings and at larger sizes: what is not linear is too much everywhere.
 * @throws when it is more than 2.5 for each doubling every time
 */
export function assertLinear(make: (size: number) => string, work: (text: string) => unknown): void {
  const timeOf = (size: number, times: number): number => {
    const text = make(size);
    return fastest(() => void work(text), times);
  };
  let size = 1000;
  while (timeOf(size, 1) < measurable) {
    if (make(size).length > longest) return;
    size *= 2;
  }
  const seen: number[] = [];
  for (const [factor, doublings, times] of [
    [1, 1, 2],
    [1, 1, 8],
    [0.5, 3, 8],
    [1, 2, 8],
    [2, 1, 8],
    [2, 2, 8],
  ] as const) {
    const [once, many] = [timeOf(factor * size, times), timeOf(2 ** doublings * factor * size, times)];
    const ratio = (many / once) ** (1 / doublings);
    if (ratio <= mostGrowth) return;
    seen.push(ratio);
  }
  throw new Error(
    `twice the text takes ${seen.map((ratio) => ratio.toFixed(1)).join(', ')} times as long: ${JSON.stringify(make(3)).slice(0, 300)}`,
  );
}

/** `head`, `body` over and over, `tail`: shapes that nobody thought of. */
export function repeatedPieces(tokens: readonly string[]): fc.Arbitrary<(size: number) => string> {
  const pieces = (maxLength: number, minLength = 0): fc.Arbitrary<string> =>
    fc.array(fc.constantFrom(...tokens), { minLength, maxLength }).map((parts) => parts.join(''));
  return fc.tuple(pieces(4), pieces(4, 1), pieces(2)).map(([head, body, tail]) => {
    const make = (size: number): string => head + body.repeat(size) + tail;
    // What fast-check shows of a failure.
    return Object.assign(make, { toString: () => JSON.stringify([head, body, tail]) });
  });
}
