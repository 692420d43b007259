import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { stringify } from 'yaml';
import { parseManifests } from '../../scripts/lib/manifest.ts';
import { splitManifests } from '../../scripts/lib/render.ts';
import { ManifestError } from '../../scripts/lib/yaml.ts';
import { assertLinear, cases, mutated, repeatedPieces } from '../support/fuzz.ts';
import { anyText } from '../support/text.ts';
import { yamlShapes, yamlTokens } from '../support/yaml-shapes.ts';

const text = fc.oneof(
  fc.constantFrom(
    '',
    'x',
    '---',
    '--- ',
    '...',
    'a\n---\nb\n',
    '\t',
    '# x',
    ': ',
    '|',
    '2001-01-01',
    '1e3',
    'null',
    '\ufeff',
  ),
  anyText({ maxLength: 12 }),
);
const key = fc.constantFrom(
  'A',
  'a.b/c',
  'tls.crt',
  '__proto__',
  'constructor',
  '<<',
  '1',
  'true',
  '---',
  '- x',
);
const data = fc.dictionary(key, text, { maxKeys: 4, noNullPrototype: true });
const name = fc.constantFrom('a', 'backend-config-9gc8bgf29d', 'x.y', '1');
const plainRecord = { noNullPrototype: true } as const;
const configMap = fc.record(
  {
    apiVersion: fc.constantFrom('v1', 'apps/v1', 'example.com/v1beta1'),
    kind: fc.constantFrom('ConfigMap', 'Secret', 'AllowList', 'Deployment'),
    metadata: fc.record(
      { name, namespace: name, labels: data },
      { requiredKeys: ['name'], noNullPrototype: true },
    ),
    data,
  },
  plainRecord,
);
const listOf = (items: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.record(
    {
      apiVersion: fc.constant('v1'),
      kind: fc.constantFrom('List', 'ConfigMapList'),
      items: fc.array(items, { maxLength: 3 }),
    },
    plainRecord,
  );
const object = fc.oneof({ weight: 5, arbitrary: configMap }, listOf(fc.oneof(configMap, listOf(configMap))));

/** The package writes a plain `:` over lines into a flow map, and does not read it again. */
const quotedFlow = { collectionStyle: 'flow', defaultStringType: 'QUOTE_DOUBLE' } as const;

/** A stream as Kustomize and people write it. */
const written = (objects: readonly unknown[], style: string): string => {
  const texts = objects.map((one) =>
    style === 'json'
      ? `${JSON.stringify(one)}\n`
      : stringify(one, style === 'flow' ? quotedFlow : { lineWidth: 0 }),
  );
  return texts.join('---\n');
};
const style = fc.constantFrom('block', 'block', 'flow', 'json');

const opened = (value: unknown): unknown[] => {
  const { kind, items } = value as { kind: string; items?: unknown[] };
  return kind.endsWith('List') && items ? items.flatMap(opened) : [value];
};

const fuzz = suite('fuzz: manifests');

fuzz('any text is objects that each stand in a text of their own, or a ManifestError', () => {
  const stream = mutated(
    fc.tuple(fc.array(object, { maxLength: 3 }), style).map(([objects, one]) => written(objects, one)),
    [...yamlTokens, 'kind: List\n', 'items:\n', 'metadata:\n', 'apiVersion: v1\n', '{"a": [', '&a', '*a'],
  );
  fc.assert(
    fc.property(stream, (one) => {
      try {
        for (const manifest of splitManifests(one))
          assert.equal(parseManifests(manifest.text), [manifest.object]);
      } catch (error) {
        if (!(error instanceof ManifestError)) throw error;
        assert.match(error.message, /^document \d+ /);
      }
    }),
    cases(6000),
  );
});

fuzz('what is written in any style is what is read', () => {
  fc.assert(
    fc.property(fc.array(object, { maxLength: 4 }), style, (objects, one) => {
      const read = splitManifests(written(objects, one)).map((manifest) => manifest.object);
      assert.equal(read, objects.flatMap(opened));
    }),
    cases(1000),
  );
});

const growth = suite('growth: manifests');

const head = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n';
const read = (one: string): unknown => {
  try {
    return splitManifests(one);
  } catch (error) {
    if (error instanceof ManifestError) return error;
    throw error;
  }
};
const indented = (body: string): string => `${head}spec:\n${body.replaceAll(/^/gm, '  ')}`;
const numbered =
  (make: (index: number) => string, start = '') =>
  (size: number): string =>
    start + Array.from({ length: size }, (_, index) => make(index)).join('');

for (const [title, make] of Object.entries({
  ...Object.fromEntries(
    Object.entries(yamlShapes).map(([title, shape]) => [title, (size: number) => indented(shape(size))]),
  ),
  objects: numbered((index) => `---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a${index}\n`),
  'borders only': (size: number) => '---\n'.repeat(size),
  'borders with blanks': (size: number) => '--- \t\n'.repeat(size),
  'a border with many blanks': (size: number) => `---${' \t'.repeat(size)}x`,
  'borders with blanks that are none': (size: number) => `---${' '.repeat(50)}x\n`.repeat(size),
  'data keys': numbered((index) => `  k${index}: x\n`, `${head}data:\n`),
  'a long value': (size: number) => `${head}data:\n  a: ${'QUFB'.repeat(size)}\n`,
  'a value of many lines': (size: number) => `${head}data:\n  a: |\n${'    xxxxxx\n'.repeat(size)}`,
  'a List': numbered(
    (index) => `- {apiVersion: v1, kind: ConfigMap, metadata: {name: a${index}}}\n`,
    'apiVersion: v1\nkind: List\nitems:\n',
  ),
  'Lists in each other': (size: number) =>
    `${'{apiVersion: v1, kind: List, items: ['.repeat(size)}${']}'.repeat(size)}`,
})) {
  growth(title, () => assertLinear(make, read));
}

growth('any shape', () => {
  fc.assert(
    fc.property(repeatedPieces([...yamlTokens, `---\n${head}`, 'items: ']), (make) =>
      assertLinear(make, read),
    ),
    cases(40),
  );
});

fuzz.run();
growth.run();
