import { groupKindOf, type Reference } from './manifest.ts';

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
]);

export const waveNames = ['namespaces and CRDs', 'accounts and config', 'workloads'] as const;

/** 0 to 2: what others need to exist comes first; deleting goes the other way. */
export function waveOf(reference: Reference): number {
  const name = groupKindOf(reference);
  if (first.has(name)) return 0;
  return second.has(name) ? 1 : 2;
}
