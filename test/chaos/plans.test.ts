import * as assert from 'uvu/assert';
import {
  compareData,
  compareFields,
  type FieldChange,
  hasData,
  type KeyChange,
} from '../../scripts/lib/change.ts';
import type { KubeObject } from '../../scripts/lib/manifest.ts';
import { formatYaml } from '../../scripts/lib/yaml.ts';
import { chance, countOf, oneOf, seed, share } from '../support/chaos.ts';
import { assertStatus, concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';
import { writeSmallTree } from '../support/small-tree.ts';

/** What diff says is what up does, whatever others write before, and between the two. */
const chaos = concurrentSuite('plans', 3);

const objectsOfATree = 20;
const roundsOfATree = 2;
const trees = Math.ceil(share(100) / objectsOfATree);

type Kind = 'deployment' | 'configmap' | 'service';
const kindOf = (index: number): Kind =>
  index % 10 < 4 ? 'deployment' : index % 10 < 8 ? 'configmap' : 'service';
const nameOf = (index: number): string => `o${index}`;

type Chooser = <T>(choices: readonly T[], what: string) => T;

/** What the tree says in one round; undefined: the object is not in it. */
function manifestOf(index: number, choose: Chooser): Record<string, unknown> | undefined {
  const name = nameOf(index);
  if (choose([true, true, true, true, true, true, true, false], 'exists') === false) return undefined;
  const metadata = {
    name,
    labels: { app: name, ...choose([{}, { team: 'a' }, { team: 'b' }], 'label') },
    annotations: choose<Record<string, string> | undefined>([undefined, { note: 'ours' }], 'note'),
  };
  if (kindOf(index) === 'configmap') {
    const data = { always: 'here', ...choose([{}, { colour: 'red' }, { colour: 'blue' }], 'colour') };
    return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data };
  }
  if (kindOf(index) === 'service') {
    const ports = [
      { name: 'web', port: choose([80, 81], 'port'), targetPort: 80 },
      ...choose([[], [{ name: 'more', port: 90 }]], 'ports'),
    ];
    return { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector: { app: name }, ports } };
  }
  const env = [{ name: 'MODE', value: choose(['plain', 'fast'], 'mode') }];
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata,
    spec: {
      ...choose([{}, { replicas: 1 }, { replicas: 2 }], 'replicas'),
      ...choose([{}, { minReadySeconds: 1 }], 'ready'),
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: {
          containers: [
            { name: 'web', image: choose(['web:1', 'web:2'], 'image'), ...choose([{}, { env }], 'env') },
          ],
        },
      },
    },
  };
}

const merge = (patch: unknown): string[] => ['--type=merge', '-p', JSON.stringify(patch)];
const strategic = (patch: unknown): string[] => ['--type=strategic', '-p', JSON.stringify(patch)];
const podSpec = (spec: unknown): unknown => ({ spec: { template: { spec } } });

const metadataEdits: readonly (readonly [string, string[]])[] = [
  ['label added', merge({ metadata: { labels: { extra: 'x' } } })],
  ['label changed', merge({ metadata: { labels: { team: 'c' } } })],
  ['label removed', merge({ metadata: { labels: { team: null } } })],
  ['annotation removed', merge({ metadata: { annotations: { note: null } } })],
];

/** The arguments of `kubectl patch` after kind and name. */
const edits: Record<Kind, readonly (readonly [string, string[]])[]> = {
  configmap: [
    ...metadataEdits,
    ['key added', merge({ data: { shape: 'round' } })],
    ['key changed', merge({ data: { colour: 'green' } })],
    ['key removed', merge({ data: { always: null } })],
  ],
  service: [
    ...metadataEdits,
    ['port added', strategic({ spec: { ports: [{ name: 'theirs', port: 99 }] } })],
    ['selector changed', merge({ spec: { selector: { app: 'other' } } })],
    ['field set', merge({ spec: { sessionAffinity: 'ClientIP' } })],
  ],
  deployment: [
    ...metadataEdits,
    ['scaled', ['--subresource=scale', ...merge({ spec: { replicas: 3 } })]],
    ['scaled down', ['--subresource=scale', ...merge({ spec: { replicas: 0 } })]],
    ['edited replicas', merge({ spec: { replicas: 2 } })],
    ['image changed', strategic(podSpec({ containers: [{ name: 'web', image: 'web:9' }] }))],
    ['sidecar added', strategic(podSpec({ containers: [{ name: 'sidecar', image: 'side:1' }] }))],
    ['env added', strategic(podSpec({ containers: [{ name: 'web', env: [{ name: 'MORE', value: '1' }] }] }))],
    [
      'env removed',
      strategic(podSpec({ containers: [{ name: 'web', env: [{ name: 'MODE', $patch: 'delete' }] }] })),
    ],
    ['field removed', merge({ spec: { minReadySeconds: null } })],
    ['restarted', merge({ spec: { template: { metadata: { annotations: { restartedAt: 'now' } } } } })],
  ],
};

const editors = ['kubectl-edit', 'horizontal-pod-autoscaler', 'argocd', 'somebody'];
const done: string[] = [];

async function editOnce(deployment: Deployment, index: number, choose: Chooser): Promise<void> {
  const kind = kindOf(index);
  const [what, args] = choose(edits[kind], 'edit');
  const manager = `--field-manager=${choose(editors, 'editor')}`;
  const { status } = await deployment.tryKubectl(['patch', kind, nameOf(index), manager, ...args]);
  // It may not be there this round.
  if (status === 0) done.push(what);
}

async function atOnce(count: number, work: readonly (() => Promise<void>)[]): Promise<void> {
  const left = [...work];
  const worker = async (): Promise<void> => {
    for (let next = left.shift(); next; next = left.shift()) await next();
  };
  await Promise.all(Array.from({ length: count }, worker));
}

const isOurs = ({ metadata }: KubeObject): boolean => /^o\d+$/.test(metadata.name);

/** What people write, without a look at how the plan tells it; the revision of a Deployment follows by itself. */
function meant({ apiVersion, kind, metadata, ...rest }: KubeObject): KubeObject {
  const { name, labels } = metadata;
  const { 'deployment.kubernetes.io/revision': _, ...annotations } = metadata.annotations ?? {};
  const { status: __, ...written } = rest;
  return { apiVersion, kind, metadata: { name, labels: labels ?? {}, annotations }, ...written };
}

async function read(deployment: Deployment): Promise<Map<string, KubeObject>> {
  const objects = await deployment.list('deployments,configmaps,services');
  return new Map(objects.filter(isOurs).map((object) => [`${object.kind}/${object.metadata.name}`, object]));
}

interface Shown {
  action: string;
  kind: string;
  name: string;
  fields?: FieldChange[];
  keys?: KeyChange[];
}

/** `path before after` of everything that is no record or list itself: a map that is new as a whole counts by its keys. */
function leavesOf(changes: readonly FieldChange[]): string[] {
  const walk = (path: string, before: unknown, after: unknown): string[] => {
    const parts = (value: unknown): Record<string, unknown> | undefined =>
      typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
    const [old, fresh] = [parts(before), parts(after)];
    if ((before !== undefined && !old) || (after !== undefined && !fresh))
      return [`${path} ${JSON.stringify(before)} ${JSON.stringify(after)}`];
    const keys = new Set([...Object.keys(old ?? {}), ...Object.keys(fresh ?? {})]);
    return [...keys].flatMap((key) => walk(`${path}.${key}`, old?.[key], fresh?.[key]));
  };
  return changes
    .flatMap(({ path, before, after }) => walk(path.replaceAll(/\[(\d+)\]/g, '.$1'), before, after))
    .filter((leaf) => !leaf.includes('deployment.kubernetes.io/revision'))
    .sort();
}

function assertAsPlanned(
  shown: Shown,
  before: KubeObject | undefined,
  after: KubeObject | undefined,
  where: string,
): void {
  const title = `${where}: ${shown.action} ${shown.kind}/${shown.name}`;
  if (shown.action === 'prune') {
    assert.is(after, undefined, title);
    return;
  }
  assert.ok(after, title);
  const { uid } = after.metadata;
  if (shown.action === 'create') assert.is(before, undefined, title);
  else assert.is(uid, before?.metadata.uid, title);
  if (before === undefined) {
    if (hasData(after)) assert.equal(compareData(undefined, after), shown.keys, title);
    return;
  }
  const [old, fresh] = [meant(before), meant(after)];
  if (shown.action !== 'change') {
    assert.equal(fresh, old, title);
    if (after.kind === 'ConfigMap')
      assert.is(after.metadata.resourceVersion, before.metadata.resourceVersion, title);
    return;
  }
  assert.equal(leavesOf(compareFields(old, fresh)), leavesOf(shown.fields ?? []), title);
  const keys = shown.keys?.map(({ changedBy: _, ...change }) => change);
  if (hasData(after)) assert.equal(compareData(old, fresh), keys, title);
}

const endings: string[] = [];

async function runTree(deployment: Deployment, tree: number): Promise<void> {
  const file = `${deployment.root}.plan.json`;
  const indices = Array.from({ length: objectsOfATree }, (_, index) => index);
  const chooser =
    (round: number, index: number, step: string): Chooser =>
    (choices, what) =>
      oneOf(choices, 'plans', tree, round, index, step, what);

  const writeTree = (round: number): void => {
    const present = indices.flatMap((index) => {
      const manifest = manifestOf(index, chooser(round, index, 'tree'));
      if (manifest === undefined) return [];
      deployment.write(deployment.own(`${nameOf(index)}.yaml`), formatYaml(manifest));
      return [`${nameOf(index)}.yaml`];
    });
    deployment.write(
      deployment.own('kustomization.yaml'),
      formatYaml({ namespace: deployment.namespace, resources: present }),
    );
  };
  const meddle = (round: number, step: string, indicesOf: readonly number[], most: number): Promise<void> =>
    atOnce(
      4,
      indicesOf.map((index) => async () => {
        const count = Math.floor(chance('count', tree, round, index, step) * (most + 1));
        for (let time = 0; time < count; time++)
          await editOnce(deployment, index, chooser(round, index, `${step} ${time}`));
      }),
    );
  const flags = ['--force-conflicts'];
  const plan = async (): Promise<Shown[]> => {
    const outcome = await deployment.strata('diff', [
      '--output',
      'json',
      '--save',
      file,
      '--exit-zero',
      ...flags,
    ]);
    assertStatus(outcome, 0, 'diff');
    const { objects } = JSON.parse(outcome.stdout) as { objects: Shown[] };
    return objects.filter(({ name }) => /^o\d+$/.test(name));
  };
  const apply = () => deployment.strata('up', ['--plan', file, '--allow-delete', 'all']);

  writeTree(0);
  await deployment.expect(0, 'up', flags);
  for (let round = 1; round <= roundsOfATree; round++) {
    const where = `STRATA_SEED=${seed} tree ${tree} round ${round}`;
    await meddle(round, 'before', indices, 3);
    writeTree(round);
    let shown = await plan();
    const late = indices.filter((index) => chance('late', tree, round, index) < 0.12);
    await meddle(round, 'late', late, 1);
    let before = await read(deployment);
    let outcome = await apply();
    if (outcome.status === 3) {
      assert.match(outcome.stderr, /\[PLAN_STALE\]/, where);
      const after = await read(deployment);
      for (const [title, object] of before)
        assert.equal(meant(after.get(title)!), meant(object), `${where}: refused, so ${title} is as it was`);
      shown = await plan();
      before = await read(deployment);
      outcome = await apply();
      endings.push('refused, then applied');
    } else endings.push('applied');
    assertStatus(outcome, 0, where);
    const after = await read(deployment);
    for (const object of shown) {
      const title = `${object.kind}/${object.name}`;
      assertAsPlanned(object, before.get(title), after.get(title), where);
    }
    assert.equal(
      [...after.keys()].sort(),
      shown.flatMap(({ action, kind, name }) => (action === 'prune' ? [] : [`${kind}/${name}`])).sort(),
      where,
    );
    assertStatus(await deployment.strata('diff', flags), 0, `${where}: diff after up`);
  }
}

const runs: Promise<void>[] = [];
for (let tree = 0; tree < trees; tree++) {
  chaos(`tree ${tree}: ${objectsOfATree} objects, each with edits of its own`, () => {
    const run = withDeployment({ overlay: 'none' }, async (deployment) => {
      writeSmallTree(deployment);
      await runTree(deployment, tree);
    });
    runs.push(run);
    return run;
  });
}

// Starts when the last tree has started.
chaos('others wrote as much as was meant', async () => {
  await Promise.allSettled(runs);
  process.stdout.write(
    `${trees * objectsOfATree} sequences, ${done.length} edits (${countOf(done)}); ${countOf(endings)}\n`,
  );
  assert.ok(done.length >= 2 * trees * objectsOfATree, `${done.length} edits`);
});

chaos.run();
