import { isJob } from './job.ts';
import { groupKindOf, type KubeObject, type Reference, referenceOf } from './manifest.ts';

const first = new Set(['Namespace', 'CustomResourceDefinition.apiextensions.k8s.io']);
const second = new Set([
  'ServiceAccount',
  'Role.rbac.authorization.k8s.io',
  'RoleBinding.rbac.authorization.k8s.io',
  'ClusterRole.rbac.authorization.k8s.io',
  'ClusterRoleBinding.rbac.authorization.k8s.io',
  'ConfigMap',
  'Secret',
  'ResourceQuota',
  'LimitRange',
  'PersistentVolumeClaim',
  'StorageClass.storage.k8s.io',
  'PriorityClass.scheduling.k8s.io',
  // What runs before the rest may need to be let through.
  'NetworkPolicy.networking.k8s.io',
]);

/** For a workload that has to be Current before the rest of them is applied. */
export const runAnnotation = 'strata.dev/run';
const before = 'before';

export const waveNames = [
  'namespaces and CRDs',
  'accounts and config',
  'what runs before',
  'Jobs that run before',
  'workloads',
] as const;

const [ahead, jobsAhead, workloads] = [2, 3, 4];

/** The values of `waveOf`, backwards: what others need goes last. */
export const wavesOfDeletion: readonly number[] = [workloads, 1, 0];

/** 0, 1 or 4: what others need to exist comes first. */
export function waveOf(reference: Reference): number {
  const name = groupKindOf(reference);
  if (first.has(name)) return 0;
  return second.has(name) ? 1 : workloads;
}

/** `waveOf` when it is about applying. A database that comes with the overlay is there before its migrations. */
export function applyWaveOf(object: KubeObject): number {
  const wave = waveOf(referenceOf(object));
  if (wave !== workloads || object.metadata.annotations?.[runAnnotation] !== before) return wave;
  return isJob(object) ? jobsAhead : ahead;
}

/** What comes after this wave waits until all of it is Current. */
export const isAhead = (wave: number): boolean => wave === ahead || wave === jobsAhead;

export const isJobAhead = (object: KubeObject): boolean => applyWaveOf(object) === jobsAhead;

/** What is wrong with the annotation of an object; undefined when nothing is. */
export function runFaultOf(object: KubeObject): { message: string; value: string } | undefined {
  const value = object.metadata.annotations?.[runAnnotation];
  if (value === undefined || isAhead(applyWaveOf(object))) return undefined;
  return {
    value,
    message:
      value === before
        ? `${runAnnotation} is for workloads; this is applied before them as it is`
        : `${runAnnotation} is ${JSON.stringify(value)}; the only value is ${before}`,
  };
}
