import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { at, type KubeObject, listAt, stableJson, titleOf } from '../../scripts/lib/manifest.ts';
import { eventually, kubectlIn, useSandbox } from '../support/cluster.ts';
import {
  components,
  componentsOf,
  overlays,
  renderOverlay,
  useOf,
  withManifests,
  writeVariant,
} from '../support/components.ts';
import { concurrentSuite, type Deployment, uniqueName, withDeployment } from '../support/deployment.ts';
import { follow } from '../support/recipe.ts';

const whole = concurrentSuite('components');

const subsetsOf = <T>(items: readonly T[]): T[][] =>
  Array.from({ length: 2 ** items.length }, (_, bits) => items.filter((_, index) => (bits >> index) & 1));

/** What depends on the place and says nothing of the shape: node ports are the cluster's. */
function placeless(object: KubeObject, namespace: string): KubeObject {
  const copy = structuredClone(object);
  if (copy.metadata.namespace !== undefined) copy.metadata.namespace = namespace;
  for (const key of Object.keys(copy.metadata.labels ?? {}))
    if (key.startsWith('applyset.')) delete copy.metadata.labels![key];
  for (const port of listAt(copy, 'spec', 'ports')) delete (port as { nodePort?: number }).nodePort;
  return copy;
}

whole('in every combination render, and pass the strict validation of the API server', () =>
  withManifests(async (root) => {
    const sandbox = await useSandbox();
    const namespace = uniqueName();
    const distinct = new Map<string, KubeObject>();
    const variants = overlays.flatMap((overlay) => {
      const own = componentsOf(overlay);
      return subsetsOf(components.filter((name) => !own.includes(name))).map((more, index) => {
        const name = `${overlay}-${index}`;
        writeVariant(root, overlay, name, [...own, ...more]);
        return name;
      });
    });
    assert.ok(variants.length >= 2 ** components.length);
    const waiting = [...variants];
    const work = async (): Promise<void> => {
      for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
        for (const { object } of await renderOverlay(root, name)) {
          const shape = placeless(object, namespace);
          distinct.set(stableJson(shape), shape);
        }
      }
    };
    await Promise.all([work(), work()]);

    try {
      const created = await kubectlIn(sandbox, ['create', 'namespace', namespace]);
      assert.is(created.status, 0, created.stderr);
      const strict = ['apply', '--server-side', '--dry-run=server', '--validate=strict', '-f', '-'];
      const objects = [...distinct.values()];
      const input = objects.map((object) => JSON.stringify(object)).join('\n---\n');
      const { status, stdout, stderr } = await kubectlIn(sandbox, strict, { input });
      assert.is(status, 0, stderr);
      assert.is(stdout.trim().split('\n').length, objects.length);
      // Deprecated versions and Pods that restricted would refuse are told as warnings.
      assert.is(stderr, '');
    } finally {
      await kubectlIn(sandbox, ['delete', 'namespace', namespace, '--ignore-not-found', '--wait=false']);
    }
  }),
);

/** Does what the READMEs of these components say. */
function switchOn(deployment: Deployment, ...names: readonly string[]): void {
  for (const name of names) follow(deployment.root, useOf(name, deployment.overlay));
  const file = path.join(deployment.root, `.env.${deployment.overlay}`);
  for (const [, key = '', value = ''] of readFileSync(file, 'utf8').matchAll(/^([A-Z_]+)=(.*)$/gm))
    if (/PASSWORD|DATABASE_URL|SECRET/.test(key)) deployment.secrets.add(value);
}

/** The sandbox provides no volumes. */
async function withVolume(deployment: Deployment, work: () => Promise<void>): Promise<void> {
  const name = uniqueName();
  const { namespace, sandbox } = deployment;
  const volume = {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      persistentVolumeReclaimPolicy: 'Retain',
      claimRef: { namespace, name: 'data-postgres-0' },
      hostPath: { path: `/nowhere/${name}` },
    },
  };
  const created = await kubectlIn(sandbox, ['create', '-f', '-'], { input: volume });
  assert.is(created.status, 0, created.stderr);
  try {
    await work();
  } finally {
    await kubectlIn(sandbox, ['delete', 'pv', name, '--ignore-not-found', '--wait=false']);
  }
}

const replicasOf = async (deployment: Deployment, name: string): Promise<unknown> =>
  at(await deployment.get('deployment', name), 'spec', 'replicas');

whole('all together come up as their READMEs say, are in status, and go; the data of postgres stay', () =>
  withDeployment({}, (deployment) =>
    withVolume(deployment, async () => {
      switchOn(deployment, ...components);
      // In place of the example in the README of migrations, which `up` refuses.
      const url = 'postgresql+asyncpg://todo:Kf7qTz4wLx9v@db.strata.test/todo';
      deployment.secrets.add(url);
      deployment.edit(`.env.${deployment.overlay}`, (text) =>
        text.replace(/^DIRECT_DATABASE_URL=.*$/m, `DIRECT_DATABASE_URL="${url}"`),
      );
      await deployment.expect(0, 'up');

      const status = await deployment.expect(0, 'status', ['--output', 'json']);
      const { healthy, objects } = JSON.parse(status.stdout);
      assert.is(healthy, true);
      const titles = new Set(objects.map(titleOf));
      for (const title of [
        'HorizontalPodAutoscaler/backend',
        'HorizontalPodAutoscaler/frontend',
        'Ingress/todo',
        'NetworkPolicy/default-deny',
        'NetworkPolicy/postgres',
        'PodDisruptionBudget/backend',
        'PodDisruptionBudget/frontend',
        'StatefulSet/postgres',
      ])
        assert.ok(titles.has(title), `${title} is not in status`);
      for (const { kind, name, status: word } of objects) assert.is(word, 'Current', `${kind}/${name}`);

      await deployment.expect(0, 'diff');
      await deployment.expect(0, 'up');

      const down = await deployment.expect(0, 'down');
      assert.match(down.stderr, /PersistentVolumeClaim\/data-postgres-0/);
      const left = [...(await deployment.snapshot()).keys()].filter(
        (title) => !/^(ServiceAccount\/default|ConfigMap\/kube-root-ca\.crt|Pod\/|PodMetrics\/)/.test(title),
      );
      assert.equal(left, [`Namespace/${deployment.namespace}`, 'PersistentVolumeClaim/data-postgres-0']);

      await deployment.expect(0, 'up');
      const claim = await deployment.get('pvc', 'data-postgres-0');
      assert.is(at(claim, 'status', 'phase'), 'Bound');
    }),
  ),
);

whole('autoscaling takes no replica away when it is switched on, and none that the autoscaler made', () =>
  withDeployment({}, async (deployment) => {
    deployment.kustomize((kustomization) => {
      kustomization.replicas = [{ name: 'backend', count: 4 }];
    });
    await deployment.expect(0, 'up');
    follow(deployment.root, useOf('autoscaling', deployment.overlay));
    const both = await deployment.expect(3, 'diff');
    assert.match(
      both.stderr,
      /Deployment\/backend: sets replicas, but HorizontalPodAutoscaler\/backend scales it/,
    );
    assert.match(both.stderr, /next: take backend out of `replicas:`/);

    deployment.kustomize((kustomization) => {
      delete kustomization.replicas;
    });
    const before = await deployment.list('pods');
    const diff = await deployment.expect(1, 'diff');
    assert.not.match(diff.stdout, /^ +[-+] .*replicas: \d/m);
    await deployment.expect(0, 'up');
    assert.is(await replicasOf(deployment, 'backend'), 4);
    const names = new Set((await deployment.list('pods')).map(({ metadata }) => metadata.name));
    for (const { metadata } of before.filter(({ metadata }) => metadata.name.startsWith('backend-')))
      assert.ok(names.has(metadata.name), metadata.name);
    await deployment.expect(0, 'diff');

    // One is less than the least, so the autoscaler acts without any metrics.
    await eventually(
      () => replicasOf(deployment, 'frontend'),
      (count) => count === 2,
      60_000,
    );
    await deployment.expect(0, 'diff');
    deployment.setValues({ NEXT_PUBLIC_APP_NAME: 'Changed', APP_NAME: 'Changed' });
    const plan = path.join(deployment.root, 'plan.json');
    await deployment.expect(1, 'diff', ['--save', plan]);
    await deployment.kubectl(['scale', 'deployment', 'frontend', '--replicas=3']);
    await deployment.expect(0, 'up', ['--plan', plan]);
    assert.is(await replicasOf(deployment, 'frontend'), 3);
    assert.is(await replicasOf(deployment, 'backend'), 4);
  }),
);

whole('autoscaling switched off leaves a count of the overlay to whoever decides', () =>
  withDeployment({}, async (deployment) => {
    const setCount = (): void =>
      deployment.kustomize((kustomization) => {
        delete kustomization.components;
        kustomization.replicas = [{ name: 'frontend', count: 1 }];
      });
    setCount();
    await deployment.expect(0, 'up');
    deployment.kustomize((kustomization) => {
      delete kustomization.replicas;
    });
    follow(deployment.root, useOf('autoscaling', deployment.overlay));
    await deployment.expect(0, 'up');
    await eventually(
      () => replicasOf(deployment, 'frontend'),
      (count) => count === 2,
      60_000,
    );
    setCount();
    const refused = await deployment.expect(3, 'up');
    assert.match(refused.stderr, /Deployment\/frontend: \.spec\.replicas is held by kube-controller-manager/);
    await deployment.expect(0, 'up', ['--force-conflicts']);
    assert.is(await replicasOf(deployment, 'frontend'), 1);
    assert.is(await deployment.get('hpa', 'frontend'), undefined);
  }),
);

whole.run();
