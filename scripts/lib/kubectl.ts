import { mkdirSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Writable } from 'node:stream';
import { $ } from 'zx/core';
import { StrataError } from './errors.ts';
import { findOnPath } from './process.ts';
import type { Session } from './session.ts';
import { quote, shellWord } from './shell.ts';

export interface Kubectl {
  /** Absolute path of the program. */
  program: string;
  /** Value of KUBECONFIG for calls that talk to a cluster; undefined leaves kubectl's own rules. */
  kubeconfig: string | undefined;
}

export interface KubectlResult {
  /** null when a signal ended it. */
  status: number | null;
  signal: NodeJS.Signals | null;
  /** Byte for byte: it may be manifests, which hold secrets. */
  stdout: string;
  /** Scrubbed: whatever is cut out of it later shows no part of a secret. */
  stderr: string;
  timedOut: boolean;
}

export interface RunOptions {
  input?: string;
  /** Some vendors' kubectl contacts the current context even for `kustomize`: without a cluster it gets none. */
  needsCluster: boolean;
  /** Milliseconds. */
  timeout: number;
  /**
   * stdin and stderr are the terminal's: a login plugin may have to ask something. What it prints there is not
   * scrubbed; neither its arguments nor its environment nor its stdin hold a secret of ours.
   */
  inheritTerminal?: true;
  /** A kubectl that is writing is left to finish when the command is interrupted. */
  finishWhenInterrupted?: boolean;
}

const oldestMinor = 27;

/** zx means bash unless told, and quotes for it; slim images and BSDs have none. */
export const posixShell = { shell: '/bin/sh', prefix: '', postfix: '', quote };

/**
 * kubectl on PATH, else the one the sandbox brought.
 * @throws StrataError KUBECTL_NOT_FOUND
 */
export function findKubectl(session: Session, sandbox?: { kubectl: string; kubeconfig: string }): Kubectl {
  const program = findOnPath('kubectl', session.environment) ?? sandbox?.kubectl;
  if (program === undefined) {
    throw new StrataError('KUBECTL_NOT_FOUND', 'kubectl is not on PATH', {
      hint: 'install it (https://kubernetes.io/docs/tasks/tools/), or add --sandbox, which brings its own',
    });
  }
  return { program, kubeconfig: sandbox?.kubeconfig };
}

/**
 * The environment of a kubectl. KUBECTL_EXTERNAL_DIFF and the like may not change what we read, and whoever can read
 * an environment in /proc, or a plugin that logs its own, finds no secret of ours in it.
 */
export function childEnvironment(session: Session, kubeconfig: string | undefined): NodeJS.ProcessEnv {
  const { KUBECTL_EXTERNAL_DIFF: _, ...environment } = session.scrubber.withoutSecrets(session.environment);
  return kubeconfig === undefined ? environment : { ...environment, KUBECONFIG: kubeconfig };
}

/** A line a person could type; for --verbose. */
function commandLine(program: string, args: readonly string[]): string {
  return [path.basename(program), ...args].map(shellWord).join(' ');
}

/**
 * Runs kubectl to its end.
 * The caller judges status and output; only an interruption throws.
 */
export async function runKubectl(
  session: Session,
  kubectl: Kubectl,
  args: readonly string[],
  options: RunOptions,
): Promise<KubectlResult> {
  session.signal.throwIfAborted();
  session.terminal.detail(
    `$ ${commandLine(kubectl.program, args)}${options.input === undefined ? '' : '  (stdin)'}`,
  );
  const shell = $({
    ...posixShell,
    quiet: true,
    nothrow: true,
    verbose: false,
    // A group of its own, or Ctrl-C in the terminal reaches it before we can decide.
    detached: !options.inheritTerminal,
    ...(options.inheritTerminal
      ? { stdio: ['inherit', 'pipe', 'inherit'] }
      : { stdio: ['pipe', 'pipe', 'pipe', 'pipe'], input: options.input ?? '' }),
    env: childEnvironment(session, options.needsCluster ? kubectl.kubeconfig : '/dev/null'),
  });
  // A SIGKILL of strata closes the pipe: what still writes to the cluster ends before the next run begins.
  const child = options.inheritTerminal
    ? shell`exec ${kubectl.program} ${args}`
    : shell`(read -r _ <&3 || kill $$) </dev/null >/dev/null 2>&1 & exec 3<&-; exec ${kubectl.program} ${args}`;
  const leash = child.child?.stdio[3] as Writable | null | undefined;
  leash?.on('error', () => {});
  child.child?.once('exit', () => leash?.end('\n'));
  // A child that ends before it has read everything is judged by its status.
  if (!options.inheritTerminal) child.stdin.on('error', () => {});
  // zx leaves an empty input open: whoever reads it would wait for the time-out.
  if (!options.inheritTerminal && !options.input) child.stdin.end();

  const end = (signal: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(options.inheritTerminal ? child.pid : -child.pid, signal);
    } catch {
      // already gone
    }
  };
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    end('SIGTERM');
    setTimeout(() => end('SIGKILL'), 2000).unref();
  }, options.timeout);
  const onAbort = (): void => {
    if (!options.finishWhenInterrupted) end('SIGTERM');
  };
  session.signal.addEventListener('abort', onAbort, { once: true });
  const forget = session.atExit(() => end('SIGKILL'));
  const isOver = options.finishWhenInterrupted
    ? session.finishes('kubectl is finishing the objects it was given, then nothing more begins')
    : () => {};
  try {
    const output = await child;
    const { exitCode: status, signal, stdout, stderr } = output;
    return { status, signal, stdout, stderr: session.scrubber.scrub(stderr), timedOut };
  } finally {
    clearTimeout(timer);
    session.signal.removeEventListener('abort', onAbort);
    forget();
    isOver();
    session.signal.throwIfAborted();
  }
}

/** For people: `exit status 7`, `ended by SIGKILL`. */
export function endingOf({ status, signal }: Pick<KubectlResult, 'status' | 'signal'>): string {
  return signal === null ? `exit status ${status}` : `ended by ${signal}`;
}

interface KnownKubectl {
  program: string;
  changed: number;
  size: number;
  version: string;
}

function readKnown(file: string): KnownKubectl | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as KnownKubectl;
  } catch {
    return undefined;
  }
}

/**
 * Its version, like `v1.33.0`. Once per program: asking costs as much as a render, so the answer is kept beside the compile cache.
 * @throws StrataError KUBECTL_FAILED when it is too old (Kustomize 5 came with 1.27) or answers rubbish
 */
export async function checkKubectlVersion(session: Session, kubectl: Kubectl): Promise<string> {
  const program = realpathSync(kubectl.program);
  const { mtimeMs: changed, size } = statSync(program);
  const file = path.join(session.home, 'node_modules/.cache/strata/kubectl.json');
  const known = readKnown(file);
  if (known?.program === program && known.changed === changed && known.size === size) return known.version;

  const result = await runKubectl(session, kubectl, ['version', '--client', '-o', 'json'], {
    needsCluster: false,
    timeout: 15_000,
  });
  const version = /"gitVersion":\s*"(v(\d+)\.(\d+)[^"]*)"/.exec(result.stdout);
  if (result.status !== 0 || version === null) {
    throw new StrataError(
      'KUBECTL_FAILED',
      result.timedOut
        ? `${kubectl.program} did not answer \`version --client\` within 15 s`
        : `${kubectl.program} does not say its version (${endingOf(result)})`,
      { hint: `${kubectl.program} version --client` },
    );
  }
  if (Number(version[2]) === 1 && Number(version[3]) < oldestMinor) {
    throw new StrataError(
      'KUBECTL_FAILED',
      `kubectl ${version[1]} is too old, strata needs 1.${oldestMinor} or later`,
      {
        hint: 'install a newer one: https://kubernetes.io/docs/tasks/tools/',
      },
    );
  }
  try {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(
      file,
      JSON.stringify({ program, changed, size, version: version[1]! } satisfies KnownKubectl),
    );
  } catch {
    // A checkout that cannot be written asks again next time.
  }
  return version[1]!;
}
