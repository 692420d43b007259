import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { brotliDecompressSync } from 'node:zlib';
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

interface Listing {
  schema: string;
  deployments: {
    number: number;
    startedAt: string;
    endedAt?: string;
    result: string;
    code?: string;
    who: string;
    commit?: string;
    isDirty?: boolean;
    images: string[];
    rollbackTo?: number;
    omitted?: string;
  }[];
}

async function entriesOf(deployment: Deployment): Promise<Listing['deployments']> {
  const { stdout } = await deployment.expect(0, 'history', ['--output', 'json']);
  const listing = JSON.parse(stdout) as Listing;
  assert.is(listing.schema, 'strata.dev/history/v1');
  return listing.deployments;
}

const resultsOf = async (deployment: Deployment): Promise<string[]> =>
  (await entriesOf(deployment)).map(({ number, result }) => `${number} ${result}`);

const isEntry = ({ metadata }: KubeObject): boolean => metadata.name.startsWith('strata.');

/** What the ConfigMaps of the history hold, in plain text. */
async function contentsOf(deployment: Deployment): Promise<string> {
  const maps = (await deployment.list('configmaps')).filter(isEntry);
  const unpacked = maps.map((map) => {
    const encoded = textAt(map, 'binaryData', 'manifests.yaml.br');
    return encoded === undefined ? '' : brotliDecompressSync(Buffer.from(encoded, 'base64')).toString('utf8');
  });
  return JSON.stringify(maps) + unpacked.join('');
}

/** How often this was sent to the server. */
const requestsIn = (stderr: string, pattern: RegExp): number =>
  stderr.split('\n').filter((line) => pattern.test(line)).length;

/** Both kinds of requests that `up` makes for the history alone. */
const historyWrites = /^(POST \S+\/configmaps\?|(PATCH|DELETE) \S+\/configmaps\/strata\.)/;

history('every up that changes something is in the history, which no plan shows and down takes along', () =>
  withDeployment({}, async (deployment) => {
    const none = await deployment.expect(0, 'history');
    assert.match(none.stderr, 'there is no history of overlay minikube');
    assert.is(none.stdout, '');
    const git = (...args: string[]): string =>
      execFileSync('git', ['-c', 'user.name=x', '-c', 'user.email=x@strata.test', ...args], {
        cwd: deployment.root,
        env: deployment.environment,
        encoding: 'utf8',
      }).trim();
    git('init', '-q');
    git('add', 'base', 'overlays');
    git('commit', '-qm', 'x');
    const commit = git('rev-parse', 'HEAD');

    const first = await deployment.expect(0, 'up', ['--verbose']);
    assert.is(requestsIn(first.stderr, historyWrites), 2, 'one to begin it, one to end it');
    const again = await deployment.expect(0, 'up', ['--verbose']);
    assert.is(requestsIn(again.stderr, historyWrites), 0, 'nothing to change, nothing to write');
    deployment.write('.git/info/exclude', '*\n');
    deployment.setValues({ APP_NAME: 'second' });
    await deployment.expect(0, 'up', ['--image', 'todo-backend=todo-backend:a1b2c3']);

    const [one, two, ...more] = await entriesOf(deployment);
    assert.equal(more, []);
    assert.equal([one?.number, one?.result, two?.number, two?.result], [1, 'healthy', 2, 'healthy']);
    assert.equal(one?.images, ['todo-backend:dev', 'todo-frontend:dev']);
    assert.equal(two?.images, ['todo-backend:a1b2c3', 'todo-frontend:dev']);
    assert.equal([one?.commit, one?.isDirty, two?.isDirty], [commit, true, false]);
    const who = await deployment.kubectl(['auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}']);
    assert.is(one?.who, who);
    assert.ok(Date.parse(one?.startedAt ?? '') <= Date.parse(one?.endedAt ?? ''));
    const { stdout } = await deployment.expect(0, 'history');
    assert.match(
      stdout,
      new RegExp(`^1 +\\S+Z +${who} +${commit.slice(0, 12)}\\+ +healthy +todo-backend:dev`, 'm'),
    );

    deployment.assertDiscreet(await contentsOf(deployment));
    for (const command of ['diff', 'status']) {
      const outcome = await deployment.strata(command);
      assert.not.match(outcome.stdout + outcome.stderr, /strata\.minikube/, command);
    }
    const down = await deployment.expect(0, 'down');
    assert.match(down.stderr, '- delete the history (2 deployments)');
    assert.is(await deployment.get('namespace', deployment.namespace), undefined);
  }),
);

history('down leaves nothing of the history in a namespace that stays', () =>
  withDeployment({}, async (deployment) => {
    await deployment.kubectl(['create', 'namespace', deployment.namespace]);
    await deployment.expect(0, 'up');
    assert.is((await deployment.list('configmaps')).filter(isEntry).length, 1);
    await deployment.expect(0, 'down');
    const left = (await deployment.list('configmaps')).map(({ metadata }) => metadata.name);
    assert.equal(left, ['kube-root-ca.crt']);
  }),
);

history('ten entries stay, and four of them keep their Secrets', () =>
  withDeployment({}, async (deployment) => {
    // No old ReplicaSets, so that only the history is left to keep them.
    const limit = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'backend' },
      spec: { revisionHistoryLimit: 0 },
    };
    deployment.add({ 'deployment.limit.yaml': limit }, 'patches');
    const names: string[] = [];
    for (let round = 1; round <= 11; round++) {
      deployment.setSecret('JWT_SECRET', secretFor(round));
      await deployment.expect(0, 'up');
      const present = await deployment.generated('Secret', 'backend-secrets');
      names.push(...present.filter((name) => !names.includes(name)));
    }
    assert.is(names.length, 11);
    assert.equal(
      (await entriesOf(deployment)).map(({ number }) => number),
      [2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    );
    // A Pod that is slow to go may have kept one more.
    await eventually(
      async () => {
        await deployment.expect(0, 'up');
        return deployment.generated('Secret', 'backend-secrets');
      },
      (found) => [...found].sort().join() === names.slice(-4).sort().join(),
    );
    const kept = await deployment.expect(0, 'diff');
    assert.match(
      kept.stdout,
      /keep {3}Secret\/backend-secrets-\w+, still used by deployment 8 of the history$/m,
    );
  }),
);

history(
  'what failed, was interrupted or killed is in the history as that, and finishing it is no new entry',
  () =>
    withDeployment({}, async (deployment) => {
      await deployment.expect(0, 'up');
      deployment.simulate('backend', 'crash-loop');
      await deployment.expect(4, 'up', ['--timeout', '60s']);
      assert.equal(await resultsOf(deployment), ['1 healthy', '2 failed']);
      assert.is((await entriesOf(deployment))[1]?.code, 'NOT_HEALTHY');
      deployment.simulate('backend', 'never-ready');
      for (const signal of ['SIGINT', 'SIGKILL'] as const) {
        deployment.setValues({ APP_NAME: signal });
        const running = deployment.start('up');
        await running.said('waiting until everything is Current');
        running.child.kill(signal);
        await running.ended;
      }
      // What a killed command leaves behind is tidied up by the next one that renders.
      const killed = await deployment.start('history').ended;
      assert.match(killed.stdout, /^3 .* interrupted .*\n4 .* applying /m);
      const still = await deployment.expect(4, 'up', ['--timeout', '2s']);
      assert.not.match(still.stderr, /history/);
      assert.equal(await resultsOf(deployment), ['1 healthy', '2 failed', '3 interrupted', '4 failed']);
      deployment.simulate('backend', undefined);
      await deployment.expect(0, 'up');
      assert.equal((await resultsOf(deployment)).slice(3), ['4 failed', '5 healthy']);
    }),
);

history('manifests that are too large to keep are said to be so', () =>
  withDeployment({}, async (deployment) => {
    const large = (name: string): object => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name },
      data: { noise: randomBytes(280 * 1024).toString('base64') },
    });
    deployment.add({ 'configmap.a.yaml': large('a'), 'configmap.b.yaml': large('b') });
    const { stderr } = await deployment.expect(0, 'up');
    assert.match(
      stderr,
      /nobody can go back to deployment 1: the manifests are too large: \d+ KiB compressed/,
    );
    const { stdout } = await deployment.expect(0, 'history');
    assert.match(stdout, /^1 .* healthy .*\(no way back: the manifests are too large/m);
  }),
);

history.run();
