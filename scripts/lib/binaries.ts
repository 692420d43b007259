import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { messageOf, StrataError } from './errors.ts';
import { makeFolders } from './files.ts';
import { withLock } from './lock.ts';
import {
  findOnPath,
  isExecutable,
  processWithPid,
  readRecords,
  signalRecorded,
  spawnRecorded,
  stopProcesses,
} from './process.ts';
import { formatDuration, type Session } from './session.ts';

export const binaryNames = [
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubectl',
  'etcd',
  'kwok',
] as const;

export type BinaryName = (typeof binaryNames)[number];

export interface Binaries {
  paths: Readonly<Record<BinaryName, string>>;
  /** Where they were found, for people. */
  source: string;
}

type Environment = Session['environment'];

const kubernetesVersion = '1.36.4';
const kubernetesMinor = '1.36';
const oldestGo = '1.26.0';

interface BuildStep {
  binary: BinaryName;
  /** Folder under sandbox/ with the go.mod that pins it. */
  module: 'kube' | 'etcd' | 'kwok';
  package: string;
  ldflags: string;
}

/** Without these stamps `kubectl version` cannot read its own version and exits 1. */
function kubernetesStamps(): string {
  const [major, minor] = kubernetesVersion.split('.');
  const stamps = {
    gitVersion: `v${kubernetesVersion}`,
    gitMajor: major,
    gitMinor: minor,
    gitCommit: '0'.repeat(40),
    gitTreeState: 'clean',
    buildDate: '2026-01-01T00:00:00Z',
  };
  return ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version']
    .flatMap((stamped) => Object.entries(stamps).map(([name, value]) => `-X ${stamped}.${name}=${value}`))
    .join(' ');
}

const strip = '-s -w';

/** kube-apiserver first: it compiles what the others share. */
const buildSteps: readonly BuildStep[] = [
  ...(['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubectl'] as const).map((binary) => ({
    binary,
    module: 'kube' as const,
    package: `k8s.io/kubernetes/cmd/${binary}`,
    ldflags: `${strip} ${kubernetesStamps()}`,
  })),
  { binary: 'etcd', module: 'etcd', package: 'go.etcd.io/etcd/server/v3', ldflags: strip },
  { binary: 'kwok', module: 'kwok', package: 'sigs.k8s.io/kwok/cmd/kwok', ldflags: strip },
];

/** The path of each binary, or the names of those that are not there. */
function locate(find: (name: BinaryName) => string | undefined): {
  paths: Record<BinaryName, string>;
  missing: BinaryName[];
} {
  const found = binaryNames.map((name) => [name, find(name)] as const);
  const paths = Object.fromEntries(found) as Record<BinaryName, string>;
  return { paths, missing: found.filter(([, file]) => file === undefined).map(([name]) => name) };
}

const inFolder =
  (folder: string) =>
  (name: BinaryName): string | undefined => {
    const file = path.join(folder, name);
    return isExecutable(file) ? file : undefined;
  };

function fromExplicitFolder(environment: Environment): Binaries | undefined {
  const folder = environment.STRATA_SANDBOX_BIN;
  if (!folder) return undefined;
  const { paths, missing } = locate(inFolder(path.resolve(folder)));
  if (missing.length > 0) {
    throw new StrataError('SANDBOX_FAILED', `STRATA_SANDBOX_BIN=${folder} lacks ${missing.join(', ')}`, {
      hint: 'name a folder that has all six programs, or unset STRATA_SANDBOX_BIN',
    });
  }
  return { paths, source: folder };
}

/** The convention of envtest; its usual folder holds only three of the six programs. */
function fromTestAssets(environment: Environment): Binaries | undefined {
  const { paths, missing } = locate((name) => {
    const own = environment[`TEST_ASSET_${name.toUpperCase().replaceAll('-', '_')}`];
    if (own) return isExecutable(own) ? path.resolve(own) : undefined;
    const folder = environment.KUBEBUILDER_ASSETS;
    return folder ? inFolder(path.resolve(folder))(name) : undefined;
  });
  return missing.length > 0 ? undefined : { paths, source: 'KUBEBUILDER_ASSETS' };
}

const runFile = promisify(execFile);

/** What a program prints about its version; empty when it cannot be asked. */
async function askVersion(file: string, args: readonly string[], session: Session): Promise<string> {
  const environment = { ...session.environment, KUBECONFIG: '/dev/null' };
  const options = { env: environment, timeout: 10_000, signal: session.signal };
  return runFile(file, [...args], options).then(
    ({ stdout }) => stdout,
    () => '',
  );
}

async function fromPath(session: Session): Promise<Binaries | undefined> {
  const { paths, missing } = locate((name) => findOnPath(name, session.environment));
  if (missing.length > 0) return undefined;
  const kubernetes = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubectl'] as const;
  const versions = await Promise.all(
    kubernetes.map((name) =>
      askVersion(paths[name], name === 'kubectl' ? ['version', '--client'] : ['--version'], session),
    ),
  );
  const fits = versions.every((text) => text.includes(`v${kubernetesMinor}.`));
  return fits ? { paths, source: 'PATH' } : undefined;
}

/** The user's cache folder for strata, not yet created. */
export function cacheFolder(environment: Environment, platform: NodeJS.Platform = process.platform): string {
  const { XDG_CACHE_HOME, HOME } = environment;
  if (XDG_CACHE_HOME && path.isAbsolute(XDG_CACHE_HOME)) return path.join(XDG_CACHE_HOME, 'strata');
  if (HOME && path.isAbsolute(HOME)) {
    return path.join(HOME, platform === 'darwin' ? 'Library/Caches' : '.cache', 'strata');
  }
  return path.join(tmpdir(), `strata-${process.getuid?.() ?? 'user'}`);
}

/** Programs are run from here, so nobody else may be able to write to it: /tmp/strata-0 is anyone's to create. */
function createPrivateFolder(folder: string): void {
  try {
    makeFolders(folder);
  } catch (error) {
    throw new StrataError('FILE_UNWRITABLE', `${folder} cannot be created: ${messageOf(error)}`, {
      hint: 'set XDG_CACHE_HOME to a folder that you can write to',
      cause: error,
    });
  }
  const found = lstatSync(folder);
  const isOwn = process.getuid === undefined || found.uid === process.getuid();
  if (found.isDirectory() && isOwn && (found.mode & 0o022) === 0) return;
  throw new StrataError('SANDBOX_FAILED', `${folder} can be changed by other users`, {
    hint: `chmod go-w ${folder}, or set XDG_CACHE_HOME to a folder of your own`,
  });
}

export interface CacheKeyParts {
  /** Contents of the go.mod and go.sum files, in a fixed order. */
  pins: readonly string[];
  ldflags: readonly string[];
  platform: string;
  architecture: string;
}

/** Changes with anything that changes the binaries, apart from the Go version, which is appended to it. */
export function cacheKey(parts: CacheKeyParts): string {
  const hash = createHash('sha256').update(
    JSON.stringify([parts.pins, parts.ldflags, parts.platform, parts.architecture]),
  );
  return `sandbox-${hash.digest('hex').slice(0, 16)}`;
}

function readCacheKey(home: string): string {
  const files = ['kube', 'etcd', 'kwok'].flatMap((module) =>
    ['go.mod', 'go.sum'].map((name) => path.join(home, 'sandbox', module, name)),
  );
  return cacheKey({
    pins: files.map((file) => readFileSync(file, 'utf8')),
    ldflags: buildSteps.map((step) => step.ldflags),
    platform: process.platform,
    architecture: process.arch,
  });
}

function fromCache(folder: string): Binaries | undefined {
  const { paths, missing } = locate(inFolder(folder));
  return missing.length > 0 ? undefined : { paths, source: folder };
}

/** What another version of Go built is as good where there is no Go to build it again. */
function fromCacheOfAnyGo(cache: string, key: string): Binaries | undefined {
  let names: string[];
  try {
    names = readdirSync(cache);
  } catch {
    return undefined;
  }
  return names
    .filter((name) => name.startsWith(`${key}-`) && !name.endsWith('.new'))
    .map((name) => fromCache(path.join(cache, name)))
    .find((binaries) => binaries !== undefined);
}

interface Go {
  file: string;
  /** Like `1.26.8`. */
  version: string;
}

export function isOldGo(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const [oldestMajor = 0, oldestMinor = 0] = oldestGo.split('.').map(Number);
  return !(major > oldestMajor || (major === oldestMajor && minor >= oldestMinor));
}

async function findGo(session: Session): Promise<Go | undefined> {
  const file = findOnPath('go', session.environment);
  if (file === undefined) return undefined;
  const text = await askVersion(file, ['version'], session);
  const version = /\bgo(\d+(?:\.\d+)*)/.exec(text)?.[1];
  return version === undefined ? undefined : { file, version };
}

/** The one hint for everyone whose machine can neither build nor find the programs. */
const remedy = `install Go ${oldestGo.replace(/\.0$/, '')} or later (https://go.dev/dl), or set STRATA_SANDBOX_BIN to a folder with ${binaryNames.join(', ')} (Kubernetes ${kubernetesMinor})`;

function assertGo(go: Go | undefined): asserts go is Go {
  if (go === undefined) {
    throw new StrataError(
      'SANDBOX_FAILED',
      'the sandbox needs Go to build its control plane, and there is no go',
      {
        hint: remedy,
      },
    );
  }
  if (isOldGo(go.version)) {
    throw new StrataError(
      'SANDBOX_FAILED',
      `the sandbox needs Go ${oldestGo} or later to build its control plane, ${go.file} is ${go.version}`,
      { hint: remedy },
    );
  }
}

/** Go itself wants a home for its caches. */
function buildEnvironment(environment: Environment, cache: string): Record<string, string | undefined> {
  const caches = environment.HOME
    ? {}
    : {
        GOPATH: environment.GOPATH ?? path.join(cache, 'go'),
        GOCACHE: environment.GOCACHE ?? path.join(cache, 'go-build'),
      };
  return { ...environment, ...caches, GOTOOLCHAIN: 'local', GOWORK: 'off', CGO_ENABLED: '0' };
}

const liveInterval = 200;
const lineInterval = 15_000;

/** The end of what a build printed, without the downloads. */
function lastLines(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('go: downloading'));
  return lines.slice(-12).join('\n');
}

/** Live where stderr is a terminal, a line from time to time where it is not. Returns the function that ends it. */
function showProgress(session: Session, label: string, latest: () => string): () => void {
  const { clock, terminal } = session;
  const started = clock.now();
  let lineAt = started + lineInterval;
  const timer = setInterval(() => {
    const now = clock.now();
    const elapsed = formatDuration(Math.floor((now - started) / 1000) * 1000);
    terminal.live([`${label}, ${elapsed}${latest()}`]);
    if (terminal.interactive || now < lineAt) return;
    terminal.say(`${label}, ${elapsed} so far`);
    lineAt = now + lineInterval;
  }, liveInterval);
  return () => {
    clearInterval(timer);
    terminal.live([]);
  };
}

interface Build {
  session: Session;
  go: Go;
  environment: Record<string, string | undefined>;
  /** Becomes the folder in the cache when everything is in it. */
  folder: string;
}

async function buildOne(build: Build, step: BuildStep, position: string): Promise<void> {
  const { session, go, folder } = build;
  const cwd = path.join(session.home, 'sandbox', step.module);
  const options = ['-trimpath', '-mod=readonly', '-buildvcs=false', '-ldflags', step.ldflags];
  const child = spawnRecorded({
    folder,
    name: 'go',
    file: go.file,
    args: ['build', ...options, '-o', path.join(folder, step.binary), step.package],
    cwd,
    environment: build.environment,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-20_000);
    });
  }
  const latest = (): string => {
    const download = output.trimEnd().split('\n').at(-1) ?? '';
    return download.startsWith('go: downloading') ? `  ${download.slice(4)}` : '';
  };
  const stopShowing = showProgress(session, `building ${step.binary} (${position})`, latest);
  const stop = (): void => {
    const record = child.pid === undefined ? undefined : processWithPid(child.pid);
    if (record) void stopProcesses(session.clock, [record]);
  };
  session.signal.addEventListener('abort', stop, { once: true });
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    session.signal.throwIfAborted();
    if (status === 0) return;
    throw new StrataError('SANDBOX_FAILED', `${step.binary} could not be built:\n${lastLines(output)}`, {
      hint: 'a build needs network access or a filled Go module cache, and about 6 GB of disk; then run the same command again',
    });
  } finally {
    session.signal.removeEventListener('abort', stop);
    stopShowing();
  }
}

async function buildAll(session: Session, go: Go, cache: string, target: string): Promise<Binaries> {
  const { clock, terminal } = session;
  const folder = `${target}.new`;
  await stopProcesses(clock, [...readRecords(folder).values()]);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { mode: 0o700 });
  const forget = session.atExit(() => {
    for (const record of readRecords(folder).values()) signalRecorded(record, 'SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  const started = clock.now();
  try {
    terminal.say(
      `building the sandbox's control plane with Go ${go.version}, once: 5 to 10 minutes on two cores, seconds when Go's cache is warm`,
    );
    const build: Build = { session, go, environment: buildEnvironment(session.environment, cache), folder };
    for (const [index, step] of buildSteps.entries()) {
      const position = `${index + 1} of ${buildSteps.length}`;
      const stepStarted = clock.now();
      await buildOne(build, step, position);
      terminal.say(`built ${step.binary} (${position}) in ${formatDuration(clock.now() - stepStarted)}`);
    }
    rmSync(path.join(folder, 'go.pid'), { force: true });
    renameSync(folder, target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    forget();
  }
  terminal.say(`built in ${formatDuration(clock.now() - started)}, kept in ${target}`);
  return fromCache(target)!;
}

async function fromCacheOrBuild(session: Session): Promise<Binaries> {
  const { environment, terminal } = session;
  const cache = cacheFolder(environment);
  const key = readCacheKey(session.home);
  const go = await findGo(session);
  if (go === undefined || isOldGo(go.version)) {
    const cached = fromCacheOfAnyGo(cache, key);
    if (cached) return cached;
  }
  assertGo(go);
  createPrivateFolder(cache);
  const target = path.join(cache, `${key}-go${go.version}`);
  const cached = fromCache(target);
  if (cached) return cached;
  const onWait = (pid: number): void =>
    terminal.say(`waiting for another build of the sandbox's control plane (pid ${pid})`);
  return withLock(session, `${target}.lock`, onWait, async () => {
    return fromCache(target) ?? (await buildAll(session, go, cache, target));
  });
}

/**
 * The six programs of a sandbox: from STRATA_SANDBOX_BIN, envtest's variables, PATH, the user's cache, or built.
 * @throws StrataError SANDBOX_FAILED when there is no way to get them, FILE_UNWRITABLE, INTERRUPTED.
 */
export async function resolveBinaries(session: Session): Promise<Binaries> {
  const { environment } = session;
  return (
    fromExplicitFolder(environment) ??
    fromTestAssets(environment) ??
    (await fromPath(session)) ??
    (await fromCacheOrBuild(session))
  );
}
