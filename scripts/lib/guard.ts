import type { Connection } from './connection.ts';
import { type Expected, expectedOf, movementOf } from './digest.ts';
import { type Discovery, objectPath } from './discovery.ts';
import { type Problem, StrataError } from './errors.ts';
import type { Takeover } from './live.ts';
import { isRecord, type KubeObject, referenceOf, titleOf } from './manifest.ts';
import type { Plan, PlannedObject } from './plan.ts';
import type { Manifest } from './render.ts';

/** An object that is about to be written, and what it has to be until then. */
export interface Target {
  manifest: Manifest;
  /** undefined when there may be none. */
  expected: Expected | undefined;
  /** Which version the server has to find; undefined when there may be none. */
  resourceVersion: string | undefined;
  /** Comes before it is written. */
  takeover?: Takeover | undefined;
  /** What is there goes first, and what is written is created anew. */
  isReplaced?: true;
  /** Whatever is there may be written over. */
  isUnguarded?: true;
}

/** How often a status may get in between the reading and the writing of one object. */
export const attempts = 10;

/** No object ever has this version: etcd begins to count there. Only one that does not exist yet passes it. */
const versionOfNothing = '1';

/**
 * The manifest with uid and resourceVersion of what it may replace. The server compares both in the same transaction
 * that writes (patch.go and store.go of k8s.io/apiserver), and strata does not come to own them.
 */
export function guardedText(target: Target): string {
  const { manifest, expected, isUnguarded } = target;
  if (isUnguarded) return manifest.text;
  const { metadata } = manifest.object;
  const lines = [
    `  resourceVersion: ${JSON.stringify(versionOf(target))}`,
    ...(expected ? [`  uid: ${expected.uid}`] : []),
  ];
  const head = /^metadata:\n(?= {2}\S)/m;
  // Block style, as Kustomize writes it; nothing else stands in the first column.
  if (head.test(manifest.text) && metadata.uid === undefined && metadata.resourceVersion === undefined)
    return manifest.text.replace(head, () => `metadata:\n${lines.join('\n')}\n`);
  return JSON.stringify(guardedObject(target));
}

const versionOf = ({ resourceVersion }: Target): string => resourceVersion ?? versionOfNothing;

/** The same as an object. */
export function guardedObject(target: Target): KubeObject {
  const { manifest, expected, isUnguarded } = target;
  if (isUnguarded) return manifest.object;
  const { metadata, ...rest } = manifest.object;
  const guard = { resourceVersion: versionOf(target), ...(expected ? { uid: expected.uid } : {}) };
  return { ...rest, metadata: { ...metadata, ...guard } } as KubeObject;
}

/** The object as the server holds it now. */
export async function readNow(
  connection: Connection,
  discovery: Discovery,
  object: KubeObject,
): Promise<KubeObject | undefined> {
  const resource = discovery.find(object.apiVersion, object.kind);
  // Its kind comes with the overlay.
  if (resource === undefined) return undefined;
  const { namespace, name } = referenceOf(object);
  const found = await connection.get(objectPath(resource, namespace, name));
  return isRecord(found) ? (found as unknown as KubeObject) : undefined;
}

/** The target of what must not be there until it is written. */
export const created = (manifest: Manifest): Target => ({
  manifest,
  expected: undefined,
  resourceVersion: undefined,
});

export function moved(object: KubeObject, movement: string): Problem {
  return { severity: 'error', subject: titleOf(referenceOf(object)), message: `${movement}` };
}

/** One report of everything that is not as it was. */
export function staleError(problems: readonly Problem[], overlay: string, rest: string): StrataError {
  return new StrataError('PLAN_STALE', `this is not what was compared any more; ${rest}`, {
    problems,
    hint: `npm run diff -- ${overlay}`,
  });
}

export const isWritten = ({ action }: PlannedObject): boolean =>
  action === 'create' || action === 'change' || action === 'replace';

/** What is to go and is gone, or about to be, has not moved in a way that matters. */
function isGoing({ action, uid }: PlannedObject, now: KubeObject | undefined): boolean {
  if (action === 'replace' && now?.metadata.deletionTimestamp) return now.metadata.uid === uid;
  return (action === 'prune' || action === 'replace') && now === undefined;
}

/**
 * Reads every object again that the plan writes or prunes, for a person may have looked at the plan for long.
 * @throws StrataError PLAN_STALE with everything that moved
 */
export async function readTargets(
  connection: Connection,
  discovery: Discovery,
  plan: Plan,
  overlay: string,
): Promise<Target[]> {
  const touched = plan.objects.filter((planned) => isWritten(planned) || planned.action === 'prune');
  const read = await Promise.all(
    touched.map(async (planned) => {
      const now = await readNow(connection, discovery, planned.live ?? planned.manifest!.object);
      const expected = planned.live && expectedOf(planned.live);
      const movement = isGoing(planned, now) ? undefined : movementOf(expected, now);
      return { planned, expected, now, movement };
    }),
  );
  const problems = read.flatMap(({ planned, movement }) =>
    movement === undefined ? [] : [moved(planned.live ?? planned.manifest!.object, movement)],
  );
  if (problems.length > 0) throw staleError(problems, overlay, 'nothing was changed');
  return read.flatMap(({ planned: { manifest, action, takeover }, expected, now }): Target[] => {
    if (manifest === undefined || action === 'prune') return [];
    const resourceVersion = now?.metadata.resourceVersion;
    if (action !== 'replace') return [{ manifest, expected, takeover, resourceVersion }];
    return [now ? { manifest, expected, resourceVersion, isReplaced: true } : created(manifest)];
  });
}
