import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { plainText } from '../../scripts/lib/forms.ts';
import { cases } from '../support/fuzz.ts';
import { cutsOf, knowing, pieces, scrubberOf, throughStream } from '../support/scrubber.ts';
import { anyText } from '../support/text.ts';

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
      cases(120),
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
      cases(30),
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
      cases(30),
    );
  });
}

for (const [name, write] of Object.entries({ ...forms, ...longForms })) {
  survivors(`${name}, in pieces: as if it were whole`, () => {
    fc.assert(
      fc.property(longCanary, cutsOf, anyText({ maxLength: 20 }), (value, cuts, around) => {
        const scrubber = knowing({ KEY: value });
        const text = `${around} <"${write(value)}"> ${around}\n`;
        assert.is(throughStream(scrubber, pieces(text, cuts)), scrubber.scrub(text));
      }),
      cases(12),
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
