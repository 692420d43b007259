import fc from 'fast-check';
import { createScrubber, type Scrubber } from '../../scripts/lib/scrub.ts';

/** A scrubber that knows these secrets by name. */
export function knowing(secrets: Readonly<Record<string, string>>): Scrubber {
  const scrubber = createScrubber();
  for (const [name, value] of Object.entries(secrets)) scrubber.add(name, value);
  return scrubber;
}

export const scrubberOf = (secrets: Readonly<Record<string, string>>): ((text: string) => string) =>
  knowing(secrets).scrub;

export const throughStream = (scrubber: Scrubber, chunks: readonly (string | Uint8Array)[]): string => {
  const stream = scrubber.stream();
  return chunks.map((chunk) => stream.write(chunk)).join('') + stream.end();
};

/** Any text, cut into pieces anywhere, also between the bytes of a character. */
export const pieces = (text: string, cuts: readonly number[]): Buffer[] => {
  const bytes = Buffer.from(text);
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
};

/** Where to cut. */
export const cutsOf = fc.array(fc.nat({ max: 5000 }), { maxLength: 12 });
