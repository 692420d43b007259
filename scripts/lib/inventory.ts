import { createHash } from 'node:crypto';
import { type KubeObject, type ManagedFields, stableJson, stringsAt, textAt } from './manifest.ts';

// ApplySet specification: KEP-3659, keps/sig-cli/3659-kubectl-apply-prune.
export const inventoryLabel = 'applyset.kubernetes.io/part-of';
const idLabel = 'applyset.kubernetes.io/id';
const toolingAnnotation = 'applyset.kubernetes.io/tooling';
const kindsAnnotation = 'applyset.kubernetes.io/contains-group-kinds';

/** Which overlay of which tree; finds the inventory when the tree no longer says its namespace. */
const overlayLabel = 'strata.dev/overlay';
const appliedAtAnnotation = 'strata.dev/applied-at';
/** On a Namespace: the id of the inventory whose `up` created it. */
export const createdByAnnotation = 'strata.dev/created-by';

/** On any object: neither `up` nor `down` deletes it. */
const preventDeletionAnnotation = 'strata.dev/prevent-deletion';

/** Owns what is applied. */
export const fieldManager = 'strata';
/** Owns the inventory itself, so that applying a manifest never takes it away. */
export const inventoryManager = 'strata-inventory';

export interface Inventory {
  id: string;
  name: string;
  namespace: string;
  overlay: string;
}

export const parentName = (overlay: string): string => `strata-${overlay}`;

/** `applyset-<base64url(sha256(name.namespace.kind.group))>-v1`; the parent is a ConfigMap, whose group is empty. */
export function inventoryOf(overlay: string, namespace: string): Inventory {
  const name = parentName(overlay);
  const digest = createHash('sha256').update(`${name}.${namespace}.ConfigMap.`).digest('base64url');
  return { id: `applyset-${digest}-v1`, name, namespace, overlay };
}

export interface ParentState {
  /** `Kind.group` of everything the inventory may hold, sorted. */
  groupKinds: string[];
  /** RFC 3339; when the last `up` that changed anything ended. */
  appliedAt: string | undefined;
}

/** The parent object in the form that is sent to the server. */
export function parentObject(inventory: Inventory, state: ParentState, version: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: inventory.name,
      namespace: inventory.namespace,
      labels: { [idLabel]: inventory.id, [overlayLabel]: inventory.overlay },
      annotations: {
        [toolingAnnotation]: `strata/v${version}`,
        [kindsAnnotation]: [...new Set(state.groupKinds)].sort().join(','),
        ...(state.appliedAt ? { [appliedAtAnnotation]: state.appliedAt } : {}),
      },
    },
  };
}

/** What a live parent says; undefined when the object is not a parent of this inventory written by strata. */
export function readParent(inventory: Inventory, parent: KubeObject): ParentState | undefined {
  const labels = stringsAt(parent, 'metadata', 'labels');
  const annotations = stringsAt(parent, 'metadata', 'annotations');
  if (labels[idLabel] !== inventory.id || !annotations[toolingAnnotation]?.startsWith('strata/'))
    return undefined;
  return {
    groupKinds: (annotations[kindsAnnotation] ?? '').split(',').filter(Boolean),
    appliedAt: annotations[appliedAtAnnotation],
  };
}

export const overlaySelector = (overlay: string): string => `${overlayLabel}=${overlay}`;

export function memberSelector(inventory: Inventory): string {
  return `${inventoryLabel}=${inventory.id}`;
}

/** The entry of server-side apply by strata, the proof that it wrote the object itself. */
export function applyEntry(object: KubeObject): ManagedFields | undefined {
  return object.metadata.managedFields?.find(
    (entry) => entry.manager === fieldManager && entry.operation === 'Apply' && !entry.subresource,
  );
}

export const isControlled = (object: KubeObject): boolean =>
  (object.metadata.ownerReferences ?? []).some((owner) => owner.controller === true);

/** Label, own Apply entry and no controller: labels alone are copied, to EndpointSlices for one (design). */
export function isOwned(inventory: Inventory, object: KubeObject): boolean {
  return (
    object.metadata.labels?.[inventoryLabel] === inventory.id &&
    applyEntry(object) !== undefined &&
    !isControlled(object)
  );
}

/** Of another inventory, or made by a controller: only those may give it away. */
export function isAdoptable(inventory: Inventory, object: KubeObject): boolean {
  const label = object.metadata.labels?.[inventoryLabel];
  return (label === undefined || label === inventory.id) && !isControlled(object);
}

/** Any value but `false` protects: whoever wrote `yes` or `True` meant it. */
export const preventsDeletion = (object: KubeObject): boolean =>
  (object.metadata.annotations?.[preventDeletionAnnotation] ?? 'false') !== 'false';

export const preventedText = `${preventDeletionAnnotation} is set`;

/** Why `up` does not prune an object of the inventory, however superfluous it is. */
export function staysBecause(inventory: Inventory, object: KubeObject): string | undefined {
  if (preventsDeletion(object)) return preventedText;
  const isNamespace = object.kind === 'Namespace' && object.apiVersion === 'v1';
  return isNamespace && object.metadata.name === inventory.namespace ? 'the overlay is in it' : undefined;
}

/** Who last wrote the object, for people: `kubectl-client-side-apply`, `helm` … */
export function managersOf(object: KubeObject): string[] {
  const names = (object.metadata.managedFields ?? [])
    .filter((entry) => !entry.subresource)
    .map((entry) => textAt(entry, 'manager'))
    .filter((name) => name !== undefined);
  return [...new Set(names)];
}

/** The field set of server-side apply as JSON, for comparison. */
export const ownedFields = (object: KubeObject): string => stableJson(applyEntry(object)?.fieldsV1 ?? null);
