import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KubeObject } from '../scripts/lib/manifest.ts';
import { diskTreeFiles, readLayers } from '../scripts/lib/overlay.ts';
import { idlePatches, placeOfPatch } from '../scripts/lib/patches.ts';
import { withTree } from './support/tree.ts';

const object = (kind: string, name: string): KubeObject => ({
  apiVersion: kind === 'Deployment' ? 'apps/v1' : 'v1',
  kind,
  metadata: { name },
});
const objects = [
  object('Deployment', 'backend'),
  object('Service', 'frontend'),
  object('ConfigMap', 'settings-2456789bcd'),
];

const find = (target: string, more = '', files: Record<string, string> = {}) =>
  withTree(
    {
      'overlays/dev/kustomization.yaml': `resources: [../../base]\npatches:\n  - path: p.yaml\n    target: ${target}\n${more}`,
      'overlays/dev/p.yaml': '- {op: remove, path: /spec/replicas}\n',
      'base/kustomization.yaml': 'resources: [all.yaml]\n',
      'base/all.yaml': 'fieldPath: metadata.name\n',
      ...files,
    },
    async (root) => {
      const tree = diskTreeFiles(root);
      return idlePatches(tree, await readLayers(tree, 'overlays/dev'), objects);
    },
  );

const idle = suite('idlePatches');

for (const [target, message] of [
  ['{kind: Deployment, name: nope}', 'no object matches Deployment/nope'],
  [
    '{kind: Deployment, name: bakend}',
    'no object matches Deployment/bakend, did you mean Deployment/backend?',
  ],
  [
    '{kind: deployment, name: backend}',
    'no object matches deployment/backend, did you mean Deployment/backend?',
  ],
  [
    '{kind: ConfigMap, name: setting}',
    'no object matches ConfigMap/setting, did you mean ConfigMap/settings?',
  ],
  [
    '{version: v1, kind: Service, name: backend, namespace: n}',
    'no object matches Service/backend, did you mean Deployment/backend?',
  ],
] as const) {
  idle(`warns of ${target}`, async () => {
    const place = { file: 'overlays/dev/kustomization.yaml', line: 3 };
    assert.equal(await find(target), [{ severity: 'warning', ...place, subject: 'patches[0]', message }]);
  });
}

idle('warns of one in a component, with its place', async () => {
  const component =
    'kind: Component\npatchesJson6902:\n  - patch: "[]"\n    target: {kind: Deployment, name: nope}\n';
  const found = await find('{kind: Deployment, name: backend}', 'components: [../../components/c]\n', {
    'components/c/kustomization.yaml': component,
  });
  assert.equal(
    found.map(({ file, line, subject }) => [file, line, subject]),
    [['components/c/kustomization.yaml', 3, 'patchesJson6902[0]']],
  );
});

for (const target of [
  '{kind: Deployment, name: backend}',
  '{kind: ConfigMap, name: settings}',
  '{kind: ConfigMap, name: settings-2456789bcd}',
  '{kind: Deployment}',
  '{name: nope}',
  '{kind: Deployment, name: "no.*"}',
  '{kind: Deployment, name: nope|no}',
  '{kind: "Deploy.*", name: nope}',
  '{kind: Deployment, name: nope, labelSelector: a=b}',
  '{kind: Deployment, name: nope, annotationSelector: "!a"}',
  'null',
  '[]',
]) {
  idle(`is silent about ${target}`, async () => assert.equal(await find(target), []));
}

const wrong = '{kind: Deployment, name: nope}';
for (const [what, more, files] of [
  ['a prefix', 'namePrefix: a-\n', {}],
  ['a suffix below', '', { 'base/kustomization.yaml': 'resources: [all.yaml]\nnameSuffix: -a\n' }],
  ['a transformer', 'transformers: [t.yaml]\n', {}],
  ['a patch that removes', '', { 'overlays/dev/p.yaml': '$patch: delete\n' }],
  [
    'a patch that renames',
    '',
    { 'overlays/dev/p.yaml': '- {op: replace, path: /metadata/name, value: b}\n' },
  ],
  ['an inline patch that removes', 'patchesStrategicMerge:\n  - |\n    a: 1\n    $patch: delete\n', {}],
  [
    'a replacement of a name',
    'replacements: [{path: r.yaml}]\n',
    { 'overlays/dev/r.yaml': '- metadata.name\n' },
  ],
  ['an object that is not printed', '', { 'base/all.yaml': 'config.kubernetes.io/local-config: "true"\n' }],
  ['what is fetched', 'components: [https://example.com/a//b]\n', {}],
] as const) {
  idle(`is silent where there is ${what}`, async () => {
    assert.is((await find(wrong)).length, 1);
    assert.equal(await find(wrong, more, files), []);
  });
}

const placing = suite('placeOfPatch');

const patch = (name: string): string => `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: ${name}}\n`;

for (const [what, kustomization, line] of [
  ['in a file', 'patches:\n  - path: other.yaml\n  - path: p.yaml\n', 3],
  ['inline', 'patches:\n  - patch: "{kind: Deployment, metadata: {name: nope}}"\n', 2],
  ['in the old field', 'patchesStrategicMerge:\n  - other.yaml\n  - p.yaml\n', 3],
  [
    'inline in the old field',
    'patchesStrategicMerge:\n  - |\n    kind: Deployment\n    metadata: {name: nope}\n',
    2,
  ],
  ['nowhere', 'patches: [{path: other.yaml}, {path: gone.yaml}, {patch: "{"}, 7]\n', undefined],
] as const) {
  placing(`finds it ${what}`, () => {
    const files = {
      'overlays/dev/kustomization.yaml': 'components: [../../c]\n',
      'c/kustomization.yaml': kustomization,
      'c/p.yaml': `${patch('first')}---\n${patch('nope')}`,
      'c/other.yaml': patch('other'),
    };
    return withTree(files, async (root) =>
      assert.equal(
        await placeOfPatch(diskTreeFiles(root), 'overlays/dev', { kind: 'Deployment', name: 'nope' }),
        line && { file: 'c/kustomization.yaml', line },
      ),
    );
  });
}

idle.run();
placing.run();
