import { parse } from 'dotenv';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseEnvFile, scan } from '../../scripts/lib/envfile.ts';
import { cases } from '../support/fuzz.ts';

const withLf = (text: string): string => text.replace(/\r\n?/g, '\n');
const sorted = (entries: Iterable<[string, string]>): [string, string][] =>
  [...entries].sort(([a], [b]) => (a < b ? -1 : 1));

/** Everything that dotenv's grammar treats in a way of its own, and some of its neighbours. */
const tokens = [
  ...['A', 'B', 'KEY_1', 'x', 'é', 'export ', 'export', '__proto__', 'constructor', '.', '-', '{', '😀'],
  ...['=', '=', '=', ':', ': ', ' ', '\n', '\n', '\r', '\r\n', '\t', '\v', '\0'],
  ...['\u00a0', '\u0085', '\u2028', '\ufeff', '\u180e'],
  ...['"', '"', "'", '`', '\\', '\\n', '\\r', '\\"', '\\\\', '#', ' #', '$', '$&'],
];
const dotenvText = fc.array(fc.constantFrom(...tokens), { maxLength: 24 }).map((parts) => parts.join(''));

const agreement = suite('scan and dotenv');

agreement('read the same keys and values from any text, in both modes of dotenv', () => {
  fc.assert(
    fc.property(dotenvText, (text) => {
      const { assignments } = scan(withLf(text));
      const own = new Map(assignments.map(({ key, value }) => [key, value]));
      own.delete('__proto__');
      assert.equal(sorted(own), sorted(Object.entries(parse(text))));
      assert.equal(sorted(own), sorted(Object.entries(parse(text, { fast: true }))));
    }),
    cases(20_000),
  );
});

agreement('find the key on the line they say', () => {
  fc.assert(
    fc.property(dotenvText, (text) => {
      const lines = withLf(text).split('\n');
      for (const { key, line } of scan(withLf(text)).assignments) assert.ok(lines[line - 1]!.includes(key));
    }),
    cases(3000),
  );
});

agreement('hold on bytes as on text, and every value has a place', () => {
  fc.assert(
    fc.property(dotenvText, (text) => {
      const { values } = parseEnvFile(Buffer.from(text), 'f');
      assert.equal(
        sorted([...values].map(([key, { value }]) => [key, value])),
        sorted(Object.entries(parse(text))),
      );
      for (const { line, file } of values.values()) assert.ok(line >= 1 && file === 'f');
    }),
    cases(2000),
  );
});

const keys = new Set(['A', 'B', 'DATABASE_URL']);

const secrecy = suite('messages');

secrecy('never have a piece of a value, however broken the file', () => {
  const piece = fc.nat(0xffffffff).map((number) => `Qx${number.toString(16).padStart(8, '0')}Z`);
  const frames = [
    'A=',
    'B="',
    "DATABASE_URL='",
    'OTHER=',
    'export A=',
    'A: ',
    '\n',
    '\n',
    '\r',
    '"',
    "'",
    '`',
    '\\',
    '#',
    ' ',
    '=',
    '==',
    '$',
    '${',
    '\0',
    '\u00a0',
    '+/',
  ];
  const text = fc.array(fc.oneof(piece, fc.constantFrom(...frames)), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(text, fc.boolean(), (parts, known) => {
      const messages = JSON.stringify(parseEnvFile(parts.join(''), 'f', known ? keys : undefined).problems);
      for (const part of parts) assert.not(/^Qx\w{9}$/.test(part) && messages.includes(part));
    }),
    cases(3000),
  );
});

agreement.run();
secrecy.run();
