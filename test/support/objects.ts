import { type Inventory, inventoryOf } from '../../scripts/lib/inventory.ts';
import type { KubeObject, ManagedFields } from '../../scripts/lib/manifest.ts';

/** Objects as a real API server and real controllers write them. */

export const inventory: Inventory = inventoryOf('minikube', 'todo');

export const partOf = { 'applyset.kubernetes.io/part-of': inventory.id };

export const strataEntry: ManagedFields = {
  manager: 'strata',
  operation: 'Apply',
  time: '2026-03-01T10:00:00Z',
  fieldsV1: { 'f:spec': { 'f:replicas': {} } },
};

const controllerEntry: ManagedFields = {
  manager: 'kube-controller-manager',
  operation: 'Update',
  subresource: 'status',
  time: '2026-03-01T10:00:05Z',
  fieldsV1: { 'f:status': { 'f:replicas': {} } },
};

interface Parts {
  metadata?: Record<string, unknown>;
  spec?: Record<string, unknown>;
  status?: unknown;
  [field: string]: unknown;
}

/** A live object that strata applied. */
export function owned(apiVersion: string, kind: string, name: string, parts: Parts = {}): KubeObject {
  const { metadata, ...rest } = parts;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      namespace: 'todo',
      uid: `uid-of-${kind}-${name}`.toLowerCase(),
      resourceVersion: '4711',
      generation: 1,
      creationTimestamp: '2026-03-01T10:00:00Z',
      labels: { ...partOf },
      managedFields: [strataEntry],
      ...metadata,
    },
    ...rest,
  };
}

interface Condition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
}

export const available: Condition = {
  type: 'Available',
  status: 'True',
  reason: 'MinimumReplicasAvailable',
  message: 'Deployment has minimum availability.',
};

export const progressing = (reason: string, status = 'True'): Condition => ({
  type: 'Progressing',
  status,
  reason,
  message: `ReplicaSet "backend-7d4b9c6f5d" ${reason}.`,
});

export const podTemplate = {
  metadata: { labels: { app: 'backend' } },
  spec: {
    serviceAccountName: 'backend',
    containers: [
      {
        name: 'backend',
        image: 'todo-backend:1.0.0',
        envFrom: [
          { configMapRef: { name: 'backend-config-2m5hbd84tk' } },
          { secretRef: { name: 'backend-secrets-9ghkt42c7f' } },
        ],
      },
    ],
  },
};

/** A Deployment of two replicas, complete unless `status` says otherwise. */
export function deployment(parts: Parts & { status?: Record<string, unknown> } = {}): KubeObject {
  const { metadata, spec, status, ...rest } = parts;
  return owned('apps/v1', 'Deployment', 'backend', {
    ...rest,
    metadata: {
      generation: 3,
      annotations: { 'deployment.kubernetes.io/revision': '3' },
      managedFields: [strataEntry, controllerEntry],
      ...metadata,
    },
    spec: {
      replicas: 2,
      revisionHistoryLimit: 3,
      progressDeadlineSeconds: 120,
      selector: { matchLabels: { app: 'backend' } },
      template: podTemplate,
      ...spec,
    },
    status: status ?? {
      observedGeneration: 3,
      replicas: 2,
      updatedReplicas: 2,
      readyReplicas: 2,
      availableReplicas: 2,
      conditions: [available, progressing('NewReplicaSetAvailable')],
    },
  });
}

/** A Job that was just created; `status` says what became of it. */
export function job(parts: Parts = {}): KubeObject {
  const { spec, ...rest } = parts;
  return owned('batch/v1', 'Job', 'migrate', {
    status: {},
    ...rest,
    spec: { backoffLimit: 0, template: podTemplate, ...spec },
  });
}

export const complete = {
  succeeded: 1,
  ready: 0,
  conditions: [{ type: 'Complete', status: 'True', reason: 'CompletionsReached' }],
};

export const failed = {
  failed: 1,
  conditions: [{ type: 'Failed', status: 'True', reason: 'BackoffLimitExceeded' }],
};

const ownedBy = (apiVersion: string, kind: string, name: string): unknown[] => [
  {
    apiVersion,
    kind,
    name,
    uid: `uid-of-${kind}-${name}`.toLowerCase(),
    controller: true,
    blockOwnerDeletion: true,
  },
];

/** A ReplicaSet that the Deployment controller made of `deployment()`. */
export function replicaSet(name: string, revision: string, parts: Parts = {}): KubeObject {
  const { metadata, ...rest } = parts;
  return owned('apps/v1', 'ReplicaSet', name, {
    metadata: {
      annotations: { 'deployment.kubernetes.io/revision': revision },
      labels: { app: 'backend', 'pod-template-hash': name.split('-').at(-1) },
      ownerReferences: ownedBy('apps/v1', 'Deployment', 'backend'),
      managedFields: [{ manager: 'kube-controller-manager', operation: 'Update' }],
      ...metadata,
    },
    spec: { replicas: 2, template: podTemplate },
    status: { observedGeneration: 1, replicas: 2, readyReplicas: 2, availableReplicas: 2 },
    ...rest,
  });
}

/** A Pod of a ReplicaSet; running and ready unless `status` says otherwise. */
export function pod(
  name: string,
  set: string,
  status?: Record<string, unknown>,
  parts: Parts = {},
): KubeObject {
  const { metadata, ...rest } = parts;
  return owned('v1', 'Pod', name, {
    metadata: {
      generation: undefined,
      labels: { app: 'backend' },
      ownerReferences: ownedBy('apps/v1', 'ReplicaSet', set),
      managedFields: [{ manager: 'kube-controller-manager', operation: 'Update' }],
      ...metadata,
    },
    spec: podTemplate.spec,
    status: status ?? {
      phase: 'Running',
      conditions: [
        { type: 'PodScheduled', status: 'True' },
        { type: 'Ready', status: 'True' },
      ],
      containerStatuses: [
        {
          name: 'backend',
          image: 'todo-backend:1.0.0',
          ready: true,
          restartCount: 0,
          state: { running: { startedAt: '2026-03-01T10:00:03Z' } },
        },
      ],
    },
    ...rest,
  });
}

/** The status of a Pod whose container waits for this reason. */
export const waiting = (
  reason: string,
  message = '',
  more: Record<string, unknown> = {},
): Record<string, unknown> => ({
  phase: 'Pending',
  conditions: [
    { type: 'PodScheduled', status: 'True' },
    { type: 'Ready', status: 'False', reason: 'ContainersNotReady' },
  ],
  containerStatuses: [
    {
      name: 'backend',
      image: 'todo-backend:1.0.0',
      imageID: '',
      ready: false,
      started: false,
      restartCount: 0,
      lastState: {},
      state: { waiting: { reason, ...(message ? { message } : {}) } },
      ...more,
    },
  ],
});

/** The EndpointSlice controller copies the labels of the Service, the inventory's too. */
export const endpointSlice: KubeObject = owned('discovery.k8s.io/v1', 'EndpointSlice', 'backend-x7k2p', {
  metadata: {
    labels: {
      ...partOf,
      'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      'kubernetes.io/service-name': 'backend',
    },
    ownerReferences: ownedBy('v1', 'Service', 'backend'),
    managedFields: [
      { manager: 'kube-controller-manager', operation: 'Update', fieldsV1: { 'f:endpoints': {} } },
    ],
  },
  addressType: 'IPv4',
  endpoints: [{ addresses: ['10.244.0.7'] }],
});

/** Endpoints carry the labels of their Service as well, without any owner. */
export const endpoints: KubeObject = owned('v1', 'Endpoints', 'backend', {
  metadata: {
    labels: { ...partOf, 'endpoints.kubernetes.io/last-change-trigger-time': '2026-03-01T10-00-05Z' },
    managedFields: [
      { manager: 'kube-controller-manager', operation: 'Update', fieldsV1: { 'f:subsets': {} } },
    ],
  },
  subsets: [],
});
