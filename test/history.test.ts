import { randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  contentOf,
  type Entry,
  entryName,
  entryObject,
  expendable,
  historySelector,
  type KeptEntry,
  type Result,
  readEntry,
  retreat,
  rowOf,
  secretsIn,
  storedManifests,
  usersInHistory,
  wayBack,
  withValues,
} from '../scripts/lib/history.ts';
import { inventoryOf } from '../scripts/lib/inventory.ts';
import type { KubeObject, ManagedFields } from '../scripts/lib/manifest.ts';
import { splitManifests } from '../scripts/lib/render.ts';
import { thrown } from './support/assertions.ts';

const inventory = inventoryOf('minikube', 'todo');

/** As a list of them is written in a test: number, result, what was deployed. */
function entry(number: number, result: Result = 'healthy', parts: Partial<Entry> = {}): KeptEntry {
  return {
    number,
    startedAt: '2026-01-02T03:04:05.678Z',
    result,
    who: 'ada',
    images: [],
    version: '0.1.0',
    digest: `digest ${number}`,
    secrets: [`backend-secrets-${number}`],
    uid: `uid ${number}`,
    ...parts,
  };
}

const numbers = (entries: readonly Entry[]): number[] => entries.map(({ number }) => number);

const secretName = 'backend-secrets-m4tk2b5df6';

const rendered = splitManifests(`apiVersion: v1
kind: Secret
metadata:
  name: ${secretName}
  namespace: todo
data:
  TOKEN: aHVudGVyMjI=
stringData:
  PLAIN: hunter33
---
# a comment that stays
apiVersion: apps/v1
kind: Deployment
metadata:
  name: backend
spec:
  template:
    spec:
      containers:
      - image: todo-backend:dev
        name: backend
`);

const never = (): boolean => false;

/** The ConfigMap of these manifests as the server would hold it. */
function stored(manifests = rendered): { facts: Entry; object: KubeObject } {
  const { compressed, omitted, ...facts } = contentOf(manifests, never);
  const { uid: _, ...common } = entry(3);
  const whole: Entry = { ...common, ...facts, ...(omitted ? { omitted } : {}) };
  return { facts: whole, object: entryObject(inventory, whole, compressed) };
}

const contents = suite('contentOf');

contents('keeps the very text of every object, and of Secrets the keys without values', () => {
  const { facts, object } = stored();
  const [secret, workload] = storedManifests('minikube', facts, object);
  assert.is(workload?.text, rendered[1]?.text);
  assert.equal(secret?.object.data, { PLAIN: '', TOKEN: '' });
  assert.equal([facts.images, facts.secrets], [['todo-backend:dev'], [secretName]]);
  const text = JSON.stringify(object) + JSON.stringify(storedManifests('minikube', facts, object));
  for (const value of ['hunter22', 'hunter33', 'aHVudGVyMjI=']) assert.not.ok(text.includes(value), value);
});

contents('is the same for what was kept as for what was rendered, and another one for another text', () => {
  const { facts, object } = stored();
  const again = contentOf(storedManifests('minikube', facts, object), never);
  assert.is(again.digest, facts.digest);
  assert.is.not(contentOf(rendered.slice(1), never).digest, facts.digest);
});

contents('keeps nothing when the value of a secret stands in another object, and names that', () => {
  const found = contentOf(rendered, (text) => text.includes('a comment'));
  assert.equal(
    [found.compressed, found.omitted, found.secrets],
    [undefined, 'Deployment/backend holds the value of a secret', []],
  );
});

contents('keeps nothing that is too large for a ConfigMap, and says how large it is', () => {
  const noise = randomBytes(520 * 1024).toString('hex');
  const large = splitManifests(
    `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  a: ${noise}\n`,
  );
  // Of two letters a byte compression makes one at best.
  const { compressed, omitted } = contentOf(large, never);
  assert.is(compressed, undefined);
  assert.match(omitted ?? '', /^the manifests are too large: \d{3} KiB compressed, 512 KiB is the limit$/);
});

contents('keeps nothing when the names of the Secrets alone would fill the annotations', () => {
  const many = Array.from({ length: 1000 }, (_, index) => ({
    object: {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: `${'x'.repeat(200)}${index}-m4tk2b5df6` },
    },
    text: '',
  }));
  assert.is(contentOf(many, never).omitted, 'there are too many Secrets');
});

contents.run();

const reading = suite('readEntry');

/** What the server adds. */
const live = (object: KubeObject, manager = 'strata-inventory'): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, uid: 'u1', managedFields: [{ manager, operation: 'Update' }] },
});

reading('takes back what was written, from the metadata alone', () => {
  const { facts, object } = stored();
  const { metadata } = live(object);
  const { uid, ...found } = readEntry(inventory, { apiVersion: 'v1', kind: 'ConfigMap', metadata })!;
  assert.equal([uid, JSON.stringify(found)], ['u1', JSON.stringify(facts)]);
  assert.is(metadata.name, entryName(inventory, 3));
  assert.is(historySelector(inventory), `strata.dev/history=${metadata.labels?.['strata.dev/history']}`);
});

reading('takes nothing that strata did not write for this overlay', () => {
  const { object } = stored();
  const other = (change: (metadata: KubeObject['metadata']) => object): KubeObject => {
    const written = live(object);
    return { ...written, metadata: { ...written.metadata, ...change(written.metadata) } };
  };
  const rows: [string, KubeObject][] = [
    ['another writer', live(object, 'kubectl')],
    ['another name', other(() => ({ name: 'strata.minikube.4' }))],
    ['another overlay', other(() => ({ labels: { 'strata.dev/history': 'applyset-x' } }))],
    ['no annotation', other(() => ({ annotations: {} }))],
    ['no JSON', other(() => ({ annotations: { 'strata.dev/deployment': '{' } }))],
    ['no entry', other(() => ({ annotations: { 'strata.dev/deployment': '{"number":3}' } }))],
  ];
  for (const [what, found] of rows) assert.is(readEntry(inventory, found), undefined, what);
});

reading.run();

const keeping = suite('expendable');

keeping('ten stay, whatever became of them', () => {
  const entries = Array.from({ length: 13 }, (_, index) => entry(index + 1));
  assert.equal(numbers(expendable(entries)), [1, 2, 3]);
  assert.equal(expendable(entries.slice(3)), []);
});

keeping('the last four healthy ones stay however much has failed since', () => {
  const healthy = [1, 2, 3, 4, 5].map((number) => entry(number));
  const failed = Array.from({ length: 20 }, (_, index) => entry(index + 6, 'failed'));
  assert.equal(numbers(expendable([...healthy, ...failed])), [1, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
});

keeping.run();

const users = suite('usersInHistory');

users('the last four healthy deployments keep their Secrets, the newest is named first', () => {
  const shared = { secrets: ['shared'] };
  const found = usersInHistory('todo', [
    entry(1),
    entry(2),
    entry(3, 'failed'),
    entry(4, 'healthy', shared),
    entry(5, 'interrupted'),
    entry(6, 'healthy', shared),
    entry(7),
    entry(8, 'applying'),
  ]);
  assert.equal(
    [...found].map(([key, list]) => [key, list.map(({ name }) => name)]),
    [
      ['Secret/todo/backend-secrets-7', ['7']],
      ['Secret/todo/shared', ['6', '4']],
      ['Secret/todo/backend-secrets-2', ['2']],
    ],
  );
});

users.run();

const going = suite('wayBack');

const past = [
  entry(3, 'healthy', { digest: 'a' }),
  entry(4, 'healthy', { digest: 'b' }),
  entry(5, 'failed', { digest: 'c' }),
  entry(6, 'healthy', { digest: 'b' }),
];

going('leads to the last healthy deployment of something else', () => {
  const rows: [KeptEntry[], number][] = [
    [past, 3],
    [past.slice(0, 2), 3],
    [past.slice(0, 3), 4],
    [[...past, entry(7, 'applying', { digest: 'd' })], 6],
  ];
  for (const [entries, number] of rows) assert.is(wayBack('minikube', entries).number, number);
});

going('leads to any deployment by its number', () => {
  assert.is(wayBack('minikube', past, 5).number, 5);
});

going('says what there is when that is nothing', () => {
  const rows: [KeptEntry[], number | undefined, string][] = [
    [[], undefined, 'there is no history of overlay minikube'],
    [past, 9, 'deployment 9 is not in the history, which has 3, 4, 5, 6'],
    [past.slice(1, 2), undefined, 'no earlier deployment than 4'],
    [past.slice(3), undefined, 'no earlier deployment than 6'],
  ];
  for (const [entries, to, message] of rows) {
    const error = thrown(() => wayBack('minikube', entries, to));
    assert.match(error.message, message);
    const next = entries.length === 0 ? 'up' : 'history';
    assert.equal([error.code, error.hint], ['ROLLBACK_IMPOSSIBLE', `npm run ${next} -- minikube`]);
  }
});

going.run();

const failing = suite('retreat');

failing('leads to the last healthy deployment, unless that is what has failed', () => {
  const rows: [KeptEntry[], boolean, number | string][] = [
    [[], true, 'nothing was healthy before'],
    [[entry(1, 'failed')], true, 'nothing was healthy before'],
    [[entry(1), entry(2, 'failed')], true, 1],
    [[entry(1), entry(2, 'failed')], false, 1],
    [[entry(1), entry(2), entry(3, 'interrupted'), entry(4, 'failed')], true, 2],
    // The one that failed may not write the history.
    [[entry(1), entry(2)], true, 2],
    // It changed nothing: what was healthy no longer is.
    [[entry(1), entry(2)], false, 'deployment 2, the last healthy one, is the same as this one'],
    [
      [entry(1), entry(2, 'failed', { digest: 'digest 1' })],
      true,
      'deployment 1, the last healthy one, is the same as this one',
    ],
  ];
  for (const [entries, isChanged, expected] of rows) {
    const found = retreat(entries, isChanged);
    assert.is(typeof found === 'string' ? found : found.number, expected);
  }
});

failing.run();

const restoring = suite('storedManifests');

restoring('tells why nothing was kept, and what is damaged', () => {
  const { facts, object } = stored();
  const messages = [
    thrown(() => storedManifests('minikube', { ...facts, omitted: 'they are too large' }, object)),
    thrown(() => storedManifests('minikube', facts, undefined)),
    thrown(() => storedManifests('minikube', { ...facts, digest: 'another' }, object)),
    thrown(() =>
      storedManifests('minikube', facts, { ...object, binaryData: { 'manifests.yaml.br': 'AAAA' } }),
    ),
  ].map(({ message }) => message);
  const damaged = 'the manifests of deployment 3 are damaged';
  assert.equal(messages, [
    'the manifests of deployment 3 were not kept: they are too large',
    damaged,
    damaged,
    damaged,
  ]);
});

restoring.run();

const values = suite('withValues');

function liveSecret(data: Record<string, string>, name = secretName, owned = Object.keys(data)): KubeObject {
  const fieldsV1 = { 'f:data': Object.fromEntries(owned.map((key) => [`f:${key}`, {}])) };
  const managedFields: ManagedFields[] = [{ manager: 'strata', operation: 'Apply', fieldsV1 }];
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, managedFields }, data };
}

const kept = (): ReturnType<typeof splitManifests> => {
  const { facts, object } = stored();
  return storedManifests('minikube', facts, object);
};

values('come from the Secrets that were kept, and nothing else changes', () => {
  const data = { TOKEN: 'b25l', PLAIN: 'dHdv' };
  const [secret, workload] = withValues(
    'minikube',
    entry(3),
    kept(),
    new Map([[secretName, liveSecret(data)]]),
  );
  assert.equal(secret?.object.data, data);
  assert.equal(JSON.parse(secret?.text ?? ''), secret?.object);
  assert.is(workload?.text, rendered[1]?.text);
  assert.equal(secretsIn(kept()), [secretName]);
});

values(
  'are refused when a Secret is gone or not as it was; each is named, with keys and without values',
  () => {
    const rows: [KubeObject | undefined, string][] = [
      [undefined, 'is gone'],
      [liveSecret({ TOKEN: 'b25l' }), 'has lost PLAIN'],
      [
        liveSecret({ TOKEN: 'b25l', PLAIN: 'dHdv' }, secretName, ['TOKEN']),
        'was changed since by somebody else: PLAIN',
      ],
    ];
    for (const [found, message] of rows) {
      const error = thrown(() =>
        withValues('minikube', entry(3), kept(), new Map(found ? [[secretName, found]] : [])),
      );
      assert.is(error.code, 'ROLLBACK_IMPOSSIBLE');
      assert.equal(error.problems, [{ severity: 'error', subject: `Secret/${secretName}`, message }]);
      assert.not.match(JSON.stringify(error), /b25l|dHdv/);
    }
  },
);

values.run();

const rows = suite('rowOf');

rows('tells commit and result, or where it went back to', () => {
  const commit = '0123456789abcdef0123456789abcdef01234567';
  const shown = [
    entry(1, 'healthy', { commit, isDirty: false, images: ['a:1', 'b:2'] }),
    entry(2, 'failed', { commit, isDirty: true, code: 'NOT_HEALTHY', omitted: 'they are too large' }),
    entry(3, 'healthy', { rollbackTo: 1 }),
    entry(4, 'interrupted', { code: 'INTERRUPTED' }),
  ].map((found) => rowOf(found).slice(2));
  assert.equal(shown, [
    ['ada', '0123456789ab', 'healthy', 'a:1  b:2'],
    ['ada', '0123456789ab+', 'failed (NOT_HEALTHY)', '(no way back: they are too large)'],
    ['ada', 'back to 1', 'healthy', ''],
    ['ada', '-', 'interrupted', ''],
  ]);
  assert.equal(rowOf(entry(1)).slice(0, 2), ['1', '2026-01-02T03:04:05Z']);
});

rows.run();
