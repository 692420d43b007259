import { isDeepStrictEqual } from 'node:util';
import { isSecret } from './change.ts';
import { entriesOf } from './digest.ts';
import type { Problem } from './errors.ts';
import {
  type Inventory,
  inventoryLabel,
  isAdoptable,
  isOwned,
  managersOf,
  ownedFields,
  preventedText,
  preventsDeletion,
  staysBecause,
} from './inventory.ts';
import { isJob, renewalOf, withoutGenerated } from './job.ts';
import { type ClusterState, type DryRun, type Takeover, usersFor } from './live.ts';
import {
  generatedNameOf,
  isRecord,
  type KubeObject,
  keyOf,
  lastAppliedAnnotation,
  type Reference,
  referenceOf,
  titleOf,
} from './manifest.ts';
import { mentionKey, usersOf } from './references.ts';
import type { Manifest } from './render.ts';

/** `replace`: deleted and created anew under the same name. Jobs only. */
export type Action = 'create' | 'change' | 'replace' | 'unchanged' | 'prune' | 'keep';

export interface PlannedObject {
  action: Action;
  reference: Reference;
  /** What the cluster holds, without noise; undefined for a create. */
  before: KubeObject | undefined;
  /** What it would hold, without noise; undefined for prune and keep. */
  after: KubeObject | undefined;
  /** The manifest to apply; undefined for prune and keep. */
  manifest: Manifest | undefined;
  /** uid of the live object. */
  uid: string | undefined;
  /** What the cluster holds, as it was read; undefined for a create. */
  live: KubeObject | undefined;
  /** A generated ConfigMap or Secret takes the place of this one: same name, other hash. */
  replaces: { reference: Reference; before: KubeObject } | undefined;
  /** A generated ConfigMap or Secret whose hash no longer comes out of the render. */
  isSuperseded: boolean;
  /** Why it is kept. */
  usedBy: string[];
  /** Why it is kept although nothing uses it. */
  stays: string | undefined;
  /** Why it is replaced. */
  renewal: string | undefined;
  /** Only the list of fields that strata holds changes. */
  isOwnershipOnly: boolean;
  /** Who made it loses it to strata. */
  isAdopted: boolean;
  /** What goes along with writing it. */
  takeover: Takeover | undefined;
  /** Why the server could not be asked about it. */
  notValidated: string | undefined;
}

export interface Plan {
  objects: PlannedObject[];
  /** Objects are there, but the inventory that lists them is gone. */
  inventoryIsMissing: boolean;
  isChanged: boolean;
}

/** Fields that the server writes on its own account. */
const noise = ['managedFields', 'uid', 'resourceVersion', 'generation', 'creationTimestamp', 'selfLink'];

/** The object as a person means it: without status and bookkeeping. */
export function withoutNoise(object: KubeObject): KubeObject {
  const { status: _, ...rest } = object;
  const metadata = Object.fromEntries(
    Object.entries(object.metadata).filter(([field]) => !noise.includes(field)),
  );
  if (isRecord(metadata.annotations) && lastAppliedAnnotation in metadata.annotations) {
    const { [lastAppliedAnnotation]: __, ...annotations } = metadata.annotations;
    if (Object.keys(annotations).length > 0) metadata.annotations = annotations;
    else delete metadata.annotations;
  }
  return { ...rest, metadata } as KubeObject;
}

export interface PlanInput {
  inventory: Inventory;
  manifests: readonly Manifest[];
  state: ClusterState;
  /** By `keyOf`. */
  live: ReadonlyMap<string, KubeObject>;
  /** In the order of `manifests`. */
  dryRuns: readonly DryRun[];
  users: ReadonlyMap<string, Reference[]>;
  /** What others made is taken over. */
  adopt: boolean;
}

/** Somebody else made it. */
export const isForeign = (inventory: Inventory, live: KubeObject): boolean =>
  !isOwned(inventory, live) && !isNamespace(referenceOf(live));

/** Somebody else made it, and it stays theirs. */
export const staysTheirs = (inventory: Inventory, live: KubeObject, adopt: boolean): boolean =>
  isForeign(inventory, live) && !(adopt && isAdoptable(inventory, live));

/** Owned members that are no longer rendered. */
export function surplusOf(
  inventory: Inventory,
  members: readonly KubeObject[],
  manifests: readonly Manifest[],
): KubeObject[] {
  const rendered = new Set(manifests.map(({ object }) => keyOf(referenceOf(object))));
  return members.filter(
    (member) =>
      isOwned(inventory, member) &&
      !rendered.has(keyOf(referenceOf(member))) &&
      !member.metadata.deletionTimestamp,
  );
}

export interface Objection extends Problem {
  kind: 'refused' | 'conflict' | 'not owned';
}

/** Everything the server or another owner has against the plan. */
export function objectionsTo(input: PlanInput): Objection[] {
  return input.manifests.flatMap(({ object }, index): Objection[] => {
    const reference = referenceOf(object);
    const subject = titleOf(reference);
    const live = input.live.get(keyOf(reference));
    const dryRun = input.dryRuns[index];
    if (dryRun?.outcome === 'left alone') return [];
    const renewal = renewalFor(input, live, dryRun);
    if (live?.metadata.deletionTimestamp && renewal === undefined) {
      const blocked = live.metadata.finalizers?.length
        ? ` (finalizers: ${live.metadata.finalizers.join(', ')})`
        : '';
      return [
        {
          kind: 'refused',
          severity: 'error',
          subject,
          message: `is still being deleted${blocked}`,
          hint: 'wait until it is gone, then run the same command again',
        },
      ];
    }
    const isTheirs = live && isForeign(input.inventory, live);
    if (live && staysTheirs(input.inventory, live, input.adopt)) {
      const isFree = isAdoptable(input.inventory, live);
      return [
        {
          kind: 'not owned',
          severity: 'error',
          subject,
          message: notOwned(input.inventory, live),
          hint: isFree
            ? 'rename yours, or take theirs over with --adopt'
            : 'delete it or rename yours: its owner would write it again',
        },
      ];
    }
    if (isTheirs && isJob(live) && dryRun?.immutable) {
      return [
        {
          kind: 'refused',
          severity: 'error',
          subject,
          message: `the server lets nobody change ${dryRun.immutable.join(', ')}, and what others made is not replaced`,
          hint: 'delete it or rename yours',
        },
      ];
    }
    if (live && renewal !== undefined && preventsDeletion(live)) {
      return [
        {
          kind: 'refused',
          severity: 'error',
          subject,
          message: `would have to be deleted and created anew (${renewal}), but ${preventedText}`,
          hint: 'give the new one another name, or take the annotation away',
        },
      ];
    }
    if (dryRun?.outcome === 'conflict') {
      return dryRun.conflicts.map(
        ({ manager, field }): Objection => ({
          kind: 'conflict',
          severity: 'error',
          subject,
          message: `${field} is held by ${manager}${lastWrite(live, manager)}`,
          hint: 'take the field out of the manifest, or take it over with --force-conflicts',
        }),
      );
    }
    if (dryRun?.outcome === 'refused') {
      return [
        {
          kind: 'refused',
          severity: 'error',
          subject,
          message: `the server refuses it: ${dryRun.message}`,
        },
      ];
    }
    return [];
  });
}

/** The server names the manager alone, and notes no time for who scales. */
function lastWrite(live: KubeObject | undefined, name: string): string {
  const own = live ? entriesOf(live).filter(({ manager }) => manager === name) : [];
  const latest = own
    .map(({ time = '' }) => time)
    .sort()
    .at(-1);
  return latest ? `, who last wrote at ${latest}` : '';
}

/** Why what is there has to be replaced; what others made never is. */
const renewalFor = (
  { inventory }: PlanInput,
  live: KubeObject | undefined,
  dryRun: DryRun | undefined,
): string | undefined => (live && isOwned(inventory, live) ? renewalOf(live, dryRun?.immutable) : undefined);

function notOwned(inventory: Inventory, live: KubeObject): string {
  const owner = live.metadata.ownerReferences?.find(({ controller }) => controller === true);
  if (owner) return `exists and belongs to ${owner.kind}/${owner.name}`;
  const label = live.metadata.labels?.[inventoryLabel];
  if (label !== undefined && label !== inventory.id) return 'exists and belongs to another inventory';
  return `exists and was made by ${managersOf(live).join(', ') || 'somebody else'}`;
}

/** A namespace may be shared: it is labelled, never taken over, and goes only if strata created it. */
export const isNamespace = (reference: Reference): boolean =>
  reference.group === '' && reference.kind === 'Namespace';

/** Pure: from what was rendered, what is there and what the server would make of it. */
export function makePlan(input: PlanInput): Plan {
  const surplus = surplusOf(input.inventory, input.state.members, input.manifests);
  const predecessors = inOrderOfUse(surplus, input.live);
  const rendered = input.manifests.flatMap((manifest, index) => {
    const dryRun = input.dryRuns[index]!;
    return dryRun.outcome === 'left alone'
      ? planLeftAlone(input, manifest)
      : planRendered(input, predecessors, manifest, dryRun);
  });
  const leftover = surplus.map((object) => planSurplus(input, object));
  const objects = [...rendered, ...leftover];
  const inventoryIsMissing = input.state.parent === undefined && input.state.members.length > 0;
  const isChanged =
    inventoryIsMissing ||
    objects.some(
      ({ action, isSuperseded }) =>
        action === 'create' ||
        action === 'change' ||
        action === 'replace' ||
        (action === 'prune' && !isSuperseded),
    );
  return { objects, inventoryIsMissing, isChanged };
}

/** What most planned objects do not have. */
export const plainly = {
  live: undefined,
  replaces: undefined,
  isSuperseded: false,
  usedBy: [],
  stays: undefined,
  renewal: undefined,
  isOwnershipOnly: false,
  isAdopted: false,
  takeover: undefined,
  notValidated: undefined,
};

function planLeftAlone({ live }: PlanInput, { object }: Manifest): PlannedObject[] {
  const reference = referenceOf(object);
  const found = live.get(keyOf(reference));
  if (found === undefined) return [];
  return [
    {
      ...plainly,
      action: 'keep',
      reference,
      before: withoutNoise(found),
      after: undefined,
      manifest: undefined,
      uid: found.metadata.uid,
      live: found,
      stays: 'nothing of it runs again on the way back',
    },
  ];
}

function planRendered(
  input: PlanInput,
  predecessors: readonly KubeObject[],
  manifest: Manifest,
  dryRun: DryRun,
): PlannedObject {
  const reference = referenceOf(manifest.object);
  const live = input.live.get(keyOf(reference));
  const result = dryRun.outcome === 'accepted' ? dryRun.object : manifest.object;
  const after = withoutNoise(result);
  const notValidated = dryRun.outcome === 'not validated' ? dryRun.reason : undefined;
  const common = { ...plainly, reference, manifest, after, notValidated };
  if (live === undefined) {
    return {
      ...common,
      action: 'create',
      before: undefined,
      uid: undefined,
      replaces: predecessorOf(reference, predecessors),
    };
  }
  const renewal = renewalFor(input, live, dryRun);
  if (renewal !== undefined) {
    return {
      ...common,
      action: 'replace',
      before: withoutGenerated(withoutNoise(live)),
      after: withoutGenerated(after),
      uid: live.metadata.uid,
      live,
      renewal,
    };
  }
  const before = withoutNoise(live);
  const isSame = isDeepStrictEqual(before, after);
  const isOwnershipOnly = isSame && ownedFields(live) !== ownedFields(result);
  const takeover = dryRun.outcome === 'accepted' ? dryRun.takeover : undefined;
  // Its values stand in the annotation too.
  const isCopied = isSecret(live) && takeover?.dropsAnnotation === true;
  return {
    ...common,
    takeover,
    isAdopted: isForeign(input.inventory, live),
    action: isSame && !isOwnershipOnly && !isCopied ? 'unchanged' : 'change',
    before,
    uid: live.metadata.uid,
    live,
    isOwnershipOnly,
  };
}

/** What the live workloads name comes first: after a way back that is not the newest. Then the newest. */
function inOrderOfUse(
  surplus: readonly KubeObject[],
  live: ReadonlyMap<string, KubeObject>,
): readonly KubeObject[] {
  const named = usersOf([...live.values()].map((object) => ({ reference: referenceOf(object), object })));
  const rank = (object: KubeObject): string =>
    `${named.has(mentionKey(referenceOf(object))) ? 1 : 0} ${object.metadata.creationTimestamp ?? ''}`;
  return [...surplus].sort((a, b) => (rank(a) < rank(b) ? 1 : -1));
}

/** The generated object of the same name that the workloads use now. */
function predecessorOf(reference: Reference, predecessors: readonly KubeObject[]): PlannedObject['replaces'] {
  const name = generatedNameOf(reference);
  if (name === undefined) return undefined;
  const found = predecessors.find((object) => {
    const other = referenceOf(object);
    return (
      other.kind === reference.kind &&
      other.namespace === reference.namespace &&
      generatedNameOf(other) === name
    );
  });
  return found && { reference: referenceOf(found), before: withoutNoise(found) };
}

function planSurplus({ inventory, users }: PlanInput, object: KubeObject): PlannedObject {
  const reference = referenceOf(object);
  const usedBy = usersFor(users, reference);
  const stays = staysBecause(inventory, object);
  return {
    ...plainly,
    action: usedBy.length > 0 || stays ? 'keep' : 'prune',
    reference,
    before: withoutNoise(object),
    after: undefined,
    manifest: undefined,
    uid: object.metadata.uid,
    live: object,
    isSuperseded: generatedNameOf(reference) !== undefined,
    usedBy,
    stays,
  };
}

export function countActions(plan: Plan): Record<Action, number> {
  const counts: Record<Action, number> = {
    create: 0,
    change: 0,
    replace: 0,
    unchanged: 0,
    prune: 0,
    keep: 0,
  };
  for (const { action } of plan.objects) counts[action]++;
  return counts;
}
