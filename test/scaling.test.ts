import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { at, type KubeObject, numberAt } from '../scripts/lib/manifest.ts';
import type { Manifest } from '../scripts/lib/render.ts';
import { autoscaled, keepReplicas } from '../scripts/lib/scaling.ts';
import { deployment, owned } from './support/objects.ts';

const scaler = (target: Record<string, string> = {}, parts: Record<string, unknown> = {}): KubeObject =>
  owned('autoscaling/v2', 'HorizontalPodAutoscaler', 'busy', {
    spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'backend', ...target } },
    ...parts,
  });

/** As it is rendered: without anything that the server adds. */
const rendered = (spec: Record<string, unknown> = {}): KubeObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'backend', namespace: 'todo' },
  spec: { paused: false, ...spec },
});

const manifestsOf = (...objects: KubeObject[]): Manifest[] =>
  objects.map((object) => ({ object, text: `text of ${object.kind}` }));

const heldBy = (...managers: string[]): KubeObject =>
  deployment({
    spec: { replicas: 3 },
    metadata: {
      managedFields: [
        { manager: 'strata', operation: 'Apply', fieldsV1: { 'f:spec': { 'f:paused': {} } } },
        ...managers.map((manager) => ({
          manager,
          operation: manager === 'strata' ? 'Apply' : 'Update',
          fieldsV1: { 'f:spec': { 'f:replicas': {} } },
        })),
      ].slice(managers.includes('strata') ? 1 : 0),
    },
  });

const targets = suite('what is autoscaled');

targets('is told by group, kind, namespace and name of the target', () => {
  assert.equal(
    [...autoscaled([scaler(), deployment()])],
    [['Deployment.apps/todo/backend', 'HorizontalPodAutoscaler/busy']],
  );
  assert.equal(
    [...autoscaled([scaler({ apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'db' })]).keys()],
    ['StatefulSet.apps/todo/db'],
  );
});

targets('is nothing where the kind has another meaning or names nothing', () => {
  const other = owned('example.com/v1', 'HorizontalPodAutoscaler', 'other', {
    spec: scaler().spec as Record<string, unknown>,
  });
  assert.equal([...autoscaled([other, deployment()])], []);
  assert.is(
    autoscaled([owned('autoscaling/v2', 'HorizontalPodAutoscaler', 'x')]).has('Deployment.apps/todo/backend'),
    false,
  );
});

targets.run();

const keeping = suite('replicas under an autoscaler');

const replicasOf = (manifests: readonly Manifest[]): unknown => at(manifests[0]?.object, 'spec', 'replicas');

keeping('stay what strata set, as long as nobody else sets them', () => {
  const [kept, second] = keepReplicas(manifestsOf(rendered(), scaler()), [heldBy('strata')]);
  assert.is(numberAt(kept!.object, 'spec', 'replicas'), 3);
  assert.is(at(kept!.object, 'spec', 'paused'), false);
  assert.equal(JSON.parse(kept!.text), kept!.object, 'the text says the same');
  assert.is(second?.text, 'text of HorizontalPodAutoscaler');
});

const untouched: [string, Manifest[], KubeObject[]][] = [
  ['the autoscaler has set them', manifestsOf(rendered(), scaler()), [heldBy('kube-controller-manager')]],
  ['nothing is there yet', manifestsOf(rendered(), scaler()), []],
  ['nothing scales it', manifestsOf(rendered()), [heldBy('strata')]],
  ['another one is scaled', manifestsOf(rendered(), scaler({ name: 'frontend' })), [heldBy('strata')]],
  ['the manifest sets them', manifestsOf(rendered({ replicas: 1 }), scaler()), [heldBy('strata')]],
];

for (const [title, manifests, live] of untouched) {
  keeping(`are none of the business of strata when ${title}`, () => {
    assert.equal(keepReplicas(manifests, live), manifests);
    assert.is(replicasOf(keepReplicas(manifests, live)), replicasOf(manifests));
  });
}

keeping.run();
