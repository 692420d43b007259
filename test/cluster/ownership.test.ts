import { createHash } from 'node:crypto';
import * as assert from 'uvu/assert';
import { at, type KubeObject } from '../../scripts/lib/manifest.ts';
import { eventually } from '../support/cluster.ts';
import { concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';

const ownership = concurrentSuite('ownership');

const parentOf = (deployment: Deployment): Promise<KubeObject | undefined> =>
  deployment.get('configmap', `strata-${deployment.overlay}`);

/** KEP-3659: the id that any tool computes from name, namespace and kind of the parent. */
function applySetId(deployment: Deployment): string {
  const identity = `strata-${deployment.overlay}.${deployment.namespace}.ConfigMap.`;
  return `applyset-${createHash('sha256').update(identity).digest('base64url')}-v1`;
}

const kindsOf = async (deployment: Deployment): Promise<string[]> =>
  (await parentOf(deployment))?.metadata.annotations?.['applyset.kubernetes.io/contains-group-kinds']?.split(
    ',',
  ) ?? [];

const replicas = async (deployment: Deployment): Promise<unknown> =>
  at(await deployment.get('deployment', 'frontend'), 'spec', 'replicas');

ownership('of a field by another manager is a conflict; --force-conflicts takes it over', () =>
  withDeployment({}, async (deployment) => {
    deployment.kustomize((kustomization) => {
      kustomization.replicas = [{ name: 'frontend', count: 1 }];
    });
    await deployment.expect(0, 'up');
    await deployment.kubectl(
      ['apply', '--server-side', '--force-conflicts', '--field-manager=autoscaler', '-f', '-'],
      { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'frontend' }, spec: { replicas: 3 } },
    );
    await deployment.kubectl(['rollout', 'status', 'deployment/frontend', '--timeout=60s']);
    deployment.setValues({ APP_NAME: 'would change the backend too' });
    const before = await deployment.snapshot();
    for (const command of ['diff', 'up']) {
      const { stderr } = await deployment.expect(3, command);
      assert.match(
        stderr,
        /error: Deployment\/frontend: \.spec\.replicas is held by autoscaler, who last wrote at \d{4}-\d\d-\d\dT[\d:]+Z\n/,
      );
      assert.match(stderr, /next: .*--force-conflicts/);
      assert.match(stderr, /nothing was changed \[CONFLICT\]/);
    }
    assert.equal(await deployment.snapshot(), before);

    const diff = await deployment.expect(1, 'diff', ['--force-conflicts']);
    assert.match(diff.stdout, /- +replicas: 3\n +\+ +replicas: 1\n/);
    await deployment.expect(0, 'up', ['--force-conflicts']);
    assert.is(await replicas(deployment), 1);
    const managers = (await deployment.get('deployment', 'frontend'))?.metadata.managedFields ?? [];
    const holders = managers.filter(({ fieldsV1 }) => at(fieldsV1, 'f:spec', 'f:replicas') !== undefined);
    assert.equal(
      holders.map(({ manager }) => manager),
      ['strata'],
    );
    await deployment.expect(0, 'diff');
  }),
);

const account = (name: string, metadata: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { name, ...metadata },
});

ownership('is not taken of what client-side apply, another tool or a copied label made', () =>
  withDeployment({}, async (deployment) => {
    await deployment.kubectl(['create', 'namespace', deployment.namespace]);
    await deployment.kubectl(['apply', '-f', '-'], {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'backend' },
      spec: { selector: { app: 'theirs' }, ports: [{ port: 1234 }] },
    });
    await deployment.kubectl(
      ['apply', '--server-side', '--field-manager=helm', '-f', '-'],
      account('frontend', { labels: { 'app.kubernetes.io/managed-by': 'Helm' } }),
    );
    await deployment.kubectl(
      ['create', '-f', '-'],
      account('backend', { labels: { 'applyset.kubernetes.io/part-of': applySetId(deployment) } }),
    );
    const before = await deployment.snapshot();
    for (const flags of [[], ['--force-conflicts']]) {
      for (const command of ['diff', 'up']) {
        const { stderr } = await deployment.expect(3, command, flags);
        assert.match(stderr, /error: Service\/backend: exists and was made by kubectl-client-side-apply\n/);
        assert.match(stderr, /error: ServiceAccount\/frontend: exists and was made by helm\n/);
        assert.match(stderr, /error: ServiceAccount\/backend: exists and was made by kubectl-create\n/);
        assert.match(stderr, /\[NOT_OWNED\]/);
      }
    }
    assert.equal(await deployment.snapshot(), before);
    const down = await deployment.expect(0, 'down');
    assert.match(down.stderr, /nothing of overlay minikube/);
    assert.equal(await deployment.snapshot(), before);
  }),
);

ownership('of one overlay is not that of another in the same namespace', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    for (const file of ['kustomization.yaml', 'namespace.yaml', 'strata.yaml', 'service.node-port.yaml'])
      deployment.copy(deployment.own(file), `overlays/second/${file}`);
    const before = await deployment.snapshot();
    const { stderr } = await deployment.expect(3, 'up', [], { overlay: 'second' });
    assert.match(stderr, /error: Deployment\/backend: exists and belongs to another inventory\n/);
    assert.match(stderr, /\[NOT_OWNED\]/);
    await deployment.expect(0, 'down', [], { overlay: 'second' });
    assert.equal(await deployment.snapshot(), before);
  }),
);

ownership('is written down as KEP-3659 says, and other tools respect it', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    const parent = await parentOf(deployment);
    assert.is(parent?.metadata.labels?.['applyset.kubernetes.io/id'], applySetId(deployment));
    assert.match(parent?.metadata.annotations?.['applyset.kubernetes.io/tooling'] ?? '', /^strata\/v\d/);
    assert.equal(await kindsOf(deployment), [
      'ConfigMap',
      'Deployment.apps',
      'Namespace',
      'Secret',
      'Service',
      'ServiceAccount',
    ]);
    const members = await deployment.list(
      'deployments,services,serviceaccounts,configmaps,secrets',
      '-l',
      `applyset.kubernetes.io/part-of=${applySetId(deployment)}`,
    );
    assert.is(members.length, 10);

    const before = await deployment.snapshot();
    // It is alpha, so kubectl hides the flag without this.
    process.env.KUBECTL_APPLYSET = 'true';
    const refused = await deployment.tryKubectl(
      ['apply', '--server-side', '--prune', `--applyset=configmap/strata-${deployment.overlay}`, '-f', '-'],
      account('intruder'),
    );
    assert.is(refused.status, 1);
    assert.match(refused.stderr, /tooling|managed by/);
    assert.match(refused.stderr, /strata/);
    assert.equal(await deployment.snapshot(), before);
  }),
);

const budget = (name: string): object => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: { name },
  spec: { maxUnavailable: 1, selector: { matchLabels: { app: name } } },
});

const limits = {
  apiVersion: 'v1',
  kind: 'LimitRange',
  metadata: { name: 'small' },
  spec: { limits: [{ type: 'Pod', max: { memory: '8Mi' } }] },
};

const largeJob = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'large' },
  spec: {
    containers: [{ name: 'large', image: 'large:1', resources: { limits: { memory: '64Mi' } } }],
  },
};

ownership('names kinds before their first object is there, and forgets them after the last is gone', () =>
  withDeployment({}, async (deployment) => {
    deployment.edit(deployment.own('namespace.yaml'), (text) => text.replaceAll(/^.*pod-security.*\n/gm, ''));
    await deployment.expect(0, 'up');
    deployment.add({ 'budget.yaml': budget('extra'), 'limits.yaml': limits, 'large.yaml': largeJob });
    const { stderr } = await deployment.expect(3, 'up');
    assert.match(stderr, /\[APPLY_FAILED\]/);
    const widened = await kindsOf(deployment);
    for (const kind of ['LimitRange', 'Pod', 'PodDisruptionBudget.policy', 'Deployment.apps'])
      assert.ok(widened.includes(kind), kind);
    assert.is(await deployment.get('pod', 'large'), undefined);

    deployment.drop('budget.yaml', 'limits.yaml', 'large.yaml');
    await deployment.expect(0, 'up');
    assert.equal(await kindsOf(deployment), [
      'ConfigMap',
      'Deployment.apps',
      'Namespace',
      'Secret',
      'Service',
      'ServiceAccount',
    ]);
    assert.equal(await deployment.list('limitranges,poddisruptionbudgets'), []);
  }),
);

ownership('is found again when somebody has deleted the inventory', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    await deployment.kubectl(['delete', 'configmap', `strata-${deployment.overlay}`]);
    const { stdout } = await deployment.expect(1, 'diff');
    assert.match(stdout, /the inventory is missing, it is written again/);
    await deployment.expect(0, 'up');
    await deployment.expect(0, 'diff');
    const parent = await eventually(
      () => parentOf(deployment),
      (found) => found !== undefined,
    );
    assert.is(parent?.metadata.labels?.['applyset.kubernetes.io/id'], applySetId(deployment));
  }),
);

ownership('of a parent with the right name but of another tool is refused', () =>
  withDeployment({}, async (deployment) => {
    await deployment.kubectl(['create', 'namespace', deployment.namespace]);
    await deployment.kubectl(['create', 'configmap', `strata-${deployment.overlay}`]);
    const before = await deployment.snapshot();
    for (const command of ['diff', 'up', 'down', 'status']) {
      const { stderr } = await deployment.expect(3, command);
      assert.match(
        stderr,
        /ConfigMap\/strata-minikube .* is in the way: it is no inventory of strata \[NOT_OWNED\]/,
      );
    }
    assert.equal(await deployment.snapshot(), before);
  }),
);

ownership.run();
