import { at, groupKindOf, type KubeObject, listAt, numberAt, referenceOf, textAt } from './manifest.ts';

export type StatusWord = 'InProgress' | 'Current' | 'Failed' | 'Terminating' | 'NotFound' | 'Unknown';

export interface Readiness {
  status: StatusWord;
  /** What is missing, in a few words; empty when Current. */
  message: string;
}

const current: Readiness = { status: 'Current', message: '' };
const inProgress = (message: string): Readiness => ({ status: 'InProgress', message });
const failed = (message: string): Readiness => ({ status: 'Failed', message });

export function conditionOf(
  object: unknown,
  type: string,
): { status: string; reason: string; message: string } | undefined {
  const found = listAt(object, 'status', 'conditions').find(
    (condition) => textAt(condition, 'type') === type,
  );
  if (found === undefined) return undefined;
  return {
    status: textAt(found, 'status') ?? '',
    reason: textAt(found, 'reason') ?? '',
    message: textAt(found, 'message') ?? '',
  };
}

const specNumber = (object: KubeObject, field: string, fallback: number): number =>
  numberAt(object, 'spec', field) ?? fallback;
const statusNumber = (object: KubeObject, field: string): number => numberAt(object, 'status', field) ?? 0;

function ofDeployment(object: KubeObject): Readiness {
  const wanted = specNumber(object, 'replicas', 1);
  const [total, updated, available] = ['replicas', 'updatedReplicas', 'availableReplicas'].map((field) =>
    statusNumber(object, field),
  ) as [number, number, number];
  // A deadline that passed long ago stays written there; replicas that are all available say more.
  if (updated >= wanted && available >= wanted && total <= updated) return current;
  const progressing = conditionOf(object, 'Progressing');
  if (progressing?.reason === 'ProgressDeadlineExceeded') {
    return failed(`no progress within ${specNumber(object, 'progressDeadlineSeconds', 600)} s`);
  }
  if (at(object, 'spec', 'paused') === true) return inProgress('the Deployment is paused');
  if (updated < wanted) return inProgress(`${updated} of ${wanted} updated`);
  if (total > updated) return inProgress(`${total - updated} old still there`);
  return inProgress(`${available} of ${wanted} available`);
}

function ofStatefulSet(object: KubeObject): Readiness {
  const wanted = specNumber(object, 'replicas', 1);
  const ready = statusNumber(object, 'readyReplicas');
  if (ready < wanted) return inProgress(`${ready} of ${wanted} ready`);
  if (textAt(object, 'spec', 'updateStrategy', 'type') === 'OnDelete') return current;
  const partition = numberAt(object, 'spec', 'updateStrategy', 'rollingUpdate', 'partition') ?? 0;
  const updated = statusNumber(object, 'updatedReplicas');
  if (updated < wanted - partition) return inProgress(`${updated} of ${wanted - partition} updated`);
  const isOneRevision =
    textAt(object, 'status', 'currentRevision') === textAt(object, 'status', 'updateRevision');
  return partition === 0 && !isOneRevision ? inProgress('the new revision is not complete') : current;
}

function ofDaemonSet(object: KubeObject): Readiness {
  const wanted = numberAt(object, 'status', 'desiredNumberScheduled');
  if (wanted === undefined) return inProgress('not scheduled yet');
  const available = statusNumber(object, 'numberAvailable');
  const updated = statusNumber(object, 'updatedNumberScheduled');
  if (updated < wanted && textAt(object, 'spec', 'updateStrategy', 'type') !== 'OnDelete')
    return inProgress(`${updated} of ${wanted} updated`);
  return available < wanted ? inProgress(`${available} of ${wanted} available`) : current;
}

function ofReplicaSet(object: KubeObject): Readiness {
  const wanted = specNumber(object, 'replicas', 1);
  const available = statusNumber(object, 'availableReplicas');
  return available < wanted ? inProgress(`${available} of ${wanted} available`) : current;
}

function ofJob(object: KubeObject): Readiness {
  const failure = conditionOf(object, 'Failed');
  if (failure?.status === 'True') return failed(`the Job failed: ${failure.reason}`);
  if (conditionOf(object, 'Complete')?.status === 'True') return current;
  return inProgress(
    `${statusNumber(object, 'succeeded')} of ${specNumber(object, 'completions', 1)} complete`,
  );
}

function ofPod(object: KubeObject): Readiness {
  const phase = textAt(object, 'status', 'phase') ?? 'Pending';
  if (phase === 'Succeeded') return current;
  if (phase === 'Failed') return failed(textAt(object, 'status', 'message') ?? 'the Pod failed');
  return conditionOf(object, 'Ready')?.status === 'True' ? current : inProgress(`${phase}, not ready`);
}

function ofClaim(object: KubeObject): Readiness {
  const phase = textAt(object, 'status', 'phase') ?? 'Pending';
  if (phase === 'Bound') return current;
  return phase === 'Lost' ? failed('its volume is lost') : inProgress(phase);
}

function ofService(object: KubeObject): Readiness {
  if (textAt(object, 'spec', 'type') !== 'LoadBalancer') return current;
  return listAt(object, 'status', 'loadBalancer', 'ingress').length > 0
    ? current
    : inProgress('no address yet');
}

function ofDefinition(object: KubeObject): Readiness {
  const names = conditionOf(object, 'NamesAccepted');
  if (names?.status === 'False') return failed(`its names are not accepted: ${names.message}`);
  return conditionOf(object, 'Established')?.status === 'True' ? current : inProgress('not established');
}

function ofNamespace(object: KubeObject): Readiness {
  return textAt(object, 'status', 'phase') === 'Active' ? current : inProgress('not active yet');
}

/** The conventions of kstatus for kinds it does not know: Stalled, Reconciling, Ready. */
function ofConditions(object: KubeObject): Readiness {
  const stalled = conditionOf(object, 'Stalled');
  if (stalled?.status === 'True') return failed(stalled.message || stalled.reason);
  const reconciling = conditionOf(object, 'Reconciling');
  if (reconciling?.status === 'True') return inProgress(reconciling.message || reconciling.reason);
  const ready = conditionOf(object, 'Ready');
  return ready !== undefined && ready.status !== 'True'
    ? inProgress(ready.message || ready.reason || 'not ready')
    : current;
}

const rules: Record<string, (object: KubeObject) => Readiness> = {
  'Deployment.apps': ofDeployment,
  'StatefulSet.apps': ofStatefulSet,
  'DaemonSet.apps': ofDaemonSet,
  'ReplicaSet.apps': ofReplicaSet,
  'Job.batch': ofJob,
  Pod: ofPod,
  PersistentVolumeClaim: ofClaim,
  Service: ofService,
  Namespace: ofNamespace,
  'CustomResourceDefinition.apiextensions.k8s.io': ofDefinition,
  'PodDisruptionBudget.policy': () => current,
};

/** Their controllers write down which generation they saw; before that the server's zeros look complete. */
const observing = new Set([
  'Deployment.apps',
  'StatefulSet.apps',
  'DaemonSet.apps',
  'ReplicaSet.apps',
  'PodDisruptionBudget.policy',
]);

/** The rules of kstatus (sigs.k8s.io/cli-utils, pkg/kstatus). */
export function readinessOf(object: KubeObject | undefined): Readiness {
  if (object === undefined) return { status: 'NotFound', message: 'is not there' };
  if (object.metadata.deletionTimestamp) return { status: 'Terminating', message: 'is being deleted' };
  const groupKind = groupKindOf(referenceOf(object));
  const observed =
    numberAt(object, 'status', 'observedGeneration') ?? (observing.has(groupKind) ? 0 : undefined);
  if (observed !== undefined && observed < (object.metadata.generation ?? 0))
    return inProgress('not seen by its controller yet');
  const rule = rules[groupKind];
  if (rule && hasController(object) && object.status === undefined)
    return inProgress('not seen by its controller yet');
  return (rule ?? ofConditions)(object);
}

/**
 * RFC 3339; since when a Failed is written there, for those that end once their cause is mended. A Job, a Pod or a
 * lost volume stays as it is.
 */
export function failedSince(object: KubeObject): string | undefined {
  const found = listAt(object, 'status', 'conditions').find((condition) => {
    const [type, status, reason] = ['type', 'status', 'reason'].map((field) => textAt(condition, field));
    if (type === 'Progressing') return reason === 'ProgressDeadlineExceeded';
    return type === 'NamesAccepted' ? status === 'False' : type === 'Stalled' && status === 'True';
  });
  return textAt(found, 'lastTransitionTime');
}

const hasController = (object: KubeObject): boolean =>
  object.kind !== 'Service' && object.kind !== 'Namespace';
