import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { brotliDecompressSync } from 'node:zlib';
import * as assert from 'uvu/assert';
import { at, type KubeObject, listAt, textAt } from '../../scripts/lib/manifest.ts';
import { eventually } from '../support/cluster.ts';
import { assertStatus, concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';

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

const extraService = {
  'service.extra.yaml': {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'extra' },
    spec: { selector: { app: 'extra' }, ports: [{ port: 80 }] },
  },
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
    deployment.add(extraService);
    await deployRound(deployment, 1);
    await deployRound(deployment, 2);
    const before = [...(await deployment.snapshot()).keys()];
    const kept = before.filter((name) => /^(ConfigMap|Secret|Service|ReplicaSet)\//.test(name));
    const [pod] = await readyPods(deployment);

    deployment.drop(...Object.keys(extraService));
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
    deployment.drop('configmap.b.yaml');
    await deployment.expect(0, 'up');
    const refused = await deployment.expect(3, 'rollback');
    assert.match(
      refused.stderr,
      /manifests of deployment 1 were not kept: the manifests are too large: \d+ KiB/,
    );
  }),
);

/** What the Pods of the backend run with. */
async function running(deployment: Deployment): Promise<string[]> {
  const [pod] = await readyPods(deployment);
  const found = await Promise.all(needsOf(pod!).map((name) => deployment.get(...split(name))));
  const [config, secret] = ['backend-config-', 'backend-secrets-'].map((prefix) =>
    found.find((object) => object?.metadata.name.startsWith(prefix)),
  );
  return [
    textAt(pod?.spec, 'containers', 0, 'image') ?? '',
    textOf(config, 'APP_NAME'),
    textOf(secret, 'JWT_SECRET'),
  ];
}

history(
  'rollback brings back manifests, config and secrets as one, without .env and with a broken tree',
  () =>
    withDeployment({}, async (deployment) => {
      deployment.add(extraService);
      await deployRound(deployment, 1);
      const first = await running(deployment);
      assert.equal(first, ['todo-backend:dev', 'name 1', secretFor(1)]);
      deployment.drop(...Object.keys(extraService));
      deployment.setValues({ APP_NAME: 'name 2' });
      deployment.setSecret('JWT_SECRET', secretFor(2));
      await deployment.expect(0, 'up', ['--image', 'todo-backend=todo-backend:v2']);
      const second = ['todo-backend:v2', 'name 2', secretFor(2)];
      assert.equal(await running(deployment), second);

      deployment.remove('.env');
      deployment.remove('base');
      const back = await deployment.expect(0, 'rollback');
      assert.match(back.stderr, /^going back to deployment 1 of \S+ \(healthy\)$/m);
      assert.match(back.stderr, /^\+ create Service\/extra$/m);
      assert.match(back.stderr, /^~ change Deployment\/backend$/m);
      assert.match(back.stderr, /-.*image: todo-backend:v2\n[\s\S]*\+.*image: todo-backend:dev\n/);
      assert.equal(await running(deployment), first);
      assert.ok(await deployment.get('service', 'extra'));
      const entries = await entriesOf(deployment);
      assert.equal(
        entries.map(({ number, result, rollbackTo }) => [number, result, rollbackTo]),
        [
          [1, 'healthy', undefined],
          [2, 'healthy', undefined],
          [3, 'healthy', 1],
        ],
      );
      const table = await deployment.expect(0, 'history');
      assert.match(table.stdout, /^3 .* back to 1 +healthy /m);

      const unchanged = await deployment.expect(0, 'rollback', ['--to', '1']);
      assert.match(unchanged.stderr, /plan: clean/);
      await deployment.expect(0, 'rollback');
      assert.equal(await running(deployment), second, 'and forth again');
      assert.is(await deployment.get('service', 'extra'), undefined, 'what came back is pruned again');
      assert.is((await entriesOf(deployment)).at(-1)?.rollbackTo, 2);

      const none = await deployment.expect(3, 'rollback', ['--to', '9']);
      assert.match(
        none.stderr,
        'deployment 9 is not in the history, which has 1, 2, 3, 4 [ROLLBACK_IMPOSSIBLE]',
      );
      const wrong = await deployment.expect(2, 'rollback', ['--to', 'latest']);
      assert.match(wrong.stderr, '--to latest is not the number of a deployment');
    }),
);

history(
  'rollback is refused, and changes nothing, when there is nothing to go back to or a Secret is gone',
  () =>
    withDeployment({}, async (deployment) => {
      const nowhere = await deployment.expect(3, 'rollback');
      assert.match(
        nowhere.stderr,
        `there is no history of overlay minikube [ROLLBACK_IMPOSSIBLE]\n  next: ${deployment.commandOf('up')}\n`,
      );
      await deployRound(deployment, 1);
      const [secret] = await deployment.generated('Secret', 'backend-secrets');
      const first = await deployment.expect(3, 'rollback');
      assert.match(first.stderr, /no earlier deployment than 1 was another one and healthy/);
      await deployRound(deployment, 2);
      await deployment.kubectl([
        'patch',
        'secret',
        secret!,
        '-p',
        `{"stringData":{"JWT_SECRET":"${secretFor(3)}"}}`,
      ]);
      const before = await deployment.snapshot();
      const changed = await deployment.expect(3, 'rollback');
      assert.match(changed.stderr, `error: Secret/${secret}: was changed since by somebody else: JWT_SECRET`);
      assert.equal(await deployment.snapshot(), before);
      await deployment.kubectl(['delete', 'secret', secret!]);
      const gone = await deployment.expect(3, 'rollback');
      assert.match(gone.stderr, `error: Secret/${secret}: is gone\n`);
      assert.match(gone.stderr, `next: ${deployment.commandOf('history')}\n`);
      assert.equal(await resultsOf(deployment), ['1 healthy', '2 healthy']);
    }),
);

history('rollback asks where up asks, and keeps to the guards', () =>
  withDeployment({ context: 'prod' }, async (deployment) => {
    await deployment.expect(0, 'up', ['--yes']);
    deployment.add({
      'persistentvolumeclaim.data.yaml': {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { name: 'data' },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
      },
    });
    // Nobody in the sandbox provisions volumes.
    await deployment.expect(4, 'up', ['--yes', '--timeout', '2s']);
    const before = await deployment.snapshot();
    const unasked = await deployment.expect(2, 'rollback');
    assert.match(
      unasked.stderr,
      `[CONFIRMATION_NEEDED]\n  next: after a look at the diff: ${deployment.commandOf('rollback', ' --yes')}`,
    );
    const guarded = await deployment.expect(3, 'rollback', ['--yes']);
    assert.match(guarded.stderr, /nothing was changed \[DELETE_GUARDED\]/);
    assert.match(guarded.stderr, / --yes --allow-delete PersistentVolumeClaim\/data\n/);
    assert.equal(await deployment.snapshot(), before);
    await deployment.expect(0, 'rollback', ['--yes', '--allow-delete', 'PersistentVolumeClaim/data']);
    assert.is(await deployment.get('persistentvolumeclaim', 'data'), undefined);
    assert.equal(await resultsOf(deployment), ['1 healthy', '2 failed', '3 healthy']);
  }),
);

history('up --rollback-on-failure goes back to what was healthy, and still fails', () =>
  withDeployment({}, async (deployment) => {
    deployment.simulate('backend', 'crash-loop');
    const flags = ['--rollback-on-failure', '--timeout', '60s'];
    const first = await deployment.expect(4, 'up', flags);
    assert.match(first.stderr, 'there is nothing to go back to: nothing was healthy before\n');
    deployment.simulate('backend', undefined);
    await deployRound(deployment, 1);

    deployment.simulate('backend', 'crash-loop');
    deployment.setValues({ APP_NAME: 'broken' });
    deployment.setSecret('JWT_SECRET', secretFor(2));
    const failed = await deployment.expect(4, 'up', [...flags, '--image', 'todo-backend=todo-backend:v2']);
    assert.match(failed.stderr, /^not healthy: going back to deployment 2 of \S+Z$/m);
    assert.match(failed.stderr, /\nwent back to deployment 2\n[\s\S]*\[NOT_HEALTHY\]\n/);
    assert.equal(await running(deployment), ['todo-backend:dev', 'name 1', secretFor(1)]);
    assert.equal(await resultsOf(deployment), ['1 failed', '2 healthy', '3 failed', '4 healthy']);
    assert.is((await entriesOf(deployment)).at(-1)?.rollbackTo, 2);
  }),
);

history('a way back that cannot be taken is told, and the failure of up is what counts', () =>
  withDeployment({}, async (deployment) => {
    await deployRound(deployment, 1);
    const [secret] = await deployment.generated('Secret', 'backend-secrets');
    deployment.simulate('backend', 'never-ready');
    deployment.setSecret('JWT_SECRET', secretFor(2));
    const up = deployment.start('up', ['--rollback-on-failure', '--timeout', '8s']);
    await up.said('waiting until everything is Current');
    await deployment.kubectl(['delete', 'secret', secret!]);
    const failed = await up.ended;
    assertStatus(failed, 4);
    deployment.assertDiscreet(failed);
    assert.match(failed.stderr, `error: Secret/${secret}: is gone\n`);
    assert.match(failed.stderr, /^going back failed: .* \[ROLLBACK_IMPOSSIBLE\]$/m);
    assert.match(failed.stderr, `[ROLLBACK_IMPOSSIBLE]\n  next: ${deployment.commandOf('history')}\n`);
    assert.match(failed.stderr, /\[NOT_HEALTHY\]\n/);
    assert.equal(await resultsOf(deployment), ['1 healthy', '2 failed']);
  }),
);

history.run();
