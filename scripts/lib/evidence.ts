import type { Setting } from './causes.ts';
import type { Connection } from './connection.ts';
import type { Surroundings } from './diagnosis.ts';
import { collectionPath, itemsOf, objectPath, type Resource } from './discovery.ts';
import { messageOf } from './errors.ts';
import {
  type Diagnosis,
  diagnose,
  type LogExcerpt,
  printable,
  speakersOf,
  type Trouble,
  witnessesOf,
} from './findings.ts';
import { type KubeObject, textAt } from './manifest.ts';
import { mentionsOf } from './references.ts';
import { scrubJson } from './scrub.ts';
import type { Session } from './session.ts';

const resource = (group: string, kind: string, plural: string): Resource => ({
  group,
  version: 'v1',
  kind,
  plural,
  namespaced: true,
  verbs: [],
});
export const pods = resource('', 'Pod', 'pods');
export const replicaSets = resource('apps', 'ReplicaSet', 'replicasets');
const events = resource('', 'Event', 'events');
const secrets = resource('', 'Secret', 'secrets');

const mostEvents = '200';

/** None where they may not be looked at: the rest still says something. */
async function readEvents(connection: Connection, witnesses: readonly KubeObject[]): Promise<KubeObject[]> {
  const lists = await Promise.all(
    witnesses.map(async ({ metadata: { uid = '', namespace = 'default' } }) => {
      const path = collectionPath(events, namespace, {
        fieldSelector: `involvedObject.uid=${uid}`,
        limit: mostEvents,
      });
      return itemsOf(await connection.get(path).catch(() => undefined), events);
    }),
  );
  return lists.flat();
}

/** Programs print what they connect with; the value may be older than the env file, or from another Secret. */
async function learnSecretsOf(connection: Connection, objects: readonly KubeObject[]): Promise<void> {
  const wanted = new Map<string, { namespace: string; name: string }>();
  for (const object of objects) {
    const { namespace = 'default' } = object.metadata;
    for (const { kind, name } of mentionsOf(object))
      if (kind === 'Secret') wanted.set(`${namespace}/${name}`, { namespace, name });
  }
  await Promise.all(
    [...wanted.values()].map(({ namespace, name }) =>
      // The connection makes known to the scrubber what it reads.
      connection.get(objectPath(secrets, namespace, name)).catch(() => undefined),
    ),
  );
}

const mostLines = 12;
const mostBytes = 16 * 1024;
const longestLine = 400;

async function readLog(
  session: Session,
  connection: Connection,
  speaker: { pod: KubeObject; container: string; previous: boolean },
): Promise<LogExcerpt> {
  const { pod, container, previous } = speaker;
  const { name, namespace = 'default' } = pod.metadata;
  const query = new URLSearchParams({
    container,
    tailLines: String(mostLines),
    limitBytes: String(mostBytes),
    ...(previous ? { previous: 'true' } : {}),
  });
  const excerpt = { pod: name, container, previous };
  const none = (missing: string): LogExcerpt => ({ ...excerpt, lines: [], missing });
  try {
    const { status, text } = await connection.getText(`${objectPath(pods, namespace, name)}/log?${query}`);
    if (status !== 200) return none(refusalIn(text) || `the server answered ${status}`);
    // Where it was cut off, the rest of a secret would not be known for one.
    const whole = Buffer.byteLength(text) < mostBytes ? text : text.slice(0, text.lastIndexOf('\n') + 1);
    const lines = session.scrubber
      .scrub(printable(whole))
      .split('\n')
      .map((line) => (line.length > longestLine ? `${line.slice(0, longestLine - 1)}…` : line).trimEnd())
      .filter((line) => line !== '');
    return lines.length > 0 ? { ...excerpt, lines, missing: undefined } : none('empty');
  } catch (error) {
    session.signal.throwIfAborted();
    return none(messageOf(error));
  }
}

/** Refusals are a `Status`, logs are whatever the program wrote. */
function refusalIn(text: string): string | undefined {
  try {
    return textAt(JSON.parse(text), 'message');
  } catch {
    return text.trim().split('\n')[0];
  }
}

/** The Pods around an overlay's objects; none of what may not be looked at. */
export async function readSurroundings(
  connection: Connection,
  setting: Setting,
): Promise<Omit<Surroundings, 'events'>> {
  const list = async (kind: Resource): Promise<KubeObject[]> => {
    const answer = await connection.request({ method: 'GET', path: collectionPath(kind, setting.namespace) });
    return answer.status < 300 ? itemsOf(answer.body, kind) : [];
  };
  const [ofPods, ofReplicaSets] = await Promise.all([list(pods), list(replicaSets)]);
  return { pods: ofPods, replicaSets: ofReplicaSets, setting };
}

const deadline = 10_000;

/**
 * Reads events and logs of what is in trouble and explains it. Never throws but for an interruption: what could not be
 * read is missing, for the trouble itself is what has to be told.
 */
export async function gatherDiagnosis(
  session: Session,
  connection: Connection,
  troubles: readonly Trouble[],
  known: Omit<Surroundings, 'events'>,
): Promise<Diagnosis> {
  const withoutEvents: Surroundings = { ...known, events: [] };
  const gather = async (): Promise<Diagnosis> => {
    const witnesses = witnessesOf(troubles, withoutEvents);
    const speakers = speakersOf(troubles, withoutEvents);
    const examined = new Set([...witnesses, ...speakers.map(({ pod }) => pod)]);
    const [witnessed] = await Promise.all([
      readEvents(connection, witnesses),
      learnSecretsOf(connection, [...examined]),
    ]);
    // Before anything is cut off: half of a secret would not be known for one.
    const scrubbed = scrubJson(session.scrubber, witnessed) as KubeObject[];
    const surroundings: Surroundings = { ...known, events: scrubbed };
    const logs = await Promise.all(speakers.map((speaker) => readLog(session, connection, speaker)));
    return diagnose(troubles, surroundings, logs);
  };
  const over = new AbortController();
  try {
    return await Promise.race([
      gather().catch(() => diagnose(troubles, withoutEvents, [])),
      session.clock
        .sleep(deadline, AbortSignal.any([session.signal, over.signal]))
        .then(() => diagnose(troubles, withoutEvents, [])),
    ]);
  } finally {
    over.abort();
    session.signal.throwIfAborted();
  }
}
