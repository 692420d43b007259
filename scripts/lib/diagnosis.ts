import {
  type Cause,
  causeOfConfig,
  causeOfEnding,
  causeOfNeverPull,
  causeOfProbe,
  causeOfPull,
  causeOfRefusal,
  causeOfScheduling,
  causeOfStart,
  kubectlFor,
  quoted,
  type Setting,
} from './causes.ts';
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
  /** The container whose log may tell more, where its last words are not the whole cause already. */
  container?: { pod: string; name: string };
}

export interface Surroundings {
  pods: readonly KubeObject[];
  replicaSets: readonly KubeObject[];
  /** May be few or none: who may look at Pods may not always look at Events. */
  events: readonly KubeObject[];
  setting: Setting;
}

const isOwnedBy = (object: KubeObject, owner: KubeObject): boolean =>
  (object.metadata.ownerReferences ?? []).some(({ uid }) => uid === owner.metadata.uid);

const revisionAnnotation = 'deployment.kubernetes.io/revision';

const isDeployment = (workload: KubeObject): boolean =>
  groupKindOf(referenceOf(workload)) === 'Deployment.apps';

/** The ReplicaSet of the revision that is being rolled out; other workloads have none. */
export function newestSetsOf(
  workload: KubeObject,
  { replicaSets }: Pick<Surroundings, 'replicaSets'>,
): KubeObject[] {
  if (!isDeployment(workload)) return [];
  const revision = workload.metadata.annotations?.[revisionAnnotation];
  return replicaSets.filter(
    (set) => isOwnedBy(set, workload) && set.metadata.annotations?.[revisionAnnotation] === revision,
  );
}

/** Pods of the revision that is being rolled out; those of older ones say nothing about it. */
export function podsOf(
  workload: KubeObject,
  surroundings: Pick<Surroundings, 'pods' | 'replicaSets'>,
): KubeObject[] {
  const living = surroundings.pods.filter((pod) => !pod.metadata.deletionTimestamp);
  if (!isDeployment(workload))
    return living.filter((pod) => isOwnedBy(pod, workload) || pod.metadata.uid === workload.metadata.uid);
  const newest = newestSetsOf(workload, surroundings);
  return living.filter((pod) => newest.some((set) => isOwnedBy(pod, set)));
}

/** A container as spec and status together have it. */
interface Container {
  pod: KubeObject;
  name: string;
  image: string;
  spec: unknown;
  status: unknown;
  surroundings: Surroundings;
}

const describePod = ({ pod, surroundings }: Container): string =>
  `${kubectlFor(surroundings.setting)} describe pod ${pod.metadata.name}`;

const logsOf = ({ pod, name, surroundings }: Container, previous: boolean): string =>
  `${kubectlFor(surroundings.setting)} logs ${pod.metadata.name} -c ${name}${previous ? ' --previous' : ''}`;

interface WaitingRule {
  reasons: readonly string[];
  patience: number;
  explain: (container: Container, said: string) => Cause;
}

const orSaid = (cause: Cause | undefined, said: string, hint: string): Cause =>
  cause ?? { message: quoted(said) || 'the kubelet does not say why', hint };

/** Reasons of kubelet 1.36: pkg/kubelet/images/types.go, pkg/kubelet/kuberuntime/kuberuntime_container.go. */
const waitingRules: readonly WaitingRule[] = [
  {
    reasons: ['InvalidImageName'],
    patience: 0,
    explain: ({ name, image }) => ({
      message: `container ${name}: ${image} is no valid image name`,
      hint: 'correct the image in the manifest or in --image',
    }),
  },
  {
    reasons: ['ErrImageNeverPull'],
    patience: 0,
    explain: ({ name, image, surroundings }) => {
      const { message, hint } = causeOfNeverPull(image, surroundings.setting);
      return { message: `container ${name}: ${message}`, hint };
    },
  },
  {
    reasons: [
      'ErrImagePull',
      'ImagePullBackOff',
      'RegistryUnavailable',
      'ImageInspectError',
      'SignatureValidationFailed',
    ],
    patience: 10_000,
    explain: (container, said) => {
      const { name, image, spec, surroundings } = container;
      const policy = textAt(spec, 'imagePullPolicy') ?? '';
      const cause = causeOfPull(said, { image, policy, setting: surroundings.setting });
      const { message, hint } = orSaid(cause, said, describePod(container));
      return { message: `container ${name}: image ${image} cannot be pulled: ${message}`, hint };
    },
  },
  {
    reasons: ['CreateContainerConfigError'],
    patience: 5_000,
    explain: (container, said) => {
      const cause = causeOfConfig(said, container.surroundings.setting);
      const { message, hint } = orSaid(cause, said, describePod(container));
      return { message: `container ${container.name} cannot be configured: ${message}`, hint };
    },
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
    explain: (container, said) => {
      const cause = causeOfStart(said, container.image);
      const { message, hint } = orSaid(cause, said, describePod(container));
      return { message: `container ${container.name} cannot be started: ${message}`, hint };
    },
  },
];

/** Restarts after which a crash loop is believed; the first one may be a dependency that was still starting. */
const restartsBelieved = 3;

const startTimeOf = (pod: KubeObject): string | undefined =>
  textAt(pod, 'status', 'startTime') ?? pod.metadata.creationTimestamp;

const sinceOf = (pod: KubeObject): { since: string } | Record<string, never> => {
  const since = startTimeOf(pod);
  return since === undefined ? {} : { since };
};

/** What a container that ended says about why. */
function causeOfTerminated(container: Container, terminated: unknown): Cause | undefined {
  const memoryLimit = textAt(container.spec, 'resources', 'limits', 'memory');
  return causeOfEnding({
    exitCode: numberAt(terminated, 'exitCode') ?? 0,
    reason: textAt(terminated, 'reason') ?? '',
    message: textAt(terminated, 'message') ?? '',
    image: container.image,
    memoryLimit,
    failedProbe: failedProbeOf(container, /^(Liveness|Startup) /),
  });
}

export const endingText = (terminated: unknown): string => {
  const exitCode = numberAt(terminated, 'exitCode');
  const why = textAt(terminated, 'reason');
  return exitCode === undefined
    ? ''
    : `exit code ${exitCode}${why && why !== 'Error' && why !== 'Completed' ? ` (${why})` : ''}`;
};

function ofCrashLoop(container: Container, restarts: number): Symptom {
  const { pod, name, status } = container;
  const subject = titleOf(referenceOf(pod));
  const terminated = at(status, 'lastState', 'terminated');
  const ending = endingText(terminated);
  const cause = terminated === undefined ? undefined : causeOfTerminated(container, terminated);
  return {
    id: `${subject}/${name}/crash`,
    subject,
    message: `container ${name} crashes again and again: ${restarts} restart${restarts === 1 ? '' : 's'}${ending && `, last with ${ending}`}${cause ? `: ${cause.message}` : ''}`,
    hint: cause?.hint || logsOf(container, true),
    patience: 0,
    ...sinceOf(pod),
    attempt: String(restarts),
    container: { pod: pod.metadata.name, name },
  };
}

/** A container that ended and is not started again, as those of Jobs. */
function ofTerminated(container: Container, terminated: unknown): Symptom[] {
  const { pod, name } = container;
  if ((numberAt(terminated, 'exitCode') ?? 0) === 0 || textAt(pod, 'status', 'phase') !== 'Failed') return [];
  const subject = titleOf(referenceOf(pod));
  const cause = causeOfTerminated(container, terminated);
  return [
    {
      id: `${subject}/${name}/ended`,
      subject,
      message: `container ${name} ended with ${endingText(terminated)}${cause ? `: ${cause.message}` : ''}`,
      hint: cause?.hint || logsOf(container, false),
      // The controller decides whether there is another attempt.
      patience: Number.POSITIVE_INFINITY,
      container: { pod: pod.metadata.name, name },
    },
  ];
}

function ofContainer(container: Container): Symptom[] {
  const { pod, name, status } = container;
  const reason = textAt(status, 'state', 'waiting', 'reason') ?? '';
  const restarts = numberAt(status, 'restartCount') ?? 0;
  if (reason === 'CrashLoopBackOff')
    return restarts >= restartsBelieved ? [ofCrashLoop(container, restarts)] : [];
  const terminated = at(status, 'state', 'terminated');
  if (terminated !== undefined) return ofTerminated(container, terminated);
  const rule = waitingRules.find(({ reasons }) => reasons.includes(reason));
  if (rule === undefined) return [];
  const subject = titleOf(referenceOf(pod));
  return [
    {
      id: `${subject}/${name}/${rule.reasons[0]}`,
      subject,
      ...rule.explain(container, textAt(status, 'state', 'waiting', 'message') ?? ''),
      patience: rule.patience,
      ...sinceOf(pod),
      attempt: `${reason} ${restarts}`,
    },
  ];
}

const containerFields = [
  ['initContainers', 'initContainerStatuses'],
  ['containers', 'containerStatuses'],
] as const;

export function containersOf(pod: KubeObject, surroundings: Surroundings): Container[] {
  return containerFields.flatMap(([specs, statuses]) =>
    listAt(pod, 'status', statuses).map((status) => {
      const name = textAt(status, 'name') ?? '';
      const spec = listAt(pod, 'spec', specs).find((entry) => textAt(entry, 'name') === name);
      const image = textAt(spec, 'image') ?? textAt(status, 'image') ?? '';
      return { pod, name, image, spec, status, surroundings };
    }),
  );
}

function claimsOf(pod: KubeObject): string[] {
  return listAt(pod, 'spec', 'volumes').flatMap(
    (volume) => textAt(volume, 'persistentVolumeClaim', 'claimName') ?? [],
  );
}

function ofPod(pod: KubeObject, surroundings: Surroundings): Symptom[] {
  const subject = titleOf(referenceOf(pod));
  const scheduled = conditionOf(pod, 'PodScheduled');
  const symptoms = containersOf(pod, surroundings).flatMap(ofContainer);
  if (scheduled?.status === 'False' && scheduled.reason === 'Unschedulable') {
    const { setting } = surroundings;
    const { message, hint } = causeOfScheduling(scheduled.message, { setting, claims: claimsOf(pod) });
    symptoms.push({
      id: `${subject}/unschedulable`,
      subject,
      message: `no node can take it: ${message}`,
      hint,
      // An autoscaler may be at work.
      patience: 15_000,
    });
  }
  return symptoms;
}

function ofWorkload(workload: KubeObject, { setting }: Surroundings): Symptom[] {
  const subject = titleOf(referenceOf(workload));
  const failure = conditionOf(workload, 'ReplicaFailure') ?? conditionOf(workload, 'FailedCreate');
  if (failure?.status !== 'True') return [];
  const since = listAt(workload, 'status', 'conditions')
    .filter((condition) => ['ReplicaFailure', 'FailedCreate'].includes(textAt(condition, 'type') ?? ''))
    .map((condition) => textAt(condition, 'lastTransitionTime'))[0];
  const { message, hint } = causeOfRefusal(failure.message, setting);
  return [
    {
      id: `${subject}/create`,
      subject,
      message: `its Pods are refused: ${message}`,
      hint,
      // A quota may become free when old Pods end.
      patience: 5_000,
      ...(since === undefined ? {} : { since }),
    },
  ];
}

/** Its status, revision and Pods are those of an earlier spec until the controller has seen this one. */
const isObserved = (workload: KubeObject): boolean =>
  (numberAt(workload, 'status', 'observedGeneration') ?? Number.POSITIVE_INFINITY) >=
  (workload.metadata.generation ?? 0);

/** What keeps one workload from becoming Current. Pure. */
export function symptomsOf(workload: KubeObject, surroundings: Surroundings): Symptom[] {
  if (!isObserved(workload)) return [];
  return [
    ...ofWorkload(workload, surroundings),
    ...podsOf(workload, surroundings).flatMap((pod) => ofPod(pod, surroundings)),
  ];
}

/** RFC 3339; Events of the old and of the new API say it in different fields. */
export const timeOfEvent = (event: KubeObject): string =>
  textAt(event, 'series', 'lastObservedTime') ??
  textAt(event, 'lastTimestamp') ??
  textAt(event, 'eventTime') ??
  textAt(event, 'firstTimestamp') ??
  event.metadata.creationTimestamp ??
  '';

/** Of these objects, newest first. */
export function eventsOf(uids: ReadonlySet<string>, events: readonly KubeObject[]): KubeObject[] {
  return events
    .filter((event) => uids.has(textAt(event, 'involvedObject', 'uid') ?? ''))
    .sort((a, b) => Date.parse(timeOfEvent(b)) - Date.parse(timeOfEvent(a)));
}

function eventSaying(container: Container, reason: string, pattern: RegExp): string | undefined {
  const { pod, name, surroundings } = container;
  return eventsOf(new Set([pod.metadata.uid ?? '']), surroundings.events)
    .filter((event) => textAt(event, 'reason') === reason)
    .filter((event) => textAt(event, 'involvedObject', 'fieldPath')?.endsWith(`{${name}}`) ?? true)
    .map((event) => textAt(event, 'message') ?? '')
    .find((message) => pattern.test(message));
}

function failedProbeOf(container: Container, pattern: RegExp): Cause | undefined {
  const said = eventSaying(container, 'Unhealthy', pattern);
  return said === undefined ? undefined : causeOfProbe(said, container.spec, logsOf(container, false));
}

/** A container that runs and is not ready: nothing is wrong for sure, but this is what holds it up. */
function delayOf(container: Container): Symptom[] {
  const { pod, name, status } = container;
  const isRunning = at(status, 'state', 'running') !== undefined && at(status, 'ready') !== true;
  // A first crash, which the rollout could still have outlived.
  const isCrashing = textAt(status, 'state', 'waiting', 'reason') === 'CrashLoopBackOff';
  const subject = titleOf(referenceOf(pod));
  if (isCrashing) return [ofCrashLoop(container, numberAt(status, 'restartCount') ?? 0)];
  if (!isRunning) return [];
  const cause = failedProbeOf(container, /./);
  return [
    {
      id: `${subject}/${name}/unready`,
      subject,
      message: `container ${name} runs and is not ready${cause ? `: ${cause.message}` : ''}`,
      hint: cause?.hint ?? logsOf(container, false),
      patience: Number.POSITIVE_INFINITY,
      container: { pod: pod.metadata.name, name },
    },
  ];
}

/** Before any container: volumes and the network of the Pod. kubelet 1.36, pkg/kubelet/events/event.go. */
const podEventReasons = ['FailedMount', 'FailedAttachVolume', 'FailedCreatePodSandBox', 'FailedMapVolume'];

function preparationOf(pod: KubeObject, surroundings: Surroundings): Symptom[] {
  const isWaiting = containersOf(pod, surroundings).every(({ status }) =>
    ['ContainerCreating', 'PodInitializing'].includes(textAt(status, 'state', 'waiting', 'reason') ?? ''),
  );
  if (!isWaiting) return [];
  const [event] = eventsOf(new Set([pod.metadata.uid ?? '']), surroundings.events).filter((candidate) =>
    podEventReasons.includes(textAt(candidate, 'reason') ?? ''),
  );
  if (event === undefined) return [];
  const said = textAt(event, 'message') ?? '';
  const subject = titleOf(referenceOf(pod));
  const hint = `${kubectlFor(surroundings.setting)} describe pod ${pod.metadata.name}`;
  const cause = orSaid(causeOfConfig(said, surroundings.setting), said, hint);
  return [
    {
      id: `${subject}/preparation`,
      subject,
      message: `its containers cannot be prepared: ${cause.message}`,
      hint: cause.hint,
      patience: Number.POSITIVE_INFINITY,
    },
  ];
}

/** StatefulSets, DaemonSets and Jobs have no condition for it. */
function refusalOf(workload: KubeObject, { events, setting }: Surroundings): Symptom[] {
  const [event] = eventsOf(new Set([workload.metadata.uid ?? '']), events).filter(
    (candidate) => textAt(candidate, 'reason') === 'FailedCreate',
  );
  if (event === undefined) return [];
  const said = (textAt(event, 'message') ?? '').replace(/^(Error creating|create .*? failed error): /, '');
  const { message, hint } = causeOfRefusal(said, setting);
  const subject = titleOf(referenceOf(workload));
  return [
    {
      id: `${subject}/create`,
      subject,
      message: `its Pods are refused: ${message}`,
      hint,
      patience: Number.POSITIVE_INFINITY,
    },
  ];
}

/** Like `symptomsOf`, and what may only be slow: for when the time is up. Pure. */
export function troublesOf(workload: KubeObject, surroundings: Surroundings): Symptom[] {
  const symptoms = symptomsOf(workload, surroundings);
  const known = new Set(symptoms.map(({ id }) => id));
  const unready = podsOf(workload, surroundings).filter(
    (pod) => conditionOf(pod, 'Ready')?.status !== 'True',
  );
  const more = [
    ...unready.flatMap((pod) => [
      ...containersOf(pod, surroundings).flatMap(delayOf),
      ...preparationOf(pod, surroundings),
    ]),
    ...(podsOf(workload, surroundings).length === 0 ? refusalOf(workload, surroundings) : []),
  ];
  return [...symptoms, ...more.filter(({ id }) => !known.has(id))];
}
