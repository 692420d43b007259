import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Binding, bindingOf, type Ground, movesSince, prunedBy } from '../scripts/lib/binding.ts';
import type { KubeObject } from '../scripts/lib/manifest.ts';
import { type Action, type PlannedObject, plainly, withoutNoise } from '../scripts/lib/plan.ts';
import { splitManifests } from '../scripts/lib/render.ts';
import { createScrubber } from '../scripts/lib/scrub.ts';
import { deployment, job, owned } from './support/objects.ts';

const secretName = 'web-2m5hbd84tk';
const rendered = (value: string, name = secretName) => {
  const text = [
    'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n  namespace: todo\ndata:\n  colour: red\n',
    `apiVersion: v1\nkind: Secret\nmetadata:\n  name: ${name}\n  namespace: todo\ndata:\n  TOKEN: ${value}\n`,
    `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: user\n  namespace: todo\ndata:\n  secret: ${name}\n`,
  ].join('---\n');
  return { text, manifests: splitManifests(text) };
};

const keys = { digest: 'ZGlnZXN0', key: Buffer.alloc(32, 1) };
const otherKeys = { digest: 'YW5vdGhlcg', key: Buffer.alloc(32, 2) };

const planned = (
  action: Action,
  kind: string,
  name: string,
  live?: KubeObject,
  after = live,
): PlannedObject => ({
  ...plainly,
  action,
  reference: { group: '', kind, namespace: 'todo', name },
  before: live && withoutNoise(live),
  after: after && withoutNoise(after),
  manifest: undefined,
  uid: live?.metadata.uid,
  live,
});

const settings = owned('v1', 'ConfigMap', 'settings', { data: { colour: 'green' } });
const wanted = { ...settings, data: { colour: 'red' } };
const old = owned('v1', 'Secret', 'web-9ghkt42c7f', { metadata: { uid: 'u-old' } });
const backend = { ...deployment(), metadata: { ...deployment().metadata } };

const goingAway = job({ metadata: { deletionTimestamp: '2026-03-02T10:00:00Z' } });
const anotherJob = job({ metadata: { uid: 'u-9' } });

const objects = (): PlannedObject[] => [
  planned('change', 'ConfigMap', 'settings', settings, wanted),
  planned('create', 'Secret', secretName, undefined, owned('v1', 'Secret', secretName)),
  planned('unchanged', 'ConfigMap', 'user', owned('v1', 'ConfigMap', 'user')),
  planned('unchanged', 'Deployment', 'backend', backend),
  planned('prune', 'Secret', old.metadata.name, old),
  planned('replace', 'Job', 'migrate', job(), job({ spec: { backoffLimit: 2 } })),
];

const ground = (parts: Partial<Ground> = {}, list = objects()): Ground => ({
  cluster: { uid: 'u-1', ca: [], server: 'https://example.test' },
  namespace: 'todo',
  plan: { objects: list, inventoryIsMissing: false, isChanged: true },
  rendered: rendered('dG9rZW4='),
  scrubber: createScrubber(),
  ...parts,
});

const throughJson = (binding: Binding): Binding => JSON.parse(JSON.stringify(binding)) as Binding;
const saved = throughJson(bindingOf(ground(), 'c2FsdA', keys));

/** As it is, with one object of the plan in another state. */
const withObject = (name: string, change: (object: PlannedObject) => PlannedObject): Ground =>
  ground(
    {},
    objects().map((object) => (object.reference.name === name ? change(object) : object)),
  );

const told = (now: Ground, isRefused = false, with_ = keys): string[] =>
  movesSince(saved, now, with_, isRefused).map(({ subject, message }) => `${subject} ${message}`);

const edited = (object: KubeObject, more: Partial<KubeObject>): KubeObject => ({
  ...object,
  ...more,
  metadata: {
    ...object.metadata,
    managedFields: [
      ...(object.metadata.managedFields ?? []),
      {
        manager: 'editor',
        operation: 'Update',
        time: '2026-03-02T10:00:00Z',
        fieldsV1: { 'f:data': { 'f:shape': {} } },
      },
    ],
  },
});

const binding = suite('bindingOf');

binding('holds neither values nor hashes of generated names, nor a digest without the key', () => {
  const text = JSON.stringify(saved);
  for (const hidden of ['dG9rZW4=', '2m5hbd84tk', '9ghkt42c7f']) assert.not.ok(text.includes(hidden), text);
  const other = throughJson(bindingOf(ground(), 'c2FsdA', otherKeys));
  for (const [index, target] of saved.targets.entries()) {
    if (target.expected) assert.is.not(target.expected.digest, other.targets[index]!.expected!.digest);
    if (target.outcome) assert.is.not(target.outcome, other.targets[index]!.outcome);
  }
});

binding('the digests of manifests do not depend on what a Secret holds, nor on the hash of its name', () => {
  const other = bindingOf(ground({ rendered: rendered('b3RoZXI=', 'web-5hbd84tk2m') }), 'c2FsdA', keys);
  assert.equal(other.rendered.manifests, saved.rendered.manifests);
});

binding('a secret that stands in another manifest is not in its digest', () => {
  const digestsWith = (value: string): unknown => {
    const scrubber = createScrubber();
    scrubber.add('TOKEN', value);
    const text = rendered('dG9rZW4=').text.replace('colour: red', `colour: ${value}`);
    const now = ground({ scrubber, rendered: { text, manifests: splitManifests(text) } });
    return bindingOf(now, 'c2FsdA', keys).rendered.manifests;
  };
  assert.equal(digestsWith('a-long-secret-of-somebody'), digestsWith('another-secret-of-somebody'));
});

const moves = suite('movesSince');

moves('nothing, when nothing moved', () => assert.equal(told(ground()), []));

const time = '2026-03-02T10:00:00Z';
for (const [what, now, expected] of [
  [
    'an edit of what is changed',
    withObject('settings', (object) => ({ ...object, live: edited(settings, { data: { shape: 'round' } }) })),
    [`ConfigMap/settings was changed by editor at ${time}, who holds data.shape`],
  ],
  [
    'an edit that needs a change',
    withObject('user', (object) => ({
      ...object,
      action: 'change',
      live: edited(object.live!, { data: {} }),
    })),
    [`ConfigMap/user was changed by editor at ${time}, who holds data.shape`],
  ],
  [
    'an edit of what stays as it is',
    withObject('backend', (object) => ({ ...object, live: edited(backend, {}) })),
    [],
  ],
  [
    'the same object made anew, unchanged',
    withObject('user', (object) => ({
      ...object,
      uid: 'u-9',
      live: { ...object.live!, metadata: { ...object.live!.metadata, uid: 'u-9' } },
    })),
    ['ConfigMap/user was deleted and created again by strata at 2026-03-01T10:00:00Z'],
  ],
  [
    'what is gone',
    withObject('settings', (object) => ({ ...object, action: 'create', uid: undefined, live: undefined })),
    ['ConfigMap/settings was deleted'],
  ],
  [
    'what an interrupted run has written',
    withObject('settings', (object) => ({ ...object, action: 'unchanged', live: wanted })),
    [],
  ],
  [
    'what an interrupted run has created',
    withObject(secretName, (object) => ({
      ...object,
      action: 'unchanged',
      live: owned('v1', 'Secret', secretName),
    })),
    [],
  ],
  [
    'what an interrupted run has deleted, to create it anew',
    withObject('migrate', (object) => ({ ...object, action: 'create', uid: undefined, live: undefined })),
    [],
  ],
  ['the same, not gone yet', withObject('migrate', (object) => ({ ...object, live: goingAway })), []],
  [
    'what it has created anew',
    withObject('migrate', (object) => ({ ...object, action: 'unchanged', uid: 'u-9', live: anotherJob })),
    [],
  ],
  [
    'another object in the place of what was to be replaced',
    withObject('migrate', (object) => ({ ...object, uid: 'u-9', live: anotherJob })),
    ['Job/migrate was deleted and created again by strata at 2026-03-01T10:00:00Z'],
  ],
  [
    'what was to be replaced and is to be changed in place',
    withObject('migrate', (object) => ({ ...object, action: 'change' })),
    ['Job/migrate was to be: replace; is now: change'],
  ],
  [
    'another outcome of what was to be replaced',
    withObject('migrate', (object) => ({ ...object, after: job({ spec: { backoffLimit: 9 } }) })),
    ['Job/migrate the server makes something else of it now: a webhook, a default or its version changed'],
  ],
  [
    'what was to be pruned and is used again',
    withObject(old.metadata.name, (object) => ({ ...object, action: 'keep', usedBy: ['Pod/a'] })),
    ['Secret/web-* was to be: prune; is now: keep'],
  ],
  ['what was to be pruned and is gone', ground({}, objects().slice(0, -1)), []],
  [
    'what would be pruned besides',
    ground({}, [...objects(), planned('prune', 'ConfigMap', 'later', owned('v1', 'ConfigMap', 'later'))]),
    ['ConfigMap/later would be pruned now, and that is not in the plan'],
  ],
  [
    'what the server makes of it',
    withObject('settings', (object) => ({ ...object, after: withoutNoise({ ...wanted, immutable: true }) })),
    [
      'ConfigMap/settings the server makes something else of it now: a webhook, a default or its version changed',
    ],
  ],
  ['another namespace', ground({ namespace: 'other' }), ['namespace was todo, is other']],
  [
    'another cluster',
    ground({ cluster: { uid: 'u-2', ca: [], server: 'https://example.test' } }),
    [
      'cluster was uid u-1, no CA in the kubeconfig, https://example.test; is uid u-2, no CA in the kubeconfig, https://example.test',
    ],
  ],
  [
    'a lost inventory',
    ground({ plan: { objects: objects(), inventoryIsMissing: true, isChanged: true } }),
    ['inventory is missing, and was not'],
  ],
] as [string, Ground, string[]][]) {
  moves(`tells ${what}`, () => assert.equal(told(now), expected));
}

moves('does not mind node ports that each dry run makes up', () => {
  const service = (nodePort: number): KubeObject =>
    owned('v1', 'Service', 'web', { spec: { ports: [{ port: 80, nodePort }], type: 'NodePort' } });
  const list = (port: number) => [
    planned('change', 'Service', 'web', owned('v1', 'Service', 'web'), service(port)),
  ];
  const then = bindingOf(ground({}, list(30_000)), 'c2FsdA', keys);
  assert.equal(movesSince(then, ground({}, list(30_001)), keys, false), []);
});

moves('leaves the outcome out when the server refuses, for that is told next', () => {
  const now = withObject('settings', (object) => ({ ...object, after: undefined }));
  assert.equal(told(now, true), []);
});

moves('other bytes: which manifest, and who wrote what besides', () => {
  const { text } = rendered('dG9rZW4=');
  const other = text.replace('red', 'blue');
  const now = withObject('settings', (object) => ({ ...object, live: edited(settings, {}) }));
  now.rendered = { text: other, manifests: splitManifests(other) };
  assert.equal(told(now, false, otherKeys), [
    'ConfigMap/settings renders differently: the tree, a value, an image or kubectl is another one',
    `ConfigMap/settings was changed by editor at ${time}, who holds data.shape`,
  ]);
});

moves('another value of a secret is told once, not as objects that come and go', () => {
  const live = owned('v1', 'Secret', secretName);
  const then = bindingOf(ground({}, [planned('unchanged', 'Secret', secretName, live)]), 'c2FsdA', keys);
  const name = 'web-5hbd84tk2m';
  const now = ground({ rendered: rendered('b3RoZXI=', name) }, [
    planned('create', 'Secret', name),
    planned('prune', 'Secret', secretName, live),
  ]);
  assert.equal(
    movesSince(throughJson(then), now, otherKeys, false).map(({ subject }) => subject),
    ['rendered bytes'],
  );
});

const pruning = suite('prunedBy');

pruning('only what the plan prunes, by its uid', () => {
  const may = prunedBy(saved);
  assert.equal(
    [may(old), may(settings), may(owned('v1', 'Secret', 'web-9ghkt42c7f', { metadata: { uid: 'x' } }))],
    [true, false, false],
  );
});

binding.run();
moves.run();
pruning.run();
