import * as assert from 'uvu/assert';
import { chance, countOf, oneOf, readDeployed, seed, share } from '../support/chaos.ts';
import { eventually, type Outcome } from '../support/cluster.ts';
import { assertStatus, concurrentSuite, type Deployment } from '../support/deployment.ts';
import { type Fault, type Relay, withRelay } from '../support/relay.ts';

const chaos = concurrentSuite('relay', 3);

const runsOfARound = 10;
const rounds = Math.ceil(share(200) / runsOfARound);

const faults: readonly ((...names: (string | number)[]) => Fault)[] = [
  () => 'drop',
  () => 'reset',
  () => 'cut',
  () => 'short',
  () => 'lose',
  (...names) => Math.round(chance(...names) * 400),
  (...names) => ({ busy: oneOf([429, 500, 503] as const, ...names) }),
  (...names) => ({ busy: oneOf([429, 500, 503] as const, ...names), isPlain: true }),
  (...names) => ({ busy: oneOf([429, 503] as const, ...names), retryAfter: 1 }),
];

/** By what is asked and how often it was, not by when: requests come in any order. */
function trouble(relay: Relay, round: number, run: number): void {
  const rate = oneOf([0.01, 0.03, 0.06, 0.15], 'rate', round, run);
  const counts = new Map<string, number>();
  relay.fault = ({ method = '', url = '' }) => {
    const asked = `${method} ${url.replaceAll(relay.deployment.namespace, '').replace(/resourceVersion=\d+/, '')}`;
    const count = counts.get(asked) ?? 0;
    counts.set(asked, count + 1);
    if (chance('fault', round, run, asked, count) >= rate) return undefined;
    caused++;
    return oneOf(faults, 'kind', round, run, asked, count)('how', round, run, asked, count);
  };
}

let caused = 0;
const endings: string[] = [];

/** Ended by itself, and not with 0 or 1: one message with its code and what is next, no stack. */
function assertRefused(command: string, outcome: Outcome): void {
  assertStatus(outcome, 3, command);
  const { stderr } = outcome;
  const codes = stderr.match(/\[[A-Z_]+\]\n {2}next: ./g) ?? [];
  assert.is(codes.length, 1, stderr);
  assert.match(
    codes[0]!,
    /^\[(CLUSTER_UNREACHABLE|CLUSTER_REFUSED|KUBECTL_FAILED|APPLY_FAILED|DELETE_FAILED)\]/,
    stderr,
  );
  assert.not.match(stderr, /^ +at |a bug|^done in/m);
}

/** One run in trouble; what it did not finish is finished without. Its status is one of those that say the truth. */
async function run(
  relay: Relay,
  round: number,
  number: number,
  command: string,
  truth: number,
): Promise<void> {
  const { deployment } = relay;
  trouble(relay, round, number);
  try {
    const outcome = await deployment.strata(
      command,
      ['up', 'down'].includes(command) ? ['--timeout', '60s'] : [],
    );
    endings.push(`${command} ${outcome.status}`);
    if (outcome.status === truth) assert.not.match(outcome.stderr, /^error: /m);
    else assertRefused(command, outcome);
    relay.heal();
    if (outcome.status !== truth && ['up', 'down'].includes(command)) await deployment.expect(0, command);
  } catch (error) {
    throw new Error(`run ${number} of round ${round}, ${command}: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    relay.heal();
  }
}

const sicken = (deployment: Deployment, simulated: string | null): Promise<string> => {
  const annotations = { 'strata.dev/simulate': simulated };
  const patch = { spec: { template: { metadata: { annotations } } } };
  return deployment.kubectl(['patch', 'deployment', 'backend', '-p', JSON.stringify(patch)]);
};

const isHealthy = (deployment: Deployment): Promise<unknown> =>
  eventually(
    () => readDeployed(deployment),
    (deployed) => deployed?.isHealthy === true,
    60_000,
  );

for (let round = 0; round < rounds; round++) {
  chaos(`ten runs through a relay with faults: no wrong status (${round + 1}/${rounds})`, () =>
    withRelay(async (deployment, relay) => {
      let number = 0;
      const go = (command: string, truth: number): Promise<void> =>
        run(relay, round, number++, command, truth);
      const assertThere = async (name: string): Promise<void> =>
        assert.equal(await readDeployed(deployment), { name, isHealthy: true });
      deployment.setValues({ APP_NAME: 'one' });
      await go('diff', 1);
      await go('up', 0);
      await assertThere('one');
      await go('status', 0);
      await go('diff', 0);
      deployment.setValues({ APP_NAME: 'two' });
      await go('diff', 1);
      await assertThere('one');
      await go('up', 0);
      await assertThere('two');
      await go('diff', 0);
      await sicken(deployment, 'never-ready');
      await go('status', 4);
      await sicken(deployment, null);
      await isHealthy(deployment);
      await go('status', 0);
      await go('down', 0);
      assert.is(await readDeployed(deployment), undefined);
    }),
  );
}

process.stdout.write(`${rounds * runsOfARound} runs through a relay, STRATA_SEED=${seed}\n`);
process.once('exit', () => {
  process.stdout.write(`${endings.length} runs, ${caused} faults: ${countOf(endings)}\n`);
});

chaos.run();
