import type { Setting } from './causes.ts';
import type { Connection } from './connection.ts';
import { type Surroundings, type Symptom, symptomsOf } from './diagnosis.ts';
import type { Discovery, Resource } from './discovery.ts';
import { type Problem, StrataError } from './errors.ts';
import { gatherDiagnosis, pods as podKind, replicaSets as replicaSetKind } from './evidence.ts';
import { formatDiagnosis, problemsOf } from './findings.ts';
import { type Inventory, memberSelector } from './inventory.ts';
import { failedSince, type Readiness, readinessOf } from './kstatus.ts';
import { groupKindOf, type KubeObject, keyOf, type Reference, referenceOf, titleOf } from './manifest.ts';
import { type Observed, observe } from './observe.ts';
import { formatDuration, type Session } from './session.ts';

export interface WaitInput {
  inventory: Inventory;
  discovery: Discovery;
  /** What has to become Current. */
  objects: readonly KubeObject[];
  /** Milliseconds. */
  timeout: number;
  /** Milliseconds since the epoch by the server's clock; what failed before that is old. */
  began: number;
}

interface Entry {
  reference: Reference;
  readiness: Readiness;
  live: KubeObject | undefined;
}

/** Kinds without a controller that reports on them: there means Current. */
export const passive = new Set([
  'ConfigMap',
  'Secret',
  'ServiceAccount',
  'Role.rbac.authorization.k8s.io',
  'RoleBinding.rbac.authorization.k8s.io',
]);

/**
 * Milliseconds. The kubelet waits longer and longer between attempts to pull an image or to start a container, up to
 * five minutes: MaxCrashLoopBackOff and MaxImageBackOff in pkg/kubelet/kubelet.go of Kubernetes.
 */
const mostPatience = 300_000;

/** Controllers try again sooner, and after a rollout that is out of time they say no more at all. */
const mostPatienceWithControllers = 60_000;

/** The kubelet comes back to a Pod that it could not sync after 10 to 15 s: backOffPeriod in pkg/kubelet/kubelet.go. */
const leastPatienceWithOld = 15_000;

/** Milliseconds; the server cuts its timestamps to whole seconds. */
const timestampPrecision = 2000;

interface Patience {
  until: number;
  /** It was there before this wait began, and nothing has been tried since. */
  isOld: boolean;
  attempt: string | undefined;
}

/**
 * Remembers until when each symptom is borne. Who mends a cause outside runs the same command again and finds the
 * symptom as it was: whatever failed tries again only after about as long as it has failed already. So an old symptom
 * is borne for that long; a fresh one, or one that shows again at a new attempt, for its own patience.
 */
export function createPatience(
  now: () => number,
  began: number,
  onOld: (symptom: Symptom, milliseconds: number) => void,
): (symptoms: readonly Symptom[]) => Symptom[] {
  let known = new Map<string, Patience>();

  const firstSight = (symptom: Symptom): Patience => {
    const { patience, since, attempt } = symptom;
    const age = since === undefined ? Number.NaN : began - Date.parse(since);
    const isOld = symptom.isOld || age > timestampPrecision;
    if (!isOld) return { until: now() + patience, isOld, attempt };
    const most = attempt === undefined ? mostPatienceWithControllers : mostPatience;
    const more = Math.max(patience, leastPatienceWithOld, Math.min(age, most) || 0);
    onOld(symptom, more);
    return { until: now() + more, isOld, attempt };
  };

  const again = (symptom: Symptom, entry: Patience): Patience => {
    const { attempt, patience } = symptom;
    if (!entry.isOld || entry.attempt === attempt) return entry;
    return { until: Math.min(entry.until, now() + patience), isOld: false, attempt };
  };

  return (symptoms) => {
    known = new Map(
      symptoms.map((symptom) => {
        const entry = known.get(symptom.id);
        return [symptom.id, entry ? again(symptom, entry) : firstSight(symptom)];
      }),
    );
    return symptoms.filter(({ id }) => now() >= known.get(id)!.until);
  };
}

/**
 * Waits until every object is Current. Ends early when one cannot become so, and shows what it is doing.
 * @throws StrataError NOT_HEALTHY with the causes, CLUSTER_UNREACHABLE
 */
export async function waitUntilCurrent(
  session: Session,
  connection: Connection,
  input: WaitInput,
): Promise<void> {
  const active = input.objects.filter((object) => !passive.has(groupKindOf(referenceOf(object))));
  if (active.length === 0) return;
  const watching = new AbortController();
  const signal = AbortSignal.any([session.signal, watching.signal]);
  try {
    await untilCurrent(session, connection, { ...input, objects: active }, signal);
  } finally {
    watching.abort();
    session.terminal.live([]);
  }
}

async function untilCurrent(
  session: Session,
  connection: Connection,
  input: WaitInput,
  signal: AbortSignal,
): Promise<void> {
  const { clock } = session;
  const started = clock.now();
  let wake: () => void = () => {};
  let broken: unknown;
  const callbacks = {
    onChange: () => wake(),
    onError: (error: unknown) => {
      broken = error;
      wake();
    },
  };
  const namespace = input.inventory.namespace;
  const look = (resource: Resource, query?: Record<string, string>): Promise<Observed> =>
    observe(
      connection,
      clock,
      { resource, namespace: resource.namespaced ? namespace : '', ...(query ? { query } : {}) },
      signal,
      callbacks,
      started + input.timeout,
    );

  const views = await lookAtKinds(input, (resource) =>
    look(resource, { labelSelector: memberSelector(input.inventory) }),
  );
  const report = createReport(session, started);
  const ripe = createPatience(() => clock.now(), input.began, sayOnce(session));
  const setting: Setting = { context: connection.context.name, namespace, overlay: input.inventory.overlay };
  let failedBefore: Set<string> | undefined;
  let observedAround: { pods: Observed; replicaSets: Observed } | undefined;

  const pause = async (): Promise<void> => {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 250);
      wake = () => {
        clearTimeout(timer);
        // Events come in bursts.
        setTimeout(resolve, 20);
      };
    });
    wake = () => {};
  };
  let isSilent = false;

  for (;;) {
    session.signal.throwIfAborted();
    if (broken !== undefined) throw broken;
    const around = observedAround ? [observedAround.pods, observedAround.replicaSets] : [];
    const silence = [...views.values(), ...around].map((view) => view.silence).find(Boolean);
    if (silence !== undefined) {
      // What it said last proves nothing any more, neither health nor its opposite.
      if (clock.now() - started > input.timeout) throw silence;
      if (!isSilent) session.terminal.say('  the cluster does not answer: asking again');
      isSilent = true;
      await pause();
      continue;
    }
    isSilent = false;
    const entries = input.objects.map((object) => readEntry(object, views));
    report(entries);
    const pending = entries.filter(({ readiness }) => readiness.status !== 'Current');
    if (pending.length === 0) return;
    failedBefore ??= failuresIn(entries);
    if (observedAround === undefined) {
      const [pods, replicaSets] = await Promise.all([
        lookIfAllowed(() => look(podKind)),
        lookIfAllowed(() => look(replicaSetKind)),
      ]);
      observedAround = { pods, replicaSets };
      for (const observed of [...views.values(), pods, replicaSets]) observed.follow();
    }
    const surroundings: Surroundings = {
      pods: [...observedAround.pods.objects.values()],
      replicaSets: [...observedAround.replicaSets.objects.values()],
      events: [],
      setting,
    };
    const hopeless = hopelessOf(pending, surroundings, ripe, failedBefore);
    if (hopeless.length > 0)
      throw await explained(session, connection, 'the rollout cannot succeed', hopeless, surroundings);
    if (clock.now() - started > input.timeout) {
      const message = `not healthy within ${formatDuration(input.timeout)}`;
      throw await explained(session, connection, message, pending, surroundings);
    }
    await pause();
  }
}

/** Of ten Pods that show the same the first. */
function sayOnce(session: Session): (symptom: Symptom, milliseconds: number) => void {
  const said = new Set<string>();
  return ({ subject, message }, milliseconds) => {
    if (said.has(message)) return;
    said.add(message);
    session.terminal.say(
      `  ${subject} showed this before; it gets up to ${formatDuration(milliseconds)} for its next attempt: ${message}`,
    );
  };
}

/** Shows what the objects are doing; the error has the causes. */
async function explained(
  session: Session,
  connection: Connection,
  message: string,
  entries: readonly Entry[],
  surroundings: Surroundings,
): Promise<StrataError> {
  const { terminal } = session;
  terminal.live(['reading events and logs …']);
  const troubles = entries.flatMap(({ live, readiness }) => (live ? [{ live, readiness }] : []));
  const diagnosis = await gatherDiagnosis(session, connection, troubles, surroundings);
  const columns = terminal.interactive ? terminal.columns : undefined;
  const lines = formatDiagnosis(diagnosis, { style: terminal.style, columns, now: connection.now() });
  if (lines.length > 0) terminal.say(lines.join('\n'));
  const absent = entries.filter(({ live }) => live === undefined);
  const { context, namespace, overlay } = surroundings.setting;
  return new StrataError('NOT_HEALTHY', message, {
    problems: [
      ...absent.map(
        ({ reference, readiness }): Problem => ({
          severity: 'error',
          subject: titleOf(reference),
          message: readiness.message,
        }),
      ),
      ...problemsOf(diagnosis),
    ],
    hint: `npm run status -- ${overlay}; kubectl --context ${context} -n ${namespace} get pods,events`,
  });
}

/** Without the right to look at Pods the wait still works, it only cannot say why something is not ready. */
async function lookIfAllowed(look: () => Promise<Observed>): Promise<Observed> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof StrataError && error.code === 'CLUSTER_REFUSED')
      return { objects: new Map(), follow: () => {} };
    throw error;
  }
}

async function lookAtKinds(
  input: WaitInput,
  look: (resource: Resource) => Promise<Observed>,
): Promise<Map<string, Observed>> {
  const resources = new Map<string, Resource>();
  for (const object of input.objects) {
    const found = input.discovery.find(object.apiVersion, object.kind);
    if (found) resources.set(groupKindOf(found), found);
  }
  return new Map(
    await Promise.all([...resources].map(async ([name, resource]) => [name, await look(resource)] as const)),
  );
}

function readEntry(object: KubeObject, views: ReadonlyMap<string, Observed>): Entry {
  const reference = referenceOf(object);
  const live = views.get(groupKindOf(reference))?.objects.get(reference.name);
  return { reference, live, readiness: readinessOf(live) };
}

/** Failed as kstatus has it. What was so at the first look is old, whatever the clocks of the two sides say. */
function failureOf({ reference, readiness, live }: Entry, failedBefore: ReadonlySet<string>): Symptom[] {
  if (readiness.status !== 'Failed') return [];
  const since = live && failedSince(live);
  const subject = titleOf(reference);
  return [
    {
      id: `${subject}/failed`,
      subject,
      message: readiness.message,
      hint: '',
      patience: 0,
      ...(since === undefined ? {} : { since, isOld: failedBefore.has(`${subject} ${since}`) }),
    },
  ];
}

/** Each failure that may still end, with its time. */
function failuresIn(entries: readonly Entry[]): Set<string> {
  return new Set(
    entries.flatMap(({ reference, live }) => {
      const since = live && failedSince(live);
      return since === undefined ? [] : [`${titleOf(reference)} ${since}`];
    }),
  );
}

/** Those that cannot become Current, or not in any time that could be waited for. */
function hopelessOf(
  pending: readonly Entry[],
  surroundings: Surroundings,
  ripe: (symptoms: readonly Symptom[]) => Symptom[],
  failedBefore: ReadonlySet<string>,
): Entry[] {
  const found = pending.map((entry) => {
    const symptoms = entry.live ? symptomsOf(entry.live, surroundings) : [];
    // An old time-out says nothing while its Pods have their next attempt before them, nor when that succeeds.
    const isBorne = symptoms.some(({ patience }) => Number.isFinite(patience));
    const mayHeal = isBorne && entry.live && failedSince(entry.live) !== undefined;
    return { entry, symptoms: mayHeal ? symptoms : [...failureOf(entry, failedBefore), ...symptoms] };
  });
  const believed = new Set(ripe(found.flatMap(({ symptoms }) => symptoms)));
  return found
    .filter(({ symptoms }) => symptoms.some((symptom) => believed.has(symptom)))
    .map(({ entry }) => entry);
}

/** Live lines in a terminal; elsewhere a line per change of state. */
function createReport(session: Session, started: number): (entries: readonly Entry[]) => void {
  const { terminal, clock } = session;
  const said = new Map<string, string>();
  return (entries) => {
    const elapsed = formatDuration(clock.now() - started);
    const lines: string[] = [];
    for (const { reference, readiness } of entries) {
      const title = titleOf(reference);
      const text = `${title}  ${readiness.status}${readiness.message ? `: ${readiness.message}` : ''}`;
      const known = said.get(keyOf(reference));
      if (readiness.status === 'Current') {
        // What was ready from the start is not worth a line.
        if (known !== undefined && known !== text)
          terminal.say(`  ${terminal.style.green(text)}  ${elapsed}`);
      } else {
        lines.push(`  ${text}  ${elapsed}`);
        if (known !== text && !terminal.interactive) terminal.say(`  ${text}`);
      }
      said.set(keyOf(reference), text);
    }
    terminal.live(lines);
  };
}
