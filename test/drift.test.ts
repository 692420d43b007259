import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compareData, compareFields } from '../scripts/lib/change.ts';
import { authorOf } from '../scripts/lib/drift.ts';
import type { Step } from '../scripts/lib/fields.ts';
import type { KubeObject, ManagedFields } from '../scripts/lib/manifest.ts';
import { withoutNoise } from '../scripts/lib/plan.ts';
import { owned } from './support/objects.ts';

const entry = (manager: string, fieldsV1: Record<string, unknown>, parts: Partial<ManagedFields> = {}) => ({
  manager,
  operation: 'Update',
  time: '2026-03-02T10:00:00Z',
  fieldsV1,
  ...parts,
});

const container = { 'k:{"name":"web"}': { 'f:image': {} } };
const strata = entry(
  'strata',
  { 'f:spec': { 'f:paused': {}, 'f:shared': {} }, 'f:data': { 'f:ours': {} } },
  { operation: 'Apply' },
);
const live = owned('v1', 'ConfigMap', 'settings', {
  spec: { replicas: 3, paused: true, shared: 1, containers: [{ name: 'web', image: 'web:9' }], odd: 1 },
  data: { ours: 'a', theirs: 'b' },
  status: { seen: 1 },
  metadata: {
    managedFields: [
      strata,
      entry('old', { 'f:spec': { 'f:containers': container } }, { time: '2026-03-01T09:00:00Z' }),
      entry('kubectl-edit', {
        'f:spec': { 'f:containers': container, 'f:shared': {} },
        'f:data': { 'f:theirs': {} },
      }),
      entry('kubectl', { 'f:spec': { 'f:replicas': {} } }, { subresource: 'scale', time: undefined }),
      entry('controller', { 'f:spec': { 'f:odd': {} } }, { subresource: 'status' }),
    ] as ManagedFields[],
  },
});

const editor = { manager: 'kubectl-edit', time: '2026-03-02T10:00:00Z' };

const author = suite('authorOf');

for (const [steps, expected] of [
  [['spec', 'paused'], undefined],
  [['spec', 'shared'], undefined],
  [['spec', 'containers', 0, 'image'], editor],
  [['spec', 'replicas'], { manager: 'kubectl' }],
  [['spec', 'odd'], undefined],
  [['spec', 'nobody'], undefined],
  [['data', 'ours'], undefined],
  [['data', 'theirs'], editor],
] as [Step[], unknown][]) {
  author(`${steps.join('.')}: ${JSON.stringify(expected) ?? 'ours, or not known'}`, () =>
    assert.equal(authorOf(live, steps), expected),
  );
}

author('stands beside each change, and not beside what is not there yet', () => {
  const wanted: KubeObject = {
    ...live,
    spec: { replicas: 1, paused: false, containers: [{ name: 'web', image: 'web:1' }], fresh: 1 },
    data: { ours: 'c', theirs: 'd', fresh: 'e' },
  };
  const find = (steps: readonly Step[]) => authorOf(live, steps);
  const fields = compareFields(withoutNoise(live), withoutNoise(wanted), find);
  assert.equal(fields.map(({ path, changedBy }) => [path, changedBy?.manager]).sort(), [
    ['spec.containers[0].image', 'kubectl-edit'],
    ['spec.fresh', undefined],
    ['spec.odd', undefined],
    ['spec.paused', undefined],
    ['spec.replicas', 'kubectl'],
    ['spec.shared', undefined],
  ]);
  assert.equal(
    compareData(live, wanted, find).map(({ key, changedBy }) => [key, changedBy]),
    [
      ['fresh', undefined],
      ['ours', undefined],
      ['theirs', editor],
    ],
  );
});

author.run();
