import { setImmediate } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Connection, Request } from '../scripts/lib/connection.ts';
import { inventoryOf } from '../scripts/lib/inventory.ts';
import { keyOf, referenceOf } from '../scripts/lib/manifest.ts';
import { type Demand, formatRoles, missingRights, type Right, rightsForUp } from '../scripts/lib/rights.ts';
import { job } from './support/objects.ts';

const right = (over: Partial<Right> = {}): Right => ({
  verb: 'patch',
  group: 'apps',
  resource: 'deployments',
  namespace: 'shop',
  names: [],
  lack: undefined,
  ...over,
});

interface Attributes {
  verb: string;
  name?: string;
}

interface Reviewer {
  connection: Connection;
  asked: Attributes[];
  /** How many questions were out when the first answer came. */
  atOnce(): number;
}

function reviewer(isAllowed: (attributes: Attributes) => boolean | undefined): Reviewer {
  const asked: Attributes[] = [];
  let atOnce: number | undefined;
  const connection: Connection = {
    context: { name: 'prod', cluster: 'c', server: 'https://a', user: 'u', usesExec: false },
    async request({ body }: Request) {
      const attributes = (body as { spec: { resourceAttributes: Attributes } }).spec.resourceAttributes;
      asked.push(attributes);
      await setImmediate();
      atOnce ??= asked.length;
      const allowed = isAllowed(attributes);
      return allowed === undefined
        ? { status: 500, body: {} }
        : { status: 201, body: { status: { allowed } } };
    },
    get: async () => undefined,
    getText: async () => ({ status: 404, text: '' }),
    now: () => 0,
    watch: async () => {},
    close() {},
  };
  return { connection, asked, atOnce: () => atOnce ?? 0 };
}

const missing = suite('missingRights');

missing('are asked for all at once: the last question is out before the first answer is in', async () => {
  const rights = Array.from({ length: 40 }, (_, index) => right({ resource: `kind${index}` }));
  const { connection, asked, atOnce } = reviewer(() => true);
  assert.equal(await missingRights(connection, rights), []);
  assert.equal([asked.length, atOnce()], [40, 40]);
});

missing('are those that are denied for the kind and for the name too', async () => {
  const { connection, asked } = reviewer(({ verb, name }) => verb === 'list' || name === 'mine');
  const found = await missingRights(connection, [
    right({ verb: 'list' }),
    right({ verb: 'create' }),
    right({ names: ['mine', 'other'] }),
  ]);
  assert.equal(found, [right({ verb: 'create' }), right({ names: ['other'] })]);
  assert.is(asked.length, 5);
});

missing('are none that the server does not answer for', async () => {
  const { connection } = reviewer(() => undefined);
  assert.equal(await missingRights(connection, [right()]), []);
});

const roles = suite('formatRoles');

roles('have the verbs of a kind once, names for objects of the cluster alone, and their own binding', () => {
  const whole = [
    right({ names: ['frontend'] }),
    right({ names: ['backend'] }),
    right({ verb: 'list' }),
    right({ resource: 'statefulsets' }),
    right({ resource: 'statefulsets', verb: 'list' }),
    right({ group: '', resource: 'namespaces', namespace: '', verb: 'get', names: ['shop'] }),
  ];
  const demand: Demand = {
    inventory: inventoryOf('prod', 'shop'),
    rights: [],
    whole,
    role: 'up',
    isNew: false,
  };
  const text = formatRoles(demand, 'system:serviceaccount:ci:deployer');
  const documents = text.split('---\n');
  assert.equal(
    documents.map((document) => /^kind: (.*)$/m.exec(document)?.[1]),
    ['Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding'],
  );
  assert.match(
    documents[0]!,
    /resources:\n {6}- deployments\n {6}- statefulsets\n {4}verbs:\n {6}- list\n {6}- patch\n$/,
  );
  assert.match(documents[2]!, /name: strata-prod-up-shop\n[\s\S]*resourceNames:\n {6}- shop\n/);
  assert.match(documents[1]!, /kind: ServiceAccount\n {4}namespace: ci\n {4}name: deployer\n/);
  assert.match(formatRoles(demand, 'jane'), /kind: User\n {4}name: jane\n/);
});

const needs = suite('rightsForUp');

const jobs = { group: 'batch', version: 'v1', kind: 'Job', plural: 'jobs', namespaced: true, verbs: [] };

/** Verbs on Jobs, each with the names that it is enough for. */
function verbsOnJobs(isReplaced: boolean): [string, readonly string[]][] {
  const live = job();
  const reference = referenceOf(live);
  const discovery = { find: () => jobs, preferred: () => jobs, all: () => [jobs], stale: [] };
  const state = { discovery, namespace: live, parent: undefined, members: [live], history: [] };
  const known = {
    state,
    live: new Map([[keyOf(reference), live]]),
    replaced: isReplaced ? [reference] : [],
    surplus: [],
  };
  return rightsForUp({ inventory: inventoryOf('prod', 'todo'), discovery, objects: [live], known })
    .filter(({ resource, lack }) => resource === 'jobs' && lack === undefined)
    .map(({ verb, names }): [string, readonly string[]] => [verb, names])
    .sort();
}

needs('to replace an object, it has to be deleted and created', () => {
  const always: [string, string[]][] = [
    ['get', ['migrate']],
    ['list', []],
    ['patch', ['migrate']],
  ];
  assert.equal(verbsOnJobs(false), always);
  assert.equal(verbsOnJobs(true), [['create', []], ['delete', ['migrate']], ...always]);
});

missing.run();
needs.run();
roles.run();
