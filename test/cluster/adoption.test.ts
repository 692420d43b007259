import * as assert from 'uvu/assert';
import { at, isRecord, type KubeObject, lastAppliedAnnotation } from '../../scripts/lib/manifest.ts';
import { assertPlanComesTrue, planOf } from '../support/agreement.ts';
import { clusterListing, concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';
import { meddlingKubectl, settings, webDeployment, writeSmallTree } from '../support/small-tree.ts';

const adoption = concurrentSuite('adoption');

const annotationOf = (object: KubeObject | undefined): string | undefined =>
  object?.metadata.annotations?.[lastAppliedAnnotation];

/** `manager operation` of everybody but those who only report. */
const managersOf = (object: KubeObject | undefined): string[] =>
  (object?.metadata.managedFields ?? [])
    .filter(({ subresource }) => subresource === undefined)
    .map(({ manager, operation }) => `${manager} ${operation}`)
    .sort();

/** The Deployment of the small tree as somebody else wrote it: more of everything. */
function theirDeployment(): Record<string, unknown> {
  const theirs = webDeployment({ replicas: 2, minReadySeconds: 3, revisionHistoryLimit: 4 });
  const template = at(theirs, 'spec', 'template', 'spec') as { containers: object[] };
  const [web] = template.containers;
  template.containers = [
    {
      ...web,
      image: 'web:0',
      env: [
        { name: 'OLD', value: '1' },
        { name: 'MODE', value: 'plain' },
      ],
    },
    { name: 'sidecar', image: 'sidecar:1' },
  ];
  return {
    ...theirs,
    metadata: { name: 'web', labels: { app: 'web', team: 'core' }, annotations: { 'example.com/note': 'x' } },
  };
}

const theirService = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web' },
  spec: { type: 'NodePort', selector: { app: 'web' }, ports: [{ port: 80 }], sessionAffinity: 'ClientIP' },
};
const ourService = { ...theirService, spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } };

type Maker = (deployment: Deployment, object: object) => Promise<string>;
const makers: Record<string, Maker> = {
  'client-side apply': (deployment, object) => deployment.kubectl(['apply', '-f', '-'], object),
  'client-side apply of another name': (deployment, object) =>
    deployment.kubectl(['apply', '--field-manager=robot', '-f', '-'], object),
  'server-side apply': (deployment, object) =>
    deployment.kubectl(['apply', '--server-side', '--field-manager=helm', '-f', '-'], object),
  create: (deployment, object) => deployment.kubectl(['create', '-f', '-'], object),
};

for (const [name, make] of Object.entries(makers)) {
  adoption(`of what ${name} made: the plan lists what goes, and that goes`, () =>
    withDeployment({ overlay: 'none' }, async (deployment) => {
      writeSmallTree(deployment, { 'service.yaml': ourService });
      const listed = await clusterListing(deployment);
      await deployment.kubectl(['create', 'namespace', deployment.namespace]);
      await make(deployment, theirDeployment());
      await make(deployment, theirService);
      await make(deployment, settings({ colour: 'red', theirs: 'x' }));
      await deployment.kubectl(['rollout', 'status', 'deployment/web', '--timeout=60s']);
      const before = await deployment.snapshot();
      for (const command of ['diff', 'up']) {
        const { stderr } = await deployment.expect(3, command);
        assert.match(stderr, /error: Deployment\/web: exists and was made by .*\n.*--adopt/);
        assert.match(stderr, /\[NOT_OWNED\]/);
      }
      assert.equal(await deployment.snapshot(), before);

      const { stdout } = await deployment.expect(1, 'diff', ['--adopt']);
      assert.match(stdout, /~ change Deployment\/web\n {4}adopted from .+: down will delete it\n/);
      assert.match(stdout, /^ {4}- +minReadySeconds: 3$/m);
      assert.match(stdout, /^ {4}- +name: sidecar$/m);
      assert.match(stdout, /^ {4}- theirs/m);
      const plan = await assertPlanComesTrue(deployment, ['--adopt']);
      assert.equal(
        plan.objects
          .filter((object) => 'adopted' in object)
          .map(({ kind }) => kind)
          .sort(),
        ['ConfigMap', 'Deployment', 'Service'],
      );

      const live = await deployment.get('deployment', 'web');
      assert.equal(Object.keys((at(live, 'spec') as object) ?? {}).includes('minReadySeconds'), false);
      const containers = at(live, 'spec', 'template', 'spec', 'containers') as {
        name: string;
        env: unknown;
      }[];
      assert.equal(
        containers.map((container) => container.name),
        ['web'],
      );
      assert.equal(containers[0]!.env, [{ name: 'MODE', value: 'plain' }]);
      assert.is(at(await deployment.get('service', 'web'), 'spec', 'type'), 'ClusterIP');
      assert.equal(at(await deployment.get('configmap', 'settings'), 'data'), { colour: 'red' });
      for (const kind of ['deployment', 'service']) {
        const object = await deployment.get(kind, 'web');
        assert.equal(managersOf(object), ['strata Apply'], kind);
        assert.is(annotationOf(object), undefined, kind);
      }
      await deployment.expect(0, 'diff');
      await deployment.expect(0, 'down');
      await deployment.kubectl(['delete', 'namespace', deployment.namespace]);
      assert.equal(await clusterListing(deployment), listed);
    }),
  );
}

adoption('leaves to others what they hold besides, and asks for what they hold too', () =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    writeSmallTree(deployment);
    await deployment.kubectl(['create', 'namespace', deployment.namespace]);
    await deployment.kubectl(['apply', '-f', '-'], theirDeployment());
    await deployment.kubectl(['rollout', 'status', 'deployment/web', '--timeout=60s']);
    await deployment.kubectl(['label', 'deployment', 'web', 'owner=me']);
    await deployment.kubectl(['scale', 'deployment', 'web', '--replicas=3']);
    const conflict = await deployment.expect(3, 'diff', ['--adopt']);
    assert.match(conflict.stderr, /error: Deployment\/web: \.spec\.replicas is held by kubectl\n/);
    assert.match(conflict.stderr, /\[CONFLICT\]/);

    await assertPlanComesTrue(deployment, ['--adopt', '--force-conflicts']);
    const live = await deployment.get('deployment', 'web');
    assert.is(live?.metadata.labels?.owner, 'me');
    assert.is(live?.metadata.labels?.team, undefined);
    assert.is(at(live, 'spec', 'replicas'), 1);
  }),
);

adoption('is not of another inventory, nor of what a controller made', () =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    writeSmallTree(deployment);
    await deployment.expect(0, 'up');
    for (const file of ['kustomization.yaml', 'web.yaml', 'settings.yaml', 'strata.yaml'])
      deployment.copy(deployment.own(file), `overlays/second/${file}`);
    const before = await deployment.snapshot();
    const second = await deployment.expect(3, 'up', ['--adopt'], { overlay: 'second' });
    assert.match(second.stderr, /error: Deployment\/web: exists and belongs to another inventory\n/);

    const [set] = await deployment.list('replicasets');
    const { name, labels } = set!.metadata;
    const { apiVersion, kind, spec } = set!;
    deployment.add({ 'set.yaml': { apiVersion, kind, metadata: { name, labels }, spec } });
    const { stderr } = await deployment.expect(3, 'up', ['--adopt']);
    assert.match(stderr, new RegExp(`error: ReplicaSet/${name}: exists and belongs to Deployment/web\n`));
    assert.equal(await deployment.snapshot(), before);
  }),
);

adoption('of the whole app, put there by kubectl apply', () =>
  withDeployment({}, async (deployment) => {
    const { stdout } = await deployment.expect(0, 'render', [], { mayPrintSecrets: true });
    await deployment.kubectl(['apply', '-f', '-'], stdout.replace('periodSeconds: 2', 'periodSeconds: 4'));
    const copied = await deployment.list('secrets');
    assert.ok(copied.length > 0 && copied.every(annotationOf));
    const plan = await assertPlanComesTrue(deployment, ['--adopt']);
    const changed = plan.objects.flatMap(({ fields = [] }) => fields.map(({ path }) => path));
    assert.equal(changed, ['spec.template.spec.containers[0].startupProbe.periodSeconds']);
    const objects = await deployment.list('deployments,services,serviceaccounts,configmaps,secrets');
    assert.equal(objects.filter(annotationOf), []);
  }),
);

adoption('that broke off before the apply is finished by the same command', () =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    writeSmallTree(deployment);
    deployment.drop('web.yaml');
    await deployment.expect(0, 'up');
    deployment.add({ 'web.yaml': webDeployment() });
    await deployment.kubectl(['apply', '-f', '-'], theirDeployment());
    const meddled = meddlingKubectl(deployment, '*apply*', ['get nothing-of-that-name']);
    await deployment.expect(3, 'up', ['--adopt'], { environment: { PATH: meddled } });
    const between = await deployment.get('deployment', 'web');
    assert.equal(managersOf(between), ['strata Apply']);
    assert.is(annotationOf(between), undefined);
    assert.is(at(between, 'spec', 'minReadySeconds'), 3, 'nothing but who holds it has changed');
    await assertPlanComesTrue(deployment, ['--adopt']);
    assert.is(at(await deployment.get('deployment', 'web'), 'spec', 'minReadySeconds'), undefined);
  }),
);

adoption('by a saved plan', () =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    writeSmallTree(deployment);
    await deployment.kubectl(['create', 'namespace', deployment.namespace]);
    await deployment.kubectl(['apply', '-f', '-'], theirDeployment());
    const file = `${deployment.root}/plan.json`;
    await deployment.expect(1, 'diff', ['--adopt', '--save', file]);
    await deployment.kubectl(['patch', 'deployment', 'web', '-p', '{"spec":{"minReadySeconds":5}}']);
    const stale = await deployment.expect(3, 'up', ['--plan', file]);
    assert.match(stale.stderr, /Deployment\/web: was changed by kubectl-patch.*\n/);
    await deployment.expect(1, 'diff', ['--adopt', '--save', file]);
    await deployment.expect(0, 'up', ['--plan', file]);
    await deployment.expect(0, 'diff');
  }),
);

const secretName = async (deployment: Deployment): Promise<string> =>
  (await deployment.generated('Secret', 'web'))[0]!;

adoption('of the copy of a Secret that client-side apply leaves: it goes, and nothing else', () =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    writeSmallTree(deployment);
    await deployment.expect(0, 'up');
    const name = await secretName(deployment);
    const { data } = (await deployment.get('secret', name))!;
    const copy = { apiVersion: 'v1', kind: 'Secret', metadata: { name }, data };
    await deployment.kubectl(['apply', '-f', '-'], copy);
    assert.match(annotationOf(await deployment.get('secret', name)) ?? '', /WEB_TOKEN/);

    const { stdout } = await deployment.expect(1, 'diff');
    assert.match(
      stdout,
      /~ change Secret\/web-\w+\n {4}takes over .* from kubectl-client-side-apply\n {4}the copy of the manifest .* goes\n/,
    );
    await assertPlanComesTrue(deployment);
    const live = await deployment.get('secret', name);
    assert.is(annotationOf(live), undefined);
    assert.equal(live?.data, data);
    assert.equal(managersOf(live), ['strata Apply']);

    // Other tools copy annotations without holding them as client-side apply does.
    await deployment.kubectl(['annotate', 'secret', name, `${lastAppliedAnnotation}={"data":"…"}`]);
    await deployment.expect(0, 'up');
    assert.is(annotationOf(await deployment.get('secret', name)), undefined);
    await deployment.expect(0, 'diff');
  }),
);

adoption('of what client-side apply wrote into an object of strata is in the plan', () =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    writeSmallTree(deployment);
    await deployment.expect(0, 'up');
    const theirs = theirDeployment();
    const spec = { ...(theirs.spec as object), replicas: 1 };
    const container = at(spec, 'template', 'spec', 'containers', 0);
    if (isRecord(container)) container.image = 'web:1';
    await deployment.kubectl(['apply', '-f', '-'], { ...theirs, spec });
    // Its image is the same, so nothing but the takeover is to be done.
    const plan = await planOf(deployment, 1);
    const change = plan.objects.find(({ kind }) => kind === 'Deployment');
    assert.ok(change?.fields?.some(({ path }) => path === 'spec.minReadySeconds'));
    await assertPlanComesTrue(deployment);
    assert.is(at(await deployment.get('deployment', 'web'), 'spec', 'minReadySeconds'), undefined);
  }),
);

adoption('is never of a namespace: what others set there stays', () =>
  withDeployment({}, async (deployment) => {
    const namespace = {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: deployment.namespace, labels: { team: 'core' }, annotations: { note: 'theirs' } },
    };
    await deployment.kubectl(['apply', '-f', '-'], namespace);
    await assertPlanComesTrue(deployment, ['--adopt']);
    const live = await deployment.get('namespace', deployment.namespace);
    assert.is(live?.metadata.labels?.team, 'core');
    assert.is(live?.metadata.annotations?.note, 'theirs');
    assert.is(live?.metadata.labels?.['app.kubernetes.io/part-of'], 'todo');
    assert.match(annotationOf(live) ?? '', /team/);
    await deployment.expect(0, 'down');
    assert.is((await deployment.get('namespace', deployment.namespace))?.metadata.labels?.team, 'core');
  }),
);

adoption.run();
