import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { killSandbox, startSandbox, stopSandbox } from '../../scripts/lib/boot.ts';
import { processWithPid } from '../../scripts/lib/process.ts';
import { readRunningSandbox, type SandboxInfo } from '../../scripts/lib/sandbox.ts';
import { sandboxFolder } from '../../scripts/lib/sandbox-name.ts';
import type { Session } from '../../scripts/lib/session.ts';
import { testSession } from './session.ts';

/** One for all tests of this process: starting takes seconds. */
let shared: Promise<SandboxInfo> | undefined;

/** What a test run that was killed could not stop. */
async function stopAbandoned(session: Session): Promise<void> {
  const parent = path.dirname(sandboxFolder(session, 'default'));
  if (!existsSync(parent)) return;
  for (const entry of readdirSync(parent)) {
    const [, name, pid] = /^(test-(\d+))(?:\.stopping-.*)?$/.exec(entry) ?? [];
    if (name === undefined || processWithPid(Number(pid))) continue;
    await stopSandbox(session, { folder: path.join(parent, name) });
  }
}

async function startShared(): Promise<SandboxInfo> {
  const session = testSession();
  const given = process.env.STRATA_TEST_SANDBOX;
  if (given) return readRunningSandbox(session, { folder: path.resolve(given) });
  await stopAbandoned(session);
  const folder = sandboxFolder(session, `test-${process.pid}`);
  process.once('exit', () => killSandbox(folder));
  // Without a handler a signal ends the process without an exit event.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => process.exit(130));
  return startSandbox(session, { folder });
}

/**
 * The control plane that the cluster tests share: the one in the folder STRATA_TEST_SANDBOX names, else one of this
 * process's own, which ends with it.
 */
export function useSandbox(): Promise<SandboxInfo> {
  shared ??= startShared();
  return shared;
}

export interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

/** The sandbox's own kubectl, as its administrator unless another kubeconfig is given. */
export async function kubectlIn(
  sandbox: SandboxInfo,
  args: readonly string[],
  options: { input?: string | object; kubeconfig?: string } = {},
): Promise<Outcome> {
  const { input, kubeconfig = sandbox.kubeconfig } = options;
  const child = spawn(sandbox.kubectl, args, { env: { ...process.env, KUBECONFIG: kubeconfig } });
  const outcome: Outcome = { status: 0, stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      outcome[name] += text;
    });
  }
  child.stdin.on('error', () => {});
  child.stdin.end(typeof input === 'object' ? JSON.stringify(input) : input);
  outcome.status = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve(status ?? 128));
  });
  return outcome;
}

/** Asks until the answer is right. @throws with the last answer when it never is. */
export async function eventually<T>(
  ask: () => Promise<T>,
  isRight: (answer: T) => boolean,
  milliseconds = 30_000,
): Promise<T> {
  const deadline = performance.now() + milliseconds;
  for (;;) {
    const answer = await ask();
    if (isRight(answer)) return answer;
    if (performance.now() > deadline)
      throw new Error(`never right, last: ${JSON.stringify(answer, null, 1)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
