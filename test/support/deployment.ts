import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRecord, type KubeObject } from '../../scripts/lib/manifest.ts';
import type { SandboxInfo } from '../../scripts/lib/sandbox.ts';
import { formatYaml, parseYaml } from '../../scripts/lib/yaml.ts';
import { kubectlIn, type Outcome, useSandbox } from './cluster.ts';
import { projectFolder } from './session.ts';

export interface DeploymentOptions {
  /** Which overlay of the project is copied; `none` starts with an empty tree. */
  overlay?: 'minikube' | 'dev' | 'none';
  /** The name the copy gets. */
  name?: string;
  /** Name of the only context of the kubeconfig; the overlay may go there. */
  context?: string;
  /** Fixed node port of the frontend; the server chooses one unless given. */
  nodePort?: number;
  /** Paths in the tree and their texts, over the copy. */
  files?: Record<string, string>;
  /** More lines of `.env`. */
  values?: Record<string, string>;
}

export interface RunOptions {
  /** Another overlay of the tree than the deployment's own. */
  overlay?: string;
  environment?: Record<string, string>;
  /** Instead of the overlay and --root, for commands that take neither. */
  words?: readonly string[];
  /** `render` is the one command whose stdout may hold secrets. */
  mayPrintSecrets?: true;
}

export interface RunningCommand {
  readonly child: ChildProcess;
  readonly output: Outcome;
  /** Resolves when stdout or stderr holds the text; rejects when the command ends without it. */
  said(text: string | RegExp): Promise<void>;
  readonly ended: Promise<Outcome>;
}

/** Longer than any command of a test takes on a busy machine. */
const commandLimit = 180_000;

/** All namespaces, and all names of cluster-wide objects, of tests hold this. */
export const testMark = 'strata-test-';

let latest = 0;
/** Different in every process and for every call. */
export const uniqueName = (): string =>
  `${testMark}${randomBytes(3).toString('hex')}${(latest++).toString(36)}`;

const secretText = (): string => randomBytes(18).toString('base64url');

/** Every form in which a value could get out. */
function formsOf(value: string): string[] {
  const forms = [value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1)];
  // Base64 of a text that has the value in its middle: each of the three alignments, without the edges.
  for (const shift of [0, 1, 2]) {
    const text = Buffer.from(`${' '.repeat(shift)}${value}`)
      .toString('base64')
      .replace(/=+$/, '');
    forms.push(text.slice(shift === 0 ? 0 : 4, -2));
  }
  return [...new Set(forms)];
}

export class Deployment {
  readonly sandbox: SandboxInfo;
  /** The tree: base/, overlays/, .env. */
  readonly root: string;
  /** TMPDIR of the commands. */
  readonly temporary: string;
  readonly overlay: string;
  readonly namespace: string;
  readonly context: string;
  readonly kubeconfig: string;
  /** What `.env` says. */
  readonly values = new Map<string, string>();
  /** Values that nobody may see. */
  readonly secrets = new Set<string>();

  constructor(sandbox: SandboxInfo, folder: string, options: DeploymentOptions) {
    const source = options.overlay ?? 'minikube';
    this.sandbox = sandbox;
    this.root = path.join(folder, 'tree');
    this.temporary = path.join(folder, 'tmp');
    this.overlay = options.name ?? (source === 'none' ? 'minikube' : source);
    this.namespace = uniqueName();
    this.context = options.context ?? 'minikube';
    this.kubeconfig = path.join(folder, 'kubeconfig');
    for (const name of [this.root, this.temporary]) mkdirSync(name, { mode: 0o700 });
    this.writeKubeconfig(this.context);
    if (source !== 'none') this.copyTree(source, options.nodePort);
    if (options.context !== undefined) this.allow(options.context);
    for (const [file, text] of Object.entries(options.files ?? {})) this.write(file, text);
    this.setSecret('BETTER_AUTH_SECRET', secretText() + secretText());
    this.setSecret('JWT_SECRET', secretText() + secretText());
    const password = secretText();
    this.secrets.add(password);
    this.setSecret('DATABASE_URL', `postgresql+asyncpg://todo:${password}@db.strata.test/todo?ssl=require`);
    this.setValues(options.values ?? {});
  }

  private copyTree(source: string, nodePort: number | undefined): void {
    for (const name of ['base', 'components', `overlays/${source}`]) {
      const from = path.join(projectFolder, name);
      if (existsSync(from)) cpSync(from, path.join(this.root, name), { recursive: true });
    }
    const folder = path.join(this.root, 'overlays');
    if (this.overlay !== source) renameSync(path.join(folder, source), path.join(folder, this.overlay));
    for (const file of ['kustomization.yaml', 'namespace.yaml'])
      this.edit(`overlays/${this.overlay}/${file}`, (text) =>
        text.replaceAll(`todo-${source}`, this.namespace),
      );
    if (source !== 'minikube') return;
    // Node ports are the cluster's: two tests at once cannot both have 30080.
    this.edit(`overlays/${this.overlay}/service.node-port.yaml`, (text) =>
      text.replace(/^ *nodePort: 30080\n/m, nodePort === undefined ? '' : `      nodePort: ${nodePort}\n`),
    );
  }

  /** A kubeconfig for the sandbox with the given name for its context; another server or user on demand. */
  writeKubeconfig(context: string, change: { server?: string; from?: string } = {}): void {
    const { value } = parseYaml(readFileSync(change.from ?? this.sandbox.kubeconfig, 'utf8'));
    const text = JSON.stringify(value)
      .replaceAll(JSON.stringify(this.sandbox.context), JSON.stringify(context))
      .replaceAll(JSON.stringify(this.sandbox.server), JSON.stringify(change.server ?? this.sandbox.server));
    writeFileSync(this.kubeconfig, text, { mode: 0o600 });
  }

  write(file: string, text: string): void {
    const target = path.join(this.root, file);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, text);
  }

  edit(file: string, change: (text: string) => string): void {
    this.write(file, change(readFileSync(path.join(this.root, file), 'utf8')));
  }

  copy(from: string, to: string): void {
    this.write(to, readFileSync(path.join(this.root, from), 'utf8'));
  }

  remove(file: string): void {
    rmSync(path.join(this.root, file), { recursive: true });
  }

  /** Puts context names on the list of the overlay, in place of those that are there. */
  allow(...contexts: string[]): void {
    this.edit(this.own('strata.yaml'), (text) =>
      text.replace(/^contexts: .*$/m, `contexts: ${JSON.stringify(contexts)}`),
    );
  }

  /** Path of a file in the overlay. */
  own(file: string): string {
    return `overlays/${this.overlay}/${file}`;
  }

  /** Puts files into the overlay: objects go under `resources`, all else under the field that is given. */
  add(files: Record<string, object>, field: 'resources' | 'patches' = 'resources'): void {
    for (const [file, content] of Object.entries(files)) this.write(this.own(file), formatYaml(content));
    const entries = Object.keys(files).map((file) => (field === 'patches' ? { path: file } : file));
    this.kustomize((kustomization) => {
      const present = (kustomization[field] ?? []) as unknown[];
      const fresh = entries.filter((entry) => !JSON.stringify(present).includes(JSON.stringify(entry)));
      kustomization[field] = [...present, ...fresh];
    });
  }

  /** Takes files out of the overlay again. */
  drop(...files: string[]): void {
    this.kustomize((kustomization) => {
      for (const field of ['resources', 'patches']) {
        const entries = kustomization[field];
        if (!Array.isArray(entries)) continue;
        kustomization[field] = entries.filter(
          (entry) => !files.includes(isRecord(entry) ? String(entry.path) : String(entry)),
        );
      }
    });
    for (const file of files) this.remove(this.own(file));
  }

  kustomize(change: (kustomization: Record<string, unknown>) => void): void {
    this.edit(this.own('kustomization.yaml'), (text) => {
      const { value } = parseYaml(text);
      if (!isRecord(value)) throw new TypeError('no kustomization');
      change(value);
      return formatYaml(value);
    });
  }

  /** Makes the Pods of a workload of the base behave as docs/sandbox.md says; undefined takes it back. */
  simulate(workload: string, simulated: string | undefined, more: Record<string, unknown> = {}): void {
    const file = `deployment.${workload}-simulate.yaml`;
    if (simulated === undefined) {
      this.drop(file);
      return;
    }
    const annotations = { 'strata.dev/simulate': simulated, 'strata.dev/simulate-delay': '2s' };
    this.add(
      {
        [file]: {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name: workload },
          spec: {
            ...more,
            template: { metadata: { annotations } },
          },
        },
      },
      'patches',
    );
  }

  setSecret(key: string, value: string): void {
    this.secrets.add(value);
    this.setValues({ [key]: value });
  }

  /** Writes `.env` anew; the values must be plain enough for one pair of quotes. */
  setValues(values: Record<string, string>): void {
    for (const [key, value] of Object.entries(values)) this.values.set(key, value);
    const quote = (value: string): string => (value.includes('"') ? `'${value}'` : `"${value}"`);
    const lines = [...this.values].map(([key, value]) => `${key}=${quote(value)}\n`);
    this.write('.env', lines.join(''));
    chmodSync(path.join(this.root, '.env'), 0o600);
  }

  get environment(): Record<string, string> {
    return {
      PATH: [path.dirname(this.sandbox.kubectl), process.env.PATH ?? ''].join(path.delimiter),
      HOME: path.dirname(this.root),
      TMPDIR: this.temporary,
      KUBECONFIG: this.kubeconfig,
    };
  }

  /** A command of this overlay and tree as a hint tells it; more flags begin with a space. */
  commandOf(command: string, flags = ''): string {
    return `npm run ${command} -- ${this.overlay} --root ${this.root}${flags}`;
  }

  /** Starts `npm run NAME -- OVERLAY …` without npm. */
  start(command: string, flags: readonly string[] = [], options: RunOptions = {}): RunningCommand {
    const child = spawn(
      process.execPath,
      [
        // Without it Node takes --env-file for its own.
        '--',
        path.join(projectFolder, 'scripts/strata.js'),
        command,
        ...(options.words ?? [options.overlay ?? this.overlay, '--root', this.root]),
        ...flags,
      ],
      {
        cwd: this.temporary,
        env: { ...this.environment, ...options.environment },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const output: Outcome = { status: -1, stdout: '', stderr: '' };
    const listeners = new Set<() => void>();
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        output[name] += text;
        for (const listener of listeners) listener();
      });
    }
    const timer = setTimeout(() => child.kill('SIGKILL'), commandLimit);
    const ended = new Promise<Outcome>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status) => {
        clearTimeout(timer);
        output.status = status ?? 128;
        resolve(output);
      });
    });
    const said = (text: string | RegExp): Promise<void> =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const all = output.stdout + output.stderr;
          if (typeof text === 'string' ? !all.includes(text) : !text.test(all)) return;
          listeners.delete(look);
          resolve();
        };
        listeners.add(look);
        ended.then(() => reject(new Error(`ended without saying ${text}:\n${output.stderr}`)), reject);
        look();
      });
    return { child, output, said, ended };
  }

  /** Runs a command to its end; what it may not leave behind or say fails the test. */
  async strata(command: string, flags: readonly string[] = [], options: RunOptions = {}): Promise<Outcome> {
    const outcome = await this.start(command, flags, options).ended;
    this.assertDiscreet(outcome, options);
    this.assertNothingLeft();
    return outcome;
  }

  /** Runs a command that has to end with this status. */
  async expect(
    status: number,
    command: string,
    flags: readonly string[] = [],
    options: RunOptions = {},
  ): Promise<Outcome> {
    const outcome = await this.strata(command, flags, options);
    assertStatus(outcome, status, [command, ...flags].join(' '));
    return outcome;
  }

  /** No secret in any of these texts. */
  assertDiscreet(texts: string | Outcome, options: RunOptions = {}): void {
    const text =
      typeof texts === 'string' ? texts : `${options.mayPrintSecrets ? '' : texts.stdout}\n${texts.stderr}`;
    for (const secret of this.secrets) {
      for (const form of formsOf(secret)) {
        const index = text.indexOf(form);
        if (index >= 0)
          assert.unreachable(`a secret got out: ${text.slice(Math.max(0, index - 200), index + 60)}`);
      }
    }
  }

  /** No folder of a run, no socket, no file with a secret. */
  assertNothingLeft(): void {
    assert.equal(readdirSync(this.temporary), [], 'TMPDIR is empty');
    for (const file of filesBelow(path.join(this.root, '.strata'))) {
      assert.not.match(file, /\.strata\/run-/);
      this.assertDiscreet(readFileSync(file, 'utf8'));
    }
  }

  /** No secret in the objects of the namespace, but in the data of its Secrets: no annotation, no Event. */
  async assertClusterDiscreet(): Promise<void> {
    const objects = await this.list(
      'configmaps,secrets,serviceaccounts,services,endpointslices,deployments,replicasets,pods,events',
    );
    const namespace = await this.get('namespace', this.namespace);
    assert.ok(objects.some(({ kind }) => kind === 'Event'));
    const shown = [...objects, namespace].map((object) => {
      if (object?.kind !== 'Secret') return object;
      const { data: _, ...rest } = object;
      return rest as KubeObject;
    });
    this.assertDiscreet(JSON.stringify(shown));
  }

  /** The sandbox's kubectl in the namespace of this deployment, not through our code. */
  async kubectl(args: readonly string[], input?: string | object): Promise<string> {
    const outcome = await this.tryKubectl(args, input);
    assert.is(outcome.status, 0, `kubectl ${args.join(' ')}: ${outcome.stderr}`);
    return outcome.stdout;
  }

  tryKubectl(args: readonly string[], input?: string | object): Promise<Outcome> {
    return kubectlIn(this.sandbox, ['-n', this.namespace, ...args], input === undefined ? {} : { input });
  }

  /** Objects of these kinds in the namespace, with their managed fields. */
  async list(kinds: string, ...flags: string[]): Promise<KubeObject[]> {
    const text = await this.kubectl(['get', kinds, '-o', 'json', '--show-managed-fields', ...flags]);
    return (JSON.parse(text) as { items: KubeObject[] }).items;
  }

  async get(kind: string, name: string): Promise<KubeObject | undefined> {
    const text = await this.kubectl([
      'get',
      kind,
      name,
      '-o',
      'json',
      '--show-managed-fields',
      '--ignore-not-found',
    ]);
    return text === '' ? undefined : (JSON.parse(text) as KubeObject);
  }

  /** Everything in the namespace but Events, and the namespace itself: `Kind/name` to resourceVersion. */
  async snapshot(): Promise<Map<string, string>> {
    const kinds = await listableKinds(this.sandbox, '--namespaced=true');
    const objects = await this.list(kinds, '--ignore-not-found').catch(() => []);
    const namespace = await this.get('namespace', this.namespace);
    return new Map(
      [...objects, ...(namespace ? [namespace] : [])]
        .map((object): [string, string] => [
          `${object.kind}/${object.metadata.name}`,
          `${object.metadata.uid} ${object.metadata.resourceVersion}`,
        ])
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  }

  /** Names of the generated objects of one kind and name before the hash, oldest first. */
  async generated(kind: 'ConfigMap' | 'Secret', name: string): Promise<string[]> {
    const objects = await this.list(kind, '--sort-by=.metadata.creationTimestamp');
    return objects
      .map(({ metadata }) => metadata.name)
      .filter((found) => new RegExp(`^${name}-[a-z0-9]{10}$`).test(found));
  }
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => path.join(folder, name))
    .filter((file) => statSync(file).isFile());
}

export function assertStatus(outcome: Outcome, status: number, command = 'the command'): void {
  const said = `${command} ended with ${outcome.status}, expected ${status}\n${outcome.stdout}\n${outcome.stderr}`;
  assert.is(outcome.status, status, said);
}

/** Kinds that change on their own. */
const restless = /^(events|leases|componentstatuses)(\.|$)/;
const kindLists = new Map<string, Promise<string>>();

/** Comma-separated, for `kubectl get`; those that the server has had from the start. */
export function listableKinds(sandbox: SandboxInfo, ...flags: string[]): Promise<string> {
  const key = flags.join();
  const known = kindLists.get(key);
  if (known) return known;
  const asked = kubectlIn(sandbox, ['api-resources', '--verbs=list', '-o', 'name', ...flags]).then(
    ({ stdout }) =>
      stdout
        .split('\n')
        .filter((name) => name !== '' && !restless.test(name) && !name.includes(testMark))
        .join(','),
  );
  kindLists.set(key, asked);
  return asked;
}

/** Every object of the cluster as `Kind namespace/name uid`, without those of other tests. */
export async function clusterListing(deployment: Deployment): Promise<string[]> {
  const kinds = await listableKinds(deployment.sandbox);
  const columns =
    'K:.kind,S:.metadata.namespace,N:.metadata.name,U:.metadata.uid,P:.spec.parentRef.namespace';
  const text = await deployment.kubectl([
    'get',
    kinds,
    '-A',
    '--no-headers',
    '-o',
    `custom-columns=${columns}`,
  ]);
  return text
    .split('\n')
    .map((line) => line.replaceAll(/\s+/g, ' ').trim())
    .filter((line) => line !== '' && (!line.includes(testMark) || line.includes(deployment.namespace)))
    .sort();
}

/** Makes a tree and a kubeconfig for the sandbox, runs the work, and removes them and the namespace. */
export async function withDeployment<T>(
  options: DeploymentOptions,
  work: (deployment: Deployment) => Promise<T>,
): Promise<T> {
  const sandbox = await useSandbox();
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'strata-test-')));
  let namespace: string | undefined;
  try {
    const deployment = new Deployment(sandbox, folder, options);
    namespace = deployment.namespace;
    return await work(deployment);
  } finally {
    if (namespace !== undefined)
      await kubectlIn(sandbox, ['delete', 'namespace', namespace, '--ignore-not-found', '--wait=false']);
    rmSync(folder, { recursive: true, force: true });
  }
}

interface ConcurrentSuite {
  (title: string, work: () => Promise<void>): void;
  /** Counts as skipped; the title says why. */
  skip(title: string): void;
  run(): void;
}

/** A suite whose tests run side by side, because they wait more than they work. */
export function concurrentSuite(name: string, atOnce = 4): ConcurrentSuite {
  const test = suite(name);
  const waiting: (() => Promise<void>)[] = [];
  let running = 0;
  const startNext = (): void => {
    while (running < atOnce) {
      const next = waiting.shift();
      if (next === undefined) return;
      running++;
      void next().finally(() => {
        running--;
        startNext();
      });
    }
  };
  const add = (title: string, work: () => Promise<void>): void => {
    const { promise, settle } = createDeferred();
    waiting.push(() => settle(work));
    test(title, () => {
      startNext();
      return promise;
    });
  };
  return Object.assign(add, { skip: (title: string) => test.skip(title), run: () => test.run() });
}

function createDeferred(): { promise: Promise<void>; settle: (work: () => Promise<void>) => Promise<void> } {
  let resolve = (): void => {};
  let reject = (_: unknown): void => {};
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  // It may fail before its turn to be reported has come.
  promise.catch(() => {});
  return { promise, settle: (work) => work().then(resolve, reject) };
}
