import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { plainText } from '../scripts/lib/forms.ts';
import { createScrubber, type Scrubber, scrubJson } from '../scripts/lib/scrub.ts';
import { anyText } from './support/text.ts';
import { processorTime } from './support/time.ts';

function knowing(secrets: Readonly<Record<string, string>>): Scrubber {
  const scrubber = createScrubber();
  for (const [name, value] of Object.entries(secrets)) scrubber.add(name, value);
  return scrubber;
}

const scrubberOf = (secrets: Readonly<Record<string, string>>): ((text: string) => string) =>
  knowing(secrets).scrub;

const base64 = (value: string): string => Buffer.from(value, 'utf8').toString('base64');
const goJson = (value: string): string =>
  JSON.stringify(value)
    .slice(1, -1)
    .replace(
      /[<>&\u2028\u2029]/g,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
const strictUrl = (value: string): string =>
  encodeURIComponent(value).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );

/** How one value can come back from kubectl, the API server or a driver. */
const forms: Readonly<Record<string, (value: string) => string>> = {
  raw: (value) => value,
  base64,
  'base64 without padding': (value) => base64(value).replace(/=+$/, ''),
  'base64 in lines of 70, indented, as Kustomize prints it': (value) =>
    (base64(value).match(/.{1,70}/g) ?? []).join('\n    '),
  'base64 in lines of 70 in a quoted message': (value) =>
    (base64(value).match(/.{1,70}/g) ?? []).join('\\n    '),
  'URL-encoded by JavaScript': encodeURIComponent,
  'URL-encoded by Go': (value) => strictUrl(value).replaceAll('%20', '+'),
  'JSON of JavaScript': (value) => JSON.stringify(value).slice(1, -1),
  'JSON of Go': goJson,
  'JSON of Python, in ASCII alone': (value) =>
    JSON.stringify(value)
      .slice(1, -1)
      .replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
};

/** As `forms`, but for values of 8 bytes and more. */
const longForms: Readonly<Record<string, (value: string) => string>> = {
  'JSON in JSON in JSON': (value) => [1, 2, 3].reduce((text) => JSON.stringify(text).slice(1, -1), value),
  'YAML in single quotes': (value) => value.replaceAll("'", "''"),
  'an argument of a shell': (value) => value.replaceAll("'", "'\\''"),
  'base64 of base64': (value) => base64(base64(value)),
  'URL-encoded twice': (value) => encodeURIComponent(encodeURIComponent(value)),
  'URL-encoded with small digits': (value) =>
    encodeURIComponent(value).replace(/%../g, (code) => code.toLowerCase()),
  'base64 for URLs': (value) => Buffer.from(value).toString('base64url'),
  'broken over lines by a terminal': (value) => (value.match(/[\s\S]{1,9}/gu) ?? []).join('\n'),
  'folded by YAML in double quotes': (value) =>
    (
      JSON.stringify(value)
        .slice(1, -1)
        .match(/(?:\\u....|\\.|[^\\]){1,11}/gsu) ?? []
    ).join('\\\n    '),
  'base64 in lines of 76': (value) => (base64(value).match(/.{1,76}/g) ?? []).join('\r\n'),
};

const canary = fc
  .oneof(
    fc.string({ minLength: 4, maxLength: 40 }),
    anyText({ minLength: 4, maxLength: 40 }),
    fc.string({
      unit: fc.constantFrom('a', '$&', '$1', '\\', '[', '(', '"', '\n', '&', '<', ' ', '.*', '=', '%'),
      minLength: 4,
    }),
    fc.base64String({ minLength: 80, maxLength: 400 }),
    fc
      .array(fc.string({ minLength: 20, maxLength: 64 }), { minLength: 2, maxLength: 6 })
      .map((lines) => lines.join('\n')),
    fc.webUrl({ withQueryParameters: true }),
  )
  .filter((value) => value.trim() === value && value.isWellFormed());

const longCanary = canary.filter((value) => plainText(value).length >= 8);

const survivors = suite('no canary survives');

for (const [name, write] of Object.entries(forms)) {
  survivors(name, () => {
    fc.assert(
      fc.property(canary, fc.constantFrom(' ', '"', "'", '=', ':', '\n', '@', '/'), (value, border) => {
        const form = write(value);
        const scrubbed = scrubberOf({ KEY: value })(`<${border}${form}${border}>`);
        assert.not.ok(scrubbed.includes(form), `${JSON.stringify(form)} in ${JSON.stringify(scrubbed)}`);
      }),
      { numRuns: 120 },
    );
  });
}

for (const [name, write] of Object.entries(longForms)) {
  survivors(name, () => {
    fc.assert(
      fc.property(longCanary, fc.constantFrom(' ', '"', '=', '\n', '@'), (value, border) => {
        const form = write(value);
        const scrubbed = scrubberOf({ KEY: value })(`<${border}${form}${border}>`);
        assert.match(scrubbed, '[KEY]');
        assert.not.ok(scrubbed.includes(form), `${JSON.stringify(form)} in ${JSON.stringify(scrubbed)}`);
      }),
      { numRuns: 30 },
    );
  });
}

for (const alphabet of ['base64', 'base64url'] as const) {
  survivors(`inside of a longer text that is ${alphabet} as a whole, at every offset`, () => {
    fc.assert(
      fc.property(
        longCanary,
        anyText({ maxLength: 9 }),
        anyText({ maxLength: 9 }),
        (value, before, after) => {
          const { scrub } = knowing({ KEY: value });
          for (const shift of ['', 'x', 'xy']) {
            const [front, back] = [Buffer.from(before + shift), Buffer.from(after)];
            const bytes = Buffer.from(value);
            const text = Buffer.concat([front, bytes, back]).toString(alphabet);
            // What the bytes of the value alone decide.
            const [start, end] = [(front.length * 8) / 6, ((front.length + bytes.length) * 8) / 6];
            const certain = text.slice(Math.ceil(start), Math.floor(end));
            assert.not.ok(scrub(`data: ${text}\n`).includes(certain), text);
          }
        },
      ),
      { numRuns: 30 },
    );
  });
}

/** Any text, cut into pieces anywhere, also between the bytes of a character. */
const pieces = (text: string, cuts: readonly number[]): Buffer[] => {
  const bytes = Buffer.from(text);
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
};

const throughStream = (scrubber: Scrubber, chunks: readonly (string | Uint8Array)[]): string => {
  const stream = scrubber.stream();
  return chunks.map((chunk) => stream.write(chunk)).join('') + stream.end();
};

const cutsOf = fc.array(fc.nat({ max: 5000 }), { maxLength: 12 });

for (const [name, write] of Object.entries({ ...forms, ...longForms })) {
  survivors(`${name}, in pieces: as if it were whole`, () => {
    fc.assert(
      fc.property(longCanary, cutsOf, anyText({ maxLength: 20 }), (value, cuts, around) => {
        const scrubber = knowing({ KEY: value });
        const text = `${around} <"${write(value)}"> ${around}\n`;
        assert.is(throughStream(scrubber, pieces(text, cuts)), scrubber.scrub(text));
      }),
      { numRuns: 12 },
    );
  });
}

survivors('short values in pieces', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z0-9!$]{1,7}$/), cutsOf, (value, cuts) => {
      const scrubber = knowing({ PIN: value });
      const text = `PIN=${value}; x${value}x "PIN": "${value}", ${value} ${value}`;
      assert.is(throughStream(scrubber, pieces(text, cuts)), scrubber.scrub(text));
    }),
  );
});

survivors('the end of a stream that is the middle of a value', () => {
  const scrubber = knowing({ KEY: 'correct-horse-battery-staple' });
  assert.is(throughStream(scrubber, ['it is correct-h', 'orse-batt']), 'it is [KEY]');
});

survivors('many secrets at once, run into each other', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.stringMatching(/^[a-z0-9!$]{8,30}$/), { minLength: 2, maxLength: 8 }),
      (values) => {
        const scrubbed = scrubberOf(Object.fromEntries(values.map((value, index) => [`K${index}`, value])))(
          values.join(','),
        );
        for (const value of values) assert.not.ok(scrubbed.includes(value));
      },
    ),
  );
});

survivors('each line of a value of several lines', () => {
  const key = `-----BEGIN PRIVATE KEY-----\r\nMIIEvQIBADANBgkqhkiG9w0BAQ\r\nEFAASCBKcwggSjAgEAAoIBAQC7\r\n-----END PRIVATE KEY-----\r\n`;
  const scrubbed = scrubberOf({ PEM: key })('unexpected key "    MIIEvQIBADANBgkqhkiG9w0BAQ" in line 3');
  assert.is(scrubbed, 'unexpected key "    [PEM]" in line 3');
});

survivors.run();

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
