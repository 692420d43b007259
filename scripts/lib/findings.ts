import { stripVTControlCharacters } from 'node:util';
import { causeOfClaim, causeOfLog, quoted } from './causes.ts';
import {
  containersOf,
  endingText,
  eventsOf,
  newestSetsOf,
  podsOf,
  type Surroundings,
  type Symptom,
  timeOfEvent,
  troublesOf,
} from './diagnosis.ts';
import type { Problem } from './errors.ts';
import { conditionOf, type Readiness } from './kstatus.ts';
import { at, type KubeObject, numberAt, referenceOf, textAt, titleOf } from './manifest.ts';
import { formatDuration } from './session.ts';
import { clip, type Style } from './terminal.ts';

/** One object that is not Current, as the cluster holds it. */
export interface Trouble {
  live: KubeObject;
  readiness: Readiness;
}

/** The end of one log, whole lines, scrubbed. */
export interface LogExcerpt {
  pod: string;
  container: string;
  /** Of the container before this one. */
  previous: boolean;
  lines: readonly string[];
  /** Why there is none. */
  missing: string | undefined;
}

interface ContainerState {
  name: string;
  state: string;
}

/** Pods of one workload that show the same. */
interface PodGroup {
  pods: string[];
  phase: string;
  containers: ContainerState[];
}

interface WorkloadTree {
  subject: string;
  status: string;
  message: string;
  /** Between a Deployment and its Pods. */
  replicaSets: string[];
  groups: PodGroup[];
  /** Pods that are well, and not in a group. */
  ready: number;
}

export interface Finding {
  /** `Pod/…`, `Deployment/…`; the first of `pods` equal ones. */
  subject: string;
  pods: number;
  message: string;
  hint: string;
}

interface EventLine {
  /** RFC 3339 */
  time: string;
  type: string;
  reason: string;
  subject: string;
  message: string;
  count: number;
}

/** Why a deployment is not healthy, as data. Changes only ever add fields. */
export interface Diagnosis {
  workloads: WorkloadTree[];
  findings: Finding[];
  events: EventLine[];
  logs: readonly LogExcerpt[];
}

function stateOf(status: unknown): string {
  const restarts = numberAt(status, 'restartCount') ?? 0;
  const waiting = textAt(status, 'state', 'waiting', 'reason');
  const terminated = at(status, 'state', 'terminated');
  const before = endingText(at(status, 'lastState', 'terminated'));
  const now =
    waiting ??
    (terminated
      ? `ended with ${endingText(terminated)}`
      : at(status, 'state', 'running')
        ? at(status, 'ready') === true
          ? 'ready'
          : 'running, not ready'
        : 'not started');
  const history = restarts > 0 ? `, ${restarts} restart${restarts === 1 ? '' : 's'}` : '';
  return `${now}${history}${before && `, last with ${before}`}`;
}

const isReady = (pod: KubeObject): boolean => conditionOf(pod, 'Ready')?.status === 'True';

/** What two Pods have to share to be told as one; restarts differ for no reason. */
const likeness = ({ phase, containers }: Omit<PodGroup, 'pods'>): string =>
  JSON.stringify([phase, containers]).replace(/, \d+ restarts?/g, '');

function groupsOf(pods: readonly KubeObject[], surroundings: Surroundings): PodGroup[] {
  const groups = new Map<string, PodGroup>();
  for (const pod of pods) {
    const containers = containersOf(pod, surroundings).map(({ name, status }) => ({
      name,
      state: stateOf(status),
    }));
    const unscheduled = conditionOf(pod, 'PodScheduled');
    const phase =
      unscheduled?.status === 'False' ? unscheduled.reason : (textAt(pod, 'status', 'phase') ?? 'Pending');
    const key = likeness({ phase, containers });
    const group = groups.get(key);
    if (group) group.pods.push(pod.metadata.name);
    else groups.set(key, { pods: [pod.metadata.name], phase, containers });
  }
  return [...groups.values()];
}

function treeOf({ live, readiness }: Trouble, surroundings: Surroundings): WorkloadTree {
  const pods = podsOf(live, surroundings);
  const isItself = pods.some((pod) => pod.metadata.uid === live.metadata.uid);
  return {
    subject: titleOf(referenceOf(live)),
    status: readiness.status,
    message: readiness.message,
    replicaSets: newestSetsOf(live, surroundings).map((set) => titleOf(referenceOf(set))),
    groups: groupsOf(isItself ? pods : pods.filter((pod) => !isReady(pod)), surroundings),
    ready: pods.filter(isReady).length,
  };
}

/** The uid of a Pod, as the kubelet writes it behind the name. */
const withoutUids = (message: string): string =>
  message.replace(/\([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\)/g, '');

/** What tells one Pod from another is no difference between two causes. */
const withoutNames = (message: string): string =>
  message
    .replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, '#')
    .replace(/\b\d+ restarts?/g, '#')
    .replace(/\b(pods?|Pod) "[^"]*"/g, '$1 #')
    .replace(/\b\d+\.\d+\.\d+\.\d+/g, '#');

interface Repeated {
  symptom: Symptom;
  /** How many Pods show it. */
  pods: number;
}

/**
 * Ten replicas with the same wrong image are one symptom. Of Pods that look alike only the first is examined: for it
 * alone Events and logs are read.
 */
function symptomsOfAll({ live }: Trouble, surroundings: Surroundings): Repeated[] {
  const groups = groupsOf(podsOf(live, surroundings), surroundings);
  const sizes = new Map(groups.map(({ pods }) => [`Pod/${pods[0]}`, pods.length]));
  const others = new Set(groups.flatMap(({ pods }) => pods.slice(1)));
  const pods = surroundings.pods.filter(({ metadata }) => !others.has(metadata.name));
  const found = new Map<string, Repeated>();
  for (const symptom of troublesOf(live, { ...surroundings, pods })) {
    const key = withoutNames(symptom.message);
    const known = found.get(key);
    const size = sizes.get(symptom.subject) ?? 1;
    if (known) known.pods += size;
    else found.set(key, { symptom, pods: size });
  }
  return [...found.values()];
}

function ofClaim({ live }: Trouble, { events, setting }: Surroundings): Finding[] {
  if (live.kind !== 'PersistentVolumeClaim') return [];
  const [event] = eventsOf(new Set([live.metadata.uid ?? '']), events).filter((candidate) =>
    ['ProvisioningFailed', 'FailedBinding'].includes(textAt(candidate, 'reason') ?? ''),
  );
  if (event === undefined) return [];
  const said = textAt(event, 'message') ?? '';
  const cause = causeOfClaim(said, setting.context);
  const { name } = live.metadata;
  return [
    {
      subject: titleOf(referenceOf(live)),
      pods: 0,
      message: `no volume is bound to it: ${cause?.message ?? quoted(said)}`,
      hint:
        cause?.hint ?? `kubectl --context ${setting.context} -n ${setting.namespace} describe pvc ${name}`,
    },
  ];
}

/** Jobs and others whose own condition is the finding, where no Pod is left to say more. */
function ofCondition({ live, readiness }: Trouble): Finding[] {
  const said = conditionOf(live, 'Failed')?.message;
  const isLate = /DeadlineExceeded/.test(readiness.message) && live.kind === 'Job';
  return [
    {
      subject: titleOf(referenceOf(live)),
      pods: 0,
      message: said && live.kind === 'Job' ? `${readiness.message} (${said})` : readiness.message,
      hint: isLate ? 'raise activeDeadlineSeconds in the manifest, or find what takes so long' : '',
    },
  ];
}

function explained(
  { symptom, pods }: Repeated,
  logs: readonly LogExcerpt[],
  surroundings: Surroundings,
): Finding {
  const { subject, message, hint, container } = symptom;
  const lines = logs
    .filter((log) => log.pod === container?.pod && log.container === container?.name)
    .flatMap((log) => log.lines);
  const cause = lines.length > 0 ? causeOfLog(lines, surroundings.setting) : undefined;
  return {
    subject,
    pods,
    message: cause ? `${message}: ${cause.message}` : message,
    hint: cause?.hint ?? hint,
  };
}

function findingsOf(trouble: Trouble, surroundings: Surroundings, logs: readonly LogExcerpt[]): Finding[] {
  const symptoms = symptomsOfAll(trouble, surroundings);
  const findings = [
    ...symptoms.map((repeated) => explained(repeated, logs, surroundings)),
    ...ofClaim(trouble, surroundings),
  ];
  // That the time of a Deployment is up is no cause beside one; how a Job ended is.
  const isSaid = findings.length > 0 && trouble.live.kind !== 'Job';
  return isSaid ? findings : [...ofCondition(trouble), ...findings];
}

const mostEvents = 8;

/** Warnings, and the end of containers that the kubelet killed; equal ones of equal Pods are one line. */
function eventLinesOf(events: readonly KubeObject[]): EventLine[] {
  const lines = new Map<string, EventLine>();
  for (const event of events) {
    const [type, reason, message] = ['type', 'reason', 'message'].map(
      (field) => textAt(event, field) ?? '',
    ) as [string, string, string];
    if (type !== 'Warning' && reason !== 'Killing') continue;
    const subject = `${textAt(event, 'involvedObject', 'kind')}/${textAt(event, 'involvedObject', 'name')}`;
    const count = numberAt(event, 'series', 'count') ?? numberAt(event, 'count') ?? 1;
    const key = `${reason} ${withoutNames(message)}`;
    const known = lines.get(key);
    if (known) known.count += count;
    else
      lines.set(key, {
        time: timeOfEvent(event),
        type,
        reason,
        subject,
        message: quoted(withoutUids(message)),
        count,
      });
  }
  return [...lines.values()].slice(0, mostEvents);
}

const mostRepresentatives = 12;

/** The objects whose Events say something about these troubles: of equal Pods the first. */
export function witnessesOf(troubles: readonly Trouble[], surroundings: Surroundings): KubeObject[] {
  const witnesses = troubles.flatMap(({ live, readiness }) => {
    const { groups } = treeOf({ live, readiness }, surroundings);
    const first = new Set(groups.map(({ pods: [name] }) => name));
    const pods = podsOf(live, surroundings).filter(({ metadata }) => first.has(metadata.name));
    return [live, ...newestSetsOf(live, surroundings), ...pods];
  });
  return [...new Set(witnesses)].slice(0, mostRepresentatives);
}

const mostLogs = 3;

/** The containers whose logs may tell why, of equal Pods the first. */
export function speakersOf(
  troubles: readonly Trouble[],
  surroundings: Surroundings,
): { pod: KubeObject; container: string; previous: boolean }[] {
  return troubles
    .flatMap((trouble) => symptomsOfAll(trouble, surroundings))
    .flatMap(({ symptom: { container } }) => {
      const pod = surroundings.pods.find(({ metadata }) => metadata.name === container?.pod);
      if (pod === undefined || container === undefined) return [];
      const status = containersOf(pod, surroundings).find(({ name }) => name === container.name)?.status;
      const speaker = { pod, container: container.name };
      const hasEnded = at(status, 'lastState', 'terminated') !== undefined;
      const isThere = at(status, 'state', 'waiting') === undefined;
      return [
        ...(hasEnded ? [{ ...speaker, previous: true }] : []),
        ...(isThere || !hasEnded ? [{ ...speaker, previous: false }] : []),
      ];
    })
    .slice(0, mostLogs);
}

/** Pure: everything it needs was read before. */
export function diagnose(
  troubles: readonly Trouble[],
  surroundings: Surroundings,
  logs: readonly LogExcerpt[],
): Diagnosis {
  const uids = new Set(witnessesOf(troubles, surroundings).map(({ metadata }) => metadata.uid ?? ''));
  return {
    workloads: troubles.map((trouble) => treeOf(trouble, surroundings)),
    findings: troubles.flatMap((trouble) => findingsOf(trouble, surroundings, logs)),
    events: eventLinesOf(eventsOf(uids, surroundings.events)),
    logs,
  };
}

export function problemsOf({ findings }: Diagnosis): Problem[] {
  return findings.map(({ subject, pods, message, hint }) => ({
    severity: 'error',
    subject: pods > 1 ? `${subject} and ${pods - 1} more` : subject,
    message,
    ...(hint ? { hint } : {}),
  }));
}

function treeLines(
  { subject, status, message, replicaSets, groups, ready }: WorkloadTree,
  style: Style,
): string[] {
  const well = ready > 0 ? `, ${ready} Pod${ready === 1 ? '' : 's'} ready` : '';
  const lines = [`${subject}  ${style.red(status)}${message && `: ${message}`}${well}`];
  let indent = '  ';
  for (const set of replicaSets) lines.push(`${indent}${set}`);
  if (replicaSets.length > 0) indent += '  ';
  for (const { pods, phase, containers } of groups) {
    const more = pods.length > 1 ? ` and ${pods.length - 1} like it` : '';
    lines.push(`${indent}Pod/${pods[0]}${more}  ${phase}`);
    for (const { name, state } of containers) lines.push(`${indent}  ${name}  ${state}`);
  }
  return lines;
}

function ageOf(time: string, now: number): string {
  const age = now - Date.parse(time);
  return Number.isNaN(age) ? '' : `${formatAge(Math.max(0, age))} ago`;
}

function formatAge(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes < 1) return `${Math.floor(milliseconds / 1000)} s`;
  if (minutes < 60) return formatDuration(milliseconds).replace(/\.\d s$/, ' s');
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`;
}

const logTitle = ({ pod, container, previous }: LogExcerpt): string =>
  `log of ${container} in Pod/${pod}${previous ? ', the one before this' : ''}`;

interface ReportOptions {
  style: Style;
  /** Lines are cut at this; undefined where there is no terminal. */
  columns: number | undefined;
  /** Milliseconds since the epoch. */
  now: number;
}

/** The object tree, events and logs; the findings themselves are told as problems. */
export function formatDiagnosis(diagnosis: Diagnosis, options: ReportOptions): string[] {
  const { style, columns, now } = options;
  const events = diagnosis.events.map(({ time, reason, subject, message, count }) => {
    const times = count > 1 ? ` ×${count}` : '';
    return `  ${ageOf(time, now).padStart(9)}  ${reason}${times}  ${subject}: ${message}`;
  });
  const logs = diagnosis.logs.flatMap((log) => [
    log.missing === undefined ? logTitle(log) : `${logTitle(log)}: ${log.missing}`,
    ...log.lines.map((line) => style.dim(`  | ${line}`)),
  ]);
  const lines = [
    ...diagnosis.workloads.flatMap((tree) => treeLines(tree, style)),
    ...(events.length > 0 ? ['events, newest first', ...events] : []),
    ...logs,
  ];
  return columns === undefined ? lines : lines.map((line) => clip(line, columns));
}

/** A program may colour its lines, set the title of the window, or worse. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must go
  return stripVTControlCharacters(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '');
}
