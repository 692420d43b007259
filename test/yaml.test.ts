import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatYaml, ManifestError, parseYaml, parseYamlStream, readYaml } from '../scripts/lib/yaml.ts';
import { anyText } from './support/text.ts';
import { processorTime } from './support/time.ts';

const yaml = suite('parseYaml');

for (const [name, text, expected] of [
  ['a value', 'a: 1', { value: { a: 1 } }],
  ['nothing', '', { value: null }],
  ['an alias', 'a: &x {b: 1}\nc: *x', { value: { a: { b: 1 }, c: { b: 1 } } }],
  ['YAML 1.2 words as text', 'a: on\nb: no\nc: y', { value: { a: 'on', b: 'no', c: 'y' } }],
] as [string, string, unknown][]) {
  yaml(`reads ${name}`, () => assert.equal(parseYaml(text), expected));
}

for (const [name, text, line] of [
  ['a bracket that is never closed', 'a: 1\nb: [secret', 2],
  ['a key twice', 'a: 1\nb: 2\na: secret', 3],
  ['a second document', 'a: 1\n---\nb: secret', 2],
  ['an alias of nothing', 'a: 1\nb: 2\nc: *secret', 3],
] as [string, string, number][]) {
  yaml(`tells the line of ${name}, never the text`, () => {
    const parsed = parseYaml(text);
    assert.is(parsed.error === undefined ? undefined : parsed.line, line);
    assert.not.match(JSON.stringify(parsed), 'secret');
  });
}

yaml('a bomb of aliases is refused instead of opened', () => {
  const bomb = ['a0: &a0 [x,x,x,x,x,x,x,x,x]'];
  for (let level = 1; level < 9; level++)
    bomb.push(
      `a${level}: &a${level} [${Array(9)
        .fill(`*a${level - 1}`)
        .join(',')}]`,
    );
  assert.is(parseYaml(bomb.join('\n')).error, 'BAD_ALIAS');
});

yaml('a number too large for a float is text, as for Go', () => {
  const long = '1'.repeat(400);
  assert.equal(parseYaml(`{a: ${long}, b: 1e999, c: -1e999, d: .inf, e: 1e3}`).value, {
    a: long,
    b: '1e999',
    c: '-1e999',
    d: Number.POSITIVE_INFINITY,
    e: 1000,
  });
});

const told = (text: string): string[] =>
  readYaml(text, 'f').problems.map(({ line, message }) => `${line} ${message}`);

for (const [name, text, expected] of [
  // At the end of the stack V8 ends the process: nobody could catch that.
  ['ten thousand brackets', `a:\n  ${'['.repeat(10_000)}`, /^2 .*more than 200 levels/],
  ['keys of one line that all end at once', `${'a:\t'.repeat(4000)}}`, /^1 .*more than 200 levels/],
  ['dashes in each other', `${'- '.repeat(5000)}a`, /^1 .*more than 200 levels/],
  ['an alias in what it stands for', 'a: 1\nb: &b\n  c: [*b]', /^3 .*inside of what it stands for/],
  ['many aliases', `a: &a x\nb: [${'*a, '.repeat(1001)}]`, /^2 .*Excessive alias count/],
  [
    'aliases of much',
    `a: &a [${'x, '.repeat(2000)}]\nb: [${'*a, '.repeat(60)}]`,
    /^2 .*Excessive alias count/,
  ],
  ['bytes', 'a: 1\nb: !!binary aGk=', /^2 .*a tag that makes something else/],
  ['a set', 'a: !!set {x}', /^1 .*a tag that makes something else/],
  ['a text to merge', 'a: {<<: x}', /^1 .*has to be a map/],
] as [string, string, RegExp][]) {
  yaml(`refuses ${name}`, () => {
    const problems = told(text);
    assert.is(problems.length, 1);
    assert.match(problems[0]!, expected);
  });
}

yaml('tells every key that stands twice', () => {
  assert.equal(
    told('a: 1\na: 2\nb: {c: 1, c: 2}\n').map((problem) => problem.split(' ')[0]),
    ['2', '3'],
  );
});

yaml('many keys, and their places, take no time to speak of', () => {
  const keys = Array.from({ length: 8000 }, (_, index) => `k${index}`);
  const taken = processorTime(() => {
    const { yaml: file } = readYaml(keys.map((key) => `${key}: 1\n`).join(''), 'f');
    assert.is(file!.placeOf([keys.at(-1)!]).line, keys.length);
    for (const key of keys) file!.placeOf([key]);
  });
  assert.ok(taken < 1000, `${taken} ms`);
});

const streams = suite('parseYamlStream');

for (const [name, text, code] of [
  ['an alias of nothing', 'a: 1\n---\nb: *c', 'BAD_ALIAS'],
  ['an alias in what it stands for', 'a: 1\n---\nb: &b [*b]', 'BAD_ALIAS'],
  ['a syntax error', 'a: 1\n---\nb: [', 'BAD_INDENT'],
] as const) {
  streams(`${name} is no manifest, told by the number of its document`, () => {
    try {
      parseYamlStream(text, 3);
      assert.unreachable();
    } catch (error) {
      assert.instance(error, ManifestError);
      assert.is((error as Error).message, `document 4 is not valid YAML (${code})`);
    }
  });
}

for (const [name, text, expected] of [
  ['nothing', '', []],
  ['one document', 'a: 1', [{ a: 1 }]],
  ['several, empty ones too', 'a: 1\n---\n---\nb: 2\n', [{ a: 1 }, null, { b: 2 }]],
  ['a key twice, as Kustomize may print it', 'a: 1\na: 2\n', [{ a: 2 }]],
] as [string, string, unknown[]][]) {
  streams(`reads ${name}`, () => assert.equal(parseYamlStream(text), expected));
}

const formatting = suite('formatYaml');

formatting('keeps the order of keys, folds nothing, repeats instead of referring', () => {
  const shared = { x: 1 };
  assert.is(
    formatYaml({ b: 'word '.repeat(40).trim(), a: [shared, shared] }),
    `b: ${'word '.repeat(40).trim()}\na:\n  - x: 1\n  - x: 1\n`,
  );
});

formatting('what it writes is read back as it was', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.oneof(fc.string(), anyText(), fc.boolean(), fc.integer())),
      (value) => {
        assert.equal(parseYaml(formatYaml(value)).value, { ...value });
      },
    ),
    { numRuns: 200 },
  );
});

yaml.run();
streams.run();
formatting.run();
