import * as assert from 'uvu/assert';
import { connect } from '../../scripts/lib/connection.ts';
import { readKubeconfig } from '../../scripts/lib/kubeconfig.ts';
import { configMaps } from '../../scripts/lib/live.ts';
import { referenceOf } from '../../scripts/lib/manifest.ts';
import { deleteObject } from '../../scripts/lib/prune.ts';
import { eventually } from '../support/cluster.ts';
import {
  clusterListing,
  concurrentSuite,
  type Deployment,
  uniqueName,
  withDeployment,
} from '../support/deployment.ts';
import { testSession } from '../support/session.ts';

const down = concurrentSuite('down', 5);

const configMap = (name: string, metadata: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, ...metadata },
});

const role = (name: string): object => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: { name },
  rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }],
});

const namespaceOf = (deployment: Deployment) => deployment.get('namespace', deployment.namespace);

const names = async (deployment: Deployment, kinds: string): Promise<string[]> =>
  (await deployment.list(kinds))
    .map(({ kind, metadata }) => `${kind}/${metadata.name}`)
    .filter((name) => name !== 'ConfigMap/kube-root-ca.crt' && name !== 'ServiceAccount/default')
    .sort();

const ownKinds = 'deployments,services,serviceaccounts,configmaps,secrets';

down('leaves the cluster as it was, and a second time finds nothing', () =>
  withDeployment({}, async (deployment) => {
    const clusterRole = uniqueName();
    const before = await clusterListing(deployment);
    deployment.add({ 'clusterrole.yaml': role(clusterRole) });
    await deployment.expect(0, 'up');
    deployment.setValues({ APP_NAME: 'so that there is something superseded' });
    await deployment.expect(0, 'up');
    const during = await clusterListing(deployment);
    assert.ok(during.length > before.length + 15);
    assert.ok((await deployment.get('clusterrole', clusterRole)) !== undefined);

    const { stderr } = await deployment.expect(0, 'down');
    assert.match(stderr, `- delete Namespace/${deployment.namespace}`);
    assert.match(stderr, `- delete ClusterRole/${clusterRole}`);
    assert.equal(await clusterListing(deployment), before);

    const second = await deployment.expect(0, 'down');
    assert.match(second.stderr, /nothing of overlay minikube is in context minikube/);
    const status = await deployment.expect(0, 'status');
    assert.match(status.stderr, /nothing of overlay minikube/);
    assert.equal(await clusterListing(deployment), before);
  }),
);

down('keeps a namespace with foreign objects in it, names them, and takes it when they are gone', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    await deployment.kubectl(['create', '-f', '-'], configMap('foreign'));
    await deployment.kubectl(['create', 'serviceaccount', 'foreign']);
    const before = await deployment.get('configmap', 'foreign');
    const { stderr } = await deployment.expect(0, 'down');
    assert.match(
      stderr,
      `Namespace/${deployment.namespace} stays: it holds ConfigMap/foreign, ServiceAccount/foreign`,
    );
    assert.equal(await names(deployment, ownKinds), ['ConfigMap/foreign', 'ServiceAccount/foreign']);
    assert.equal(await deployment.get('configmap', 'foreign'), before);

    await deployment.kubectl(['delete', 'configmap/foreign', 'serviceaccount/foreign']);
    await deployment.expect(0, 'down');
    assert.is(await namespaceOf(deployment), undefined);
  }),
);

down('gives a namespace that somebody else made back as it was', () =>
  withDeployment({}, async (deployment) => {
    await deployment.kubectl(['create', '-f', '-'], {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name: deployment.namespace,
        labels: { team: 'core' },
        annotations: { 'example.com/a': 'b' },
      },
    });
    const before = await namespaceOf(deployment);
    await deployment.expect(0, 'up');
    const during = await namespaceOf(deployment);
    assert.is(during?.metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted');
    const { stderr } = await deployment.expect(0, 'down');
    assert.match(stderr, `Namespace/${deployment.namespace} stays: strata did not create it`);
    const after = await namespaceOf(deployment);
    assert.is(after?.metadata.uid, before?.metadata.uid);
    assert.equal(after?.metadata.labels, before?.metadata.labels);
    assert.equal(after?.metadata.annotations, before?.metadata.annotations);
    assert.equal(
      after?.metadata.managedFields?.map(({ manager }) => manager),
      before?.metadata.managedFields?.map(({ manager }) => manager),
    );
    assert.equal(await names(deployment, ownKinds), []);
    const again = await deployment.expect(0, 'down');
    assert.match(again.stderr, /nothing of overlay minikube/);
  }),
);

down('spares what merely carries the label, also when the inventory is gone and all kinds are searched', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    const backend = await deployment.get('deployment', 'backend');
    const labels = backend!.metadata.labels!;
    assert.ok('applyset.kubernetes.io/part-of' in labels);
    await deployment.kubectl(['create', '-f', '-'], configMap('copied', { labels }));
    await deployment.kubectl(['create', '-f', '-'], {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'copied', labels },
      spec: { podSelector: {} },
    });
    const slices = await deployment.list('endpointslices');
    assert.ok(slices.length > 0);
    for (const slice of slices) assert.ok('applyset.kubernetes.io/part-of' in slice.metadata.labels!);
    await deployment.kubectl(['delete', 'configmap', 'strata-minikube']);

    const { stderr } = await deployment.expect(0, 'down');
    assert.match(stderr, /ConfigMap\/copied stays: it has the label, but strata did not apply it/);
    assert.match(stderr, /NetworkPolicy\/copied stays: it has the label, but strata did not apply it/);
    assert.not.match(stderr, /EndpointSlice|delete Endpoints|delete Pod|delete ReplicaSet/);
    assert.match(stderr, /deleted 10 objects/);
    assert.equal(await names(deployment, `${ownKinds},networkpolicies`), [
      'ConfigMap/copied',
      'NetworkPolicy/copied',
    ]);
    assert.ok(await namespaceOf(deployment));
  }),
);

down('finds what is left of a deployment whose namespace somebody deleted', () =>
  withDeployment({}, async (deployment) => {
    const clusterRole = uniqueName();
    deployment.add({ 'clusterrole.yaml': role(clusterRole) });
    await deployment.expect(0, 'up');
    await deployment.kubectl(['delete', 'namespace', deployment.namespace]);
    await deployment.expect(0, 'down');
    assert.is(await deployment.get('clusterrole', clusterRole), undefined);
  }),
);

const breakages: Record<string, (deployment: Deployment) => void> = {
  'the base does not render': (deployment) =>
    deployment.write('base/kustomization.yaml', 'resources: [missing.yaml]\n'),
  'the base is gone': (deployment) => deployment.remove('base'),
  'strata.yaml of the base is broken': (deployment) =>
    deployment.write('base/strata.yaml', 'configMaps: [1, 2\n  secrets: }'),
  'there is no env file': (deployment) => deployment.remove('.env'),
  'the overlay sets no namespace any more': (deployment) =>
    deployment.kustomize((kustomization) => {
      delete kustomization.namespace;
    }),
  'the kustomization of the overlay is no YAML': (deployment) =>
    deployment.write(deployment.own('kustomization.yaml'), 'namespace: [\n'),
};

for (const [title, spoil] of Object.entries(breakages)) {
  down(`works when ${title}`, () =>
    // A name of its own: without a namespace the overlay is searched by name in the whole cluster.
    withDeployment({ name: uniqueName() }, async (deployment) => {
      await deployment.expect(0, 'up');
      spoil(deployment);
      await deployment.expect(0, 'down');
      assert.is(await namespaceOf(deployment), undefined);
    }),
  );
}

down('asks which one is meant when the overlay sets no namespace and there are several', () => {
  const name = uniqueName();
  return withDeployment({ name }, (first) =>
    withDeployment({ name }, async (second) => {
      await Promise.all([first.expect(0, 'up'), second.expect(0, 'up')]);
      second.kustomize((kustomization) => {
        delete kustomization.namespace;
      });
      const before = [await first.snapshot(), await second.snapshot()];
      const { stderr } = await second.expect(2, 'down');
      for (const { namespace } of [first, second]) assert.match(stderr, namespace);
      assert.equal([await first.snapshot(), await second.snapshot()], before);
    }),
  );
});

down('deletes only the very object that was seen: another uid is a conflict, and the object stays', () =>
  withDeployment({}, async (deployment) => {
    await deployment.kubectl(['create', 'namespace', deployment.namespace]);
    await deployment.kubectl(['create', '-f', '-'], configMap('precious'));
    const session = testSession({ environment: { ...process.env, ...deployment.environment } });
    const context = readKubeconfig(deployment.environment).contexts.get('minikube')!;
    const kubectl = { program: deployment.sandbox.kubectl, kubeconfig: deployment.kubeconfig };
    const connection = await connect(session, kubectl, context);
    try {
      const precious = (await deployment.get('configmap', 'precious'))!;
      const target = { reference: referenceOf(precious), resource: configMaps };
      const other = '00000000-0000-4000-8000-000000000000';
      assert.is(await deleteObject(connection, { ...target, uid: other }), 'replaced');
      assert.equal(await deployment.get('configmap', 'precious'), precious);
      assert.is(await deleteObject(connection, { ...target, uid: precious.metadata.uid! }), 'deleted');
      // Deletion in the foreground leaves the object to the garbage collector for a moment.
      await eventually(
        () => deployment.get('configmap', 'precious'),
        (found) => found === undefined,
      );
      assert.is(await deleteObject(connection, { ...target, uid: precious.metadata.uid! }), 'gone');
    } finally {
      connection.close();
      session.end();
    }
  }),
);

down('names what its finalizers hold, and finishes when they let go', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    const finalizers = (list: string[]): string[] => [
      'patch',
      'service/backend',
      '--type=merge',
      '-p',
      JSON.stringify({ metadata: { finalizers: list } }),
    ];
    await deployment.kubectl(finalizers(['example.com/hold']));
    const { stderr } = await deployment.expect(3, 'down', ['--timeout', '2s']);
    assert.match(stderr, /error: Service\/backend: waits for its finalizers: example\.com\/hold\n/);
    assert.match(stderr, /1 object does not go in time \[DELETE_FAILED\]/);
    assert.ok(await deployment.get('configmap', 'strata-minikube'), 'the inventory outlives what it lists');
    const up = await deployment.expect(3, 'up');
    assert.match(up.stderr, /Service\/backend: is still being deleted \(finalizers: example\.com\/hold\)/);

    await deployment.kubectl(finalizers([]));
    await deployment.expect(0, 'down');
    await eventually(
      () => namespaceOf(deployment),
      (namespace) => namespace === undefined,
    );
  }),
);

down.run();
