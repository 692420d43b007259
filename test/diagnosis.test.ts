import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { podsOf, type Surroundings, type Symptom, symptomsOf, troublesOf } from '../scripts/lib/diagnosis.ts';
import type { KubeObject } from '../scripts/lib/manifest.ts';
import { deployment, owned, pod, progressing, replicaSet, waiting } from './support/objects.ts';

const newest = replicaSet('backend-7d4b9c6f5d', '3');
const older = replicaSet('backend-5c8d7f6b4c', '2');
const names = (objects: readonly KubeObject[]): string[] => objects.map(({ metadata }) => metadata.name);

const around = (...pods: KubeObject[]): Surroundings => ({
  pods,
  replicaSets: [older, newest],
  events: [],
  setting: { context: 'minikube', namespace: 'todo', overlay: 'dev' },
});

const belonging = suite('podsOf');

belonging('of a Deployment only those of the revision being rolled out', () => {
  const pods = [
    pod('new', 'backend-7d4b9c6f5d'),
    pod('old', 'backend-5c8d7f6b4c'),
    pod('foreign', 'frontend-1'),
  ];
  assert.equal(names(podsOf(deployment(), around(...pods))), ['new']);
});

belonging('not those that are going', () => {
  const going = pod('going', 'backend-7d4b9c6f5d', undefined, {
    metadata: { deletionTimestamp: '2026-03-01T10:00:00Z' },
  });
  assert.equal(podsOf(deployment(), around(going)), []);
});

belonging('none before the controller has made a ReplicaSet of the revision', () => {
  const next = deployment({ metadata: { annotations: { 'deployment.kubernetes.io/revision': '4' } } });
  assert.equal(podsOf(next, around(pod('new', 'backend-7d4b9c6f5d'))), []);
});

belonging('of other workloads those they own, of a Pod itself', () => {
  const job = owned('batch/v1', 'Job', 'migrate');
  const mine = pod('migrate-x', 'y', undefined, {
    metadata: {
      ownerReferences: [
        { apiVersion: 'batch/v1', kind: 'Job', name: 'migrate', uid: job.metadata.uid!, controller: true },
      ],
    },
  });
  const bare = pod('bare', 'y', undefined, { metadata: { ownerReferences: undefined } });
  assert.equal(names(podsOf(job, around(mine, bare))), ['migrate-x']);
  assert.equal(names(podsOf(bare, around(mine, bare))), ['bare']);
});

const symptoms = suite('symptomsOf');

const only = (status: Record<string, unknown>): Symptom[] =>
  symptomsOf(deployment(), around(pod('p', 'backend-7d4b9c6f5d', status)));
const pull = 'rpc error: code = NotFound desc = failed to pull and unpack image: not found';
const because = 'it is not on the node, and no registry has it under this name';
const load = 'minikube image load todo-backend:1.0.0; or correct its name';
const kubectl = 'kubectl --context minikube -n todo';
const crash = (restartCount: number, lastState: unknown): Record<string, unknown> =>
  waiting('CrashLoopBackOff', 'back-off 5m0s restarting failed container', { restartCount, lastState });
const terminated = (exitCode: number, reason: string): unknown => ({
  terminated: { exitCode, reason, startedAt: '2026-03-01T10:00:00Z' },
});

for (const [name, status, message, hint, patience] of [
  [
    'an image that cannot be pulled',
    waiting('ErrImagePull', pull),
    `container backend: image todo-backend:1.0.0 cannot be pulled: ${because}`,
    load,
    10_000,
  ],
  [
    'an image that could not be pulled before',
    waiting('ImagePullBackOff', `Back-off pulling image "todo-backend:1.0.0": ErrImagePull: ${pull}`),
    `container backend: image todo-backend:1.0.0 cannot be pulled: ${because}`,
    load,
    10_000,
  ],
  [
    'an image that cannot be pulled, nobody knows why',
    waiting('ImagePullBackOff'),
    'container backend: image todo-backend:1.0.0 cannot be pulled: the kubelet does not say why',
    `${kubectl} describe pod p`,
    10_000,
  ],
  [
    'an image that may not be pulled',
    waiting('ErrImageNeverPull'),
    'container backend: image todo-backend:1.0.0 is not on the node, and imagePullPolicy is Never',
    'minikube image load todo-backend:1.0.0',
    0,
  ],
  [
    'a name that is none',
    waiting('InvalidImageName'),
    'container backend: todo-backend:1.0.0 is no valid image name',
    'correct the image in the manifest or in --image',
    0,
  ],
  [
    'a ConfigMap that is not there',
    waiting('CreateContainerConfigError', 'configmap "backend-config" not found'),
    'container backend cannot be configured: ConfigMap backend-config does not exist in namespace todo',
    `${kubectl} get configmaps; create it, or correct the name`,
    5_000,
  ],
  [
    'a program that is not in the image',
    waiting('RunContainerError', 'exec: "uvicorn": executable file not found in $PATH'),
    'container backend cannot be started: the program uvicorn is not in the image',
    'correct `command` in the manifest, or CMD in the Dockerfile: docker run --rm -it --entrypoint sh todo-backend:1.0.0',
    10_000,
  ],
  [
    'a start that fails for another reason',
    waiting('CreateContainerError', 'context deadline exceeded'),
    'container backend cannot be started: context deadline exceeded',
    `${kubectl} describe pod p`,
    10_000,
  ],
  [
    'a crash loop',
    crash(3, terminated(1, 'Error')),
    'container backend crashes again and again: 3 restarts, last with exit code 1',
    `${kubectl} logs p -c backend --previous`,
    0,
  ],
  [
    'a crash loop for want of memory',
    crash(4, terminated(137, 'OOMKilled')),
    'container backend crashes again and again: 4 restarts, last with exit code 137 (OOMKilled): it needed more memory than its limit',
    'raise resources.limits.memory, or find what takes it',
    0,
  ],
  [
    'a crash loop nobody knows the end of',
    crash(5, {}),
    'container backend crashes again and again: 5 restarts',
    `${kubectl} logs p -c backend --previous`,
    0,
  ],
  [
    'no node that takes it',
    {
      phase: 'Pending',
      conditions: [
        {
          type: 'PodScheduled',
          status: 'False',
          reason: 'Unschedulable',
          message: '0/3 nodes are available: 3 Insufficient cpu.',
        },
      ],
    },
    'no node can take it: no node has that much cpu left: 0/3 nodes are available: 3 Insufficient cpu.',
    'lower resources.requests.cpu, or add nodes: kubectl --context minikube describe nodes',
    15_000,
  ],
] as [string, Record<string, unknown>, string, string, number][]) {
  symptoms(`tells ${name}`, () => {
    const [found, ...more] = only(status);
    assert.equal(more, []);
    assert.equal(
      [found!.subject, found!.message, found!.hint, found!.patience],
      ['Pod/p', message, hint, patience],
    );
  });
}

for (const [name, status] of [
  ['a Pod that is well', undefined],
  ['a Pod whose container is being created', waiting('ContainerCreating')],
  ['a Pod that waits for its init containers', waiting('PodInitializing')],
  ['the first crashes, which a slow dependency explains', crash(2, terminated(1, 'Error'))],
  [
    'a Pod that runs and is not ready',
    {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: 'False' }],
      containerStatuses: [{ name: 'backend', state: { running: {} }, restartCount: 9 }],
    },
  ],
  [
    'a Pod that the scheduler has not looked at',
    { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] },
  ],
  ['a Pod without a status', {}],
] as [string, Record<string, unknown> | undefined][]) {
  symptoms(`has nothing against ${name}`, () => {
    assert.equal(symptomsOf(deployment(), around(pod('p', 'backend-7d4b9c6f5d', status))), []);
  });
}

symptoms('looks at init containers too', () => {
  const { containerStatuses, ...rest } = waiting('ErrImagePull');
  assert.is(only({ ...rest, initContainerStatuses: containerStatuses }).length, 1);
});

symptoms('a pull that fails and one that backs off are one symptom', () => {
  assert.is(
    only(waiting('ErrImagePull'))[0]!.id,
    only(waiting('ImagePullBackOff', 'Back-off pulling image'))[0]!.id,
  );
});

symptoms('those of two Pods and of two containers are told apart', () => {
  const status = waiting('ErrImagePull');
  const [first] = status.containerStatuses as Record<string, unknown>[];
  const two = { ...status, containerStatuses: [first, { ...first, name: 'sidecar' }] };
  const found = symptomsOf(
    deployment(),
    around(pod('a', 'backend-7d4b9c6f5d', two), pod('b', 'backend-7d4b9c6f5d', two)),
  );
  assert.is(new Set(found.map(({ id }) => id)).size, 4);
});

symptoms('Pods of an older revision say nothing of the new one', () => {
  assert.equal(symptomsOf(deployment(), around(pod('old', 'backend-5c8d7f6b4c', crash(9, {})))), []);
});

for (const [name, message, hint] of [
  [
    'a quota',
    'pods "backend-1" is forbidden: exceeded quota: compute, requested: cpu=1, used: cpu=2, limited: cpu=2',
    'kubectl --context minikube -n todo describe resourcequota compute; lower requests or replicas, or raise the quota',
  ],
  [
    'Pod Security',
    'pods "backend-1" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
    'correct the securityContext that the message names',
  ],
  [
    'a webhook',
    'admission webhook "policy.example.com" denied the request',
    'kubectl --context minikube get validatingwebhookconfigurations,mutatingwebhookconfigurations',
  ],
  [
    'anything else',
    'something new',
    'kubectl --context minikube -n todo get events --sort-by=.lastTimestamp',
  ],
] as const) {
  symptoms(`Pods that are refused by ${name} are told at their workload`, () => {
    const refused = deployment({
      status: {
        observedGeneration: 3,
        conditions: [
          progressing('NewReplicaSetCreated'),
          { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message },
        ],
      },
    });
    assert.equal(symptomsOf(refused, around()), [
      {
        id: 'Deployment/backend/create',
        subject: 'Deployment/backend',
        message: `its Pods are refused: ${message}`,
        hint,
        patience: 5_000,
      },
    ]);
  });
}

symptoms('a refusal says since when, where its condition does', () => {
  const lastTransitionTime = '2026-03-01T10:00:00Z';
  const refused = deployment({
    status: { conditions: [{ type: 'ReplicaFailure', status: 'True', message: 'x', lastTransitionTime }] },
  });
  assert.is(symptomsOf(refused, around())[0]!.since, lastTransitionTime);
});

symptoms('a refusal that is over is none', () => {
  const healed = deployment({
    status: {
      conditions: [{ type: 'ReplicaFailure', status: 'False', reason: 'x', message: 'exceeded quota' }],
    },
  });
  assert.equal(symptomsOf(healed, around()), []);
});

const troubles = suite('troublesOf');

const running = (more: Record<string, unknown> = {}): Record<string, unknown> => ({
  phase: 'Running',
  conditions: [{ type: 'Ready', status: 'False' }],
  containerStatuses: [{ name: 'backend', ready: false, restartCount: 0, state: { running: {} }, ...more }],
});

const event = (
  reason: string,
  message: string,
  time: string,
  more: Record<string, unknown> = {},
): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { name: `p.${time}` },
  type: 'Warning',
  reason,
  message,
  lastTimestamp: time,
  involvedObject: { kind: 'Pod', name: 'p', uid: 'uid-of-pod-p', fieldPath: 'spec.containers{backend}' },
  ...more,
});

const allOf = (status: Record<string, unknown>, ...events: KubeObject[]): Symptom[] =>
  troublesOf(deployment(), { ...around(pod('p', 'backend-7d4b9c6f5d', status)), events });

troubles('of a container that runs and is not ready: its newest failed probe', () => {
  const found = allOf(
    running(),
    event(
      'Unhealthy',
      'Readiness probe failed: HTTP probe failed with statuscode: 500',
      '2026-03-01T10:00:00Z',
    ),
    event(
      'Unhealthy',
      'Readiness probe failed: HTTP probe failed with statuscode: 404',
      '2026-03-01T10:00:09Z',
    ),
    event('Unhealthy', 'Readiness probe failed: other', '2026-03-01T10:00:59Z', {
      involvedObject: { kind: 'Pod', name: 'p', uid: 'uid-of-pod-p', fieldPath: 'spec.containers{sidecar}' },
    }),
  );
  assert.is(found.length, 1);
  assert.is(
    found[0]!.message,
    'container backend runs and is not ready: the readiness probe is answered with 404: its path does not exist in the program',
  );
  assert.is(found[0]!.patience, Number.POSITIVE_INFINITY, 'it may still become ready');
  assert.equal(found[0]!.container, { pod: 'p', name: 'backend' });
});

troubles('of a container that runs and is not ready, without any Event', () => {
  const [found] = allOf(running());
  assert.is(found!.message, 'container backend runs and is not ready');
  assert.is(found!.hint, 'kubectl --context minikube -n todo logs p -c backend');
});

troubles('of a container that a failed liveness probe ends', () => {
  const [found] = allOf(
    crash(4, terminated(137, 'Error')),
    event(
      'Unhealthy',
      'Liveness probe failed: HTTP probe failed with statuscode: 500',
      '2026-03-01T10:00:09Z',
    ),
    event(
      'Unhealthy',
      'Readiness probe failed: HTTP probe failed with statuscode: 503',
      '2026-03-01T10:00:10Z',
    ),
  );
  assert.match(found!.message, /the kubelet ended it \(SIGKILL\): the liveness probe is answered with 500$/);
});

troubles('of a first crash too, once the time is up', () => {
  assert.match(
    allOf(crash(1, terminated(1, 'Error')))[0]!.message,
    /again: 1 restart, last with exit code 1$/,
  );
});

troubles('of a Pod whose volume is not there', () => {
  const [found] = allOf(
    waiting('ContainerCreating'),
    event(
      'FailedMount',
      'MountVolume.SetUp failed for volume "tls" : secret "tls" not found',
      '2026-03-01T10:00:09Z',
      {
        involvedObject: { kind: 'Pod', name: 'p', uid: 'uid-of-pod-p' },
      },
    ),
  );
  assert.is(found!.message, 'its containers cannot be prepared: Secret tls does not exist in namespace todo');
});

troubles('of a StatefulSet whose Pods are refused, which has no condition for it', () => {
  const set = owned('apps/v1', 'StatefulSet', 'db', {
    spec: { replicas: 1 },
    status: { observedGeneration: 1 },
  });
  const said =
    'create Pod db-0 in StatefulSet db failed error: pods "db-0" is forbidden: exceeded quota: few, requested: pods=1';
  const refused = event('FailedCreate', said, '2026-03-01T10:00:09Z', {
    involvedObject: { kind: 'StatefulSet', name: 'db', uid: set.metadata.uid },
  });
  const [found] = troublesOf(set, { ...around(), events: [refused] });
  assert.match(found!.message, /^its Pods are refused: pods "db-0" is forbidden: exceeded quota: few/);
});

troubles('none of a Pod that is ready', () => {
  assert.equal(troublesOf(deployment(), around(pod('p', 'backend-7d4b9c6f5d'))), []);
});

troubles('what a container of a Job ended with', () => {
  const job = owned('batch/v1', 'Job', 'migrate');
  const failed = pod(
    'migrate-x',
    'y',
    {
      phase: 'Failed',
      containerStatuses: [{ name: 'backend', restartCount: 0, state: terminated(127, 'Error') }],
    },
    {
      metadata: {
        ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: 'migrate', uid: job.metadata.uid! }],
      },
    },
  );
  const [found] = troublesOf(job, around(failed));
  assert.is(
    found!.message,
    'container backend ended with exit code 127: the command it starts is not in the image',
  );
});

belonging.run();
symptoms.run();
troubles.run();
