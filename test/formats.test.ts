import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checkFormat, checkRules } from '../scripts/lib/formats.ts';
import { type FormatName, formatNames } from '../scripts/lib/schema.ts';

const fine: Record<FormatName, string[]> = {
  'http-url': [
    'http://localhost:8000',
    'https://api.example.com/v1?x=1#y',
    'http://backend:8000',
    'HTTPS://EXAMPLE.COM',
    'http://[::1]:3000/',
    'https://bücher.example',
  ],
  'origin-list': [
    'http://localhost:3000',
    'https://a.example.com,https://b.example.com:8443',
    '["http://localhost:3000", "https://a.example.com"]',
    '[]',
    'capacitor://localhost',
    'chrome-extension://abcdef',
  ],
  'postgres-url': [
    'postgresql://user:password@db.internal:5432/todo',
    'postgresql+asyncpg://user:p%40ss%2F@db.internal/todo?ssl=require',
    'postgresql+psycopg://u:p@ep-a.eu.aws.neon.tech/todo?sslmode=require&channel_binding=require',
    'postgresql://u@[2001:db8::1]:5432/todo',
    'postgresql://u:p:with:colons@db/todo',
    'postgresql+asyncpg://u:p@ep-a-pooler.eu.aws.neon.tech/todo?ssl=require&prepared_statement_cache_size=0',
  ],
  'postgres-direct-url': [
    'postgresql+asyncpg://user:p%40ss%2F@db.internal/todo?ssl=require',
    'postgresql+psycopg://u:p@ep-a.eu.aws.neon.tech/todo?sslmode=require',
    'postgresql://u:p@aws-0-eu.pooler.supabase.com:5432/todo',
  ],
  port: ['1', '80', '65535'],
  integer: ['0', '-1', '30', '123456789012345678901234567890'],
  boolean: ['true', 'false'],
  json: ['{}', '[1, "a", null]', '"text"', '7'],
  base64: ['AA==', 'aGVsbG8=', 'aGVsbG8h', '+/+/'],
};

const wrong: Record<FormatName, string[]> = {
  'http-url': [
    'localhost:8000',
    'ftp://x',
    'http:/x',
    'http://',
    'http://a b',
    ' http://a',
    'http://a\n',
    'http://a:99999',
    'http:\\\\a',
    'https://?x',
    '//a',
    'http://a\u0000',
  ],
  'origin-list': [
    'http://a/',
    'http://a,',
    ',http://a',
    'http://a/path',
    'a.example.com',
    'http://A',
    '["http://a"',
    '[1]',
    '{"a":1}',
    '[""]',
    'http://a?x',
    'http://u@h',
    'http://a;http://b',
    'null',
  ],
  'postgres-url': [
    'mysql://u:p@h/d',
    'postgresql//u:p@h/d',
    'host=db user=u',
    'postgresql://u:p#x@h/d',
    'postgresql://u:p/x@h/d',
    'postgresql://u:p?x@h/d',
    'postgresql://u:p@x@h/d',
    'postgresql://u:p x@h/d',
    'postgresql://u:100%@h/d',
    'postgresql://u:p[@h/d',
    'postgresql://u:p@h:port/d',
    'postgresql://u:p@h:0/d',
    'postgresql://u:p@h:65536/d',
    'postgresql://u:p@h/d\n',
  ],
  'postgres-direct-url': [
    'mysql://u:p@h/d',
    'postgresql://u:p@x@ep-a-pooler.eu.aws.neon.tech/d',
    'postgresql://u:p@h:port/d',
  ],
  port: ['0', '65536', '080', '+80', '80.0', ' 80', 'http', '0x50', '１'],
  integer: ['1.5', '1e3', '01', '--1', '-0', '+1', '1 ', '١'],
  boolean: ['maybe', '2', 'truee', ' true'],
  json: ['{', "{'a':1}", 'undefined', '{a:1}', 'NaN', '[1,]'],
  base64: ['A', 'AAA', 'AA=', 'A===', 'a b=', 'a-_b', 'ä', 'AA==A'],
};

const accepts = suite('checkFormat, fine');
const refuses = suite('checkFormat, wrong');

for (const format of formatNames) {
  for (const value of fine[format]) {
    accepts(`${format}: ${value}`, () => {
      const { error, warnings = [] } = checkFormat(format, value);
      assert.equal([error, warnings], [undefined, []]);
    });
  }
  for (const value of wrong[format]) {
    refuses(`${format}: ${JSON.stringify(value)}`, () =>
      assert.type(checkFormat(format, value).error, 'string'),
    );
  }
}

const warns = suite('checkFormat, warnings');
const neon = 'u:p@ep-a.eu.aws.neon.tech/d';

for (const [format, value, ...patterns] of [
  ['http-url', 'https://user:password@host', /user name or password/],
  ['origin-list', '*', /every origin/],
  ['origin-list', 'http://a, http://b', /white space around a comma/],
  ['origin-list', 'https://*.example.com', /taken literally/],
  ['origin-list', 'https://a:443', /default ports/],
  ['origin-list', 'http://a,https://bücher.example', /origin 2 of 2: .*punycode/],
  ['postgres-url', 'postgres://u:p@db/d', /SQLAlchemy rejects/],
  [
    'postgres-url',
    'postgresql+asyncpg://u:p@db/d?sslmode=require',
    /asyncpg stops with an error at sslmode in/,
  ],
  [
    'postgres-url',
    `postgresql+asyncpg://${neon}?sslmode=require&channel_binding=require`,
    /sslmode and channel_binding/,
  ],
  ['postgres-url', `postgresql://${neon}?sslmode=require&channel_binding=require`, /words of libpq/],
  ['postgres-url', `postgresql://${neon}?channel_binding=require&ssl=require`, /a word of libpq/],
  ['postgres-url', `postgresql://${neon}`, /encrypted connections only/],
  ['postgres-url', `postgresql+psycopg://${neon}?sslmode=disable`, /encrypted connections only/],
  ['postgres-url', 'postgresql+asyncpg://u:p@ep-a-pooler.eu.aws.neon.tech/d?ssl=require', /-pooler/],
  [
    'postgres-direct-url',
    'postgresql+asyncpg://u:p@ep-a-pooler.eu.aws.neon.tech/d?ssl=require&prepared_statement_cache_size=0',
    /leads to a connection pooler.*the same host without -pooler/,
  ],
  [
    'postgres-direct-url',
    'postgresql+asyncpg://u:p@ep-a-pooler.eu.aws.neon.tech/d',
    /leads to a connection pooler/,
    /encrypted connections only/,
  ],
  ['postgres-direct-url', 'postgresql://u:p@aws-0-eu.pooler.supabase.com:6543/d', /connection pooler/],
  ['postgres-direct-url', 'postgresql://u:p@db.internal:6432/d', /connection pooler/],
  ['postgres-direct-url', 'postgresql://u:p@db.internal/d?pgbouncer=true', /connection pooler/],
  ['postgres-url', 'postgresql://u:p@localhost/d', /this machine/],
  ['postgres-url', 'postgresql://u:p@127.0.0.1:5432/d', /this machine/],
  ['postgres-url', 'postgresql://u:p@[::1]/d', /this machine/],
  ['postgres-url', 'postgresql:///d', /no host/],
  ['postgres-url', 'postgresql://u:p@host/d', /placeholder/],
  ['postgres-url', 'postgresql://u:p@<host>/d', /placeholder/],
  ['postgres-url', 'postgresql+psycopg://u:p@ep-example.eu.aws.neon.tech/d?sslmode=require', /placeholder/],
  ['postgres-url', 'postgresql://db/d', /no user/],
  ['postgres-url', 'postgresql://u:p@db', /no database/],
  ['boolean', 'True', /only true and false/],
  ['boolean', '1', /only true and false/],
  ['base64', 'aGVs\nbG8h', /line breaks/],
] as [FormatName, string, ...RegExp[]][]) {
  warns(`${format}: ${JSON.stringify(value)}`, () => {
    const { error, warnings = [] } = checkFormat(format, value);
    assert.is(error, undefined);
    assert.is(warnings.length, patterns.length, warnings.join('\n'));
    for (const [index, pattern] of patterns.entries()) assert.match(warnings[index]!, pattern);
  });
}

const rules = suite('checkRules');

for (const [name, given, value, ...errors] of [
  ['nothing asked', {}, ''],
  ['one of', { oneOf: ['a', 'b'] }, 'c', 'expected one of: a, b'],
  ['a pattern anywhere', { pattern: 'b' }, 'abc'],
  ['a pattern that does not match', { pattern: '^b$' }, 'abc', 'does not match the pattern ^b$'],
  [
    'a length in code points',
    { minLength: 2 },
    '😀',
    'is too short: expected at least 2 characters, found 1',
  ],
  [
    'several',
    { format: 'port', minLength: 3 },
    'x',
    'format port: expected a port: a whole number from 1 to 65535',
    'is too short: expected at least 3 characters, found 1',
  ],
] as [string, Parameters<typeof checkRules>[0], string, ...string[]][]) {
  rules(name, () => assert.equal(checkRules(given, value).errors, errors));
}

const secrecy = suite('messages');

secrecy('never have a piece of the value', () => {
  const piece = fc.nat(0xffffffff).map((number) => `Q${number.toString(16).padStart(8, '0')}Z`);
  const frames = [
    '',
    'http://',
    'https://u:',
    'postgresql://u:',
    'postgres://',
    '["',
    '{"',
    '*.',
    ' ',
    '@',
    '@h/d',
    ':',
    '#',
    '/',
    '?',
    '%',
    '=',
    ',',
    '"]',
    '\n',
    '[',
    '.neon.tech',
    '-pooler.',
    '?sslmode=',
    '&',
  ];
  const value = fc.array(fc.oneof(piece, fc.constantFrom(...frames)), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(fc.constantFrom(...formatNames), value, (format, parts) => {
      const messages = JSON.stringify(checkFormat(format, parts.join('')));
      for (const part of parts) assert.not(/^Q\w{9}$/.test(part) && messages.includes(part));
    }),
    { numRuns: 1000 },
  );
});

secrecy('are there for any text, without a crash', () => {
  fc.assert(
    fc.property(fc.constantFrom(...formatNames), fc.string({ unit: 'binary' }), (format, value) => {
      checkFormat(format, value);
    }),
    { numRuns: 1000 },
  );
});

accepts.run();
refuses.run();
warns.run();
rules.run();
secrecy.run();
