import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { stringify } from 'yaml';
import { buildContract } from '../../scripts/lib/contract.ts';
import { formatNames } from '../../scripts/lib/schema.ts';
import { assertLinear, cases, mutated, repeatedPieces } from '../support/fuzz.ts';
import { yamlShapes, yamlTokens } from '../support/yaml-shapes.ts';

const objectName = fc.constantFrom('a', 'backend-config', 'backend-secrets', 'x.y', 'constructor');
const dataKey = fc.constantFrom('A', 'B', 'JWT_SECRET', 'jwt-secret', 'toString', '.env', '__proto_');
const envKey = fc.constantFrom('A', 'B', 'C', 'DATABASE_URL');
const text = fc.constantFrom(
  '',
  'x',
  'http://localhost:8000',
  'postgres://u@h/d',
  '8000',
  'true',
  '{}',
  'a\nb',
  '"',
);
const list = fc.uniqueArray(text, { minLength: 1, maxLength: 3 });

const rules = {
  env: envKey,
  optional: fc.boolean(),
  format: fc.constantFrom(...formatNames, null),
  oneOf: fc.oneof(list, fc.constant(null)),
  pattern: fc.constantFrom('^x', 'a|b', '(', null),
  minLength: fc.constantFrom(1, 32, null),
  description: text,
};
const orNothing = <T>(record: fc.Arbitrary<T>): fc.Arbitrary<T | null> =>
  fc.oneof({ weight: 4, arbitrary: record }, fc.constant(null));
const configField = orNothing(
  fc.record(
    { ...rules, default: fc.oneof(text, fc.constant(null)), buildTime: fc.boolean() },
    { requiredKeys: [] },
  ),
);
const secretField = orNothing(fc.record({ ...rules, generate: fc.boolean() }, { requiredKeys: [] }));
const objectsOf = <T>(field: fc.Arbitrary<T>): fc.Arbitrary<Record<string, Record<string, T>>> =>
  fc.dictionary(objectName, fc.dictionary(dataKey, field, { maxKeys: 4 }), { maxKeys: 3 });
const model = fc.record(
  {
    configMaps: objectsOf(configField),
    secrets: objectsOf(secretField),
    contexts: fc.uniqueArray(fc.constantFrom('minikube', 'team-*', '*', 'a b', '['), { maxLength: 3 }),
    external: fc.uniqueArray(fc.constantFrom('Secret/registry', 'ConfigMap/x.y'), { maxLength: 2 }),
  },
  { requiredKeys: [] },
);
type Model = typeof model extends fc.Arbitrary<infer T> ? T : never;

/** The same data in the styles that people write, with shared pieces as anchors and aliases. */
const written = (data: fc.Arbitrary<Model>): fc.Arbitrary<string> =>
  fc
    .tuple(
      data,
      fc.constantFrom('block', 'flow', 'json', 'quoted'),
      fc.constantFrom('', '---\n', '\ufeff', '# x\n'),
      fc.boolean(),
    )
    .map(([value, style, head, crlf]) => {
      const yaml =
        style === 'json'
          ? JSON.stringify(value)
          : stringify(value, {
              collectionStyle: style === 'flow' ? 'flow' : 'any',
              ...(style === 'quoted' ? { defaultStringType: 'QUOTE_DOUBLE' } : {}),
            });
      return crlf ? (head + yaml).replaceAll('\n', '\r\n') : head + yaml;
    });

const words = [
  'configMaps:',
  'secrets:',
  'contexts:',
  'default: x',
  'env: A',
  'oneOf: [a, a]',
  '__proto__: ',
  '<<: *a',
];

const fuzz = suite('fuzz: strata.yaml');

fuzz('any texts become a contract, or problems that each have a place in them', () => {
  const file = mutated(written(model), [...yamlTokens, ...words]);
  fc.assert(
    fc.property(fc.array(file, { minLength: 1, maxLength: 2 }), (texts) => {
      const files = texts.map((one, index) => ({ file: `${index}.yaml`, text: one }));
      const { contract, problems } = buildContract(files);
      for (const { file: name, line, message } of problems) {
        const lines = texts[Number.parseInt(name ?? '', 10)]?.split('\n');
        assert.ok(lines !== undefined && line! >= 1 && line! <= lines.length, `${name}:${line} ${message}`);
      }
      const objects = new Set(contract.objects.map(({ kind, name }) => `${kind}/${name}`));
      for (const { object, secret, envKey: key } of contract.fields) {
        assert.ok(objects.has(`${object.kind}/${object.name}`));
        assert.is(object.kind === 'Secret', secret);
        assert.type(key, 'string');
      }
    }),
    cases(6000),
  );
});

fuzz('what is written in any style is what is read', () => {
  fc.assert(
    fc.property(
      model.chain((value) => fc.tuple(fc.constant(value), written(fc.constant(value)))),
      ([value, one]) => {
        const { contract } = buildContract([{ file: 'f', text: one }]);
        const expected = (['configMaps', 'secrets'] as const).flatMap((section) =>
          Object.entries(value[section] ?? {}).flatMap(([name, fields]) =>
            Object.keys(fields).map((key) => `${name}[${key}]`),
          ),
        );
        assert.equal(
          contract.fields.map(({ object, dataKey: key }) => `${object.name}[${key}]`).sort(),
          expected.sort(),
        );
        assert.equal(contract.contexts, value.contexts ?? []);
      },
    ),
    cases(1000),
  );
});

const growth = suite('growth: strata.yaml');

const read = (one: string): unknown => buildContract([{ file: 'f', text: one }]);
const numbered =
  (head: string, make: (index: number) => string, tail = '') =>
  (size: number) =>
    head + Array.from({ length: size }, (_, index) => make(index)).join('') + tail;

for (const [name, make] of Object.entries({
  ...yamlShapes,
  'data keys': numbered('configMaps:\n  a:\n', (index) => `    K${index}: { default: "x" }\n`),
  'objects with one key': numbered('configMaps:\n', (index) => `  o${index}: { K: { default: "x" } }\n`),
  'objects with keys of their own': numbered('secrets:\n', (index) => `  o${index}: { K${index}: }\n`),
  'data keys of one env key': numbered('configMaps:\n  a:\n', (index) => `    K${index}: { env: A }\n`),
  'unknown rules': numbered('configMaps:\n  a:\n', (index) => `    K${index}: { defalt: "x" }\n`),
  'unknown sections': numbered('', (index) => `k${index}: 1\n`),
  'objects that are none': numbered('secrets:\n', (index) => `  O_${index}: 1\n`),
  contexts: numbered('contexts:\n', (index) => `  - c${index}\n`),
  'contexts that are none': numbered('contexts:\n', (index) => `  - "c${index} ?"\n`),
  externals: numbered('external: [', (index) => `Secret/c${index}, `, ']'),
  'one of many': numbered('configMaps: {a: {A: {oneOf: [', (index) => `c${index}, `, ']}}}'),
  'two fields with many values': (size: number) =>
    ['a', 'b']
      .map((name) => numbered(`  ${name}: {A: {oneOf: [`, (index) => `${name}${index}, `, ']}}\n')(size))
      .reduce((all, one) => all + one, 'configMaps:\n'),
  'a long default': (size: number) => `configMaps: {a: {A: {default: ${'x'.repeat(size)}}}}`,
  ...Object.fromEntries(
    formatNames.map((format) => [
      `a long default of format ${format}`,
      (size: number) =>
        `configMaps: {a: {A: {format: ${format}, default: "${format.startsWith('postgres') ? 'postgres://' : ''}${'a.-'.repeat(size)}"}}}`,
    ]),
  ),
})) {
  growth(name, () => assertLinear(make, read));
}

growth('any shape', () => {
  fc.assert(
    fc.property(repeatedPieces([...yamlTokens, ...words]), (make) => assertLinear(make, read)),
    cases(40),
  );
});

fuzz.run();
growth.run();
