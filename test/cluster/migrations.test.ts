import * as assert from 'uvu/assert';
import { at, type KubeObject, stringsAt, textAt } from '../../scripts/lib/manifest.ts';
import { concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';
import {
  assertOrder,
  imageOf,
  type JobParts,
  setImage,
  webDeployment,
  webJob,
  writeSmallTree,
} from '../support/small-tree.ts';

const migrations = concurrentSuite('migrations', 5);

const job = (parts: JobParts = {}): Record<string, unknown> =>
  webJob({ annotations: { 'strata.dev/run': 'before' }, ...parts });

const withJob = (parts: JobParts, work: (deployment: Deployment) => Promise<void>): Promise<void> =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    writeSmallTree(deployment, { 'job.yaml': job(parts) });
    await work(deployment);
  });

const getJob = (deployment: Deployment) => deployment.get('job', 'migrate');
const getWeb = (deployment: Deployment) => deployment.get('deployment', 'web');
const uidOf = async (deployment: Deployment) => (await getJob(deployment))?.metadata.uid;

/** RFC 3339 sorts as text. */
function assertBefore(done: KubeObject | undefined, later: KubeObject | undefined): void {
  const [end, start] = [textAt(done, 'status', 'completionTime'), later?.metadata.creationTimestamp];
  assert.ok(end && start && end <= start, `ended ${end}, the other began ${start}`);
}

migrations('the Job comes first and the rest waits for it; nothing runs again', () =>
  withJob({ simulate: 'slow-job', delay: '3s' }, async (deployment) => {
    const first = await deployment.expect(0, 'up');
    assertOrder(
      first,
      '(accounts and config)',
      'applied 1 object (Jobs that run before)',
      'waiting for Job/migrate\n',
      'Job/migrate  InProgress: ',
      'Job/migrate  Current',
      '(workloads)',
    );
    const done = await getJob(deployment);
    assertBefore(done, await getWeb(deployment));
    const { stdout } = await deployment.expect(0, 'status');
    assert.match(stdout, /^Job\/migrate +Current /m);

    await deployment.expect(0, 'diff');
    const second = await deployment.expect(0, 'up');
    assert.match(second.stderr, 'plan: clean');
    // Another object changes, and the Job stays done.
    deployment.add({ 'web.yaml': webDeployment({ minReadySeconds: 1 }) });
    const third = await deployment.expect(0, 'up');
    assert.not.match(third.stderr, 'waiting for Job');
    assert.is(await uidOf(deployment), done?.metadata.uid);
  }),
);

migrations('a new image: the Job is replaced, and done before the rest rolls out', () =>
  withJob({ simulate: 'slow-job', delay: '3s' }, async (deployment) => {
    await deployment.expect(0, 'up');
    const old = await uidOf(deployment);
    setImage(deployment, '2');
    const up = await deployment.expect(0, 'up');
    assertOrder(up, 'deleted Job/migrate, to create it anew', '(Jobs that run before)', '(workloads)');
    const done = await getJob(deployment);
    assert.is.not(done?.metadata.uid, old);
    assert.equal([imageOf(done), imageOf(await getWeb(deployment))], ['web:2', 'web:2']);
    const sets = await deployment.list('replicasets');
    assertBefore(
      done,
      sets.find((set) => imageOf(set) === 'web:2'),
    );
    await deployment.expect(0, 'diff');
  }),
);

for (const [simulate, reason] of [
  ['exit-1', /error: Job\/migrate: the Job failed: BackoffLimitExceeded/],
  ['image-pull-error', /error: Pod\/migrate-\S+: container migrate: image web:2 cannot be pulled/],
] as const) {
  migrations(`${simulate}: up says why and touches nothing else; mended, it finishes`, () =>
    withJob({}, async (deployment) => {
      deployment.add({ 'extra.yaml': { ...webJob({ name: 'extra' }) } });
      await deployment.expect(0, 'up');
      const before = await deployment.snapshot();
      setImage(deployment, '2');
      deployment.drop('extra.yaml');
      deployment.add({ 'job.yaml': job({ simulate }) });
      const failed = await deployment.expect(4, 'up');
      assert.match(failed.stderr, reason);
      assert.match(failed.stderr, /; what comes after Job\/migrate was left as it is \[NOT_HEALTHY\]/);
      assert.not.match(failed.stderr, /\(workloads\)|pruned/);
      const after = await deployment.snapshot();
      for (const [name, version] of before)
        if (/^(Deployment|ReplicaSet|Secret|Job\/extra)/.test(name))
          assert.is(after.get(name), version, name);
      assert.match((await deployment.expect(4, 'status')).stdout, /^Job\/migrate +(Failed|InProgress) /m);
      assert.match((await deployment.expect(0, 'history')).stdout, /failed \(NOT_HEALTHY\)/);

      deployment.add({ 'job.yaml': job() });
      const mended = await deployment.expect(0, 'up');
      assert.not.match(mended.stderr, 'still runs');
      assert.match(mended.stderr, 'pruned Job/extra');
      assert.is(imageOf(await getWeb(deployment)), 'web:2');
      await deployment.expect(0, 'diff');
    }),
  );
}

migrations('a first up whose Job fails keeps its namespace, where the logs are', () =>
  withJob({ simulate: 'exit-1' }, async (deployment) => {
    const { stderr } = await deployment.expect(4, 'up');
    assert.not.match(stderr, 'was removed again');
    assert.is(await getWeb(deployment), undefined);
    assert.ok(await getJob(deployment));
    await deployment.expect(0, 'down');
    assert.is(await deployment.get('namespace', deployment.namespace), undefined);
  }),
);

migrations('going back runs no Job again, neither by itself nor asked for', () =>
  withJob({}, async (deployment) => {
    await deployment.expect(0, 'up');
    setImage(deployment, '2');
    await deployment.expect(0, 'up');
    const latest = await uidOf(deployment);

    const back = await deployment.expect(0, 'rollback');
    assert.match(back.stderr, '· keep   Job/migrate stays: ');
    assert.not.match(back.stderr, /waiting for Job|deleted Job/);
    assert.equal([imageOf(await getJob(deployment)), imageOf(await getWeb(deployment))], ['web:2', 'web:1']);
    // The way forth again: the Job of that image is done.
    const forth = await deployment.expect(0, 'up');
    assert.not.match(forth.stderr, /Job\/migrate/);
    assert.is(imageOf(await getWeb(deployment)), 'web:2');
    assert.is(await uidOf(deployment), latest);

    setImage(deployment, '3');
    deployment.add({ 'job.yaml': job({ simulate: 'exit-1' }) });
    const failed = await deployment.expect(4, 'up', ['--rollback-on-failure']);
    assert.match(failed.stderr, /went back to deployment \d/);
    assert.equal([imageOf(await getJob(deployment)), imageOf(await getWeb(deployment))], ['web:3', 'web:2']);
    deployment.add({ 'job.yaml': job() });
    await deployment.expect(0, 'up');
    assert.is(imageOf(await getWeb(deployment)), 'web:3');
  }),
);

migrations('what comes with the overlay and runs before is there ahead of the Job', () =>
  withJob({}, async (deployment) => {
    const metadata = { name: 'db', annotations: { 'strata.dev/run': 'before' } };
    const { spec } = webDeployment() as { spec: Record<string, unknown> };
    const labels = { app: 'db' };
    const template = {
      metadata: {
        labels,
        annotations: { 'strata.dev/simulate': 'slow-start', 'strata.dev/simulate-delay': '2s' },
      },
      spec: { containers: [{ name: 'db', image: 'db:1' }] },
    };
    deployment.add({
      'db.yaml': {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata,
        spec: { ...spec, selector: { matchLabels: labels }, template },
      },
    });
    const up = await deployment.expect(0, 'up');
    assertOrder(
      up,
      'applied 1 object (what runs before)',
      'waiting for Deployment/db\n',
      'Deployment/db  Current',
      'applied 1 object (Jobs that run before)',
      'applied 1 object (workloads)',
    );
    const db = await deployment.get('deployment', 'db');
    const available = (at(db, 'status', 'conditions') as { type: string; lastTransitionTime: string }[]).find(
      ({ type }) => type === 'Available',
    );
    assert.ok(available!.lastTransitionTime <= (await getJob(deployment))!.metadata.creationTimestamp!);
  }),
);

migrations('a word that the annotation does not know is refused, with its line', () =>
  withJob({ annotations: { 'strata.dev/run': 'first' } }, async (deployment) => {
    const { stderr } = await deployment.expect(3, 'up');
    assert.match(
      stderr,
      /error: overlays\/minikube\/job\.yaml:\d+ {2}Job\/migrate: strata\.dev\/run is "first"; the only value is before/,
    );
    assert.match(stderr, '[VERIFY_FAILED]');
    assert.is(await deployment.get('namespace', deployment.namespace), undefined);
  }),
);

migrations('the component: its image, its URL, restricted Pod Security, and down takes it all', () =>
  withDeployment({}, async (deployment) => {
    deployment.kustomize((kustomization) => {
      kustomization.components = ['../../components/migrations'];
    });
    const missing = await deployment.expect(2, 'up');
    assert.match(missing.stderr, /DIRECT_DATABASE_URL.*is missing/);
    deployment.setSecret(
      'DIRECT_DATABASE_URL',
      'postgresql+asyncpg://todo:n0tTh3Direct0ne@ep-a-pooler.eu.aws.neon.tech/todo?ssl=require&prepared_statement_cache_size=0',
    );
    assert.match(
      (await deployment.strata('env')).stderr,
      /DIRECT_DATABASE_URL.*leads to a connection pooler/,
    );
    const url = 'postgresql+asyncpg://todo:n0tTh3Pooled0ne@db.strata.test/todo?ssl=require';
    deployment.setSecret('DIRECT_DATABASE_URL', url);
    const { stderr } = await deployment.expect(0, 'up', ['--image', 'todo-backend=todo-backend:7']);
    assert.not.match(stderr, /warning|PodSecurity/);
    const done = await getJob(deployment);
    const backend = await deployment.get('deployment', 'backend');
    assert.equal([imageOf(done), imageOf(backend)], ['todo-backend:7', 'todo-backend:7']);
    assertBefore(done, backend);
    const [name] = await deployment.generated('Secret', 'migrations-secrets');
    const data = stringsAt(await deployment.get('secret', name!), 'data');
    assert.equal(Object.keys(data), ['DATABASE_URL']);
    assert.is(Buffer.from(data.DATABASE_URL!, 'base64').toString(), url);
    const endpoints = await deployment.kubectl(['get', 'endpointslices', '-o', 'json']);
    assert.not.match(endpoints, '"name": "migrate-');
    await deployment.expect(0, 'diff', ['--image', 'todo-backend=todo-backend:7']);
    await deployment.expect(0, 'down');
    assert.is(await deployment.get('namespace', deployment.namespace), undefined);
  }),
);

migrations.run();
