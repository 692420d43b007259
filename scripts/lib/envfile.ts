import { parse } from 'dotenv';
import type { Problem } from './errors.ts';

/** One key of an env file with what `dotenv.parse` makes of its value. */
export interface EnvEntry {
  value: string;
  file: string;
  /** Where the key stands, from 1; CR, LF and CRLF each end a line, as for dotenv. */
  line: number;
  /** The key is no piece of a secret that runs over several lines without quotes: it can be printed. */
  printable: boolean;
}

export interface EnvFile {
  file: string;
  values: Map<string, EnvEntry>;
  problems: Problem[];
  /** Texts that may be pieces of a secret, because of a mistake around them. */
  remains: string[];
}

type Quote = '"' | "'" | '`';

/** One `KEY=value` as dotenv reads it. */
export interface Assignment {
  key: string;
  line: number;
  /** The value or its quote begins on a later line than the key. */
  detached: boolean;
  separator: '=' | ':';
  /** The quote that opens the value, whether or not dotenv finds its end. */
  quote: Quote | undefined;
  /** dotenv took the text between a pair of quotes. */
  quoted: boolean;
  /** Between the quotes, or up to the comment or line end with the blanks around it. */
  raw: string;
  /** How the unquoted value ended. */
  end: 'line' | 'comment' | 'cut';
  value: string;
}

/** A line that dotenv drops without a word. */
export interface DroppedLine {
  line: number;
  /** Key and nothing else on the line. */
  bareKey: string | undefined;
}

const isSpace = (text: string, at: number): boolean => {
  const code = text.charCodeAt(at);
  if (code < 128) return code === 32 || (code >= 9 && code <= 13);
  return code >= 160 && /\s/.test(text[at]!);
};

const isKeyCharacter = (text: string, at: number): boolean => {
  const code = text.charCodeAt(at);
  return (
    (code >= 97 && code <= 122) ||
    (code >= 65 && code <= 90) ||
    (code >= 48 && code <= 57) ||
    code === 95 ||
    code === 45 ||
    code === 46
  );
};

/** What `^`, `$` and `.` of dotenv's regular expression take for the end of a line. */
const isLineEnd = (text: string, at: number): boolean => {
  const code = text.charCodeAt(at);
  return code === 10 || code === 0x2028 || code === 0x2029;
};

function skip(text: string, from: number, matches: (text: string, at: number) => boolean): number {
  let at = from;
  while (at < text.length && matches(text, at)) at++;
  return at;
}

const toLineEnd = (text: string, from: number): number => skip(text, from, (all, at) => !isLineEnd(all, at));
const skipBlanks = (text: string, from: number): number =>
  skip(text, from, (all, at) => isSpace(all, at) && !isLineEnd(all, at));

interface Head {
  key: string;
  start: number;
  separator: '=' | ':';
  /** Right behind the separator. */
  end: number;
}

function readSeparator(text: string, keyEnd: number): Pick<Head, 'separator' | 'end'> | undefined {
  const at = skip(text, keyEnd, isSpace);
  if (text[at] === '=') return { separator: '=', end: at + 1 };
  if (text[at] === ':' && at === keyEnd && isSpace(text, at + 1)) return { separator: ':', end: at + 2 };
  return undefined;
}

/** A head, or where reading goes on behind the dropped text. */
function readHead(text: string, at: number): Head | { dropped: number } {
  let start = at;
  if (text.startsWith('export', at) && isSpace(text, at + 6)) {
    const behind = skip(text, at + 6, isSpace);
    if (isKeyCharacter(text, behind)) start = behind;
  }
  const keyEnd = skip(text, start, isKeyCharacter);
  if (keyEnd === start) return { dropped: toLineEnd(text, at) };
  const separator = readSeparator(text, keyEnd);
  if (separator) return { key: text.slice(start, keyEnd), start, ...separator };
  return { dropped: toLineEnd(text, start === at ? keyEnd : at + 6) };
}

/** The closing quote: the first unescaped one, or an escaped one before it, that ends its line or meets a comment. */
function findClosing(text: string, opening: number): { at: number; rest: number } | undefined {
  const quote = text[opening]!;
  let found: { at: number; rest: number } | undefined;
  for (let at = text.indexOf(quote, opening + 1); at !== -1; at = text.indexOf(quote, at + 1)) {
    const rest = skipBlanks(text, at + 1);
    if (rest >= text.length || isLineEnd(text, rest) || text[rest] === '#') found = { at, rest };
    if (text[at - 1] !== '\\') break;
  }
  return found;
}

const outerQuotes = /^(['"`])([\s\S]*)\1$/gm;

const unescapeLineEnds = (value: string): string => value.replaceAll('\\n', '\n').replaceAll('\\r', '\r');

interface Value {
  raw: string;
  value: string;
  quote: Quote | undefined;
  quoted: boolean;
  end: Assignment['end'];
  /** Where the value or its quote begins. */
  start: number;
  /** Where reading goes on. */
  next: number;
}

function readUnquoted(text: string, from: number, opening: number): Value {
  const newline = text.indexOf('\n', from);
  const lineEnd = newline === -1 ? text.length : newline;
  const stop = skip(text, from, (all, at) => at < lineEnd && all[at] !== '#');
  const raw = text.slice(from, stop);
  const isQuote = opening < stop && /["'`]/.test(text[opening]!);
  const value = raw.trim().replace(outerQuotes, '$2');
  const tight = stop < lineEnd && !(raw !== '' && isSpace(text, stop - 1));
  return {
    raw,
    value: isQuote && text[opening] === '"' ? unescapeLineEnds(value) : value,
    quote: isQuote ? (text[opening] as Quote) : undefined,
    quoted: false,
    end: stop === lineEnd ? 'line' : tight ? 'cut' : 'comment',
    start: from,
    next: stop < lineEnd ? toLineEnd(text, stop) : stop,
  };
}

function readValue(text: string, from: number): Value {
  const opening = skip(text, from, isSpace);
  const character = text[opening];
  const closing = character && /["'`]/.test(character) ? findClosing(text, opening) : undefined;
  if (!closing) return readUnquoted(text, from, opening);
  const raw = text.slice(opening + 1, closing.at);
  return {
    raw,
    value: character === '"' ? unescapeLineEnds(raw) : raw,
    quote: character as Quote,
    quoted: true,
    end: 'line',
    start: opening,
    next: text[closing.rest] === '#' ? toLineEnd(text, closing.rest) : closing.rest,
  };
}

/** Counts lines up to ever larger offsets, so that a whole file costs one pass. */
function lineCounter(text: string): (offset: number) => number {
  let line = 1;
  let next = text.indexOf('\n');
  return (offset) => {
    while (next !== -1 && next < offset) {
      line++;
      next = text.indexOf('\n', next + 1);
    }
    return line;
  };
}

/**
 * Reads as dotenv 18 does and keeps what it forgets: lines, quotes, and what it drops. Linear in the length.
 * @param text with LF line ends only
 */
export function scan(text: string): { assignments: Assignment[]; dropped: DroppedLine[] } {
  const assignments: Assignment[] = [];
  const dropped: DroppedLine[] = [];
  const lineAt = lineCounter(text);
  let at = skip(text, 0, isSpace);
  while (at < text.length) {
    const head = text[at] === '#' ? { dropped: toLineEnd(text, at) } : readHead(text, at);
    if ('key' in head) {
      const { key, separator } = head;
      const line = lineAt(head.start);
      const { start, next, ...rest } = readValue(text, head.end);
      const detached = lineAt(start) > line;
      assignments.push({ key, line, detached, separator, ...rest });
      at = next;
    } else {
      if (text[at] !== '#') {
        const bareKey = /^(?:export\s+)?([\w.-]+)\s*$/.exec(
          text.slice(at, Math.min(head.dropped, at + 300)),
        )?.[1];
        dropped.push({ line: lineAt(at), bareKey });
      }
      at = head.dropped;
    }
    at = skip(text, at, isSpace);
  }
  return { assignments, dropped };
}

/** How many findings of one sort are told one by one. */
const mostOfOneSort = 20;

function withoutRepetition(problems: readonly Problem[]): Problem[] {
  const sortOf = ({ message }: Problem): string => message.replace(/\d+/g, '0');
  const counts = new Map<string, number>();
  for (const problem of problems) counts.set(sortOf(problem), (counts.get(sortOf(problem)) ?? 0) + 1);
  const told = new Map<string, number>();
  return problems.flatMap((problem) => {
    const sort = sortOf(problem);
    const count = (told.get(sort) ?? 0) + 1;
    told.set(sort, count);
    if (count > mostOfOneSort) return [];
    const more = counts.get(sort)! - mostOfOneSort;
    if (count < mostOfOneSort || more <= 0) return [problem];
    return [{ ...problem, message: `${problem.message} (and ${more} more of this sort)` }];
  });
}

const perLine = (lines: readonly number[], file: string, message: string, hint: string): Problem[] =>
  [...new Set(lines)].map((line) => ({ severity: 'error', file, line, message, hint }));

const saveAsUtf8 = 'save the file as UTF-8';

function decode(content: Uint8Array, file: string): { text: string; problems: Problem[] } {
  const buffer = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  try {
    return { text: strict.decode(buffer), problems: [] };
  } catch {
    // told below, by line
  }
  if (/^(\xff\xfe|\xfe\xff)/.test(buffer.toString('latin1', 0, 2))) {
    const message = 'is UTF-16, as Windows tools write it; every reader of env files expects UTF-8';
    return { text: '', problems: [{ severity: 'error', file, line: 1, message, hint: saveAsUtf8 }] };
  }
  const lines: number[] = [];
  let line = 1;
  for (let start = 0; start < buffer.length; line++) {
    const newline = buffer.indexOf(10, start);
    const end = newline === -1 ? buffer.length : newline;
    try {
      strict.decode(buffer.subarray(start, end));
    } catch {
      lines.push(line);
    }
    start = end + 1;
  }
  return {
    text: buffer.toString('utf8'),
    problems: perLine(lines, file, 'this line is not UTF-8', saveAsUtf8),
  };
}

function checkWholeText(text: string, file: string): Problem[] {
  const problems: Problem[] = [];
  if (text.startsWith('\ufeff')) {
    const message =
      'the file begins with a byte order mark; dotenv skips it, python-dotenv makes it part of the first key';
    problems.push({
      severity: 'warning',
      file,
      line: 1,
      message,
      hint: 'save the file as UTF-8 without BOM',
    });
  }
  if (!/\r(?!\n)/.test(text)) return problems;
  return [
    ...problems,
    ...perLine(
      loneReturnLines(text),
      file,
      'there is a carriage return without a line feed; dotenv reads it as the end of the line',
      'save the file with LF line ends; in double quotes write \\r where the value needs one',
    ),
  ];
}

/** The lines that a lone CR ends, counted as dotenv does. */
function loneReturnLines(text: string): number[] {
  const ends = text.match(/\r\n?|\n/g) ?? [];
  return ends.flatMap((end, index) => (end === '\r' ? [index + 1] : []));
}

const opensQuoteMessages = {
  unclosed: {
    message:
      'the quote before the value is never closed; dotenv makes the quote part of the value and ends it with the line',
    hint: 'close the quote behind the value, or put other quotes around it when it is part of the value',
  },
  trailing: {
    message:
      'there is text behind the closing quote; dotenv leaves quotes in the value, others drop the text or the line',
    hint: 'put one pair of quotes around the whole value, of a kind that is not in it',
  },
};

function quoteFault(assignment: Assignment): keyof typeof opensQuoteMessages | undefined {
  const { quote, quoted, raw } = assignment;
  if (quote === undefined || quoted) return undefined;
  return raw.trim().indexOf(quote, 1) === -1 ? 'unclosed' : 'trailing';
}

interface Remark {
  severity: Problem['severity'];
  message: string;
  hint: string;
}

const warning = (message: string, hint: string): Remark => ({ severity: 'warning', message, hint });

const keptAsRead = 'the cluster gets what dotenv reads';

function remarkOnDollar({ raw, quote, quoted }: Assignment): Remark | undefined {
  if (!/\$[A-Za-z0-9_{($]/.test(raw)) return undefined;
  const single = quoted && quote === "'";
  const readers = single ? 'Next.js and dotenv-expand replace' : 'Next.js, docker compose and shells replace';
  return warning(
    `there is a $ that dotenv keeps; ${readers} such a $ and what follows, python-dotenv does with \${`,
    single ? keptAsRead : `${keptAsRead}; single quotes around the value help with compose and shells`,
  );
}

function remarkOnEscapes({ raw, quote, quoted }: Assignment): Remark | undefined {
  if (!quoted) return undefined;
  const inDouble = quote === '"' && /\\[\\'"abftv]/.test(raw);
  const inSingle = quote === "'" && /\\[\\']/.test(raw);
  if (!inDouble && !inSingle) return undefined;
  return warning(
    inDouble
      ? 'dotenv turns only \\n and \\r into one character, python-dotenv and docker compose also \\\\, \\" and \\t'
      : "dotenv keeps \\\\ and \\' in single quotes as two characters, python-dotenv and docker compose make one of them",
    inDouble ? `${keptAsRead}; single quotes keep a backslash everywhere but before \\ and '` : keptAsRead,
  );
}

function remarkOnBlanks({ raw, quoted, end }: Assignment): Remark | undefined {
  if (quoted) return undefined;
  const outer = raw.slice(0, raw.length - raw.trimStart().length) + raw.slice(raw.trimEnd().length);
  if (/[^ \t\n]/.test(outer)) {
    return warning(
      'dotenv cuts off an invisible character (like a no-break space) at an end of the value',
      'remove it, or put quotes around the value when it belongs to it',
    );
  }
  if (end !== 'line' || raw.trim() === '' || raw === raw.trimEnd()) return undefined;
  return warning(
    'dotenv cuts off the blanks at the end of the line, docker keeps them',
    'remove them, or put quotes around the value when they belong to it',
  );
}

function remarkOnCut({ end }: Assignment): Remark | undefined {
  if (end !== 'cut') return undefined;
  return {
    severity: 'error',
    message: 'dotenv ends the value at the #, other readers keep it and what follows',
    hint: 'put quotes around the value when # belongs to it, or a space before # when it begins a comment',
  };
}

function remarkOnLines({ raw, quoted }: Assignment, hasCrlf: boolean, keys: KnownKeys): Remark | undefined {
  if (!quoted || !raw.includes('\n')) return undefined;
  const lines = raw.split('\n');
  const swallowed = lines.slice(1).some((line) => {
    const key = /^\s*(?:export\s+)?([\w.-]{1,253})\s*=/.exec(line.slice(0, 300))?.[1];
    return key !== undefined && keys?.has(key);
  });
  if (swallowed) {
    return warning(
      'the quoted value goes on over a line that looks like another key of the contract',
      'if a quote is missing, close it behind the value',
    );
  }
  if (!hasCrlf) return undefined;
  return warning('the file has CRLF line ends, which dotenv turns into LF inside the value', keptAsRead);
}

function remarkOnForm({ separator, detached, quote, quoted }: Assignment): Remark | undefined {
  if (detached) {
    return warning(
      'dotenv takes the value from a later line, other readers find it empty',
      'write KEY= and the value on one line',
    );
  }
  if (separator === ':') {
    return warning('dotenv reads `KEY: value`, most other readers drop the line', 'write KEY=value');
  }
  if (quoted && quote === '`') {
    return warning('only dotenv and Next.js take backticks for quotes', 'use single or double quotes');
  }
  return undefined;
}

/** Keys whose values matter; undefined: all. */
type KnownKeys = ReadonlySet<string> | undefined;

function remarksOn(assignment: Assignment, hasCrlf: boolean, keys: KnownKeys): Remark[] {
  if (quoteFault(assignment)) return [];
  const nul: Remark = {
    severity: 'error',
    message: 'there is a NUL byte in the value, and no environment can hold one',
    hint: 'remove it; binary content goes in as base64',
  };
  return [
    assignment.value.includes('\0') ? nul : undefined,
    remarkOnCut(assignment),
    remarkOnForm(assignment),
    remarkOnLines(assignment, hasCrlf, keys),
    remarkOnDollar(assignment),
    remarkOnEscapes(assignment),
    remarkOnBlanks(assignment),
  ].filter((remark) => remark !== undefined);
}

/** Over several lines without quotes, a base64 text ends in something like `Zm9vYmFy==`, which is an assignment. */
function isPrintable({ key, value }: Assignment): boolean {
  if (key.length > 40 || !/^([A-Z][A-Z0-9_]*|[a-z][a-z0-9_.-]*)$/.test(key)) return false;
  return key.includes('_') || !/^=*$/.test(value);
}

function remarkOnDuplicate(earlier: Assignment, assignment: Assignment): Remark {
  const same = earlier.value === assignment.value;
  return {
    severity: same ? 'warning' : 'error',
    message: `stands in line ${earlier.line} too, ${same ? 'with the same value' : 'with another value; dotenv takes the last one'}`,
    hint: 'keep one of the two lines',
  };
}

function checkAssignments(
  assignments: readonly Assignment[],
  file: string,
  hasCrlf: boolean,
  keys: KnownKeys,
): Problem[] {
  const problems: Problem[] = [];
  const seen = new Map<string, Assignment>();
  for (const assignment of assignments) {
    const { key, line } = assignment;
    const isKnown = keys === undefined ? isPrintable(assignment) : keys.has(key);
    const add = (remark: Remark): void => {
      problems.push({ file, line, ...(isKnown ? { subject: key } : {}), ...remark });
    };
    const fault = quoteFault(assignment);
    if (fault === 'unclosed' || (fault && (isKnown || !keys)))
      add({ severity: 'error', ...opensQuoteMessages[fault] });
    if (key === '__proto__') {
      add({ severity: 'error', message: 'dotenv drops a key of this name', hint: 'give it another name' });
    }
    if (keys && !isKnown) continue;
    for (const remark of remarksOn(assignment, hasCrlf, keys)) add(remark);
    const earlier = seen.get(key);
    if (earlier) add(remarkOnDuplicate(earlier, assignment));
    seen.set(key, assignment);
  }
  return problems;
}

function checkDropped(dropped: readonly DroppedLine[], file: string, keys: KnownKeys): Problem[] {
  const named = dropped.filter(({ bareKey }) => bareKey !== undefined && keys?.has(bareKey));
  const others = dropped.filter(({ bareKey }) => bareKey === undefined || !keys?.has(bareKey));
  return [
    ...named.map(
      ({ line, bareKey }): Problem => ({
        severity: 'error',
        file,
        line,
        subject: bareKey!,
        message: 'there is no = behind the key, so dotenv drops the line',
        hint: `write ${bareKey}= and the value`,
      }),
    ),
    ...perLine(
      others.map(({ line }) => line),
      file,
      'dotenv cannot read this line and drops it',
      'write KEY=value, or # before a comment; a value of several lines needs quotes around all of it',
    ),
  ];
}

/** Above it dotenv's own treatment of U+2028 and U+2029, quadratic even in its fast mode, takes noticeable time. */
const mostSeparatorWork = 2e7;

/**
 * What `dotenv.parse` reads, with lines and everything it drops, changes, or reads differently from others.
 * No message has a value or a part of it.
 * @param content bytes or text
 * @param file for the messages
 * @param keys findings that concern one value are told for these only, to keep the noise low; default: for all
 */
export function parseEnvFile(
  content: string | Uint8Array,
  file: string,
  keys?: ReadonlySet<string>,
): EnvFile {
  const decoded = typeof content === 'string' ? { text: content, problems: [] } : decode(content, file);
  const onText = [...decoded.problems, ...checkWholeText(decoded.text, file)];
  const hasCrlf = decoded.text.includes('\r\n');
  const text = decoded.text.replace(/\r\n?/g, '\n');
  const separators = text.match(/[\u2028\u2029]/g)?.length ?? 0;
  if (separators * text.length > mostSeparatorWork) {
    const message = `there are ${separators} line or paragraph separators (U+2028, U+2029) in it, too many to read`;
    const problem: Problem = { severity: 'error', file, line: 1, message, hint: 'use plain line feeds' };
    return { file, values: new Map(), problems: [...onText, problem], remains: [] };
  }
  const { assignments, dropped } = scan(text);
  const onLines = [
    ...checkAssignments(assignments, file, hasCrlf, keys),
    ...checkDropped(dropped, file, keys),
  ];
  return {
    file,
    values: entriesOf(text, file, assignments, dropped),
    problems: withoutRepetition([...onText, ...onLines]),
    remains: remainsOf(text, assignments, dropped, keys),
  };
}

/** Shorter ones are words of a comment, more likely than not. */
const shortestRemains = 8;

/**
 * A value with a quote that is never closed, one that a # cuts, and the lines behind a mistake that are no assignment
 * of a known key: of a value that was meant to have several lines each of them is a piece.
 */
function remainsOf(
  text: string,
  assignments: readonly Assignment[],
  dropped: readonly DroppedLine[],
  keys: KnownKeys,
): string[] {
  const lines = text.split('\n');
  const lineOf = ({ line }: { line: number }): string => lines[line - 1] ?? '';
  const isFaulty = (assignment: Assignment): boolean =>
    assignment.end === 'cut' || quoteFault(assignment) !== undefined;
  const firstFault = Math.min(
    ...[assignments.find(isFaulty), dropped[0]].map((place) => place?.line ?? Number.POSITIVE_INFINITY),
  );
  const pieces = assignments.flatMap((assignment) => {
    const { key, value } = assignment;
    const isStray = assignment.line > firstFault && !keys?.has(key);
    if (!isStray && !(isFaulty(assignment) && (keys === undefined || keys.has(key)))) return [];
    const line = lineOf(assignment);
    const behind = line.slice(line.search(/[=:]/) + 1).trim();
    return [...(isStray ? [line.trim(), key] : []), behind, behind.replace(/^["'`]|["'`]$/g, ''), value];
  });
  const strays = dropped.filter(({ bareKey }) => bareKey === undefined || !keys?.has(bareKey));
  return [...strays.map((place) => lineOf(place).trim()), ...pieces].filter(
    (piece) => piece.length >= shortestRemains,
  );
}

function entriesOf(
  text: string,
  file: string,
  assignments: readonly Assignment[],
  dropped: readonly DroppedLine[],
): Map<string, EnvEntry> {
  // The default parser takes seconds for a few thousand lines of blanks; the tests hold the two equal.
  const parsed = parse(text, { fast: true });
  const faulty = [assignments.find(quoteFault), dropped[0]].map(
    (place) => place?.line ?? Number.POSITIVE_INFINITY,
  );
  const firstFault = Math.min(...faulty);
  const values = new Map<string, EnvEntry>();
  for (const assignment of assignments) {
    const { key, line } = assignment;
    if (key === '__proto__') continue;
    values.set(key, {
      value: parsed[key]!,
      file,
      line,
      printable: line < firstFault && isPrintable(assignment),
    });
  }
  if (
    values.size !== Object.keys(parsed).length ||
    [...values.values()].some(({ value }) => value === undefined)
  ) {
    throw new Error(`${file}: the scanner and dotenv do not agree on its keys`);
  }
  return values;
}
