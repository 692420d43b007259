import * as assert from 'uvu/assert';
import { at, type KubeObject } from '../../scripts/lib/manifest.ts';
import { command as up } from '../../scripts/up.ts';
import { rejection } from '../support/assertions.ts';
import { concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';
import { testSession } from '../support/session.ts';
import { meddlingKubectl, settings, webDeployment, writeSmallTree } from '../support/small-tree.ts';

const guard = concurrentSuite('guard');

const applying = '*" apply --server-side"*';

const withSmall = (work: (deployment: Deployment) => Promise<void>): Promise<void> =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    writeSmallTree(deployment);
    await work(deployment);
  });

const time = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/.source;

/** `up` while somebody does this between the comparison and the apply. */
const upWhile = (deployment: Deployment, lines: string[], flags: string[] = []) =>
  deployment.strata('up', flags, {
    environment: { PATH: meddlingKubectl(deployment, applying, lines) },
  });

const dataOf = async (deployment: Deployment): Promise<unknown> =>
  (await deployment.get('configmap', 'settings'))?.data;

for (const flags of [[], ['--force-conflicts']]) {
  guard(`refuses what was edited in between, says by whom and leaves it, ${flags.join() || 'plain'}`, () =>
    withSmall(async (deployment) => {
      await deployment.expect(0, 'up');
      deployment.add({ 'settings.yaml': settings({ colour: 'blue' }) });
      const edit = `patch configmap settings --field-manager=editor --type=merge -p '{"data":{"shape":"round"}}'`;
      const { status, stderr } = await upWhile(deployment, [edit], flags);
      assert.is(status, 3, stderr);
      assert.match(
        stderr,
        new RegExp(`error: ConfigMap/settings: was changed by editor at ${time}, who holds data.shape\n`),
      );
      assert.match(stderr, /\[PLAN_STALE\]/);
      assert.match(stderr, `next: ${deployment.commandOf('diff')}`);
      assert.equal(await dataOf(deployment), { colour: 'red', shape: 'round' });
      await deployment.expect(0, 'up');
      assert.equal(await dataOf(deployment), { colour: 'blue', shape: 'round' });
    }),
  );
}

guard('does not mind a status that moves in between', () =>
  withSmall(async (deployment) => {
    await deployment.expect(0, 'up');
    deployment.add({ 'web.yaml': webDeployment({ minReadySeconds: 1 }) });
    const report = `patch deployment web --subresource=status --type=merge -p '{"status":{"observedGeneration":0}}'`;
    const { status, stderr } = await upWhile(deployment, [report], ['--verbose']);
    assert.is(status, 0, stderr);
    // The first try met the older version.
    assert.ok(stderr.split('apply --server-side').length - 1 >= 2, stderr);
    assert.is(at(await deployment.get('deployment', 'web'), 'spec', 'minReadySeconds'), 1);
  }),
);

guard('takes nothing over that somebody else created in between', () =>
  withSmall(async (deployment) => {
    deployment.remove(deployment.own('settings.yaml'));
    deployment.write(
      deployment.own('kustomization.yaml'),
      `namespace: ${deployment.namespace}\nresources: [web.yaml]\n`,
    );
    await deployment.expect(0, 'up');
    deployment.add({ 'settings.yaml': settings() });
    const { status, stderr } = await upWhile(
      deployment,
      ['create configmap settings --from-literal=colour=red'],
      ['--force-conflicts'],
    );
    assert.is(status, 3, stderr);
    assert.match(stderr, new RegExp(`error: ConfigMap/settings: was created by kubectl-create at ${time}\n`));
    const { metadata } = (await deployment.get('configmap', 'settings')) as KubeObject;
    assert.equal(
      metadata.managedFields?.map(({ manager }) => manager),
      ['kubectl-create'],
    );
  }),
);

guard('does not bring back what somebody deleted in between', () =>
  withSmall(async (deployment) => {
    await deployment.expect(0, 'up');
    deployment.add({ 'settings.yaml': settings({ colour: 'blue' }) });
    const { status, stderr } = await upWhile(deployment, ['delete configmap settings']);
    assert.is(status, 3, stderr);
    assert.match(stderr, /error: ConfigMap\/settings: was deleted\n/);
    assert.is(await dataOf(deployment), undefined);
  }),
);

guard('takes another object of the same name for another one', () =>
  withSmall(async (deployment) => {
    await deployment.expect(0, 'up');
    deployment.add({ 'settings.yaml': settings({ colour: 'blue' }) });
    const { status, stderr } = await upWhile(deployment, [
      'delete configmap settings',
      'create configmap settings --from-literal=shape=round',
    ]);
    assert.is(status, 3, stderr);
    assert.match(stderr, /error: ConfigMap\/settings: was deleted and created again by kubectl-create at /);
    assert.equal(await dataOf(deployment), { shape: 'round' });
  }),
);

guard('does not prune what was edited since it was compared', () =>
  withSmall(async (deployment) => {
    deployment.add({ 'extra.yaml': { ...settings(), metadata: { name: 'extra' } } });
    await deployment.expect(0, 'up');
    deployment.drop('extra.yaml');
    deployment.add({ 'settings.yaml': settings({ colour: 'blue' }) });
    const { status, stderr } = await upWhile(deployment, ['label configmap extra keep=me']);
    assert.is(status, 3, stderr);
    assert.match(stderr, /error: ConfigMap\/extra: was changed by kubectl-label at /);
    assert.match(stderr, /nothing was pruned \[PLAN_STALE\]/);
    assert.ok(await deployment.get('configmap', 'extra'));
    await deployment.expect(0, 'up');
    assert.is(await deployment.get('configmap', 'extra'), undefined);
  }),
);

guard('reads everything again after the question, and says all that moved before it writes anything', () =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    writeSmallTree(deployment);
    // Not a local one, so that somebody is asked.
    deployment.writeKubeconfig('team');
    deployment.allow('team');
    await deployment.expect(0, 'up', ['--yes']);
    deployment.add({
      'settings.yaml': settings({ colour: 'blue' }),
      'web.yaml': webDeployment({ minReadySeconds: 1 }),
      'extra.yaml': { ...settings(), metadata: { name: 'extra' } },
    });
    let before = new Map<string, string>();
    const session = testSession({
      root: deployment.root,
      environment: deployment.environment,
      terminal: {
        interactive: true,
        async ask() {
          await deployment.kubectl(['label', 'deployment', 'web', 'team=a']);
          await deployment.kubectl(['delete', 'configmap', 'settings']);
          await deployment.kubectl(['create', 'configmap', 'extra', '--from-literal=colour=red']);
          before = await deployment.snapshot();
          return deployment.overlay;
        },
      },
    });
    const error = await rejection(up.run(session, { positionals: [deployment.overlay], flags: {} }));
    session.end();
    assert.is(error.code, 'PLAN_STALE', error.message);
    assert.match(error.message, /nothing was changed$/);
    assert.equal(
      error.problems.map(({ subject, message }) => `${subject} ${message.replace(/ at .*/, '')}`).sort(),
      [
        'ConfigMap/extra was created by kubectl-create',
        'ConfigMap/settings was deleted',
        'Deployment/web was changed by kubectl-label',
      ],
    );
    assert.equal(await deployment.snapshot(), before);
  }),
);

guard.run();
