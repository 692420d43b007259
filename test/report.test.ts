import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KubeObject } from '../scripts/lib/manifest.ts';
import { referenceOf } from '../scripts/lib/manifest.ts';
import type { Action, Plan, PlannedObject } from '../scripts/lib/plan.ts';
import { plainly, withoutNoise } from '../scripts/lib/plan.ts';
import { formatPlan, placeLine, planToJson, summaryOf } from '../scripts/lib/report.ts';
import type { Style } from '../scripts/lib/terminal.ts';
import { complete, deployment, job, owned } from './support/objects.ts';

const plain = (text: string): string => text;
const style: Style = { bold: plain, dim: plain, red: plain, green: plain, yellow: plain, cyan: plain };
const mark =
  (name: string) =>
  (text: string): string =>
    `<${name}>${text}</${name}>`;
const marked: Style = {
  bold: mark('bold'),
  dim: mark('dim'),
  red: mark('red'),
  green: mark('green'),
  yellow: mark('yellow'),
  cyan: mark('cyan'),
};

const place = {
  overlay: 'minikube',
  context: 'minikube',
  server: 'https://192.168.49.2:8443',
  namespace: 'todo',
};

const canary = 'correct-horse-battery';
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const config = (hash: string, data: Record<string, string>): KubeObject =>
  owned('v1', 'ConfigMap', `backend-config-${hash}`, { data });
const secret = (hash: string, data: Record<string, string>): KubeObject =>
  owned('v1', 'Secret', `backend-secrets-${hash}`, {
    type: 'Opaque',
    data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, base64(value)])),
  });
const [hashA, hashB] = ['2m5hbd84tk', 'ghkmt24567'];

function planned(action: Action, object: KubeObject, parts: Partial<PlannedObject> = {}): PlannedObject {
  const seen = withoutNoise(object);
  const rendered = action !== 'prune' && action !== 'keep';
  return {
    ...plainly,
    action,
    reference: referenceOf(object),
    before: action === 'create' ? undefined : seen,
    after: rendered ? seen : undefined,
    manifest: rendered ? { object: seen, text: '' } : undefined,
    uid: action === 'create' ? undefined : object.metadata.uid,
    ...parts,
  };
}

const planOf = (objects: PlannedObject[], parts: Partial<Plan> = {}): Plan => ({
  objects,
  inventoryIsMissing: false,
  isChanged: objects.some(({ action }) => action !== 'unchanged' && action !== 'keep'),
  ...parts,
});

const lines = (...objects: PlannedObject[]): string[] => formatPlan(planOf(objects), style);

const replacing = (object: KubeObject, old: KubeObject): PlannedObject =>
  planned('create', object, { replaces: { reference: referenceOf(old), before: withoutNoise(old) } });

const text = suite('formatPlan');

text('says where it goes', () => {
  assert.is(
    placeLine(place),
    'overlay minikube → context minikube (https://192.168.49.2:8443), namespace todo',
  );
});

text('a clean plan is one line', () => {
  assert.equal(lines(planned('unchanged', deployment())), ['plan: clean (1 unchanged)']);
  assert.equal(lines(), ['plan: clean']);
});

text('a new object is named, a new ConfigMap with its keys', () => {
  assert.equal(
    lines(
      planned('create', deployment()),
      planned('create', config(hashA, { A: '1', LONG: 'x'.repeat(101), EMPTY: '' })),
    ),
    [
      '+ create Deployment/backend',
      `+ create ConfigMap/backend-config-${hashA}`,
      '    with A, EMPTY, LONG',
      'plan: changed (2 to create)',
    ],
  );
});

text('a change has its unified diff', () => {
  const change = planned('change', deployment(), {
    after: withoutNoise(deployment({ spec: { replicas: 3 } })),
  });
  const shown = lines(change);
  assert.is(shown[0], '~ change Deployment/backend');
  assert.ok(shown.includes('    -  replicas: 2') && shown.includes('    +  replicas: 3'), shown.join('\n'));
  assert.is(shown.at(-1), 'plan: changed (1 to change)');
});

const replaced = (status: Record<string, unknown> = complete): PlannedObject =>
  planned('replace', job({ status }), {
    live: job({ status }),
    after: withoutNoise(job({ spec: { backoffLimit: 2 } })),
    renewal: 'it failed, and runs again',
  });

text('what is replaced says why, and what of it differs', () => {
  const shown = lines(replaced());
  assert.equal(shown.slice(0, 2), [
    '± replace Job/migrate',
    '    deleted and created anew: it failed, and runs again',
  ]);
  assert.ok(shown.includes('    -  backoffLimit: 0') && shown.includes('    +  backoffLimit: 2'));
  assert.is(shown.at(-1), 'plan: changed (1 to replace)');
  assert.match(lines(replaced({ active: 1, ready: 1 }))[1]!, 'it still runs, and `up` waits');
});

text('a new hash is one change, old name → new name, by key', () => {
  const old = config(hashA, { A: '1', GONE: 'x', SAME: 's', TEXT: 'a\nb' });
  const fresh = config(hashB, { A: '2', NEW: 'n', SAME: 's', TEXT: 'a\nc' });
  assert.equal(
    lines(
      replacing(fresh, old),
      planned('keep', old, { isSuperseded: true, usedBy: ['ReplicaSet/backend-1'] }),
    ),
    [
      `~ change ConfigMap/backend-config-${hashA} → backend-config-${hashB}`,
      '    ~ A:',
      '      - 1',
      '      + 2',
      '    - GONE (1 character)',
      '    + NEW: n',
      '    ~ TEXT changed (3 characters)',
      'plan: changed (1 to change, 1 kept)',
    ],
  );
});

text('a Secret is told by key and length alone', () => {
  const shown = lines(
    replacing(
      secret(hashB, { JWT: `${canary}!!`, SAME: canary.toUpperCase(), NEW: 'x' }),
      secret(hashA, { JWT: canary, SAME: canary, OLD: canary }),
    ),
  );
  assert.equal(shown.slice(1, -1), [
    '    ~ JWT changed (21 → 23 characters)',
    '    + NEW (1 character)',
    '    - OLD (21 characters)',
    '    ~ SAME changed (21 characters)',
  ]);
});

text('what is superseded says whether and why it stays', () => {
  const old = config(hashA, {});
  assert.equal(
    lines(
      planned('keep', old, { isSuperseded: true, usedBy: ['ReplicaSet/backend-1', 'Pod/a', 'Pod/b'] }),
      planned('prune', config(hashB, {}), { isSuperseded: true }),
      planned('prune', owned('v1', 'Service', 'old')),
    ),
    [
      `· keep   ConfigMap/backend-config-${hashA}, still used by ReplicaSet/backend-1 and 2 more`,
      `- prune  ConfigMap/backend-config-${hashB}, superseded and no longer used`,
      '- prune  Service/old',
      'plan: changed (2 to prune, 1 kept)',
    ],
  );
});

text('says what could not be asked, and where only the ownership changes', () => {
  assert.equal(
    lines(
      planned('create', deployment(), { notValidated: 'its kind comes with this overlay' }),
      planned('change', owned('v1', 'Service', 'backend'), { isOwnershipOnly: true }),
    ),
    [
      '+ create Deployment/backend',
      '    not validated: its kind comes with this overlay',
      '~ change Service/backend',
      '    only the list of fields that strata holds changes',
      'plan: changed (1 to create, 1 to change)',
    ],
  );
});

text('a missing inventory is told even where every object is unchanged', () => {
  assert.equal(
    formatPlan(
      planOf([planned('unchanged', deployment())], { inventoryIsMissing: true, isChanged: true }),
      style,
    ),
    ['~ change the inventory is missing, it is written again', 'plan: changed (1 unchanged)'],
  );
});

text('colours say the same as the marks', () => {
  const change = planned('change', owned('v1', 'Service', 'a', { spec: { port: 1 } }), {
    after: withoutNoise(owned('v1', 'Service', 'a', { spec: { port: 2 } })),
  });
  const shown = formatPlan(
    planOf([
      planned('create', deployment()),
      change,
      planned('prune', deployment()),
      planned('keep', deployment(), { usedBy: ['x'] }),
    ]),
    marked,
  );
  for (const [color, line] of [
    ['green', '+ create Deployment/backend'],
    ['yellow', '~ change Service/a'],
    ['red', '- prune  Deployment/backend'],
    ['dim', '· keep   Deployment/backend, still used by x'],
  ] as const)
    assert.ok(shown.includes(`<${color}>${line}</${color}>`), line);
  assert.ok(shown.includes('    <red>-  port: 1</red>') && shown.includes('    <green>+  port: 2</green>'));
  assert.ok(shown.some((line) => line.startsWith('    <cyan>@@')));
});

text('a replacement counts as a change in the summary', () => {
  assert.is(
    summaryOf(planOf([replacing(config(hashB, {}), config(hashA, {})), planned('create', deployment())])),
    'plan: changed (1 to create, 1 to change)',
  );
});

const json = suite('planToJson');

json('has a versioned schema, the place, the counts and each object', () => {
  const plan = planOf([
    planned('change', deployment(), { after: withoutNoise(deployment({ spec: { replicas: 3 } })) }),
    planned('unchanged', owned('v1', 'Service', 'backend')),
    planned('keep', config(hashA, { A: '1' }), { isSuperseded: true, usedBy: ['ReplicaSet/backend-1'] }),
  ]);
  assert.equal(JSON.parse(JSON.stringify(planToJson(plan, place))), {
    schema: 'strata.dev/plan/v1',
    ...place,
    changed: true,
    inventoryMissing: false,
    summary: { create: 0, change: 1, replace: 0, unchanged: 1, prune: 0, keep: 1 },
    objects: [
      {
        action: 'change',
        apiVersion: 'apps/v1',
        group: 'apps',
        kind: 'Deployment',
        namespace: 'todo',
        name: 'backend',
        fields: [{ path: 'spec.replicas', before: 2, after: 3 }],
      },
      {
        action: 'unchanged',
        apiVersion: 'v1',
        group: '',
        kind: 'Service',
        namespace: 'todo',
        name: 'backend',
      },
      {
        action: 'keep',
        apiVersion: 'v1',
        group: '',
        kind: 'ConfigMap',
        namespace: 'todo',
        name: `backend-config-${hashA}`,
        superseded: true,
        usedBy: ['ReplicaSet/backend-1'],
      },
    ],
  });
});

json('says why something is replaced, and by what', () => {
  const { objects, summary } = JSON.parse(JSON.stringify(planToJson(planOf([replaced()]), place)));
  assert.is(summary.replace, 1);
  const [{ action, renewal, fields }] = objects;
  assert.equal([action, renewal], ['replace', 'it failed, and runs again']);
  assert.equal(fields, [{ path: 'spec.backoffLimit', before: 0, after: 2 }]);
});

json('names the predecessor, the keys and what could not be asked', () => {
  const plan = planOf([
    replacing(config(hashB, { A: '2' }), config(hashA, { A: '1' })),
    planned('create', deployment(), { notValidated: 'why', isOwnershipOnly: true }),
  ]);
  const { objects } = JSON.parse(JSON.stringify(planToJson(plan, place))) as {
    objects: Record<string, unknown>[];
  };
  assert.equal(objects[0], {
    action: 'create',
    apiVersion: 'v1',
    group: '',
    kind: 'ConfigMap',
    namespace: 'todo',
    name: `backend-config-${hashB}`,
    replaces: `backend-config-${hashA}`,
    keys: [{ key: 'A', change: 'changed', lengthBefore: 1, before: '1', lengthAfter: 1, after: '2' }],
  });
  assert.equal([objects[1]!.notValidated, objects[1]!.ownershipOnly], ['why', true]);
});

json('neither form has a value of a Secret, in whatever action', () => {
  const data = { JWT: canary };
  const labelled = withoutNoise(
    owned('v1', 'Secret', `backend-secrets-${hashA}`, {
      metadata: { labels: { team: 'a' } },
      data: { JWT: base64(`${canary}2`) },
    }),
  );
  const plan = planOf([
    planned('create', secret(hashA, data)),
    replacing(secret(hashB, { JWT: `${canary}2` }), secret(hashA, data)),
    planned('change', secret(hashA, data), { after: labelled }),
    planned('unchanged', secret(hashA, data)),
    planned('prune', secret(hashA, data)),
    planned('keep', secret(hashB, data), { usedBy: ['Pod/x'] }),
  ]);
  const everything = [...formatPlan(plan, style), JSON.stringify(planToJson(plan, place))].join('\n');
  assert.match(everything, 'team');
  assert.not.match(everything, canary);
  assert.not.ok(everything.includes(base64(canary).slice(0, 16)));
});

text.run();
json.run();
