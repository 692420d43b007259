import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Connection, connect } from '../../scripts/lib/connection.ts';
import { gatherDiagnosis } from '../../scripts/lib/evidence.ts';
import { type Diagnosis, formatDiagnosis } from '../../scripts/lib/findings.ts';
import { readinessOf } from '../../scripts/lib/kstatus.ts';
import { readKubeconfig } from '../../scripts/lib/kubeconfig.ts';
import { findKubectl } from '../../scripts/lib/kubectl.ts';
import type { KubeObject } from '../../scripts/lib/manifest.ts';
import type { SandboxInfo } from '../../scripts/lib/sandbox.ts';
import { eventually, kubectlIn, useSandbox } from '../support/cluster.ts';
import { uniqueName } from '../support/deployment.ts';
import { testSession } from '../support/session.ts';

/** All causes at once in one namespace; quotas and the like, which hold for a whole namespace, have their own. */
const plain = uniqueName();

interface Case {
  title: string;
  /** Name of the workload. */
  name: string;
  namespace: string;
  objects: object[];
  message: RegExp;
  hint: RegExp;
}

interface PodParts {
  simulate?: string;
  container?: Record<string, unknown>;
  spec?: Record<string, unknown>;
}

const template = ({ simulate, container, spec }: PodParts): object => ({
  metadata: simulate ? { annotations: { 'strata.dev/simulate': simulate } } : {},
  spec: {
    containers: [{ name: 'app', image: 'todo-backend:dev', ...container }],
    ...spec,
  },
});

function deployment(name: string, parts: PodParts): object {
  const { metadata, spec } = template(parts) as { metadata: object; spec: object };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: name } },
      template: { metadata: { ...metadata, labels: { app: name } }, spec },
    },
  };
}

const cases: Case[] = [];

const add = (title: string, message: RegExp, hint: RegExp, parts: PodParts, ...objects: object[]): number => {
  const name = title.replaceAll(/[^a-z0-9]+/g, '-');
  return cases.push({
    title,
    name,
    namespace: plain,
    objects: [...objects, deployment(name, parts)],
    message,
    hint,
  });
};

add(
  'an image that nobody has',
  /no registry has it under this name$/,
  /^minikube image load todo-backend:dev/,
  {
    simulate: 'image-pull-error',
  },
);
add('a private registry', /ghcr\.io does not give it out: it is private/, /docker login ghcr\.io/, {
  simulate: 'private-registry',
  container: { image: 'ghcr.io/team/api:1' },
});
add('a pull policy of always', /imagePullPolicy is Always, so a copy/, /^set imagePullPolicy: IfNotPresent/, {
  simulate: 'private-registry',
  container: { imagePullPolicy: 'Always' },
});
add('a pull policy of never', /not on the node, and imagePullPolicy is Never$/, /^minikube image load/, {
  simulate: 'image-never-pull',
});
add('no image name', /todo-backend:dev is no valid image name$/, /^correct the image/, {
  simulate: 'invalid-image-name',
});
add('a missing secret', /Secret nowhere does not exist in namespace/, /get secrets; create it/, {
  simulate: 'config-error',
  container: { envFrom: [{ secretRef: { name: 'nowhere' } }] },
});
add(
  'a missing key',
  /Secret api-secrets has no key DATABASE_URL$/,
  /^name DATABASE_URL under api-secrets in strata/,
  {
    simulate: 'missing-secret-key',
    container: { envFrom: [{ secretRef: { name: 'api-secrets-t5d69dkh69' } }] },
  },
);
add('a user by name', /names its user \(nextjs\)/, /docs\/images\.md/, { simulate: 'run-as-non-root' });
add('a root image', /would run as root$/, /docs\/images\.md/, { simulate: 'runs-as-root' });
add(
  'no such program',
  /cannot be started: the program uvicorn is not in the image$/,
  /entrypoint sh todo-backend/,
  {
    simulate: 'executable-not-found',
  },
);
add('too little memory', /\(OOMKilled\): it needed more memory than its limit of 64Mi$/, /limits\.memory/, {
  simulate: 'oom-killed',
  container: { resources: { limits: { memory: '64Mi' } } },
});
add('a failed liveness probe', /SIGKILL\): the liveness probe is answered with 500$/, /logs .* -c app$/, {
  simulate: 'liveness-failure',
});
for (const [code, message] of [
  ['126', /exit code 126: the command it starts may not be executed$/],
  ['127', /exit code 127: the command it starts is not in the image$/],
  ['137', /exit code 137: it was ended from outside \(SIGKILL\)/],
  ['139', /exit code 139: it crashed in native code/],
  ['143', /exit code 143: it was ended from outside \(SIGTERM\)/],
] as const)
  add(`exit code ${code}`, message, /./, { simulate: `exit-${code}` });
add(
  'a wrong port',
  /asks port 9999, where nothing listens; the container declares 8000 \(http\)$/,
  /`port` of readiness/,
  {
    simulate: 'wrong-port',
    container: {
      ports: [{ name: 'http', containerPort: 8000 }],
      readinessProbe: { httpGet: { path: '/health', port: 9999 } },
    },
  },
);
for (const [says, message] of [
  ['enotfound', /: the name db\.strata\.test does not resolve inside the cluster$/],
  ['refused', /: it connects to localhost:5432, which inside a container is the container itself$/],
  ['password', /: the database refuses the password of todo_owner$/],
] as const)
  add(`a log that says ${says}`, message, /^(npm run env -- dev|copy the connection)/, {
    simulate: 'crash-loop',
    container: { name: `says-${says}` },
  });
add(
  'a read-only file system',
  /not ready: .*503: it writes to \/app\/\.next\/cache, /,
  /emptyDir volume at \/app/,
  {
    simulate: 'never-ready',
    container: { name: 'says-read-only' },
  },
);

// From here on nothing is simulated: the scheduler, the controllers and admission of the real control plane say it.
add('too many CPUs', /no node has that much cpu left: 0\/3 nodes/, /describe nodes$/, {
  container: { resources: { requests: { cpu: '64' } } },
});
add('a node selector', /no node has the labels/, /--show-labels$/, {
  spec: { nodeSelector: { disk: 'fast' } },
});
add(
  'an unbound claim',
  /its volume is not there yet \(PersistentVolumeClaim data\)/,
  /describe pvc data/,
  { spec: { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }] } },
  {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'data' },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  },
);
add('no claim', /PersistentVolumeClaim absent does not exist/, /get pvc$/, {
  spec: { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'absent' } }] },
});
add('no service account', /ServiceAccount absent does not exist$/, /get serviceaccounts$/, {
  spec: { serviceAccountName: 'absent' },
});

function inNamespace(
  title: string,
  message: RegExp,
  hint: RegExp,
  labels: object,
  ...objects: object[]
): string {
  const namespace = uniqueName();
  cases.push({
    title,
    name: 'web',
    namespace,
    objects: [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } },
      ...objects,
      deployment('web', { container: { resources: { limits: { memory: '1Gi', cpu: '1' } } } }),
    ],
    message,
    hint,
  });
  return namespace;
}

inNamespace(
  'a quota',
  /its Pods are refused: .*exceeded quota: few, requested: pods=1/,
  /describe resourcequota few/,
  {},
  {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'few' },
    spec: { hard: { pods: '0' } },
  },
);
inNamespace(
  'a LimitRange',
  /maximum memory usage per Container is 256Mi, but limit is 1Gi/,
  /describe limitrange/,
  {},
  {
    apiVersion: 'v1',
    kind: 'LimitRange',
    metadata: { name: 'small' },
    spec: { limits: [{ type: 'Container', max: { memory: '256Mi' } }] },
  },
);
inNamespace('Pod Security', /violates PodSecurity "restricted:latest"/, /securityContext/, {
  'pod-security.kubernetes.io/enforce': 'restricted',
});

const guarded = inNamespace(
  'a webhook that is down',
  /admission webhook pods\.strata\.test does not answer/,
  /-n guards get pods|get validatingwebhook/,
  {},
);
const webhook = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingWebhookConfiguration',
  metadata: { name: guarded },
  webhooks: [
    {
      name: 'pods.strata.test',
      sideEffects: 'None',
      admissionReviewVersions: ['v1'],
      timeoutSeconds: 2,
      clientConfig: { service: { name: 'guard', namespace: 'guards' } },
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': guarded } },
      rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
    },
  ],
};

/** Workloads of other kinds, whose Pods hang on them directly. */
const job = (name: string, simulate: string | undefined, spec: object): object => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name },
  spec: {
    ...spec,
    template: template({ ...(simulate ? { simulate } : {}), spec: { restartPolicy: 'Never' } }),
  },
});
for (const [title, object, message, hint] of [
  [
    'a Job that fails',
    job('fails', 'exit-1', { backoffLimit: 0 }),
    /the Job failed: BackoffLimitExceeded \(/,
    /^$/,
  ],
  [
    'a Job that is too slow',
    job('slow', 'never-ready', { activeDeadlineSeconds: 1 }),
    /the Job failed: DeadlineExceeded \(Job was active longer than specified deadline\)/,
    /activeDeadlineSeconds/,
  ],
  [
    'a StatefulSet that is refused',
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'refused' },
      spec: {
        serviceName: 'refused',
        selector: { matchLabels: { app: 'refused' } },
        template: {
          metadata: { labels: { app: 'refused' } },
          spec: { serviceAccountName: 'absent', containers: [{ name: 'app', image: 'a' }] },
        },
      },
    },
    /its Pods are refused: ServiceAccount absent does not exist/,
    /get serviceaccounts/,
  ],
  [
    'a claim without a class',
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'unbound' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    },
    /no volume is bound to it: it names no StorageClass, the cluster has no default one/,
    /get storageclass/,
  ],
] as const)
  cases.push({
    title,
    name: (object as KubeObject).metadata.name,
    namespace: plain,
    objects: [object],
    message,
    hint,
  });

const session = testSession();
let sandbox: SandboxInfo;
let connection: Connection;

/** What is read over the connection, of everything in the namespaces, at most as often as it may have changed. */
async function look(testCase: Case): Promise<Diagnosis> {
  const { namespace, objects } = testCase;
  const subject = objects.at(-1) as KubeObject;
  const list = async (path: string, apiVersion: string, kind: string): Promise<KubeObject[]> => {
    const body = (await connection.get(path)) as { items: KubeObject[] };
    return body.items.map((item) => ({ ...item, apiVersion, kind }));
  };
  const apps = `/apis/apps/v1/namespaces/${namespace}`;
  const plural = `${subject.kind.toLowerCase()}s`;
  const root = subject.apiVersion.includes('/') ? '/apis' : '/api';
  const [live, pods, replicaSets] = await Promise.all([
    connection.get(`${root}/${subject.apiVersion}/namespaces/${namespace}/${plural}/${testCase.name}`),
    list(`/api/v1/namespaces/${namespace}/pods`, 'v1', 'Pod'),
    list(`${apps}/replicasets`, 'apps/v1', 'ReplicaSet'),
  ]);
  const trouble = { live: live as KubeObject, readiness: readinessOf(live as KubeObject) };
  const setting = { context: 'minikube', namespace, overlay: 'dev' };
  return gatherDiagnosis(session, connection, [trouble], { pods, replicaSets, setting });
}

const diagnosing = suite('a diagnosis');

diagnosing.before(async () => {
  sandbox = await useSandbox();
  const context = readKubeconfig(process.env, sandbox.kubeconfig).contexts.get(sandbox.context)!;
  connection = await connect(session, findKubectl(session, sandbox), context);
  const items = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: plain } },
    webhook,
    ...cases.flatMap(({ namespace, objects }) =>
      (objects as KubeObject[]).map((object) =>
        object.kind === 'Namespace' ? object : { ...object, metadata: { ...object.metadata, namespace } },
      ),
    ),
  ];
  const list = { apiVersion: 'v1', kind: 'List', items };
  const created = await kubectlIn(sandbox, ['create', '-f', '-'], { input: list });
  assert.is(created.status, 0, created.stderr);
});

for (const testCase of cases) {
  diagnosing(`explains ${testCase.title}`, async () => {
    const matches = ({ findings }: Diagnosis): boolean =>
      findings.some(({ message, hint }) => testCase.message.test(message) && testCase.hint.test(hint));
    const { findings, workloads } = await eventually(() => look(testCase), matches);
    const own = findings.filter(({ subject }) => subject.startsWith('Pod/'));
    assert.ok(
      new Set(findings.map(({ message }) => message)).size === findings.length,
      'nothing is said twice',
    );
    assert.ok(own.length <= 1, 'two equal Pods are one finding');
    assert.is(workloads.length, 1);
  });
}

diagnosing(
  'names the image pull Events of the kubelet, and the tree from the Deployment to its containers',
  async () => {
    const { events, workloads } = await look(cases[0]!);
    assert.ok(
      events.some(
        ({ reason, message }) => reason === 'Failed' && /^Failed to pull image "todo/.test(message),
      ),
    );
    const [tree] = workloads;
    assert.match(tree!.replicaSets.join(), /^ReplicaSet\/an-image-that-nobody-has-\w+$/);
    assert.is(tree!.groups.length, 1);
    assert.is(tree!.groups[0]!.pods.length, 2);
    assert.equal(tree!.groups[0]!.containers, [{ name: 'app', state: 'ImagePullBackOff' }]);
  },
);

diagnosing(
  'knows the secrets that a log prints, also those of no env file, and lets no control character through',
  async () => {
    const name = 'leaky';
    const parts: PodParts = {
      simulate: 'crash-loop',
      container: { name: 'says-secret', envFrom: [{ secretRef: { name: 'leaky' } }] },
    };
    const secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'leaky' },
      stringData: { DATABASE_URL: 'simulated-secret-in-a-log' },
    };
    const objects = [secret, deployment(name, parts)];
    const input = { apiVersion: 'v1', kind: 'List', items: objects };
    assert.is((await kubectlIn(sandbox, ['create', '-n', plain, '-f', '-'], { input })).status, 0);
    const leaky: Case = { title: name, name, namespace: plain, objects, message: /./, hint: /./ };
    const found = await eventually(
      () => look(leaky),
      ({ logs }) => logs.some(({ lines }) => lines.length > 0),
    );
    const options = { style: session.terminal.style, columns: undefined, now: Date.now() };
    const text = JSON.stringify(found) + formatDiagnosis(found, options).join('\n');
    assert.match(text, /connecting with postgresql:\/\/todo:\[leaky\/DATABASE_URL\]@db\.strata\.test\/todo/);
    assert.not.match(text, /simulated-secret-in-a-log/);
    assert.match(text, /\| red done\b/);
  },
);

diagnosing('says why a log cannot be had', async () => {
  const { logs } = await look(cases.find(({ name }) => name === 'a-wrong-port')!);
  assert.equal(logs[0]!.lines, ['simulated: this pod runs no container, so there is nothing to log']);
  const gone = cases.find(({ name }) => name === 'exit-code-127')!;
  const without: Connection = {
    ...connection,
    getText: async () => ({ status: 403, text: '{"kind":"Status","message":"pods \\"x\\" is forbidden"}' }),
  };
  const before = connection;
  connection = without;
  const refused = await look(gone).finally(() => {
    connection = before;
  });
  assert.equal(
    refused.logs.map(({ lines, missing }) => [lines, missing]),
    [[[], 'pods "x" is forbidden']],
  );
  assert.match(refused.findings[0]!.message, /exit code 127/, 'the rest is said all the same');
});

diagnosing('without Events or any answer still says what the objects say', async () => {
  const before = connection;
  connection = {
    ...before,
    get: async (path) => {
      if (path.includes('/events')) throw new Error('no');
      return before.get(path);
    },
    getText: async () => {
      throw new Error('gone');
    },
  };
  const found = await look(cases.find(({ name }) => name === 'exit-code-139')!).finally(() => {
    connection = before;
  });
  assert.equal(found.events, []);
  assert.is(found.logs[0]!.missing, 'gone');
  assert.match(found.findings[0]!.message, /exit code 139/);
});

diagnosing.after(async () => {
  connection.close();
  session.end();
  await kubectlIn(sandbox, ['delete', 'validatingwebhookconfiguration', guarded, '--ignore-not-found']);
  const namespaces = [...new Set(cases.map(({ namespace }) => namespace))];
  await kubectlIn(sandbox, ['delete', 'namespace', ...namespaces, '--ignore-not-found', '--wait=false']);
});

diagnosing.run();
