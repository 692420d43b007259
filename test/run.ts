import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { startSandbox, stopSandbox } from '../scripts/lib/boot.ts';
import { projectFolder, testSession } from './support/session.ts';

interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

const bin = (name: string): string => path.join(projectFolder, 'node_modules/.bin', name);
const uvu = path.join(projectFolder, 'node_modules/uvu/bin.js');
const seeded = path.join(projectFolder, 'test/support/seed.ts');

/** Runs a program, shows its output when it is done, and returns it. */
function run(
  program: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<{ status: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: projectFolder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        output += `${line}\n`;
      });
    }
    child.once('error', (error) => resolve({ status: 1, output: `${output}${error.message}\n` }));
    child.once('close', (status) => resolve({ status: status ?? 1, output }));
  });
}

/** A check without a count of its own counts as one test. */
async function check(title: string, program: string, args: readonly string[]): Promise<Totals> {
  const started = Date.now();
  const { status, output } = await run(program, args);
  report(title, status, output, started);
  return status === 0 ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 };
}

/** What to show again at the very end: a log is read from there, and often only there. */
const failures: string[] = [];

function report(title: string, status: number, output: string, started: number): void {
  process.stdout.write(
    `\n== ${title} ${status === 0 ? 'ok' : 'FAILED'} (${((Date.now() - started) / 1000).toFixed(1)} s)\n`,
  );
  process.stdout.write(output);
  if (status === 0) return;
  // uvu prints the failed tests between its dots and its totals.
  const [, failed] = /^([^\n]*\bFAIL\b.*)^ *Total:/ms.exec(output) ?? [];
  failures.push(`\n== again: ${title}\n${failed ?? output}`);
}

/** uvu ends with `Total`, `Passed` and `Skipped`; a run that ends without them has failed. */
export function readTotals(output: string, status: number): Totals {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes start with one
  const plain = output.replace(/\x1b\[[\d;]*m/g, '');
  const count = (word: string): number | undefined => {
    const found = [...plain.matchAll(new RegExp(`^ *${word}: +(\\d+)`, 'gm'))].at(-1)?.[1];
    return found === undefined ? undefined : Number(found);
  };
  const total = count('Total');
  if (total === undefined || total === 0) return { passed: 0, failed: 1, skipped: 0 };
  const [passed = 0, skipped = 0] = [count('Passed'), count('Skipped')];
  const failed = total - passed;
  return { passed, failed: status !== 0 && failed === 0 ? 1 : failed, skipped };
}

async function suite(
  title: string,
  folder: string,
  pattern: string,
  environment?: NodeJS.ProcessEnv,
  flags: readonly string[] = [],
): Promise<Totals> {
  const started = Date.now();
  const { status, output } = await run(
    process.execPath,
    [...flags, '--import', 'tsx', '--import', seeded, uvu, folder, pattern],
    environment,
  );
  report(title, status, output, started);
  return readTotals(output, status);
}

/** One control plane for all; two files at a time, each test has a namespace of its own. */
async function withControlPlane(group: 'cluster' | 'chaos', filter: string): Promise<Totals[]> {
  const name = `test-${process.pid}`;
  const folder = path.join(projectFolder, '.strata/sandbox', name);
  const session = testSession({ terminal: { say: (text) => void process.stderr.write(`${text}\n`) } });
  const files = readdirSync(path.join(projectFolder, 'test', group))
    .filter((file) => file.endsWith('.test.ts') && file.includes(filter))
    .sort();
  process.stdout.write(
    `\nstarting a control plane for the ${group} tests (the first time it is built, which takes minutes)\n`,
  );
  const stop = (): Promise<boolean> => stopSandbox(session, { folder });
  const onInterrupt = (): void => void stop().finally(() => process.exit(130));
  const onTerminate = (): void => void stop().finally(() => process.exit(143));
  process.once('SIGINT', onInterrupt).once('SIGTERM', onTerminate);
  await startSandbox(session, { folder });
  const totals: Totals[] = [];
  const waiting = [...files];
  const work = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const pattern = `^${file.replaceAll('.', '\\.')}$`;
      totals.push(await suite(`${group}/${file}`, `test/${group}`, pattern, { STRATA_TEST_SANDBOX: folder }));
    }
  };
  try {
    await Promise.all([work(), work()]);
  } finally {
    await stop();
    process.off('SIGINT', onInterrupt).off('SIGTERM', onTerminate);
  }
  return totals;
}

/**
 * Megabytes for what is new: V8 copies all that survives each time the default of 16 is full, and the time of a text of a
 * megabyte then says more about that than about who reads it.
 */
const roomy = ['--min-semi-space-size=256', '--max-semi-space-size=256'];

const withProcesses = 'env|binaries|connection|kubectl|lock|process|sandbox|sandbox-env';

const groups: Record<string, () => Promise<Totals[]>> = {
  types: async () => [await check('types', bin('tsc'), [])],
  lint: async () => [await check('lint and format', bin('biome'), ['check', '--error-on-warnings', '.'])],
  // Side by side: the first waits for processes half of the time.
  unit: () =>
    Promise.all([
      suite('unit: with processes', 'test', `^(?:${withProcesses})\\.test\\.ts$`),
      suite('unit: pure, and the tree', 'test', `^(?!(?:cli|${withProcesses})\\.)[^/]+\\.test\\.ts$`),
    ]),
  cli: async () => [await suite('command line', 'test', '^cli\\.test\\.ts$')],
  fuzz: () =>
    Promise.all(
      ['envfile|dotenv', 'contract|scrub', 'manifest'].map((names) =>
        suite(`fuzz: ${names}`, 'test/fuzz', `^(?:${names})\\.test\\.ts$`, {}, roomy),
      ),
    ),
  kustomize: async () => [await suite('real Kustomize', 'test/kustomize', '\\.test\\.ts$')],
  cluster: () => withControlPlane('cluster', process.argv[3] ?? ''),
  chaos: () => withControlPlane('chaos', process.argv[3] ?? ''),
};

const wanted = process.argv[2]?.split(',') ?? Object.keys(groups);
const sum: Totals = { passed: 0, failed: 0, skipped: 0 };
for (const name of wanted) {
  const group = groups[name];
  if (group === undefined) {
    process.stderr.write(`error: no group ${name}; one of: ${Object.keys(groups).join(', ')}\n`);
    process.exit(2);
  }
  for (const { passed, failed, skipped } of await group()) {
    sum.passed += passed;
    sum.failed += failed;
    sum.skipped += skipped;
  }
}
process.stdout.write(failures.join(''));
const skipped = sum.skipped > 0 ? `, ${sum.skipped} skipped` : '';
process.stdout.write(`\n${sum.passed} passed, ${sum.failed} failed${skipped}\n`);
process.exit(sum.failed === 0 ? 0 : 1);
