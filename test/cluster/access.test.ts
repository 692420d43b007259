import * as assert from 'uvu/assert';
import { chooseFreePort } from '../../scripts/lib/controlplane.ts';
import { eventually } from '../support/cluster.ts';
import { concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';

const access = concurrentSuite('access');

const commands = ['diff', 'up', 'down', 'status'];

const asViewer = (deployment: Deployment): void =>
  deployment.writeKubeconfig('minikube', { from: deployment.sandbox.viewerKubeconfig });

access('without any right: every command says what is not allowed, and how to check', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    const before = await deployment.snapshot();
    asViewer(deployment);
    deployment.setValues({ APP_NAME: 'changed' });
    for (const command of commands) {
      const { stderr, stdout } = await deployment.expect(3, command);
      assert.match(stderr, /error: not allowed: .*User "viewer" cannot .*\[CLUSTER_REFUSED\]/s, command);
      assert.match(stderr, /next: .*kubectl --context minikube auth can-i --list/);
      assert.is(stdout, '');
    }
    assert.equal(await deployment.snapshot(), before);
  }),
);

access('with the right to read alone: diff and up are refused before anything is changed, status works', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    await deployment.kubectl(['create', 'role', 'reader', '--verb=get,list,watch', '--resource=*.*']);
    await deployment.kubectl(['create', 'rolebinding', 'reader', '--role=reader', '--user=viewer']);
    const clusterRole = deployment.namespace;
    await deployment.kubectl([
      'create',
      'clusterrole',
      clusterRole,
      '--verb=get,list,watch',
      '--resource=namespaces',
    ]);
    await deployment.kubectl([
      'create',
      'clusterrolebinding',
      clusterRole,
      `--clusterrole=${clusterRole}`,
      '--user=viewer',
    ]);
    try {
      const before = await deployment.snapshot();
      asViewer(deployment);
      await eventually(
        () => deployment.strata('status'),
        ({ status }) => status === 0,
      );
      deployment.setValues({ APP_NAME: 'changed' });
      for (const command of ['diff', 'up']) {
        const { stderr } = await deployment.expect(3, command);
        assert.match(stderr, /User "viewer" cannot patch resource.*\n {2}next: .*auth can-i --list -n/);
        assert.match(stderr, /\[CLUSTER_REFUSED\]/);
      }
      const { stderr } = await deployment.expect(3, 'down');
      assert.match(stderr, /not allowed: .*User "viewer" cannot delete resource/);
      assert.equal(await deployment.snapshot(), before);
    } finally {
      await deployment.tryKubectl([
        'delete',
        `clusterrole/${clusterRole}`,
        `clusterrolebinding/${clusterRole}`,
      ]);
    }
  }),
);

access('to a server that is down: told quickly, and never taken for clean or gone', () =>
  withDeployment({}, async (deployment) => {
    const server = `https://127.0.0.1:${await chooseFreePort()}`;
    deployment.writeKubeconfig('minikube', { server });
    for (const command of commands) {
      const started = performance.now();
      const { stderr, stdout } = await deployment.expect(3, command);
      assert.match(stderr, `the cluster of context minikube (${server}) cannot be reached`);
      assert.match(stderr, /connection refused.*\[CLUSTER_UNREACHABLE\]\n {2}next: minikube status/s);
      assert.is(stdout, '');
      assert.ok(performance.now() - started < 15_000, command);
    }
  }),
);

access('to a namespace that is being deleted: diff and up say so', () =>
  withDeployment({}, async (deployment) => {
    await deployment.kubectl(['create', 'namespace', deployment.namespace]);
    await deployment.kubectl(['create', '-f', '-'], {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'held', finalizers: ['example.com/hold'] },
    });
    await deployment.kubectl(['delete', 'namespace', deployment.namespace, '--wait=false']);
    try {
      for (const command of ['diff', 'up']) {
        const { stderr } = await deployment.expect(3, command);
        assert.match(
          stderr,
          `namespace ${deployment.namespace} is still being deleted [CLUSTER_REFUSED]\n  next: kubectl --context minikube get namespace`,
        );
      }
    } finally {
      await deployment.kubectl([
        'patch',
        'configmap/held',
        '--type=merge',
        '-p',
        '{"metadata":{"finalizers":null}}',
      ]);
    }
    await eventually(
      () => deployment.get('namespace', deployment.namespace),
      (namespace) => namespace === undefined,
    );
    await deployment.expect(1, 'diff');
  }),
);

access.run();
