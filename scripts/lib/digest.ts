import { createHash } from 'node:crypto';
import { isSecret } from './change.ts';
import { listPaths, pathsOf } from './fields.ts';
import { isRecord, type KubeObject, type ManagedFields, stableJson } from './manifest.ts';

/** One entry of an object's managed fields, without what it holds. */
export interface Writer {
  manager: string;
  operation: string;
  /** RFC 3339, whole seconds. */
  time: string;
}

/** An object as it was compared. */
export interface Expected {
  uid: string;
  digest: string;
  writers: Writer[];
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64url');

/** Controllers that only report: their writes come with every Pod. Custom resources may have no status subresource. */
function isStatusWriter({ subresource, fieldsV1 = {} }: ManagedFields): boolean {
  if (subresource !== undefined) return subresource === 'status';
  const fields = Object.keys(fieldsV1);
  return fields.length > 0 && fields.every((field) => field === 'f:status');
}

/** Of everybody who means what he writes. */
export const entriesOf = (object: KubeObject): ManagedFields[] =>
  (object.metadata.managedFields ?? []).filter((entry) => !isStatusWriter(entry));

const writerOf = ({ manager = '', operation = '', time = '' }: ManagedFields): Writer => ({
  manager,
  operation,
  time,
});

/** Annotations that come along with a status, such as the revision of a Deployment. */
function reportedAnnotations(object: KubeObject): string[] {
  const annotationsOf = (entry: ManagedFields): string[] => {
    const metadata = entry.fieldsV1?.['f:metadata'];
    const annotations = isRecord(metadata) ? metadata['f:annotations'] : undefined;
    return isRecord(annotations) ? Object.keys(annotations).map((field) => field.slice(2)) : [];
  };
  const meant = new Set(entriesOf(object).flatMap(annotationsOf));
  return (object.metadata.managedFields ?? [])
    .filter(isStatusWriter)
    .flatMap(annotationsOf)
    .filter((name) => !meant.has(name));
}

/**
 * On what an autoscaler scales: the component autoscaling sets it. Managed fields do not tell, since the scale
 * subresource notes no one as long as nobody held the replicas before (skipnonapplied.go of k8s.io/apimachinery).
 */
const autoscaledAnnotation = 'strata.dev/autoscaled';

function withoutLoad({ spec, metadata }: KubeObject): unknown {
  const isAutoscaled = metadata.annotations?.[autoscaledAnnotation] === 'true';
  return isAutoscaled && isRecord(spec) ? { ...spec, replicas: undefined } : spec;
}

/**
 * Everything about an object that somebody means: not its status, what comes along with that, or the bookkeeping
 * of who writes it, for those move with every Pod, nor replicas that move with the load. The values of a Secret are
 * left out, or a short one could be guessed from the digest; its resourceVersion stands for them, which nothing but a
 * real write moves.
 */
export function digestOf(object: KubeObject): string {
  const { status: _, data, stringData, metadata, ...rest } = object;
  const { managedFields: __, resourceVersion, generation: ___, annotations = {}, ...named } = metadata;
  const reported = reportedAnnotations(object);
  return sha256(
    stableJson({
      ...rest,
      spec: withoutLoad(object),
      ...(isSecret(object) ? { resourceVersion } : { data, stringData }),
      metadata: {
        ...named,
        annotations: Object.fromEntries(
          Object.entries(annotations).filter(([name]) => !reported.includes(name)),
        ),
      },
      managers: entriesOf(object)
        .map((entry) => stableJson(entry))
        .sort(),
    }),
  );
}

export function expectedOf(object: KubeObject): Expected {
  return {
    uid: object.metadata.uid ?? '',
    digest: digestOf(object),
    writers: entriesOf(object).map(writerOf),
  };
}

const latestOf = (entries: readonly ManagedFields[]): ManagedFields | undefined =>
  [...entries].sort((a, b) => ((a.time ?? '') < (b.time ?? '') ? 1 : -1))[0];

/** The server notes no time for who writes through the scale subresource. */
const byWhom = (entry: ManagedFields | undefined): string =>
  entry ? ` by ${entry.manager ?? 'an unnamed manager'}${entry.time ? ` at ${entry.time}` : ''}` : '';

/**
 * Says what became of an object since it was compared, and who did it; undefined when nothing did.
 * @param digest of the same kind as the expected one
 */
export function movementOf(
  expected: Expected | undefined,
  live: KubeObject | undefined,
  digest: (object: KubeObject) => string = digestOf,
): string | undefined {
  if (live === undefined) return expected && 'was deleted';
  const entries = entriesOf(live);
  if (expected === undefined) return `was created${byWhom(latestOf(entries))}`;
  if (live.metadata.uid !== expected.uid) return `was deleted and created again${byWhom(latestOf(entries))}`;
  if (live.metadata.deletionTimestamp) return `is being deleted since ${live.metadata.deletionTimestamp}`;
  if (digest(live) === expected.digest) return undefined;
  const known = new Set(expected.writers.map((writer) => stableJson(writer)));
  const author = latestOf(entries.filter((entry) => !known.has(stableJson(writerOf(entry)))));
  if (author) {
    const fields = pathsOf(author.fieldsV1);
    return `was changed${byWhom(author)}${fields.length > 0 ? `, who holds ${listPaths(fields)}` : ''}`;
  }
  const timeless = entries.find(({ time }) => time === undefined);
  if (timeless) return `was changed, maybe by ${timeless.manager}: the server notes no time for it`;
  // Who takes away what others held leaves no entry: their lists are just shorter.
  return 'was changed, by someone who only took fields away: those leave no name';
}
