import { StringDecoder } from 'node:string_decoder';
import {
  base64Forms,
  exactForms,
  partsOf,
  plainText,
  shortestAnywhere,
  textOfCodes,
  toPlain,
} from './forms.ts';

/** Knows the values of secrets and takes them out of everything that leaves. */
export interface Scrubber {
  /**
   * `name` is what stands in the text instead; `keys` are other names under which the value is printed, for values
   * too short to be found on their own.
   */
  add(name: string, value: string | Uint8Array, keys?: readonly string[]): void;
  /** The text as a whole: at its end a value may have been cut off. */
  scrub(text: string): string;
  /** For text that comes in pieces: what may be the beginning of a secret is held back. */
  stream(): TextStream;
  /** Without the variables of these names, and without those that hold such a value. */
  withoutSecrets(
    environment: Readonly<Record<string, string | undefined>>,
  ): Record<string, string | undefined>;
}

export interface TextStream {
  /** What can be shown now. */
  write(chunk: string | Uint8Array): string;
  /** What was held back. */
  end(): string;
}

/** Values shorter than this appear in ordinary prose: they are only taken out behind their own key. */
const shortestScrubbed = 4;

/** A value that is cut off shows at least this much of it before it counts as one. */
const shortestCut = 12;
/** How far in front of an ellipsis the beginning of a value is looked for. */
const longestCut = 2048;

const multiplier = 0x9e3779b1 | 0;

/** Powers of the multiplier, modulo 2^32, as far as they were needed. */
const powers: number[] = [1];
function powerOf(exponent: number): number {
  for (let next = powers.length; next <= exponent; next++)
    powers.push(Math.imul(powers[next - 1]!, multiplier));
  return powers[exponent]!;
}

function codesOf(text: string): Uint16Array {
  const codes = new Uint16Array(text.length);
  for (let at = 0; at < text.length; at++) codes[at] = text.charCodeAt(at);
  return codes;
}

/** Polynomial hashes of all beginnings of a text: any part of it is hashed in constant time. */
function prefixHashes(codes: Uint16Array, length: number): Int32Array {
  const hashes = new Int32Array(length + 1);
  for (let at = 0; at < length; at++)
    hashes[at + 1] = (Math.imul(hashes[at]!, multiplier) + codes[at]! + 1) | 0;
  return hashes;
}

const hashAt = (hashes: Int32Array, start: number, length: number, power: number): number =>
  (hashes[start + length]! - Math.imul(hashes[start]!, power)) | 0;

function hashOf(text: string, from: number, to: number): number {
  let hash = 0;
  for (let at = from; at < to; at++) hash = (Math.imul(hash, multiplier) + text.charCodeAt(at) + 1) | 0;
  return hash;
}

interface Form {
  text: string;
  name: string;
  hash: number;
  power: number;
  /** Where in the form the piece stands by which it is found. */
  anchor: number;
}

interface View {
  codes: Uint16Array;
  length: number;
  hashes: Int32Array;
}

const viewOf = (codes: Uint16Array, length: number): View => ({
  codes,
  length,
  hashes: prefixHashes(codes, length),
});

function startsWithForm({ codes }: View, form: string, start: number, length: number): boolean {
  for (let at = 0; at < length; at++) if (codes[start + at] !== form.charCodeAt(at)) return false;
  return true;
}

type Found = (start: number, end: number, name: string) => void;

/** Finds any number of texts in one pass: each by the hash of one piece of it, the rarest of some. */
class Index {
  private readonly piece: number;
  private readonly buckets = new Map<number, Form[]>();
  /** One bit per hash that may be in `buckets`. */
  private filter = new Uint32Array(128);
  private size = 0;

  constructor(piece: number) {
    this.piece = piece;
  }

  get isEmpty(): boolean {
    return this.size === 0;
  }

  private mark(hash: number): void {
    const bit = hash & (this.filter.length * 32 - 1);
    this.filter[bit >>> 5]! |= 1 << (bit & 31);
  }

  add(text: string, name: string): void {
    const last = text.length - this.piece;
    let anchor = 0;
    let bucket: Form[] | undefined;
    let key = 0;
    // Values often begin alike.
    for (let step = 0; step < 8; step++) {
      const offset = Math.floor((last * step) / 7);
      const hash = hashOf(text, offset, offset + this.piece);
      const found = this.buckets.get(hash);
      if (step > 0 && found && found.length >= (bucket?.length ?? 0)) continue;
      [anchor, bucket, key] = [offset, found, hash];
      if (found === undefined || last === 0) break;
    }
    if (bucket === undefined) {
      bucket = [];
      this.buckets.set(key, bucket);
    }
    bucket.push({ text, name, hash: hashOf(text, 0, text.length), power: powerOf(text.length), anchor });
    this.size++;
    if (this.size * 16 > this.filter.length * 32) {
      this.filter = new Uint32Array(this.filter.length * 8);
      for (const hash of this.buckets.keys()) this.mark(hash);
    } else this.mark(key);
  }

  forms(): Form[] {
    return [...this.buckets.values()].flat();
  }

  find(view: View, found: Found): void {
    if (this.size === 0) return;
    const { hashes, length } = view;
    const { filter, piece } = this;
    const mask = filter.length * 32 - 1;
    const power = powerOf(piece);
    let covered = 0;
    for (let at = 0; at + piece <= length; at++) {
      const hash = hashAt(hashes, at, piece, power);
      const bit = hash & mask;
      if ((filter[bit >>> 5]! & (1 << (bit & 31))) === 0) continue;
      for (const form of this.buckets.get(hash) ?? []) {
        const start = at - form.anchor;
        const end = start + form.text.length;
        if (start < 0 || end > length) continue;
        if (hashAt(hashes, start, form.text.length, form.power) !== form.hash) continue;
        // Inside of what is taken out anyway the hash is enough: repetitions would be compared for ever.
        if (start >= covered && !startsWithForm(view, form.text, start, form.text.length)) continue;
        covered = Math.max(covered, end);
        found(start, end, form.name);
      }
    }
  }
}

interface Beginning {
  text: string;
  name: string;
  /** How much of it has to be there before it counts when it is cut off. */
  atLeast: number;
  /** Hashes of its beginnings, once they were needed. */
  hashes?: Int32Array;
}

function hashesOf(form: Beginning): Int32Array {
  if (form.hashes === undefined) {
    const codes = codesOf(form.text.slice(0, longestCut));
    form.hashes = prefixHashes(codes, codes.length);
  }
  return form.hashes;
}

/** Beginnings of values: for texts that end, or were cut off, in the middle of one. */
class Beginnings {
  private readonly byStart = new Map<string, Beginning[]>();
  private readonly starts = new Set<number>();
  /** Every beginning that is shorter than the keys of `byStart`. */
  private readonly short = new Set<string>();
  private longest = 0;

  add(text: string, name: string): void {
    for (let length = 1; length < Math.min(shortestAnywhere, text.length); length++)
      this.short.add(text.slice(0, length));
    this.longest = Math.max(this.longest, text.length);
    if (text.length <= shortestAnywhere) return;
    const key = text.slice(0, shortestAnywhere);
    const scheme = /^[a-z][a-z0-9.-]*:\/\//i.exec(text)?.[0].length ?? 0;
    const known = this.byStart.get(key);
    const own = { text, name, atLeast: Math.max(shortestCut, scheme + shortestAnywhere) };
    if (known) known.push(own);
    else this.byStart.set(key, [own]);
    this.starts.add(hashOf(key, 0, shortestAnywhere));
  }

  /** Where the first value begins that may go on behind the end. */
  openAt(text: string): number {
    for (let at = Math.max(0, text.length - this.longest); at + shortestAnywhere <= text.length; at++) {
      const candidates = this.byStart.get(text.slice(at, at + shortestAnywhere));
      if (candidates === undefined) continue;
      const rest = text.slice(at);
      if (candidates.some((form) => form.text.length > rest.length && form.text.startsWith(rest))) return at;
    }
    for (let at = Math.max(0, text.length - shortestAnywhere + 1); at < text.length; at++)
      if (this.short.has(text.slice(at))) return at;
    return text.length;
  }

  /** Values that an ellipsis cuts off, or the end. */
  findCut(view: View, endCuts: boolean, found: Found): void {
    if (this.starts.size === 0) return;
    const { codes, hashes, length } = view;
    const power = powerOf(shortestAnywhere);
    let next = -1;
    let covered = -1;
    for (let at = 0; at + shortestCut <= length; at++) {
      if (!this.starts.has(hashAt(hashes, at, shortestAnywhere, power))) continue;
      if (next < at) next = nextEllipsis(codes, length, at);
      const shown = next - at;
      if (shown > longestCut || (next === length && !endCuts)) continue;
      const key = String.fromCharCode(...codes.subarray(at, at + shortestAnywhere));
      for (const form of this.byStart.get(key) ?? []) {
        if (shown < form.atLeast || shown >= form.text.length) continue;
        // Repetitions would be compared for ever: the hash comes first, and inside of a find it is enough.
        if (hashAt(hashes, at, shown, powerOf(shown)) !== hashesOf(form)[shown]) continue;
        if (next === covered || startsWithForm(view, form.text, at, shown)) found(at, next, form.name);
        covered = next;
      }
    }
  }
}

function nextEllipsis(codes: Uint16Array, length: number, from: number): number {
  for (let at = from; at < length; at++) {
    if (codes[at] === 0x2026) return at;
    if (codes[at] === 46 && codes[at + 1] === 46 && codes[at + 2] === 46) return at;
  }
  return length;
}

const isWord = (code: number | undefined, dots: boolean): boolean =>
  code !== undefined &&
  ((code >= 97 && code <= 122) ||
    (code >= 65 && code <= 90) ||
    (code >= 48 && code <= 57) ||
    code === 95 ||
    code === 45 ||
    (dots && code === 46));

interface Range {
  start: number;
  end: number;
  name: string;
  /** Length of the longest form in it, which gives the name. */
  longest: number;
}

/** Ranges that overlap become one. */
function merged(ranges: Range[]): Range[] {
  ranges.sort((a, b) => a.start - b.start || b.end - a.end);
  const result: Range[] = [];
  for (const range of ranges) {
    const last = result.at(-1);
    if (last === undefined || range.start >= last.end) {
      result.push({ ...range });
      continue;
    }
    last.end = Math.max(last.end, range.end);
    if (range.longest > last.longest) [last.name, last.longest] = [range.name, range.longest];
  }
  return result;
}

/** `KEY: value`, `"key":"value"`, `key=value`, for values that are too short to be told from other text. */
const pair = /(?<![\w.-])([\w.-]{1,253})(["']?[ \t]*[:=][ \t]*["']?)([^\s"',;&}\]]{1,12})(?![^\s"',;&}\]])/g;

/** What could be the first half of one, at the end of a text. */
const openPair = /(?<![\w.-])[\w.-]{1,253}(?:["']?[ \t]*(?:[:=][ \t]*["']?[^\s"',;&}\]]{0,12})?)?$/;

/** undefined for bytes that are no text. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

export function createScrubber(): Scrubber {
  /** Name by value. */
  const names = new Map<string, string>();
  const variables = new Set<string>();
  const known = { exact: new Set<string>(), plain: new Set<string>() };
  /** Added and not yet in the indexes: most commands print little. */
  let fresh: { name: string; value: string | Uint8Array }[] = [];
  const exact = new Index(shortestAnywhere);
  const words = new Index(shortestScrubbed);
  const plain = new Index(shortestAnywhere);
  /** Forms in which escapes are not resolved, for those that a line end broke. */
  const bare = new Index(shortestAnywhere);
  const cut = new Beginnings();
  /** The forms of very short values by the names they may stand behind. */
  const pairs = new Map<string, Map<string, string>>();

  function addExact(name: string, form: string): void {
    if (form.length < shortestScrubbed || known.exact.has(form)) return;
    known.exact.add(form);
    (form.length < shortestAnywhere ? words : exact).add(form, name);
  }

  function addPlain(name: string, text: string, canBeCut: boolean): void {
    const form = plainText(text);
    if (form.length < shortestAnywhere) addExact(name, text);
    else if (!known.plain.has(form)) {
      known.plain.add(form);
      plain.add(form, name);
      if (canBeCut) cut.add(form, name);
    }
  }

  function addBare(name: string, text: string): void {
    const form = plainText(text, false);
    if (form.length < shortestAnywhere || known.plain.has(form)) return;
    known.plain.add(form);
    bare.add(form, name);
  }

  function addForms(name: string, value: string | Uint8Array): void {
    if (typeof value === 'string') {
      const exactly = exactForms(value);
      for (const form of exactly) addExact(name, form);
      addPlain(name, value, true);
      for (const form of exactly) addBare(name, form);
    }
    base64Forms(value).forEach((form, position) => {
      addPlain(name, form, position === 0);
    });
  }

  function indexFresh(): void {
    const added = fresh;
    fresh = [];
    for (const { name, value } of added) {
      addForms(name, value);
      if (typeof value === 'string') for (const part of partsOf(value)) addForms(name, part);
    }
  }

  /** @param endCuts the end of the text may be the middle of a value */
  function find(text: string, endCuts: boolean): Range[] {
    const ranges: Range[] = [];
    const add = (start: number, end: number, name: string): void => {
      const last = ranges.at(-1);
      // Repetitions overlap themselves at every character.
      if (last?.name === name && start >= last.start && start < last.end) last.end = Math.max(last.end, end);
      else ranges.push({ start, end, name, longest: end - start });
    };
    if (!exact.isEmpty || !words.isEmpty) {
      const codes = codesOf(text);
      const view = viewOf(codes, codes.length);
      exact.find(view, add);
      words.find(view, (start, end, name) => {
        if (!isWord(codes[start - 1], true) && !isWord(codes[end], false)) add(start, end, name);
      });
    }
    for (const index of [plain, bare]) {
      if (index.isEmpty) continue;
      const { codes, length, starts, ends } = toPlain(text, index === plain);
      const view = viewOf(codes, length);
      const inText: Found = (start, end, name) => add(starts[start]!, ends[end - 1]!, name);
      index.find(view, inText);
      if (index === plain) cut.findCut(view, endCuts, inText);
    }
    if (pairs.size > 0) {
      for (const match of text.matchAll(pair)) {
        const [, key = '', between = '', value = ''] = match;
        const name = pairs.get(key)?.get(value);
        if (name === undefined) continue;
        const start = match.index + key.length + between.length;
        add(start, start + value.length, name);
      }
    }
    return merged(ranges);
  }

  function createStream(): TextStream {
    const decoder = new StringDecoder('utf8');
    const beginnings = { exact: new Beginnings(), plain: new Beginnings(), bare: new Beginnings() };
    let size = -1;
    /** The end of what was shown: what is a word, and behind which key a value stands, depends on it. */
    let context = '';
    let pending = '';

    function learn(): void {
      indexFresh();
      if (size === names.size) return;
      // A form that was learned twice does no harm.
      for (const [index, into] of [
        [exact, beginnings.exact],
        [words, beginnings.exact],
        [plain, beginnings.plain],
        [bare, beginnings.bare],
      ] as const)
        for (const { text, name } of index.forms()) into.add(text, name);
      size = names.size;
    }

    /** Up to where nothing can become a secret by what follows. */
    function settledIn(text: string, ranges: readonly Range[]): number {
      let end = beginnings.exact.openAt(text);
      for (const resolves of [true, false]) {
        const { codes, intact, brokenAt, starts } = toPlain(text, resolves);
        const plainly = textOfCodes(codes, intact);
        const own = beginnings[resolves ? 'plain' : 'bare'];
        // The first dots of an ellipsis may be there.
        const open = Math.min(own.openAt(plainly), own.openAt(plainly.replace(/\.{1,2}$/, '')));
        end = Math.min(end, brokenAt, open < intact ? starts[open]! : brokenAt);
      }
      if (pairs.size > 0) {
        const tail = text.slice(-600);
        const at = tail.search(openPair);
        if (at >= 0) end = Math.min(end, text.length - tail.length + at);
      }
      for (const range of ranges)
        if (range.end > end || range.end === text.length) end = Math.min(end, range.start);
      return Math.max(end, context.length);
    }

    function show(text: string, ranges: readonly Range[], end: number): string {
      const shown = replaced(text, ranges, context.length, end);
      pending = text.slice(end);
      context = text.slice(Math.max(0, end - (pairs.size > 0 ? 300 : 1)), end);
      return shown;
    }

    return {
      write(chunk) {
        const text =
          context + pending + (typeof chunk === 'string' ? chunk : decoder.write(Buffer.from(chunk)));
        if (names.size === 0) return show(text, [], text.length);
        learn();
        const ranges = find(text, false);
        return show(text, ranges, settledIn(text, ranges));
      },
      end() {
        const text = context + pending + decoder.end();
        if (names.size === 0) return show(text, [], text.length);
        learn();
        return show(text, find(text, true), text.length);
      },
    };
  }

  return {
    add(name, value, keys = []) {
      const text = typeof value === 'string' ? value : textOf(value);
      if (text === '') return;
      variables.add(name);
      if (text !== undefined && text.length < shortestScrubbed) {
        for (const key of new Set([name, ...keys])) {
          const own = pairs.get(key) ?? new Map<string, string>();
          for (const form of [...exactForms(text), ...base64Forms(text)])
            if (!own.has(form)) own.set(form, name);
          pairs.set(key, own);
        }
      }
      const identity = text ?? Buffer.from(value as Uint8Array).toString('base64');
      if (names.has(identity)) return;
      names.set(identity, name);
      fresh.push({ name, value: text ?? value });
    },
    scrub(text) {
      if (names.size === 0) return text;
      indexFresh();
      const ranges = find(text, true);
      return ranges.length === 0 ? text : replaced(text, ranges, 0, text.length);
    },
    stream: createStream,
    withoutSecrets(environment) {
      const isSecret = ([key, value = '']: [string, string | undefined]): boolean =>
        variables.has(key) || (value.length >= shortestAnywhere && names.has(value));
      return Object.fromEntries(Object.entries(environment).filter((entry) => !isSecret(entry)));
    },
  };
}

function replaced(text: string, ranges: readonly Range[], from: number, to: number): string {
  let result = '';
  let at = from;
  for (const { start, end, name } of ranges) {
    if (end <= from || start >= to) continue;
    result += `${text.slice(at, Math.max(at, start))}[${name}]`;
    at = end;
  }
  return result + text.slice(at, Math.max(at, to));
}

/** Every text in a value of JSON, keys included; what is around them stays valid. */
export function scrubJson(scrubber: Scrubber, value: unknown): unknown {
  if (typeof value === 'string') return scrubber.scrub(value);
  if (Array.isArray(value)) return value.map((item) => scrubJson(scrubber, item));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [scrubber.scrub(key), scrubJson(scrubber, item)]),
  );
}
