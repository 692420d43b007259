import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { type Answer, type Api, ask, certificateFile } from './apiserver.ts';
import type { Binaries } from './binaries.ts';
import { messageOf, StrataError } from './errors.ts';
import { writePrivate } from './files.ts';
import { spawnRecorded } from './process.ts';
import { formatDuration, type Session } from './session.ts';

/** A port that is free now; it can be taken before it is used. */
export async function chooseFreePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** Where the program records are, below the sandbox's folder. */
export const recordsFolder = 'run';

export interface ControlPlaneOptions {
  session: Session;
  binaries: Binaries;
  /** Absolute, private and empty. */
  folder: string;
  /** For progress. */
  name: string;
  context: string;
  /** A port of 127.0.0.1 that nobody listens on. */
  choosePort: () => Promise<number>;
  adminToken: string;
  viewerToken: string;
}

interface Launch extends ControlPlaneOptions {
  /** Programs that have ended, which none should. */
  ended: Map<string, string>;
  /** Aborted when the start is over, well or not. */
  over: AbortSignal;
}

/** Programs run in the sandbox's folder, so that paths in flags stay short: a socket path may have about 100 bytes. */
const etcdSocket = 'unix://etcd.sock:1';
const peerSocket = 'unix://etcd-peer.sock:1';
const issuer = 'https://kubernetes.default.svc.cluster.local';
export const adminKubeconfig = 'kubeconfig';
export const viewerKubeconfig = 'viewer.kubeconfig';

const etcdFlags: readonly string[] = [
  '--data-dir=etcd',
  `--listen-client-urls=${etcdSocket}`,
  `--advertise-client-urls=${etcdSocket}`,
  `--listen-peer-urls=${peerSocket}`,
  `--initial-advertise-peer-urls=${peerSocket}`,
  `--initial-cluster=default=${peerSocket}`,
  '--unsafe-no-fsync',
  '--log-level=warn',
];

const apiserverFlags = (port: number): string[] => [
  `--etcd-servers=${etcdSocket}`,
  '--bind-address=127.0.0.1',
  `--secure-port=${port}`,
  '--advertise-address=127.0.0.1',
  '--endpoint-reconciler-type=none',
  // Without a certificate it signs one for itself.
  '--cert-dir=certificates',
  '--token-auth-file=tokens.csv',
  '--service-account-key-file=service-account.pub',
  '--service-account-signing-key-file=service-account.key',
  `--service-account-issuer=${issuer}`,
  '--service-cluster-ip-range=10.96.0.0/16',
  '--authorization-mode=Node,RBAC',
  '--allow-privileged=true',
  '--kubelet-preferred-address-types=InternalIP,Hostname',
];

const controllerManagerFlags: readonly string[] = [
  `--kubeconfig=${adminKubeconfig}`,
  `--root-ca-file=${certificateFile}`,
  '--service-account-private-key-file=service-account.key',
  '--use-service-account-credentials',
  '--leader-elect=false',
  // A node that is silent because the machine sleeps or the API server starts again would lose its Pods for good: simulated
  // ones report ready once.
  '--node-monitor-grace-period=24h',
  '--secure-port=0',
  // Its usual limit of 20 requests a second is what a hundred objects would wait for.
  '--kube-api-qps=500',
  '--kube-api-burst=1000',
];

const schedulerFlags: readonly string[] = [
  `--kubeconfig=${adminKubeconfig}`,
  '--leader-elect=false',
  '--secure-port=0',
  '--kube-api-qps=500',
  '--kube-api-burst=1000',
];

const kwokFlags = (port: number): string[] => [
  `--kubeconfig=${adminKubeconfig}`,
  '--config=stages.yaml',
  '--manage-all-nodes=false',
  '--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake',
  '--cidr=10.244.0.0/16',
  '--node-ip=127.0.0.1',
  `--node-port=${port}`,
  `--server-address=127.0.0.1:${port}`,
  `--tls-cert-file=${certificateFile}`,
  '--tls-private-key-file=certificates/apiserver.key',
  '--node-lease-duration-seconds=40',
];

function kubeconfigText(context: string, server: string, certificate: string, token: string): string {
  return `${JSON.stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': context,
      clusters: [
        {
          name: context,
          cluster: { server, 'certificate-authority-data': Buffer.from(certificate).toString('base64') },
        },
      ],
      users: [{ name: context, user: { token } }],
      contexts: [{ name: context, context: { cluster: context, user: context } }],
    },
    null,
    2,
  )}\n`;
}

function nodeList(): object {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const items = ['node-1', 'node-2', 'node-3'].map((name) => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      annotations: { 'kwok.x-k8s.io/node': 'fake' },
      labels: {
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': architecture,
      },
    },
  }));
  return { apiVersion: 'v1', kind: 'List', items };
}

/** Written before the first program starts: keys, tokens, logs of pods. */
function writeInputs(launch: Launch): void {
  const { folder } = launch;
  for (const name of [recordsFolder, 'logs', 'certificates'])
    mkdirSync(path.join(folder, name), { mode: 0o700 });
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  writePrivate(path.join(folder, 'service-account.key'), privateKey);
  writePrivate(path.join(folder, 'service-account.pub'), publicKey);
  writePrivate(
    path.join(folder, 'tokens.csv'),
    `${launch.adminToken},admin,admin,"system:masters"\n${launch.viewerToken},viewer,viewer\n`,
  );
  const stages = path.join(launch.session.home, 'sandbox', 'stages');
  for (const name of readdirSync(stages).filter((file) => file.endsWith('.log'))) {
    const copy = path.join(folder, name);
    copyFileSync(path.join(stages, name), copy);
    chmodSync(copy, 0o600);
  }
}

const logFile = (launch: Launch, name: string): string => path.join(launch.folder, 'logs', `${name}.log`);

function startProgram(launch: Launch, name: keyof Binaries['paths'], flags: readonly string[]): void {
  // What is still under way when a start has failed elsewhere may not start anything any more.
  launch.over.throwIfAborted();
  const { PATH, HOME, TMPDIR } = launch.session.environment;
  launch.ended.delete(name);
  const child = spawnRecorded({
    folder: path.join(launch.folder, recordsFolder),
    name,
    file: launch.binaries.paths[name],
    args: flags,
    cwd: launch.folder,
    environment: { PATH, HOME, TMPDIR },
    log: logFile(launch, name),
  });
  child.once('error', (error) => launch.ended.set(name, messageOf(error)));
  child.once('exit', (status, signal) => launch.ended.set(name, signal ?? `exit status ${status}`));
}

function endOfLog(launch: Launch, name: string, lines: number): string {
  try {
    return readFileSync(logFile(launch, name), 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch {
    return '';
  }
}

function programEnded(launch: Launch, name: string): StrataError {
  return new StrataError(
    'SANDBOX_FAILED',
    `${name} ended while the sandbox was starting (${launch.ended.get(name)}):\n${endOfLog(launch, name, 5)}`,
    { hint: `read ${logFile(launch, name)}, then run the same command again` },
  );
}

const pollInterval = 40;
const startTimeout = 90_000;

/** @throws StrataError SANDBOX_FAILED when a program ends or the time is up. */
async function waitFor(
  launch: Launch,
  what: string,
  isDone: () => boolean | Promise<boolean>,
): Promise<void> {
  const { clock, signal, terminal } = launch.session;
  const started = clock.now();
  for (;;) {
    signal.throwIfAborted();
    launch.over.throwIfAborted();
    if (await isDone()) return;
    for (const name of launch.ended.keys()) throw programEnded(launch, name);
    if (clock.now() - started > startTimeout) {
      throw new StrataError('SANDBOX_FAILED', `${what}: not done after ${formatDuration(startTimeout)}`, {
        hint: `read the files in ${path.join(launch.folder, 'logs')}, then run the same command again`,
      });
    }
    terminal.live([`sandbox ${launch.name}: ${what}, ${formatDuration(clock.now() - started)}`]);
    await clock.sleep(pollInterval, signal);
  }
}

const portAttempts = 5;

/** A port that was free can be taken before the program binds it; then it is started again with another one. */
async function startOnFreePort(
  launch: Launch,
  name: 'kube-apiserver' | 'kwok',
  flags: (port: number) => readonly string[],
  isUp: (port: number) => boolean | Promise<boolean>,
): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const port = await launch.choosePort();
    startProgram(launch, name, flags(port));
    try {
      await waitFor(launch, `starting ${name}`, () => !launch.ended.has(name) && isUp(port));
      return port;
    } catch (error) {
      const isTaken = launch.ended.has(name) && /address already in use/.test(endOfLog(launch, name, 40));
      if (!isTaken || attempt === portAttempts) throw error;
      launch.session.terminal.detail(`port ${port} was taken before ${name} could use it, trying another`);
      writeFileSync(logFile(launch, name), '');
    }
  }
}

/** Runs the sandbox's own kubectl. @throws StrataError SANDBOX_FAILED */
function kubectl(
  launch: Launch,
  args: readonly string[],
  options: { kubeconfig: string; input?: string },
): Promise<string> {
  const { PATH, HOME } = launch.session.environment;
  return new Promise((resolve, reject) => {
    const child = execFile(
      launch.binaries.paths.kubectl,
      [...args],
      {
        cwd: launch.folder,
        env: { PATH, HOME, KUBECONFIG: options.kubeconfig },
        maxBuffer: 16 * 1024 * 1024,
        timeout: startTimeout,
        signal: AbortSignal.any([launch.session.signal, launch.over]),
      },
      (error, stdout, stderr) => {
        if (!error) return resolve(stdout);
        reject(
          new StrataError(
            'SANDBOX_FAILED',
            `kubectl ${args[0]} failed: ${stderr.trim() || messageOf(error)}`,
            {
              hint: `read the files in ${path.join(launch.folder, 'logs')}, then run the same command again`,
              cause: error,
            },
          ),
        );
      },
    );
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input ?? '');
  });
}

const probePod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'probe', annotations: { 'strata.dev/simulate': 'unschedulable' } },
  spec: { containers: [{ name: 'probe', image: 'probe' }] },
};

interface NodeItem {
  spec: { taints?: unknown[] };
  status: { conditions?: { type: string; status: string }[] };
}

/** A node that is Ready still has its not-ready taint for a moment, and no pod goes there. */
function areSchedulable(answer: Answer): boolean {
  if (answer.status !== 200) return false;
  const { items } = JSON.parse(answer.body) as { items: NodeItem[] };
  return (
    items.length > 0 &&
    items.every(
      ({ spec, status }) =>
        (spec.taints ?? []).length === 0 &&
        (status.conditions ?? []).some(({ type, status: value }) => type === 'Ready' && value === 'True'),
    )
  );
}

/** Service accounts, nodes and the admission policies: what a first pod needs. */
async function isUsable(api: Api): Promise<boolean> {
  if (!areSchedulable(await ask(api, '/api/v1/nodes'))) return false;
  const probe = await ask(api, '/api/v1/namespaces/default/pods?dryRun=All', probePod);
  return probe.status === 201 && probe.body.includes('"nodeSelector"');
}

async function startServer(launch: Launch): Promise<Api> {
  const certificateOf = path.join(launch.folder, certificateFile);
  const api: Api = { port: 0, certificate: '', token: launch.adminToken };
  startProgram(launch, 'etcd', etcdFlags);
  api.port = await startOnFreePort(launch, 'kube-apiserver', apiserverFlags, async (port) => {
    if (!existsSync(certificateOf)) return false;
    api.certificate = readFileSync(certificateOf, 'utf8');
    return (await ask({ ...api, port }, '/readyz')).status === 200;
  });
  return api;
}

function writeKubeconfigs(launch: Launch, server: string, api: Api): void {
  const { folder, context } = launch;
  for (const [file, token] of [
    [adminKubeconfig, launch.adminToken],
    [viewerKubeconfig, launch.viewerToken],
  ] as const) {
    writePrivate(path.join(folder, file), kubeconfigText(context, server, api.certificate, token));
  }
}

async function createFirstObjects(launch: Launch): Promise<void> {
  const admission = path.join(launch.session.home, 'sandbox', 'admission');
  await kubectl(launch, ['create', '--cache-dir=cache', '-f', admission, '-f', '-'], {
    kubeconfig: adminKubeconfig,
    input: JSON.stringify(nodeList()),
  });
  rmSync(path.join(launch.folder, 'cache'), { recursive: true, force: true });
}

async function startAll(launch: Launch): Promise<string> {
  const { session, folder } = launch;
  writeInputs(launch);
  const stagesFolder = path.join(session.home, 'sandbox', 'stages');
  const [stages, api] = await Promise.all([
    kubectl(launch, ['kustomize', stagesFolder], { kubeconfig: '/dev/null' }),
    startServer(launch),
  ]);
  const server = `https://127.0.0.1:${api.port}`;
  writeKubeconfigs(launch, server, api);
  writePrivate(path.join(folder, 'stages.yaml'), stages);
  startProgram(launch, 'kube-controller-manager', controllerManagerFlags);
  startProgram(launch, 'kube-scheduler', schedulerFlags);
  await Promise.all([
    createFirstObjects(launch),
    startOnFreePort(
      launch,
      'kwok',
      kwokFlags,
      async (port) => (await ask({ ...api, port }, '/healthz')).status === 200,
    ),
  ]);
  await waitFor(launch, 'waiting for its nodes', () => isUsable(api));
  return server;
}

/**
 * Starts all programs and waits until a first pod could run. Ends none of them when it fails.
 * @returns the URL of the API server
 * @throws StrataError SANDBOX_FAILED, INTERRUPTED.
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<string> {
  const end = new AbortController();
  try {
    return await startAll({ ...options, ended: new Map(), over: end.signal });
  } finally {
    end.abort();
  }
}
