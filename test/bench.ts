// Ratios against kubectl in one sitting; figures, not assertions. `npm run bench`
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startSandbox, stopSandbox } from '../scripts/lib/boot.ts';
import { formatTable } from '../scripts/lib/terminal.ts';
import { projectFolder, testSession } from './support/session.ts';

const repetitions = 5;
const roundTrip = 30;

interface Measured {
  seconds: number;
  /** MiB. */
  memory: number;
}

/** The median of several runs; the peak of all of them. */
async function measure(
  program: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  expected: readonly number[],
): Promise<Measured> {
  const runs: Measured[] = [];
  for (let count = 0; count < repetitions; count++) {
    const started = performance.now();
    const { status, memory } = await runOnce(program, args, environment);
    if (!expected.includes(status))
      throw new Error(`${program} ${args.join(' ')} ended with status ${status}`);
    runs.push({ seconds: (performance.now() - started) / 1000, memory });
  }
  runs.sort((a, b) => a.seconds - b.seconds);
  return {
    seconds: runs[Math.floor(repetitions / 2)]!.seconds,
    memory: Math.max(...runs.map(({ memory }) => memory)),
  };
}

/** Asynchronous, because the relay runs in this very process. */
function runOnce(
  program: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<{ status: number; memory: number }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...environment },
    });
    let memory = 0;
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString('utf8');
    });
    const sampler = setInterval(() => {
      memory = Math.max(memory, peakMemory(child.pid));
    }, 20);
    child.once('error', reject);
    child.once('close', (status) => {
      clearInterval(sampler);
      if (status !== 0 && status !== 1) process.stderr.write(said);
      resolve({ status: status ?? -1, memory });
    });
  });
}

function peakMemory(pid: number | undefined): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

/** Half of the round trip each way, what a cluster in a cloud feels like. */
function startRelay(port: number): Promise<net.Server> {
  const delay = (from: net.Socket, to: net.Socket): void => {
    from.on('data', (chunk) => setTimeout(() => to.writable && to.write(chunk), roundTrip / 2));
    from.on('end', () => setTimeout(() => to.end(), roundTrip / 2));
    from.on('error', () => to.destroy());
  };
  const server = net.createServer((client) => {
    client.setNoDelay(true);
    const upstream = net.connect({ port, host: '127.0.0.1', noDelay: true });
    delay(client, upstream);
    delay(upstream, client);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

const resources = 'requests: {cpu: 10m, memory: 16Mi}';

function serviceManifests(name: string): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, labels: {app: ${name}}}
spec:
  replicas: 1
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      containers:
        - name: app
          image: example/${name}:1
          envFrom: [{configMapRef: {name: ${name}-config}}, {secretRef: {name: ${name}-secrets}}]
          resources: {${resources}}
---
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {selector: {app: ${name}}, ports: [{port: 80, targetPort: 8000}]}
`;
}

/** A tree of \`count\` services: 4 objects each, a Deployment, a Service, a ConfigMap and a Secret. */
function writeTree(root: string, count: number, context: string): void {
  const names = Array.from({ length: count }, (_, index) => `s${index}`);
  const overlay = path.join(root, 'overlays/minikube');
  mkdirSync(overlay, { recursive: true });
  writeFileSync(path.join(overlay, 'services.yaml'), names.map(serviceManifests).join('---\n'));
  writeFileSync(
    path.join(overlay, 'kustomization.yaml'),
    `apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - services.yaml\nnamespace: bench-${count}\n`,
  );
  const objects = (suffix: string, key: string): unknown =>
    Object.fromEntries(names.map((name) => [`${name}-${suffix}`, { [`${key}_${name.toUpperCase()}`]: {} }]));
  const contract = {
    configMaps: objects('config', 'CONFIG'),
    secrets: objects('secrets', 'SECRET'),
    contexts: [context],
  };
  writeFileSync(path.join(overlay, 'strata.yaml'), JSON.stringify(contract));
  const lines = names.flatMap((name) => [
    `CONFIG_${name.toUpperCase()}=value of ${name}`,
    `SECRET_${name.toUpperCase()}=tide-of-${name}-7b41c0e9d2`,
  ]);
  writeFileSync(path.join(root, '.env'), `${lines.join('\n')}\n`, { mode: 0o600 });
}

const strata = (...args: string[]): string[] => [path.join(projectFolder, 'scripts/strata.js'), ...args];

async function main(): Promise<void> {
  const work = mkdtempSync(path.join(tmpdir(), 'strata-bench-'));
  const folder = path.join(projectFolder, '.strata/sandbox', `bench-${process.pid}`);
  const session = testSession({ terminal: { say: (text) => void process.stderr.write(`${text}\n`) } });
  const rows: string[][] = [['measured', 'strata', 'kubectl', 'ratio', 'memory of strata']];
  const row = (title: string, own: Measured, peer: number): void => {
    rows.push([
      title,
      `${own.seconds.toFixed(2)} s`,
      `${peer.toFixed(2)} s`,
      (own.seconds / peer).toFixed(2),
      `${Math.round(own.memory)} MiB`,
    ]);
    process.stderr.write(`${formatTable(rows.slice(-1)).join('')}\n`);
  };
  let relay: net.Server | undefined;
  try {
    const sandbox = await startSandbox(session, { folder });
    relay = await startRelay(Number(new URL(sandbox.server).port));
    const { port } = relay.address() as net.AddressInfo;
    const far = path.join(work, 'kubeconfig');
    writeFileSync(
      far,
      readFileSync(sandbox.kubeconfig, 'utf8').replace(sandbox.server, `https://127.0.0.1:${port}`),
      { mode: 0o600 },
    );
    const idle = await measure(process.execPath, ['-e', '0'], {}, [0]);

    for (const count of [2, 50]) {
      const root = path.join(work, String(count));
      writeTree(root, count, sandbox.context);
      const near = { KUBECONFIG: sandbox.kubeconfig };
      spawnSync(process.execPath, strata('generate', 'minikube', '--root', root), { stdio: 'ignore' });
      const generated = path.join(root, '.strata/minikube');
      const kustomize = await measure('kubectl', ['kustomize', generated], { KUBECONFIG: '/dev/null' }, [0]);
      const rendered = await measure(process.execPath, strata('render', 'minikube', '--root', root), {}, [0]);
      row(
        `render, ${count * 4} objects (kubectl kustomize + node)`,
        rendered,
        kustomize.seconds + idle.seconds,
      );

      await runOnce(process.execPath, strata('up', 'minikube', '--root', root), near);
      const diff = strata('diff', 'minikube', '--root', root);
      for (const [title, kubeconfig] of [
        ['0 ms', sandbox.kubeconfig],
        [`${roundTrip} ms`, far],
      ] as const) {
        const environment = { KUBECONFIG: kubeconfig };
        const peerArgs = ['diff', '--server-side', '--field-manager', 'strata', '-k', generated];
        const own = await measure(process.execPath, diff, environment, [0]);
        const peer = await measure('kubectl', peerArgs, environment, [0]);
        row(`diff, nothing changed, ${count * 4} objects, ${title}`, own, peer.seconds);
      }
    }
    process.stdout.write(
      `Node ${process.versions.node}; median of ${repetitions} runs\n${formatTable(rows).join('\n')}\n`,
    );
  } finally {
    relay?.close();
    await stopSandbox(session, { folder });
    rmSync(work, { recursive: true, force: true });
  }
}

await main();
process.exit(0);
