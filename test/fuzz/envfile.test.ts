import { parse } from 'dotenv';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseEnvFile, scan } from '../../scripts/lib/envfile.ts';
import { assertLinear, cases, mutated, repeatedPieces } from '../support/fuzz.ts';
import { anyText } from '../support/text.ts';

const tokens = [
  ...['A', 'KEY_1', 'x', 'é', '😀', 'export ', 'export', '__proto__', 'constructor', '.', '-', '{', '}'],
  ...['=', '=', ':', ': ', ' ', '  ', '\n', '\n', '\n\n', '\r', '\r\n', '\t', '\v', '\f', '\0', 'x y'],
  ...['\u00a0', '\u0085', '\u2028', '\u2029', '\ufeff', '\u180e', '\u3000', '\ud800'],
  ...['"', '"', "'", '`', '\\', '\\n', '\\r', '\\"', "\\'", '\\`', '\\\\', '#', ' #', '$', '$&', '${', '$('],
];

const key = fc.oneof(
  fc.constantFrom('A', 'B', 'DATABASE_URL', 'log.level', 'a-b', '_', '0', 'toString', '__proto__'),
  fc.stringMatching(/^[A-Za-z0-9_.-]{1,12}$/),
);
const content = fc.oneof(
  fc.constantFrom('', 'x', 'postgres://u:p%40x@h/db?a=b#c', '{"a": "b"}', 'a\\nb', '$HOME', '  '),
  anyText({ maxLength: 20 }),
  fc.array(fc.constantFrom(...tokens), { maxLength: 8 }).map((parts) => parts.join('')),
);
const value = fc
  .tuple(content, fc.constantFrom('', '', '"', "'", '`'))
  .map(([text, quote]) => `${quote}${quote ? text.replaceAll(quote, '') : text}${quote}`);
const assignment = fc
  .tuple(
    fc.constantFrom('', '', '', 'export ', '  ', '\t'),
    key,
    fc.constantFrom('=', '=', '=', ' = ', ': ', '= ', '=\n'),
    value,
    fc.constantFrom('', '', '', ' # comment', '#', '  '),
  )
  .map((parts) => parts.join(''));
const line = fc.oneof(
  { weight: 6, arbitrary: assignment },
  fc.constantFrom('', '# comment', 'A', 'export A', 'hello world', '='),
);
const envText = mutated(
  fc
    .tuple(
      fc.constantFrom('', '', '', '\ufeff'),
      fc.array(line, { maxLength: 8 }),
      fc.constantFrom('\n', '\n', '\r\n', '\r'),
    )
    .map(([head, lines, end]) => head + lines.map((text) => text + end).join('')),
  tokens,
);

const sorted = (entries: Iterable<[string, string]>): [string, string][] =>
  [...entries].sort(([a], [b]) => (a < b ? -1 : 1));

const fuzz = suite('fuzz: env files');

fuzz('any text is read as dotenv reads it, and every place is one in the text', () => {
  fc.assert(
    fc.property(envText, fc.boolean(), (text, known) => {
      const keys = known ? new Set(['A', 'DATABASE_URL']) : undefined;
      const lines = text.split(/\r\n?|\n/);
      const { values, problems } = parseEnvFile(text, 'f', keys);
      const read = sorted([...values].map(([name, entry]) => [name, entry.value]));
      assert.equal(read, sorted(Object.entries(parse(text))));
      assert.equal(read, sorted(Object.entries(parse(text, { fast: true }))));
      for (const [name, entry] of values)
        assert.ok(lines[entry.line - 1]?.includes(name), `${name} in ${entry.line}`);
      for (const problem of problems)
        assert.ok(problem.file === 'f' && lines[problem.line! - 1] !== undefined, JSON.stringify(problem));
    }),
    cases(9000),
  );
});

fuzz('any bytes are read, or told by line', () => {
  const piece = fc.oneof(
    envText.map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 6 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 3 }), (pieces) => {
      const { problems } = parseEnvFile(Buffer.concat(pieces), 'f');
      for (const { line: place } of problems) assert.ok(place !== undefined && place >= 1);
    }),
    cases(1000),
  );
});

const growth = suite('growth: env files');

const keys = new Set(['A', 'KEY_1']);
const read = (text: string): unknown => parseEnvFile(text, 'f', keys);
const numbered = (make: (index: number) => string) => (size: number) =>
  Array.from({ length: size }, (_, index) => make(index)).join('');
const repeated =
  (body: string, head = '', tail = '') =>
  (size: number) =>
    head + body.repeat(size) + tail;

for (const [name, make] of Object.entries({
  'many keys': numbered((index) => `KEY_${index}=v${index}\n`),
  'one key many times': repeated('A=1\n'),
  quotes: repeated('"', 'A='),
  'quotes of all kinds': repeated('"\'`', 'A='),
  'a quote opened on every line': repeated('A="\n'),
  'each line opens another quote': repeated('A=\'x\nB="y\nC=`z\n'),
  'escaped quotes': repeated('\\"', 'A="'),
  'escaped quotes with blanks': repeated('\\"          ', 'A="', 'x'),
  'escaped quotes at line ends': repeated('\\"\n', 'A="', 'x'),
  'escaped quotes on lines of their own': repeated('A="\\"\n'),
  backslashes: repeated('\\', 'A="', '"'),
  dollars: repeated('$', 'A='),
  'dollars with braces': repeated('${A', 'A="', '"'),
  hashes: repeated('#', 'A='),
  'one long line': repeated('x', 'A='),
  'a long key': repeated('A', '', '=1'),
  'a long word': repeated('A'),
  'leading tabs': repeated('\t', '', 'A=1'),
  'carriage returns': repeated('\r'),
  'lines that end with CR': repeated('A=1\r'),
  'lines that end with CRLF': repeated('A=1\r\n'),
  'byte order marks': repeated('\ufeffA=1\n'),
  'no-break spaces': repeated('\u00a0', 'A=', 'x'),
  exports: repeated('export '),
  'colons for separators': repeated('A: '),
  'dropped lines': repeated('a b\n'),
  'bare keys': repeated('A\n'),
  'bare keys with blanks': repeated(`A${' '.repeat(50)}\n`),
  'empty lines before a value': repeated('\n', 'A='),
  'blanks before a separator': repeated('\n', 'A', 'x'),
  'quoted values over lines': repeated('A="\n"\n'),
  'text behind quotes': repeated('A="a" b\n'),
  'a quote that swallows keys': repeated('\nB=1', 'A="', '"'),
  NULs: repeated('\0', 'A='),
  'line separators': (size: number) => `A="${'x'.repeat(size)}\u2028"`,
})) {
  growth(name, () => assertLinear(make, read));
}

growth('any shape: the scanner itself, whatever dotenv takes', () => {
  fc.assert(
    fc.property(repeatedPieces(tokens), (make) => assertLinear(make, scan)),
    cases(40),
  );
});

fuzz.run();
growth.run();
