import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createScrubber } from '../scripts/lib/scrub.ts';
import { anyText } from './support/text.ts';
import { processorTime } from './support/time.ts';

function scrubberOf(secrets: Readonly<Record<string, string>>): (text: string) => string {
  const scrubber = createScrubber();
  for (const [name, value] of Object.entries(secrets)) scrubber.add(name, value);
  return scrubber.scrub;
}

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

replacing.run();
