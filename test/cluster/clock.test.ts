import path from 'node:path';
import * as assert from 'uvu/assert';
import { eventually } from '../support/cluster.ts';
import { assertStatus, concurrentSuite, withDeployment } from '../support/deployment.ts';
import { projectFolder } from '../support/session.ts';

const clock = concurrentSuite('clock', 3);

const hour = 3_600_000;

/** The wall clock of the command is off, from its start or from the signal on; that of the cluster is not. */
const jumping = (milliseconds: number, on?: NodeJS.Signals): { environment: Record<string, string> } => ({
  environment: {
    NODE_OPTIONS: `--import ${path.join(projectFolder, 'test/support/clock-jump.js')}`,
    STRATA_TEST_JUMP: String(milliseconds),
    ...(on ? { STRATA_TEST_JUMP_ON: on } : {}),
  },
});

clock('an hour ahead of the cluster: what is new is not taken for old, and ends the wait early', () =>
  withDeployment({}, async (deployment) => {
    deployment.simulate('backend', 'image-never-pull');
    const { stderr } = await deployment.expect(4, 'up', ['--timeout', '60s'], jumping(hour));
    assert.match(stderr, /the rollout cannot succeed/);
    assert.not.match(stderr, /showed this before/);
  }),
);

clock('an hour behind the cluster: what is old gets its next attempt, and may heal', () =>
  withDeployment({}, async (deployment) => {
    deployment.simulate('backend', 'image-never-pull');
    await deployment.expect(4, 'up', ['--timeout', '60s']);
    await eventually(
      () => deployment.list('pods'),
      (pods) => pods.every(({ metadata }) => Date.now() - Date.parse(metadata.creationTimestamp!) > 4000),
    );
    const running = deployment.start('up', ['--timeout', '120s'], jumping(-hour));
    await running.said('showed this before');
    await deployment.kubectl(['annotate', 'pods', '--all', 'strata.dev/simulate-']);
    assertStatus(await running.ended, 0);
  }),
);

for (const [name, jump] of [
  ['forward', hour],
  ['back', -hour],
] as const) {
  clock(`that jumps ${name} while up waits: no early end, no lost lock, no hang`, () =>
    withDeployment({}, async (deployment) => {
      deployment.simulate('backend', 'slow-start');
      // Longer than the lock goes without being renewed.
      deployment.edit(deployment.own('deployment.backend-simulate.yaml'), (text) =>
        text.replace('2s', '14s'),
      );
      const running = deployment.start('up', ['--timeout', '90s', '--verbose'], jumping(jump, 'SIGUSR2'));
      await running.said('waiting until everything is Current');
      running.child.kill('SIGUSR2');
      await running.said('the wall clock says');
      const { status, stderr } = await running.ended;
      assert.is(status, 0, stderr);
      const after = stderr.slice(stderr.indexOf('the wall clock says'));
      assert.match(after, /^PUT \S*\/leases\/\S+ 200$/m, 'renewed after the jump');
      assert.match(after, /\n {2}healthy {2}\d+\.\d s\n/, 'measured by the clock that does not jump');
      assert.equal(await deployment.list('leases'), []);
      deployment.assertNothingLeft();
      const { stdout } = await deployment.expect(0, 'history', ['--output', 'json']);
      assert.equal(
        (JSON.parse(stdout) as { deployments: { result: string }[] }).deployments.map(({ result }) => result),
        ['healthy'],
      );
      await deployment.expect(0, 'diff');
    }),
  );
}

clock.run();
