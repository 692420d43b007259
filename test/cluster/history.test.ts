import * as assert from 'uvu/assert';
import { at, type KubeObject, listAt, textAt } from '../../scripts/lib/manifest.ts';
import { eventually } from '../support/cluster.ts';
import { concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';

const history = concurrentSuite('history');

const revisionAnnotation = 'deployment.kubernetes.io/revision';

const component = (object: KubeObject): string | undefined =>
  object.metadata.labels?.['app.kubernetes.io/component'];

/** `ConfigMap/name` and `Secret/name` that a Pod needs to start. */
const needsOf = (pod: KubeObject): string[] =>
  listAt(pod.spec, 'containers').flatMap((container) =>
    listAt(container, 'envFrom').map((entry) => {
      const config = textAt(entry, 'configMapRef', 'name');
      return config ? `ConfigMap/${config}` : `Secret/${textAt(entry, 'secretRef', 'name')}`;
    }),
  );

const isReady = (pod: KubeObject): boolean =>
  listAt(pod.status, 'conditions').some(
    (condition) => textAt(condition, 'type') === 'Ready' && textAt(condition, 'status') === 'True',
  );

/** The only Pods that are left of the backend, once they are ready. */
const readyPods = (deployment: Deployment): Promise<KubeObject[]> =>
  eventually(
    async () => (await deployment.list('pods')).filter((pod) => component(pod) === 'backend'),
    (pods) => pods.length === 1 && pods.every((pod) => isReady(pod) && !pod.metadata.deletionTimestamp),
  );

const textOf = (object: KubeObject | undefined, key: string): string => {
  const value = String(at(object, 'data', key));
  return object?.kind === 'Secret' ? Buffer.from(value, 'base64').toString('utf8') : value;
};

const secretFor = (round: number): string => `${'k'.repeat(32)}${round}-${'z'.repeat(16)}`;

/** A deployment whose ConfigMap and Secret say which one it is. */
async function deployRound(deployment: Deployment, round: number): Promise<void> {
  deployment.setValues({ APP_NAME: `name ${round}` });
  deployment.setSecret('JWT_SECRET', secretFor(round));
  await deployment.expect(0, 'up');
}

history('kubectl rollout undo brings back Pods of every revision that is there, with what they need', () =>
  withDeployment({}, async (deployment) => {
    for (const round of [1, 2, 3, 4, 5]) await deployRound(deployment, round);
    const sets = (await deployment.list('replicasets')).filter((set) => component(set) === 'backend');
    const revisions = sets.map(({ metadata }) => Number(metadata.annotations?.[revisionAnnotation])).sort();
    // The current one, and revisionHistoryLimit of the base.
    assert.equal(revisions, [2, 3, 4, 5]);
    for (const revision of [2, 3, 4]) {
      await deployment.kubectl(['rollout', 'undo', 'deployment/backend', `--to-revision=${revision}`]);
      await deployment.kubectl(['rollout', 'status', 'deployment/backend', '--timeout=60s']);
      const [pod] = await readyPods(deployment);
      const needs = needsOf(pod!);
      const config = needs.find((name) => name.startsWith('ConfigMap/backend-config-'))!;
      const secret = needs.find((name) => name.startsWith('Secret/backend-secrets-'))!;
      assert.is(textOf(await deployment.get(...split(config)), 'APP_NAME'), `name ${revision}`);
      assert.is(textOf(await deployment.get(...split(secret)), 'JWT_SECRET'), secretFor(revision));
      for (const name of needs) assert.ok(await deployment.get(...split(name)), name);
    }
  }),
);

const split = (title: string): [string, string] => title.split('/') as [string, string];

history('a rollout that fails prunes nothing, and what it would have replaced still runs', () =>
  withDeployment({}, async (deployment) => {
    deployment.add({
      'service.extra.yaml': {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'extra' },
        spec: { selector: { app: 'extra' }, ports: [{ port: 80 }] },
      },
    });
    await deployRound(deployment, 1);
    await deployRound(deployment, 2);
    const before = [...(await deployment.snapshot()).keys()];
    const kept = before.filter((name) => /^(ConfigMap|Secret|Service|ReplicaSet)\//.test(name));
    const [pod] = await readyPods(deployment);

    deployment.drop('service.extra.yaml');
    deployment.simulate('backend', 'crash-loop');
    deployment.setSecret('JWT_SECRET', secretFor(3));
    const failed = await deployment.expect(4, 'up', ['--timeout', '60s']);
    assert.match(failed.stderr, /- prune {2}Service\/extra/);
    assert.not.match(failed.stderr, /pruned/);
    const after = await deployment.snapshot();
    assert.equal(
      kept.filter((name) => !after.has(name)),
      [],
    );
    assert.ok(after.has(`Pod/${pod!.metadata.name}`), 'the old Pod is still there');

    // Mended, the same command prunes what the failed one left.
    deployment.simulate('backend', undefined);
    const mended = await deployment.expect(0, 'up');
    assert.match(mended.stderr, /pruned Service\/extra/);
  }),
);

history.run();
