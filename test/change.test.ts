import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  compareData,
  compareFields,
  type FieldChange,
  hasData,
  isSecret,
  type KeyChange,
  unifiedDiff,
  withoutData,
} from '../scripts/lib/change.ts';
import type { KubeObject } from '../scripts/lib/manifest.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');

const config = (data?: Record<string, string>): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'backend-config', namespace: 'todo' },
  ...(data ? { data } : {}),
});
const secret = (data: Record<string, string>, metadata: Record<string, unknown> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'backend-secrets', namespace: 'todo', ...metadata },
  type: 'Opaque',
  data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, base64(value)])),
});
const sealed: KubeObject = { ...secret({}), apiVersion: 'bitnami.com/v1alpha1' };

const kinds = suite('hasData');

for (const [name, object, expected] of [
  ['a ConfigMap', config(), [true, false]],
  ['a Secret', secret({}), [true, true]],
  ['a Secret of another group', sealed, [false, false]],
  ['a Service', { ...config(), kind: 'Service' }, [false, false]],
] as [string, KubeObject, boolean[]][]) {
  kinds(`${name}: ${expected}`, () => assert.equal([hasData(object), isSecret(object)], expected));
}

const data = suite('compareData');

for (const [name, before, after, expected] of [
  ['nothing', undefined, undefined, []],
  ['the same', config({ A: '1' }), config({ A: '1' }), []],
  ['a ConfigMap without data', config(), config(), []],
  [
    'a new ConfigMap',
    undefined,
    config({ B: '22', A: '' }),
    [
      { key: 'A', change: 'added', lengthAfter: 0, after: '' },
      { key: 'B', change: 'added', lengthAfter: 2, after: '22' },
    ],
  ],
  [
    'a ConfigMap that goes',
    config({ A: '1' }),
    undefined,
    [{ key: 'A', change: 'removed', lengthBefore: 1, before: '1' }],
  ],
  [
    'a value that changed',
    config({ A: '1' }),
    config({ A: '22' }),
    [{ key: 'A', change: 'changed', lengthBefore: 1, before: '1', lengthAfter: 2, after: '22' }],
  ],
  [
    'a key that went',
    config({ A: '1', B: '2' }),
    config({ B: '2' }),
    [{ key: 'A', change: 'removed', lengthBefore: 1, before: '1' }],
  ],
  [
    'a value that became empty',
    config({ A: '1' }),
    config({ A: '' }),
    [{ key: 'A', change: 'changed', lengthBefore: 1, before: '1', lengthAfter: 0, after: '' }],
  ],
  [
    'a Secret, by length alone',
    secret({ A: 'old', C: 'x' }),
    secret({ A: 'newer', B: 'x' }),
    [
      { key: 'A', change: 'changed', lengthBefore: 3, lengthAfter: 5 },
      { key: 'B', change: 'added', lengthAfter: 1 },
      { key: 'C', change: 'removed', lengthBefore: 1 },
    ],
  ],
  [
    'a Secret of characters that need several bytes',
    undefined,
    secret({ A: 'äöü' }),
    [{ key: 'A', change: 'added', lengthAfter: 3 }],
  ],
  [
    'keys that every object has a method for',
    secret({}),
    secret({ constructor: 'x', toString: 'yy' }),
    [
      { key: 'constructor', change: 'added', lengthAfter: 1 },
      { key: 'toString', change: 'added', lengthAfter: 2 },
    ],
  ],
] as [string, KubeObject | undefined, KubeObject | undefined, KeyChange[]][]) {
  data(`tells ${name}`, () => assert.equal(compareData(before, after), expected));
}

const texts = suite('unifiedDiff');

const service = (spec: Record<string, unknown>, metadata: Record<string, unknown> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'backend', ...metadata },
  spec,
});

texts('is empty where nothing differs, whatever the order of the fields', () => {
  const { apiVersion, kind, ...rest } = service({ type: 'ClusterIP', ports: [{ port: 80, name: 'http' }] });
  const turned = {
    ...rest,
    spec: { ports: [{ name: 'http', port: 80 }], type: 'ClusterIP' },
    kind,
    apiVersion,
  };
  assert.equal(
    unifiedDiff(turned as KubeObject, service({ type: 'ClusterIP', ports: [{ port: 80, name: 'http' }] })),
    [],
  );
});

texts('shows what differs with three lines around it and no file names', () => {
  assert.equal(
    unifiedDiff(
      service({ a: 1, b: 2, c: 3, port: 80, x: 1, y: 2, z: 3 }),
      service({ a: 1, b: 2, c: 3, port: 8080, x: 1, y: 2, z: 3 }),
    ),
    [
      '@@ -6,7 +6,7 @@',
      '   a: 1',
      '   b: 2',
      '   c: 3',
      '-  port: 80',
      '+  port: 8080',
      '   x: 1',
      '   y: 2',
      '   z: 3',
    ],
  );
});

texts('an empty line of a text stays in it', () => {
  const lines = unifiedDiff(service({ text: 'a\n\nb\n' }), service({ text: 'a\n\nc\n' }));
  assert.ok(lines.includes('-    b') && lines.includes('+    c'));
  assert.ok(
    lines.some((line) => line.trim() === '' && line !== ''),
    JSON.stringify(lines),
  );
});

texts('a new object is all plus, one that goes is all minus', () => {
  for (const line of unifiedDiff(undefined, service({})).slice(1)) assert.match(line, /^\+/);
  for (const line of unifiedDiff(service({}), undefined).slice(1)) assert.match(line, /^-/);
});

texts('nothing of the data of a Secret is in any line', () => {
  const canary = 'correct-horse-battery';
  const before = { ...secret({ A: canary }), stringData: { B: canary } };
  const after = secret({ A: `${canary}-2` }, { labels: { team: 'a' } });
  const shown = [
    ...unifiedDiff(before, after),
    ...unifiedDiff(undefined, after),
    ...unifiedDiff(before, undefined),
  ].join('\n');
  assert.match(shown, 'team: a');
  assert.not.match(shown, canary);
  assert.not.ok(shown.includes(base64(canary).slice(0, 12)));
  assert.not.match(
    JSON.stringify([compareFields(before, after), compareData(before, after), withoutData(after)]),
    /correct|Y29ycmVjd/,
  );
});

const fields = suite('compareFields');

for (const [name, before, after, expected] of [
  ['the same', service({ a: 1 }), service({ a: 1 }), []],
  ['a new object', undefined, service({}), []],
  ['a value', service({ a: 1 }), service({ a: 2 }), [{ path: 'spec.a', before: 1, after: 2 }]],
  [
    'an added and a removed field',
    service({ a: 1 }),
    service({ b: { c: 1 } }),
    [
      { path: 'spec.a', before: 1 },
      { path: 'spec.b', after: { c: 1 } },
    ],
  ],
  [
    'list items by their place',
    service({ ports: [{ port: 80 }, { port: 81 }] }),
    service({ ports: [{ port: 80 }, { port: 82 }, { port: 83 }] }),
    [
      { path: 'spec.ports[1].port', before: 81, after: 82 },
      { path: 'spec.ports[2]', after: { port: 83 } },
    ],
  ],
  [
    'a name with dots',
    service({}, { annotations: { 'a.b/c': 'x' } }),
    service({}, { annotations: { 'a.b/c': 'y' } }),
    [{ path: 'metadata.annotations."a.b/c"', before: 'x', after: 'y' }],
  ],
  ['another type', service({ a: [] }), service({ a: {} }), [{ path: 'spec.a', before: [], after: {} }]],
  ['another order of fields alone', service({ a: 1, b: 2 }), service({ b: 2, a: 1 }), []],
] as [string, KubeObject | undefined, KubeObject | undefined, FieldChange[]][]) {
  fields(`tells ${name}`, () => assert.equal(compareFields(before, after), expected));
}

fields('tells something exactly where the unified diff does', () => {
  const json = fc.jsonValue({ maxDepth: 3 }).map((value) => service({ value }));
  fc.assert(
    fc.property(json, json, (before, after) => {
      const normal = (object: KubeObject): KubeObject => JSON.parse(JSON.stringify(object));
      const [one, two] = [normal(before), normal(after)];
      assert.is(compareFields(one, two).length > 0, unifiedDiff(one, two).length > 0);
      assert.equal(compareFields(one, normal(one)), []);
    }),
    { numRuns: 200 },
  );
});

kinds.run();
data.run();
texts.run();
fields.run();
