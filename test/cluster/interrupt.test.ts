import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { eventually } from '../support/cluster.ts';
import {
  assertStatus,
  concurrentSuite,
  type Deployment,
  uniqueName,
  withDeployment,
} from '../support/deployment.ts';

const interrupt = concurrentSuite('interrupt');

type Signal = 'SIGINT' | 'SIGTERM' | 'SIGKILL';
const signals: readonly Signal[] = ['SIGINT', 'SIGTERM', 'SIGKILL'];

/** Processes of the machine that name the context, which no other test has. */
const processesOf = (deployment: Deployment): string[] =>
  execFileSync('ps', ['-axww', '-o', 'pid=,args='], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(deployment.context) && !line.includes('ps -axww'));

/** A context that counts as local, for this deployment alone. */
const withOwnContext = (work: (deployment: Deployment) => Promise<void>): Promise<void> =>
  withDeployment({ context: `kind-${uniqueName()}` }, work);

const runFolders = (deployment: Deployment): string[] =>
  readdirSync(path.join(deployment.root, '.strata')).filter((name) => name.startsWith('run-'));

/** Starts the command, ends it at that moment, and checks what it leaves. */
async function interrupted(
  deployment: Deployment,
  command: string,
  signal: Signal,
  moment: string | RegExp | number,
): Promise<void> {
  const running = deployment.start(command);
  if (typeof moment === 'number')
    await Promise.race([new Promise((resolve) => setTimeout(resolve, moment)), running.ended]);
  else await running.said(moment);
  running.child.kill(signal);
  const outcome = await running.ended;
  deployment.assertDiscreet(outcome);
  await eventually(
    async () => processesOf(deployment),
    (found) => found.length === 0,
    2000,
  );
  if (signal === 'SIGKILL') return;
  // A time may come too early for the handler, or too late for the command.
  if (typeof moment !== 'number') {
    assertStatus(outcome, 130, `${command} with ${signal}`);
    assert.match(outcome.stderr, /\[INTERRUPTED\]\n {2}next: the same command again finishes the job/);
    assert.not.match(outcome.stderr, /done in/);
    deployment.assertNothingLeft();
  }
}

const moments: Record<string, string> = {
  'before it applies': 'overlay minikube →',
  'between two waves': '(namespaces and CRDs)',
  'while it waits': 'waiting until everything is Current',
};

for (const signal of signals) {
  for (const [title, moment] of Object.entries(moments)) {
    interrupt(`${signal} of up ${title}: the same command finishes, nothing is left over`, () =>
      withOwnContext(async (deployment) => {
        deployment.simulate('backend', 'slow-start');
        await interrupted(deployment, 'up', signal, moment);
        await deployment.expect(0, 'up');
        assert.equal(runFolders(deployment), []);
        await deployment.expect(0, 'diff');
      }),
    );
  }

  interrupt(`${signal} of down: the same command finishes`, () =>
    withOwnContext(async (deployment) => {
      await deployment.expect(0, 'up');
      await interrupted(deployment, 'down', signal, '- delete Namespace');
      await deployment.expect(0, 'down');
      assert.is(await deployment.get('namespace', deployment.namespace), undefined);
    }),
  );
}

interrupt('SIGINT of up in the middle, then down: nothing is lost track of', () =>
  withOwnContext(async (deployment) => {
    await interrupted(deployment, 'up', 'SIGINT', '(accounts and config)');
    assert.ok((await deployment.list('secrets')).length > 0);
    await deployment.expect(0, 'down');
    assert.is(await deployment.get('namespace', deployment.namespace), undefined);
  }),
);

interrupt('SIGKILL of up at any time: the same command finishes', () =>
  withOwnContext(async (deployment) => {
    const started = performance.now();
    await deployment.expect(0, 'up');
    const whole = performance.now() - started;
    for (const share of [0.4, 0.55, 0.7, 0.85]) {
      deployment.setValues({ APP_NAME: `killed at ${share}` });
      await interrupted(deployment, 'up', 'SIGKILL', whole * share);
      await deployment.expect(0, 'up');
      await deployment.expect(0, 'diff');
    }
  }),
);

interrupt('of diff leaves nothing behind', () =>
  withOwnContext(async (deployment) => {
    for (const delay of [250, 500, 750]) await interrupted(deployment, 'diff', 'SIGTERM', delay);
    await deployment.expect(1, 'diff');
  }),
);

interrupt.run();
