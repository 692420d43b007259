import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf, expectedOf, movementOf } from '../scripts/lib/digest.ts';
import type { KubeObject, ManagedFields } from '../scripts/lib/manifest.ts';
import { deployment, owned, strataEntry } from './support/objects.ts';

const statusEntry = (time: string): ManagedFields => ({
  manager: 'kube-controller-manager',
  operation: 'Update',
  subresource: 'status',
  time,
  fieldsV1: {
    'f:metadata': { 'f:annotations': { '.': {}, 'f:deployment.kubernetes.io/revision': {} } },
    'f:status': { 'f:replicas': {} },
  },
});

const editor: ManagedFields = {
  manager: 'kubectl-edit',
  operation: 'Update',
  time: '2026-03-02T10:00:00Z',
  fieldsV1: {
    'f:spec': {
      'f:template': { 'f:spec': { 'f:containers': { 'k:{"name":"backend"}': { 'f:image': {} } } } },
    },
  },
};

const changed = (object: KubeObject, parts: Partial<KubeObject>): KubeObject => ({
  ...object,
  ...parts,
  metadata: { ...object.metadata, ...parts.metadata },
});

const live = deployment({ metadata: { annotations: {} } });
const metadata = (parts: Partial<KubeObject['metadata']>): Partial<KubeObject> => ({
  metadata: { ...live.metadata, ...parts },
});

const digest = suite('digestOf');

const same: [string, Partial<KubeObject>][] = [
  ['status', { status: { replicas: 7 } }],
  ['resourceVersion', metadata({ resourceVersion: '4712' })],
  ['generation, for custom resources count their status', metadata({ generation: 9 })],
  [
    'the entry of a status writer',
    metadata({ managedFields: [strataEntry, statusEntry('2027-01-01T00:00:00Z')] }),
  ],
  [
    'an annotation that only a status writer holds',
    metadata({
      annotations: { 'deployment.kubernetes.io/revision': '4' },
      managedFields: [strataEntry, statusEntry('2027-01-01T00:00:00Z')],
    }),
  ],
  [
    'a status written as a whole',
    metadata({
      managedFields: [
        strataEntry,
        { manager: 'operator', operation: 'Update', fieldsV1: { 'f:status': { '.': {}, 'f:phase': {} } } },
      ],
    }),
  ],
];
for (const [title, parts] of same) {
  digest(`does not move with ${title}`, () => {
    assert.is(digestOf(changed(live, parts)), digestOf(live));
  });
}

const other: [string, Partial<KubeObject>][] = [
  ['spec', { spec: { replicas: 3 } }],
  ['uid', metadata({ uid: 'another' })],
  ['a label', metadata({ labels: { team: 'a' } })],
  ['an annotation', metadata({ annotations: { 'deployment.kubernetes.io/revision': '4' } })],
  ['a finalizer', metadata({ finalizers: ['a/b'] })],
  ['who holds what', metadata({ managedFields: [strataEntry, editor] })],
  ['the scale subresource', metadata({ managedFields: [strataEntry, { ...editor, subresource: 'scale' }] })],
];
for (const [title, parts] of other) {
  digest(`moves with ${title}`, () => assert.is.not(digestOf(changed(live, parts)), digestOf(live)));
}

digest('does not depend on the order of fields or of managers', () => {
  const { spec, ...rest } = live;
  const turned = {
    spec: Object.fromEntries(Object.entries(spec as object).reverse()),
    ...rest,
    metadata: { ...live.metadata, managedFields: [...live.metadata.managedFields!].reverse() },
  } as KubeObject;
  assert.is(digestOf(turned), digestOf(live));
});

digest('of a Secret does not depend on its values, which could be guessed, but on its version', () => {
  const secret = (value: string, resourceVersion: string): KubeObject =>
    owned('v1', 'Secret', 's', {
      data: { pin: Buffer.from(value).toString('base64') },
      metadata: { resourceVersion },
    });
  assert.is(digestOf(secret('1234', '7')), digestOf(secret('9999', '7')));
  assert.is.not(digestOf(secret('1234', '7')), digestOf(secret('1234', '8')));
});

const movement = suite('movementOf');

const expected = expectedOf(live);

movement('is none when only a status moved', () => {
  assert.is(movementOf(expected, changed(live, { status: {} })), undefined);
  assert.is(movementOf(undefined, undefined), undefined);
});

movement('names what happened, the manager, the time and its fields', () => {
  const withEditor = metadata({ managedFields: [...live.metadata.managedFields!, editor] });
  assert.equal(
    [
      movementOf(expected, undefined),
      movementOf(undefined, changed(live, withEditor)),
      movementOf(expected, changed(live, { metadata: { ...live.metadata, uid: 'another' } })),
      movementOf(expected, changed(live, { spec: {}, ...withEditor })),
      movementOf(expected, changed(live, { spec: {} })),
      movementOf(expected, changed(live, metadata({ deletionTimestamp: '2026-03-02T10:00:00Z' }))),
    ],
    [
      'was deleted',
      'was created by kubectl-edit at 2026-03-02T10:00:00Z',
      'was deleted and created again by strata at 2026-03-01T10:00:00Z',
      'was changed by kubectl-edit at 2026-03-02T10:00:00Z, who holds spec.template.spec.containers[backend].image',
      'was changed, by someone who only took fields away: those leave no name',
      'is being deleted since 2026-03-02T10:00:00Z',
    ],
  );
});

movement('who scales has no time', () => {
  const scaler: ManagedFields = {
    manager: 'kubectl',
    operation: 'Update',
    subresource: 'scale',
    fieldsV1: { 'f:spec': { 'f:replicas': {} } },
  };
  const scaled = changed(live, { spec: {}, ...metadata({ managedFields: [strataEntry, scaler] }) });
  assert.is(movementOf(expected, scaled), 'was changed by kubectl, who holds spec.replicas');
  assert.is(
    movementOf(expectedOf(scaled), changed(scaled, { spec: { replicas: 7 } })),
    'was changed, maybe by kubectl: the server notes no time for it',
  );
});

movement('of replicas is none where an autoscaler sets them', () => {
  const scaled = (replicas: number, annotations: Record<string, string>): KubeObject =>
    changed(live, { spec: { ...(live.spec as object), replicas }, ...metadata({ annotations }) });
  const marked = { 'strata.dev/autoscaled': 'true' };
  assert.is(movementOf(expectedOf(scaled(3, marked)), scaled(4, marked)), undefined);
  assert.match(movementOf(expectedOf(scaled(3, {})), scaled(4, {}))!, /^was changed/);
  const paused = changed(scaled(4, marked), { spec: { ...(live.spec as object), paused: true } });
  assert.match(movementOf(expectedOf(scaled(3, marked)), paused)!, /^was changed/);
});

movement('takes digests of another kind', () => {
  const keyed = { ...expected, digest: 'keyed' };
  assert.is(
    movementOf(keyed, live, () => 'keyed'),
    undefined,
  );
  assert.match(movementOf(keyed, live, () => 'other')!, /^was changed/);
});

digest.run();
movement.run();
