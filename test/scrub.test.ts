import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createScrubber, scrubJson } from '../scripts/lib/scrub.ts';
import { cutsOf, knowing, pieces, scrubberOf, throughStream } from './support/scrubber.ts';
import { anyText } from './support/text.ts';
import { processorTime } from './support/time.ts';

const replacing = suite('what stands instead');

for (const [name, secrets, text, expected] of [
  ['the key in brackets', { JWT: 'correct-horse' }, 'bad token correct-horse!', 'bad token [JWT]!'],
  ['every occurrence', { JWT: 'correct-horse' }, 'correct-horse correct-horse', '[JWT] [JWT]'],
  ['a long value inside a word', { JWT: 'correct-horse' }, 'xcorrect-horsey', 'x[JWT]y'],
  ['the longer of two that begin alike', { A: 'password', B: 'password-2' }, 'password-2', '[B]'],
  ['the first name of a value that has two', { A: 'same-value', B: 'same-value' }, 'same-value', '[A]'],
  ['text that regular expressions know', { A: '(a+)+$|.*^\\d' }, 'is (a+)+$|.*^\\d here', 'is [A] here'],
  ['a name with $& in it, as it is', { '$&': 'correct-horse' }, 'correct-horse', '[$&]'],
  ['a short value as a word of its own', { PIN: 'hunter' }, 'password=hunter;', 'password=[PIN];'],
  ['no short value inside a word', { PIN: 'data' }, 'database data-2 my-data', 'database data-2 my-data'],
  ['nothing of three characters', { PIN: 'abc' }, 'abc', 'abc'],
  ['nothing of an empty value', { PIN: '' }, 'text', 'text'],
  ['nothing without secrets', {}, 'text', 'text'],
] as [string, Record<string, string>, string, string][]) {
  replacing(name, () => assert.is(scrubberOf(secrets)(text), expected));
}

for (const [name, value, text, expected] of [
  ['each of several lines', 'line-one-1\nline-two-2', 'bad: line-two-2', 'bad: [KEY]'],
  [
    'not what every configuration says',
    'apiVersion: v1\nkind: Config\ntoken: abcdef-012345',
    'apiVersion: v1 kind: Config abcdef-012345',
    'apiVersion: v1 kind: Config [KEY]',
  ],
  [
    'not the borders of PEM',
    '-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----\n',
    '-----BEGIN KEY----- and MIIEvQIBADAN',
    '-----BEGIN KEY----- and [KEY]',
  ],
  [
    'the password of a URL',
    'postgres://todo:p%40ss-word-1@db/todo',
    'p@ss-word-1 and p%40ss-word-1 of todo at db',
    '[KEY] and [KEY] of todo at db',
  ],
  ['a value that an ellipsis cuts off', 'correct-horse-battery', 'is correct-horse-ba…', 'is [KEY]…'],
  ['a value that the end cuts off', 'correct-horse-battery', 'is correct-horse-ba', 'is [KEY]'],
  ['no beginning in the middle', 'correct-horse-battery', 'correct-horse-bar is', 'correct-horse-bar is'],
  ['no scheme alone', 'https://hooks.test/s3cret', 'see https://…', 'see https://…'],
  ['two values that overlap', 'abcdefgh-1\n1-ijklmnop', 'abcdefgh-1-ijklmnop', '[KEY]'],
  ['colours in between', 'correct-horse', '\x1b[31mcorrect-\x1b[39mhorse', '\x1b[31m[KEY]'],
  [
    'of three characters behind the key',
    'abc',
    'KEY=abc KEY: "abc" "KEY":"YWJj" abc',
    'KEY=[KEY] KEY: "[KEY]" "KEY":"[KEY]" abc',
  ],
  ['of one character behind the key', 'x', '{"KEY":"x","x":"x"}', '{"KEY":"[KEY]","x":"x"}'],
  ['no longer value behind the key', 'abc', 'KEY=abcd MY-KEY=abc', 'KEY=abcd MY-KEY=abc'],
] as const) {
  replacing(name, () => assert.is(scrubberOf({ KEY: value })(text), expected));
}

replacing('very short values behind the data key as well', () => {
  const scrubber = createScrubber();
  scrubber.add('PIN', '42', ['pin-code']);
  assert.is(scrubber.scrub('pin-code: 42, other: 42'), 'pin-code: [PIN], other: 42');
});

replacing('bytes that are no text, by their base64', () => {
  const scrubber = createScrubber();
  const bytes = Buffer.from('ff00fe01fd02fc03fb04', 'hex');
  scrubber.add('KEYSTORE', bytes);
  assert.is(scrubber.scrub(`a ${bytes.toString('base64')} b`), 'a [KEYSTORE] b');
});

replacing('nothing in text without a value: not a byte of it', () => {
  const secrets = Object.fromEntries(
    ['correct-horse-battery', 'p"q\\r%20s+t', 'one\ntwo-three', 'pin1', 'ab'].map((value, index) => [
      `K${index}`,
      value,
    ]),
  );
  const scrubber = knowing(secrets);
  fc.assert(
    fc.property(anyText({ maxLength: 200 }), cutsOf, (text, cuts) => {
      assert.is(scrubber.scrub(text), text);
      assert.is(throughStream(scrubber, pieces(text, cuts)), text);
    }),
  );
});

replacing('what a stream holds back is no more than what may be a secret', () => {
  const stream = knowing({ KEY: 'correct-horse-battery' }).stream();
  assert.is(stream.write('Password: '), 'Password: ');
  assert.is(stream.write('a correct-'), 'a ');
  assert.is(stream.write('answer\n'), 'correct-answer\n');
});

replacing('in JSON every text, and nothing that would break it', () => {
  const scrubber = knowing({ A: 'true', B: '8000', C: 'correct-horse' });
  const value = { changed: true, port: 8000, list: ['a correct-horse', null], 'correct-horse': 'true' };
  assert.equal(scrubJson(scrubber, value), {
    changed: true,
    port: 8000,
    list: ['a [C]', null],
    '[C]': '[A]',
  });
});

replacing('from an environment: variables of these names, and others with such a value', () => {
  const scrubber = knowing({ JWT_SECRET: 'correct-horse', FLAG: 'true' });
  const environment = {
    PATH: '/bin',
    JWT_SECRET: 'another',
    COPY: 'correct-horse',
    CI: 'true',
    NONE: undefined,
  };
  assert.equal(scrubber.withoutSecrets(environment), { PATH: '/bin', CI: 'true', NONE: undefined });
});

replacing('a secret that is added later is known from then on', () => {
  const scrubber = createScrubber();
  scrubber.add('A', 'first-secret');
  assert.is(scrubber.scrub('first-secret second-secret'), '[A] second-secret');
  scrubber.add('B', 'second-secret');
  assert.is(scrubber.scrub('first-secret second-secret'), '[A] [B]');
});

replacing('a megabyte of text with twenty secrets takes no time to speak of', () => {
  const secrets = Object.fromEntries(
    Array.from({ length: 20 }, (_, index) => [`K${index}`, `${index}-secret-&-${'x'.repeat(index * 20)}`]),
  );
  const scrub = scrubberOf(secrets);
  const text = 'apiVersion: v1\nkind: ConfigMap\n'.repeat(32_000);
  const taken = processorTime(() => assert.is(scrub(text), text));
  assert.ok(taken < 1000, `${taken} ms`);
});

const spread = (name: string, length: number): string =>
  createHash('sha512')
    .update(name)
    .digest('base64')
    .repeat(Math.ceil(length / 88))
    .slice(0, length);

for (const [name, secrets, text] of [
  [
    '1,000 secrets that begin alike, and a text full of that beginning',
    Array.from({ length: 1000 }, (_, index) => `postgresql://todo:${spread(`${index}`, 32)}@db/todo`),
    'postgresql://todo:'.repeat(20_000),
  ],
  ['a secret of half a megabyte that repeats itself', ['ab'.repeat(250_000)], 'ab'.repeat(200_000)],
] as [string, string[], string][]) {
  replacing(`${name}: takes linear time`, () => {
    const { scrub } = knowing(Object.fromEntries(secrets.map((value, index) => [`K${index}`, value])));
    // By the pair it would take hours.
    const taken = processorTime(() => void scrub(text));
    assert.ok(taken < 15_000, `${taken} ms`);
  });
}

replacing.run();
