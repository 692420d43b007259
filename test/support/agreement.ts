import * as assert from 'uvu/assert';
import { isRecord, type KubeObject } from '../../scripts/lib/manifest.ts';
import type { Deployment } from './deployment.ts';

export interface PlannedJson {
  action: string;
  kind: string;
  name: string;
  keys?: { key: string; change: string; before?: string; after?: string }[];
  fields?: { path: string; before?: unknown; after?: unknown }[];
  ownershipOnly?: boolean;
  notValidated?: string;
}

export interface PlanJson {
  schema: string;
  changed: boolean;
  summary: Record<string, number>;
  objects: PlannedJson[];
}

export async function planOf(deployment: Deployment, status: 0 | 1, ...flags: string[]): Promise<PlanJson> {
  const outcome = await deployment.expect(status, 'diff', ['--output', 'json', ...flags]);
  return JSON.parse(outcome.stdout) as PlanJson;
}

/** What people do not write, and what a rollout or client-side apply writes on its own account. */
const bookkeeping = [
  /^status/,
  /^metadata\.(managedFields|resourceVersion|generation|uid|creationTimestamp)/,
  /^metadata\.annotations\."deployment\.kubernetes\.io\/revision"/,
  /^metadata\.annotations\."kubectl\.kubernetes\.io\/last-applied-configuration"/,
];

/** Every leaf by its path, as the plan writes paths. */
function leavesOf(value: unknown, path = ''): Map<string, unknown> {
  const entries: [string, unknown][] = Array.isArray(value)
    ? value.map((item, index) => [`${path}[${index}]`, item])
    : isRecord(value)
      ? Object.entries(value).map(([key, item]) => {
          const step = /^[\w-]+$/.test(key) ? key : JSON.stringify(key);
          return [path ? `${path}.${step}` : step, item];
        })
      : [];
  if (entries.length === 0) return new Map([[path, value]]);
  return new Map(entries.flatMap(([step, item]) => [...leavesOf(item, step)]));
}

/** Leaves that differ: `path: before → after`. */
function changedLeaves(before: unknown, after: unknown): string[] {
  const [old, fresh] = [leavesOf(before), leavesOf(after)];
  return [...new Set([...old.keys(), ...fresh.keys()])]
    .filter((path) => JSON.stringify(old.get(path)) !== JSON.stringify(fresh.get(path)))
    .filter((path) => !bookkeeping.some((pattern) => pattern.test(path)))
    .map((path) => `${path}: ${JSON.stringify(old.get(path))} → ${JSON.stringify(fresh.get(path))}`)
    .sort();
}

/** The same, from a plan: a field that is no leaf counts with all its leaves. */
function plannedLeaves(planned: PlannedJson | undefined): string[] {
  const fields = (planned?.fields ?? []).flatMap(({ path, before, after }) => {
    const [old, fresh] = [leavesOf(before, path), leavesOf(after, path)];
    return [...new Set([...old.keys(), ...fresh.keys()])]
      .filter((leaf) => old.get(leaf) !== undefined || fresh.get(leaf) !== undefined)
      .map((leaf) => `${leaf}: ${JSON.stringify(old.get(leaf))} → ${JSON.stringify(fresh.get(leaf))}`);
  });
  const keys = (planned?.keys ?? []).map(
    ({ key, before, after }) =>
      `data.${/^[\w-]+$/.test(key) ? key : JSON.stringify(key)}: ${JSON.stringify(before)} → ${JSON.stringify(after)}`,
  );
  return [...fields, ...keys].sort();
}

export const ownKinds = 'deployments,services,serviceaccounts,configmaps,secrets';

async function liveObjects(deployment: Deployment, kinds: string): Promise<Map<string, KubeObject>> {
  const namespace = await deployment.get('namespace', deployment.namespace);
  const objects = [...(await deployment.list(kinds)), ...(namespace ? [namespace] : [])];
  return new Map(objects.map((object) => [`${object.kind}/${object.metadata.name}`, object]));
}

/** The inventory and the history. */
const ownRecords = /^ConfigMap\/strata(-minikube|\.minikube\.\d+)$/;

/** What diff says before, against what is different after. */
export async function assertPlanComesTrue(
  deployment: Deployment,
  flags: string[] = [],
  kinds = ownKinds,
): Promise<PlanJson> {
  const plan = await planOf(deployment, 1, ...flags);
  const before = await liveObjects(deployment, kinds);
  await deployment.expect(0, 'up', flags);
  const after = await liveObjects(deployment, kinds);
  for (const planned of plan.objects) {
    const name = `${planned.kind}/${planned.name}`;
    const [old, fresh] = [before.get(name), after.get(name)];
    if (planned.action === 'create') assert.ok(old === undefined && fresh !== undefined, name);
    else if (planned.action === 'prune') assert.ok(old !== undefined && fresh === undefined, name);
    else {
      assert.ok(old && fresh && old.metadata.uid === fresh.metadata.uid, name);
      assert.equal(plannedLeaves(planned), changedLeaves(old, fresh), name);
    }
  }
  const named = new Set(plan.objects.map(({ kind, name }) => `${kind}/${name}`));
  const touched = [...new Set([...before.keys(), ...after.keys()])].filter(
    (name) =>
      before.get(name)?.metadata.uid !== after.get(name)?.metadata.uid ||
      changedLeaves(before.get(name), after.get(name)).length > 0,
  );
  assert.equal(
    touched.filter((name) => !named.has(name) && !ownRecords.test(name)),
    [],
  );
  await deployment.expect(0, 'diff', flags);
  return plan;
}
