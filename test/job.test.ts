import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRunning, renewalOf, withoutGenerated } from '../scripts/lib/job.ts';
import { withoutNoise } from '../scripts/lib/plan.ts';
import { complete, deployment, failed, job } from './support/objects.ts';

const state = suite('isRunning');

for (const [what, status, expected] of [
  ['without a status', {}, false],
  ['whose Pod cannot start', { active: 1, ready: 0 }, false],
  ['at work', { active: 1, ready: 1 }, true],
  ['between two attempts', { failed: 1, ready: 0 }, false],
  ['complete', complete, false],
  ['failed, with a Pod that is not gone yet', { ...failed, ready: 1 }, false],
] as [string, Record<string, unknown>, boolean][])
  state(`a Job ${what}: ${expected}`, () => assert.is(isRunning(job({ status })), expected));

state.run();

const renewal = suite('renewalOf');
const protectedJob = { annotations: { 'strata.dev/prevent-deletion': 'true' } };

for (const [what, live, immutable, expected] of [
  ['a Job that the server would change', job({ status: complete }), [], undefined],
  ['a Job that still runs', job({ status: { active: 1, ready: 1 } }), [], undefined],
  ['a field that is fixed', job(), ['spec.template'], 'the server lets nobody change spec.template'],
  ['a Job that failed', job({ status: failed }), [], 'it failed, and runs again'],
  [
    'a Job that failed and may not be deleted',
    job({ status: failed, metadata: protectedJob }),
    [],
    undefined,
  ],
  [
    'a Job on its way out',
    job({ metadata: { deletionTimestamp: '2026-03-01T10:00:00Z' } }),
    [],
    'it is being deleted already',
  ],
  ['another kind with a fixed field', deployment(), ['spec.selector'], undefined],
] as const)
  renewal(what, () => assert.is(renewalOf(live, immutable), expected));

renewal.run();

const generated = suite('withoutGenerated');

const made = {
  'batch.kubernetes.io/controller-uid': 'u-1',
  'batch.kubernetes.io/job-name': 'migrate',
  'controller-uid': 'u-1',
  'job-name': 'migrate',
};

generated('takes away what each new Job gets anew, and nothing else', () => {
  const live = withoutNoise(job());
  const spec = live.spec as Record<string, Record<string, Record<string, unknown>>>;
  const labels = { ...spec.template!.metadata!.labels!, ...made };
  const { metadata } = spec.template!;
  const written = {
    ...live,
    metadata: {
      ...live.metadata,
      deletionTimestamp: '2026-03-01T10:00:00Z',
      deletionGracePeriodSeconds: 0,
    },
    spec: {
      ...spec,
      selector: { matchLabels: made },
      template: { ...spec.template, metadata: { ...metadata, labels } },
    },
  };
  assert.equal(withoutGenerated(written), live);
  const manual = { ...live, spec: { ...written.spec, manualSelector: true } };
  assert.equal(withoutGenerated(manual), manual);
});

generated.run();
