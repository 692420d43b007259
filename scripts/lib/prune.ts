import { type Connection, refusal } from './connection.ts';
import { collectionPath, type Discovery, itemsOf, objectPath, type Resource } from './discovery.ts';
import { StrataError } from './errors.ts';
import { groupKindOf, type KubeObject, type Reference, referenceOf, textAt, titleOf } from './manifest.ts';
import { formatDuration, type Session } from './session.ts';
import { waveOf, wavesOfDeletion } from './wave.ts';

/** An object as it was seen: only that very one may be deleted. */
export interface Doomed {
  reference: Reference;
  resource: Resource;
  uid: string;
  /** Given where it also has to be as it was. */
  resourceVersion?: string;
}

export function doomed(discovery: Discovery, object: KubeObject): Doomed[] {
  const resource =
    discovery.find(object.apiVersion, object.kind) ?? discovery.preferred(groupKindOf(referenceOf(object)));
  const { uid } = object.metadata;
  return resource && uid ? [{ reference: referenceOf(object), resource, uid }] : [];
}

export type Deletion = 'deleted' | 'gone' | 'replaced';

/**
 * Deletes the object with exactly this uid, and in this version if one is given; its dependents go first.
 * `replaced` means that another object, or another version, has taken the name since: it stays.
 */
export async function deleteObject(
  connection: Connection,
  { reference, resource, uid, resourceVersion }: Doomed,
): Promise<Deletion> {
  const request = {
    method: 'DELETE' as const,
    path: objectPath(resource, reference.namespace, reference.name),
    body: {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      preconditions: { uid, ...(resourceVersion ? { resourceVersion } : {}) },
      propagationPolicy: 'Foreground',
    },
    // The uid makes it safe to send twice.
    repeatable: true,
  };
  const answer = await connection.request(request);
  if (answer.status === 404) return 'gone';
  if (answer.status === 409) return 'replaced';
  if (answer.status >= 300) throw refusal(connection.context, request, answer);
  return 'deleted';
}

/**
 * Deletes workloads before what they use, and waits after each wave until it is gone.
 * @throws StrataError DELETE_FAILED naming what does not go, and its finalizers
 */
export async function deleteAll(
  session: Session,
  connection: Connection,
  targets: readonly Doomed[],
  timeout: number,
): Promise<void> {
  const deadline = session.clock.now() + timeout;
  for (const wave of wavesOfDeletion) {
    const own = targets.filter(({ reference }) => waveOf(reference) === wave);
    if (own.length === 0) continue;
    session.signal.throwIfAborted();
    await Promise.all(own.map((target) => deleteObject(connection, target)));
    await waitUntilGone(session, connection, own, deadline);
  }
}

async function stillThere(
  connection: Connection,
  targets: readonly Doomed[],
): Promise<{ target: Doomed; object: KubeObject }[]> {
  const found = await Promise.all(
    targets.map(async (target) => {
      const { resource, reference, uid } = target;
      const object = (await connection.get(objectPath(resource, reference.namespace, reference.name))) as
        | KubeObject
        | undefined;
      return object?.metadata.uid === uid ? [{ target, object }] : [];
    }),
  );
  return found.flat();
}

export async function waitUntilGone(
  session: Session,
  connection: Connection,
  targets: readonly Doomed[],
  deadline: number,
): Promise<void> {
  const started = session.clock.now();
  let left = await stillThere(connection, targets);
  for (let pause = 50; left.length > 0; pause = Math.min(pause * 1.5, 1000)) {
    if (session.clock.now() > deadline) throw doesNotGo(connection, left);
    session.terminal.live(
      left
        .slice(0, 10)
        .map(
          ({ target }) =>
            `  ${titleOf(target.reference)}  Terminating  ${formatDuration(session.clock.now() - started)}`,
        ),
    );
    await session.clock.sleep(pause, session.signal);
    left = await stillThere(
      connection,
      left.map(({ target }) => target),
    );
  }
  session.terminal.live([]);
}

function doesNotGo(
  connection: Connection,
  left: readonly { target: Doomed; object: KubeObject }[],
): StrataError {
  const { target, object } = left[0]!;
  const { namespace, name } = target.reference;
  return new StrataError(
    'DELETE_FAILED',
    `${left.length} ${left.length === 1 ? 'object does' : 'objects do'} not go in time`,
    {
      problems: left.map(({ target: { reference }, object: { metadata } }) => ({
        severity: 'error',
        subject: titleOf(reference),
        message: metadata.finalizers?.length
          ? `waits for its finalizers: ${metadata.finalizers.join(', ')}`
          : 'is still being deleted',
      })),
      hint: `kubectl --context ${connection.context.name}${namespace ? ` -n ${namespace}` : ''} get ${target.resource.plural} ${name} -o yaml, then the same command again (${object.kind})`,
    },
  );
}

/** What keeps a namespace from being deleted. */
export interface Foreign {
  objects: Reference[];
  /** Kinds that could not be listed, so that nobody knows. */
  unknown: string[];
}

/** Every namespace has these, and nobody misses them. */
const isFurniture = ({ group, kind, name }: Reference): boolean =>
  (kind === 'Event' && (group === '' || group === 'events.k8s.io')) ||
  (group === '' && kind === 'ConfigMap' && name === 'kube-root-ca.crt') ||
  (group === '' && kind === 'ServiceAccount' && name === 'default') ||
  // Written and removed by a controller along with its Service, without an owner.
  (group === '' && kind === 'Endpoints');

/** Servers of extensions may not know it, and answer with whole objects. */
const metadataAlone = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json';

const typeOf = ({ group, version, kind }: Resource): { apiVersion: string; kind: string } => ({
  apiVersion: group ? `${group}/${version}` : version,
  kind,
});

/** Everything in the namespace that neither strata nor a controller put there. */
export async function foreignIn(
  connection: Connection,
  discovery: Discovery,
  namespace: string,
): Promise<Foreign> {
  const resources = discovery.all().filter(({ namespaced, verbs }) => namespaced && verbs.includes('list'));
  const unknown = [...discovery.stale];
  const lists = await Promise.all(
    resources.map(async (resource) => {
      const path = collectionPath(resource, namespace);
      // Names and owners are all that counts here: the Secrets of others are better not read at all.
      const answer = await connection.request({ method: 'GET', path, accept: metadataAlone });
      if (answer.status === 404 || answer.status === 405) return [];
      if (answer.status >= 300) {
        unknown.push(`${groupKindOf(resource)} (${textAt(answer.body, 'reason') ?? answer.status})`);
        return [];
      }
      return itemsOf(answer.body, resource).map((object) => ({ ...object, ...typeOf(resource) }));
    }),
  );
  const objects = lists
    .flat()
    .filter((object) => !object.metadata.ownerReferences?.length)
    .map(referenceOf)
    .filter((reference) => !isFurniture(reference));
  return { objects, unknown };
}
