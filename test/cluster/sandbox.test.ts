import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { killSandbox, startSandbox, stopSandbox } from '../../scripts/lib/boot.ts';
import { chooseFreePort } from '../../scripts/lib/controlplane.ts';
import { type SandboxInfo, sandboxStatus } from '../../scripts/lib/sandbox.ts';
import { sandboxFolder } from '../../scripts/lib/sandbox-name.ts';
import { systemClock } from '../../scripts/lib/session.ts';
import { eventually, kubectlIn, useSandbox } from '../support/cluster.ts';
import { projectFolder, testSession } from '../support/session.ts';

/** Pids of what runs in one of these folders, deleted or not; nothing is known outside Linux. */
function processesIn(parent: string): number[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`).startsWith(`${parent}/`);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Every file below a folder that someone else could read, write or list. */
function openFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => path.join(folder, name))
    .concat(folder)
    .filter((file) => existsSync(file) && (statSync(file).mode & 0o077) !== 0);
}

const withParent = async (work: (parent: string) => Promise<void>): Promise<void> => {
  const parent = mkdtempSync(path.join(tmpdir(), 'strata-cluster-'));
  try {
    await work(parent);
    assert.equal(readdirSync(parent), [], 'no folder is left');
    assert.equal(processesIn(parent), [], 'no process is left');
  } finally {
    for (const name of readdirSync(parent)) killSandbox(path.join(parent, name));
    rmSync(parent, { recursive: true, force: true });
  }
};

const items = async <T>(sandbox: SandboxInfo, args: readonly string[]): Promise<T[]> => {
  const { stdout } = await kubectlIn(sandbox, [...args, '--output', 'json']);
  return (JSON.parse(stdout) as { items: T[] }).items;
};

const lifecycle = suite('a sandbox');

lifecycle('starts, is reused, and leaves nothing', () =>
  withParent(async (parent) => {
    const folder = path.join(parent, 'default');
    const session = testSession();
    const info = await startSandbox(session, { folder });
    assert.equal(await sandboxStatus(session, { folder }), { state: 'running', info });
    assert.is(info.context, 'strata-sandbox');
    assert.equal(openFiles(folder), []);
    assert.equal(Object.keys(info.processes).sort(), [
      'etcd',
      'kube-apiserver',
      'kube-controller-manager',
      'kube-scheduler',
      'kwok',
    ]);
    assert.match(session.output.stderr, /its nodes and pods are simulated/);
    assert.is(session.output.stdout, '');

    const again = testSession();
    assert.equal(await startSandbox(again, { folder }), info);
    assert.is(again.output.stderr, '');
    if (process.platform === 'linux') assert.is(processesIn(parent).length, 5);

    assert.is(await stopSandbox(session, { folder }), true);
    assert.is(await stopSandbox(session, { folder }), false);
  }),
);

lifecycle('is one, when two start it at once, and lives beside another', () =>
  withParent(async (parent) => {
    const folder = path.join(parent, 'one');
    const other = path.join(parent, 'other');
    const [first, second] = await Promise.all([
      startSandbox(testSession(), { folder }),
      startSandbox(testSession(), { folder }),
    ]);
    assert.equal(first, second);
    const taken = Number(new URL(first.server).port);
    let asked = 0;
    // Each of the two programs that choose a port gets one that is taken, once.
    const choosePort = async (): Promise<number> => (++asked % 2 === 1 ? taken : chooseFreePort());
    const beside = await startSandbox(testSession(), { folder: other, choosePort });
    assert.is(asked, 4);
    assert.is.not(beside.server, first.server);
    assert.is(beside.context, 'strata-sandbox-other');
    assert.is((await items(beside, ['get', 'nodes'])).length, 3);
    await stopSandbox(testSession(), { folder: other });
    assert.is((await sandboxStatus(testSession(), { folder })).state, 'running');
    await stopSandbox(testSession(), { folder });
  }),
);

lifecycle('is started anew when one of its programs was killed', () =>
  withParent(async (parent) => {
    const folder = path.join(parent, 'default');
    const info = await startSandbox(testSession(), { folder });
    process.kill(info.processes.kwok!.pid, 'SIGKILL');
    await eventually(
      () => sandboxStatus(testSession(), { folder }),
      ({ state }) => state === 'broken',
    );
    const again = await startSandbox(testSession(), { folder });
    assert.is.not(again.startedAt, info.startedAt);
    await stopSandbox(testSession(), { folder });
  }),
);

lifecycle.run();

const killing = suite('a start that is killed');

const killedName = `killed-${process.pid}`;

const command = (...args: string[]): ChildProcess =>
  spawn(process.execPath, ['scripts/strata.js', 'sandbox', ...args, '--name', killedName], {
    cwd: projectFolder,
    stdio: 'ignore',
  });

const ended = (child: ChildProcess): Promise<number | null> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve(child.exitCode)
    : new Promise((resolve) => child.once('exit', (status) => resolve(status)));

const killedFolder = sandboxFolder(testSession(), killedName);

const tracesOfKilled = (): string[] =>
  readdirSync(path.dirname(killedFolder)).filter((name) => name.startsWith(killedName));

const runningOfKilled = (): number[] =>
  processesIn(path.dirname(killedFolder)).filter((pid) => {
    try {
      return readlinkSync(`/proc/${pid}/cwd`).includes(`/${killedName}`);
    } catch {
      return false;
    }
  });

killing.after(() => killSandbox(killedFolder));
process.once('exit', () => killSandbox(killedFolder));

killing('is cleared away by the next one, whenever that happened', async () => {
  for (const moment of [250, 350, 500, 800, 1300, 2000, 2800, 3400]) {
    const child = command('start');
    await systemClock.sleep(moment + Math.random() * 100);
    child.kill('SIGKILL');
    await ended(child);
  }
  assert.is(await ended(command('start')), 0);
  if (process.platform === 'linux') assert.is(runningOfKilled().length, 5);
  assert.is(await ended(command('stop')), 0);
  assert.equal(tracesOfKilled(), []);
  assert.equal(runningOfKilled(), []);
});

killing('is cleared away by stop', async () => {
  const child = command('start');
  await systemClock.sleep(1500);
  child.kill('SIGKILL');
  await ended(child);
  assert.is(await ended(command('stop')), 0);
  assert.equal(tracesOfKilled(), []);
  assert.equal(runningOfKilled(), []);
});

killing('by one or two SIGTERMs clears up itself', async () => {
  for (const signals of [1, 2]) {
    const child = command('start');
    // On a busy machine it takes a while until it listens for signals.
    await eventually(
      async () => tracesOfKilled(),
      (names) => names.length > 0,
    );
    await systemClock.sleep(500);
    for (let count = 0; count < signals; count++) {
      child.kill('SIGTERM');
      await systemClock.sleep(10);
    }
    assert.is(await ended(child), 130);
    assert.equal(tracesOfKilled(), []);
    await eventually(
      async () => runningOfKilled(),
      (pids) => pids.length === 0,
    );
  }
});

killing('as a stop is finished by the next stop', async () => {
  assert.is(await ended(command('start')), 0);
  for (const moment of [250, 320, 400, 600]) {
    const child = command('stop');
    await systemClock.sleep(moment);
    child.kill('SIGKILL');
    await ended(child);
  }
  assert.is(await ended(command('stop')), 0);
  assert.equal(tracesOfKilled(), []);
  assert.equal(runningOfKilled(), []);
});

killing.run();

const pods = suite('a simulated pod');

interface ContainerStatus {
  image: string;
  imageID: string;
  ready: boolean;
  started: boolean;
  restartCount: number;
  state: {
    waiting?: { reason: string; message: string };
    terminated?: { exitCode: number; reason: string };
    running?: object;
  };
  lastState?: { terminated?: { exitCode: number; reason: string; containerID: string } };
}

interface Pod {
  metadata: { name: string; namespace: string; uid: string; creationTimestamp: string };
  status: {
    phase: string;
    reason?: string;
    podIP?: string;
    conditions?: { type: string; status: string; reason?: string; message?: string }[];
    containerStatuses?: ContainerStatus[];
    initContainerStatuses?: ContainerStatus[];
  };
}

const namespace = `simulate-${process.pid}`;

const condition = (pod: Pod, type: string) =>
  (pod.status.conditions ?? []).find((candidate) => candidate.type === type);

const waiting = (pod: Pod) => pod.status.containerStatuses?.[0]?.state.waiting;

const podSpec = {
  initContainers: [
    { name: 'migrate', image: 'registry.test/migrate:1' },
    { name: 'sidecar', image: 'registry.test/sidecar:1', restartPolicy: 'Always' },
  ],
  containers: [
    { name: 'web', image: 'registry.test/web:1', envFrom: [{ secretRef: { name: 'web-secrets' } }] },
    { name: 'other', image: 'registry.test/other:1' },
  ],
};

const deployment = (name: string, annotations: Record<string, string>): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name }, annotations }, spec: podSpec },
  },
});

const job = (name: string, annotations: Record<string, string>): object => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name },
  spec: {
    backoffLimit: 0,
    template: {
      metadata: { labels: { app: name }, annotations },
      spec: { containers: [podSpec.containers[0]], restartPolicy: 'Never' },
    },
  },
});

const simulate = (value: string): Record<string, string> => ({ 'strata.dev/simulate': value });

interface Case {
  name: string;
  object: object;
  isThere(pod: Pod): boolean;
  check?(pod: Pod): void;
}

const assertNotReady = (pod: Pod): void => {
  const ready = condition(pod, 'Ready');
  assert.is(ready?.status, 'False');
  assert.is(ready?.reason, 'ContainersNotReady');
  assert.is(ready?.message, 'containers with unready status: [web other]');
  assert.ok(pod.status.containerStatuses!.every((status) => !status.ready));
};

const cases: readonly Case[] = [
  {
    name: 'plain',
    object: deployment('plain', {}),
    isThere: (pod) => condition(pod, 'Ready')?.status === 'True',
    check(pod) {
      assert.is(pod.status.phase, 'Running');
      assert.match(pod.status.podIP ?? '', /^10\.244\./);
      for (const status of pod.status.containerStatuses!) assert.ok(status.ready && status.started);
      assert.match(pod.status.containerStatuses![0]!.imageID, /^registry\.test\/web:1@sha256:[0-9a-f]{64}$/);
      const [migrate, sidecar] = pod.status.initContainerStatuses!;
      assert.is(migrate?.state.terminated?.reason, 'Completed');
      assert.ok(sidecar?.state.running && sidecar.started);
    },
  },
  {
    name: 'image-pull-error',
    object: deployment('image-pull-error', simulate('image-pull-error')),
    isThere: (pod) => waiting(pod)?.reason === 'ImagePullBackOff',
    check(pod) {
      assert.is(pod.status.phase, 'Pending');
      assertNotReady(pod);
      assert.match(
        waiting(pod)?.message ?? '',
        /^Back-off pulling image "registry\.test\/web:1": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image .*: not found$/,
      );
    },
  },
  {
    name: 'config-error',
    object: deployment('config-error', simulate('config-error')),
    isThere: (pod) => waiting(pod)?.reason === 'CreateContainerConfigError',
    check(pod) {
      assertNotReady(pod);
      assert.is(waiting(pod)?.message, 'secret "web-secrets" not found');
    },
  },
  {
    name: 'crash-loop',
    object: deployment('crash-loop', simulate('crash-loop')),
    isThere: (pod) => pod.status.containerStatuses?.[0]?.restartCount === 5,
    check(pod) {
      const { metadata, status } = pod;
      assert.is(status.phase, 'Running');
      assertNotReady(pod);
      assert.is(waiting(pod)?.reason, 'CrashLoopBackOff');
      assert.is(
        waiting(pod)?.message,
        `back-off 2m40s restarting failed container=web pod=${metadata.name}_${metadata.namespace}(${metadata.uid})`,
      );
      const { exitCode, reason } = status.containerStatuses![0]!.lastState!.terminated!;
      assert.equal({ exitCode, reason }, { exitCode: 1, reason: 'Error' });
    },
  },
  ...(
    [
      ['private-registry', 'ImagePullBackOff', /ErrImagePull: failed to pull and .*: pull access denied, /],
      [
        'image-never-pull',
        'ErrImageNeverPull',
        /^Container image "registry\.test\/web:1" is not present with pull policy of Never$/,
      ],
      [
        'invalid-image-name',
        'InvalidImageName',
        /^Failed to apply default image tag "registry\.test\/web:1": couldn't parse image name /,
      ],
      [
        'missing-secret-key',
        'CreateContainerConfigError',
        /^couldn't find key DATABASE_URL in Secret simulate-\d+\/web-secrets$/,
      ],
      [
        'run-as-non-root',
        'CreateContainerConfigError',
        /has non-numeric user \(nextjs\), .*, container: web\)$/,
      ],
      ['runs-as-root', 'CreateContainerConfigError', /image will run as root .*, container: web\)$/],
      ['executable-not-found', 'RunContainerError', /exec: "uvicorn": executable file not found in \$PATH$/],
    ] as const
  ).map(
    ([name, reason, message]): Case => ({
      name,
      object: deployment(name, simulate(name)),
      isThere: (pod) => waiting(pod)?.reason === reason,
      check(pod) {
        assertNotReady(pod);
        assert.match(waiting(pod)?.message ?? '', message);
      },
    }),
  ),
  ...(
    [
      ['oom-killed', 137, 'OOMKilled'],
      ['liveness-failure', 137, 'Error'],
      ['exit-126', 126, 'Error'],
      ['exit-127', 127, 'Error'],
      ['exit-137', 137, 'Error'],
      ['exit-139', 139, 'Error'],
      ['exit-143', 143, 'Error'],
    ] as const
  ).map(
    ([name, exitCode, reason]): Case => ({
      name,
      object: deployment(name, simulate(name)),
      isThere: (pod) => pod.status.containerStatuses?.[0]?.restartCount === 5,
      check(pod) {
        assert.is(waiting(pod)?.reason, 'CrashLoopBackOff');
        const terminated = pod.status.containerStatuses![0]!.lastState!.terminated!;
        assert.equal([terminated.exitCode, terminated.reason], [exitCode, reason]);
      },
    }),
  ),
  {
    name: 'wrong-port',
    object: deployment('wrong-port', simulate('wrong-port')),
    isThere: (pod) => pod.status.phase === 'Running',
    check: assertNotReady,
  },
  {
    name: 'slow-start, at first',
    object: deployment('slow-start', { ...simulate('slow-start'), 'strata.dev/simulate-delay': '1h' }),
    isThere: (pod) => pod.status.phase === 'Running',
    check(pod) {
      assertNotReady(pod);
      assert.ok(pod.status.containerStatuses!.every((status) => !status.started));
    },
  },
  {
    name: 'slow-start, later',
    object: deployment('slow-start-1s', { ...simulate('slow-start'), 'strata.dev/simulate-delay': '1s' }),
    isThere: (pod) => condition(pod, 'Ready')?.status === 'True',
    check(pod) {
      assert.is(condition(pod, 'Ready')?.reason, undefined);
      assert.ok(pod.status.containerStatuses!.every((status) => status.ready && status.started));
    },
  },
  {
    name: 'never-ready',
    object: deployment('never-ready', simulate('never-ready')),
    isThere: (pod) => pod.status.phase === 'Running',
    check(pod) {
      assertNotReady(pod);
      assert.ok(pod.status.containerStatuses!.every((status) => status.started));
    },
  },
  {
    name: 'unschedulable',
    object: deployment('unschedulable', simulate('unschedulable')),
    isThere: (pod) => condition(pod, 'PodScheduled')?.reason === 'Unschedulable',
    check(pod) {
      assert.is(pod.status.phase, 'Pending');
      assert.match(condition(pod, 'PodScheduled')?.message ?? '', /^0\/3 nodes are available: /);
    },
  },
  {
    name: 'exit-1',
    object: job('exit-1', simulate('exit-1')),
    isThere: (pod) => pod.status.phase === 'Failed',
    check(pod) {
      assert.is(pod.status.containerStatuses![0]!.state.terminated?.exitCode, 1);
      assert.is(condition(pod, 'Ready')?.reason, 'PodFailed');
    },
  },
  {
    name: 'job',
    object: job('job', {}),
    isThere: (pod) => pod.status.phase === 'Succeeded',
    check(pod) {
      assert.is(pod.status.containerStatuses![0]!.state.terminated?.exitCode, 0);
    },
  },
  {
    name: 'a typo',
    object: deployment('typo', simulate('crash-lop')),
    isThere: (pod) => pod.status.reason === 'UnknownSimulation',
  },
];

const appOf = ({ object }: Case): string => (object as { metadata: { name: string } }).metadata.name;

const podsOf = (sandbox: SandboxInfo, app: string): Promise<Pod[]> =>
  items<Pod>(sandbox, ['get', 'pods', '--namespace', namespace, '--selector', `app=${app}`]);

pods.before(async () => {
  const sandbox = await useSandbox();
  await kubectlIn(sandbox, ['create', 'namespace', namespace]);
  const objects = cases.map(({ object }) => object);
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'balanced' },
    spec: { type: 'LoadBalancer', ports: [{ port: 80 }] },
  };
  const bare = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'bare', labels: { app: 'bare' } },
    spec: { terminationGracePeriodSeconds: 600, containers: [podSpec.containers[0]] },
  };
  const list = { apiVersion: 'v1', kind: 'List', items: [...objects, service, bare] };
  const created = await kubectlIn(sandbox, ['create', '--namespace', namespace, '-f', '-'], { input: list });
  assert.is(created.status, 0, created.stderr);
});

for (const testCase of cases) {
  pods(`shows ${testCase.name}`, async () => {
    const sandbox = await useSandbox();
    const [pod] = await eventually(
      () => podsOf(sandbox, appOf(testCase)),
      ([candidate]) => candidate !== undefined && testCase.isThere(candidate),
    );
    testCase.check?.(pod!);
  });
}

pods('of a Job decides over the Job', async () => {
  const sandbox = await useSandbox();
  const wait = (condition: string, name: string) =>
    kubectlIn(sandbox, ['wait', `--for=condition=${condition}`, `job/${name}`, '--namespace', namespace]);
  assert.is((await wait('failed', 'exit-1')).status, 0);
  assert.is((await wait('complete', 'job')).status, 0);
});

pods('has logs, also of the container before a crash', async () => {
  const sandbox = await useSandbox();
  const logs = (...args: string[]) =>
    kubectlIn(sandbox, ['logs', '--namespace', namespace, '--container', 'web', ...args]);
  assert.match((await logs('deployment/plain')).stdout, /^simulated: /);
  assert.match((await logs('deployment/crash-loop', '--previous')).stdout, /exit code 1$/m);
});

pods('ends soon after it was deleted, whatever its grace period', async () => {
  const sandbox = await useSandbox();
  const remove = ['delete', 'pod', '--namespace', namespace, '--wait=false'];
  assert.is((await kubectlIn(sandbox, [...remove, 'bare'])).status, 0);
  await eventually(
    () => podsOf(sandbox, 'bare'),
    (found) => found.length === 0,
    5000,
  );
});

pods('has a load balancer before it', async () => {
  const sandbox = await useSandbox();
  const address = [
    'get',
    'service',
    'balanced',
    '--namespace',
    namespace,
    '--output',
    'jsonpath={.status.loadBalancer.ingress[0].ip}',
  ];
  await eventually(
    () => kubectlIn(sandbox, address),
    ({ stdout }) => stdout === '127.0.0.1',
  );
});

pods('is none of the business of the user without rights', async () => {
  const sandbox = await useSandbox();
  const answer = await kubectlIn(sandbox, ['get', 'pods'], { kubeconfig: sandbox.viewerKubeconfig });
  assert.is(answer.status, 1);
  assert.match(answer.stderr, /Forbidden.*"viewer" cannot list resource "pods"/);
});

pods.after(async () => {
  await kubectlIn(await useSandbox(), ['delete', 'namespace', namespace, '--wait=false']);
});

pods.run();

const passing = suite('npm run sandbox -- kubectl');

passing('passes arguments, streams and the exit status through', async () => {
  const sandbox = await useSandbox();
  const run = async (...args: string[]): Promise<[number | null, string]> => {
    const name = path.basename(sandbox.folder);
    const child = spawn(
      process.execPath,
      ['scripts/strata.js', 'sandbox', '--name', name, 'kubectl', ...args],
      {
        cwd: projectFolder,
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    return [await ended(child), out];
  };
  // The shared sandbox may be anywhere; the command only knows those of this project.
  if (path.dirname(sandbox.folder) !== path.dirname(killedFolder)) return;
  assert.equal(await run('get', 'nodes', '--output', 'name'), [0, 'node/node-1\nnode/node-2\nnode/node-3\n']);
  assert.is((await run('get', 'nothing'))[0], 1);
  assert.is((await run('config', 'current-context'))[1], `${sandbox.context}\n`);
});

passing.run();
