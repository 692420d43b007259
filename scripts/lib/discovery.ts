import { type Connection, refusal } from './connection.ts';
import { StrataError } from './errors.ts';
import { at, groupKindOf, groupOf, type KubeObject, listAt, textAt } from './manifest.ts';

/** Where the server keeps the objects of one kind. */
export interface Resource {
  group: string;
  version: string;
  kind: string;
  /** Name in URLs. */
  plural: string;
  namespaced: boolean;
  verbs: string[];
}

export interface Discovery {
  /** By exact version; undefined when the server does not serve the kind. */
  find(apiVersion: string, kind: string): Resource | undefined;
  /** The preferred version of a kind. */
  preferred(groupKind: string): Resource | undefined;
  /** Every kind once, in its preferred version. */
  all(): Resource[];
  /** Groups that the server could not ask its extension servers about. */
  stale: string[];
}

const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

/** Aggregated discovery, `apidiscovery.k8s.io/v2` (served from 1.30 on). */
export function readDiscovery(answers: readonly unknown[]): Discovery {
  const exact = new Map<string, Resource>();
  const preferred = new Map<string, Resource>();
  const stale: string[] = [];
  for (const group of answers.flatMap((answer) => listAt(answer, 'items'))) {
    const groupName = textAt(group, 'metadata', 'name') ?? '';
    for (const version of listAt(group, 'versions')) {
      const versionName = textAt(version, 'version') ?? '';
      if (textAt(version, 'freshness') === 'Stale') stale.push(`${groupName}/${versionName}`);
      for (const entry of listAt(version, 'resources')) {
        const kind = textAt(entry, 'responseKind', 'kind') ?? '';
        const resource: Resource = {
          group: groupName,
          version: versionName,
          kind,
          plural: textAt(entry, 'resource') ?? '',
          namespaced: at(entry, 'scope') === 'Namespaced',
          verbs: listAt(entry, 'verbs').filter((verb) => typeof verb === 'string'),
        };
        exact.set(`${groupName}/${versionName}/${kind}`, resource);
        const name = groupKindOf(resource);
        if (!preferred.has(name)) preferred.set(name, resource);
      }
    }
  }
  return {
    find: (apiVersion, kind) => {
      const group = groupOf(apiVersion);
      return exact.get(`${group}/${group ? apiVersion.slice(group.length + 1) : apiVersion}/${kind}`);
    },
    preferred: (groupKind) => preferred.get(groupKind),
    all: () => [...preferred.values()],
    stale,
  };
}

/** Two requests for all kinds of the server. */
export async function discover(connection: Connection): Promise<Discovery> {
  const answers = await Promise.all(
    ['/api', '/apis'].map(async (path) => {
      const answer = await connection.request({ method: 'GET', path, accept });
      if (answer.status >= 300) throw refusal(connection.context, { method: 'GET', path }, answer);
      if (textAt(answer.body, 'kind') !== 'APIGroupDiscoveryList') {
        throw new StrataError('CLUSTER_TOO_OLD', 'the server does not offer aggregated discovery', {
          hint: 'upgrade the cluster to Kubernetes 1.30 or later',
        });
      }
      return answer.body;
    }),
  );
  return readDiscovery(answers);
}

const encode = encodeURIComponent;

/** Path of all objects of a kind; an empty namespace means all of them. */
export function collectionPath(
  resource: Resource,
  namespace: string,
  query: Record<string, string> = {},
): string {
  const root = resource.group ? `/apis/${resource.group}/${resource.version}` : `/api/${resource.version}`;
  const scope = resource.namespaced && namespace ? `/namespaces/${encode(namespace)}` : '';
  return `${root}${scope}/${resource.plural}${queryOf(query)}`;
}

export function objectPath(
  resource: Resource,
  namespace: string,
  name: string,
  query: Record<string, string> = {},
): string {
  return `${collectionPath(resource, namespace)}/${encode(name)}${queryOf(query)}`;
}

function queryOf(query: Record<string, string>): string {
  const text = new URLSearchParams(query).toString();
  return text ? `?${text}` : '';
}

/** Items of a list carry no kind of their own. */
export function itemsOf(list: unknown, resource: Resource): KubeObject[] {
  const apiVersion = resource.group ? `${resource.group}/${resource.version}` : resource.version;
  return listAt(list, 'items').map(
    (item) => ({ apiVersion, kind: resource.kind, ...(item as object) }) as KubeObject,
  );
}
