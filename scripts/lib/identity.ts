import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Arguments, isSet } from './command.ts';
import { type Connection, isAnonymous, refusal } from './connection.ts';
import type { ClusterPin, Contract } from './contract.ts';
import { objectPath } from './discovery.ts';
import { StrataError, systemCode } from './errors.ts';
import { strataFolder } from './files.ts';
import { type Context, isLocal, readPem } from './kubeconfig.ts';
import { namespaces } from './live.ts';
import { isRecord, listAt, textAt } from './manifest.ts';
import type { Session } from './session.ts';

/** What tells two clusters apart that have the same context name. */
export interface Identity {
  /**
   * Of Namespace/kube-system, which lives as long as its cluster and which OpenTelemetry takes for the same purpose
   * (https://opentelemetry.io/docs/specs/semconv/resource/k8s/). Undefined when it may not be read.
   */
  uid: string | undefined;
  /** SHA-256 of each CA certificate that the kubeconfig trusts for the server, in hexadecimal; sorted. */
  ca: readonly string[];
  server: string;
}

/** What `.strata/` remembers of a context. */
interface ClusterRecord extends Identity {
  context: string;
  /** RFC 3339. */
  recordedAt: string;
}

const schema = 'strata.dev/cluster/v1';

/** Upper or lower case, with or without colons, as openssl and Node write it. */
export const normalFingerprint = (text: string): string => text.replaceAll(':', '').toLowerCase();

/** SHA-256 of every certificate in the text, sorted; what is no certificate does not count. */
export function fingerprintsOf(pem: string): string[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const found = blocks.flatMap((block) => {
    try {
      return normalFingerprint(new X509Certificate(block).fingerprint256);
    } catch {
      return [];
    }
  });
  return [...new Set(found)].sort();
}

export type Verdict = 'same' | 'same by its CA alone' | 'another CA' | 'another cluster' | 'unknown';

/**
 * Compares two identities, either of which may be incomplete. Without both uids the CA decides, and only for the same
 * server: what stands in front of many clusters has one CA for all of them.
 */
export function compareIdentities(known: Identity, found: Identity): Verdict {
  const isComparable = known.ca.length > 0 && found.ca.length > 0;
  const sharesCa = known.ca.some((fingerprint) => found.ca.includes(fingerprint));
  if (known.uid !== undefined && found.uid !== undefined) {
    if (known.uid !== found.uid) return 'another cluster';
    return isComparable && !sharesCa ? 'another CA' : 'same';
  }
  if (!isComparable) return 'unknown';
  if (!sharesCa) return 'another cluster';
  return known.server === found.server ? 'same by its CA alone' : 'unknown';
}

/** Whether the identity is the one that the team pinned; undefined when that cannot be known. */
export function meetsPin(pin: ClusterPin, found: Identity): boolean | undefined {
  const caMeets =
    pin.ca === undefined ? undefined : found.ca.length > 0 ? found.ca.includes(pin.ca) : undefined;
  const uidMeets = pin.uid === undefined || found.uid === undefined ? undefined : pin.uid === found.uid;
  if (caMeets === false || uidMeets === false) return false;
  // The CA stands in for a uid that may not be read, the uid for a CA that the kubeconfig does not name.
  return uidMeets || caMeets ? true : undefined;
}

/** For people, over one line. */
export function formatIdentity({ uid, ca, server }: Identity): string {
  return [
    uid === undefined ? 'uid of kube-system not known' : `uid ${uid}`,
    ca.length === 0 ? 'no CA in the kubeconfig' : `CA sha256 ${ca.join(' + ')}`,
    server,
  ].join(', ');
}

/**
 * One file a context, straight in `.strata/`: below a folder an overlay of that name would get in its way.
 * A context name may hold slashes and be of any length, and differ from another in case alone.
 */
function recordFile(session: Session, context: string): string {
  const digest = createHash('sha256').update(context).digest('hex').slice(0, 12);
  const name = context.replaceAll(/[^A-Za-z0-9.-]+/g, '-').slice(0, 60);
  return path.join(session.root, '.strata', `cluster-${name}-${digest}.json`);
}

function parseRecord(text: string, context: string): ClusterRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const [uid, server, recordedAt] = ['uid', 'server', 'recordedAt'].map((field) => textAt(value, field));
  const ca = listAt(value, 'ca').filter((entry) => typeof entry === 'string');
  const isWhole =
    isRecord(value) &&
    value.schema === schema &&
    value.context === context &&
    (uid !== undefined || ca.length > 0);
  return isWhole && server !== undefined && recordedAt !== undefined
    ? { uid, ca, server, context, recordedAt }
    : undefined;
}

/** @throws StrataError FILE_UNREADABLE: what was recorded is not known, so nothing can be compared with it */
function readRecord(file: string, shown: string, context: string): ClusterRecord | undefined {
  const broken = (why: string): StrataError =>
    new StrataError(
      'FILE_UNREADABLE',
      `${shown}, which tells the cluster of context ${context} from others, ${why}`,
      {
        hint: `kubectl --context ${context} get nodes shows which cluster it is; if it is meant: rm ${shown}`,
      },
    );
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw broken(`cannot be read (${systemCode(error)})`);
  }
  const record = parseRecord(text, context);
  if (record === undefined) throw broken('is damaged');
  return record;
}

/** Appears whole or not at all. False when `mayReplace` is not set and somebody else was quicker. */
function writeRecord(session: Session, file: string, record: ClusterRecord, mayReplace: boolean): boolean {
  // Under a name that the next run clears away.
  const fresh = path.join(
    strataFolder(session.root),
    `run-${process.pid}-${randomBytes(4).toString('hex')}.json`,
  );
  try {
    writeFileSync(fresh, `${JSON.stringify({ schema, ...record }, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
    if (!mayReplace) {
      try {
        linkSync(fresh, file);
        return true;
      } catch (error) {
        if (systemCode(error) === 'EEXIST') return false;
        // A file system without hard links: two at once are told apart the next time.
      }
    }
    renameSync(fresh, file);
    return true;
  } finally {
    rmSync(fresh, { force: true });
  }
}

/** What a command knows of its cluster before it asks it anything. */
export interface Expectation {
  context: Context;
  cluster: Contract['cluster'];
  record: ClusterRecord | undefined;
  /** Where the record is, or will be. */
  file: string;
  isTrusted: boolean;
  /** The command that trusts another cluster, in words. */
  trusting: string;
  sandbox: object | undefined;
}

/**
 * Reads the record; nothing is sent yet.
 * @throws StrataError FILE_UNREADABLE for a record that is there and cannot be understood
 */
export function expectCluster(
  session: Session,
  args: Arguments,
  context: Context,
  input: Pick<Expectation, 'cluster' | 'sandbox'>,
): Expectation {
  const file = recordFile(session, context.name);
  const isTrusted = isSet(args, 'trust-cluster');
  const read = (): ClusterRecord | undefined =>
    readRecord(file, path.relative(session.root, file), context.name);
  const { cluster, sandbox } = input;
  const trusting = 'the same command with --trust-cluster';
  return { context, file, isTrusted, trusting, cluster, sandbox, record: sandbox ? undefined : read() };
}

/** The cluster as it was found to be. */
export interface Recognized {
  /** undefined for the sandbox. */
  identity: Identity | undefined;
  /** Records it when nothing is recorded yet; to be called before the first change. @throws StrataError CLUSTER_CHANGED */
  record(): void;
}

/** Asks the cluster who it is. @throws StrataError when it does not answer */
export async function readIdentity(connection: Connection): Promise<Identity> {
  const { context } = connection;
  const request = { method: 'GET' as const, path: objectPath(namespaces, '', 'kube-system') };
  const answer = await connection.request(request);
  // Who may work in one namespace alone may not look at this one.
  const isHidden = (answer.status === 403 && !isAnonymous(answer)) || answer.status === 404;
  if (answer.status >= 300 && !isHidden) throw refusal(context, request, answer);
  const pem = context.ca && readPem(context.ca);
  return {
    uid: textAt(answer.body, 'metadata', 'uid'),
    ca: pem ? fingerprintsOf(pem) : [],
    server: context.server,
  };
}

const look = (context: Context): string =>
  `kubectl --context ${context.name} get nodes shows which cluster it is`;

function checkPin({ cluster, context }: Expectation, found: Identity): void {
  if (cluster === undefined) return;
  const { uid, ca } = cluster.pin;
  const isMet = meetsPin(cluster.pin, found);
  if (isMet) return;
  const wanted = [...(uid ? [`uid ${uid}`] : []), ...(ca ? [`CA sha256 ${ca}`] : [])].join(', ');
  const place = `${cluster.place.file}:${cluster.place.line}`;
  const what =
    isMet === false
      ? `context ${context.name} is not the cluster that ${place} pins`
      : `context ${context.name} cannot be shown to be the cluster that ${place} pins`;
  throw new StrataError(
    'CLUSTER_CHANGED',
    `${what}\n  pinned: ${wanted}\n  found:  ${formatIdentity(found)}`,
    {
      hint:
        isMet === false
          ? `${look(context)}; if it is meant, correct \`cluster:\` in ${place}`
          : `ask for the right to read it: kubectl --context ${context.name} auth can-i get namespaces/kube-system; or pin its CA too in ${place}`,
    },
  );
}

function changed({ context, record, trusting }: Expectation, found: Identity, verdict: Verdict): StrataError {
  const date = record?.recordedAt.slice(0, 10);
  const what =
    verdict === 'unknown'
      ? `context ${context.name} cannot be shown to be the cluster that it was`
      : `context ${context.name} is another cluster than it was`;
  return new StrataError(
    'CLUSTER_CHANGED',
    `${what}\n  ${date}: ${formatIdentity(record!)}\n  today:      ${formatIdentity(found)}`,
    {
      hint:
        verdict === 'unknown'
          ? `ask for the right to read it: kubectl --context ${context.name} auth can-i get namespaces/kube-system; or ${look(context)}, then ${trusting}`
          : `${look(context)}; if it is meant, ${trusting}`,
    },
  );
}

/** A checkout that cannot be written can still be deployed; only what was seen is not remembered. */
function tryRecord(
  session: Session,
  expectation: Expectation,
  found: Identity,
  mayReplace: boolean,
): boolean | undefined {
  const { context, file } = expectation;
  const { uid, ca, server } = found;
  const record = { uid, ca, server, context: context.name, recordedAt: new Date().toISOString() };
  try {
    return writeRecord(session, file, record, mayReplace);
  } catch (error) {
    const reason = systemCode(error);
    if (reason === undefined) throw error;
    session.terminal.say(
      `note: ${path.relative(session.root, file)} cannot be written (${reason}), so the next command does not know this cluster again; \`cluster:\` in the overlay's strata.yaml pins it`,
    );
    return undefined;
  }
}

/** What was known of the cluster, with what is new; what could not be read this time is not forgotten. */
const merged = (known: Identity, found: Identity): Identity => ({
  uid: found.uid ?? known.uid,
  ca: found.ca.length > 0 ? found.ca : known.ca,
  server: found.server,
});

const isEqual = (a: Identity, b: Identity): boolean =>
  a.uid === b.uid && a.ca.join() === b.ca.join() && a.server === b.server;

/** Says what is noteworthy, and returns what is to be remembered instead; undefined to leave it as it is. */
function judge(session: Session, expectation: Expectation, found: Identity): Identity | undefined {
  const { context, record, isTrusted, cluster } = expectation;
  if (record === undefined) return undefined;
  const verdict = compareIdentities(record, found);
  const note = (text: string): void => session.terminal.say(`note: ${text}`);
  if (verdict === 'same') return merged(record, found);
  if (verdict === 'another CA') {
    note(`the CA of context ${context.name} is new, its cluster is the same: ${formatIdentity(found)}`);
    return merged(record, found);
  }
  if (verdict === 'same by its CA alone') {
    // A record without a uid was made by somebody who could not read it either.
    if (record.uid !== undefined)
      note(`context ${context.name} is known by its CA alone: namespace kube-system may not be read`);
    return merged(record, found);
  }
  // A pin that is met is stronger than what was recorded.
  if (!isTrusted && cluster === undefined && !isLocal(context)) throw changed(expectation, found, verdict);
  const isNothing = found.uid === undefined && found.ca.length === 0;
  note(
    verdict === 'unknown'
      ? `context ${context.name} cannot be shown to be the cluster that it was: ${formatIdentity(found)}`
      : `context ${context.name} is another cluster than on ${record.recordedAt.slice(0, 10)}: ${formatIdentity(found)}`,
  );
  return isNothing ? undefined : found;
}

/**
 * Asks the cluster who it is, and compares that with the pin and the record; writes nothing. `next` is what is to be
 * remembered instead of what is recorded.
 * @throws StrataError CLUSTER_CHANGED with both identities
 */
export async function compareCluster(
  session: Session,
  connection: Connection,
  expectation: Expectation,
): Promise<{ found: Identity; next: Identity | undefined }> {
  const found = await readIdentity(connection);
  checkPin(expectation, found);
  return { found, next: judge(session, expectation, found) };
}

/**
 * `compareCluster`, and remembers what is new. Nothing of the cluster may be reported, and nothing be sent to it but
 * reads, before this has come back.
 * @throws StrataError CLUSTER_CHANGED with both identities
 */
export async function recognize(
  session: Session,
  connection: Connection,
  expectation: Expectation,
): Promise<Recognized> {
  // What --sandbox means is found by its processes, not by a name that others can have.
  if (expectation.sandbox) return { identity: undefined, record() {} };
  const { found, next } = await compareCluster(session, connection, expectation);
  const { record, context } = expectation;
  if (record !== undefined && next !== undefined && !isEqual(record, next))
    tryRecord(session, expectation, next, true);
  return {
    identity: found,
    record() {
      if (record !== undefined) return;
      if (found.uid === undefined && found.ca.length === 0) {
        session.terminal.say(
          `note: nothing tells the cluster of context ${context.name} from another: namespace kube-system may not be read, and the kubeconfig names no CA`,
        );
        return;
      }
      const isWritten = tryRecord(session, expectation, found, false);
      if (isWritten && !isLocal(context) && expectation.cluster === undefined)
        session.terminal.say(`note: context ${context.name} is from now on ${formatIdentity(found)}`);
      if (isWritten !== false) return;
      // Another command was the first, a moment ago.
      const now = { ...expectation, record: readRecord(expectation.file, expectation.file, context.name) };
      judge(session, now, found);
    },
  };
}

/** The outcome of `reading`, once the cluster is known to be the right one; of another one nothing is told. */
export async function afterwards<T>(
  recognizing: Promise<Recognized>,
  reading: Promise<T>,
): Promise<[T, Recognized]> {
  const [recognized, read] = await Promise.allSettled([recognizing, reading]);
  if (recognized.status === 'rejected') throw recognized.reason;
  if (read.status === 'rejected') throw read.reason;
  return [read.value, recognized.value];
}
