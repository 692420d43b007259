import * as assert from 'uvu/assert';
import { at, type KubeObject, listAt, textAt } from '../../scripts/lib/manifest.ts';
import { eventually } from '../support/cluster.ts';
import { concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';

const up = concurrentSuite('up');

/** Names of the generated objects that a Pod, or the template of a workload, refers to. */
function referredBy(object: KubeObject): string[] {
  const spec = at(object, 'spec', 'template', 'spec') ?? object.spec;
  return listAt(spec, 'containers').flatMap((container) =>
    listAt(container, 'envFrom').map(
      (entry) => textAt(entry, 'configMapRef', 'name') ?? textAt(entry, 'secretRef', 'name') ?? '',
    ),
  );
}

const component = (object: KubeObject): string | undefined =>
  object.metadata.labels?.['app.kubernetes.io/component'];

const decode = (object: KubeObject): Map<string, string> =>
  new Map(
    Object.entries((object.data ?? {}) as Record<string, string>).map(([key, value]) => [
      key,
      object.kind === 'Secret' ? Buffer.from(value, 'base64').toString('utf8') : value,
    ]),
  );

const podsOf = async (deployment: Deployment, name: string): Promise<KubeObject[]> =>
  (await deployment.list('pods')).filter((pod) => component(pod) === name && !pod.metadata.deletionTimestamp);

const uidsOf = (objects: readonly KubeObject[]): (string | undefined)[] =>
  objects.map(({ metadata }) => metadata.uid).sort();

up('brings every value of the env file into the Pods of a restricted namespace, and then is clean', () =>
  withDeployment({}, async (deployment) => {
    const values: Record<string, string> = {
      NEXT_PUBLIC_APP_NAME: "Töðo ✅ — it's #1 = $HOME",
      NEXT_PUBLIC_APP_ENV: 'staging',
      NEXT_PUBLIC_API_URL: 'https://api.strata.test',
      BACKEND_URL: 'http://backend:8000',
      BETTER_AUTH_URL: 'https://app.strata.test',
      ENVIRONMENT: 'production',
      CORS_ORIGINS: 'https://app.strata.test,https://other.strata.test',
      APP_NAME: '  padded  ',
      DEBUG: 'true',
      MCP_DEFAULT_USER_ID: '0012',
    };
    deployment.setValues(values);
    deployment.setSecret('OPENAI_API_KEY', `sk-${'q9'.repeat(20)}==`);
    deployment.setSecret('MCP_API_KEY', 'first line: {a}, second # line, "no" yes on ~ null');

    const outcome = await deployment.expect(0, 'up');
    assert.match(outcome.stderr, /plan: changed \(11 to create\)/);
    assert.match(outcome.stderr, /\n {2}healthy {2}\d/);
    const service = await deployment.get('service', 'frontend');
    assert.match(
      outcome.stderr,
      `minikube service frontend -p minikube -n ${deployment.namespace} --url (node port ${at(service, 'spec', 'ports', 0, 'nodePort')})`,
    );
    assert.is(outcome.stdout, '');

    const generated = await deployment.list('configmaps,secrets');
    const pods = await deployment.list('pods');
    const arrived = new Set<string>();
    for (const pod of pods) {
      const own = referredBy(pod).map((name) => generated.find(({ metadata }) => metadata.name === name));
      const prefix = component(pod);
      assert.equal(own.map((object) => object?.metadata.name.replace(/-[a-z0-9]{10}$/, '')).sort(), [
        `${prefix}-config`,
        `${prefix}-secrets`,
      ]);
      for (const object of own) {
        for (const [key, value] of decode(object!)) {
          if (!deployment.values.has(key)) continue;
          assert.is(value, deployment.values.get(key), key);
          arrived.add(key);
        }
      }
    }
    assert.equal([...arrived].sort(), [...deployment.values.keys()].sort());
    assert.equal(pods.map(component).sort(), ['backend', 'frontend']);

    const namespace = await deployment.get('namespace', deployment.namespace);
    assert.is(namespace?.metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted');
    const slices = await eventually(
      () => deployment.list('endpointslices'),
      (found) =>
        found.filter((slice) => at(slice, 'endpoints', 0, 'conditions', 'ready') === true).length === 2,
    );
    assert.equal(slices.map(({ metadata }) => metadata.labels?.['kubernetes.io/service-name']).sort(), [
      'backend',
      'frontend',
    ]);

    const clean = await deployment.expect(0, 'diff');
    assert.is(clean.stdout, 'plan: clean (11 unchanged)\n');

    const before = await deployment.snapshot();
    const again = await deployment.expect(0, 'up');
    assert.not.match(again.stderr, /applied|pruned/);
    assert.equal(await deployment.snapshot(), before);
    assert.ok(before.size > 15, 'the snapshot saw the objects');

    const status = await deployment.expect(0, 'status', ['--output', 'json']);
    assert.is((JSON.parse(status.stdout) as { healthy: boolean }).healthy, true);
  }),
);

up(
  'rolls only the service whose secret changed, shows lengths alone, and keeps what the old revision uses',
  () =>
    withDeployment({}, async (deployment) => {
      deployment.setSecret('MCP_API_KEY', 'mcp-old-41c07e92bd');
      await deployment.expect(0, 'up');
      const [oldName] = await deployment.generated('Secret', 'backend-secrets');
      const frontend = await deployment.get('deployment', 'frontend');
      const frontendPods = uidsOf(await podsOf(deployment, 'frontend'));
      const backendPods = uidsOf(await podsOf(deployment, 'backend'));

      deployment.setSecret('MCP_API_KEY', 'mcp-new-77f0a4c1d3-longer');
      const diff = await deployment.expect(1, 'diff');
      const json = JSON.parse((await deployment.expect(1, 'diff', ['--output', 'json'])).stdout);
      const replaced = json.objects.filter(({ replaces }: { replaces?: string }) => replaces);
      assert.is(replaced.length, 1);
      assert.is(replaced[0].replaces, oldName);
      assert.equal(replaced[0].keys, [
        { key: 'MCP_API_KEY', change: 'changed', lengthBefore: 18, lengthAfter: 25 },
      ]);
      const newName = replaced[0].name as string;
      assert.match(
        diff.stdout,
        `~ change Secret/${oldName} → ${newName}\n    ~ MCP_API_KEY changed (18 → 25 characters)\n`,
      );
      assert.match(diff.stdout, /plan: changed \(2 to change, 9 unchanged, 1 kept\)/);
      assert.not.match(diff.stdout, /frontend/);

      await deployment.expect(0, 'up');
      assert.equal(await deployment.generated('Secret', 'backend-secrets'), [oldName, newName]);
      const frontendAfter = await deployment.get('deployment', 'frontend');
      assert.is(frontendAfter?.metadata.generation, frontend?.metadata.generation);
      assert.is(frontendAfter?.metadata.resourceVersion, frontend?.metadata.resourceVersion);
      assert.equal(uidsOf(await podsOf(deployment, 'frontend')), frontendPods);
      const fresh = await podsOf(deployment, 'backend');
      assert.is(fresh.length, 1);
      assert.not.equal(uidsOf(fresh), backendPods);
      assert.ok(referredBy(fresh[0]!).includes(newName));

      const clean = await deployment.expect(0, 'diff');
      assert.match(clean.stdout, /^\S keep +Secret\/\S+, still used by ReplicaSet\/backend-/m);
      assert.match(clean.stdout, /plan: clean/);
    }),
);

up('stays clean through five changes in a row, prunes what no revision uses, and can be undone', () =>
  withDeployment({}, async (deployment) => {
    deployment.setValues({ APP_NAME: 'name 0' });
    await deployment.expect(0, 'up');
    const names = await deployment.generated('ConfigMap', 'backend-config');
    for (const round of [1, 2, 3, 4, 5]) {
      deployment.setValues({ APP_NAME: `name ${round}` });
      await deployment.expect(0, 'up');
      const clean = await deployment.expect(0, 'diff');
      assert.match(clean.stdout, /plan: clean/, `round ${round}`);
      if (round === 3) await undo(deployment);
      const present = await deployment.generated('ConfigMap', 'backend-config');
      names.push(...present.filter((name) => !names.includes(name)));
    }
    assert.is(names.length, 6);
    // The current revision and the three of revisionHistoryLimit.
    const left = await eventually(
      async () => {
        await deployment.expect(0, 'up');
        return deployment.generated('ConfigMap', 'backend-config');
      },
      (found) => found.length <= 4,
    );
    assert.is(left.length, 4);
    const sets = (await deployment.list('replicasets')).filter((set) => component(set) === 'backend');
    assert.equal(
      sets
        .flatMap(referredBy)
        .filter((name) => name.startsWith('backend-config'))
        .sort(),
      [...left].sort(),
    );
  }),
);

/** Back by three revisions, and forth again with `up`. */
async function undo(deployment: Deployment): Promise<void> {
  const history = (await deployment.list('replicasets')).filter((set) => component(set) === 'backend');
  const oldest = Math.min(
    ...history.map(({ metadata }) => Number(metadata.annotations?.['deployment.kubernetes.io/revision'])),
  );
  await deployment.kubectl(['rollout', 'undo', 'deployment/backend', `--to-revision=${oldest}`]);
  await deployment.kubectl(['rollout', 'status', 'deployment/backend', '--timeout=30s']);
  const pods = await eventually(
    () => podsOf(deployment, 'backend'),
    (found) => found.length === 1,
  );
  const config = referredBy(pods[0]!).find((name) => name.startsWith('backend-config'))!;
  const restored = await deployment.get('configmap', config);
  assert.is(decode(restored!).get('APP_NAME'), 'name 0', 'the Pods of the first revision find their values');
  // Somebody took the field into their own hands: it is not taken back without being told.
  const refused = await deployment.expect(3, 'up');
  assert.match(
    refused.stderr,
    /Deployment\/backend: \S+envFrom is held by kubectl, who last wrote at \d{4}-\S+Z\n/,
  );
  assert.equal(uidsOf(await podsOf(deployment, 'backend')), uidsOf(pods));
  await deployment.expect(0, 'up', ['--force-conflicts']);
  await deployment.expect(0, 'diff');
}

const extra = {
  'configmap.extra.yaml': {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'extra' },
    data: { greeting: 'hello' },
  },
  'service.extra.yaml': {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'extra' },
    spec: { selector: { app: 'extra' }, ports: [{ port: 80 }] },
  },
  'poddisruptionbudget.extra.yaml': {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: 'extra' },
    spec: { maxUnavailable: 1, selector: { matchLabels: { app: 'extra' } } },
  },
};

up('creates what the overlay gains and prunes what it loses, but not what Pods still use', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    deployment.add(extra);
    const wanted = await deployment.expect(1, 'diff');
    assert.match(wanted.stdout, /plan: changed \(3 to create, 11 unchanged\)/);
    await deployment.expect(0, 'up');
    for (const kind of ['configmap', 'service', 'poddisruptionbudget'])
      assert.ok(await deployment.get(kind, 'extra'), kind);

    // Somebody's Pod uses the ConfigMap, beside the overlay.
    await deployment.kubectl(['apply', '-f', '-'], podUsing('extra'));
    deployment.drop(...Object.keys(extra));
    const unwanted = await deployment.expect(1, 'diff');
    assert.match(unwanted.stdout, /^- prune {2}Service\/extra$/m);
    assert.match(unwanted.stdout, /^- prune {2}PodDisruptionBudget\/extra$/m);
    assert.match(unwanted.stdout, /keep {3}ConfigMap\/extra, still used by Pod\/guest$/m);
    const outcome = await deployment.expect(0, 'up');
    assert.match(outcome.stderr, /pruned Service\/extra/);
    assert.is(await deployment.get('service', 'extra'), undefined);
    assert.is(await deployment.get('poddisruptionbudget', 'extra'), undefined);
    assert.ok(await deployment.get('configmap', 'extra'));
    await deployment.expect(0, 'diff');

    await deployment.kubectl(['delete', 'pod', 'guest', '--wait=false']);
    await eventually(
      () => deployment.get('pod', 'guest'),
      (pod) => pod === undefined,
    );
    await deployment.expect(0, 'up');
    assert.is(await deployment.get('configmap', 'extra'), undefined);
    await deployment.expect(0, 'diff');
  }),
);

const podUsing = (configMap: string): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'guest' },
  spec: {
    automountServiceAccountToken: false,
    securityContext: { runAsNonRoot: true, runAsUser: 10001, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'guest',
        image: 'guest:1',
        envFrom: [{ configMapRef: { name: configMap } }],
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      },
    ],
  },
});

up('deploys another image when told to, without a change of the tree', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up', ['--image', 'todo-backend=todo-backend:a1b2c3']);
    const images = async (): Promise<string[]> =>
      (await deployment.list('deployments')).map(
        (object) => textAt(object, 'spec', 'template', 'spec', 'containers', 0, 'image') ?? '',
      );
    assert.equal(await images(), ['todo-backend:a1b2c3', 'todo-frontend:dev']);
    const diff = await deployment.expect(1, 'diff');
    assert.match(diff.stdout, /-.*image: todo-backend:a1b2c3\n.*\+.*image: todo-backend:dev/);
    deployment.setValues({ NEXT_PUBLIC_APP_NAME: 'another' });
    const baked = await deployment.expect(1, 'diff');
    assert.match(baked.stderr, /NEXT_PUBLIC_APP_NAME: changes, but it is baked into the image/);
  }),
);

up.run();
