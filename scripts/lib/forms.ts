/** Values of at least this many characters are known wherever they stand, also inside of longer words. */
export const shortestAnywhere = 8;

/** Doubly encoded, a value of this size would cost more memory than the risk is worth. */
const mostDoubled = 64 * 1024;

const hex = (character: string): string => character.charCodeAt(0).toString(16);

const isHex = (code: number): boolean =>
  (code >= 48 && code <= 57) || (code >= 65 && code <= 70) || (code >= 97 && code <= 102);

/** White space and control characters: encoders and line folders put them in, take them out or replace them. */
function isBlank(code: number): boolean {
  if (code < 0x80) return code <= 0x20 || code === 0x7f;
  if (code <= 0xa0) return true;
  if (code < 0x1680) return false;
  return /[\s\u200b\ufeff]/.test(String.fromCharCode(code));
}

/** What may follow a backslash for a blank in JSON, Go and YAML. */
const blankEscapes = new Set([...'nrtbfvae0NLP_'].map((character) => character.charCodeAt(0)));

const escapeLengths: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/**
 * A text without what encodings add to it: blanks, backslashes, colours and `+`, which is a blank in URLs, are gone.
 * A value that was broken over lines comes out the same, wherever.
 */
interface Plain {
  /** UTF-16 code units. */
  codes: Uint16Array;
  length: number;
  /** Where each of them begins and ends in the text. */
  starts: Uint32Array;
  ends: Uint32Array;
  /** Where an escape sequence begins that the end of the text breaks; else the end. */
  brokenAt: number;
  /** How many of the code units stand in front of it. */
  intact: number;
}

/** The byte of `%41`, `%2541` and so on, and where it ends. */
function readPercent(text: string, at: number): { byte: number; end: number } | undefined {
  if (text.charCodeAt(at) !== 37) return undefined;
  let from = at + 1;
  while (text.startsWith('25', from) && isHex(text.charCodeAt(from + 2)) && isHex(text.charCodeAt(from + 3)))
    from += 2;
  if (!isHex(text.charCodeAt(from)) || !isHex(text.charCodeAt(from + 1))) return undefined;
  return { byte: Number.parseInt(text.slice(from, from + 2), 16), end: from + 2 };
}

/** The rest of a text that further characters could make a percent escape, or a longer one. */
function isOpenPercent(text: string, at: number): boolean {
  return text.length - at < 64 && /^(?:%(?:25)*[\da-fA-F]?)?$/.test(text.slice(at));
}

/** The rest of a text that further characters could make an escape behind its backslashes. */
function isOpenEscape(text: string, at: number): boolean {
  return text.length - at < 9 && /^(?:u[\da-fA-F]{0,3}|U[\da-fA-F]{0,7}|x[\da-fA-F]?)?$/.test(text.slice(at));
}

/** One character in UTF-8 behind percent signs; `open` when the text ends in it. */
function readPercentCharacter(text: string, at: number): { code: number; end: number } | 'open' | undefined {
  if (isOpenPercent(text, at)) return 'open';
  const first = readPercent(text, at);
  if (first === undefined || first.byte < 0x80) return first && { code: first.byte, end: first.end };
  const more = first.byte >= 0xf0 ? 3 : first.byte >= 0xe0 ? 2 : first.byte >= 0xc0 ? 1 : 0;
  if (more === 0) return undefined;
  let code = first.byte & (0x3f >> more);
  let { end } = first;
  for (let count = 0; count < more; count++) {
    if (isOpenPercent(text, end)) return 'open';
    const next = readPercent(text, end);
    if (next === undefined || next.byte >> 6 !== 2) return undefined;
    code = (code << 6) | (next.byte & 0x3f);
    end = next.end;
  }
  return code > 0x10ffff ? undefined : { code, end };
}

/** What stands behind a run of backslashes: an escaped character, a blank, or nothing of the sort. */
function readEscape(text: string, at: number): { code: number | undefined; end: number } {
  const code = text.charCodeAt(at);
  const digits = escapeLengths[text[at] ?? ''];
  if (digits !== undefined) {
    const number = text.slice(at + 1, at + 1 + digits);
    if (number.length === digits && [...number].every((digit) => isHex(digit.charCodeAt(0)))) {
      const value = Number.parseInt(number, 16);
      if (value <= 0x10ffff) return { code: value, end: at + 1 + digits };
    }
  }
  return { code: undefined, end: blankEscapes.has(code) ? at + 1 : at };
}

/** @param resolves `\\u0041` and `%41` become `A`: a value comes out the same however often it was encoded */
export function toPlain(text: string, resolves: boolean): Plain {
  const codes = new Uint16Array(text.length);
  const starts = new Uint32Array(text.length);
  const ends = new Uint32Array(text.length);
  let length = 0;
  let brokenAt = text.length;
  let intact = -1;

  const breakAt = (start: number): void => {
    if (intact >= 0) return;
    brokenAt = start;
    intact = length;
  };

  const put = (code: number, start: number, end: number): void => {
    // 43: +, 92: \; 39: an apostrophe is doubled in YAML and broken up by shells.
    if (code === 43 || code === 92 || isBlank(code)) return;
    if (code === 39 && length > 0 && codes[length - 1] === 39) return;
    if (code > 0xffff) {
      put(0xd800 + ((code - 0x10000) >> 10), start, end);
      put(0xdc00 + (code & 0x3ff), start, end);
      return;
    }
    codes[length] = code;
    starts[length] = start;
    ends[length] = end;
    length++;
  };

  let at = 0;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    const start = at++;
    if (code === 92) {
      while (text.charCodeAt(at) === 92) at++;
      if (!resolves) continue;
      if (isOpenEscape(text, at)) breakAt(start);
      const escaped = readEscape(text, at);
      if (escaped.code !== undefined) put(escaped.code, start, escaped.end);
      at = escaped.end;
    } else if (code === 37 && resolves) {
      const found = readPercentCharacter(text, start);
      if (found === 'open') breakAt(start);
      const read = found === 'open' ? readPercent(text, start) : found;
      if (read) at = read.end;
      put(read === undefined ? code : 'code' in read ? read.code : read.byte, start, at);
    } else if (code === 27 && text[at] === '[') {
      at++;
      while (/[\d;]/.test(text[at] ?? '') && at - start < 20) at++;
      if (at === text.length) breakAt(start);
      if (text[at] === 'm') at++;
    } else put(code, start, at);
  }
  return { codes, length, starts, ends, brokenAt, intact: intact < 0 ? length : intact };
}

export function textOfCodes(codes: Uint16Array, length: number): string {
  const pieces: string[] = [];
  for (let from = 0; from < length; from += 4096)
    pieces.push(String.fromCharCode(...codes.subarray(from, Math.min(length, from + 4096))));
  return pieces.join('');
}

/** Most values and all base64 are as they are. */
const isPlain = { true: /^[!-$&(-*,-[\]-~]*$/, false: /^[!-&(-*,-[\]-~]*$/ };

export function plainText(text: string, resolves = true): string {
  if (isPlain[`${resolves}`].test(text)) return text;
  const { codes, length } = toPlain(text, resolves);
  return textOfCodes(codes, length);
}

/** Characters of the base64 of any text with the bytes in it that the bytes alone decide, for each of the offsets. */
function base64Within(bytes: Uint8Array): string[] {
  return [0, 1, 2].flatMap((offset) => {
    const shifted = Buffer.concat([Buffer.alloc(offset), bytes]);
    const certain = Math.floor((shifted.length * 8) / 6);
    const text = shifted.toString('base64').slice([0, 2, 3][offset], certain);
    const forUrls = text.replaceAll('+', '-').replaceAll('/', '_');
    return text === forUrls ? [text] : [text, forUrls];
  });
}

const border = /^-----(?:BEGIN|END) [A-Z0-9 ]+-----$/;

/** `key: value`, `"key": "value",`, `- value`: what a configuration says in any line is no secret but for its value. */
const dressed = /^(?:-\s+)?(?:["']?[\w.$/-]+["']?\s*[:=]\s+)?["']?(.*?)["']?,?$/;

/**
 * Parts that give the value away on their own: each line of several, and the password of a URL. Lines that are too
 * short to be told from other text, and the borders of PEM, are none.
 */
export function partsOf(value: string): string[] {
  const parts: string[] = [];
  const lines = value.split(/[\n\r\u2028\u2029]+/);
  if (lines.length > 1) {
    for (const line of lines) {
      const text = line.trim();
      if (!border.test(text)) parts.push(dressed.exec(text)?.[1] ?? text);
    }
  }
  const password = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#:@]*:([^\s/?#@]+)@/i.exec(value)?.[1];
  if (password !== undefined) {
    parts.push(password);
    try {
      parts.push(decodeURIComponent(password));
    } catch {
      // A lone percent sign: it stands as it is.
    }
  }
  return parts.filter((part) => part.length >= shortestAnywhere);
}

const escapeUnit = (unit: string): string => `\\u${hex(unit).padStart(4, '0')}`;

/** JSON of JavaScript, Go and Python. */
function jsonForms(value: string): string[] {
  const json = JSON.stringify(value).slice(1, -1);
  return [json, json.replace(/[<>&\u2028\u2029]/g, escapeUnit), json.replace(/[\u0080-\uffff]/g, escapeUnit)];
}

/** As text: raw, URL-encoded by JavaScript, Go and forms, JSON. */
export function exactForms(value: string): string[] {
  const url = encodeURIComponent(value.toWellFormed());
  // Go encodes some characters that JavaScript leaves alone.
  const goUrl = url.replace(/[!'()*]/g, (character) => `%${hex(character).toUpperCase()}`);
  return [
    value,
    url,
    goUrl,
    goUrl.replaceAll('%20', '+'),
    url.replace(/%../g, (escaped) => escaped.toLowerCase()),
    encodeURIComponent(url),
    ...jsonForms(value),
  ];
}

/** Base64 alone, inside of something longer that was encoded as a whole, and encoded twice. */
export function base64Forms(value: string | Uint8Array): string[] {
  const bytes = Buffer.from(value as string);
  const whole = bytes.toString('base64');
  const forms = [whole, whole.replace(/=+$/, ''), bytes.toString('base64url')];
  if (bytes.length < shortestAnywhere) return forms;
  forms.push(...base64Within(bytes));
  if (typeof value === 'string') {
    // The text around it may have been JSON.
    for (const json of new Set(jsonForms(value)))
      if (json !== value) forms.push(...base64Within(Buffer.from(json)));
  }
  if (bytes.length <= mostDoubled) forms.push(...base64Within(Buffer.from(whole.replace(/=+$/, ''))));
  return forms;
}
