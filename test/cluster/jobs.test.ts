import path from 'node:path';
import * as assert from 'uvu/assert';
import { at, textAt } from '../../scripts/lib/manifest.ts';
import { eventually } from '../support/cluster.ts';
import { assertStatus, concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';
import {
  assertOrder,
  imageOf,
  type JobParts,
  meddlingKubectl,
  setImage,
  webJob,
  writeSmallTree,
} from '../support/small-tree.ts';

const jobs = concurrentSuite('Jobs', 5);

const withJob = (parts: JobParts, work: (deployment: Deployment) => Promise<void>): Promise<void> =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    writeSmallTree(deployment, { 'job.yaml': webJob(parts) });
    await work(deployment);
  });

const getJob = (deployment: Deployment) => deployment.get('job', 'migrate');
const getWeb = (deployment: Deployment) => deployment.get('deployment', 'web');
const uidOf = async (deployment: Deployment) => (await getJob(deployment))?.metadata.uid;

jobs('a new image: diff says replace, and up does it, once', () =>
  withJob({}, async (deployment) => {
    await deployment.expect(0, 'up');
    const old = await uidOf(deployment);
    setImage(deployment, '2');
    const { stdout } = await deployment.expect(1, 'diff');
    assert.match(
      stdout,
      /^± replace Job\/migrate\n {4}deleted and created anew: the server lets nobody change spec\.template\n/m,
    );
    assert.match(stdout, /\(1 to change, 1 to replace, \d+ unchanged\)/);
    const json = JSON.parse((await deployment.expect(1, 'diff', ['--output', 'json'])).stdout);
    const [planned] = json.objects.filter(({ kind }: { kind: string }) => kind === 'Job');
    assert.is(planned.action, 'replace');
    // Nothing but what was meant: neither defaults, nor what each Job gets anew.
    assert.equal(planned.fields, [
      { path: 'spec.template.spec.containers[0].image', before: 'web:1', after: 'web:2' },
    ]);

    const up = await deployment.expect(0, 'up');
    assertOrder(up, 'deleted Job/migrate, to create it anew', 'applied 2 objects (workloads)');
    const done = await getJob(deployment);
    assert.is.not(done?.metadata.uid, old);
    assert.equal([imageOf(done), imageOf(await getWeb(deployment))], ['web:2', 'web:2']);
    await deployment.expect(0, 'diff');
    await deployment.expect(0, 'up');
    assert.is(await uidOf(deployment), done?.metadata.uid, 'nothing runs again');
  }),
);

jobs('one that failed runs again, as often as up is asked to', () =>
  withJob({ simulate: 'exit-1' }, async (deployment) => {
    await deployment.expect(4, 'up');
    const first = await uidOf(deployment);
    const { stdout } = await deployment.expect(1, 'diff');
    assert.match(
      stdout,
      /^± replace Job\/migrate\n {4}deleted and created anew: it failed, and runs again\nplan: /m,
    );
    const { stderr } = await deployment.expect(4, 'up');
    assert.match(stderr, /error: Job\/migrate: the Job failed: BackoffLimitExceeded/);
    assert.is.not(await uidOf(deployment), first);
    deployment.add({ 'job.yaml': webJob() });
    await deployment.expect(0, 'up');
    await deployment.expect(0, 'diff');
  }),
);

jobs('one that may not be deleted is refused, before anything is written', () =>
  withJob({ annotations: { 'strata.dev/prevent-deletion': 'true' } }, async (deployment) => {
    await deployment.expect(0, 'up');
    setImage(deployment, '2');
    const before = await deployment.snapshot();
    const { stderr } = await deployment.expect(3, 'up');
    assert.match(
      stderr,
      /error: Job\/migrate: would have to be deleted and created anew .*prevent-deletion is set\n/,
    );
    assert.equal(await deployment.snapshot(), before);
  }),
);

jobs('one that still runs is waited for, and replaced only then', () =>
  withJob({ simulate: 'slow-job', delay: '1h' }, async (deployment) => {
    const running = deployment.start('up');
    await running.said('Job/migrate  InProgress');
    await eventually(
      () => getJob(deployment),
      (found) => at(found, 'status', 'ready') === 1,
    );
    running.child.kill('SIGKILL');
    await running.ended;
    const old = await uidOf(deployment);
    setImage(deployment, '2');
    deployment.add({ 'job.yaml': webJob() });
    const { stdout } = await deployment.expect(1, 'diff');
    assert.match(stdout, 'spec.template; it still runs, and `up` waits until it has ended');
    const late = await deployment.expect(4, 'up', ['--timeout', '1s']);
    assert.match(late.stderr, /Job\/migrate still runs after 1\.0 s, and was not replaced/);
    assert.is(await uidOf(deployment), old);
    const up = deployment.start('up');
    await up.said('Job/migrate still runs; it is replaced when it has ended');
    const [pod] = await deployment.list('pods', '-l=job-name=migrate');
    const done = '{"status":{"phase":"Succeeded"}}';
    await deployment.kubectl([
      ...['patch', 'pod', pod!.metadata.name, '--subresource=status', '--type=merge', '-p', done],
    ]);
    assertStatus(await up.ended, 0);
    assert.is(imageOf(await getJob(deployment)), 'web:2');
  }),
);

/** The real kubectl, but it waits before the first apply. */
const hesitant = (deployment: Deployment): string =>
  meddlingKubectl(deployment, '*apply*', ['version; sleep 20; true']);

for (const [what, flags] of [
  ['the same command', []],
  ['the same saved plan', ['--plan']],
] as [string, string[]][]) {
  jobs(`killed between delete and create: ${what} finishes it`, () =>
    withJob({}, async (deployment) => {
      await deployment.expect(0, 'up');
      deployment.add({ 'job.yaml': webJob({ simulate: 'slow-job', delay: '1s' }) });
      const file = path.join(path.dirname(deployment.root), 'plan.json');
      await deployment.expect(1, 'diff', ['--save', file]);
      const all = flags.flatMap((flag) => [flag, file]);
      const running = deployment.start('up', all, { environment: { PATH: hesitant(deployment) } });
      await running.said('deleted Job/migrate');
      running.child.kill('SIGKILL');
      await running.ended;
      assert.is(await getJob(deployment), undefined, 'it was not created yet');
      assert.match((await deployment.expect(1, 'diff')).stdout, '+ create Job/migrate');
      await deployment.expect(0, 'up', all);
      assert.is(
        textAt(
          await getJob(deployment),
          'spec',
          'template',
          'metadata',
          'annotations',
          'strata.dev/simulate',
        ),
        'slow-job',
      );
      await deployment.expect(0, 'diff');
    }),
  );
}

jobs('interrupted while the old one goes: the same command waits for that', () =>
  withJob({}, async (deployment) => {
    await deployment.expect(0, 'up');
    const finalizers = (list: string[]): string => JSON.stringify({ metadata: { finalizers: list } });
    const patch = ['patch', 'job', 'migrate', '--type=merge', '-p'];
    await deployment.kubectl([...patch, finalizers(['strata.test/hold'])]);
    setImage(deployment, '2');
    const running = deployment.start('up');
    await eventually(
      () => getJob(deployment),
      (found) => found?.metadata.deletionTimestamp !== undefined,
    );
    running.child.kill('SIGINT');
    assertStatus(await running.ended, 130);
    assert.match(
      (await deployment.expect(1, 'diff')).stdout,
      '± replace Job/migrate\n    deleted and created anew: it is being deleted already',
    );
    const again = deployment.start('up');
    await again.said('it is being deleted already');
    await deployment.kubectl([...patch, finalizers([])]);
    assertStatus(await again.ended, 0);
    assert.equal([imageOf(await getJob(deployment)), imageOf(await getWeb(deployment))], ['web:2', 'web:2']);
  }),
);

jobs('what somebody does to the Job before it is replaced is refused', () =>
  withJob({}, async (deployment) => {
    await deployment.expect(0, 'up');
    const old = await uidOf(deployment);
    // With the first apply, that of the Secret, the Job has been compared and not yet been deleted.
    deployment.setSecret('WEB_TOKEN', 'another-token-of-the-tree');
    const environment = { PATH: meddlingKubectl(deployment, '*apply*', ['label job migrate keep=me']) };
    const { stderr } = await deployment.expect(3, 'up', [], { environment });
    assert.match(stderr, /error: Job\/migrate: was changed by kubectl-label at /);
    assert.match(stderr, '[PLAN_STALE]');
    assert.is(await uidOf(deployment), old);
    await deployment.expect(0, 'up');
    assert.is.not(await uidOf(deployment), old);
  }),
);

jobs.run();
