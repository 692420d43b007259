import { type Connection, isForbidden } from './connection.ts';
import { type Discovery, discover, objectPath, type Resource } from './discovery.ts';
import { type Problem, StrataError } from './errors.ts';
import { type Inventory, readParent } from './inventory.ts';
import { type ClusterState, configMaps, namespaces, readEverything, userKinds } from './live.ts';
import { groupKindOf, type KubeObject, keyOf, type Reference, referenceOf, textAt } from './manifest.ts';
import type { Doomed } from './prune.ts';
import type { Session } from './session.ts';
import { passive } from './wait.ts';
import { formatYaml } from './yaml.ts';

/** One verb on one kind, as the API server authorizes it. */
export interface Right {
  verb: string;
  group: string;
  /** Plural name, as in URLs. */
  resource: string;
  /** Empty for all namespaces and for objects of the cluster. */
  namespace: string;
  /** Enough for these objects alone; empty: the verb knows no names (list, watch, create). */
  names: readonly string[];
  /** What works less well without it; undefined when nothing works without it. */
  lack: string | undefined;
}

type Kind = Pick<Resource, 'group' | 'plural' | 'namespaced'>;

interface Rights {
  add(kind: Kind, verbs: readonly string[], names?: readonly string[], lack?: string): void;
  all(): Right[];
}

/** Collects; the same verb on the same kind twice is one right for the names of both. */
function collectRights(namespace: string): Rights {
  const found = new Map<string, Right>();
  return {
    add(kind, verbs, names = [], lack) {
      for (const verb of verbs) {
        const place = kind.namespaced ? namespace : '';
        const key = `${verb} ${kind.plural}.${kind.group}`;
        const known = found.get(key);
        found.set(key, {
          verb,
          group: kind.group,
          resource: kind.plural,
          namespace: place,
          names: [...new Set([...(known?.names ?? []), ...names])],
          lack: known && known.lack === undefined ? undefined : lack,
        });
      }
    },
    all: () => [...found.values()],
  };
}

/** Kinds that come with the overlay's own CRDs are served only after the apply. */
function kindFinder(discovery: Discovery, objects: readonly KubeObject[]): (object: KubeObject) => Kind[] {
  const own = new Map(
    objects
      .filter(({ kind }) => kind === 'CustomResourceDefinition')
      .map((definition): [string, Kind] => {
        const group = textAt(definition, 'spec', 'group') ?? '';
        const kind = textAt(definition, 'spec', 'names', 'kind') ?? '';
        const plural = textAt(definition, 'spec', 'names', 'plural') ?? '';
        const namespaced = textAt(definition, 'spec', 'scope') === 'Namespaced';
        return [groupKindOf({ group, kind }), { group, plural, namespaced }];
      }),
  );
  return (object) => {
    const found = discovery.find(object.apiVersion, object.kind) ?? own.get(groupKindOf(referenceOf(object)));
    return found ? [found] : [];
  };
}

const pods: Kind = { group: '', plural: 'pods', namespaced: true };
const replicaSets: Kind = { group: 'apps', plural: 'replicasets', namespaced: true };

const watching = 'the wait asks again and again instead of being told';
const explaining = 'a rollout that fails cannot be explained';
const remembering = 'the history is not kept, and nobody can go back';

export interface NeedsOfUp {
  inventory: Inventory;
  discovery: Discovery;
  objects: readonly KubeObject[];
  /** What was read of the cluster; without it everything might have to be created. */
  known?: {
    state: ClusterState;
    /** By `keyOf`. */
    live: ReadonlyMap<string, KubeObject>;
    /** What is deleted and created anew, where the server was asked for a plan. */
    replaced?: readonly Reference[];
    /** Owned objects that are no longer rendered. */
    surplus: readonly { reference: Reference; isUsed: boolean }[];
  };
}

/**
 * What `diff` and `up` ask of the server. Server-side apply takes `patch`, and `create` too for an object that is not
 * there (https://kubernetes.io/docs/reference/using-api/server-side-apply/); so does its dry run.
 */
export function rightsForUp({ inventory, discovery, objects, known }: NeedsOfUp): Right[] {
  const rights = collectRights(inventory.namespace);
  const kindsOf = kindFinder(discovery, objects);
  rights.add(configMaps, ['get', 'patch'], [inventory.name]);
  if (known?.state.parent === undefined) rights.add(configMaps, ['create']);
  if (known && known.state.namespace === undefined) rights.add(namespaces, ['create']);
  for (const object of objects) {
    const reference = referenceOf(object);
    for (const kind of kindsOf(object)) {
      rights.add(kind, ['list']);
      rights.add(kind, ['get', 'patch'], [reference.name]);
      if (!known?.live.has(keyOf(reference))) rights.add(kind, ['create']);
      if (!passive.has(groupKindOf(reference))) rights.add(kind, ['watch'], [], watching);
    }
  }
  for (const reference of known?.replaced ?? []) {
    const kind = discovery.preferred(groupKindOf(reference));
    if (kind === undefined) continue;
    rights.add(kind, ['create']);
    rights.add(kind, ['delete'], [reference.name]);
  }
  const surplus = known?.surplus ?? [];
  for (const { reference, isUsed } of surplus) {
    const kind = discovery.preferred(groupKindOf(reference));
    if (kind === undefined) continue;
    rights.add(kind, ['list']);
    const lack = isUsed ? 'what is superseded cannot be removed later' : undefined;
    rights.add(kind, ['get', 'delete'], [reference.name], lack);
  }
  if (surplus.length > 0) addUsers(rights, discovery);
  rights.add(configMaps, ['list', 'create'], [], remembering);
  rights.add(pods, ['list', 'watch'], [], explaining);
  rights.add(replicaSets, ['list', 'watch'], [], explaining);
  return rights.all();
}

/**
 * What an overlay takes over its life: objects that come, change and go. A Role says all of it at once, for one that
 * is applied again replaces what it said before.
 */
export function rightsForRoles(needs: NeedsOfUp): Right[] {
  const { inventory, discovery, objects } = needs;
  const rights = collectRights(inventory.namespace);
  const kindsOf = kindFinder(discovery, objects);
  for (const kind of objects.flatMap(kindsOf)) if (kind.namespaced) rights.add(kind, ['delete']);
  // Of the history only the latest is kept.
  rights.add(configMaps, ['delete']);
  addUsers(rights, discovery);
  return [...rightsForUp({ inventory, discovery, objects }), ...rights.all(), ...rightsForUp(needs)];
}

/** Whoever uses a ConfigMap or Secret keeps it from being pruned. */
function addUsers(rights: Rights, discovery: Discovery): void {
  for (const name of userKinds) {
    const kind = discovery.preferred(name);
    if (kind) rights.add(kind, ['list']);
  }
}

/** What `status` asks, and `down` too, with the verbs that it needs besides; for each kind the inventory names. */
export function rightsToRead(
  inventory: Inventory,
  discovery: Discovery,
  groupKinds: readonly string[],
  more: readonly string[] = [],
): Right[] {
  const rights = collectRights(inventory.namespace);
  rights.add(configMaps, ['get', ...more], [inventory.name]);
  for (const name of groupKinds) {
    const kind = discovery.preferred(name);
    if (kind) rights.add(kind, ['list', ...more]);
  }
  return rights.all();
}

/** What `down` asks to delete these objects, wait until they are gone, and let go of the namespace or delete it. */
export function rightsForDown(
  inventory: Inventory,
  targets: readonly Doomed[],
  /** Verbs on the inventory itself, and on its namespace. */
  more: { inventory: readonly string[]; namespace: readonly string[] },
): Right[] {
  const rights = collectRights(inventory.namespace);
  rights.add(configMaps, more.inventory, [inventory.name]);
  for (const { reference, resource } of targets) rights.add(resource, ['get', 'delete'], [reference.name]);
  rights.add(namespaces, more.namespace, [inventory.namespace]);
  return rights.all();
}

/** Whether the server would allow it; undefined when it does not say. */
async function review(connection: Connection, right: Right, name?: string): Promise<boolean | undefined> {
  const { verb, group, resource, namespace } = right;
  const answer = await connection.request({
    method: 'POST',
    path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    body: {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: { verb, group, resource, namespace, ...(name ? { name } : {}) } },
    },
    repeatable: true,
  });
  if (answer.status >= 300) return undefined;
  const { status } = answer.body as { status?: { allowed?: unknown } };
  return typeof status?.allowed === 'boolean' ? status.allowed : undefined;
}

/**
 * Those of the rights that the server denies, asked for all at once. A role may name its objects: what is denied for a
 * kind is asked for again by name. What the server does not answer is left for it to decide when the time comes.
 */
export async function missingRights(connection: Connection, rights: readonly Right[]): Promise<Right[]> {
  const reviewed = await Promise.all(
    rights.map(async (right): Promise<Right[]> => {
      if ((await review(connection, right)) !== false) return [];
      if (right.names.length === 0) return [right];
      const denied = await Promise.all(
        right.names.map(async (name) => ((await review(connection, right, name)) === false ? [name] : [])),
      );
      const names = denied.flat();
      return names.length === 0 ? [] : [{ ...right, names }];
    }),
  );
  return reviewed.flat();
}

/** `deployments.apps`, as kubectl takes it. */
const resourceName = ({ group, resource }: Right): string => (group ? `${resource}.${group}` : resource);

/** Of the cluster itself there is no such thing as a namespace. */
const placeName = ({ namespace }: Right): string => (namespace ? ` in namespace ${namespace}` : '');

function canILine(context: string, right: Right): string {
  const name = right.names.length === 1 && right.namespace === '' ? `/${right.names[0]}` : '';
  const place = right.namespace ? ` -n ${right.namespace}` : '';
  return `kubectl --context ${context} auth can-i ${right.verb} ${resourceName(right)}${name}${place}`;
}

/** One finding a kind, for a list of every verb would be long. */
function problemsOf(context: string, missing: readonly Right[]): Problem[] {
  const groups = new Map<string, Right[]>();
  for (const right of missing) {
    const key = `${right.lack ?? ''} ${resourceName(right)} ${right.namespace}`;
    groups.set(key, [...(groups.get(key) ?? []), right]);
  }
  return [...groups.values()].map((rights): Problem => {
    const [right] = rights as [Right, ...Right[]];
    const verbs = rights.map(({ verb }) => verb).join(', ');
    return {
      severity: right.lack === undefined ? 'error' : 'warning',
      subject: `${resourceName(right)}${placeName(right)}`,
      message: `not allowed: ${verbs}${right.lack === undefined ? '' : ` (without it ${right.lack})`}`,
      hint: canILine(context, right),
    };
  });
}

interface Rule {
  apiGroups: string[];
  resources: string[];
  resourceNames?: string[];
  verbs: string[];
}

/** Names are given only for objects of the cluster: in a namespace generated ones change with every value. */
function rulesOf(rights: readonly Right[]): Rule[] {
  const verbs = new Map<string, { right: Right; names: readonly string[]; verbs: string[] }>();
  for (const right of rights) {
    const names = right.namespace === '' ? right.names : [];
    const key = JSON.stringify([right.group, right.resource, names]);
    const known = verbs.get(key);
    if (known) known.verbs.push(right.verb);
    else verbs.set(key, { right, names, verbs: [right.verb] });
  }
  const rules = new Map<string, Rule>();
  for (const { right, names, verbs: own } of verbs.values()) {
    const sorted = [...new Set(own)].sort();
    const key = JSON.stringify([right.group, names, sorted]);
    const known = rules.get(key);
    if (known) known.resources.push(right.resource);
    else
      rules.set(key, {
        apiGroups: [right.group],
        resources: [right.resource],
        ...(names.length > 0 ? { resourceNames: [...names] } : {}),
        verbs: sorted,
      });
  }
  return [...rules.values()];
}

const rbac = 'rbac.authorization.k8s.io';

function subjectOf(user: string): object {
  const [, namespace, name] = /^system:serviceaccount:([^:]+):(.+)$/.exec(user) ?? [];
  return name ? { kind: 'ServiceAccount', namespace, name } : { apiGroup: rbac, kind: 'User', name: user };
}

/** Roles and bindings for the whole of a demand, as YAML that an administrator can apply. */
export function formatRoles({ inventory, role, whole }: Demand, user: string): string {
  const documents = (['Role', 'ClusterRole'] as const).flatMap((kind) => {
    const own = whole.filter(({ namespace }) => (namespace === '') === (kind === 'ClusterRole'));
    if (own.length === 0) return [];
    const metadata =
      kind === 'Role'
        ? { name: `${inventory.name}-${role}`, namespace: inventory.namespace }
        : { name: `${inventory.name}-${role}-${inventory.namespace}` };
    return [
      { apiVersion: `${rbac}/v1`, kind, metadata, rules: rulesOf(own) },
      {
        apiVersion: `${rbac}/v1`,
        kind: `${kind}Binding`,
        metadata,
        roleRef: { apiGroup: rbac, kind, name: metadata.name },
        subjects: [subjectOf(user)],
      },
    ];
  });
  return documents.map(formatYaml).join('---\n');
}

/** Who the server takes us for; undefined when it does not say. */
export async function whoAmI(connection: Connection): Promise<string | undefined> {
  const answer = await connection.request({
    method: 'POST',
    path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
    repeatable: true,
  });
  return answer.status < 300 ? textAt(answer.body, 'status', 'userInfo', 'username') : undefined;
}

/** In the words of the server's own refusal, by which it can be searched for. */
function sentence(user: string | undefined, right: Right): string {
  const who = user === undefined ? 'the user' : `User "${user}"`;
  const where = right.namespace ? `in the namespace "${right.namespace}"` : 'at the cluster scope';
  return `${who} cannot ${right.verb} resource "${right.resource}" in API group "${right.group}" ${where}`;
}

export interface Demand {
  inventory: Inventory;
  /** What is asked for. */
  rights: readonly Right[];
  /** What the roles give, which is no less. */
  whole: readonly Right[];
  /** The end of the roles' names; one each, or those for one command would replace those for another. */
  role: 'up' | 'down' | 'status';
  /** The namespace is not there yet, so nobody can have rights in it but those of the whole cluster. */
  isNew: boolean;
  /** What else keeps the command from its work. */
  problems?: readonly Problem[];
}

/** The refusal that tells every missing right at once, after the roles that would give all of them. */
async function refusalFor(
  session: Session,
  connection: Connection,
  demand: Demand,
  missing: readonly Right[],
): Promise<StrataError | undefined> {
  const { inventory, isNew, problems = [] } = demand;
  const [first, ...others] = missing.filter(({ lack }) => lack === undefined);
  if (first === undefined) return undefined;
  const context = connection.context.name;
  const user = await whoAmI(connection);
  session.terminal.say(
    [
      `# What overlay ${inventory.overlay} needs in context ${context}; an administrator can apply it:`,
      formatRoles(demand, user ?? 'NAME').trimEnd(),
      '# end',
    ].join('\n'),
  );
  const count = others.length;
  const rest = count === 0 ? '' : `, and ${count} more ${count === 1 ? 'right is' : 'rights are'} missing`;
  const fresh = isNew
    ? `; where rights come with a namespace: kubectl --context ${context} create namespace ${inventory.namespace}`
    : '';
  return new StrataError('CLUSTER_REFUSED', `not allowed: ${sentence(user, first)}${rest}`, {
    problems: [...problems, ...problemsOf(context, missing)],
    hint: `give the roles above to an administrator, then check with: kubectl --context ${context} auth can-i --list -n ${inventory.namespace}${fresh}`,
  });
}

/** The refusal with every right that is missing; undefined when the reviews know of none. */
export async function rightsRefusal(
  session: Session,
  connection: Connection,
  demand: Demand,
): Promise<StrataError | undefined> {
  return refusalFor(session, connection, demand, await missingRights(connection, demand.rights));
}

/**
 * Asks for all rights at once, before anything is changed. Says what works less well without those that are only nice
 * to have.
 * @throws StrataError CLUSTER_REFUSED with every right that is missing
 */
export async function requireRights(session: Session, connection: Connection, demand: Demand): Promise<void> {
  const missing = await missingRights(connection, demand.rights);
  const refusal = await refusalFor(session, connection, demand, missing);
  if (refusal) throw refusal;
  for (const lack of new Set(missing.map((right) => right.lack))) {
    const own = missing.filter((right) => right.lack === lack);
    const verbs = own.map((right) => `${right.verb} ${resourceName(right)}`).join(', ');
    session.terminal.say(`note: not allowed to ${verbs}: ${lack}`);
  }
}

/**
 * A refusal in the middle of reading names one right; whoever asks for that alone meets the next one. So what it takes
 * as a whole is asked for then.
 * @throws StrataError the whole list, or the refusal itself when the reviews know of nothing missing
 */
export async function withRightsExplained<T>(
  session: Session,
  connection: Connection,
  work: () => Promise<T>,
  demandOf: (discovery: Discovery) => Demand | Promise<Demand>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isForbidden(error)) throw error;
    const demand = await demandOf(await discover(connection));
    throw (await rightsRefusal(session, connection, demand)) ?? error;
  }
}

/**
 * `readEverything`, with all the rights that it and `verbs` on what it finds take when one is missing.
 * @throws StrataError CLUSTER_REFUSED with every right that is missing
 */
export function readAllowed(
  session: Session,
  connection: Connection,
  inventory: Inventory,
  role: Demand['role'],
  verbs: readonly string[] = [],
): Promise<ClusterState> {
  return withRightsExplained(
    session,
    connection,
    () => readEverything(connection, inventory),
    async (discovery) => {
      const parent = await connection
        .get(objectPath(configMaps, inventory.namespace, inventory.name))
        .catch(() => undefined);
      const state = parent === undefined ? undefined : readParent(inventory, parent as KubeObject);
      const problem: Problem = {
        severity: 'warning',
        subject: `ConfigMap/${inventory.name}`,
        message:
          'cannot be read: the kinds it lists need the same rights, and the roles do not name them yet',
      };
      const rights = rightsToRead(inventory, discovery, state?.groupKinds ?? [], verbs);
      return {
        inventory,
        rights,
        whole: rights,
        role,
        isNew: false,
        problems: state ? [] : [problem],
      };
    },
  );
}
