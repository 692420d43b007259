import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseEnvFile } from '../scripts/lib/envfile.ts';
import { processorTime } from './support/time.ts';

const speed = suite('speed');

for (const [name, text] of [
  ['4,000 lines of 50 spaces', `${' '.repeat(50)}\n`.repeat(4000)],
  ['a line of 1 MB', `A=${'x'.repeat(1e6)}`],
  ['1 MB of blanks', `A=${' \t'.repeat(5e5)}x`],
  ['a quote opened on every line', 'A="\n'.repeat(50_000)],
  ['escaped quotes only', `A="${'\\"'.repeat(2e5)}x`],
  ['bare keys', 'A\n'.repeat(50_000)],
  ['lone carriage returns', '\r'.repeat(3e5)],
  ['export after export', 'export '.repeat(50_000)],
  ['line separators before quotes', `A=${'"\u2028'.repeat(2e5)}`],
] as const) {
  speed(`${name} take no time to speak of`, () => {
    assert.ok(processorTime(() => parseEnvFile(text, 'f')) < 2000);
  });
}

const findings = suite('parseEnvFile, findings');
const keys = new Set(['A', 'B', 'DATABASE_URL']);
const told = (content: string | Uint8Array, known: ReadonlySet<string> | undefined = keys): string[] =>
  parseEnvFile(content, 'f', known).problems.map(
    ({ severity, line, subject, message }) =>
      `${severity} ${line}${subject ? ` ${subject}` : ''}: ${message}`,
  );

for (const [name, content, ...expected] of [
  [
    'plain lines',
    'A=1\n# comment\n\nexport B="x y" # note\nDATABASE_URL=postgres://u:p%40x@h/db?sslmode=require&x=1\n',
  ],
  ['CRLF', 'A=1\r\nB="x"\r\n'],
  ['an inner quote', 'A=a"b\'c'],
  ['JSON', 'A={"a":"b","c":1}'],
  ['a dollar at the end or before a blank', 'A=pass$\nB="a $ b"'],
  ['\\n in double quotes', 'A="a\\nb"'],
  ['spaces around =', 'A = b'],
  [
    'a line without =',
    'A=1\nhello world\n=b\n',
    /^error 2: dotenv cannot read this line and drops it$/,
    /^error 3: dotenv cannot read/,
  ],
  ['a space in a key', 'A B=c', /^error 1: dotenv cannot read/],
  ['a key of the contract without =', 'A', /^error 1 A: there is no = behind the key/],
  ['export of a key of the contract', 'A=1\nexport A', /^error 2 A: there is no =/],
  ['another word alone', 'hunter2', /^error 1: dotenv cannot read/],
  ['an unterminated quote', 'A="x y\nB=1', /^error 1 A: the quote before the value is never closed/],
  ['an unterminated quote of another key', "OTHER='x\nB=1", /^error 1: the quote before the value/],
  ['text behind the closing quote', 'A="a" "b"', /^error 1 A: there is text behind/],
  ['text right behind the closing quote', "A='a'b", /^error 1 A: there is text behind/],
  ['a key twice', 'A=1\nB=2\nA=3', /^error 3 A: stands in line 1 too, with another value/],
  ['a key twice with one value', 'A=1\nA=1', /^warning 2 A: stands in line 1 too, with the same value/],
  ['__proto__', '__proto__=x', /^error 1: dotenv drops a key of this name/],
  ['a # without a space', 'A=b#note', /^error 1 A: dotenv ends the value at the #/],
  ['a # in a URL', 'A=http://h/#frag', /^error 1 A: dotenv ends the value at the #/],
  ['a # at once', 'A=#x', /^error 1 A: dotenv ends the value at the #/],
  ['a comment', 'A=b # note\nB= # note'],
  ['$VAR', 'A=$HOME', /^warning 1 A: there is a \$/],
  ['${VAR}', 'A="${HOME}"', /^warning 1 A: there is a \$ .*docker compose/],
  ['$(command)', 'A=$(id)', /^warning 1 A: there is a \$/],
  ['$$', 'A=pa$$w0rd', /^warning 1 A: there is a \$/],
  ['a bcrypt hash', "A='$2b$10$abc'", /^warning 1 A: there is a \$ .*dotenv-expand/],
  ['\\" in double quotes', 'A="x\\"y"', /^warning 1 A: dotenv turns only \\n/],
  ['\\t in double quotes', 'A="x\\ty"', /^warning 1 A: dotenv turns only \\n/],
  ['\\\\ in double quotes', 'A="x\\\\y"', /^warning 1 A: dotenv turns only \\n/],
  ["\\' in single quotes", "A='x\\'y'", /^warning 1 A: dotenv keeps/],
  ['\\t in single quotes', "A='x\\ty'"],
  ['backticks', 'A=`x`', /^warning 1 A: only dotenv and Next.js/],
  ['key: value', 'A: b', /^warning 1 A: dotenv reads `KEY: value`/],
  ['blanks at the end', 'A=b  \nB=1', /^warning 1 A: dotenv cuts off the blanks/],
  ['a no-break space', 'A=\u00a0b', /^warning 1 A: dotenv cuts off an invisible character/],
  ['a no-break space in quotes', 'A="\u00a0b"'],
  ['a value on the next line', 'A=\n"x"', /^warning 1 A: dotenv takes the value from a later line/],
  ['several lines in quotes', 'A="-----BEGIN\nab+/=\n-----END"\nB=1'],
  ['several lines in quotes with CRLF', 'A="x\r\ny"\r\n', /^warning 1 A: the file has CRLF/],
  ['a quote that swallows a key', 'A="x\nB=y"', /^warning 1 A: the quoted value goes on/],
  ['a lone CR', 'A=1\r\nB=b\rA2=c', /^error 2: there is a carriage return/],
  ['a BOM', '\ufeffA=1', /^warning 1: the file begins with a byte order mark/],
  ['NUL', 'A=1\nB=x\0y', /^error 2 B: there is a NUL/],
  ['not UTF-8', Buffer.from('A=1\nB=\xe4\n', 'latin1'), /^error 2: this line is not UTF-8/],
  ['UTF-16', Buffer.from('\ufeffA=1\n', 'utf16le'), /^error 1: is UTF-16/],
  ['values of other keys', 'X=$HOME\nX=b#c\nX: d\nX=`e`\nX="a\\tb"'],
] as [string, string | Uint8Array, ...RegExp[]][]) {
  findings(name, () => {
    const messages = told(content);
    assert.is(messages.length, expected.length, messages.join('\n'));
    for (const [index, pattern] of expected.entries()) assert.match(messages[index]!, pattern);
  });
}

findings('are for all keys where no contract is given', () => {
  assert.equal(
    parseEnvFile('OTHER=$x', 'f').problems.map(({ subject }) => subject),
    ['OTHER'],
  );
});

findings('of one sort are told 20 times', () => {
  const messages = told('nothing here\n'.repeat(100));
  assert.is(messages.length, 20);
  assert.match(messages[19]!, /\(and 80 more of this sort\)$/);
});

const printable = suite('printable keys');

for (const [name, text, expected] of [
  ['an ordinary key', 'DATABSE_URL=x', ['DATABSE_URL']],
  ['a lower-case key', 'log.level=x', ['log.level']],
  ['the end of base64 over two lines', 'A=MIIEvQ\nZm9vYmFy==', []],
  ['the end of base32 over two lines', 'A=MIIEvQ\nJBSWY3DPEHPK3PXP====', []],
  ['an empty key with _', 'MY_KEY=', ['MY_KEY']],
  ['a line behind a dropped line', 'A=x\nab+/\nSECRET=y', []],
  ['a line behind an unclosed quote', 'A="x\nSECRET=y', []],
  ['a line before it', 'OTHER=y\nA="x', ['OTHER']],
] as const) {
  printable(name, () => {
    const { values } = parseEnvFile(text, 'f', keys);
    const found = [...values].filter(([key, entry]) => entry.printable && !keys.has(key)).map(([key]) => key);
    assert.equal(found, expected);
  });
}

const remaining = suite('what may be a piece of a secret');

for (const [name, text, expected] of [
  ['nothing, in a file without mistakes', 'A=fine-value-here\nOTHER=unrelated-text', []],
  [
    'an open quote, and the lines behind',
    'A="first-piece\nsecond-piece\nB=x',
    ['first-piece', 'second-piece'],
  ],
  ['what a # cuts', 'A=before#behind-it', ['before#behind-it']],
  ['the second line of base64', 'A=MIIEvQ\nZm9vYmFyYmF6', ['Zm9vYmFyYmF6']],
  [
    'a stray assignment behind a mistake',
    'B=x\nwords of it\nstray=more-of-it',
    ['words of it', 'more-of-it'],
  ],
] as const) {
  remaining(name, () => {
    const { remains } = parseEnvFile(text, 'f', keys);
    for (const piece of expected) assert.ok(remains.includes(piece), `${piece} in ${remains}`);
    if (expected.length === 0) assert.equal(remains, []);
  });
}

speed.run();
findings.run();
printable.run();
remaining.run();
