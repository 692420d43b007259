import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Cause,
  causeOfClaim,
  causeOfConfig,
  causeOfEnding,
  causeOfLog,
  causeOfNeverPull,
  causeOfProbe,
  causeOfPull,
  causeOfRefusal,
  causeOfScheduling,
  causeOfStart,
  type Ending,
  quoted,
} from '../scripts/lib/causes.ts';

// The words of other programs in this file are quoted from where the comment at each says; `k8s/` stands for
// https://github.com/kubernetes/kubernetes/tree/v1.36.4.

const setting = { context: 'minikube', namespace: 'todo', overlay: 'dev' };

function assertCause(found: Cause | undefined, message: RegExp, hint: RegExp): void {
  assert.ok(found, 'there is a cause');
  assert.match(found!.message, message);
  assert.match(found!.hint, hint);
}

const pulling = suite('causeOfPull');

for (const [title, image, policy, said, message, hint] of [
  [
    // https://github.com/sympozium-ai/sympozium/issues/5
    'a tag that nobody pushed',
    'ghcr.io/team/api:v0.0.29',
    'IfNotPresent',
    'rpc error: code = NotFound desc = failed to pull and unpack image "ghcr.io/team/api:v0.0.29": failed to resolve reference "ghcr.io/team/api:v0.0.29": ghcr.io/team/api:v0.0.29: not found',
    /^ghcr\.io has no such image: name or tag is misspelt/,
    /^docker manifest inspect ghcr\.io\/team\/api:v0\.0\.29$/,
  ],
  [
    // https://github.com/bank-vaults/bank-vaults/issues/1640
    'a registry that wants a login',
    'ghcr.io/team/api:1',
    'IfNotPresent',
    'failed to copy: httpReaderSeeker: failed open: unexpected status code https://ghcr.io/v2/team/api/blobs/sha256:766c: 401 Unauthorized - Server message: unauthorized: unauthenticated: User cannot be authenticated with the token provided.',
    /^ghcr\.io does not give it out: it is private/,
    /kubectl --context minikube -n todo create secret generic pull .*imagePullSecrets$/,
  ],
  [
    // https://github.com/Vigil-SOC/vigil/issues/315
    'a login without the right',
    'ghcr.io/team/api:1',
    'IfNotPresent',
    'failed to resolve reference "ghcr.io/team/api:1": unexpected status from HEAD request to https://ghcr.io/v2/team/api/manifests/1: 403 Forbidden',
    /^ghcr\.io does not give it out/,
    /docker login ghcr\.io/,
  ],
  [
    // https://github.com/pfnet/image-pull-secrets-provisioner/issues/31: Docker Hub says so of what does not exist, too
    'an image that was only built here',
    'todo-backend:dev',
    'IfNotPresent',
    'failed to pull and unpack image "docker.io/library/todo-backend:dev": failed to resolve reference "docker.io/library/todo-backend:dev": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed',
    /^it is not on the node, and no registry has it under this name$/,
    /^minikube image load todo-backend:dev; or correct its name$/,
  ],
  [
    // https://github.com/kubernetes/minikube/issues/20613, from Docker as the runtime
    'a local image under the policy Always',
    'todo-backend',
    'Always',
    "Error response from daemon: pull access denied for todo-backend, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
    /^imagePullPolicy is Always, so a copy on the node is not used/,
    /^set imagePullPolicy: IfNotPresent, then minikube image load todo-backend$/,
  ],
  [
    // https://github.com/moby/moby/issues/42867, https://github.com/docker/for-win/issues/6241
    'a name of a registry that is none',
    'registry.tset/api:1',
    'IfNotPresent',
    'failed to do request: Head "https://registry.tset/v2/api/manifests/1": dial tcp: lookup registry.tset on 192.168.49.1:53: no such host',
    /^the node does not reach registry\.tset$/,
    /docker manifest inspect registry\.tset\/api:1/,
  ],
  [
    // https://github.com/suxess-it/kubriX/issues/1075
    'a registry that limits pulls',
    'nginx:1.29',
    'IfNotPresent',
    'unexpected status code https://registry-1.docker.io/v2/library/nginx/manifests/sha256:1: 429 Too Many Requests - Server message: toomanyrequests: You have reached your unauthenticated pull rate limit.',
    /limits how often/,
    /docker login/,
  ],
  [
    // https://github.com/FoundationDB/fdb-kubernetes-operator/issues/2294
    'an image for another CPU',
    'ghcr.io/team/api:1',
    'IfNotPresent',
    'rpc error: code = NotFound desc = failed to pull and unpack image "ghcr.io/team/api:1": no match for platform in manifest: not found',
    /CPU of the node/,
    /docker buildx build/,
  ],
] as [string, string, string, string, RegExp, RegExp][]) {
  pulling(`explains ${title}`, () => {
    assertCause(causeOfPull(said, { image, policy, setting }), message, hint);
  });
}

for (const [context, hint] of [
  ['minikube', /^minikube image load a:1$/],
  ['kind-dev', /^kind load docker-image a:1 --name dev$/],
  ['k3d-dev', /^k3d image import a:1 -c dev$/],
  ['docker-desktop', /^docker build -t a:1 \.$/],
  ['prod', /^docker push REGISTRY\/a:1, then npm run up -- dev --image a=REGISTRY\/a:1$/],
] as const) {
  pulling(`knows how an image gets to ${context}`, () => {
    assertCause(causeOfNeverPull('a:1', { ...setting, context }), /imagePullPolicy is Never$/, hint);
  });
}

pulling('makes nothing up', () => {
  assert.is(causeOfPull('something else', { image: 'a', policy: '', setting }), undefined);
  assert.is(causeOfConfig('something else', setting), undefined);
  assert.is(causeOfStart('something else', 'a'), undefined);
  assert.is(causeOfProbe('something else', {}, ''), undefined);
  assert.is(causeOfLog(['listening on 8000', 'GET /health 200'], setting), undefined);
  assert.is(causeOfClaim('something else', 'minikube'), undefined);
});

const configuring = suite('causeOfConfig');

for (const [said, message, hint] of [
  [
    // k8s/pkg/kubelet/kubelet_pods.go, makeEnvironmentVariables
    "couldn't find key JWT_SECRET in Secret todo/backend-secrets-t5d69dkh69",
    /^Secret backend-secrets has no key JWT_SECRET$/,
    /^name JWT_SECRET under backend-secrets in strata\.yaml, set it in \.env, then npm run up -- dev$/,
  ],
  [
    "couldn't find key ca.crt in ConfigMap todo/trust",
    /^ConfigMap trust has no key ca\.crt$/,
    /^kubectl --context minikube -n todo describe configmap trust$/,
  ],
  [
    'configmap "backend-config-9gc8bgf29d" not found',
    /^ConfigMap backend-config-9gc8bgf29d does not exist in namespace todo$/,
    /^npm run up -- dev writes it again$/,
  ],
  [
    // k8s/pkg/volume/secret/secret.go
    'MountVolume.SetUp failed for volume "tls" : secret "tls" not found',
    /^Secret tls does not exist/,
    /get secrets; create it/,
  ],
  [
    // k8s/pkg/kubelet/kuberuntime/security_context_others.go
    'container has runAsNonRoot and image has non-numeric user (nextjs), cannot verify user is non-root (pod: "a_b(c)", container: d)',
    /names its user \(nextjs\)/,
    /docs\/images\.md/,
  ],
  [
    'container has runAsNonRoot and image will run as root (pod: "a_b(c)", container: d)',
    /would run as root/,
    /USER 10001/,
  ],
  [
    'container\'s runAsUser breaks non-root policy (pod: "a_b(c)", container: d)',
    /would run as root/,
    /runAsUser/,
  ],
] as [string, RegExp, RegExp][]) {
  configuring(`explains ${said.slice(0, 40)}…`, () => {
    assertCause(causeOfConfig(said, setting), message, hint);
  });
}

const starting = suite('causeOfStart');

const runc = (said: string): string =>
  `failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: ${said}`;

for (const [said, message] of [
  // https://github.com/vdesabou/kafka-docker-playground/issues/8515
  [
    runc('error during container init: exec: "uvicorn": executable file not found in $PATH'),
    /program uvicorn is not in/,
  ],
  // https://github.com/cri-o/cri-o/issues/9136
  [
    'runc create failed: unable to start container process: exec: "/usr/bin/pod": stat /usr/bin/pod: no such file or directory',
    /program \/usr\/bin\/pod is/,
  ],
  // https://github.com/cri-o/cri-o/issues/8887
  ['executable file `/bin/alloy` not found in $PATH: No such file or directory', /program \/bin\/alloy is/],
  // https://github.com/getsentry/self-hosted/issues/1658
  [runc('exec: "/start.sh": permission denied'), /may not be executed/],
  // https://github.com/openclaw/openclaw/issues/4566
  [runc('exec /usr/local/bin/node: exec format error'), /another CPU/],
  // https://github.com/containerd/containerd/issues/1546
  ['failed to create containerd task: write /run: no space left on device', /disk of the node/],
] as const) {
  starting(`explains …${said.slice(-40)}`, () => assertCause(causeOfStart(said, 'a:1'), message, /./));
}

const ending = suite('causeOfEnding');

const end = (exitCode: number, more: Partial<Ending> = {}): Cause | undefined =>
  causeOfEnding({
    exitCode,
    reason: 'Error',
    message: '',
    image: 'a:1',
    memoryLimit: '768Mi',
    failedProbe: undefined,
    ...more,
  });
const failedProbe = { message: 'the liveness probe is answered with 500', hint: 'kubectl logs a' };

ending('knows what exit codes mean, and that 1 and 2 mean nothing', () => {
  assert.is(end(1), undefined);
  assert.is(end(2), undefined);
  assert.match(end(0, { reason: 'Completed' })!.message, /ended by itself without an error/);
  assert.match(end(126)!.message, /may not be executed/);
  assert.match(end(127)!.message, /is not in the image/);
  assert.match(end(134)!.message, /SIGABRT/);
  assert.match(end(137)!.message, /SIGKILL.*liveness or startup probe/);
  assert.match(end(139)!.message, /SIGSEGV/);
  assert.match(end(143)!.message, /SIGTERM/);
});

ending('tells memory from a kill', () => {
  assertCause(end(137, { reason: 'OOMKilled' }), /more memory than its limit of 768Mi$/, /limits\.memory/);
  // https://github.com/AliyunContainerService/kube-eventer/issues/285: OOMKilled comes with other exit codes, too.
  assert.match(end(1, { reason: 'OOMKilled', memoryLimit: undefined })!.message, /than its limit$/);
});

ending('blames the probe that failed before', () => {
  for (const code of [137, 143])
    assertCause(
      end(code, { failedProbe }),
      /ended it .*: the liveness probe is answered with 500$/,
      /logs a/,
    );
});

ending('reads the last words of a container that could not start', () => {
  const message = runc('exec: "uvicorn": executable file not found in $PATH');
  assert.match(end(128, { reason: 'StartError', message })!.message, /program uvicorn is not in the image/);
});

const logs = suite('causeOfLog');

for (const [line, message, hint] of [
  // https://github.com/cdklabs/cdk-nextjs/issues/85
  [
    "Error: EROFS: read-only file system, open '/app/.next/server/app/68.html'",
    /writes to \/app\/\.next\/server\/app\/68\.html/,
    /emptyDir/,
  ],
  // https://docs.python.org/3/library/errno.html#errno.EROFS
  ["OSError: [Errno 30] Read-only file system: '/app/cache'", /writes to \/app\/cache/, /emptyDir/],
  // https://github.com/nextjs/saas-starter/issues/84
  [
    'Error: getaddrinfo ENOTFOUND db.example.com',
    /name db\.example\.com does not resolve/,
    /npm run env -- dev/,
  ],
  // https://github.com/requarks/wiki/issues/4932
  ['Error: getaddrinfo EAI_AGAIN db', /name db does not resolve/, /DATABASE_URL/],
  // https://github.com/whythawk/full-stack-fastapi-postgresql/issues/36
  [
    '(psycopg2.OperationalError) could not translate host name "db" to address: Temporary failure in name resolution',
    /name db does not resolve/,
    /npm run up -- dev/,
  ],
  // https://github.com/kurokobo/awx-on-k3s/issues/360
  [
    'socket.gaierror: [Errno -2] Name or service not known',
    /name of a server does not resolve/,
    /DATABASE_URL/,
  ],
  // https://www.postgresql.org/docs/current/protocol-error-fields.html, libpq
  [
    'connection to server at "db.example.com" (10.0.0.9), port 5432 failed: Connection refused',
    /nothing answers at db\.example\.com:5432/,
    /npm run env/,
  ],
  // https://github.com/graphile/crystal/issues/1711
  [
    'Error: connect ECONNREFUSED 127.0.0.1:5432',
    /127\.0\.0\.1:5432, which inside a container is/,
    /correct the host/,
  ],
  // https://github.com/MagicStack/asyncpg/issues/694
  [
    "ConnectionRefusedError: [Errno 111] Connect call failed ('127.0.0.1', 5432)",
    /127\.0\.0\.1:5432, which/,
    /correct the host/,
  ],
  // https://github.com/timescale/helm-charts/issues/223
  [
    'FATAL:  password authentication failed for user "todo_owner"',
    /refuses the password of todo_owner$/,
    /copy the connection string/,
  ],
  // https://github.com/antares-sql/antares/issues/668
  [
    'error: connection is insecure (try using `sslmode=require`)',
    /encrypted connections only/,
    /\?sslmode=require/,
  ],
  // https://github.com/graphprotocol/graph-node/issues/4709
  [
    'FATAL: no pg_hba.conf entry for host "10.1.2.3", user "todo", database "todo", no encryption',
    /encrypted connections only/,
    /ssl=require/,
  ],
  // https://github.com/neondatabase/website/issues/685
  [
    'ERROR:  Endpoint ID is not specified. Either please upgrade the postgres client library',
    /SNI/,
    /options=endpoint/,
  ],
  // https://github.com/MagicStack/asyncpg/issues/737
  ["TypeError: connect() got an unexpected keyword argument 'sslmode'", /asyncpg takes/, /\?ssl=require/],
  // https://github.com/docker-library/docs/issues/2334
  ['FATAL:  database "tood" does not exist', /no database tood$/, /DATABASE_URL/],
  // https://github.com/TechSquidTV/Hermes/issues/40
  ["ModuleNotFoundError: No module named 'asyncpg'", /lacks the module asyncpg/, /--image/],
  // https://github.com/mpash/pnpm-next-docker/issues/3
  ["Error: Cannot find module 'next'", /lacks the module next/, /--image/],
  // https://github.com/openclaw/openclaw/issues/4566
  ['exec /usr/local/bin/node: exec format error', /another CPU/, /buildx/],
  // https://github.com/adminsyspro/proxcenter-ui/pull/429
  ["EACCES: permission denied, mkdir '/app/.next/cache'", /may not write \/app\/\.next\/cache/, /10001/],
  // https://github.com/rag-web-ui/rag-web-ui/issues/11
  ['Error: listen EADDRINUSE: address already in use :::3000', /port 3000 is taken/, /Pod/],
] as [string, RegExp, RegExp][]) {
  logs(`explains ${line.slice(0, 60)}`, () => {
    assertCause(causeOfLog(['starting', line, 'Exiting.'], setting), message, hint);
  });
}

logs('takes the cause for the cause, not what followed from it', () => {
  const found = causeOfLog(
    ['connection to server at "db", port 5432 failed: Connection refused', "Error: EROFS: mkdir '/x'"],
    setting,
  );
  assert.match(found!.message, /read-only/);
});

const probing = suite('causeOfProbe');

const container = {
  ports: [{ name: 'http', containerPort: 8000 }, { containerPort: 9090 }],
};

for (const [said, message, hint] of [
  // https://github.com/caronc/apprise-api/issues/262
  [
    'Readiness probe failed: Get "http://10.244.0.6:8080/status": dial tcp 10.244.0.6:8080: connect: connection refused',
    /^the readiness probe asks port 8080, where nothing listens; the container declares 8000 \(http\), 9090$/,
    /correct `port` of readinessProbe/,
  ],
  [
    'Startup probe failed: Get "http://10.244.0.6:8000/": dial tcp 10.244.0.6:8000: connect: connection refused',
    /^the startup probe asks port 8000, and nothing listens there$/,
    /^LOGS$/,
  ],
  // k8s/pkg/probe/http/http.go
  [
    'Liveness probe failed: HTTP probe failed with statuscode: 404',
    /answered with 404: its path/,
    /`path` of liveness/,
  ],
  [
    'Readiness probe failed: HTTP probe failed with statuscode: 503',
    /readiness probe is answered with 503$/,
    /LOGS/,
  ],
  [
    'Readiness probe failed: Get "http://10.244.0.6:8000/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
    /no answer within its timeoutSeconds/,
    /LOGS/,
  ],
  // k8s/pkg/kubelet/prober/prober.go, k8s/pkg/probe/util.go
  [
    'Readiness probe errored and resulted in unknown state: invalid port number: -1',
    /readiness probe fails: invalid port number: -1/,
    /LOGS/,
  ],
] as [string, RegExp, RegExp][]) {
  probing(`explains ${said.slice(0, 70)}`, () =>
    assertCause(causeOfProbe(said, container, 'LOGS'), message, hint),
  );
}

const refusing = suite('causeOfRefusal');

for (const [said, message, hint] of [
  [
    // k8s/vendor: apiserver/pkg/admission/plugin/resourcequota/controller.go
    'pods "backend-1" is forbidden: exceeded quota: compute, requested: cpu=1, used: cpu=2, limited: cpu=2',
    /exceeded quota: compute/,
    /describe resourcequota compute; lower requests/,
  ],
  [
    // k8s/vendor: apiserver/pkg/admission/plugin/resourcequota/controller.go
    'pods "backend-1" is forbidden: failed quota: compute: must specify limits.cpu for: backend',
    /quota compute wants limits\.cpu/,
    /LimitRange/,
  ],
  [
    // k8s/plugin/pkg/admission/limitranger/admission.go
    'pods "backend-1" is forbidden: maximum memory usage per Container is 256Mi, but limit is 768Mi',
    /but limit is 768Mi/,
    /describe limitrange/,
  ],
  [
    // pod-security-admission/admission/admission.go
    'pods "backend-1" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
    /violates PodSecurity/,
    /securityContext/,
  ],
  [
    // apiserver/pkg/util/webhook/error.go
    'Internal error occurred: failed calling webhook "pods.example.com": failed to call webhook: Post "https://guard.policy.svc:443/?timeout=10s": dial tcp 10.96.1.1:443: connect: connection refused',
    /webhook pods\.example\.com does not answer: Post/,
    /-n policy get pods,endpointslices/,
  ],
  [
    // apiserver/pkg/admission/plugin/webhook/errors/statuserror.go
    'admission webhook "pods.example.com" denied the request: no latest tags',
    /no latest tags/,
    /validatingwebhookconfigurations/,
  ],
  [
    // k8s/plugin/pkg/admission/serviceaccount/admission.go
    'pods "backend-1" is forbidden: error looking up service account todo/backend: serviceaccount "backend" not found',
    /ServiceAccount backend does not exist/,
    /get serviceaccounts/,
  ],
  [
    // k8s/plugin/pkg/admission/priority/admission.go
    'pods "backend-1" is forbidden: no PriorityClass with name high was found',
    /PriorityClass high/,
    /priorityclasses/,
  ],
  ['something else', /^something else$/, /get events --sort-by=\.lastTimestamp/],
] as [string, RegExp, RegExp][]) {
  refusing(`explains ${said.slice(0, 90)}`, () => assertCause(causeOfRefusal(said, setting), message, hint));
}

const scheduling = suite('causeOfScheduling');

// k8s/pkg/scheduler/framework/plugins: noderesources/fit.go, nodeaffinity/node_affinity.go,
// tainttoleration/taint_toleration.go, volumebinding/volume_binding.go, interpodaffinity/filtering.go,
// nodeports/node_ports.go; test/cluster/diagnosis.test.ts meets four of them from a real scheduler.
for (const [said, message, hint] of [
  [
    '0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.',
    /^no node has that much cpu left: 0\/3 nodes are available: 3 Insufficient cpu\.$/,
    /requests\.cpu.*describe nodes/,
  ],
  [
    "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
    /no node has the labels/,
    /--show-labels/,
  ],
  [
    '0/1 nodes are available: 1 node(s) had untolerated taint(s).',
    /taint that it does not tolerate/,
    /TAINTS/,
  ],
  [
    '0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.',
    /volume is not there yet \(PersistentVolumeClaim data\)/,
    /describe pvc data; .*get storageclass/,
  ],
  [
    '0/3 nodes are available: persistentvolumeclaim "data" not found.',
    /PersistentVolumeClaim data does not exist/,
    /get pvc/,
  ],
  ["0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.", /anti-affinity/, /preference/],
  [
    "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
    /hostPort/,
    /hostPort/,
  ],
  ['0/1 nodes are available: 1 Too many pods.', /full of Pods/, /add nodes/],
  [
    '0/1 nodes are available: something new.',
    /^0\/1 nodes are available: something new\.$/,
    /describe nodes/,
  ],
] as [string, RegExp, RegExp][]) {
  scheduling(`explains ${said.slice(0, 80)}`, () =>
    assertCause(causeOfScheduling(said, { setting, claims: ['data'] }), message, hint),
  );
}

const claiming = suite('causeOfClaim');

claiming('explains a claim without a class, and one with a class that is none', () => {
  // k8s/pkg/controller/volume/persistentvolume/pv_controller.go
  assertCause(
    causeOfClaim('no persistent volumes available for this claim and no storage class is set', 'minikube'),
    /no default one/,
    /get storageclass/,
  );
  assertCause(
    causeOfClaim('storageclass.storage.k8s.io "fast" not found', 'minikube'),
    /StorageClass fast does not exist/,
    /get storageclass/,
  );
});

const quoting = suite('quoted');

quoting('is one line, and not of any length', () => {
  assert.is(quoted(' a\n  b '), 'a b');
  assert.is(quoted('x'.repeat(1000)).length, 240);
});

pulling.run();
configuring.run();
starting.run();
ending.run();
logs.run();
probing.run();
refusing.run();
scheduling.run();
claiming.run();
quoting.run();
