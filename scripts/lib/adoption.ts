import { isDeepStrictEqual } from 'node:util';
import { isSecret } from './change.ts';
import { type Connection, refusal } from './connection.ts';
import { expectedOf, movementOf } from './digest.ts';
import { type Discovery, objectPath } from './discovery.ts';
import { type FieldSet, meets, remainder, unite } from './fields.ts';
import { attempts, moved, readNow, staleError, type Target } from './guard.ts';
import { applyEntry, fieldManager } from './inventory.ts';
import { type ClusterState, type DryRun, dryRun, dryRunOfMerge, type Takeover } from './live.ts';
import {
  at,
  isRecord,
  type KubeObject,
  lastAppliedAnnotation,
  type ManagedFields,
  referenceOf,
} from './manifest.ts';
import { withoutNoise } from './plan.ts';

const hasAnnotation = (live: KubeObject): boolean =>
  live.metadata.annotations?.[lastAppliedAnnotation] !== undefined;

/**
 * Of client-side apply. `kubectl apply --server-side` takes these over by itself after its patch, whatever the manager
 * is called, and sends the patch again (migrateToSSAIfNecessary in cmd/apply/apply.go of k8s.io/kubectl).
 */
const isClientSide = ({ operation, subresource, fieldsV1 }: ManagedFields): boolean =>
  operation === 'Update' &&
  subresource === undefined &&
  at(fieldsV1, 'f:metadata', 'f:annotations', `f:${lastAppliedAnnotation}`) !== undefined;

/** Without the bookkeeping: labels and annotations of others stay theirs. */
function meantBy({ fieldsV1 = {} }: ManagedFields): FieldSet {
  const { 'f:metadata': _, 'f:status': __, ...fields } = fieldsV1;
  return fields;
}

/** Who writes fields that the tree has too made the object, or is in charge of it by now. */
const isMaker = (entry: ManagedFields, applied: FieldSet): boolean =>
  entry.subresource === undefined &&
  !(entry.manager === fieldManager && entry.operation === 'Apply') &&
  (isClientSide(entry) || meets(meantBy(entry), applied));

const isSameEntry = (a: ManagedFields, b: ManagedFields): boolean =>
  a.manager === b.manager &&
  a.operation === b.operation &&
  a.apiVersion === b.apiVersion &&
  a.subresource === b.subresource;

const without = (entries: readonly ManagedFields[] = [], taken: readonly ManagedFields[]): ManagedFields[] =>
  entries.filter((entry) => !taken.some((other) => isSameEntry(entry, other)));

/**
 * The entry of strata after a takeover. Field sets of another version of the kind cannot be united: what they held is
 * held by nobody then, and stays.
 */
function unitedEntry(live: KubeObject, taken: readonly ManagedFields[]): ManagedFields {
  const own = applyEntry(live);
  const first = { ...taken[0], ...own };
  const sets = [...(own ? [own] : []), ...taken]
    .filter(({ apiVersion }) => apiVersion === first.apiVersion)
    .flatMap(({ fieldsV1 = {} }) => (Object.keys(fieldsV1).length > 0 ? [fieldsV1] : []));
  return {
    ...first,
    manager: fieldManager,
    operation: 'Apply',
    fieldsV1: sets.length > 0 ? sets.reduce(unite) : {},
  };
}

/** RFC 7386, from one object to another. */
function mergePatch(from: unknown, to: unknown): unknown {
  if (!isRecord(from) || !isRecord(to)) return to;
  return Object.fromEntries(
    [...new Set([...Object.keys(from), ...Object.keys(to)])].flatMap((field): [string, unknown][] => {
      if (!(field in to)) return [[field, null]];
      return isDeepStrictEqual(from[field], to[field]) ? [] : [[field, mergePatch(from[field], to[field])]];
    }),
  );
}

/**
 * What the server would hold if strata took the object over before it applies: without what only its makers held and
 * the tree lacks. The server is asked again, because what goes may come back as a default. `adopts`: somebody else made
 * the object.
 */
export async function dryRunOfTakeover(
  connection: Connection,
  state: ClusterState,
  object: KubeObject,
  live: KubeObject,
  asked: DryRun,
  adopts: boolean,
): Promise<DryRun> {
  const entries = live.metadata.managedFields ?? [];
  if (!adopts && !entries.some(isClientSide) && !(isSecret(live) && hasAnnotation(live))) return asked;
  // Conflicts with the makers end with the takeover, and which fields the tree has is known only without them.
  const given = adopts
    ? await dryRun(connection, state, object, { force: true, ownKinds: new Set() })
    : asked;
  // What is created anew takes nothing over.
  if (given.outcome !== 'accepted' || given.immutable) return given;
  const result = given.object;
  const applied = applyEntry(result)?.fieldsV1 ?? {};
  const taken = entries.filter((entry) => (adopts ? isMaker(entry, applied) : isClientSide(entry)));
  if (asked.outcome === 'conflict') {
    const names = taken.map(({ manager }) => manager);
    const conflicts = asked.conflicts.filter(({ manager }) => !names.includes(manager));
    if (conflicts.length > 0) return { outcome: 'conflict', conflicts };
  }
  const takeover: Takeover = { entries: taken, dropsAnnotation: hasAnnotation(live) };
  const kept = without(result.metadata.managedFields, taken).flatMap(({ fieldsV1 }) =>
    fieldsV1 ? [fieldsV1] : [],
  );
  const left = remainder(result, unitedEntry(live, taken).fieldsV1 ?? {}, kept) as KubeObject;
  if (isDeepStrictEqual(withoutNoise(left), withoutNoise(result))) return { ...given, takeover };
  const patch = mergePatch(withoutNoise(live), withoutNoise(left));
  const settled = await dryRunOfMerge(connection, state.discovery, live, patch);
  if (settled.outcome !== 'accepted') return settled;
  const { managedFields } = result.metadata;
  const { metadata } = settled.object;
  return {
    outcome: 'accepted',
    object: { ...settled.object, metadata: { ...metadata, managedFields } },
    takeover,
  };
}

/**
 * Makes the fields of the makers those of strata, and lets client-side apply's annotation go: both before kubectl is asked
 * to apply, which would do the first unasked and leave the second.
 * @throws StrataError PLAN_STALE, CLUSTER_REFUSED
 */
export async function takeOver(
  connection: Connection,
  discovery: Discovery,
  target: Target,
  overlay: string,
): Promise<Target> {
  const { manifest, takeover, expected } = target;
  if (takeover === undefined) return target;
  const { object } = manifest;
  const { name, namespace } = referenceOf(object);
  const resource = discovery.find(object.apiVersion, object.kind)!;
  for (let count = 1; ; count++) {
    const now = await readNow(connection, discovery, object);
    const movement = movementOf(expected, now);
    if (now === undefined || movement !== undefined)
      throw staleError([moved(object, movement ?? 'was deleted')], overlay, 'it was left as it is');
    const request = {
      method: 'PATCH' as const,
      path: objectPath(resource, namespace, name, { fieldManager }),
      body: takeoverPatch(now, takeover),
      contentType: 'application/json-patch+json',
    };
    const answer = await connection.request(request);
    if (answer.status === 409 && count < attempts) continue;
    if (answer.status >= 300) throw refusal(connection.context, request, answer);
    const live = answer.body as KubeObject;
    return {
      manifest,
      takeover: undefined,
      expected: expectedOf(live),
      resourceVersion: live.metadata.resourceVersion,
    };
  }
}

/** RFC 6902. The resourceVersion makes the server refuse it when the object has moved. */
function takeoverPatch(live: KubeObject, { entries, dropsAnnotation }: Takeover): object[] {
  const fields = live.metadata.managedFields ?? [];
  const own = applyEntry(live);
  const managedFields = [
    ...(entries.length > 0 ? [unitedEntry(live, entries)] : []),
    ...without(fields, [...entries, ...(own && entries.length > 0 ? [own] : [])]),
  ];
  const annotation = `/metadata/annotations/${lastAppliedAnnotation.replaceAll('/', '~1')}`;
  return [
    { op: 'replace', path: '/metadata/resourceVersion', value: live.metadata.resourceVersion },
    ...(entries.length > 0 ? [{ op: 'replace', path: '/metadata/managedFields', value: managedFields }] : []),
    ...(dropsAnnotation ? [{ op: 'remove', path: annotation }] : []),
  ];
}
