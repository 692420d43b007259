import * as assert from 'uvu/assert';
import { symptomsOf } from '../../scripts/lib/diagnosis.ts';
import { failedSince } from '../../scripts/lib/kstatus.ts';
import { eventually, type Outcome } from '../support/cluster.ts';
import { concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';

const health = concurrentSuite('health', 5);

interface Failure {
  title: string;
  cause: (deployment: Deployment) => void;
  mend: (deployment: Deployment) => void | Promise<void>;
  /** Lines of the report, subject and reason, then the hint. */
  says: RegExp[];
  timeout: string;
}

const simulated = (
  title: string,
  timeout: string,
  says: RegExp[],
  more: Record<string, unknown> = {},
): Failure => ({
  title,
  cause: (deployment) => deployment.simulate('backend', title.replaceAll(' ', '-'), more),
  mend: (deployment) => deployment.simulate('backend', undefined),
  says,
  timeout,
});

const job = (name: string, simulate?: string): object => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name },
  spec: {
    backoffLimit: 0,
    template: {
      metadata: simulate ? { annotations: { 'strata.dev/simulate': simulate } } : {},
      spec: {
        restartPolicy: 'Never',
        securityContext: { runAsNonRoot: true, runAsUser: 10001, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [
          {
            name: 'migrate',
            image: 'todo-backend:dev',
            securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
          },
        ],
      },
    },
  },
});

const quota = (pods: string): object => ({
  apiVersion: 'v1',
  kind: 'ResourceQuota',
  metadata: { name: 'few' },
  spec: { hard: { pods } },
});

const privileged = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'backend' },
  spec: {
    template: {
      spec: { containers: [{ name: 'backend', securityContext: { allowPrivilegeEscalation: true } }] },
    },
  },
};

const hurried = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'backend' },
  spec: { progressDeadlineSeconds: 3 },
};

/** Seconds, half of the longest timeout here: far more than it takes, even on a machine that is busy. */
const soon = 90;

const failures: Failure[] = [
  simulated('image pull error', '3m', [
    /error: Pod\/backend-\S+: container backend: image todo-backend:dev cannot be pulled: it is not on the node, and no registry/,
    /next: minikube image load todo-backend:dev; or correct its name\n/,
    /\nDeployment\/backend {2}InProgress: 0 of 1 available\n {2}ReplicaSet\/backend-\w+\n {4}Pod\/backend-\S+ {2}Pending\n {6}backend {2}ImagePullBackOff\n/,
    /\nevents, newest first\n +\d+ s ago {2}Failed ×3 {2}Pod\/backend-\S+: Failed to pull image "todo-backend:dev": rpc error: code = NotFound/,
  ]),
  simulated('crash loop', '3m', [
    /Pod\/backend-\S+: container backend crashes again and again: \d restarts, last with exit code 1\n/,
    /next: kubectl --context minikube -n strata-test-\w+ logs backend-\S+ -c backend --previous\n/,
    /\n {6}backend {2}CrashLoopBackOff, \d restarts, last with exit code 1\n/,
    /\nlog of backend in Pod\/backend-\S+, the one before this\n {2}\| simulated: the container before this one ended with exit code 1\n/,
  ]),
  simulated('unschedulable', '3m', [
    /Pod\/backend-\S+: no node can take it: .*nodes are available/,
    /next: kubectl --context minikube get nodes --show-labels\n/,
    /\n {4}Pod\/backend-\S+ {2}Unschedulable\n/,
  ]),
  simulated('config error', '3m', [
    /Pod\/backend-\S+: container backend cannot be configured: ConfigMap backend-config-\w+ does not exist in namespace strata-test-/,
    /next: npm run up -- minikube --root \S+ --timeout 3m writes it again\n/,
  ]),
  simulated('never ready', '8s', [
    /not healthy within 8\.0 s \[NOT_HEALTHY\]/,
    /\nDeployment\/backend {2}InProgress: 0 of 1 available\n {2}ReplicaSet\/backend-\w+\n {4}Pod\/backend-\S+ {2}Running\n {6}backend {2}running, not ready\n/,
    /error: Pod\/backend-\S+: container backend runs and is not ready: the readiness probe is answered with 503\n/,
  ]),
  {
    ...simulated(
      'never ready',
      '3m',
      [
        /\nDeployment\/backend {2}Failed: no progress within 3 s\n/,
        /error: Pod\/backend-\S+: container backend runs and is not ready: the readiness probe is answered with 503\n/,
        /the rollout cannot succeed/,
      ],
      { progressDeadlineSeconds: 3 },
    ),
    title: 'progress deadline',
  },
  {
    title: 'failed Job',
    cause: (deployment) => deployment.add({ 'job.yaml': job('migrate', 'exit-1') }),
    // The Pod template of a Job cannot be changed.
    mend: (deployment) => deployment.add({ 'job.yaml': job('migrate-again') }),
    says: [
      /error: Job\/migrate: the Job failed: BackoffLimitExceeded \(Job has reached the specified backoff limit\)\n/,
      /error: Pod\/migrate-\w+: container migrate ended with exit code 1\n {2}next: kubectl --context minikube -n strata-test-\w+ logs migrate-\w+ -c migrate\n/,
    ],
    timeout: '3m',
  },
  {
    title: 'quota',
    cause: (deployment) => deployment.add({ 'quota.yaml': quota('1') }),
    async mend(deployment) {
      // By now the controller tries again after ten seconds only: what it last said is out of date for long.
      await new Promise((resolve) => setTimeout(resolve, 6000));
      deployment.add({ 'quota.yaml': quota('9') });
    },
    says: [
      /error: Deployment\/\w+: its Pods are refused: .*exceeded quota: few/,
      /next: kubectl --context minikube -n strata-test-\w+ describe resourcequota few; lower/,
    ],
    timeout: '3m',
  },
  {
    title: 'Pod Security',
    cause: (deployment) => deployment.add({ 'deployment.privileged.yaml': privileged }, 'patches'),
    mend: (deployment) => deployment.drop('deployment.privileged.yaml'),
    says: [
      /error: Deployment\/backend: its Pods are refused: .*violates PodSecurity "restricted:latest"/,
      /next: correct the securityContext/,
    ],
    timeout: '3m',
  },
];

function assertReported(outcome: Outcome, says: readonly RegExp[]): void {
  assert.match(outcome.stderr, /\[NOT_HEALTHY\]\n {2}next: npm run status -- minikube/);
  for (const pattern of says) assert.match(outcome.stderr, pattern);
  assert.not.match(outcome.stderr, /done in/);
}

for (const { title, cause, mend, says, timeout } of failures) {
  health(`${title}: up says why and ends, and once it is mended the same command succeeds`, () =>
    withDeployment({}, async (deployment) => {
      cause(deployment);
      const started = performance.now();
      const failed = await deployment.expect(4, 'up', ['--timeout', timeout]);
      const seconds = (performance.now() - started) / 1000;
      assertReported(failed, says);
      assert.ok(seconds < soon, `${seconds} s`);
      const told = await deployment.expect(4, 'status');
      assert.match(told.stderr, `next: ${deployment.commandOf('doctor')}\n`);

      await mend(deployment);
      await deployment.expect(0, 'up', ['--timeout', '90s']);
      await deployment.expect(0, 'diff');
    }),
  );
}

health('that comes slowly is waited for, with a line per change of state', () =>
  withDeployment({}, async (deployment) => {
    deployment.simulate('backend', 'slow-start');
    const { stderr } = await deployment.expect(0, 'up', ['--timeout', '90s']);
    assert.match(stderr, /\n {2}Deployment\/backend {2}InProgress: 0 of 1 available\n/);
    assert.match(stderr, /\n {2}Deployment\/backend {2}Current {2}\d+\.\d s\n/);
    const lines = stderr.split('\n').filter((line) => line.includes('Deployment/backend  InProgress'));
    assert.is(new Set(lines).size, lines.length, 'no line is said twice');
  }),
);

health('that never comes prunes nothing, and leaves the old Pods serving', () =>
  withDeployment({}, async (deployment) => {
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'extra' },
      spec: { selector: { app: 'extra' }, ports: [{ port: 80 }] },
    };
    deployment.add({ 'service.yaml': service });
    deployment.setValues({ APP_NAME: 'first' });
    await deployment.expect(0, 'up');
    const healthy = await deployment.generated('ConfigMap', 'backend-config');
    const serving = await deployment.list('pods');

    deployment.drop('service.yaml');
    deployment.setValues({ APP_NAME: 'second' });
    deployment.simulate('backend', 'never-ready');
    const failed = await deployment.expect(4, 'up', ['--timeout', '3s']);
    assert.not.match(failed.stderr, /pruned/);
    assert.ok(await deployment.get('service', 'extra'));
    const pods = (await deployment.list('pods')).map(({ metadata }) => metadata.uid);
    for (const { metadata } of serving) assert.ok(pods.includes(metadata.uid), metadata.name);

    // Once more with other values: what nobody came to use may go, what is in use may not.
    deployment.setValues({ APP_NAME: 'third' });
    deployment.simulate('backend', undefined);
    await deployment.expect(0, 'up');
    assert.is(await deployment.get('service', 'extra'), undefined);
    assert.ok((await deployment.generated('ConfigMap', 'backend-config')).includes(healthy[0]!));
    await deployment.expect(0, 'diff');
  }),
);

health(
  'that the cluster has given up is looked at again, and succeeds when its cause was mended outside',
  () =>
    withDeployment({}, async (deployment) => {
      deployment.simulate('backend', 'never-ready', { progressDeadlineSeconds: 3 });
      await deployment.expect(4, 'up', ['--timeout', '2m']);
      const running = deployment.start('up', ['--timeout', '2m']);
      // Nothing differs: the Deployment still says that its time is up.
      await running.said(
        /Deployment\/backend showed this before; it gets up to [\d.]+ s for its next attempt: no progress within 3 s/,
      );
      await deployment.kubectl([
        'annotate',
        'pods',
        '--all',
        '--overwrite',
        'strata.dev/simulate=slow-start',
      ]);
      const { status, stderr } = await running.ended;
      assert.is(status, 0, stderr);
    }),
);

health('that a quota held up succeeds by the same command once that was raised by hand', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    const limit = (pods: string): Promise<string> => deployment.kubectl(['apply', '-f', '-'], quota(pods));
    await limit('0');
    deployment.setValues({ APP_NAME: 'second' });
    deployment.add({ 'deployment.hurried.yaml': hurried }, 'patches');
    const failed = await deployment.expect(4, 'up', ['--timeout', '2m']);
    assert.match(failed.stderr, /the rollout cannot succeed/);
    // The Deployment says that its time is up until it has made progress, and no controller is in a hurry.
    await eventually(
      () => deployment.get('deployment', 'backend'),
      (backend) => failedSince(backend!) !== undefined,
    );
    const running = deployment.start('up', ['--timeout', '2m']);
    await running.said('showed this before');
    await limit('50');
    const { status, stderr } = await running.ended;
    assert.is(status, 0, stderr);
    assert.match(
      stderr,
      /showed this before; it gets up to [\d.]+ s for its next attempt: its Pods are refused/,
    );
  }),
);

health('of an image that was loaded later succeeds, one that was not ends again', () =>
  withDeployment({}, async (deployment) => {
    deployment.simulate('backend', 'image-never-pull');
    await deployment.expect(4, 'up', ['--timeout', '60s']);
    await eventually(
      () => deployment.list('pods'),
      (pods) => pods.every(({ metadata }) => Date.now() - Date.parse(metadata.creationTimestamp!) > 4000),
    );
    const again = await deployment.expect(4, 'up', ['--timeout', '120s']);
    assert.match(
      again.stderr,
      /Pod\/backend-\S+ showed this before; it gets up to [\d.]+ s for its next attempt/,
    );
    assert.match(again.stderr, /the rollout cannot succeed/);

    const running = deployment.start('up', ['--timeout', '120s']);
    await running.said('showed this before');
    await deployment.kubectl(['annotate', 'pods', '--all', 'strata.dev/simulate-']);
    const mended = await running.ended;
    assert.is(mended.status, 0, mended.stderr);
  }),
);

health('of a spec that the controller has not seen yet is not judged by the Pods of the one before', () =>
  withDeployment({}, async (deployment) => {
    deployment.simulate('backend', 'crash-loop');
    await deployment.expect(4, 'up');
    const backend = (await deployment.get('deployment', 'backend'))!;
    const [pods, replicaSets] = [await deployment.list('pods'), await deployment.list('replicasets')];
    const { context, namespace, overlay } = deployment;
    const around = { pods, replicaSets, events: [], setting: { context, namespace, overlay } };
    assert.is(symptomsOf(backend, around).length, 1);
    const { metadata } = backend;
    const edited = { ...backend, metadata: { ...metadata, generation: metadata.generation! + 1 } };
    assert.equal(symptomsOf(edited, around), []);
  }),
);

health.run();
