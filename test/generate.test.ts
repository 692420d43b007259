import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  expandImageOverrides,
  type GenerateInput,
  generateFiles,
  type ImageOverride,
  parseImageOverride,
} from '../scripts/lib/generate.ts';
import { thrown } from './support/assertions.ts';

const input: GenerateInput = {
  folder: '/tree/.strata/run-1-abc',
  overlayFolder: '/tree/overlays/minikube',
  namespace: 'todo',
  inventoryId: 'applyset-x-v1',
  objects: [
    {
      kind: 'ConfigMap',
      name: 'backend-config',
      data: new Map([
        ['ENVIRONMENT', 'development'],
        ['APP_NAME', ''],
      ]),
    },
    { kind: 'Secret', name: 'backend-secrets', data: new Map([['jwt-secret', 'a=b\n"c" 🚀\r\n']]) },
    { kind: 'ConfigMap', name: 'empty', data: new Map() },
  ],
  images: [{ name: 'todo-backend', newName: 'todo-backend', newTag: 'a1b2c3' }],
};

const kustomizationOf = (files: ReadonlyMap<string, string>): Record<string, unknown> =>
  JSON.parse(files.get('kustomization.yaml')!);

const generating = suite('generateFiles');

generating('writes a kustomization over the overlay with generators, label and images', () => {
  assert.equal(kustomizationOf(generateFiles(input)), {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: ['../../overlays/minikube'],
    labels: [{ pairs: { 'applyset.kubernetes.io/part-of': 'applyset-x-v1' }, includeSelectors: false }],
    configMapGenerator: [
      {
        name: 'backend-config',
        namespace: 'todo',
        files: [
          'ENVIRONMENT=values/configmap.backend-config/0.ENVIRONMENT',
          'APP_NAME=values/configmap.backend-config/1.APP_NAME',
        ],
      },
      { name: 'empty', namespace: 'todo', files: [] },
    ],
    secretGenerator: [
      {
        name: 'backend-secrets',
        namespace: 'todo',
        type: 'Opaque',
        files: ['jwt-secret=values/secret.backend-secrets/0.jwt-secret'],
      },
    ],
    images: [{ name: 'todo-backend', newName: 'todo-backend', newTag: 'a1b2c3' }],
  });
});

generating('writes each value to a file of its own, byte for byte', () => {
  const { 'kustomization.yaml': _, ...values } = Object.fromEntries(generateFiles(input));
  assert.equal(values, {
    'values/configmap.backend-config/0.ENVIRONMENT': 'development',
    'values/configmap.backend-config/1.APP_NAME': '',
    'values/secret.backend-secrets/0.jwt-secret': 'a=b\n"c" 🚀\r\n',
  });
});

generating('no value stands in the kustomization itself', () => {
  const text = generateFiles(input).get('kustomization.yaml')!;
  assert.not.match(text, 'development');
  assert.not.match(text, '🚀');
  assert.not.match(text, /"(envs|literals|env)"/);
});

generating('keys that differ in case alone have files that differ where case does not count', () => {
  const data = new Map([
    ['key', '1'],
    ['KEY', '2'],
  ]);
  const names = [...generateFiles({ ...input, objects: [{ kind: 'Secret', name: 's', data }] }).keys()];
  assert.is(new Set(names.map((name) => name.toLowerCase())).size, 3);
});

generating('the longest data key still makes a file name that every file system takes', () => {
  const data = new Map(Array.from({ length: 1001 }, (_, index) => [`${index}`.padEnd(253, 'k'), 'x']));
  const files = generateFiles({ ...input, objects: [{ kind: 'Secret', name: 's', data }] });
  const segments = [...files.keys()].flatMap((name) => name.split('/'));
  assert.ok(Math.max(...segments.map((segment) => segment.length)) <= 255);
  assert.is(files.size, 1002);
});

const images = suite('parseImageOverride');

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;

for (const [text, expected] of [
  [
    'todo-frontend=todo-frontend:a1b2c3',
    { name: 'todo-frontend', newName: 'todo-frontend', newTag: 'a1b2c3' },
  ],
  [
    'a=registry.example:5000/team/app:1.2.3',
    { name: 'a', newName: 'registry.example:5000/team/app', newTag: '1.2.3' },
  ],
  ['registry/a=b:1', { name: 'registry/a', newName: 'b', newTag: '1' }],
  [`a=b@${digest}`, { name: 'a', newName: 'b', digest }],
  [`a=localhost:5000/b@${digest}`, { name: 'a', newName: 'localhost:5000/b', digest }],
  [`a=b:1.0@${digest}`, { name: 'a', newName: 'b', newTag: '1.0', digest }],
  [`a=b:latest@${digest}`, { name: 'a', newName: 'b', newTag: 'latest', digest }],
  [`a=b:${'t'.repeat(128)}`, { name: 'a', newName: 'b', newTag: 't'.repeat(128) }],
] as [string, ImageOverride][]) {
  images(`reads ${text.slice(0, 60)}`, () => assert.equal(parseImageOverride(text), expected));
}

for (const text of [
  '',
  'a',
  'a=',
  '=b:1',
  'a=b',
  'a=b:',
  'a=localhost:5000/b',
  'a=b@sha256:123',
  `a=b@${digest}0`,
  'a=b@md5:x',
  'a=b c:1',
  'a=b=c:1',
  `a=b:${'t'.repeat(129)}`,
  'a=b:1\n',
]) {
  images(`refuses ${JSON.stringify(text.slice(0, 60))}`, () => {
    const error = thrown(() => parseImageOverride(text));
    assert.equal(
      [error.code, error.hint],
      ['USAGE', 'write it like --image todo-frontend=todo-frontend:a1b2c3'],
    );
    assert.match(error.message, 'is not NAME=REPOSITORY:TAG');
  });
}

images('refuses the tag latest, which does not say what runs', () => {
  const error = thrown(() => parseImageOverride('a=b:latest'));
  assert.equal([error.code, error.hint], ['USAGE', 'give each build a tag of its own']);
});

const expanding = suite('expandImageOverrides');

const override: ImageOverride = { name: 'todo-backend', newName: 'todo-backend', newTag: '2' };

for (const [name, renames, expected] of [
  ['an image that the tree leaves alone', [], ['todo-backend']],
  [
    'an image that the tree renames',
    [['todo-backend', 'registry/backend']],
    ['todo-backend', 'registry/backend'],
  ],
  ['an image whose tag alone the tree sets', [['todo-backend', 'todo-backend']], ['todo-backend']],
  ['another image that the tree renames', [['todo-frontend', 'registry/frontend']], ['todo-backend']],
  [
    'an image that the base and then the overlay rename',
    [
      ['todo-backend', 'ghcr.io/backend'],
      ['ghcr.io/backend', 'registry/backend'],
    ],
    ['todo-backend', 'ghcr.io/backend', 'registry/backend'],
  ],
  [
    'images renamed in a circle',
    [
      ['todo-backend', 'b'],
      ['b', 'todo-backend'],
    ],
    ['todo-backend', 'b'],
  ],
] as [string, [string, string][], string[]][]) {
  expanding(`matches ${name}`, () => {
    assert.equal(
      expandImageOverrides([override], new Map(renames)),
      expected.map((match) => ({ ...override, name: match })),
    );
  });
}

generating.run();
images.run();
expanding.run();
