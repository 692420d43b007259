import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  podsOf,
  type Surroundings,
  type Symptom,
  stateOfPods,
  symptomsOf,
} from '../scripts/lib/diagnosis.ts';
import type { KubeObject } from '../scripts/lib/manifest.ts';
import { deployment, owned, pod, progressing, replicaSet, waiting } from './support/objects.ts';

const newest = replicaSet('backend-7d4b9c6f5d', '3');
const older = replicaSet('backend-5c8d7f6b4c', '2');
const names = (objects: readonly KubeObject[]): string[] => objects.map(({ metadata }) => metadata.name);

const around = (...pods: KubeObject[]): Surroundings => ({ pods, replicaSets: [older, newest] });

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
const pull = 'failed to pull and unpack image: not found';
const crash = (restartCount: number, lastState: unknown): Record<string, unknown> =>
  waiting('CrashLoopBackOff', 'back-off 5m0s restarting failed container', { restartCount, lastState });
const terminated = (exitCode: number, reason: string): unknown => ({
  terminated: { exitCode, reason, startedAt: '2026-03-01T10:00:00Z' },
});

for (const [name, status, message, hint, patience] of [
  [
    'an image that cannot be pulled',
    waiting('ErrImagePull', pull),
    `container backend: image todo-backend:1.0.0 cannot be pulled: ${pull}`,
    'load it (minikube image load todo-backend:1.0.0), or check name, tag and pull secret',
    10_000,
  ],
  [
    'an image that could not be pulled before',
    waiting('ImagePullBackOff'),
    'container backend: image todo-backend:1.0.0 cannot be pulled',
    'load it (minikube image load todo-backend:1.0.0), or check name, tag and pull secret',
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
    'container backend cannot be configured: configmap "backend-config" not found',
    'kubectl describe pod p',
    5_000,
  ],
  [
    'a program that is not in the image',
    waiting('RunContainerError', 'exec: "uvicorn": not found'),
    'container backend cannot be started: exec: "uvicorn": not found',
    'kubectl describe pod p',
    10_000,
  ],
  [
    'a crash loop',
    crash(3, terminated(1, 'Error')),
    'container backend crashes again and again: 3 restarts, last with exit code 1',
    'kubectl logs p -c backend --previous',
    0,
  ],
  [
    'a crash loop for want of memory',
    crash(4, terminated(137, 'OOMKilled')),
    'container backend crashes again and again: 4 restarts, last with exit code 137 (OOMKilled)',
    'kubectl logs p -c backend --previous',
    0,
  ],
  [
    'a crash loop nobody knows the end of',
    crash(5, {}),
    'container backend crashes again and again: 5 restarts',
    'kubectl logs p -c backend --previous',
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
    'no node can take it: 0/3 nodes are available: 3 Insufficient cpu.',
    'lower requests, or add nodes: kubectl describe nodes',
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
    'kubectl describe resourcequota; lower requests or replicas, or raise the quota',
  ],
  [
    'Pod Security',
    'pods "backend-1" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
    'correct the securityContext that the message names',
  ],
  [
    'a webhook',
    'admission webhook "policy.example.com" denied the request',
    'kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations',
  ],
  ['anything else', 'serviceaccount "backend" not found', 'kubectl get events --sort-by=.lastTimestamp'],
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

const states = suite('stateOfPods');

for (const [name, status, expected] of [
  ['what it waits for', waiting('ContainerCreating'), ['Pod/p: backend ContainerCreating']],
  [
    'that it runs',
    { phase: 'Running', conditions: [], containerStatuses: [{ name: 'backend', state: { running: {} } }] },
    ['Pod/p: backend running, not ready'],
  ],
  [
    'that it has not started',
    { phase: 'Running', containerStatuses: [{ name: 'backend', state: { terminated: { exitCode: 1 } } }] },
    ['Pod/p: backend not started'],
  ],
  ['its phase while it has no containers', { phase: 'Pending' }, ['Pod/p: Pending']],
  ['that it waits, without any status', {}, ['Pod/p: Pending']],
  ['nothing when it is ready', undefined, []],
] as [string, Record<string, unknown> | undefined, string[]][]) {
  states(`says of a Pod ${name}`, () => {
    assert.equal(stateOfPods(deployment(), around(pod('p', 'backend-7d4b9c6f5d', status))), expected);
  });
}

belonging.run();
symptoms.run();
states.run();
