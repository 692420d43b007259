import { suite, type Test } from 'uvu';
import * as assert from 'uvu/assert';
import { conditionOf, failedSince, readinessOf, type StatusWord } from '../scripts/lib/kstatus.ts';
import type { KubeObject } from '../scripts/lib/manifest.ts';
import { available, deployment, owned, pod, progressing, waiting } from './support/objects.ts';

type Row = [name: string, object: KubeObject | undefined, status: StatusWord, message: string];

function rows(readiness: Test, list: Row[]): Test {
  for (const [title, object, status, message] of list) {
    readiness(`${title}: ${status}`, () => assert.equal(readinessOf(object), { status, message }));
  }
  return readiness;
}

const unseen = 'not seen by its controller yet';
const status = (parts: Record<string, unknown>): Record<string, unknown> => ({
  observedGeneration: 3,
  replicas: 2,
  updatedReplicas: 2,
  readyReplicas: 2,
  availableReplicas: 2,
  conditions: [available, progressing('ReplicaSetUpdated')],
  ...parts,
});

const anything = rows(suite('readinessOf anything'), [
  ['what is not there', undefined, 'NotFound', 'is not there'],
  [
    'what is going, whatever else it says',
    deployment({ metadata: { deletionTimestamp: '2026-03-01T10:00:00Z' } }),
    'Terminating',
    'is being deleted',
  ],
  ['a ConfigMap', owned('v1', 'ConfigMap', 'x', { data: {} }), 'Current', ''],
  ['a ServiceAccount', owned('v1', 'ServiceAccount', 'x'), 'Current', ''],
  [
    'an Ingress without an address',
    owned('networking.k8s.io/v1', 'Ingress', 'x', { status: { loadBalancer: {} } }),
    'Current',
    '',
  ],
  ['a CronJob', owned('batch/v1', 'CronJob', 'x', { status: {} }), 'Current', ''],
  [
    'a HorizontalPodAutoscaler that cannot scale yet',
    owned('autoscaling/v2', 'HorizontalPodAutoscaler', 'x', {
      status: { conditions: [{ type: 'AbleToScale', status: 'False' }] },
    }),
    'Current',
    '',
  ],
  [
    'a HorizontalPodAutoscaler that its controller has not looked at: that takes up to 15 s',
    owned('autoscaling/v2', 'HorizontalPodAutoscaler', 'x', { status: { currentMetrics: null } }),
    'Current',
    '',
  ],
  ['a NetworkPolicy', owned('networking.k8s.io/v1', 'NetworkPolicy', 'x'), 'Current', ''],
]);

const deployments = rows(suite('readinessOf a Deployment'), [
  ['complete', deployment(), 'Current', ''],
  ['as the server returns it at creation', deployment({ status: {} }), 'InProgress', unseen],
  ['scaled to nothing, at creation', deployment({ spec: { replicas: 0 }, status: {} }), 'InProgress', unseen],
  [
    'scaled to nothing',
    deployment({ spec: { replicas: 0 }, status: { observedGeneration: 3, conditions: [available] } }),
    'Current',
    '',
  ],
  [
    'changed since its controller looked, however good it was',
    deployment({ metadata: { generation: 4 } }),
    'InProgress',
    unseen,
  ],
  [
    'without a word on replicas, which means one',
    deployment({
      spec: { replicas: undefined },
      status: status({ replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1 }),
    }),
    'Current',
    '',
  ],
  [
    'being updated',
    deployment({ status: status({ replicas: 3, updatedReplicas: 1 }) }),
    'InProgress',
    '1 of 2 updated',
  ],
  [
    'updated, with old replicas left',
    deployment({ status: status({ replicas: 3 }) }),
    'InProgress',
    '1 old still there',
  ],
  [
    'updated, not available',
    deployment({ status: status({ readyReplicas: 1, availableReplicas: 1, unavailableReplicas: 1 }) }),
    'InProgress',
    '1 of 2 available',
  ],
  [
    'surging beyond what is wanted',
    deployment({
      status: status({ replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3 }),
    }),
    'Current',
    '',
  ],
  [
    'past its deadline',
    deployment({
      status: status({
        updatedReplicas: 1,
        availableReplicas: 1,
        conditions: [available, progressing('ProgressDeadlineExceeded', 'False')],
      }),
    }),
    'Failed',
    'no progress within 120 s',
  ],
  [
    'past the deadline that holds where none is set',
    deployment({
      spec: { progressDeadlineSeconds: undefined },
      status: status({
        availableReplicas: 0,
        conditions: [progressing('ProgressDeadlineExceeded', 'False')],
      }),
    }),
    'Failed',
    'no progress within 600 s',
  ],
  [
    'past a deadline of long ago, while all are available',
    deployment({
      status: status({ conditions: [available, progressing('ProgressDeadlineExceeded', 'False')] }),
    }),
    'Current',
    '',
  ],
  [
    'past the deadline of the generation before',
    deployment({
      metadata: { generation: 4 },
      status: status({
        availableReplicas: 0,
        conditions: [progressing('ProgressDeadlineExceeded', 'False')],
      }),
    }),
    'InProgress',
    unseen,
  ],
  [
    'paused',
    deployment({
      spec: { paused: true },
      status: status({
        updatedReplicas: 0,
        conditions: [available, progressing('DeploymentPaused', 'Unknown')],
      }),
    }),
    'InProgress',
    'the Deployment is paused',
  ],
]);

const set = (spec: Record<string, unknown>, statusParts?: Record<string, unknown>): KubeObject =>
  owned('apps/v1', 'StatefulSet', 'db', {
    metadata: { generation: 2 },
    spec: {
      replicas: 3,
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
      ...spec,
    },
    status: {
      observedGeneration: 2,
      replicas: 3,
      readyReplicas: 3,
      currentReplicas: 3,
      updatedReplicas: 3,
      availableReplicas: 3,
      currentRevision: 'db-1',
      updateRevision: 'db-1',
      collisionCount: 0,
      ...statusParts,
    },
  });
const partition = (count: number): Record<string, unknown> => ({
  updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: count } },
});

const statefulSets = rows(suite('readinessOf a StatefulSet'), [
  ['complete', set({}), 'Current', ''],
  [
    'as the server returns it at creation',
    set({ replicas: 0 }, { observedGeneration: undefined, replicas: 0, availableReplicas: 0 }),
    'InProgress',
    unseen,
  ],
  ['changed since its controller looked', set({}, { observedGeneration: 1 }), 'InProgress', unseen],
  ['starting one after the other', set({}, { replicas: 2, readyReplicas: 1 }), 'InProgress', '1 of 3 ready'],
  [
    'being updated',
    set({}, { updatedReplicas: 1, currentReplicas: 2, updateRevision: 'db-2' }),
    'InProgress',
    '1 of 3 updated',
  ],
  [
    'updated, its revision not yet taken for the current one',
    set({}, { updateRevision: 'db-2' }),
    'InProgress',
    'the new revision is not complete',
  ],
  [
    'with a partition, updated as far as that goes',
    set(partition(2), { updatedReplicas: 1, currentReplicas: 2, updateRevision: 'db-2' }),
    'Current',
    '',
  ],
  [
    'with a partition, not that far',
    set(partition(1), { updatedReplicas: 1, currentReplicas: 2, updateRevision: 'db-2' }),
    'InProgress',
    '1 of 2 updated',
  ],
  [
    'with a partition beyond its replicas',
    set(partition(9), { updatedReplicas: 0, updateRevision: 'db-2' }),
    'Current',
    '',
  ],
  [
    'that somebody updates by hand',
    set({ updateStrategy: { type: 'OnDelete' } }, { updatedReplicas: 0, updateRevision: 'db-2' }),
    'Current',
    '',
  ],
  [
    'scaled to nothing',
    set({ replicas: 0 }, { replicas: 0, readyReplicas: 0, updatedReplicas: 0 }),
    'Current',
    '',
  ],
]);

const daemonSet = (statusParts: Record<string, unknown>, spec: Record<string, unknown> = {}): KubeObject =>
  owned('apps/v1', 'DaemonSet', 'agent', {
    spec: { updateStrategy: { type: 'RollingUpdate' }, ...spec },
    status: {
      observedGeneration: 1,
      currentNumberScheduled: 3,
      desiredNumberScheduled: 3,
      numberAvailable: 3,
      numberMisscheduled: 0,
      numberReady: 3,
      updatedNumberScheduled: 3,
      ...statusParts,
    },
  });

const daemonSets = rows(suite('readinessOf a DaemonSet'), [
  ['complete', daemonSet({}), 'Current', ''],
  // These zeros are required fields: the server writes them before the controller has seen anything.
  [
    'as the server returns it at creation',
    owned('apps/v1', 'DaemonSet', 'agent', {
      spec: {},
      status: { currentNumberScheduled: 0, desiredNumberScheduled: 0, numberMisscheduled: 0, numberReady: 0 },
    }),
    'InProgress',
    unseen,
  ],
  [
    'that no node wants',
    daemonSet({
      currentNumberScheduled: 0,
      desiredNumberScheduled: 0,
      numberAvailable: undefined,
      numberReady: 0,
      updatedNumberScheduled: undefined,
    }),
    'Current',
    '',
  ],
  ['being updated', daemonSet({ updatedNumberScheduled: 1 }), 'InProgress', '1 of 3 updated'],
  [
    'not available everywhere',
    daemonSet({ numberAvailable: 2, numberUnavailable: 1 }),
    'InProgress',
    '2 of 3 available',
  ],
  [
    'that somebody updates by hand',
    daemonSet({ updatedNumberScheduled: 1 }, { updateStrategy: { type: 'OnDelete' } }),
    'Current',
    '',
  ],
]);

const replicaSets = rows(suite('readinessOf a ReplicaSet'), [
  [
    'complete',
    owned('apps/v1', 'ReplicaSet', 'x', {
      spec: { replicas: 2 },
      status: { observedGeneration: 1, replicas: 2, availableReplicas: 2 },
    }),
    'Current',
    '',
  ],
  [
    'as the server returns it at creation',
    owned('apps/v1', 'ReplicaSet', 'x', { spec: { replicas: 0 }, status: { replicas: 0 } }),
    'InProgress',
    unseen,
  ],
  [
    'not available',
    owned('apps/v1', 'ReplicaSet', 'x', {
      spec: { replicas: 2 },
      status: { observedGeneration: 1, replicas: 2 },
    }),
    'InProgress',
    '0 of 2 available',
  ],
]);

const job = (
  statusParts: Record<string, unknown> | undefined,
  spec: Record<string, unknown> = {},
): KubeObject =>
  owned('batch/v1', 'Job', 'migrate', {
    spec: { backoffLimit: 2, completions: 1, parallelism: 1, ...spec },
    status: statusParts,
  });

const jobs = rows(suite('readinessOf a Job'), [
  ['without a status', job(undefined), 'InProgress', unseen],
  ['at creation', job({}), 'InProgress', '0 of 1 complete'],
  [
    'running',
    job({ active: 1, ready: 1, startTime: '2026-03-01T10:00:00Z', terminating: 0 }),
    'InProgress',
    '0 of 1 complete',
  ],
  [
    'running three, with one done',
    job({ active: 2, succeeded: 1 }, { completions: 3 }),
    'InProgress',
    '1 of 3 complete',
  ],
  [
    'complete',
    job({
      succeeded: 1,
      conditions: [
        { type: 'SuccessCriteriaMet', status: 'True', reason: 'CompletionsReached' },
        { type: 'Complete', status: 'True', reason: 'CompletionsReached' },
      ],
    }),
    'Current',
    '',
  ],
  [
    'failed',
    job({
      failed: 3,
      conditions: [
        { type: 'FailureTarget', status: 'True', reason: 'BackoffLimitExceeded' },
        {
          type: 'Failed',
          status: 'True',
          reason: 'BackoffLimitExceeded',
          message: 'Job has reached the specified backoff limit',
        },
      ],
    }),
    'Failed',
    'the Job failed: BackoffLimitExceeded',
  ],
  [
    'suspended',
    job({ conditions: [{ type: 'Suspended', status: 'True', reason: 'JobSuspended' }] }, { suspend: true }),
    'InProgress',
    '0 of 1 complete',
  ],
]);

const pods = rows(suite('readinessOf a Pod'), [
  ['running and ready', pod('x', 'y'), 'Current', ''],
  ['without a status', { ...pod('x', 'y'), status: undefined }, 'InProgress', unseen],
  ['waiting for its image', pod('x', 'y', waiting('ImagePullBackOff')), 'InProgress', 'Pending, not ready'],
  [
    'running, not ready',
    pod('x', 'y', { phase: 'Running', conditions: [{ type: 'Ready', status: 'False' }] }),
    'InProgress',
    'Running, not ready',
  ],
  [
    'done',
    pod('x', 'y', {
      phase: 'Succeeded',
      conditions: [{ type: 'Ready', status: 'False', reason: 'PodCompleted' }],
    }),
    'Current',
    '',
  ],
  ['failed', pod('x', 'y', { phase: 'Failed' }), 'Failed', 'the Pod failed'],
  [
    'evicted',
    pod('x', 'y', { phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: memory.' }),
    'Failed',
    'The node was low on resource: memory.',
  ],
]);

const service = (
  spec: Record<string, unknown>,
  statusParts: Record<string, unknown> = { loadBalancer: {} },
): KubeObject =>
  owned('v1', 'Service', 'backend', { metadata: { generation: undefined }, spec, status: statusParts });
const claim = (phase: string): KubeObject =>
  owned('v1', 'PersistentVolumeClaim', 'data', { metadata: { generation: undefined }, status: { phase } });
const namespace = (phase: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: 'todo', uid: 'u' },
  status: { phase },
});
const definition = (...conditions: unknown[]): KubeObject =>
  owned('apiextensions.k8s.io/v1', 'CustomResourceDefinition', 'xs.example.com', {
    status: { acceptedNames: {}, conditions },
  });
const budget = (statusParts: Record<string, unknown>): KubeObject =>
  owned('policy/v1', 'PodDisruptionBudget', 'backend', {
    status: { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0, ...statusParts },
  });

const others = rows(suite('readinessOf other kinds'), [
  ['a ClusterIP Service', service({ type: 'ClusterIP', clusterIP: '10.96.0.7' }), 'Current', ''],
  ['a Service without a type', service({}), 'Current', ''],
  ['a LoadBalancer without an address', service({ type: 'LoadBalancer' }), 'InProgress', 'no address yet'],
  [
    'a LoadBalancer with one',
    service({ type: 'LoadBalancer' }, { loadBalancer: { ingress: [{ ip: '34.1.2.3' }] } }),
    'Current',
    '',
  ],
  ['a claim that is bound', claim('Bound'), 'Current', ''],
  ['a claim that is not', claim('Pending'), 'InProgress', 'Pending'],
  ['a claim whose volume is lost', claim('Lost'), 'Failed', 'its volume is lost'],
  ['an active namespace', namespace('Active'), 'Current', ''],
  [
    'an established CRD',
    definition({ type: 'NamesAccepted', status: 'True' }, { type: 'Established', status: 'True' }),
    'Current',
    '',
  ],
  [
    'a CRD that is not yet',
    definition(
      { type: 'NamesAccepted', status: 'True' },
      { type: 'Established', status: 'False', reason: 'Installing' },
    ),
    'InProgress',
    'not established',
  ],
  [
    'a CRD whose names clash',
    definition(
      { type: 'NamesAccepted', status: 'False', reason: 'PluralConflict', message: '"xs" is already in use' },
      { type: 'Established', status: 'False' },
    ),
    'Failed',
    'its names are not accepted: "xs" is already in use',
  ],
  ['a disruption budget nobody has looked at', budget({}), 'InProgress', unseen],
  ['a disruption budget', budget({ observedGeneration: 1 }), 'Current', ''],
]);

const custom = (conditions: unknown[] | undefined, parts: Record<string, unknown> = {}): KubeObject =>
  owned('cert-manager.io/v1', 'Certificate', 'todo-tls', {
    status: conditions === undefined ? undefined : { conditions, ...parts },
  });

const conventions = rows(suite('readinessOf a kind it does not know'), [
  ['without a status', custom(undefined), 'Current', ''],
  ['without conditions', custom([]), 'Current', ''],
  ['ready', custom([{ type: 'Ready', status: 'True', reason: 'Ready' }]), 'Current', ''],
  [
    'not ready',
    custom([
      {
        type: 'Ready',
        status: 'False',
        reason: 'DoesNotExist',
        message: 'Issuing certificate as Secret does not exist',
      },
    ]),
    'InProgress',
    'Issuing certificate as Secret does not exist',
  ],
  [
    'not ready, without a message',
    custom([{ type: 'Ready', status: 'Unknown', reason: 'Pending' }]),
    'InProgress',
    'Pending',
  ],
  ['not ready, without a word', custom([{ type: 'Ready', status: 'False' }]), 'InProgress', 'not ready'],
  [
    'reconciling, whatever Ready still says',
    custom([
      { type: 'Reconciling', status: 'True', reason: 'ProgressingWithRetry' },
      { type: 'Ready', status: 'True' },
    ]),
    'InProgress',
    'ProgressingWithRetry',
  ],
  [
    'stalled',
    custom([
      { type: 'Stalled', status: 'True', reason: 'InvalidSpec', message: 'no such chart' },
      { type: 'Reconciling', status: 'True' },
    ]),
    'Failed',
    'no such chart',
  ],
  [
    'ready for the generation before',
    custom([{ type: 'Ready', status: 'True' }], { observedGeneration: 0 }),
    'InProgress',
    unseen,
  ],
]);

const conditions = suite('conditionOf');

conditions('reads a condition by its type, with empty texts for what it does not say', () => {
  assert.equal(conditionOf(deployment(), 'Available'), {
    status: 'True',
    reason: 'MinimumReplicasAvailable',
    message: 'Deployment has minimum availability.',
  });
  assert.equal(conditionOf(custom([{ type: 'Ready' }]), 'Ready'), { status: '', reason: '', message: '' });
  assert.is(conditionOf(deployment(), 'Gone'), undefined);
  assert.is(conditionOf(undefined, 'Ready'), undefined);
});

const since = suite('failedSince');

const at = '2026-03-01T10:00:00Z';

since('of what may still come to health, the time of the condition that says Failed', () => {
  const late = { ...progressing('ProgressDeadlineExceeded', 'False'), lastTransitionTime: at };
  assert.is(failedSince(deployment({ status: { conditions: [available, late] } })), at);
  assert.is(failedSince(custom([{ type: 'Stalled', status: 'True', lastTransitionTime: at }])), at);
  assert.is(failedSince(custom([{ type: 'NamesAccepted', status: 'False', lastTransitionTime: at }])), at);
});

since('undefined of what is not Failed, and of what stays so for ever', () => {
  const going = { ...progressing('ReplicaSetUpdated'), lastTransitionTime: at };
  assert.is(failedSince(deployment({ status: { conditions: [going] } })), undefined);
  assert.is(failedSince(custom([{ type: 'Stalled', status: 'False', lastTransitionTime: at }])), undefined);
  const failed = { type: 'Failed', status: 'True', reason: 'BackoffLimitExceeded', lastTransitionTime: at };
  assert.is(failedSince(owned('batch/v1', 'Job', 'a', { status: { conditions: [failed] } })), undefined);
});

since.run();
anything.run();
deployments.run();
statefulSets.run();
daemonSets.run();
replicaSets.run();
jobs.run();
pods.run();
others.run();
conventions.run();
conditions.run();
