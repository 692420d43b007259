import type { Connection } from './connection.ts';
import { type Surroundings, type Symptom, stateOfPods, symptomsOf } from './diagnosis.ts';
import type { Discovery, Resource } from './discovery.ts';
import { type Problem, StrataError } from './errors.ts';
import { type Inventory, memberSelector } from './inventory.ts';
import { type Readiness, readinessOf } from './kstatus.ts';
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
}

interface Entry {
  reference: Reference;
  readiness: Readiness;
  live: KubeObject | undefined;
}

const podResource: Resource = {
  group: '',
  version: 'v1',
  kind: 'Pod',
  plural: 'pods',
  namespaced: true,
  verbs: [],
};
const replicaSetResource: Resource = {
  ...podResource,
  group: 'apps',
  kind: 'ReplicaSet',
  plural: 'replicasets',
};

/** Kinds without a controller that reports on them: there means Current. */
export const passive = new Set([
  'ConfigMap',
  'Secret',
  'ServiceAccount',
  'Role.rbac.authorization.k8s.io',
  'RoleBinding.rbac.authorization.k8s.io',
]);

const mostPatience = 60_000;

/**
 * Controllers try again after about as long as it has failed already: the cause of an old symptom may be mended
 * without a trace of it yet.
 */
function patienceFor({ patience, since }: Symptom): number {
  const age = since === undefined ? 0 : Date.now() - Date.parse(since);
  return Math.max(patience, Math.min(age, mostPatience) || 0);
}

/** Remembers until when each symptom is borne. */
function createPatience(now: () => number): (symptoms: readonly Symptom[]) => Symptom[] {
  let until = new Map<string, number>();
  return (symptoms) => {
    until = new Map(
      symptoms.map((symptom) => [symptom.id, until.get(symptom.id) ?? now() + patienceFor(symptom)]),
    );
    return symptoms.filter(({ id }) => now() >= until.get(id)!);
  };
}

/**
 * Waits until every object is Current. Ends early when one cannot become so.
 * @throws StrataError NOT_HEALTHY with a reason per object, CLUSTER_UNREACHABLE
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
    );

  const views = await lookAtKinds(input, (resource) =>
    look(resource, { labelSelector: memberSelector(input.inventory) }),
  );
  const report = createReport(session, started);
  const ripe = createPatience(() => clock.now());
  let surroundings: Surroundings | undefined;
  let observedAround: { pods: Observed; replicaSets: Observed } | undefined;

  for (;;) {
    session.signal.throwIfAborted();
    if (broken !== undefined) throw broken;
    const entries = input.objects.map((object) => readEntry(object, views));
    report(entries);
    const pending = entries.filter(({ readiness }) => readiness.status !== 'Current');
    if (pending.length === 0) return;
    if (observedAround === undefined) {
      const [pods, replicaSets] = await Promise.all([
        lookIfAllowed(() => look(podResource)),
        lookIfAllowed(() => look(replicaSetResource)),
      ]);
      observedAround = { pods, replicaSets };
      for (const observed of [...views.values(), pods, replicaSets]) observed.follow();
    }
    surroundings = {
      pods: [...observedAround.pods.objects.values()],
      replicaSets: [...observedAround.replicaSets.objects.values()],
    };
    const hopeless = hopelessOf(pending, surroundings, ripe);
    if (hopeless.length > 0) throw notHealthy('the rollout cannot succeed', hopeless, input.inventory);
    if (clock.now() - started > input.timeout) {
      throw notHealthy(
        `not healthy within ${formatDuration(input.timeout)}`,
        pending.flatMap((entry) => unfinished(entry, surroundings!)),
        input.inventory,
      );
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 250);
      wake = () => {
        clearTimeout(timer);
        // Events come in bursts.
        setTimeout(resolve, 20);
      };
    });
    wake = () => {};
  }
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

function hopelessOf(
  pending: readonly Entry[],
  surroundings: Surroundings,
  ripe: (symptoms: readonly Symptom[]) => Symptom[],
): Problem[] {
  const failures = pending
    .filter(({ readiness }) => readiness.status === 'Failed')
    .map(({ reference, readiness }) => problem(titleOf(reference), readiness.message));
  const symptoms = ripe(pending.flatMap(({ live }) => (live ? symptomsOf(live, surroundings) : [])));
  return [...failures, ...withoutRepeats(symptoms)];
}

/** Ten replicas with the same wrong image are one finding. */
function withoutRepeats(symptoms: readonly Symptom[]): Problem[] {
  const byMessage = new Map<string, Problem>();
  for (const { subject, message, hint } of symptoms) {
    if (!byMessage.has(message)) byMessage.set(message, problem(subject, message, hint));
  }
  return [...byMessage.values()];
}

function unfinished({ reference, readiness, live }: Entry, surroundings: Surroundings): Problem[] {
  const pods = live ? stateOfPods(live, surroundings) : [];
  return [problem(titleOf(reference), [readiness.message, ...pods].join('; '))];
}

const problem = (subject: string, message: string, hint?: string): Problem => ({
  severity: 'error',
  subject,
  message,
  ...(hint ? { hint } : {}),
});

function notHealthy(message: string, problems: readonly Problem[], inventory: Inventory): StrataError {
  return new StrataError('NOT_HEALTHY', message, {
    problems,
    hint: `npm run status -- ${inventory.overlay}; kubectl -n ${inventory.namespace} get pods,events`,
  });
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
