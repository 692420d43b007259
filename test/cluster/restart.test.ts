import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServing } from '../../scripts/lib/apiserver.ts';
import { recordsFolder } from '../../scripts/lib/controlplane.ts';
import { isRunning, readRecords, signalRecorded, spawnRecorded } from '../../scripts/lib/process.ts';
import { systemClock } from '../../scripts/lib/session.ts';
import { eventually, type Outcome, useSandbox } from '../support/cluster.ts';
import { type Deployment, withDeployment } from '../support/deployment.ts';

// A server that is killed may not be the one of all the other tests.
delete process.env.STRATA_TEST_SANDBOX;

const restart = suite('an API server that is started again');

const name = 'kube-apiserver';

/** Kills it as a crash would, and gives what starts it again: same port, same etcd, same keys. */
async function killServer(): Promise<() => Promise<void>> {
  const { folder, server } = await useSandbox();
  const records = path.join(folder, recordsFolder);
  const record = readRecords(records).get(name)!;
  const line = execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(record.pid)], { encoding: 'utf8' });
  const [file, ...args] = line.trim().split(' ');
  signalRecorded(record, 'SIGKILL');
  await eventually(
    async () => isRunning(record),
    (is) => !is,
  );
  return async () => {
    const { PATH, HOME, TMPDIR } = process.env;
    spawnRecorded({
      folder: records,
      name,
      file: file!,
      args,
      cwd: folder,
      environment: { PATH, HOME, TMPDIR },
      log: path.join(folder, 'logs', `${name}.log`),
    });
    await eventually(
      () => isServing(folder, server),
      (is) => is,
    );
  };
}

/** No lock, no proxy, nothing half-written: all as after a run that nothing happened to. */
async function assertFinished(deployment: Deployment): Promise<void> {
  assert.equal(await deployment.list('leases'), []);
  deployment.assertNothingLeft();
  const running = execFileSync('ps', ['-axww', '-o', 'args='], { encoding: 'utf8' });
  assert.not.match(running, deployment.temporary);
  const { stdout } = await deployment.expect(0, 'history', ['--output', 'json']);
  const { deployments } = JSON.parse(stdout) as { deployments: { result: string }[] };
  assert.is(deployments.at(-1)?.result, 'healthy', stdout);
  await deployment.expect(0, 'diff');
  await deployment.expect(0, 'status');
}

function assertUnreachable({ status, stderr }: Outcome): void {
  assert.is(status, 3, stderr);
  assert.match(stderr, /\[(CLUSTER_UNREACHABLE|APPLY_FAILED)\]\n {2}next: .+\n$/);
  assert.not.match(stderr, /done in|is healthy/);
}

for (const [moment, line] of [
  ['takes the lock', /^POST \S*\/leases\?/m],
  ['applies', /^\$ kubectl .* apply /m],
] as const) {
  restart(`while up ${moment}: 3 and the next command, and the same one again finishes`, () =>
    withDeployment({}, async (deployment) => {
      const running = deployment.start('up', ['--verbose']);
      await running.said(line);
      const start = await killServer();
      const outcome = await running.ended.finally(start);
      deployment.assertDiscreet(outcome);
      deployment.assertNothingLeft();
      assertUnreachable(outcome);
      await deployment.expect(0, 'up');
      await assertFinished(deployment);
    }),
  );
}

restart('while up waits: it goes on as soon as the server is back', () =>
  withDeployment({}, async (deployment) => {
    deployment.simulate('backend', 'slow-start');
    const running = deployment.start('up');
    await running.said(/^ {2}Deployment\/backend {2}InProgress/m);
    const started = performance.now();
    const start = await killServer();
    // Longer than a request is repeated.
    await systemClock.sleep(2500);
    await start();
    const isQuick = performance.now() - started < 15_000;
    const outcome = await running.ended;
    deployment.assertDiscreet(outcome);
    // On a machine that has no time for it the lock is lost meanwhile.
    if (isQuick) assert.is(outcome.status, 0, outcome.stderr);
    else if (outcome.status !== 0) {
      assertUnreachable(outcome);
      await deployment.expect(0, 'up');
    }
    await assertFinished(deployment);
  }),
);

restart(
  'that stays away while up waits: 3 before the lock could be taken by others, never "not healthy"',
  () =>
    withDeployment({}, async (deployment) => {
      deployment.simulate('backend', 'never-ready');
      const running = deployment.start('up', ['--timeout', '90s']);
      await running.said(/^ {2}Deployment\/backend {2}InProgress/m);
      const started = performance.now();
      const start = await killServer();
      const outcome = await running.ended.finally(start);
      assert.ok(performance.now() - started < 80_000, 'before its time was over');
      deployment.assertNothingLeft();
      assertUnreachable(outcome);
      assert.not.match(outcome.stderr, /NOT_HEALTHY|not healthy/);
      deployment.simulate('backend', undefined);
      await deployment.expect(0, 'up');
      await assertFinished(deployment);
    }),
);

restart.run();
