import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { eventually } from '../support/cluster.ts';
import { concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';

const identity = concurrentSuite('identity');

const commands = ['diff', 'up', 'down', 'status'];
const elsewhere = '00000000-0000-4000-8000-000000000000';

const recordOf = (deployment: Deployment): string => {
  const folder = path.join(deployment.root, '.strata');
  const [name, ...more] = readdirSync(folder).filter((file) => file.startsWith('cluster-'));
  assert.equal(more, []);
  return path.join(folder, name!);
};

const readRecord = (deployment: Deployment): Record<string, unknown> =>
  JSON.parse(readFileSync(recordOf(deployment), 'utf8')) as Record<string, unknown>;

/** As if the context had led to another cluster the last time. */
const editRecord = (deployment: Deployment, change: Record<string, unknown>): void =>
  writeFileSync(recordOf(deployment), JSON.stringify({ ...readRecord(deployment), ...change }));

const uidOf = async (deployment: Deployment): Promise<string> =>
  (await deployment.get('namespace', 'kube-system'))?.metadata.uid ?? '';

const yes = (command: string): string[] => (command === 'up' || command === 'down' ? ['--yes'] : []);

/** Nothing but reads, and none of what would carry a secret. */
const assertOnlyRead = (stderr: string): void => assert.not.match(stderr, /^(PATCH|POST|DELETE) /m);

identity('is recorded by the first up alone, privately, and is the uid of kube-system with the CA', () =>
  withDeployment({ context: 'shared-dev' }, async (deployment) => {
    await deployment.expect(1, 'diff');
    await deployment.expect(0, 'status');
    await deployment.expect(0, 'down', ['--yes']);
    assert.throws(() => recordOf(deployment));
    const { stderr } = await deployment.expect(0, 'up', ['--yes']);
    const uid = await uidOf(deployment);
    assert.match(stderr, `note: context shared-dev is from now on uid ${uid}, CA sha256 `);
    const record = readRecord(deployment);
    assert.equal([record.uid, record.context, record.server], [uid, 'shared-dev', deployment.sandbox.server]);
    assert.match((record.ca as string[]).join(), /^[0-9a-f]{64}(,[0-9a-f]{64})*$/);
    assert.is((statSync(recordOf(deployment)).mode & 0o777).toString(8), '600');
    const again = await deployment.expect(0, 'up', ['--yes']);
    assert.not.match(again.stderr, /note:/);
  }),
);

identity(
  'same name, other cluster: every command refuses with both, and --trust-cluster accepts it once',
  () =>
    withDeployment({ context: 'shared-dev' }, async (deployment) => {
      await deployment.expect(0, 'up', ['--yes']);
      const uid = await uidOf(deployment);
      deployment.setValues({ APP_NAME: 'changed' });
      const before = await deployment.snapshot();
      editRecord(deployment, { uid: elsewhere });
      for (const command of commands) {
        const { stderr, stdout } = await deployment.expect(3, command, [...yes(command), '--verbose']);
        assert.match(stderr, /error: context shared-dev is another cluster than it was/);
        assert.match(stderr, `: uid ${elsewhere}, CA`);
        assert.match(stderr, `today:      uid ${uid}, CA`);
        assert.match(
          stderr,
          /\[CLUSTER_CHANGED\]\n {2}next: kubectl --context shared-dev get nodes .*--trust-cluster/,
        );
        assertOnlyRead(stderr);
        assert.is(stdout, '');
      }
      assert.equal(await deployment.snapshot(), before);
      const trusted = await deployment.expect(1, 'diff', ['--trust-cluster']);
      assert.match(trusted.stderr, `note: context shared-dev is another cluster than on `);
      assert.is(readRecord(deployment).uid, uid);
      const { stderr } = await deployment.expect(0, 'up', ['--yes']);
      assert.not.match(stderr, /note:/);
    }),
);

identity('a local context that is another cluster is noted in one line, and remembered', () =>
  withDeployment({}, async (deployment) => {
    const first = await deployment.expect(0, 'up');
    assert.not.match(first.stderr, /note:/);
    editRecord(deployment, { uid: elsewhere });
    const { stderr } = await deployment.expect(0, 'diff');
    assert.is(stderr.match(/^note: context minikube is another cluster than on /gm)?.length, 1);
    const again = await deployment.expect(0, 'diff');
    assert.not.match(again.stderr, /note:/);
    assert.is(readRecord(deployment).uid, await uidOf(deployment));
  }),
);

identity('a new CA of the same cluster is a note, not a refusal', () =>
  withDeployment({ context: 'shared-dev' }, async (deployment) => {
    await deployment.expect(0, 'up', ['--yes']);
    editRecord(deployment, { ca: ['0'.repeat(64)] });
    const { stderr } = await deployment.expect(0, 'diff');
    assert.match(stderr, /note: the CA of context shared-dev is new, its cluster is the same/);
    assert.not.match((await deployment.expect(0, 'diff')).stderr, /note:/);
  }),
);

identity(
  'a pin is stronger than record and --trust-cluster, also for a local context and for a broken tree',
  () =>
    withDeployment({}, async (deployment) => {
      const text = readFileSync(path.join(deployment.root, deployment.own('strata.yaml')), 'utf8');
      const pin = (value: object): void =>
        deployment.write(deployment.own('strata.yaml'), `${text}\ncluster: ${JSON.stringify(value)}\n`);
      await deployment.expect(0, 'up');
      pin({ uid: elsewhere });
      for (const command of commands) {
        const { stderr } = await deployment.expect(3, command, ['--trust-cluster', '--verbose']);
        assert.match(
          stderr,
          /context minikube is not the cluster that overlays\/minikube\/strata\.yaml:\d+ pins/,
        );
        assert.match(
          stderr,
          new RegExp(`pinned: uid ${elsewhere}\n {2}found: {2}uid .*\\[CLUSTER_CHANGED\\]`),
        );
        assertOnlyRead(stderr);
      }
      const { ca } = readRecord(deployment) as { ca: string[] };
      pin({ uid: await uidOf(deployment), ca: ca[0]!.toUpperCase() });
      editRecord(deployment, { uid: elsewhere });
      const { stderr } = await deployment.expect(0, 'diff');
      assert.match(stderr, /note: context minikube is another cluster than on /);
      // down and status do without most of the contract, but not without the pin.
      pin({ uid: 'a typo' });
      for (const command of commands) {
        const broken = await deployment.expect(2, command);
        assert.match(broken.stderr, /cluster\.uid: expected the uid of the kube-system namespace/);
        assert.match(broken.stderr, /\[CONTRACT_INVALID\]/);
      }
    }),
);

identity('where kube-system may not be read the CA decides, and what cannot be known is never the same', () =>
  withDeployment({ context: 'shared-dev' }, async (deployment) => {
    await deployment.expect(0, 'up', ['--yes']);
    await deployment.kubectl(['create', 'role', 'reader', '--verb=get,list,watch', '--resource=*.*']);
    await deployment.kubectl(['create', 'rolebinding', 'reader', '--role=reader', '--user=viewer']);
    deployment.writeKubeconfig('shared-dev', { from: deployment.sandbox.viewerKubeconfig });
    const byCa = await eventually(
      () => deployment.strata('status'),
      ({ stderr }) => stderr.includes('known by its CA alone'),
    );
    assert.match(byCa.stderr, /note: context shared-dev is known by its CA alone/);
    assert.is(readRecord(deployment).uid, await uidOf(deployment), 'what was known is not forgotten');

    editRecord(deployment, { ca: [] });
    for (const command of commands) {
      const { stderr } = await deployment.expect(3, command, yes(command));
      assert.match(stderr, /context shared-dev cannot be shown to be the cluster that it was/);
      assert.match(stderr, /uid of kube-system not known/);
      assert.match(stderr, /\[CLUSTER_CHANGED\]\n {2}next: .*auth can-i get namespaces\/kube-system/);
    }
    editRecord(deployment, { ca: ['0'.repeat(64)] });
    const { stderr } = await deployment.expect(3, 'status');
    assert.match(stderr, /context shared-dev is another cluster than it was/);
  }),
);

identity('a damaged record is told with its file before anything is sent, and rm mends it', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    const file = recordOf(deployment);
    const shown = path.relative(deployment.root, file);
    for (const text of [
      '',
      '{',
      '{}',
      '[]',
      JSON.stringify({ ...readRecord(deployment), context: 'other' }),
    ]) {
      writeFileSync(file, text);
      // What is no JSON stands for the others.
      for (const command of text === '{' ? commands : ['status']) {
        const { stderr } = await deployment.expect(2, command, ['--verbose']);
        assert.match(stderr, `${shown}, which tells the cluster of context minikube from others, is damaged`);
        assert.match(stderr, `if it is meant: rm ${shown}`);
        assert.not.match(stderr, /\$ kubectl proxy/);
      }
    }
    rmSync(file);
    await deployment.expect(0, 'up');
    assert.ok(readRecord(deployment).uid);
  }),
);

identity('several first ups at once leave one whole record', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    rmSync(recordOf(deployment));
    const outcomes = await Promise.all([1, 2, 3].map(() => deployment.start('up').ended));
    assert.equal(
      outcomes.map(({ status }) => status),
      [0, 0, 0],
    );
    assert.is(readRecord(deployment).uid, await uidOf(deployment));
    deployment.assertNothingLeft();
  }),
);

identity.run();
