import { preventsDeletion } from './inventory.ts';
import { conditionOf } from './kstatus.ts';
import { at, groupKindOf, isRecord, type KubeObject, numberAt, referenceOf } from './manifest.ts';

export const isJob = (object: KubeObject): boolean => groupKindOf(referenceOf(object)) === 'Job.batch';

const hasFailed = (job: KubeObject): boolean => conditionOf(job, 'Failed')?.status === 'True';
const hasEnded = (job: KubeObject): boolean =>
  hasFailed(job) || conditionOf(job, 'Complete')?.status === 'True';

/** One of its containers is at work. A Pod that cannot start is none: its Job would never end by itself. */
export const isRunning = (job: KubeObject): boolean =>
  !hasEnded(job) && (numberAt(job, 'status', 'ready') ?? 0) > 0;

/**
 * Why a Job has to be deleted and created anew to become what is wanted; undefined when it need not, or is no Job.
 * @param immutable the fields that the server does not let change
 */
export function renewalOf(live: KubeObject, immutable: readonly string[] = []): string | undefined {
  if (!isJob(live)) return undefined;
  if (live.metadata.deletionTimestamp) return 'it is being deleted already';
  if (immutable.length > 0) return `the server lets nobody change ${immutable.join(', ')}`;
  // What failed stays so, and no `up` could ever succeed with it.
  return hasFailed(live) && !preventsDeletion(live) ? 'it failed, and runs again' : undefined;
}

/** Written into each Job by the server, with its uid and name: pkg/registry/batch/job/strategy.go of Kubernetes. */
const generatedLabels = [
  'batch.kubernetes.io/controller-uid',
  'batch.kubernetes.io/job-name',
  'controller-uid',
  'job-name',
];

/** The Job without what every new one gets anew, and without its own end. */
export function withoutGenerated(live: KubeObject): KubeObject {
  const lasting = Object.entries(live.metadata).filter(([field]) => !field.startsWith('deletion'));
  const job = { ...live, metadata: Object.fromEntries(lasting) } as unknown as KubeObject;
  const { spec } = job;
  if (!isRecord(spec) || spec.manualSelector === true) return job;
  const { selector: _, template, ...rest } = spec;
  const labels = at(template, 'metadata', 'labels');
  const kept = Object.entries(isRecord(labels) ? labels : {}).filter(
    ([name]) => !generatedLabels.includes(name),
  );
  const metadata = { ...(at(template, 'metadata') as object), labels: Object.fromEntries(kept) };
  return { ...job, spec: { ...rest, template: { ...(template as object), metadata } } };
}
