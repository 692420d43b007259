import { accessLines } from './access.ts';
import { applyTargets, createNamespace, writeParent } from './apply.ts';
import { confirm, type Planned, planAgain } from './cluster.ts';
import { type Arguments, isSet } from './command.ts';
import { guardsOfPlan, requireAllowed } from './deletions.ts';
import { expectedOf, movementOf } from './digest.ts';
import { discover } from './discovery.ts';
import { StrataError } from './errors.ts';
import { isWritten, moved, readNow, readTargets, staleError, type Target } from './guard.ts';
import { isOwned, staysBecause } from './inventory.ts';
import { readinessOf } from './kstatus.ts';
import { withLease } from './lease.ts';
import { readState, readUsers, usersFor } from './live.ts';
import { generatedNameOf, groupKindOf, type KubeObject, keyOf, referenceOf, titleOf } from './manifest.ts';
import { type Plan, type PlannedObject, surplusOf } from './plan.ts';
import type { Destination } from './prepare.ts';
import { deleteAll, doomed } from './prune.ts';
import { type Author, createRecorder, readAuthor } from './record.ts';
import { formatPlan, placeLine } from './report.ts';
import { requireRights } from './rights.ts';
import { formatDuration, type Session } from './session.ts';
import { readVersion } from './version.ts';
import { waitUntilCurrent } from './wait.ts';
import { applyWaveOf } from './wave.ts';

export interface DeployOptions {
  /** The npm script, for the command to type next. */
  command: string;
  /** When the command began, on the session's clock. */
  started: number;
  /** Milliseconds for each of the waits. */
  timeout: number;
  /** What is asked before a cluster that is not local is changed: `apply this to`. */
  deed: string;
  /** Said below the plan. */
  remark?: (plan: Plan) => void;
  /** The earlier deployment that this one goes back to. */
  rollbackTo?: number;
  /** What of the unused may go; everything unless given. */
  mayPrune?: (object: KubeObject) => boolean;
}

/**
 * From a plan to a healthy deployment: shows it, asks, applies, waits, prunes, all but the first two while nobody else
 * does. Closes the connection when all went well.
 * @throws StrataError DECLINED, DELETE_GUARDED, LOCKED, PLAN_STALE, APPLY_FAILED, NOT_HEALTHY, DELETE_FAILED
 */
export async function deploy(
  session: Session,
  args: Arguments,
  planned: Planned<Destination>,
  options: DeployOptions,
): Promise<void> {
  const { prepared, context, place, connection, rendered, plan, durations } = planned;
  const { started, timeout } = options;
  const { terminal } = session;
  terminal.say(placeLine(place));
  terminal.say(formatPlan(plan, terminal.style).join('\n'));
  options.remark?.(plan);
  terminal.say(
    `  rendered in ${formatDuration(durations.rendering)}, compared in ${formatDuration(durations.comparing)}`,
  );
  requireAllowed(options.command, args, guardsOfPlan(plan));
  let author: Author | undefined;
  if (plan.isChanged) {
    [author] = await Promise.all([
      readAuthor(session, connection),
      requireRights(session, connection, planned.demand),
    ]);
    await confirm(session, args, context, place, options.deed);
  }
  planned.recognized.record();

  const present = await withLock(session, args, planned, options, async (held, current, created) => {
    const began = connection.now();
    const recorder = createRecorder(held, current, options.rollbackTo);
    let pending: Applied;
    try {
      const opening = current.plan.isChanged && (author ?? (await readAuthor(held, connection)));
      pending = await applyPlan(held, args, current, created, {
        timeout,
        began,
        record: async () => {
          if (opening) await recorder.open(opening);
        },
      });
      terminal.say('waiting until everything is Current');
      const waiting = session.clock.now();
      await waitUntilCurrent(held, connection, {
        inventory: prepared.inventory,
        discovery: pending.state.discovery,
        objects: rendered.manifests.flatMap(({ object, isLeftAlone }) => (isLeftAlone ? [] : [object])),
        timeout,
        began,
      });
      terminal.say(`  healthy  ${formatDuration(session.clock.now() - waiting)}`);
    } catch (error) {
      await recorder.settle(session.signal.aborted ? 'interrupted' : 'failed', error);
      throw error;
    }
    // Before the pruning, which keeps what the history needs.
    await recorder.settle('healthy');
    return collect(held, pending, options);
  });
  connection.close();

  terminal.say(`${terminal.style.green('done')} in ${formatDuration(session.clock.now() - started)}`);
  if (prepared.sandbox) terminal.say('  its Pods are simulated: nothing answers on their ports');
  else for (const line of accessLines(present, place)) terminal.say(`  ${line}`);
}

/** The namespace, then the lock in it; what another run changed before that is compared and shown again. */
async function withLock<T>(
  session: Session,
  args: Arguments,
  planned: Planned<Destination>,
  { command, timeout, deed }: DeployOptions,
  work: (held: Session, current: Planned<Destination>, created: KubeObject | undefined) => Promise<T>,
): Promise<T> {
  const { connection, prepared, rendered, state, context, place } = planned;
  const { terminal } = session;
  let created: KubeObject | undefined;
  const makeNamespace = async (): Promise<void> => {
    created = (await createNamespace(connection, prepared.inventory)) ?? created;
  };
  const isNamespaceMissing = state.namespace === undefined && isWriting(planned);
  const rendersNamespace = rendered.manifests.some(({ object }) => object.kind === 'Namespace');
  if (isNamespaceMissing && !rendersNamespace) terminal.say(`  creating namespace ${prepared.namespace}`);
  const options = {
    command,
    steal: isSet(args, 'steal-lock'),
    timeout,
    plannedVersion: state.parent?.object.metadata.resourceVersion,
    isNamespaceMissing,
    // It may also vanish while another run is waited for.
    ...(rendered.manifests.length > 0 ? { createNamespace: makeNamespace } : {}),
  };
  return withLease(session, connection, prepared.inventory, options, async (holding) => {
    if (!holding.isPlanStale) return work(holding.session, planned, created);
    terminal.say('another run has changed what is there: the plan now');
    const again = await planAgain(holding.session, args, planned);
    terminal.say(formatPlan(again.plan, terminal.style).join('\n'));
    requireAllowed(command, args, guardsOfPlan(again.plan));
    if (again.plan.isChanged) {
      await requireRights(holding.session, connection, again.demand);
      await confirm(holding.session, args, context, place, deed);
    }
    // The namespace holds what that run made: it stays, also when this one fails.
    return work(holding.session, again, undefined);
  });
}

const kindsOf = (objects: readonly KubeObject[]): string[] =>
  objects.map((object) => groupKindOf(referenceOf(object)));

interface Applied extends Planned<Destination> {
  /** Something was written, so that what was read before no longer holds. */
  isStale: boolean;
  /** RFC 3339. */
  appliedAt: string | undefined;
}

const isWriting = ({ plan }: Planned<Destination>): boolean =>
  plan.inventoryIsMissing || plan.objects.some(isWritten);

interface Undertaking {
  /** Milliseconds. */
  timeout: number;
  /** Milliseconds since the epoch by the server's clock. */
  began: number;
  /** Begins the entry in the history. */
  record: () => Promise<void>;
}

/**
 * Writes inventory and objects, in this order: nothing exists that the inventory does not know. `created` is the
 * namespace when it was made in this run.
 */
async function applyPlan(
  session: Session,
  args: Arguments,
  planned: Planned<Destination>,
  created: KubeObject | undefined,
  { timeout, began, record }: Undertaking,
): Promise<Applied> {
  const { connection, prepared, rendered, state } = planned;
  const appliedAt = state.parent?.state.appliedAt;
  if (!isWriting(planned)) {
    await record();
    return { ...planned, isStale: false, appliedAt };
  }

  let targets: Target[] = [];
  let hasRun = false;
  try {
    targets = await targetsOf(planned, created);
    const groupKinds = [
      ...kindsOf(rendered.manifests.map(({ object }) => object)),
      ...kindsOf(state.members),
      ...(state.parent?.state.groupKinds ?? []),
    ];
    await writeParent(connection, prepared.inventory, { groupKinds, appliedAt }, readVersion(session));
    await record();
    await applyTargets(session, prepared.kubectl, connection, targets, {
      overlay: prepared.overlay,
      forceConflicts: isSet(args, 'force-conflicts'),
      timeout,
      waitForWave: async (wave) => {
        const ahead = unfinishedIn(planned, wave);
        if (ahead.length === 0) return;
        hasRun = true;
        await waitAhead(session, planned, ahead, { timeout, began });
      },
    });
  } catch (error) {
    if (created && !hasRun && !session.signal.aborted) await takeBack(session, planned, targets, created);
    throw error;
  }
  // A kind that came with the overlay was not known before.
  const knowsAll = rendered.manifests.every(({ object }) =>
    state.discovery.find(object.apiVersion, object.kind),
  );
  const discovery = knowsAll ? state.discovery : await discover(connection);
  return {
    ...planned,
    state: { ...state, discovery },
    isStale: true,
    appliedAt: new Date().toISOString(),
  };
}

/** What of a wave is written, or is not known to be Current. */
const unfinishedIn = ({ plan }: Planned<Destination>, wave: number): KubeObject[] =>
  plan.objects.flatMap((planned) => {
    const { manifest, live } = planned;
    if (manifest === undefined || applyWaveOf(manifest.object) !== wave) return [];
    return isWritten(planned) || readinessOf(live).status !== 'Current' ? [manifest.object] : [];
  });

/** @throws StrataError NOT_HEALTHY when one of them fails or takes too long */
async function waitAhead(
  session: Session,
  { connection, prepared, state }: Planned<Destination>,
  objects: readonly KubeObject[],
  { timeout, began }: Pick<Undertaking, 'timeout' | 'began'>,
): Promise<void> {
  const titles = objects.map((object) => titleOf(referenceOf(object))).join(', ');
  session.terminal.say(`  waiting for ${titles}`);
  const { inventory } = prepared;
  const { discovery } = state;
  try {
    await waitUntilCurrent(session, connection, { inventory, discovery, objects, timeout, began });
  } catch (error) {
    if (!(error instanceof StrataError) || error.code !== 'NOT_HEALTHY') throw error;
    const { message, problems, hint = '' } = error;
    const rest = `what comes after ${titles} was left as it is`;
    throw new StrataError('NOT_HEALTHY', `${message}; ${rest}`, { problems, hint, cause: error });
  }
}

/**
 * What is written, and what it has to be until then. A namespace that was missing is not compared with that: it is the
 * one that was made, or else whichever there is.
 */
async function targetsOf(planned: Planned<Destination>, created: KubeObject | undefined): Promise<Target[]> {
  const { connection, prepared, state, plan } = planned;
  const isMissing = ({ reference }: PlannedObject): boolean =>
    state.namespace === undefined &&
    groupKindOf(reference) === 'Namespace' &&
    reference.name === prepared.namespace;
  const others = plan.objects.filter((object) => !isMissing(object));
  const targets = await readTargets(
    connection,
    state.discovery,
    { ...plan, objects: others },
    prepared.overlay,
  );
  const made = plan.objects.filter(isMissing).flatMap(({ manifest }): Target[] => {
    if (manifest === undefined) return [];
    return created === undefined
      ? [{ manifest, expected: undefined, resourceVersion: undefined, isUnguarded: true }]
      : [{ manifest, expected: expectedOf(created), resourceVersion: created.metadata.resourceVersion }];
  });
  return [...made, ...targets];
}

/** A first apply that failed leaves nothing behind, be it in the namespace or in none. */
async function takeBack(
  session: Session,
  { connection, prepared }: Planned<Destination>,
  targets: readonly Target[],
  namespace: KubeObject,
): Promise<void> {
  const remove = async (): Promise<KubeObject[]> => {
    const discovery = await discover(connection);
    const made = targets.filter(({ expected }) => expected === undefined);
    const found = await Promise.all(
      made.map(({ manifest }) => readNow(connection, discovery, manifest.object)),
    );
    const outside = found.filter(
      (object) => object && !object.metadata.namespace && isOwned(prepared.inventory, object),
    ) as KubeObject[];
    const all = [namespace, ...outside];
    // Waited for: the same command again would only be told that it is still being deleted.
    await deleteAll(
      session,
      connection,
      all.flatMap((object) => doomed(discovery, object)),
      30_000,
    );
    return all;
  };
  // Told or not, what counts is why the apply failed.
  for (const object of await remove().catch(() => [])) {
    const title =
      object === namespace ? `namespace ${namespace.metadata.name}` : titleOf(referenceOf(object));
    session.terminal.say(`  ${title}, created in this run, was removed again`);
  }
}

/** @throws StrataError PLAN_STALE when something that would be pruned is not what was compared */
function refuseMoved({ plan, prepared }: Applied, unused: readonly KubeObject[]): void {
  const compared = new Map(plan.objects.map(({ reference, live }) => [keyOf(reference), live]));
  const problems = unused.flatMap((object) => {
    const before = compared.get(keyOf(referenceOf(object)));
    const movement = before && movementOf(expectedOf(before), object);
    return movement === undefined ? [] : [moved(object, movement)];
  });
  if (problems.length > 0) throw staleError(problems, prepared.overlay, 'nothing was pruned');
}

/**
 * After health: what is superseded or gone and no longer used goes, then the inventory names only what is left.
 * Returns what was rendered as the cluster holds it: a dry run makes up node ports.
 */
async function collect(
  session: Session,
  applied: Applied,
  { timeout, mayPrune = () => true }: DeployOptions,
): Promise<KubeObject[]> {
  const { connection, prepared, rendered } = applied;
  const { inventory } = prepared;
  const objects = rendered.manifests.map(({ object }) => object);
  const state = applied.isStale
    ? await readState(connection, inventory, new Set(kindsOf(objects)))
    : applied.state;
  const surplus = surplusOf(inventory, state.members, rendered.manifests);
  const users = surplus.length > 0 ? await readUsers(connection, state, prepared.namespace) : new Map();
  const idle = surplus.filter((object) => staysBecause(inventory, object) === undefined);
  // What has turned up since the plan was shown is for the next one.
  const agreed = new Set(applied.plan.objects.map(({ uid }) => uid));
  const unused = idle.filter(
    (object) =>
      mayPrune(object) &&
      usersFor(users, referenceOf(object)).length === 0 &&
      (agreed.has(object.metadata.uid) || generatedNameOf(referenceOf(object)) !== undefined),
  );
  refuseMoved(applied, unused);
  await deleteAll(
    session,
    connection,
    unused.flatMap((object) => doomed(state.discovery, object)),
    timeout,
  );
  for (const object of unused) session.terminal.say(`  pruned ${titleOf(referenceOf(object))}`);
  const kept = idle.length - unused.length;
  if (kept > 0 && applied.isStale)
    session.terminal.say(
      `  kept ${kept} older ${kept === 1 ? 'object' : 'objects'} that earlier revisions still use`,
    );

  const remaining = state.members.filter((member) => !unused.includes(member));
  const groupKinds = [...new Set([...kindsOf(objects), ...kindsOf(remaining)])].sort();
  const present = state.members.filter((member) => !surplus.includes(member));
  const isNarrow = state.parent?.state.groupKinds.join() === groupKinds.join();
  if (isNarrow && !applied.isStale && unused.length === 0) return present;
  const appliedAt = applied.isStale || unused.length > 0 ? new Date().toISOString() : applied.appliedAt;
  await writeParent(connection, inventory, { groupKinds, appliedAt }, readVersion(session));
  return present;
}
