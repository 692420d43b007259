import { randomBytes } from 'node:crypto';
import { type Connection, refusal } from './connection.ts';
import { collectionPath, type Discovery, discover, itemsOf, objectPath, type Resource } from './discovery.ts';
import { StrataError } from './errors.ts';
import { historySelector, isOfHistory, type KeptEntry, readEntry, usersInHistory } from './history.ts';
import { fieldManager, type Inventory, memberSelector, type ParentState, readParent } from './inventory.ts';
import { isJob } from './job.ts';
import {
  groupKindOf,
  type KubeObject,
  keyOf,
  listAt,
  type ManagedFields,
  type Reference,
  referenceOf,
  textAt,
  titleOf,
} from './manifest.ts';
import { mentionKey, usersOf } from './references.ts';

/** What else happens when strata writes an object: it comes to hold these fields, and those that the tree lacks go. */
export interface Takeover {
  /** As they were read, of who made the object. */
  entries: ManagedFields[];
  /** The annotation in which client-side apply keeps the manifest goes. */
  dropsAnnotation: boolean;
}

/** What the server said to the dry run of one object. */
export type DryRun = (
  | { outcome: 'accepted'; object: KubeObject; takeover?: Takeover }
  /** The server could not be asked; the reason in words. */
  | { outcome: 'not validated'; reason: string }
  | { outcome: 'conflict'; conflicts: { manager: string; field: string }[] }
  | { outcome: 'refused'; status: number; message: string }
  /** Nobody asked: it stays as it is. */
  | { outcome: 'left alone' }
) & {
  /** The fields that it does not let change. For a Job the rest is then about one that is created anew. */
  immutable?: readonly string[];
};

/** What the cluster holds of one overlay. */
export interface ClusterState {
  discovery: Discovery;
  namespace: KubeObject | undefined;
  /** undefined when there is no inventory yet. */
  parent: { state: ParentState; object: KubeObject } | undefined;
  /** Everything that carries the inventory label. */
  members: KubeObject[];
  /** What was deployed before, oldest first; undefined when it may not be read. */
  history: readonly KeptEntry[] | undefined;
}

export const configMaps: Resource = {
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  namespaced: true,
  verbs: [],
};
export const namespaces: Resource = {
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  namespaced: false,
  verbs: [],
};

/** What can be asked before it is known what the overlay renders. */
export interface Ground {
  discovery: Discovery;
  namespace: KubeObject | undefined;
  parentObject: KubeObject | undefined;
  history: KeptEntry[] | undefined;
}

export async function readGround(connection: Connection, inventory: Inventory): Promise<Ground> {
  const [discovery, namespace, parentObject, history] = await Promise.all([
    discover(connection),
    readNamespaceObject(connection, inventory.namespace),
    connection.get(objectPath(configMaps, inventory.namespace, inventory.name)) as Promise<
      KubeObject | undefined
    >,
    readHistory(connection, inventory),
  ]);
  return { discovery, namespace, parentObject, history };
}

/** The entries without their manifests. */
async function readHistory(connection: Connection, inventory: Inventory): Promise<KeptEntry[] | undefined> {
  const request = {
    method: 'GET' as const,
    path: collectionPath(configMaps, inventory.namespace, { labelSelector: historySelector(inventory) }),
    accept: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
  };
  const answer = await connection.request(request);
  if (answer.status === 403) return undefined;
  if (answer.status >= 300) throw refusal(connection.context, request, answer);
  return itemsOf(answer.body, configMaps)
    .flatMap((object) => readEntry(inventory, object) ?? [])
    .sort((a, b) => a.number - b.number);
}

/**
 * Namespace, inventory and its members. `groupKinds` are those the overlay renders; the inventory names its own.
 * @throws StrataError for a namespace that is being deleted and for a parent of another tool
 */
export async function readState(
  connection: Connection,
  inventory: Inventory,
  groupKinds: Iterable<string>,
  ground?: Promise<Ground>,
): Promise<ClusterState> {
  const { discovery, namespace, parentObject, history } = await (ground ?? readGround(connection, inventory));
  const state = parentObject && readParent(inventory, parentObject);
  if (parentObject && !state) {
    throw new StrataError(
      'NOT_OWNED',
      `ConfigMap/${inventory.name} in namespace ${inventory.namespace} is in the way: it is no inventory of strata`,
      {
        hint: `kubectl --context ${connection.context.name} -n ${inventory.namespace} get configmap ${inventory.name} -o yaml`,
      },
    );
  }
  const wanted = new Set([...groupKinds, ...(state?.groupKinds ?? [])]);
  const resources = [...wanted].flatMap((name) => discovery.preferred(name) ?? []);
  const members = await listMembers(connection, inventory, resources, namespace !== undefined);
  return {
    discovery,
    namespace,
    parent: parentObject && state ? { state, object: parentObject } : undefined,
    members,
    history,
  };
}

/** Who may work in a namespace may not always look at it: then it is taken to exist. */
async function readNamespaceObject(connection: Connection, name: string): Promise<KubeObject | undefined> {
  const request = { method: 'GET' as const, path: objectPath(namespaces, '', name) };
  const answer = await connection.request(request);
  if (answer.status === 404) return undefined;
  if (answer.status === 403) return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
  if (answer.status >= 300) throw refusal(connection.context, request, answer);
  return answer.body as KubeObject;
}

/**
 * Like `readState`, without knowing what was rendered. When the inventory itself is gone,
 * every kind of the server is searched for its label.
 */
export async function readEverything(connection: Connection, inventory: Inventory): Promise<ClusterState> {
  const state = await readState(connection, inventory, []);
  if (state.parent) return state;
  // Without the namespace there still may be objects of the cluster.
  const resources = state.discovery
    .all()
    .filter(({ verbs, namespaced }) => verbs.includes('list') && (state.namespace || !namespaced));
  const query = { labelSelector: memberSelector(inventory) };
  const lists = await Promise.all(
    resources.map(async (resource) => {
      const answer = await connection.request({
        method: 'GET',
        path: collectionPath(resource, inventory.namespace, query),
      });
      return answer.status < 300 ? itemsOf(answer.body, resource) : [];
    }),
  );
  return { ...state, members: lists.flat() };
}

async function listMembers(
  connection: Connection,
  inventory: Inventory,
  resources: readonly Resource[],
  namespaceExists: boolean,
): Promise<KubeObject[]> {
  const query = { labelSelector: memberSelector(inventory) };
  const lists = await Promise.all(
    resources
      .filter((resource) => namespaceExists || !resource.namespaced)
      .map(async (resource) =>
        itemsOf(await connection.get(collectionPath(resource, inventory.namespace, query)), resource),
      ),
  );
  return lists.flat();
}

/** Live objects for the rendered ones, by `keyOf`; asks only for those that no member list held. */
export async function readLive(
  connection: Connection,
  state: ClusterState,
  objects: readonly KubeObject[],
): Promise<Map<string, KubeObject>> {
  const live = new Map(state.members.map((member) => [keyOf(referenceOf(member)), member]));
  if (state.namespace?.metadata.uid) live.set(keyOf(referenceOf(state.namespace)), state.namespace);
  await Promise.all(
    objects.map(async (object) => {
      const reference = referenceOf(object);
      const resource = state.discovery.find(object.apiVersion, object.kind);
      if (live.has(keyOf(reference)) || resource === undefined) return;
      if (resource.namespaced && state.namespace === undefined) return;
      const found = await connection.get(objectPath(resource, reference.namespace, reference.name));
      if (found !== undefined) live.set(keyOf(reference), found as KubeObject);
    }),
  );
  return live;
}

export interface DryRunOptions {
  force: boolean;
  /** `Kind.group` of the CRDs that come with the overlay. */
  ownKinds: ReadonlySet<string>;
}

/** Asks the server what it would hold after the apply, with strict field validation. */
export async function dryRun(
  connection: Connection,
  state: ClusterState,
  object: KubeObject,
  options: DryRunOptions,
): Promise<DryRun> {
  const reference = referenceOf(object);
  const resource = state.discovery.find(object.apiVersion, object.kind);
  if (resource === undefined) {
    return options.ownKinds.has(groupKindOf(reference))
      ? { outcome: 'not validated', reason: 'its kind comes with this overlay' }
      : {
          outcome: 'refused',
          status: 404,
          message: `the cluster does not know ${object.kind} in ${object.apiVersion}`,
        };
  }
  if (resource.namespaced && state.namespace === undefined)
    return dryRunElsewhere(connection, resource, object);
  const result = await sendDryRun(connection, resource, object, options.force);
  return result.immutable && isJob(object)
    ? { ...(await dryRunAnew(connection, resource, object)), immutable: result.immutable }
    : result;
}

const standInName = (): string => `strata-dry-run-${randomBytes(5).toString('hex')}`;

/** The one of that name cannot become this: asked under another name, what it is when it is created anew. */
async function dryRunAnew(connection: Connection, resource: Resource, object: KubeObject): Promise<DryRun> {
  const { metadata } = object;
  const stand = { ...object, metadata: { ...metadata, name: standInName() } };
  const result = await sendDryRun(connection, resource, stand, false);
  if (result.outcome === 'refused' && result.status === 403) {
    return {
      outcome: 'not validated',
      reason: `it has to be created anew, and a dry run of that is not allowed: ${result.message}`,
    };
  }
  if (result.outcome !== 'accepted') return result;
  const { object: created } = result;
  return {
    outcome: 'accepted',
    object: { ...created, metadata: { ...created.metadata, name: metadata.name } },
  };
}

/**
 * In a namespace that does not exist the server answers 404 before it has looked at the object.
 * The same object under a random name in a namespace that every cluster has is looked at.
 */
async function dryRunElsewhere(
  connection: Connection,
  resource: Resource,
  object: KubeObject,
): Promise<DryRun> {
  const stand = { ...object, metadata: { ...object.metadata, name: standInName(), namespace: 'default' } };
  const result = await sendDryRun(connection, resource, stand, false);
  if (result.outcome === 'refused' && result.status === 403) {
    return {
      outcome: 'not validated',
      reason: 'the namespace is new, and namespace default may not be used for a dry run',
    };
  }
  return result.outcome === 'accepted' ? { outcome: 'accepted', object } : result;
}

const sendDryRun = (
  connection: Connection,
  resource: Resource,
  object: KubeObject,
  force: boolean,
): Promise<DryRun> => {
  const { name, namespace } = referenceOf(object);
  const path = objectPath(resource, namespace, name, { ...dryRunQuery, force: String(force) });
  return tryPatch(connection, path, object, 'application/apply-patch+yaml');
};

/** Asks the server what a merge patch (RFC 7386) of a live object would leave. */
export function dryRunOfMerge(
  connection: Connection,
  discovery: Discovery,
  live: KubeObject,
  patch: unknown,
): Promise<DryRun> {
  const resource = discovery.find(live.apiVersion, live.kind)!;
  const { name, namespace } = referenceOf(live);
  const path = objectPath(resource, namespace, name, dryRunQuery);
  return tryPatch(connection, path, patch, 'application/merge-patch+json');
}

const dryRunQuery = { dryRun: 'All', fieldManager, fieldValidation: 'Strict' };

async function tryPatch(
  connection: Connection,
  path: string,
  body: unknown,
  contentType: string,
): Promise<DryRun> {
  const request = { method: 'PATCH' as const, path, body, contentType, repeatable: true };
  const answer = await connection.request(request);
  const { status } = answer;
  if (status < 300) return { outcome: 'accepted', object: answer.body as KubeObject };
  if (status === 401) throw refusal(connection.context, request, answer);
  const message = textAt(answer.body, 'message') ?? `status ${status}`;
  const conflicts = status === 409 ? conflictsOf(answer.body) : [];
  if (conflicts.length > 0) return { outcome: 'conflict', conflicts };
  const immutable = immutablesOf(answer.body);
  return { outcome: 'refused', status, message, ...(immutable.length > 0 ? { immutable } : {}) };
}

/** None when the server has anything else against it. The words are those of ValidateImmutableField of Kubernetes. */
function immutablesOf(body: unknown): string[] {
  const causes = listAt(body, 'details', 'causes');
  const isImmutable = (cause: unknown): boolean =>
    /: field is immutable$/.test(textAt(cause, 'message') ?? '');
  return causes.every(isImmutable) ? causes.map((cause) => textAt(cause, 'field') ?? '') : [];
}

function conflictsOf(body: unknown): { manager: string; field: string }[] {
  return listAt(body, 'details', 'causes')
    .filter((cause) => textAt(cause, 'reason') === 'FieldManagerConflict')
    .map((cause) => ({
      manager: /conflict with "([^"]+)"/.exec(textAt(cause, 'message') ?? '')?.[1] ?? 'another manager',
      field: textAt(cause, 'field') ?? '',
    }));
}

/** What keeps a ConfigMap or Secret in use. */
export const userKinds = ['Pod', 'ReplicaSet.apps', 'ControllerRevision.apps', 'Job.batch'];

/**
 * Which Pods, ReplicaSets, ControllerRevisions, Jobs and deployments of the history still use which ConfigMap or
 * Secret; by `mentionKey`.
 */
export async function readUsers(
  connection: Connection,
  state: ClusterState,
  namespace: string,
): Promise<Map<string, Reference[]>> {
  const resources = userKinds.flatMap((name) => state.discovery.preferred(name) ?? []);
  const lists = await Promise.all(
    resources.map(async (resource) =>
      itemsOf(await connection.get(collectionPath(resource, namespace)), resource),
    ),
  );
  const users = usersOf(lists.flat().map((object) => ({ reference: referenceOf(object), object })));
  for (const [key, found] of usersInHistory(namespace, state.history ?? []))
    users.set(key, [...(users.get(key) ?? []), ...found]);
  return users;
}

/** Users of one ConfigMap or Secret, for people: workloads before their Pods, and the history last. */
export function usersFor(users: ReadonlyMap<string, Reference[]>, reference: Reference): string[] {
  const found = users.get(mentionKey(reference)) ?? [];
  const rank = (user: Reference): number => (isOfHistory(user) ? 2 : user.kind === 'Pod' ? 1 : 0);
  return [...found]
    .sort((a, b) => rank(a) - rank(b))
    .map((user) => (isOfHistory(user) ? `deployment ${user.name} of the history` : titleOf(user)));
}

/** `namespace/name` of the Service that holds a node port, if it may be looked up. */
export async function holderOfNodePort(connection: Connection, port: number): Promise<string | undefined> {
  const services: Resource = { ...configMaps, kind: 'Service', plural: 'services' };
  const list = await connection.get(collectionPath(services, '')).catch(() => undefined);
  const holder = itemsOf(list, services).find((service) =>
    JSON.stringify(service.spec ?? {}).includes(`"nodePort":${port}`),
  );
  return holder && `${holder.metadata.namespace}/${holder.metadata.name}`;
}
