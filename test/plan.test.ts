import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inventoryLabel, inventoryOf } from '../scripts/lib/inventory.ts';
import type { DryRun } from '../scripts/lib/live.ts';
import { type KubeObject, keyOf, referenceOf } from '../scripts/lib/manifest.ts';
import {
  countActions,
  makePlan,
  type Objection,
  objectionsTo,
  type Plan,
  type PlanInput,
  surplusOf,
  withoutNoise,
} from '../scripts/lib/plan.ts';
import { usersOf } from '../scripts/lib/references.ts';
import type { Manifest } from '../scripts/lib/render.ts';
import {
  complete,
  deployment,
  endpointSlice,
  endpoints,
  failed,
  inventory,
  job,
  owned,
  partOf,
  pod,
  replicaSet,
  strataEntry,
} from './support/objects.ts';

interface Row {
  /** What is rendered, and what the server would make of it. */
  rendered: KubeObject;
  dryRun?: DryRun;
}

/** The manifest of a live object: what a person wrote of it. */
function manifestOf(object: KubeObject): Manifest {
  const { apiVersion, kind, metadata, spec, data } = object;
  const { name, namespace, labels } = metadata;
  const written = {
    apiVersion,
    kind,
    metadata: { name, ...(namespace ? { namespace } : {}), labels },
    spec,
    data,
  };
  const json: KubeObject = JSON.parse(JSON.stringify(written));
  return { object: json, text: JSON.stringify(json) };
}

interface Cluster {
  members?: KubeObject[];
  /** Live objects that are not members. */
  others?: KubeObject[];
  users?: KubeObject[];
  parent?: boolean;
}

function inputOf(
  rows: readonly Row[],
  { members = [], others = [], users = [], parent = true }: Cluster = {},
): PlanInput {
  const parentState = {
    state: { groupKinds: [], appliedAt: undefined },
    object: owned('v1', 'ConfigMap', 'strata-minikube'),
  };
  return {
    inventory,
    manifests: rows.map(({ rendered }) => manifestOf(rendered)),
    state: {
      discovery: { find: () => undefined, preferred: () => undefined, all: () => [], stale: [] },
      namespace: owned('v1', 'Namespace', 'todo'),
      parent: parent ? parentState : undefined,
      history: [],
      members,
    },
    live: new Map([...members, ...others].map((object) => [keyOf(referenceOf(object)), object])),
    dryRuns: rows.map(({ rendered, dryRun }) => dryRun ?? { outcome: 'accepted', object: rendered }),
    adopt: false,
    users: usersOf(users.map((object) => ({ reference: referenceOf(object), object }))),
  };
}

const shown = (plan: Plan): string[] =>
  plan.objects.map(({ action, reference }) => `${action} ${reference.kind}/${reference.name}`);

const config = (
  hash: string,
  data: Record<string, string>,
  metadata: Record<string, unknown> = {},
): KubeObject => owned('v1', 'ConfigMap', `backend-config-${hash}`, { metadata, data });

const [hashA, hashB, hashC] = ['2m5hbd84tk', 'ghkmt24567', '9b9b9b9b9b'];

const noise = suite('withoutNoise');

noise('leaves what a person means', () => {
  const live = deployment({
    metadata: {
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{"data":"secret"}', team: 'a' },
    },
  });
  assert.equal(withoutNoise(live), {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'backend', namespace: 'todo', labels: partOf, annotations: { team: 'a' } },
    spec: live.spec,
  });
  assert.ok(live.status, 'the object given stays as it was');
  assert.is(live.metadata.uid, 'uid-of-deployment-backend');
});

noise('keeps owners, finalizers and the time of deletion', () => {
  const live = owned('v1', 'X', 'x', {
    metadata: { finalizers: ['a/b'], deletionTimestamp: '2026-03-01T10:00:00Z', ownerReferences: [] },
  });
  assert.equal(Object.keys(withoutNoise(live).metadata).sort(), [
    'deletionTimestamp',
    'finalizers',
    'labels',
    'name',
    'namespace',
    'ownerReferences',
  ]);
});

const actions = suite('makePlan');

actions('nothing rendered and nothing there is clean', () => {
  assert.equal(makePlan(inputOf([])), { objects: [], inventoryIsMissing: false, isChanged: false });
});

actions('what is not there is created, and the plan is changed', () => {
  const plan = makePlan(inputOf([{ rendered: deployment() }]));
  assert.equal([shown(plan), plan.isChanged], [['create Deployment/backend'], true]);
  const [planned] = plan.objects;
  assert.equal([planned!.before, planned!.uid, planned!.replaces], [undefined, undefined, undefined]);
  assert.equal(planned!.after, withoutNoise(deployment()));
});

actions('what the server would hold as it does is unchanged, and the plan is clean', () => {
  const live = deployment();
  const after = deployment({
    metadata: { resourceVersion: '4712', managedFields: [{ ...strataEntry, time: '2026-03-02T10:00:00Z' }] },
    status: {},
  });
  const plan = makePlan(
    inputOf([{ rendered: live, dryRun: { outcome: 'accepted', object: after } }], { members: [live] }),
  );
  assert.equal([shown(plan), plan.isChanged], [['unchanged Deployment/backend'], false]);
  assert.is(plan.objects[0]!.uid, 'uid-of-deployment-backend');
});

actions('a field that the server would change is a change', () => {
  const live = deployment();
  const after = deployment({ spec: { replicas: 3 } });
  const plan = makePlan(inputOf([{ rendered: after }], { members: [live] }));
  assert.equal(
    [shown(plan), plan.isChanged, plan.objects[0]!.isOwnershipOnly],
    [['change Deployment/backend'], true, false],
  );
  assert.equal([plan.objects[0]!.before?.spec, plan.objects[0]!.after?.spec], [live.spec, after.spec]);
});

actions('a field that strata would hold or let go is a change, and said to be no more', () => {
  const live = deployment();
  const after = deployment({ metadata: { managedFields: [{ ...strataEntry, fieldsV1: { 'f:spec': {} } }] } });
  const plan = makePlan(
    inputOf([{ rendered: live, dryRun: { outcome: 'accepted', object: after } }], { members: [live] }),
  );
  assert.equal(
    [shown(plan), plan.isChanged, plan.objects[0]!.isOwnershipOnly],
    [['change Deployment/backend'], true, true],
  );
});

actions('a live object that no member list held is compared as well', () => {
  const namespace: KubeObject = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'todo', labels: { ...partOf } },
  };
  const plan = makePlan(inputOf([{ rendered: namespace }], { others: [namespace] }));
  assert.equal(shown(plan), ['unchanged Namespace/todo']);
});

actions('what could not be asked is marked, in its own words', () => {
  const plan = makePlan(
    inputOf([
      {
        rendered: deployment(),
        dryRun: { outcome: 'not validated', reason: 'its kind comes with this overlay' },
      },
    ]),
  );
  assert.equal(
    [shown(plan), plan.objects[0]!.notValidated],
    [['create Deployment/backend'], 'its kind comes with this overlay'],
  );
  assert.equal(plan.objects[0]!.after, manifestOf(deployment()).object);
});

actions('an owned object that is no longer rendered is pruned, and the plan is changed', () => {
  const service = owned('v1', 'Service', 'old');
  const plan = makePlan(inputOf([], { members: [service] }));
  assert.equal(
    [shown(plan), plan.isChanged, plan.objects[0]!.uid],
    [['prune Service/old'], true, 'uid-of-service-old'],
  );
  assert.equal([plan.objects[0]!.isSuperseded, plan.objects[0]!.manifest], [false, undefined]);
});

actions('copied labels, other inventories and what is going already are not pruned', () => {
  const members = [
    endpointSlice,
    endpoints,
    pod('backend-7d4b9c6f5d-x', 'backend-7d4b9c6f5d'),
    owned('v1', 'Service', 'foreign', {
      metadata: { labels: { [inventoryLabel]: inventoryOf('dev', 'todo').id } },
    }),
    owned('v1', 'Service', 'going', { metadata: { deletionTimestamp: '2026-03-01T10:00:00Z' } }),
  ];
  assert.equal(surplusOf(inventory, members, []), []);
  assert.equal(makePlan(inputOf([], { members })), {
    objects: [],
    inventoryIsMissing: false,
    isChanged: false,
  });
});

actions('an object whose kind moved to another version is no surplus, one of another group is', () => {
  const rendered = manifestOf(owned('autoscaling/v2', 'HorizontalPodAutoscaler', 'backend'));
  const live = owned('autoscaling/v1', 'HorizontalPodAutoscaler', 'backend');
  assert.equal(surplusOf(inventory, [live], [rendered]), []);
  assert.equal(surplusOf(inventory, [{ ...live, apiVersion: 'extensions/v1' }], [rendered]).length, 1);
});

actions('objects without their inventory make the plan changed', () => {
  const live = deployment();
  const plan = makePlan(inputOf([{ rendered: live }], { members: [live], parent: false }));
  assert.equal(
    [shown(plan), plan.inventoryIsMissing, plan.isChanged],
    [['unchanged Deployment/backend'], true, true],
  );
  assert.not.ok(
    makePlan(inputOf([], { parent: false })).inventoryIsMissing,
    'where nothing is there, nothing is missing',
  );
});

actions('counts every action, also those that do not occur', () => {
  const plan = makePlan(inputOf([{ rendered: deployment() }], { members: [owned('v1', 'Service', 'old')] }));
  assert.equal(countActions(plan), { create: 1, change: 0, replace: 0, unchanged: 0, prune: 1, keep: 0 });
});

const jobs = suite('makePlan, Jobs');

const image = (name: string): Record<string, unknown> => ({
  template: { metadata: { labels: {} }, spec: { containers: [{ name: 'migrate', image: name }] } },
});
const [oldJob, newJob] = ['todo:1', 'todo:2'].map((name) => job({ spec: image(name), status: complete }));
const immutable = ['spec.template'];

jobs('one with a field that is fixed is replaced by what a new one would be', () => {
  const plan = makePlan(
    inputOf([{ rendered: newJob!, dryRun: { outcome: 'accepted', object: newJob!, immutable } }], {
      members: [oldJob!],
    }),
  );
  const [planned] = plan.objects;
  assert.equal([shown(plan), plan.isChanged], [['replace Job/migrate'], true]);
  assert.is(planned!.renewal, 'the server lets nobody change spec.template');
  assert.equal(planned!.before?.spec, oldJob!.spec);
  assert.equal(planned!.after?.spec, newJob!.spec);
  assert.is(planned!.uid, oldJob!.metadata.uid);
});

jobs('one that is complete and as it should be is left alone', () => {
  const plan = makePlan(inputOf([{ rendered: oldJob! }], { members: [oldJob!] }));
  // The dry run of the same manifest.
  assert.equal([shown(plan), plan.isChanged], [['unchanged Job/migrate'], false]);
});

jobs('one that failed is replaced by the same', () => {
  const live = job({ status: failed });
  const plan = makePlan(inputOf([{ rendered: live }], { members: [live] }));
  assert.equal([shown(plan), plan.isChanged], [['replace Job/migrate'], true]);
});

jobs('on the way back it is kept as it is, or not there', () => {
  const row: Row = { rendered: oldJob!, dryRun: { outcome: 'left alone' } };
  const plan = makePlan(inputOf([row], { members: [newJob!] }));
  assert.equal([shown(plan), plan.isChanged], [['keep Job/migrate'], false]);
  assert.match(plan.objects[0]!.stays!, 'on the way back');
  assert.equal(makePlan(inputOf([row])).objects, []);
});

const hashes = suite('makePlan, generated objects');

hashes('a new hash takes the place of the old one, which its users keep', () => {
  const old = config(hashA, { A: '1' });
  const plan = makePlan(
    inputOf([{ rendered: config(hashB, { A: '2' }) }], {
      members: [old],
      users: [replicaSet('backend-7d4b9c6f5d', '3'), pod('backend-7d4b9c6f5d-x', 'backend-7d4b9c6f5d')],
    }),
  );
  assert.equal(shown(plan), [
    `create ConfigMap/backend-config-${hashB}`,
    `keep ConfigMap/backend-config-${hashA}`,
  ]);
  assert.equal(plan.objects[0]!.replaces, { reference: referenceOf(old), before: withoutNoise(old) });
  assert.equal(plan.objects[1]!.usedBy, ['ReplicaSet/backend-7d4b9c6f5d', 'Pod/backend-7d4b9c6f5d-x']);
});

hashes('a superseded object that became unused is pruned, and the plan stays clean', () => {
  const plan = makePlan(
    inputOf([{ rendered: config(hashB, {}) }], { members: [config(hashA, {}), config(hashB, {})] }),
  );
  assert.equal(
    [shown(plan), plan.isChanged],
    [[`unchanged ConfigMap/backend-config-${hashB}`, `prune ConfigMap/backend-config-${hashA}`], false],
  );
  assert.ok(plan.objects[1]!.isSuperseded);
});

hashes('a superseded object that is still used leaves the plan clean as well', () => {
  const plan = makePlan(
    inputOf([], { members: [config(hashA, {})], users: [replicaSet('backend-7d4b9c6f5d', '3')] }),
  );
  assert.equal([shown(plan), plan.isChanged], [[`keep ConfigMap/backend-config-${hashA}`], false]);
});

hashes('kinds, names and namespaces are not mixed up', () => {
  const members = [
    owned('v1', 'Secret', `backend-config-${hashA}`),
    owned('v1', 'ConfigMap', `frontend-config-${hashA}`),
    owned('v1', 'ConfigMap', 'backend-config'),
    config(hashA, {}, { namespace: 'other' }),
  ];
  assert.is(
    makePlan(inputOf([{ rendered: config(hashB, {}) }], { members })).objects[0]!.replaces,
    undefined,
  );
});

hashes('of several predecessors the newest is replaced', () => {
  const members = [
    config(hashA, {}, { creationTimestamp: '2026-03-01T10:00:00Z' }),
    config(hashC, {}, { creationTimestamp: '2026-03-02T10:00:00Z' }),
  ];
  const plan = makePlan(inputOf([{ rendered: config(hashB, {}) }], { members }));
  assert.is(plan.objects[0]!.replaces?.reference.name, `backend-config-${hashC}`);
});

hashes('after a way back it is the one that the workloads name, not the newest', () => {
  const members = [
    config(hashA, { A: 'in use again' }, { creationTimestamp: '2026-03-01T10:00:00Z' }),
    config(hashC, { A: 'tried and left' }, { creationTimestamp: '2026-03-02T10:00:00Z' }),
    // Its template names backend-config-2m5hbd84tk, which is hashA.
    deployment(),
  ];
  const plan = makePlan(inputOf([{ rendered: config(hashB, {}) }, { rendered: deployment() }], { members }));
  assert.is(plan.objects[0]!.replaces?.reference.name, `backend-config-${hashA}`);
});

const objections = suite('objectionsTo');

const conflict: DryRun = {
  outcome: 'conflict',
  conflicts: [
    { manager: 'kubectl-edit', field: '.spec.replicas' },
    { manager: 'argocd', field: '.spec.paused' },
    { manager: 'flux', field: '.spec.paused' },
    { manager: 'hpa', field: '.spec.template.spec.containers[name="backend"].image' },
  ],
};

const gone = { deletionTimestamp: '2026-03-01T10:00:00Z' };
const made = (manager: string, operation = 'Update'): Record<string, unknown> => ({
  labels: {},
  managedFields: [{ manager, operation }],
});

for (const [name, row, cluster, expected] of [
  ['nothing new', { rendered: deployment() }, {}, []],
  ['what is owned', { rendered: deployment() }, { members: [deployment()] }, []],
  [
    'what is going',
    { rendered: deployment() },
    { members: [deployment({ metadata: gone })] },
    [['refused', 'is still being deleted']],
  ],
  [
    'what is held back by finalizers',
    { rendered: deployment() },
    { members: [deployment({ metadata: { ...gone, finalizers: ['a/b', 'c/d'] } })] },
    [['refused', 'is still being deleted (finalizers: a/b, c/d)']],
  ],
  [
    'what client-side apply made',
    { rendered: deployment() },
    { others: [deployment({ metadata: made('kubectl-client-side-apply') })] },
    [['not owned', 'exists and was made by kubectl-client-side-apply']],
  ],
  [
    'what another tool applied',
    { rendered: deployment() },
    { others: [deployment({ metadata: made('argocd-controller', 'Apply') })] },
    [['not owned', 'exists and was made by argocd-controller']],
  ],
  [
    'what nobody says they made',
    { rendered: deployment() },
    { others: [deployment({ metadata: { labels: {}, managedFields: undefined } })] },
    [['not owned', 'exists and was made by somebody else']],
  ],
  [
    'what another inventory holds',
    { rendered: deployment() },
    { others: [deployment({ metadata: { labels: { [inventoryLabel]: 'applyset-other-v1' } } })] },
    [['not owned', 'exists and belongs to another inventory']],
  ],
  [
    'a copied label without an Apply entry',
    { rendered: deployment() },
    { members: [deployment({ metadata: { managedFields: [{ manager: 'helm', operation: 'Update' }] } })] },
    [['not owned', 'exists and was made by helm']],
  ],
  [
    'a shared namespace',
    { rendered: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'todo' } } },
    { others: [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'todo' } }] },
    [],
  ],
  [
    'a namespace that is going',
    { rendered: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'todo' } } },
    { others: [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'todo', ...gone } }] },
    [['refused', 'is still being deleted']],
  ],
  [
    'a conflict, field by field',
    { rendered: deployment(), dryRun: conflict },
    {
      members: [
        deployment({
          metadata: {
            managedFields: [
              { manager: 'strata', operation: 'Apply' },
              { manager: 'argocd', operation: 'Update', time: '2026-01-01T10:00:00Z' },
              { manager: 'kubectl-edit', operation: 'Update', time: '2026-03-01T10:00:00Z' },
              { manager: 'flux', operation: 'Update', subresource: 'scale' },
              { manager: 'argocd', operation: 'Apply', time: '2026-02-01T10:00:00Z' },
            ],
          },
        }),
      ],
    },
    [
      ['conflict', '.spec.replicas is held by kubectl-edit, who last wrote at 2026-03-01T10:00:00Z'],
      ['conflict', '.spec.paused is held by argocd, who last wrote at 2026-02-01T10:00:00Z'],
      ['conflict', '.spec.paused is held by flux'],
      ['conflict', '.spec.template.spec.containers[name="backend"].image is held by hpa'],
    ],
  ],
  [
    'a refusal',
    {
      rendered: deployment(),
      dryRun: { outcome: 'refused', status: 422, message: 'Deployment.apps "backend" is invalid' },
    },
    {},
    [['refused', 'the server refuses it: Deployment.apps "backend" is invalid']],
  ],
  [
    'a Job that could only be created anew',
    { rendered: job(), dryRun: { outcome: 'accepted', object: job(), immutable: ['spec.template'] } },
    { members: [job()] },
    [],
  ],
  [
    'the same, when it may not be deleted',
    { rendered: job(), dryRun: { outcome: 'accepted', object: job(), immutable: ['spec.template'] } },
    { members: [job({ metadata: { annotations: { 'strata.dev/prevent-deletion': 'true' } } })] },
    [
      [
        'refused',
        'would have to be deleted and created anew (the server lets nobody change spec.template), but strata.dev/prevent-deletion is set',
      ],
    ],
  ],
  [
    'a Job that somebody else made',
    { rendered: job(), dryRun: { outcome: 'accepted', object: job(), immutable: ['spec.template'] } },
    { others: [job({ metadata: made('helm') })] },
    [['not owned', 'exists and was made by helm']],
  ],
  [
    'a Job that is being deleted already',
    { rendered: job() },
    { members: [job({ metadata: { deletionTimestamp: '2026-03-01T10:00:00Z' } })] },
    [],
  ],
  [
    'what is left alone, whatever it is',
    { rendered: job(), dryRun: { outcome: 'left alone' } },
    { others: [job({ metadata: made('helm') })] },
    [],
  ],
  [
    'what could not be asked',
    { rendered: deployment(), dryRun: { outcome: 'not validated', reason: 'x' } },
    {},
    [],
  ],
  [
    'a foreign object before what the server says of it',
    { rendered: deployment(), dryRun: conflict },
    { others: [deployment({ metadata: made('helm') })] },
    [['not owned', 'exists and was made by helm']],
  ],
] as [string, Row, Cluster, [Objection['kind'], string][]][]) {
  objections(`to ${name}`, () => {
    const found = objectionsTo(inputOf([row], cluster));
    assert.equal(
      found.map(({ kind, message }) => [kind, message]),
      expected,
    );
    for (const { severity, subject } of found)
      assert.equal([severity, subject], ['error', `${row.rendered.kind}/${row.rendered.metadata.name}`]);
  });
}

const adopted = suite('adopting');

const theirs = deployment({ metadata: made('helm') });
const kinds = (cluster: Cluster, adopt: boolean): string[] =>
  objectionsTo({ ...inputOf([{ rendered: deployment() }], cluster), adopt }).map(({ kind }) => kind);

adopted('nothing is in the way of what another tool made', () => {
  assert.equal(kinds({ others: [theirs] }, false), ['not owned']);
  assert.equal(kinds({ others: [theirs] }, true), []);
  const [planned] = makePlan({
    ...inputOf([{ rendered: deployment() }], { others: [theirs] }),
    adopt: true,
  }).objects;
  assert.equal([planned!.action, planned!.isAdopted], ['change', true]);
});

adopted('what another inventory or a controller has stays theirs', () => {
  const other = deployment({ metadata: { labels: { [inventoryLabel]: 'applyset-other-v1' } } });
  const owner = { apiVersion: 'v1', kind: 'Set', name: 'parent', uid: 'u', controller: true };
  const controlled = deployment({ metadata: { ...made('robot'), ownerReferences: [owner] } });
  for (const live of [other, controlled]) assert.equal(kinds({ others: [live] }, true), ['not owned']);
});

adopted('a Job that others made is not replaced', () => {
  const foreign = job({ metadata: made('helm') });
  const row: Row = { rendered: job(), dryRun: { outcome: 'accepted', object: job(), immutable } };
  const input = { ...inputOf([row], { others: [foreign] }), adopt: true };
  assert.equal(
    objectionsTo(input).map(({ message }) => message),
    ['the server lets nobody change spec.template, and what others made is not replaced'],
  );
});

adopted('the copy in an annotation makes a Secret a change, and nothing else one', () => {
  const takeover = { entries: [], dropsAnnotation: true };
  for (const [kind, action] of [
    ['Secret', 'change'],
    ['ConfigMap', 'unchanged'],
  ] as const) {
    const live = owned('v1', kind, 'x', { data: { a: 'YQ==' } });
    const dryRun: DryRun = { outcome: 'accepted', object: live, takeover };
    const plan = makePlan(inputOf([{ rendered: live, dryRun }], { members: [live] }));
    assert.is(plan.objects[0]!.action, action, kind);
  }
});

noise.run();
adopted.run();
actions.run();
jobs.run();
hashes.run();
objections.run();
