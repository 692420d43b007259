import { at, isRecord, type KubeObject, listAt, type Reference, stringsAt, textAt } from './manifest.ts';

/** One object naming another by name, inside its own namespace. */
export interface Mention {
  kind: 'ConfigMap' | 'Secret' | 'ServiceAccount' | 'PersistentVolumeClaim' | 'Service';
  name: string;
  /** Data keys that must exist. */
  keys: string[];
  /** The pod starts without it, or it commonly comes from elsewhere (pull secrets, TLS certificates). */
  mayBeAbsent: boolean;
}

/** The pod template of any workload, found by its shape rather than by a table of kinds. */
function podSpecs(value: unknown): Record<string, unknown>[] {
  if (Array.isArray(value)) return value.flatMap(podSpecs);
  if (!isRecord(value)) return [];
  const own = Array.isArray(value.containers) ? [value] : [];
  return [...own, ...Object.values(value).flatMap(podSpecs)];
}

function mention(
  kind: Mention['kind'],
  name: unknown,
  source: unknown,
  keys: string[] = [],
  external = false,
): Mention[] {
  if (typeof name !== 'string' || name === '') return [];
  return [{ kind, name, keys, mayBeAbsent: external || at(source, 'optional') === true }];
}

function ofContainer(container: unknown): Mention[] {
  const fromKeys = (source: unknown): string[] => [textAt(source, 'key') ?? ''].filter(Boolean);
  return [
    ...listAt(container, 'envFrom').flatMap((entry) => [
      ...mention('ConfigMap', at(entry, 'configMapRef', 'name'), at(entry, 'configMapRef')),
      ...mention('Secret', at(entry, 'secretRef', 'name'), at(entry, 'secretRef')),
    ]),
    ...listAt(container, 'env').flatMap((entry) => {
      const config = at(entry, 'valueFrom', 'configMapKeyRef');
      const secret = at(entry, 'valueFrom', 'secretKeyRef');
      return [
        ...mention('ConfigMap', at(config, 'name'), config, fromKeys(config)),
        ...mention('Secret', at(secret, 'name'), secret, fromKeys(secret)),
      ];
    }),
  ];
}

function ofVolume(volume: unknown): Mention[] {
  const itemKeys = (source: unknown): string[] =>
    listAt(source, 'items').flatMap((item) => [textAt(item, 'key') ?? ''].filter(Boolean));
  const sources = [volume, ...listAt(volume, 'projected', 'sources')];
  return [
    ...mention('PersistentVolumeClaim', at(volume, 'persistentVolumeClaim', 'claimName'), {}),
    ...sources.flatMap((source) => {
      const config = at(source, 'configMap');
      const secret = at(source, 'secret');
      return [
        ...mention('ConfigMap', at(config, 'name'), config, itemKeys(config)),
        ...mention('Secret', at(secret, 'secretName') ?? at(secret, 'name'), secret, itemKeys(secret)),
      ];
    }),
  ];
}

function ofPodSpec(spec: Record<string, unknown>): Mention[] {
  const containers = ['containers', 'initContainers', 'ephemeralContainers'].flatMap((field) =>
    listAt(spec, field),
  );
  return [
    ...containers.flatMap(ofContainer),
    ...listAt(spec, 'volumes').flatMap(ofVolume),
    ...mention('ServiceAccount', spec.serviceAccountName, {}, [], spec.serviceAccountName === 'default'),
    ...listAt(spec, 'imagePullSecrets').flatMap((entry) =>
      mention('Secret', at(entry, 'name'), {}, [], true),
    ),
  ];
}

function ofIngress(object: KubeObject): Mention[] {
  if (object.kind !== 'Ingress') return [];
  const backends = [
    at(object, 'spec', 'defaultBackend'),
    ...listAt(object, 'spec', 'rules').flatMap((rule) =>
      listAt(rule, 'http', 'paths').map((entry) => at(entry, 'backend')),
    ),
  ];
  return [
    ...backends.flatMap((backend) => mention('Service', at(backend, 'service', 'name'), {})),
    ...listAt(object, 'spec', 'tls').flatMap((entry) =>
      mention('Secret', at(entry, 'secretName'), {}, [], true),
    ),
  ];
}

/** Everything the object names that must be there for it to work. */
export function mentionsOf(object: KubeObject): Mention[] {
  const claims = object.kind === 'StatefulSet' ? listAt(object, 'spec', 'volumeClaimTemplates') : [];
  const ownClaims = new Set(claims.map((claim) => textAt(claim, 'metadata', 'name')));
  return [...podSpecs(object).flatMap(ofPodSpec), ...ofIngress(object)].filter(
    (found) => !(found.kind === 'PersistentVolumeClaim' && ownClaims.has(found.name)),
  );
}

/** Data keys of a ConfigMap or Secret manifest. */
export function dataKeysOf(object: KubeObject): Set<string> {
  return new Set(
    ['data', 'stringData', 'binaryData'].flatMap((field) => Object.keys(stringsAt(object, field))),
  );
}

/** Key of `usersOf` for a ConfigMap or Secret. */
export const mentionKey = (mentioned: { kind: string; namespace: string; name: string }): string =>
  `${mentioned.kind}/${mentioned.namespace}/${mentioned.name}`;

/** Which of the given objects (Pods, ReplicaSets, ControllerRevisions, Jobs) use which ConfigMap or Secret. */
export function usersOf(
  users: readonly { reference: Reference; object: KubeObject }[],
): Map<string, Reference[]> {
  const result = new Map<string, Reference[]>();
  for (const { reference, object } of users) {
    for (const found of mentionsOf(object)) {
      const key = mentionKey({ ...found, namespace: reference.namespace });
      const list = result.get(key) ?? [];
      if (!list.includes(reference)) result.set(key, [...list, reference]);
    }
  }
  return result;
}
