import { createHash } from 'node:crypto';
import type { KubeObject } from '../../scripts/lib/manifest.ts';
import { listAt, stringsAt, textAt } from '../../scripts/lib/manifest.ts';
import type { Deployment } from './deployment.ts';

export const isFull = process.env.STRATA_CHAOS === 'full';

/** Another STRATA_SEED looks elsewhere; without one a run is the same as the one before, so that what it finds is news. */
export const seed = Number(process.env.STRATA_SEED ?? 2_124_083_662);

/** The whole count with STRATA_CHAOS=full, else half of it. */
export const share = (count: number): number => (isFull ? count : Math.ceil(count / 2));

/** Between 0 and 1, by the seed and these names alone: it does not matter what else was asked before. */
export function chance(...names: (string | number)[]): number {
  const digest = createHash('sha256')
    .update(JSON.stringify([seed, ...names]))
    .digest();
  return digest.readUIntBE(0, 6) / 2 ** 48;
}

export const oneOf = <T>(choices: readonly T[], ...names: (string | number)[]): T =>
  choices[Math.floor(chance(...names) * choices.length)]!;

export interface Deployed {
  /** APP_NAME as the Pods of the backend get it. */
  name: string | undefined;
  /** Every Deployment has all its replicas at the newest revision. */
  isHealthy: boolean;
}

const isRolledOut = (object: KubeObject): boolean => {
  const { spec = {}, status = {} } = object as unknown as Record<string, Record<string, unknown>>;
  return (
    status.observedGeneration === object.metadata.generation &&
    [status.replicas, status.updatedReplicas, status.availableReplicas].every(
      (count) => count === spec.replicas,
    )
  );
};

/** Read from the API server, past everything of ours; undefined when there is no namespace. */
export async function readDeployed(deployment: Deployment): Promise<Deployed | undefined> {
  if ((await deployment.get('namespace', deployment.namespace)) === undefined) return undefined;
  const objects = await deployment.list('deployments,configmaps,secrets,services');
  const find = (kind: string, name: string | undefined): KubeObject | undefined =>
    objects.find((object) => object.kind === kind && object.metadata.name === name);
  const backend = find('Deployment', 'backend');
  const sources = listAt(backend, 'spec', 'template', 'spec', 'containers', 0, 'envFrom');
  const config = sources.map((source) => textAt(source, 'configMapRef', 'name')).find(Boolean);
  const secret = sources.map((source) => textAt(source, 'secretRef', 'name')).find(Boolean);
  const deployments = objects.filter(({ kind }) => kind === 'Deployment');
  return {
    name: find('Secret', secret) && stringsAt(find('ConfigMap', config), 'data').APP_NAME,
    isHealthy:
      deployments.length === 2 &&
      deployments.every(isRolledOut) &&
      ['frontend', 'backend'].every((name) => find('Service', name)),
  };
}

/** How often each of these came, for the figures in docs/reliability.md. */
export function countOf(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => `${count} × ${name}`)
    .join(', ');
}
