import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KubeObject } from '../scripts/lib/manifest.ts';
import { applyWaveOf, isAhead, isJobAhead, runFaultOf, waveNames, waveOf } from '../scripts/lib/wave.ts';
import { deployment, job, owned } from './support/objects.ts';

const runs = (value: string): { annotations: Record<string, string> } => ({
  annotations: { 'strata.dev/run': value },
});
const metadata = runs('before');

const waves = suite('applyWaveOf');

const inOrder: KubeObject[][] = [
  [owned('v1', 'Namespace', 'a'), owned('apiextensions.k8s.io/v1', 'CustomResourceDefinition', 'a')],
  [
    owned('v1', 'Secret', 'a'),
    owned('v1', 'ServiceAccount', 'a'),
    owned('networking.k8s.io/v1', 'NetworkPolicy', 'a'),
  ],
  [
    deployment({ metadata }),
    owned('apps/v1', 'StatefulSet', 'a', { metadata }),
    owned('v1', 'Service', 'a', { metadata }),
    owned('example.com/v1', 'Job', 'a', { metadata }),
  ],
  [job({ metadata })],
  [
    deployment(),
    job(),
    owned('v1', 'Service', 'a'),
    owned('batch/v1', 'CronJob', 'a'),
    deployment({ metadata: runs('after') }),
  ],
];

for (const [wave, objects] of inOrder.entries()) {
  for (const object of objects)
    waves(`${object.kind} of ${object.apiVersion} is in ${waveNames[wave]}`, () =>
      assert.is(applyWaveOf(object), wave),
    );
}

waves('what the others wait for are the two before the last', () => {
  assert.equal(
    inOrder.map((_, wave) => isAhead(wave)),
    [false, false, true, true, false],
  );
  assert.equal(
    [isJobAhead(job({ metadata })), isJobAhead(job()), isJobAhead(deployment({ metadata }))],
    [true, false, false],
  );
});

waves('what is deleted goes with the workloads, whatever it says', () => {
  assert.is(waveOf({ group: 'batch', kind: 'Job', namespace: 'todo', name: 'a' }), waveNames.length - 1);
});

waves.run();

const faults = suite('runFaultOf');

faults('none in before on a workload, or in nothing', () => {
  for (const object of [job({ metadata }), deployment({ metadata }), job(), owned('v1', 'Secret', 'a')])
    assert.is(runFaultOf(object), undefined);
});

faults('another value, also an empty one', () => {
  assert.equal(runFaultOf(job({ metadata: runs('first') })), {
    value: 'first',
    message: 'strata.dev/run is "first"; the only value is before',
  });
  assert.is(runFaultOf(deployment({ metadata: runs('') }))?.value, '');
});

faults('what comes before the workloads as it is', () => {
  assert.equal(
    runFaultOf(owned('v1', 'Secret', 'a', { metadata }))?.message,
    'strata.dev/run is for workloads; this is applied before them as it is',
  );
});

faults.run();
