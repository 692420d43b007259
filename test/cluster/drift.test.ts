import * as assert from 'uvu/assert';
import type { FieldChange, KeyChange } from '../../scripts/lib/change.ts';
import { concurrentSuite, withDeployment } from '../support/deployment.ts';
import { settings, webDeployment, writeSmallTree } from '../support/small-tree.ts';

const drift = concurrentSuite('drift');

const time = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/;

drift('diff tells what someone else changed since from what the tree changes, with manager and time', () =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    writeSmallTree(deployment, { 'settings.yaml': settings({ colour: 'red', shape: 'round' }) });
    await deployment.expect(0, 'up');
    const kept = ['--field-manager=editor', '--type=merge', '-p'];
    await deployment.kubectl(['scale', 'deployment', 'web', '--replicas=3']);
    await deployment.kubectl([
      'patch',
      'deployment',
      'web',
      ...kept,
      '{"spec":{"progressDeadlineSeconds":99}}',
    ]);
    await deployment.kubectl(['patch', 'configmap', 'settings', ...kept, '{"data":{"colour":"green"}}']);
    deployment.add({
      'web.yaml': webDeployment({ minReadySeconds: 1 }),
      'settings.yaml': settings({ colour: 'red', shape: 'flat' }),
    });

    const flags = ['--force-conflicts'];
    const { stdout } = await deployment.expect(1, 'diff', flags);
    assert.match(stdout, /~ change Deployment\/web\n(?: {4}.*\n)+/);
    assert.match(stdout, /^ {4}changed since by kubectl: spec\.replicas$/m);
    assert.match(stdout, new RegExp(`^ {4}changed since by editor at ${time.source}: data\\.colour$`, 'm'));
    assert.is(stdout.match(/changed since/g)?.length, 2, stdout);

    const json = await deployment.expect(1, 'diff', [...flags, '--output', 'json']);
    const { objects } = JSON.parse(json.stdout) as {
      objects: { kind: string; fields?: FieldChange[]; keys?: KeyChange[] }[];
    };
    const find = (kind: string) => objects.filter((object) => object.kind === kind && object.fields)[0]!;
    assert.equal(
      find('Deployment')
        .fields!.map(({ path, changedBy }) => [path, changedBy])
        .sort(),
      [
        ['spec.minReadySeconds', undefined],
        ['spec.replicas', { manager: 'kubectl' }],
      ],
    );
    const [colour, shape] = find('ConfigMap').keys!;
    assert.equal(
      [colour!.key, colour!.changedBy!.manager, shape!.key, shape!.changedBy],
      ['colour', 'editor', 'shape', undefined],
    );
    assert.match(colour!.changedBy!.time!, time);

    await deployment.expect(0, 'up', flags);
    const after = await deployment.expect(0, 'diff');
    assert.not.match(after.stdout, /changed since/);
  }),
);

drift.run();
