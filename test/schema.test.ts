import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checkSchema, type StrataFile, strataSchema } from '../scripts/lib/schema.ts';
import { projectFolder } from './support/session.ts';

const published = suite('strata.schema.json');

published('is the schema of the checks (UPDATE=1 npm run test:unit && npm run format writes it)', () => {
  const file = path.join(projectFolder, 'strata.schema.json');
  if (process.env.UPDATE) writeFileSync(file, `${JSON.stringify(strataSchema, null, 2)}\n`);
  assert.equal(JSON.parse(readFileSync(file, 'utf8')), strataSchema);
});

published('explains every field to an editor', () => {
  const walk = (node: unknown, where: string): void => {
    if (typeof node !== 'object' || node === null) return;
    const { properties } = node as { properties?: Record<string, { title?: string; description?: string }> };
    for (const [name, property] of Object.entries(properties ?? {})) {
      assert.ok(property.title && property.description, `${where}.${name} has a title and a description`);
      walk(property, `${where}.${name}`);
    }
    walk((node as { additionalProperties?: unknown }).additionalProperties, `${where}.*`);
  };
  walk(strataSchema, 'strata.yaml');
});

const field = (rules: unknown): unknown => ({ configMaps: { config: { KEY: rules } } });
const secret = (rules: unknown): unknown => ({ secrets: { secrets: { KEY: rules } } });

const valid = suite('checkSchema, valid');

const typed: StrataFile = { configMaps: { config: { KEY: { default: 'x', format: 'port', oneOf: null } } } };

for (const [name, data] of [
  ['an empty file', null],
  ['an empty map', {}],
  ['the type of the file', typed],
  ['empty sections', { configMaps: null, secrets: null }],
  ['an object without fields', { configMaps: { empty: null }, secrets: { also: {} } }],
  ['a field without rules', field(null)],
  ['a dotted object name', { secrets: { 'a.b-c.d': { KEY: null } } }],
  ['a long object name', { secrets: { ['a'.repeat(242)]: null } }],
  [
    'a data key with dots and dashes',
    { secrets: { s: { 'tls.crt': { env: 'TLS_CRT' }, '-': { env: 'A' } } } },
  ],
  ['contexts', { contexts: ['minikube', 'team-*'] }],
  ['no contexts', { contexts: [] }],
  ['external objects', { external: ['Secret/registry-credentials', 'ConfigMap/a.b'] }],
  [
    'a secret with all its rules',
    secret({ env: 'E', optional: true, pattern: 'x', minLength: 1, generate: true }),
  ],
] as const) {
  valid(`takes ${name}`, () => {
    assert.equal(checkSchema(data), []);
  });
}

const invalid = suite('checkSchema, invalid');

for (const [name, data, ...paths] of [
  ['a list', [], ''],
  ['a text', 'x', ''],
  ['an unknown section', { configMap: {} }, 'configMap'],
  ['a capital letter in an object name', { secrets: { Secret: null } }, 'secrets.Secret'],
  [
    'an object name without room for the hash',
    { secrets: { ['a'.repeat(243)]: null } },
    `secrets.${'a'.repeat(243)}`,
  ],
  ['a slash in a data key', { secrets: { s: { 'a/b': null } } }, 'secrets.s.a/b'],
  ['odd characters in a data key', { secrets: { s: { 'ä~%#': null } } }, 'secrets.s.ä~%#'],
  ['data key ..', { secrets: { s: { '..': null } } }, 'secrets.s...'],
  ['data key ..a', { secrets: { s: { '..a': null } } }, 'secrets.s...a'],
  ['a value in place of rules', field('x'), 'configMaps.config.KEY'],
  ['an unknown rule', field({ defualt: 'x' }), 'configMaps.config.KEY.defualt'],
  ['a number as default', field({ default: 1 }), 'configMaps.config.KEY.default'],
  ['true as default', field({ default: true }), 'configMaps.config.KEY.default'],
  ['an unknown format', field({ format: 'url' }), 'configMaps.config.KEY.format'],
  ['an env key with a dash', field({ env: 'A-B' }), 'configMaps.config.KEY.env'],
  ['env key __proto__', field({ env: '__proto__' }), 'configMaps.config.KEY.env'],
  ['a number in oneOf', field({ oneOf: [1] }), 'configMaps.config.KEY.oneOf.0'],
  ['an empty oneOf', field({ oneOf: [] }), 'configMaps.config.KEY.oneOf'],
  ['minLength 0', field({ minLength: 0 }), 'configMaps.config.KEY.minLength'],
  ['generate in a ConfigMap', field({ generate: true }), 'configMaps.config.KEY.generate'],
  ['a default in a Secret', secret({ default: 'x' }), 'secrets.secrets.KEY.default'],
  ['buildTime in a Secret', secret({ buildTime: true }), 'secrets.secrets.KEY.buildTime'],
  ['contexts as a text', { contexts: 'minikube' }, 'contexts'],
  ['the same context twice', { contexts: ['a', 'a'] }, 'contexts'],
  ['an external object without its kind', { external: ['registry'] }, 'external.0'],
  ['an external object of a kind that nothing mentions', { external: ['Pod/a'] }, 'external.0'],
  [
    'several faults',
    field({ default: 1, optional: 'no' }),
    'configMaps.config.KEY.default',
    'configMaps.config.KEY.optional',
  ],
] as [string, unknown, ...string[]][]) {
  invalid(`refuses ${name}`, () => {
    const found = new Set(checkSchema(data).map(({ path: steps }) => steps.join('.')));
    assert.equal([...found], paths);
  });
}

published.run();
valid.run();
invalid.run();
