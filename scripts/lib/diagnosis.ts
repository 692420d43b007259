import { conditionOf } from './kstatus.ts';
import {
  at,
  groupKindOf,
  type KubeObject,
  listAt,
  numberAt,
  referenceOf,
  textAt,
  titleOf,
} from './manifest.ts';

/** Why a rollout cannot succeed, or may not. */
export interface Symptom {
  /** Same symptom at the next look: same identity. */
  id: string;
  /** `Pod/…` or `Deployment/…` that shows it. */
  subject: string;
  message: string;
  hint: string;
  /** Milliseconds it may last before it counts as failed: some of them heal. */
  patience: number;
  /** RFC 3339; when it began, where the object says so. */
  since?: string;
  /** It was there before the wait for it began. */
  isOld?: boolean;
  /** Differs when the cluster has tried again since and failed again. */
  attempt?: string;
}

export interface Surroundings {
  pods: readonly KubeObject[];
  replicaSets: readonly KubeObject[];
}

const isOwnedBy = (object: KubeObject, owner: KubeObject): boolean =>
  (object.metadata.ownerReferences ?? []).some(({ uid }) => uid === owner.metadata.uid);

const revisionAnnotation = 'deployment.kubernetes.io/revision';

/** Pods of the revision that is being rolled out; those of older ones say nothing about it. */
export function podsOf(workload: KubeObject, { pods, replicaSets }: Surroundings): KubeObject[] {
  const living = pods.filter((pod) => !pod.metadata.deletionTimestamp);
  if (groupKindOf(referenceOf(workload)) !== 'Deployment.apps')
    return living.filter((pod) => isOwnedBy(pod, workload) || pod.metadata.uid === workload.metadata.uid);
  const revision = workload.metadata.annotations?.[revisionAnnotation];
  const newest = replicaSets.filter(
    (set) => isOwnedBy(set, workload) && set.metadata.annotations?.[revisionAnnotation] === revision,
  );
  return living.filter((pod) => newest.some((set) => isOwnedBy(pod, set)));
}

interface WaitingRule {
  reasons: readonly string[];
  patience: number;
  explain: (
    container: string,
    image: string,
    message: string,
  ) => { message: string; hint: (pod: string) => string };
}

const describePod = (pod: string): string => `kubectl describe pod ${pod}`;

const waitingRules: readonly WaitingRule[] = [
  {
    reasons: ['InvalidImageName'],
    patience: 0,
    explain: (container, image) => ({
      message: `container ${container}: ${image} is no valid image name`,
      hint: () => 'correct the image in the manifest or in --image',
    }),
  },
  {
    reasons: ['ErrImageNeverPull'],
    patience: 0,
    explain: (container, image) => ({
      message: `container ${container}: image ${image} is not on the node, and imagePullPolicy is Never`,
      hint: () => `minikube image load ${image}`,
    }),
  },
  {
    reasons: ['ErrImagePull', 'ImagePullBackOff', 'RegistryUnavailable'],
    patience: 10_000,
    explain: (container, image, message) => ({
      message: `container ${container}: image ${image} cannot be pulled${message ? `: ${message}` : ''}`,
      hint: () => `load it (minikube image load ${image}), or check name, tag and pull secret`,
    }),
  },
  {
    reasons: ['CreateContainerConfigError'],
    patience: 5_000,
    explain: (container, _, message) => ({
      message: `container ${container} cannot be configured: ${message}`,
      hint: describePod,
    }),
  },
  {
    reasons: [
      'CreateContainerError',
      'RunContainerError',
      'PreStartHookError',
      'PostStartHookError',
      'PreCreateHookError',
    ],
    patience: 10_000,
    explain: (container, _, message) => ({
      message: `container ${container} cannot be started: ${message}`,
      hint: describePod,
    }),
  },
];

const sinceOf = (pod: KubeObject): { since: string } | Record<string, never> => {
  const since = textAt(pod, 'status', 'startTime') ?? pod.metadata.creationTimestamp;
  return since === undefined ? {} : { since };
};

/** Restarts after which a crash loop is believed; the first one may be a dependency that was still starting. */
const restartsBelieved = 3;

function ofContainer(pod: KubeObject, status: unknown): Symptom[] {
  const container = textAt(status, 'name') ?? '';
  const reason = textAt(status, 'state', 'waiting', 'reason') ?? '';
  const message = textAt(status, 'state', 'waiting', 'message') ?? '';
  const subject = titleOf(referenceOf(pod));
  const restarts = numberAt(status, 'restartCount') ?? 0;
  if (reason === 'CrashLoopBackOff' && restarts >= restartsBelieved) {
    const exitCode = numberAt(status, 'lastState', 'terminated', 'exitCode');
    const why = textAt(status, 'lastState', 'terminated', 'reason');
    const ended =
      exitCode === undefined
        ? ''
        : `, last with exit code ${exitCode}${why && why !== 'Error' ? ` (${why})` : ''}`;
    return [
      {
        id: `${subject}/${container}/crash`,
        subject,
        message: `container ${container} crashes again and again: ${restarts} restarts${ended}`,
        hint: `kubectl logs ${pod.metadata.name} -c ${container} --previous`,
        patience: 0,
        ...sinceOf(pod),
        attempt: String(restarts),
      },
    ];
  }
  const rule = waitingRules.find(({ reasons }) => reasons.includes(reason));
  if (rule === undefined) return [];
  const explained = rule.explain(container, textAt(status, 'image') ?? '', message);
  return [
    {
      id: `${subject}/${container}/${rule.reasons[0]}`,
      subject,
      message: explained.message,
      hint: explained.hint(pod.metadata.name),
      patience: rule.patience,
      ...sinceOf(pod),
      attempt: `${reason} ${restarts}`,
    },
  ];
}

function ofPod(pod: KubeObject): Symptom[] {
  const subject = titleOf(referenceOf(pod));
  const scheduled = conditionOf(pod, 'PodScheduled');
  const symptoms = ['initContainerStatuses', 'containerStatuses'].flatMap((field) =>
    listAt(pod, 'status', field).flatMap((status) => ofContainer(pod, status)),
  );
  if (scheduled?.status === 'False' && scheduled.reason === 'Unschedulable') {
    symptoms.push({
      id: `${subject}/unschedulable`,
      subject,
      message: `no node can take it: ${scheduled.message}`,
      hint: 'lower requests, or add nodes: kubectl describe nodes',
      // An autoscaler may be at work.
      patience: 15_000,
    });
  }
  return symptoms;
}

function ofWorkload(workload: KubeObject): Symptom[] {
  const subject = titleOf(referenceOf(workload));
  const failure = conditionOf(workload, 'ReplicaFailure') ?? conditionOf(workload, 'FailedCreate');
  if (failure?.status !== 'True') return [];
  const since = listAt(workload, 'status', 'conditions')
    .filter((condition) => ['ReplicaFailure', 'FailedCreate'].includes(textAt(condition, 'type') ?? ''))
    .map((condition) => textAt(condition, 'lastTransitionTime'))[0];
  return [
    {
      id: `${subject}/create`,
      subject,
      message: `its Pods are refused: ${failure.message}`,
      hint: hintForRefusal(failure.message),
      // A quota may become free when old Pods end.
      patience: 5_000,
      ...(since === undefined ? {} : { since }),
    },
  ];
}

function hintForRefusal(message: string): string {
  if (message.includes('exceeded quota'))
    return 'kubectl describe resourcequota; lower requests or replicas, or raise the quota';
  if (message.includes('violates PodSecurity')) return 'correct the securityContext that the message names';
  if (message.includes('webhook'))
    return 'kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations';
  return 'kubectl get events --sort-by=.lastTimestamp';
}

/** Its status, revision and Pods are those of an earlier spec until the controller has seen this one. */
const isObserved = (workload: KubeObject): boolean =>
  (numberAt(workload, 'status', 'observedGeneration') ?? Number.POSITIVE_INFINITY) >=
  (workload.metadata.generation ?? 0);

/** What keeps one workload from becoming Current. Pure. */
export function symptomsOf(workload: KubeObject, surroundings: Surroundings): Symptom[] {
  if (!isObserved(workload)) return [];
  return [...ofWorkload(workload), ...podsOf(workload, surroundings).flatMap(ofPod)];
}

/** For a time-out: what each Pod that is not ready is doing, in one line. */
export function stateOfPods(workload: KubeObject, surroundings: Surroundings): string[] {
  return podsOf(workload, surroundings)
    .filter((pod) => conditionOf(pod, 'Ready')?.status !== 'True')
    .map((pod) => {
      const states = listAt(pod, 'status', 'containerStatuses').map((status) => {
        const waiting = textAt(status, 'state', 'waiting', 'reason');
        const word = waiting ?? (at(status, 'state', 'running') ? 'running, not ready' : 'not started');
        return `${textAt(status, 'name')} ${word}`;
      });
      return `${titleOf(referenceOf(pod))}: ${states.join(', ') || (textAt(pod, 'status', 'phase') ?? 'Pending')}`;
    });
}
