import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  at,
  generatedNameOf,
  groupKindOf,
  groupOf,
  isRecord,
  keyOf,
  listAt,
  numberAt,
  parseManifests,
  type Reference,
  referenceOf,
  stringsAt,
  textAt,
  titleOf,
} from '../scripts/lib/manifest.ts';
import { kustomize } from './support/kustomize.ts';
import { deployment } from './support/objects.ts';
import { withTree } from './support/tree.ts';

const references = suite('references');

references('an object is known by group, kind, namespace and name; its version does not count', () => {
  assert.equal(referenceOf(deployment()), {
    group: 'apps',
    kind: 'Deployment',
    namespace: 'todo',
    name: 'backend',
  });
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'todo' } };
  assert.equal(referenceOf(namespace), { group: '', kind: 'Namespace', namespace: '', name: 'todo' });
});

for (const [apiVersion, kind, group, groupKind] of [
  ['v1', 'Pod', '', 'Pod'],
  ['apps/v1', 'Deployment', 'apps', 'Deployment.apps'],
  ['networking.k8s.io/v1', 'Ingress', 'networking.k8s.io', 'Ingress.networking.k8s.io'],
] as const) {
  references(`${kind} of ${apiVersion} is ${groupKind}`, () => {
    assert.is(groupOf(apiVersion), group);
    assert.is(groupKindOf({ group, kind }), groupKind);
  });
}

references('keys tell apart what differs in group, namespace or name alone', () => {
  const base: Reference = { group: '', kind: 'Event', namespace: 'a', name: 'x' };
  const all = [
    base,
    { ...base, group: 'events.k8s.io' },
    { ...base, namespace: 'b' },
    { ...base, name: 'y' },
  ];
  assert.is(new Set(all.map(keyOf)).size, 4);
  assert.is(keyOf(base), 'Event/a/x');
  assert.is(titleOf(base), 'Event/x');
});

const walking = suite('at');

const tree = { a: [{ b: 'text', n: 3, s: { x: '1', y: 2, z: null } }], empty: null };

for (const [steps, expected] of [
  [['a', 0, 'b'], 'text'],
  [['a', 1, 'b'], undefined],
  [['a', 'b'], undefined],
  [['a', 0, 'b', 'c'], undefined],
  [['empty', 'x'], undefined],
  [['a', 0, 'b', 0], undefined],
  [[], tree],
] as [(string | number)[], unknown][]) {
  walking(`finds ${JSON.stringify(expected)?.slice(0, 20)} at ${steps.join('.') || 'the root'}`, () => {
    assert.equal(at(tree, ...steps), expected);
  });
}

walking('typed readers give nothing for another type', () => {
  assert.equal([textAt(tree, 'a', 0, 'b'), textAt(tree, 'a', 0, 'n')], ['text', undefined]);
  assert.equal([numberAt(tree, 'a', 0, 'n'), numberAt(tree, 'a', 0, 'b')], [3, undefined]);
  assert.equal([listAt(tree, 'a').length, listAt(tree, 'a', 0)], [1, []]);
  assert.equal({ ...stringsAt(tree, 'a', 0, 's') }, { x: '1' });
  assert.equal({ ...stringsAt(tree, 'a') }, {});
  assert.equal([isRecord({}), isRecord([]), isRecord(null), isRecord('x')], [true, false, false, false]);
});

walking('a data key may be called like a method of every object', () => {
  const strings = stringsAt({ data: { toString: 'x' } }, 'data');
  assert.equal([strings.toString, strings.constructor, '__proto__' in strings], ['x', undefined, false]);
});

const manifests = suite('parseManifests');

const configMap = (name: string): string => `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n`;

for (const [name, text, expected] of [
  ['nothing', '', []],
  ['empty documents', '---\n---\n# only a comment\n---\nnull\n', []],
  ['one after the other', `${configMap('a')}---\n${configMap('b')}`, ['a', 'b']],
  [
    'a List',
    `apiVersion: v1\nkind: List\nitems:\n- ${configMap('a').trim().replaceAll('\n', '\n  ')}\n- ${configMap('b').trim().replaceAll('\n', '\n  ')}\n`,
    ['a', 'b'],
  ],
  [
    'a typed list in JSON',
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'ConfigMapList',
      items: [{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } }],
    }),
    ['a'],
  ],
  ['an empty List', 'apiVersion: v1\nkind: List\nitems: []\n', []],
  [
    'a kind that merely ends in List',
    'apiVersion: example.com/v1\nkind: AllowList\nmetadata: {name: a}\nspec: {}\n',
    ['a'],
  ],
  [
    'an object that the server names',
    'apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: a-}\n',
    [undefined],
  ],
] as [string, string, (string | undefined)[]][]) {
  manifests(`reads ${name}`, () => {
    assert.equal(
      parseManifests(text).map(({ metadata }) => metadata.name),
      expected,
    );
  });
}

for (const [name, text, message] of [
  ['a syntax error', `${configMap('a')}---\nsecret: [`, /^document 2 is not valid YAML \(\w+\)$/],
  ['an alias of nothing', 'a: *secret', /^document 1 is not valid YAML \(BAD_ALIAS\)$/],
  ['a text', 'secret', /^document 1 is no Kubernetes object/],
  ['a missing kind', 'apiVersion: v1\nsecret: x', /^document 1 is no Kubernetes object/],
  [
    'a missing name',
    'apiVersion: v1\nkind: Secret\ndata: {secret: x}',
    /^document 1 \(Secret\) has no metadata\.name$/,
  ],
  ['a name that is no text', 'apiVersion: v1\nkind: Secret\nmetadata: {name: 12}', /has no metadata\.name$/],
] as [string, string, RegExp][]) {
  manifests(`names the document with ${name}, never its content`, () => {
    assert.throws(
      () => parseManifests(text),
      (error: Error) => message.test(error.message) && !/secret/.test(error.message),
    );
  });
}

const hashes = suite('generatedNameOf');

/** The suffix as api/hasher/hasher.go makes it of any SHA-256. */
const suffixOf = (text: string): string =>
  [...createHash('sha256').update(text).digest('hex').slice(0, 10)]
    .map((digit) => ({ 0: 'g', 1: 'h', 3: 'k', a: 'm', e: 't' })[digit] ?? digit)
    .join('');

const generated = (kind: string, name: string, group = ''): string | undefined =>
  generatedNameOf({ group, kind, namespace: 'todo', name });

hashes('finds the name before every suffix of the algorithm', () => {
  fc.assert(
    fc.property(fc.string(), fc.constantFrom('backend-config', 'a', 'x-2m5hbd84tk', 'a.b'), (text, name) => {
      assert.is(generated('Secret', `${name}-${suffixOf(text)}`), name);
    }),
  );
});

for (const [kind, name, group, expected] of [
  ['ConfigMap', 'backend-config-2m5hbd84tk', '', 'backend-config'],
  ['Secret', 'backend-secrets-9ghkt42c7f', '', 'backend-secrets'],
  ['Secret', 'backend-secrets', '', undefined],
  ['Secret', 'backend-secrets-9ghkt42c7', '', undefined],
  ['Secret', 'backend-secrets-9ghkt42c7ff', '', undefined],
  // 0, 1, 3, a and e never stand in a suffix.
  ['Secret', 'backend-secrets-0ghkt42c7f', '', undefined],
  ['Secret', 'backend-secrets-deployment', '', undefined],
  ['Secret', '-9ghkt42c7f', '', undefined],
  ['ConfigMap', 'kube-root-ca.crt', '', undefined],
  ['Deployment', 'backend-2m5hbd84tk', 'apps', undefined],
  ['Secret', 'backend-secrets-9ghkt42c7f', 'example.com', undefined],
  ['ServiceAccount', 'backend-2m5hbd84tk', '', undefined],
] as [string, string, string, string | undefined][]) {
  hashes(`${group ? `${kind}.${group}` : kind}/${name}: ${expected}`, () => {
    assert.is(generated(kind, name, group), expected);
  });
}

hashes('finds it in the names that kustomize really makes', () => {
  const names = Array.from({ length: 60 }, (_, index) => `config-${index}`);
  const generator = (kind: string): unknown[] =>
    names.map((name, index) => ({ name, literals: index === 0 ? [] : [`KEY=${kind}-${index}`] }));
  const kustomization = {
    configMapGenerator: generator('config'),
    secretGenerator: [
      ...generator('secret'),
      { name: 'tls', type: 'kubernetes.io/tls', literals: ['tls.crt=x', 'tls.key=y'] },
    ],
  };
  return withTree({ 'kustomization.yaml': JSON.stringify(kustomization) }, async (root) => {
    const { stdout } = await kustomize(root);
    const found = parseManifests(stdout).map((object) =>
      [object.kind, generatedNameOf(referenceOf(object))].join(' '),
    );
    assert.equal(
      found.sort(),
      [
        ...names.map((name) => `ConfigMap ${name}`),
        ...names.map((name) => `Secret ${name}`),
        'Secret tls',
      ].sort(),
    );
  });
});

references.run();
walking.run();
manifests.run();
hashes.run();
