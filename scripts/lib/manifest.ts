import { ManifestError, parseYamlStream } from './yaml.ts';

export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid?: string;
  generation?: number;
  resourceVersion?: string;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: { apiVersion: string; kind: string; name: string; uid: string; controller?: boolean }[];
  managedFields?: ManagedFields[];
}

export interface ManagedFields {
  apiVersion?: string;
  manager?: string;
  operation?: string;
  subresource?: string;
  time?: string;
  fieldsV1?: Record<string, unknown>;
}

/** Client-side apply keeps the whole manifest here, a Secret's values too. */
export const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

/** Any Kubernetes object; fields of single kinds are read through `at`. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  [field: string]: unknown;
}

/** Object reference: what identifies an object in one cluster. */
export interface Reference {
  group: string;
  kind: string;
  /** Empty for objects of the cluster. */
  namespace: string;
  name: string;
}

export const groupOf = (apiVersion: string): string =>
  apiVersion.includes('/') ? apiVersion.split('/')[0]! : '';

export function referenceOf(object: KubeObject): Reference {
  const { name, namespace = '' } = object.metadata;
  return { group: groupOf(object.apiVersion), kind: object.kind, namespace, name };
}

/** `Kind.group` as the ApplySet specification writes it; without a dot for the core group. */
export const groupKindOf = (reference: { group: string; kind: string }): string =>
  reference.group ? `${reference.kind}.${reference.group}` : reference.kind;

/** Identity of a reference, for maps. */
export const keyOf = (reference: Reference): string =>
  `${groupKindOf(reference)}/${reference.namespace}/${reference.name}`;

/** `Kind/name` for people; the namespace is said once per command. */
export const titleOf = (reference: { kind: string; name: string }): string =>
  `${reference.kind}/${reference.name}`;

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Walks records by field name and lists by index; undefined as soon as something is missing. */
export function at(value: unknown, ...path: (string | number)[]): unknown {
  let current = value;
  for (const step of path) {
    if (typeof step === 'number') current = Array.isArray(current) ? current[step] : undefined;
    else current = isRecord(current) ? current[step] : undefined;
  }
  return current;
}

export const listAt = (value: unknown, ...path: (string | number)[]): unknown[] => {
  const found = at(value, ...path);
  return Array.isArray(found) ? found : [];
};

export const textAt = (value: unknown, ...path: (string | number)[]): string | undefined => {
  const found = at(value, ...path);
  return typeof found === 'string' ? found : undefined;
};

export const numberAt = (value: unknown, ...path: (string | number)[]): number | undefined => {
  const found = at(value, ...path);
  return typeof found === 'number' ? found : undefined;
};

/** The same text for the same value, whatever the order of its fields. */
export const stableJson = (value: unknown): string =>
  JSON.stringify(value, (_, entry: unknown) =>
    isRecord(entry) ? Object.fromEntries(Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1))) : entry,
  );

/** Every string-valued entry of a record; anything else counts as empty. */
export function stringsAt(value: unknown, ...path: (string | number)[]): Record<string, string> {
  const found = at(value, ...path);
  // Without a prototype: a data key may be called `constructor`, and an absent one is absent.
  const strings: Record<string, string> = Object.create(null);
  for (const [key, entry] of isRecord(found) ? Object.entries(found) : [])
    if (typeof entry === 'string') strings[key] = entry;
  return strings;
}

/**
 * A YAML stream as objects; List kinds are opened, empty documents skipped.
 * @param first the number of its first document in errors
 * @throws ManifestError
 */
export function parseManifests(text: string, first = 1): KubeObject[] {
  const objects: KubeObject[] = [];
  for (const [index, value] of parseYamlStream(text, first).entries()) {
    if (value !== null && value !== undefined) collectObjects(value, first + index, objects);
  }
  return objects;
}

function collectObjects(value: unknown, number: number, into: KubeObject[]): void {
  if (!isRecord(value) || typeof value.apiVersion !== 'string' || typeof value.kind !== 'string') {
    throw new ManifestError(`document ${number} is no Kubernetes object (apiVersion or kind is missing)`);
  }
  if (value.kind.endsWith('List') && Array.isArray(value.items)) {
    for (const item of value.items) collectObjects(item, number, into);
    return;
  }
  if (
    !isRecord(value.metadata) ||
    (typeof value.metadata.name !== 'string' && typeof value.metadata.generateName !== 'string')
  ) {
    throw new ManifestError(`document ${number} (${value.kind}) has no metadata.name`);
  }
  into.push(value as KubeObject);
}

/** Kustomize's hash suffix: ten letters of its own alphabet (api/hasher/hasher.go). */
const hashed = /^(.+)-[2456789bcdfghkmt]{10}$/;

/** The name before the hash suffix of a generated ConfigMap or Secret; undefined for any other object. */
export function generatedNameOf(reference: Reference): string | undefined {
  if (reference.group !== '' || (reference.kind !== 'ConfigMap' && reference.kind !== 'Secret'))
    return undefined;
  return hashed.exec(reference.name)?.[1];
}
