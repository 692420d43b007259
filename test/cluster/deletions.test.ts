import * as assert from 'uvu/assert';
import { kubectlIn } from '../support/cluster.ts';
import { concurrentSuite, uniqueName, withDeployment } from '../support/deployment.ts';

const guard = concurrentSuite('guard');

const claim = {
  'persistentvolumeclaim.data.yaml': {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'data' },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  },
};

const configMap = (name: string, annotations: Record<string, string> = {}): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, annotations },
  data: { greeting: 'hello' },
});

const protection = { 'strata.dev/prevent-deletion': 'true' };

guard('a claim goes with its own word only: not when up loses it, not when down takes everything', () =>
  withDeployment({}, async (deployment) => {
    deployment.add(claim);
    // Nobody in the sandbox provisions volumes.
    await deployment.expect(4, 'up', ['--timeout', '5s']);
    const before = await deployment.snapshot();
    assert.ok(before.has('PersistentVolumeClaim/data'));
    const down = await deployment.expect(3, 'down', ['--timeout', '50s']);
    assert.match(
      down.stderr,
      /error: PersistentVolumeClaim\/data: would be deleted; its data may go with it\n/,
    );
    assert.match(
      down.stderr,
      'next: npm run down -- minikube --root',
      'the command to type next begins as this one',
    );
    assert.match(down.stderr, / --timeout 50s --allow-delete PersistentVolumeClaim\/data\n/);

    deployment.drop(...Object.keys(claim));
    const diff = await deployment.expect(1, 'diff');
    assert.match(
      diff.stderr,
      /warning: PersistentVolumeClaim\/data: .*\n.*--allow-delete PersistentVolumeClaim\/data/,
    );
    const up = await deployment.expect(3, 'up');
    assert.match(up.stderr, /^- prune {2}PersistentVolumeClaim\/data$/m);
    assert.match(up.stderr, /nothing was changed \[DELETE_GUARDED\]/);
    await deployment.expect(3, 'up', ['--allow-delete', 'most']);
    assert.equal(await deployment.snapshot(), before);

    const allowed = await deployment.expect(0, 'up', ['--allow-delete', 'PersistentVolumeClaim/data']);
    assert.match(allowed.stderr, /pruned PersistentVolumeClaim\/data/);
    assert.is(await deployment.get('persistentvolumeclaim', 'data'), undefined);

    deployment.add(claim);
    await deployment.expect(4, 'up', ['--timeout', '5s']);
    await deployment.expect(0, 'down', ['--allow-delete', 'PersistentVolumeClaim/data']);
    assert.is(await deployment.get('namespace', deployment.namespace), undefined);
  }),
);

guard('more than half of what is there is asked for, however often generated objects are superseded', () =>
  withDeployment({}, async (deployment) => {
    const names = Array.from({ length: 12 }, (_, index) => `configmap.extra-${index}.yaml`);
    deployment.add(Object.fromEntries(names.map((name, index) => [name, configMap(`extra-${index}`)])));
    await deployment.expect(0, 'up');
    const before = await deployment.snapshot();
    deployment.drop(...names);
    const refused = await deployment.expect(3, 'up');
    assert.match(refused.stderr, /error: 12 of the 22 objects that are there would be deleted\n/);
    assert.equal(await deployment.snapshot(), before);
    await deployment.expect(0, 'up', ['--allow-delete', 'most']);
    assert.is(await deployment.get('configmap', 'extra-0'), undefined);
    await deployment.expect(0, 'diff');
  }),
);

guard(
  'what is protected stays through up and down, is named, keeps its namespace, and goes when it may',
  () =>
    withDeployment({}, async (deployment) => {
      const files = {
        'configmap.precious.yaml': configMap('precious', protection),
        'configmap.late.yaml': configMap('late'),
      };
      deployment.add(files);
      await deployment.expect(0, 'up');
      // One of them by hand, on the live object.
      await deployment.kubectl(['annotate', 'configmap/late', 'strata.dev/prevent-deletion=yes']);
      deployment.drop(...Object.keys(files));
      const diff = await deployment.expect(0, 'diff');
      for (const name of ['precious', 'late'])
        assert.match(diff.stdout, `· keep   ConfigMap/${name} stays: strata.dev/prevent-deletion is set\n`);
      await deployment.expect(0, 'up');
      const precious = await deployment.get('configmap', 'precious');
      assert.ok(precious);

      const down = await deployment.expect(0, 'down');
      for (const name of ['precious', 'late'])
        assert.match(down.stderr, `ConfigMap/${name} stays: strata.dev/prevent-deletion is set\n`);
      assert.match(down.stderr, `Namespace/${deployment.namespace} stays: with what stays in the inventory`);
      assert.not.match(down.stderr, /- delete (Namespace|ConfigMap\/(precious|late))/);
      assert.equal(await deployment.get('configmap', 'precious'), precious);
      assert.equal(await deployment.list('deployments,services,secrets'), []);
      const again = await deployment.expect(0, 'down');
      assert.match(again.stderr, /nothing else of overlay minikube/);

      await deployment.kubectl(['annotate', 'configmap', '--all', 'strata.dev/prevent-deletion-']);
      await deployment.expect(0, 'down');
      assert.is(await deployment.get('namespace', deployment.namespace), undefined);
    }),
);

guard('a namespace that the overlay no longer renders is not pruned, and a protected one outlives down', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    const namespace = await deployment.get('namespace', deployment.namespace);
    deployment.drop('namespace.yaml');
    const diff = await deployment.expect(0, 'diff');
    assert.match(diff.stdout, `· keep   Namespace/${deployment.namespace} stays: the overlay is in it\n`);
    await deployment.expect(0, 'up');
    await deployment.kubectl([
      'annotate',
      'namespace',
      deployment.namespace,
      'strata.dev/prevent-deletion=true',
    ]);
    const down = await deployment.expect(0, 'down');
    assert.match(down.stderr, `Namespace/${deployment.namespace} stays: strata.dev/prevent-deletion is set`);
    const after = await deployment.get('namespace', deployment.namespace);
    assert.is(after?.metadata.uid, namespace?.metadata.uid);
    assert.is(after?.metadata.deletionTimestamp, undefined);
    await deployment.kubectl(['annotate', 'namespace', deployment.namespace, 'strata.dev/prevent-deletion-']);
    await deployment.expect(0, 'down');
    assert.is(await deployment.get('namespace', deployment.namespace), undefined);
  }),
);

guard('down asks before it takes a definition, and every object of its kind in the cluster', () =>
  withDeployment({}, async (deployment) => {
    const group = `${uniqueName()}.example.com`;
    const name = `widgets.${group}`;
    const schema = { openAPIV3Schema: { type: 'object' } };
    deployment.add({
      'customresourcedefinition.yaml': {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name },
        spec: {
          group,
          scope: 'Namespaced',
          names: { kind: 'Widget', plural: 'widgets', singular: 'widget' },
          versions: [{ name: 'v1', served: true, storage: true, schema }],
        },
      },
    });
    try {
      await deployment.expect(0, 'up');
      const { stderr } = await deployment.expect(3, 'down');
      assert.match(
        stderr,
        `CustomResourceDefinition/${name}: would be deleted; every object of its kind goes with it`,
      );
      assert.ok(await deployment.get('customresourcedefinition', name));
      await deployment.expect(0, 'down', ['--allow-delete', 'all']);
      assert.is(await deployment.get('customresourcedefinition', name), undefined);
    } finally {
      await kubectlIn(deployment.sandbox, ['delete', 'crd', name, '--ignore-not-found', '--wait=false']);
    }
  }),
);

guard.run();
