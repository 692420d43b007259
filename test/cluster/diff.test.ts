import * as assert from 'uvu/assert';
import { numberAt } from '../../scripts/lib/manifest.ts';
import { assertPlanComesTrue, ownKinds, planOf } from '../support/agreement.ts';
import { eventually } from '../support/cluster.ts';
import { clusterListing, concurrentSuite, withDeployment } from '../support/deployment.ts';

const diff = concurrentSuite('diff');

const service = (name: string, spec: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { selector: { app: name }, ports: [{ port: 80 }], ...spec },
});

diff('shows exactly what up then does, whoever changed what', () =>
  withDeployment({}, async (deployment) => {
    deployment.add({ 'service.extra.yaml': service('extra') });
    await deployment.expect(0, 'up');

    const patch = (target: string, ...operations: object[]): Promise<string> =>
      deployment.kubectl(['patch', target, '--type=json', '-p', JSON.stringify(operations)]);
    await patch(
      'deployment/backend',
      { op: 'remove', path: '/spec/template/spec/containers/0/livenessProbe' },
      { op: 'remove', path: '/metadata/labels/app.kubernetes.io~1name' },
      { op: 'add', path: '/spec/template/spec/containers/0/env/-', value: { name: 'EXTRA', value: '1' } },
    );
    await deployment.kubectl(['annotate', 'service/backend', 'example.com/note=mine']);
    await deployment.kubectl(['label', 'serviceaccount/backend', 'team=core']);
    await deployment.kubectl(['delete', 'service', 'frontend']);
    deployment.drop('service.extra.yaml');
    deployment.add({ 'service.second.yaml': service('second') });
    deployment.edit('base/backend/service.yaml', (text) => text.replace('port: 8000', 'port: 8001'));
    const plan = await assertPlanComesTrue(deployment);
    const actions = plan.objects
      .filter(({ action }) => action !== 'unchanged')
      .map(({ action, kind, name }) => `${action} ${kind}/${name}`);
    assert.equal(actions.sort(), [
      'change Deployment/backend',
      'change Service/backend',
      'create Service/frontend',
      'create Service/second',
      'prune Service/extra',
    ]);
    const backend = await deployment.get('service', 'backend');
    assert.is(backend?.metadata.annotations?.['example.com/note'], 'mine', 'what others add stays');
    const account = await deployment.get('serviceaccount', 'backend');
    assert.is(account?.metadata.labels?.team, 'core');
  }),
);

diff('shows what --force-conflicts takes over, and a mere change of ownership', () =>
  withDeployment({}, async (deployment) => {
    deployment.kustomize((kustomization) => {
      kustomization.replicas = [{ name: 'frontend', count: 1 }];
    });
    await deployment.expect(0, 'up');
    const [config] = await deployment.generated('ConfigMap', 'backend-config');
    await deployment.kubectl(['scale', 'deployment/frontend', '--replicas=3']);
    await deployment.kubectl(['label', 'service/backend', 'app.kubernetes.io/name=renamed', '--overwrite']);
    await deployment.kubectl(['patch', 'configmap', config!, '-p', '{"data":{"APP_NAME":"edited"}}']);
    await deployment.kubectl(['set', 'image', 'deployment/backend', 'backend=todo-backend:hotfix']);
    await deployment.kubectl(['rollout', 'status', 'deployment/backend', '--timeout=60s']);
    const refused = await deployment.expect(3, 'diff');
    assert.match(refused.stderr, /Deployment\/frontend: \.spec\.replicas is held by kubectl\n/);
    assert.match(
      refused.stderr,
      /Service\/backend: \.metadata\.labels\.app\.kubernetes\.io\/name is held by/,
    );
    assert.match(
      refused.stderr,
      /ConfigMap\/\S+: \.data\.APP_NAME is held by kubectl-patch, who last wrote at \d{4}-/,
    );
    assert.match(refused.stderr, /\[CONFLICT\]/);
    const plan = await assertPlanComesTrue(deployment, ['--force-conflicts']);
    assert.is(plan.summary.change, 4);

    // The same value, wanted by two: when one of them lets go, nothing but the list of owners changes.
    const labelled = (labels: object): object => ({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'frontend', labels },
    });
    deployment.add({ 'account.label.yaml': labelled({ 'example.com/team': 'core' }) }, 'patches');
    await deployment.expect(0, 'up');
    await deployment.kubectl(
      ['apply', '--server-side', '--field-manager=auditor', '-f', '-'],
      labelled({ 'example.com/team': 'core' }),
    );
    deployment.drop('account.label.yaml');
    const owners = await assertPlanComesTrue(deployment);
    const changed = owners.objects.filter(({ action }) => action === 'change');
    assert.equal(
      changed.map(({ kind, name, ownershipOnly, fields }) => [kind, name, ownershipOnly, fields]),
      [['ServiceAccount', 'frontend', true, []]],
    );
    const account = await deployment.get('serviceaccount', 'frontend');
    assert.is(account?.metadata.labels?.['example.com/team'], 'core');
  }),
);

diff('of a namespace that does not exist creates nothing at all', () =>
  withDeployment({}, async (deployment) => {
    const before = await clusterListing(deployment);
    const plan = await planOf(deployment, 1);
    assert.equal(new Set(plan.objects.map(({ action }) => action)), new Set(['create']));
    assert.is(plan.schema, 'strata.dev/plan/v1');
    assert.is((await deployment.expect(0, 'diff', ['--exit-zero'])).stdout.split('\n')[0]?.[0], '+');
    await deployment.expect(0, 'status');
    assert.equal(await clusterListing(deployment), before);
    assert.ok(before.length > 100, 'the listing saw the cluster');
  }),
);

diff(
  'and up refuse in a new namespace what the server would not take, all of it at once, and create nothing',
  () =>
    withDeployment({}, async (deployment) => {
      deployment.add({
        'service.wrong.yaml': service('wrong', { ports: [{ port: 123456 }] }),
        'deployment.wrong.yaml': {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name: 'wrong' },
          spec: {
            selector: { matchLabels: { app: 'wrong' } },
            template: {
              metadata: { labels: { app: 'other' } },
              spec: { containers: [{ name: 'wrong', image: 'wrong:1' }] },
            },
          },
        },
        'job.wrong.yaml': {
          apiVersion: 'batch/v1',
          kind: 'Job',
          metadata: { name: 'typo' },
          spec: {
            template: {
              spec: {
                restartPolicy: 'Never',
                containers: [{ name: 'typo', image: 'typo:1', comand: ['x'] }],
              },
            },
          },
        },
        'unknown.wrong.yaml': {
          apiVersion: 'example.com/v1',
          kind: 'Unknown',
          metadata: { name: 'unknown' },
        },
      });
      const before = await clusterListing(deployment);
      for (const command of ['diff', 'up']) {
        const { stderr } = await deployment.expect(3, command);
        assert.match(stderr, /Service\/wrong: the server refuses it: .*spec\.ports\[0\]\.port/, command);
        assert.match(stderr, /Deployment\/wrong: the server refuses it: .*selector/, command);
        assert.match(
          stderr,
          /Job\/typo: the server refuses it: .*\.spec\.template\.spec\.containers.*comand/,
        );
        assert.match(stderr, /Unknown\/unknown: the server refuses it: the cluster does not know Unknown/);
        assert.match(stderr, /\[CLUSTER_REFUSED\]/);
      }
      assert.equal(await clusterListing(deployment), before);
    }),
);

diff('refuses a field that the server does not know in a namespace that is there', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    deployment.edit('base/frontend/deployment.yaml', (text) =>
      text.replace('  revisionHistoryLimit: 3', '  revisionHistoryLimits: 3'),
    );
    const before = await deployment.snapshot();
    for (const command of ['diff', 'up']) {
      const { stderr } = await deployment.expect(3, command);
      assert.match(stderr, /Deployment\/frontend: the server refuses it: .*\.spec\.revisionHistoryLimits/);
    }
    assert.equal(await deployment.snapshot(), before);
  }),
);

diff('names who holds a node port', () =>
  withDeployment({}, async (holder) => {
    await holder.expect(0, 'up');
    const nodePort = numberAt(await holder.get('service', 'frontend'), 'spec', 'ports', 0, 'nodePort')!;
    await withDeployment({ nodePort }, async (deployment) => {
      const { stderr } = await deployment.expect(3, 'up');
      assert.match(stderr, /Service\/frontend: the server refuses it: .*already allocated/);
      assert.match(stderr, `node port ${nodePort} is held by Service ${holder.namespace}/frontend`);
      assert.is(await deployment.get('namespace', deployment.namespace), undefined);
    });
  }),
);

diff('custom resources of a new kind: not validated, waited for, and taken back by an up that fails', () =>
  withDeployment({}, async (deployment) => {
    const group = `${deployment.namespace}.example.com`;
    const definition = `widgets.${group}`;
    deployment.add({
      'customresourcedefinition.yaml': {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name: definition },
        spec: {
          group,
          scope: 'Namespaced',
          names: { kind: 'Widget', plural: 'widgets', singular: 'widget' },
          versions: [
            {
              name: 'v1',
              served: true,
              storage: true,
              schema: {
                openAPIV3Schema: {
                  type: 'object',
                  properties: { spec: { type: 'object', properties: { size: { type: 'integer' } } } },
                },
              },
            },
          ],
        },
      },
      'widget.yaml': {
        apiVersion: `${group}/v1`,
        kind: 'Widget',
        metadata: { name: 'first' },
        spec: { size: 3 },
      },
    });
    try {
      const plan = await planOf(deployment, 1);
      const widget = plan.objects.find(({ kind }) => kind === 'Widget');
      assert.is(widget?.action, 'create');
      assert.match(widget?.notValidated ?? '', /its kind comes with this overlay/);
      deployment.edit(deployment.own('widget.yaml'), (text) => text.replace('size: 3', 'size: big'));
      const failed = await deployment.expect(3, 'up');
      assert.match(failed.stderr, `CustomResourceDefinition/${definition}, created in this run, was removed`);
      assert.match((await deployment.tryKubectl(['get', 'crd', definition])).stderr, /NotFound/);
      assert.is(await deployment.get('namespace', deployment.namespace), undefined);

      deployment.edit(deployment.own('widget.yaml'), (text) => text.replace('size: big', 'size: 3'));
      const outcome = await deployment.expect(0, 'up');
      assert.match(outcome.stderr, /not validated: its kind comes with this overlay/);
      assert.is(numberAt(await deployment.get(definition, 'first'), 'spec', 'size'), 3);
      await deployment.expect(0, 'diff');

      deployment.edit(deployment.own('widget.yaml'), (text) => text.replace('size: 3', 'size: big'));
      const refused = await deployment.expect(3, 'diff');
      assert.match(refused.stderr, /Widget\/first: the server refuses it: .*spec\.size/);
      deployment.edit(deployment.own('widget.yaml'), (text) => text.replace('size: big', 'colour: red'));
      const unknown = await deployment.expect(3, 'up');
      assert.match(unknown.stderr, /Widget\/first: the server refuses it: .*\.spec\.colour/);
      deployment.edit(deployment.own('widget.yaml'), (text) => text.replace('colour: red', 'size: 4'));
      const kinds = `${ownKinds},customresourcedefinitions,${definition}`;
      const resized = await assertPlanComesTrue(deployment, [], kinds);
      assert.is(resized.summary.change, 1);
      await deployment.expect(0, 'down', ['--allow-delete', `CustomResourceDefinition/${definition}`]);
      const gone = await deployment.tryKubectl(['get', 'crd', definition]);
      assert.match(gone.stderr, /NotFound/);
    } finally {
      await deployment.tryKubectl(['delete', 'crd', definition, '--ignore-not-found', '--wait=false']);
    }
  }),
);

diff('of an overlay that renders no Namespace is honest, and up creates the namespace', () =>
  withDeployment({}, async (deployment) => {
    deployment.drop('namespace.yaml');
    const plan = await planOf(deployment, 1);
    assert.not.ok(plan.objects.some(({ kind }) => kind === 'Namespace'));
    const outcome = await deployment.expect(0, 'up');
    assert.match(outcome.stderr, `creating namespace ${deployment.namespace}`);
    await deployment.expect(0, 'diff');
    await deployment.expect(0, 'down');
    assert.is(await deployment.get('namespace', deployment.namespace), undefined);
  }),
);

diff('cannot foresee everything: a first up that the server then refuses takes its namespace back', () =>
  withDeployment({}, async (deployment) => {
    deployment.add({
      // Not in force yet when the dry run asks.
      'limitrange.yaml': {
        apiVersion: 'v1',
        kind: 'LimitRange',
        metadata: { name: 'small' },
        spec: { limits: [{ type: 'Pod', max: { memory: '8Mi' } }] },
      },
      'pod.yaml': {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'large' },
        spec: {
          securityContext: { runAsNonRoot: true, runAsUser: 1, seccompProfile: { type: 'RuntimeDefault' } },
          containers: [
            {
              name: 'large',
              image: 'large:1',
              resources: { limits: { memory: '64Mi' } },
              securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
            },
          ],
        },
      },
    });
    const { stderr } = await deployment.expect(3, 'up');
    assert.match(stderr, /\[APPLY_FAILED\]/);
    assert.match(stderr, /maximum memory usage per Pod is 8Mi/);
    assert.match(stderr, `namespace ${deployment.namespace}, created in this run, was removed again`);
    await eventually(
      () => deployment.get('namespace', deployment.namespace),
      (namespace) => namespace === undefined,
    );
  }),
);

diff.run();
