import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  applyEntry,
  inventoryLabel,
  inventoryOf,
  isControlled,
  isOwned,
  managersOf,
  memberSelector,
  overlaySelector,
  ownedFields,
  parentName,
  parentObject,
  readParent,
} from '../scripts/lib/inventory.ts';
import type { KubeObject, ManagedFields } from '../scripts/lib/manifest.ts';
import {
  deployment,
  endpointSlice,
  endpoints,
  inventory,
  owned,
  partOf,
  pod,
  strataEntry,
} from './support/objects.ts';

const identity = suite('inventoryOf');

identity('the id is that of the ApplySet specification for a ConfigMap', () => {
  const digest = createHash('sha256').update('strata-minikube.todo.ConfigMap.').digest('base64');
  const encoded = digest.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
  assert.equal(inventory, {
    id: `applyset-${encoded}-v1`,
    name: 'strata-minikube',
    namespace: 'todo',
    overlay: 'minikube',
  });
});

identity('the id is a valid label value and differs by overlay and namespace', () => {
  const ids = [inventoryOf('dev', 'todo'), inventoryOf('dev', 'todo-2'), inventoryOf('dev2', 'todo')].map(
    ({ id }) => id,
  );
  assert.is(new Set(ids).size, 3);
  for (const id of ids) assert.match(id, /^[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/);
});

identity('selectors name the label and its value', () => {
  assert.is(memberSelector(inventory), `applyset.kubernetes.io/part-of=${inventory.id}`);
  assert.is(overlaySelector('minikube'), 'strata.dev/overlay=minikube');
  assert.is(parentName('minikube'), 'strata-minikube');
});

const parent = suite('inventory parent');

const state = { groupKinds: ['Service', 'Deployment.apps', 'Service'], appliedAt: '2026-03-01T10:00:00Z' };

parent('is an ApplySet parent of tooling strata with sorted kinds, each once', () => {
  assert.equal(parentObject(inventory, state, '0.1.0'), {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: 'strata-minikube',
      namespace: 'todo',
      labels: { 'applyset.kubernetes.io/id': inventory.id, 'strata.dev/overlay': 'minikube' },
      annotations: {
        'applyset.kubernetes.io/tooling': 'strata/v0.1.0',
        'applyset.kubernetes.io/contains-group-kinds': 'Deployment.apps,Service',
        'strata.dev/applied-at': '2026-03-01T10:00:00Z',
      },
    },
  });
});

parent('is no member of itself', () => {
  assert.not.ok(inventoryLabel in parentObject(inventory, state, '0.1.0').metadata.labels!);
});

parent('is read back as it was written', () => {
  for (const written of [
    { groupKinds: ['Deployment.apps', 'Service'], appliedAt: state.appliedAt },
    { groupKinds: [], appliedAt: undefined },
  ])
    assert.equal(readParent(inventory, parentObject(inventory, written, '9.9.9')), written);
});

const written = parentObject(inventory, state, '0.1.0');
const changed = (labels: Record<string, string>, annotations: Record<string, string>): KubeObject => ({
  ...written,
  metadata: {
    ...written.metadata,
    labels: { ...written.metadata.labels, ...labels },
    annotations: { ...written.metadata.annotations, ...annotations },
  },
});

for (const [name, object] of [
  ['another tool', changed({}, { 'applyset.kubernetes.io/tooling': 'kubectl/v1.36.4' })],
  ['a tool whose name begins alike', changed({}, { 'applyset.kubernetes.io/tooling': 'stratagem/v1' })],
  ['another id', changed({ 'applyset.kubernetes.io/id': inventoryOf('dev', 'todo').id }, {})],
  [
    'no labels and annotations at all',
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'strata-minikube' } },
  ],
] as [string, KubeObject][]) {
  parent(`of ${name} is not ours`, () => assert.is(readParent(inventory, object), undefined));
}

const owning = suite('isOwned');

const entries = (...managedFields: ManagedFields[]): KubeObject =>
  owned('v1', 'ConfigMap', 'x', { metadata: { managedFields } });

for (const [name, object, expected] of [
  ['what strata applied', deployment(), true],
  [
    'what strata applied and others wrote to as well',
    entries({ manager: 'kubectl-edit', operation: 'Update' }, strataEntry),
    true,
  ],
  ['an EndpointSlice with the labels of its Service', endpointSlice, false],
  ['Endpoints with the labels of their Service', endpoints, false],
  ['a Pod of an owned Deployment', pod('x', 'y'), false],
  [
    'a copy with the label and without an Apply entry',
    entries({ manager: 'kubectl-create', operation: 'Update' }),
    false,
  ],
  ['what strata once updated, but never applied', entries({ manager: 'strata', operation: 'Update' }), false],
  ['what strata applied to a subresource alone', entries({ ...strataEntry, subresource: 'scale' }), false],
  ['what another manager applied', entries({ ...strataEntry, manager: 'argocd-controller' }), false],
  [
    'what a controller took over',
    owned('v1', 'ConfigMap', 'x', {
      metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'X', name: 'x', uid: 'u', controller: true }] },
    }),
    false,
  ],
  [
    'what somebody refers to as its owner, without controlling it',
    owned('v1', 'ConfigMap', 'x', {
      metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'X', name: 'x', uid: 'u' }] },
    }),
    true,
  ],
  [
    'an object of another inventory',
    owned('v1', 'ConfigMap', 'x', {
      metadata: { labels: { [inventoryLabel]: inventoryOf('dev', 'todo').id } },
    }),
    false,
  ],
  ['an object without labels', owned('v1', 'ConfigMap', 'x', { metadata: { labels: undefined } }), false],
  [
    'an object without managed fields',
    owned('v1', 'ConfigMap', 'x', { metadata: { managedFields: undefined } }),
    false,
  ],
] as [string, KubeObject, boolean][]) {
  owning(`${name}: ${expected}`, () => assert.is(isOwned(inventory, object), expected));
}

owning('a controller is an owner that says so', () => {
  assert.equal(
    [isControlled(endpointSlice), isControlled(endpoints), isControlled(deployment())],
    [true, false, false],
  );
});

const fields = suite('managed fields');

fields('managers are named once, without those of subresources', () => {
  assert.equal(
    managersOf(
      entries(
        { manager: 'helm' },
        { manager: 'kubectl-edit' },
        { manager: 'helm' },
        { manager: 'kubelet', subresource: 'status' },
        {},
      ),
    ),
    ['helm', 'kubectl-edit'],
  );
  assert.equal(managersOf({ apiVersion: 'v1', kind: 'X', metadata: { name: 'x' } }), []);
});

fields('the set of fields compares alike in whatever order the server writes it', () => {
  const one = { 'f:metadata': { 'f:labels': { 'f:a': {}, 'f:b': {} } }, 'f:spec': {} };
  const two = { 'f:spec': {}, 'f:metadata': { 'f:labels': { 'f:b': {}, 'f:a': {} } } };
  const less = { 'f:spec': {}, 'f:metadata': { 'f:labels': { 'f:b': {} } } };
  const of = (fieldsV1: Record<string, unknown>): string =>
    ownedFields(entries({ ...strataEntry, fieldsV1 }));
  assert.is(of(one), of(two));
  assert.is.not(of(one), of(less));
  assert.is(ownedFields(entries()), 'null');
});

fields('the entry of strata is found among others', () => {
  assert.is(applyEntry(entries({ manager: 'helm', operation: 'Apply' }, strataEntry)), strataEntry);
  assert.is(partOf[inventoryLabel], inventory.id);
});

identity.run();
parent.run();
owning.run();
fields.run();
