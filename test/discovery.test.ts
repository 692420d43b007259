import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Answer, Connection, Request } from '../scripts/lib/connection.ts';
import {
  collectionPath,
  type Discovery,
  discover,
  itemsOf,
  objectPath,
  type Resource,
  readDiscovery,
} from '../scripts/lib/discovery.ts';
import { rejection } from './support/assertions.ts';

const entry = (
  kind: string,
  resource: string,
  scope = 'Namespaced',
  verbs = ['get', 'list', 'watch'],
): unknown => ({
  resource,
  responseKind: { group: '', version: '', kind },
  scope,
  singularResource: kind.toLowerCase(),
  verbs,
  subresources: [
    { subresource: 'status', responseKind: { group: '', version: '', kind }, verbs: ['get', 'patch'] },
  ],
});
const group = (name: string, ...versions: unknown[]): unknown => ({
  metadata: { name, creationTimestamp: null },
  versions,
});
const version = (name: string, resources: unknown[], freshness = 'Current'): unknown => ({
  version: name,
  freshness,
  resources,
});
const answer = (...items: unknown[]): unknown => ({
  kind: 'APIGroupDiscoveryList',
  apiVersion: 'apidiscovery.k8s.io/v2',
  metadata: {},
  items,
});

const core = answer({
  metadata: {},
  versions: [
    version('v1', [
      entry('Pod', 'pods'),
      entry('Event', 'events'),
      entry('Namespace', 'namespaces', 'Cluster'),
    ]),
  ],
});
const groups = answer(
  group('apps', version('v1', [entry('Deployment', 'deployments')])),
  group(
    'autoscaling',
    version('v2', [entry('HorizontalPodAutoscaler', 'horizontalpodautoscalers')]),
    version('v1', [entry('HorizontalPodAutoscaler', 'horizontalpodautoscalers'), entry('Old', 'olds')]),
  ),
  group('events.k8s.io', version('v1', [entry('Event', 'events')])),
  group('metrics.k8s.io', version('v1beta1', [], 'Stale')),
);

const discovery: Discovery = readDiscovery([core, groups]);

const reading = suite('readDiscovery');

reading('finds a kind of the core and of a group, with its place and its verbs', () => {
  assert.equal(discovery.find('v1', 'Namespace'), {
    group: '',
    version: 'v1',
    kind: 'Namespace',
    plural: 'namespaces',
    namespaced: false,
    verbs: ['get', 'list', 'watch'],
  });
  assert.equal(discovery.find('apps/v1', 'Deployment')?.plural, 'deployments');
});

for (const [apiVersion, kind] of [
  ['v1', 'Deployment'],
  ['apps/v1beta1', 'Deployment'],
  ['apps/v1', 'deployments'],
  ['metrics.k8s.io/v1beta1', 'NodeMetrics'],
  ['', 'Pod'],
] as const) {
  reading(`knows no ${kind} in ${apiVersion || 'nothing'}`, () =>
    assert.is(discovery.find(apiVersion, kind), undefined),
  );
}

for (const [groupKind, expected] of [
  ['HorizontalPodAutoscaler.autoscaling', 'v2'],
  ['Old.autoscaling', 'v1'],
  ['Pod', 'v1'],
  ['Gone', undefined],
] as const) {
  reading(`prefers ${expected} of ${groupKind}`, () =>
    assert.is(discovery.preferred(groupKind)?.version, expected),
  );
}

reading('lists every kind once, and tells kinds of one name apart by group', () => {
  const names = discovery.all().map(({ kind, group: name }) => `${kind}.${name}`);
  assert.equal(names, [
    'Pod.',
    'Event.',
    'Namespace.',
    'Deployment.apps',
    'HorizontalPodAutoscaler.autoscaling',
    'Old.autoscaling',
    'Event.events.k8s.io',
  ]);
});

reading('names what an extension server did not answer', () => {
  assert.equal(discovery.stale, ['metrics.k8s.io/v1beta1']);
});

reading('takes rubbish for nothing', () => {
  assert.equal(
    readDiscovery([null, 'x', { items: [null, { versions: [null, { resources: 'x' }] }] }]).all(),
    [],
  );
});

const paths = suite('paths');

const resource = (groupName: string, namespaced: boolean): Resource => ({
  group: groupName,
  version: 'v1',
  kind: 'X',
  plural: 'xs',
  namespaced,
  verbs: [],
});

for (const [made, expected] of [
  [collectionPath(resource('', true), 'todo'), '/api/v1/namespaces/todo/xs'],
  [collectionPath(resource('apps', true), 'todo'), '/apis/apps/v1/namespaces/todo/xs'],
  [collectionPath(resource('apps', true), ''), '/apis/apps/v1/xs'],
  [collectionPath(resource('apps', false), 'todo'), '/apis/apps/v1/xs'],
  [
    collectionPath(resource('', true), 'todo', { labelSelector: 'a/b=c,d!=e' }),
    '/api/v1/namespaces/todo/xs?labelSelector=a%2Fb%3Dc%2Cd%21%3De',
  ],
  [objectPath(resource('', true), 'todo', 'x'), '/api/v1/namespaces/todo/xs/x'],
  [
    objectPath(resource('rbac.authorization.k8s.io', false), '', 'system:node'),
    '/apis/rbac.authorization.k8s.io/v1/xs/system%3Anode',
  ],
  [
    objectPath(resource('', true), '../a', 'b/c?d', { dryRun: 'All' }),
    '/api/v1/namespaces/..%2Fa/xs/b%2Fc%3Fd?dryRun=All',
  ],
] as const) {
  paths(expected, () => assert.is(made, expected));
}

paths('items of a list get the kind that the list keeps from them', () => {
  const list = { kind: 'XList', items: [{ metadata: { name: 'a' } }] };
  assert.equal(itemsOf(list, resource('apps', true)), [
    { apiVersion: 'apps/v1', kind: 'X', metadata: { name: 'a' } },
  ]);
  assert.equal(itemsOf(list, resource('', true))[0]?.apiVersion, 'v1');
  assert.equal(itemsOf(undefined, resource('', true)), []);
});

const asking = suite('discover');

function connectionWith(answers: Record<string, Answer>): { connection: Connection; asked: Request[] } {
  const asked: Request[] = [];
  const connection: Connection = {
    context: { name: 'kind-x', cluster: 'x', server: 'https://127.0.0.1', user: 'x', usesExec: false },
    async request(request) {
      asked.push(request);
      return answers[request.path]!;
    },
    get: async () => undefined,
    getText: async () => ({ status: 404, text: '' }),
    now: () => 0,
    watch: async () => {},
    close() {},
  };
  return { connection, asked };
}

asking('needs two requests for all kinds, in the aggregated form', async () => {
  const { connection, asked } = connectionWith({
    '/api': { status: 200, body: core },
    '/apis': { status: 200, body: groups },
  });
  const found = await discover(connection);
  assert.is(found.preferred('Deployment.apps')?.plural, 'deployments');
  assert.equal(
    asked.map(({ method, path }) => `${method} ${path}`),
    ['GET /api', 'GET /apis'],
  );
  for (const { accept } of asked)
    assert.is(accept, 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList');
});

asking('a server that answers in the old form is too old', async () => {
  const { connection } = connectionWith({
    '/api': { status: 200, body: { kind: 'APIVersions', versions: ['v1'] } },
    '/apis': { status: 200, body: { kind: 'APIGroupList', groups: [] } },
  });
  const error = await rejection(discover(connection));
  assert.equal(
    [error.code, error.hint],
    ['CLUSTER_TOO_OLD', 'upgrade the cluster to Kubernetes 1.30 or later'],
  );
});

asking('a refusal is told as one', async () => {
  const forbidden = {
    status: 403,
    body: { kind: 'Status', message: 'forbidden: User "u" cannot get path "/apis"' },
  };
  const { connection } = connectionWith({ '/api': { status: 200, body: core }, '/apis': forbidden });
  const error = await rejection(discover(connection));
  assert.is(error.code, 'CLUSTER_REFUSED');
  assert.match(error.message, 'cannot get path');
});

reading.run();
paths.run();
asking.run();
