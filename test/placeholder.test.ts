import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isPlaceholderHost, placeholderFault } from '../scripts/lib/placeholder.ts';
import { fillers, standIns } from '../scripts/lib/vocabulary.ts';
import { projectFolder } from './support/session.ts';

/** The lines of a corpus as they are meant; ¦ only keeps scanners for secrets from taking them for real. */
function corpus(name: string): string[] {
  const text = readFileSync(path.join(projectFolder, 'test/corpus', name), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('# '))
    .map((line) => line.replaceAll('¦', ''));
}

const fault = (value: string, key = 'APP_SECRET'): string | undefined => placeholderFault(value, key);
const said = (value: string): string => fault(value) ?? 'nothing';

const samples = suite('placeholders and secrets');

samples('each of at least 200 placeholders is found', () => {
  const values = corpus('placeholders.txt');
  assert.ok(new Set(values).size >= 200);
  assert.is(new Set(values).size, values.length, 'each stands there once');
  assert.equal(
    values.filter((value) => fault(value) === undefined),
    [],
  );
});

samples('none of at least 200 real-looking values is taken for one', () => {
  const values = corpus('secrets.txt');
  assert.ok(new Set(values).size >= 200);
  assert.is(new Set(values).size, values.length, 'each stands there once');
  assert.equal(
    values.filter((value) => fault(value) !== undefined).map((value) => `${value} ${fault(value)}`),
    [],
  );
});

samples('a reason is one of few sentences that no value goes into', () => {
  const reasons = new Set(corpus('placeholders.txt').map((value) => fault(value)));
  assert.ok(reasons.size < 40, [...reasons].join('\n'));
});

/** As a random source makes them: fast-check likes its own bytes small and equal. */
const randomBytes = fc
  .tuple(fc.nat(), fc.integer({ min: 16, max: 64 }))
  .map(([seed, length]) => createHash('sha512').update(String(seed)).digest().subarray(0, length));

const djangoCharacters = 'abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)';

const forms: Record<string, (bytes: Buffer) => string> = {
  base64url: (bytes) => bytes.toString('base64url'),
  base64: (bytes) => bytes.toString('base64'),
  hex: (bytes) => bytes.toString('hex'),
  'upper-case hex': (bytes) => bytes.toString('hex').toUpperCase(),
  'letters, digits and signs': (bytes) =>
    [...bytes].map((byte) => djangoCharacters[byte % djangoCharacters.length]).join(''),
  'the password of a URL': (bytes) => `postgresql://user:${bytes.toString('base64url')}@db:5432/test`,
};

for (const [title, form] of Object.entries(forms)) {
  samples(`16 random bytes and more are never taken for one: ${title}`, () => {
    fc.assert(
      fc.property(randomBytes, (bytes) => fault(form(bytes)) === undefined),
      { numRuns: 200 },
    );
  });
}

samples('a word inside of a random token does not make it one', () => {
  const words = ['test', 'example', 'secret', 'changeme', 'your', 'password', 'key', 'todo'];
  const token = fc.tuple(randomBytes, fc.constantFrom(...words)).map(([bytes, word]) => {
    const text = bytes.toString('base64url');
    return text.slice(0, 10) + word + text.slice(10);
  });
  fc.assert(
    fc.property(token, (text) => fault(text) === undefined),
    { numRuns: 150 },
  );
});

samples('case, separators, quotes and digits at the end make no difference', () => {
  const phrase = fc.constantFrom(
    ['change', 'me'],
    ['your', 'api', 'key', 'here'],
    ['replace', 'with', 'your', 'secret'],
    ['my', 'super', 'secret', 'key'],
    ['test', 'token'],
    ['fill', 'me', 'in'],
  );
  const joined = fc.tuple(phrase, fc.constantFrom('', '-', '_', ' ', '.', '--'), fc.boolean());
  const around = fc.constantFrom('', '"', "'", '!', '*', '#');
  fc.assert(
    fc.property(
      joined,
      around,
      fc.constantFrom('', '1', '12', '2024'),
      ([words, between, isUpper], quote, digits) => {
        const text = words.join(between);
        return fault(`${quote}${isUpper ? text.toUpperCase() : text}${digits}${quote}`) !== undefined;
      },
    ),
    { numRuns: 150 },
  );
});

samples('takes no longer than linear time', () => {
  for (const unit of [
    'a',
    'secret',
    'x-',
    '<a',
    '${a',
    '{{',
    'http://',
    '%41',
    '[a ',
    '"',
    '1',
    '-----BEGIN ',
  ]) {
    const text = unit.repeat(Math.ceil((40 * 1024) / unit.length));
    const started = process.cpuUsage();
    fault(text);
    fault(`postgresql://user:${text}@host/db`);
    const { user } = process.cpuUsage(started);
    assert.ok(user < 1_000_000, `${unit}: ${user} µs for 80 KiB`);
  }
});

samples.run();

const rules = suite('placeholderFault');

rules('an empty value is another problem', () => {
  assert.is(fault(''), undefined);
  assert.is(fault('  '), undefined);
});

rules('what .env.example says, whatever it is', () => {
  const examples = new Set(['pJ8sKq2LmZ0x']);
  assert.match(
    placeholderFault(' pJ8sKq2LmZ0x ', 'APP_SECRET', examples) ?? '',
    /^is what \.env\.example says/,
  );
  assert.is(placeholderFault('pJ8sKq2LmZ0y', 'APP_SECRET', examples), undefined);
});

rules('the name of its own key', () => {
  assert.is(fault('acme_billing_hmac', 'ACME_BILLING_HMAC'), 'is the name of the key itself');
});

for (const [key, value] of [
  ['POSTGRES_USER', 'postgres'],
  ['MINIO_ROOT_USER', 'minioadmin'],
  ['DB_NAME', 'test'],
  ['SMTP_USERNAME', 'apikey'],
  ['LOG_LEVEL', 'default'],
  ['DB_HOST', 'database'],
]) {
  rules(`an ordinary word for the name of something: ${key}=${value}`, () => {
    assert.is(fault(value!, key), undefined);
    assert.type(fault(`your-${value}-name-here`, key), 'string');
    assert.type(fault('<name>', key), 'string');
  });
}

rules('says which part of a URL it is', () => {
  assert.match(said('postgresql://todo:changeme@db/todo'), /^the credential in it /);
  assert.match(said('postgresql://<user>:pJ8sKq2LmZ0x@db/todo'), /^the user name in it /);
  assert.match(said('postgresql://todo:pJ8sKq2LmZ0x@db.example.com/todo'), /^the host in it /);
  assert.match(said('https://api.acme.io/?token=your-token'), /^a parameter in it /);
});

rules('no word is a stand-in and a filler', () => {
  assert.equal(
    [...standIns].filter((word) => fillers.has(word)),
    [],
  );
});

for (const [host, expected] of [
  ['host', true],
  ['example.com', true],
  ['db.example.org', true],
  ['ep-example-pooler.eu.aws.neon.tech', true],
  ['ep-xxx.us-east-2.aws.neon.tech', true],
  ['ep-cool-1-pooler.region.aws.neon.tech', true],
  ['your-host.neon.tech', true],
  ['<host>', true],
  ['db.invalid', true],
  ['db', false],
  ['localhost', false],
  ['10.0.0.1', false],
  ['myexample.com', false],
  ['hosting.acme.io', false],
  ['ep-cool-frost-a1.eu-central-1.aws.neon.tech', false],
] as const) {
  rules(`${host} is ${expected ? 'a' : 'no'} placeholder for a host`, () => {
    assert.is(isPlaceholderHost(host), expected);
  });
}

rules.run();
