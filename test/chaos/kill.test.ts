import { execFileSync } from 'node:child_process';
import * as assert from 'uvu/assert';
import { inventoryLabel, inventoryOf, readParent } from '../../scripts/lib/inventory.ts';
import { groupKindOf, referenceOf } from '../../scripts/lib/manifest.ts';
import { systemClock } from '../../scripts/lib/session.ts';
import { chance, countOf, readDeployed, seed, share } from '../support/chaos.ts';
import { eventually, type Outcome } from '../support/cluster.ts';
import {
  assertStatus,
  concurrentSuite,
  type Deployment,
  uniqueName,
  withDeployment,
} from '../support/deployment.ts';

/** One test ends `up` on nothing, `up` with a change, and `down`, each at one point of its life. */
const deeds = ['first up', 'second up', 'down'] as const;
type Deed = (typeof deeds)[number];

const points = share(60);
const rounds = Math.ceil(points / deeds.length);
const signals = ['SIGINT', 'SIGTERM', 'SIGKILL'] as const;
type Signal = (typeof signals)[number];

const kill = concurrentSuite('kill', 3);

const commandOf = (deed: Deed): string => deed.replace(/^.* /, '');
const linesOf = (text: string): number => text.split('\n').length - 1;

/** A context that counts as local and that no other test has: it tells whose processes are left. */
const withOwnContext = (work: (deployment: Deployment) => Promise<void>): Promise<void> =>
  withDeployment({ context: `kind-${uniqueName()}` }, async (deployment) => {
    deployment.simulate('backend', 'slow-start');
    await work(deployment);
  });

const processesOf = (deployment: Deployment): string[] =>
  execFileSync('ps', ['-axww', '-o', 'pid=,args='], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(deployment.context) && !line.includes('ps -axww'));

const setName = (deployment: Deployment, deed: Deed): void => deployment.setValues({ APP_NAME: deed });

/** How many lines --verbose writes: one for each request, each call of kubectl, each step. */
let known: Promise<Record<Deed, number>> | undefined;
function lifetimes(): Promise<Record<Deed, number>> {
  known ??= (async () => {
    const lines = { 'first up': 0, 'second up': 0, down: 0 };
    await withOwnContext(async (deployment) => {
      for (const deed of deeds) {
        setName(deployment, deed);
        lines[deed] = linesOf((await deployment.expect(0, commandOf(deed), ['--verbose'])).stderr);
      }
    });
    process.stdout.write(
      `${rounds * deeds.length} kill points, STRATA_SEED=${seed}; lines: ${deeds.map((deed) => `${deed} ${lines[deed]}`).join(', ')}\n`,
    );
    return lines;
  })();
  return known;
}

/** Ends the command when it has written so many lines; 0 is some time before the first one. */
async function killAt(
  deployment: Deployment,
  deed: Deed,
  signal: Signal,
  lines: number,
  round: number,
): Promise<Outcome> {
  const running = deployment.start(commandOf(deed), ['--verbose']);
  const reached = new Promise<void>((resolve) => {
    const look = (): void => {
      if (linesOf(running.output.stderr) >= lines) resolve();
    };
    if (lines > 0) running.child.stderr?.on('data', look);
    else systemClock.sleep(chance('delay', deed, round) * 400).then(resolve);
  });
  await Promise.race([reached, running.ended]);
  running.child.kill(signal);
  return running.ended;
}

const endings: string[] = [];

/** Ended by the signal, interrupted as it says, or done and everything there. */
async function assertEnding(deployment: Deployment, deed: Deed, outcome: Outcome): Promise<void> {
  const { status, stderr } = outcome;
  deployment.assertDiscreet(outcome);
  assert.not.match(stderr, /^ +at |a bug/m);
  endings.push(`${status === 128 ? 'killed' : status === 130 ? 'interrupted' : 'done'}`);
  if (status === 128) return;
  if (status === 130) {
    assert.match(stderr, /\[INTERRUPTED\]\n {2}next: the same command again finishes the job\n$/);
    return;
  }
  assertStatus(outcome, 0, deed);
  assert.match(stderr, /^done in/m);
  await assertThere(deployment, deed);
}

async function assertThere(deployment: Deployment, deed: Deed): Promise<void> {
  const deployed = await readDeployed(deployment);
  if (deed === 'down') assert.is(deployed, undefined);
  else assert.equal(deployed, { name: deed, isHealthy: true });
}

/** Whatever carries the label can be found again: its kind stands in the inventory. */
async function assertNothingLost(deployment: Deployment): Promise<void> {
  if ((await deployment.get('namespace', deployment.namespace)) === undefined) return;
  const inventory = inventoryOf(deployment.overlay, deployment.namespace);
  const members = await deployment.list(
    'deployments,services,serviceaccounts,configmaps,secrets',
    '-l',
    `${inventoryLabel}=${inventory.id}`,
  );
  const parent = await deployment.get('configmap', inventory.name);
  const listed = (parent && readParent(inventory, parent)?.groupKinds) ?? [];
  for (const member of members) {
    const kind = groupKindOf(referenceOf(member));
    assert.ok(listed.includes(kind), `${kind} ${member.metadata.name} is in the inventory`);
  }
}

const leaseOf = (deployment: Deployment): ReturnType<Deployment['get']> =>
  deployment.get('lease', `strata-${deployment.overlay}`);

async function killAndRepeat(deployment: Deployment, deed: Deed, round: number): Promise<void> {
  const whole = (await lifetimes())[deed];
  const lines = Math.floor(((round + chance('line', deed, round)) / rounds) * (whole + 1));
  // Each deed meets each signal in each part of its life.
  const signal = signals[(round + deeds.indexOf(deed)) % signals.length]!;
  setName(deployment, deed);
  try {
    const outcome = await killAt(deployment, deed, signal, lines, round);
    await eventually(
      async () => processesOf(deployment),
      (found) => found.length === 0,
    );
    await assertEnding(deployment, deed, outcome);
    await assertNothingLost(deployment);
    const isCleanedUp = signal !== 'SIGKILL' && outcome.status !== 128;
    if (isCleanedUp) {
      deployment.assertNothingLeft();
      assert.is(await leaseOf(deployment), undefined, 'the lock is released');
    }
    const { stderr } = await deployment.expect(0, commandOf(deed));
    assert.not.match(stderr, /no sign of life/, 'it knows that the holder is dead');
    await assertThere(deployment, deed);
    assert.is(await leaseOf(deployment), undefined, 'the lock is released');
    if (deed !== 'down') await deployment.expect(0, 'diff');
  } catch (error) {
    throw new Error(`${deed} and ${signal} at line ${lines} of ${whole}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

for (let round = 0; round < rounds; round++) {
  kill(`up, up with a change and down, killed at ${round + 1}/${rounds} of their lives`, () =>
    withOwnContext(async (deployment) => {
      for (const deed of deeds) await killAndRepeat(deployment, deed, round);
    }),
  );
}

process.once('exit', () => {
  process.stdout.write(`${endings.length} kill points: ${countOf(endings)}\n`);
});

kill.run();
