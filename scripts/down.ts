import { releaseNamespace, writeParent } from './lib/apply.ts';
import { confirm, placeOf, requireConfirmable } from './lib/cluster.ts';
import { type Command, isSet, parseDuration, textOf } from './lib/command.ts';
import type { Connection } from './lib/connection.ts';
import { guardsOf, requireAllowed } from './lib/deletions.ts';
import {
  applyEntry,
  createdByAnnotation,
  type Inventory,
  isOwned,
  preventedText,
  preventsDeletion,
} from './lib/inventory.ts';
import { leaseReference, withLease } from './lib/lease.ts';
import { type ClusterState, configMaps, namespaces } from './lib/live.ts';
import { visit } from './lib/locate.ts';
import { groupKindOf, type KubeObject, keyOf, referenceOf, titleOf } from './lib/manifest.ts';
import { type Doomed, deleteAll, doomed, type Foreign, foreignIn } from './lib/prune.ts';
import { doomedEntries } from './lib/record.ts';
import { placeLine } from './lib/report.ts';
import { type Demand, readAllowed, requireRights, rightsForDown, rightsToRead } from './lib/rights.ts';
import { formatDuration, type Session } from './lib/session.ts';
import { readVersion } from './lib/version.ts';

export const command: Command = {
  name: 'down',
  summary: 'Delete what up made, from the inventory in the cluster, and nothing else.',
  usage: '[OVERLAY] [flags]',
  flags: [
    'root',
    'context',
    'trust-cluster',
    'sandbox',
    'yes',
    'allow-delete',
    'timeout',
    'steal-lock',
    'verbose',
  ],
  positionals: 1,
  notes: [
    'Exit status: 0 gone or nothing there, 2 usage or configuration, 3 the cluster refused, 130 interrupted',
    'or declined. The namespace goes only if up created it and nothing else is in it.',
    'A PersistentVolumeClaim, PersistentVolume or CustomResourceDefinition goes only if --allow-delete names it;',
    'what is annotated strata.dev/prevent-deletion: "true" stays, and its namespace with it.',
    'Works when the overlay no longer renders.',
  ].join('\n'),
  async run(session, args) {
    const started = session.clock.now();
    const timeout = parseDuration(textOf(args, 'timeout') ?? '5m');
    const { located, context, connection, found } = await visit(
      session,
      args,
      async (_, inventory) => inventory,
      (target, overlay) => requireConfirmable(session, args, target, `down -- ${overlay}`),
    );
    const inventory = found?.inventory;
    if (inventory === undefined) return nothingThere(session, located.overlay, context.name);
    const place = placeOf({ overlay: located.overlay, namespace: inventory.namespace }, context);
    const removal = await planRemoval(session, connection, inventory);
    if (removal.targets.length === 0 && removal.entries.length === 0 && removal.namespace !== 'goes') {
      return nothingThere(session, located.overlay, context.name, removal);
    }
    session.terminal.say(placeLine(place));
    session.terminal.say(formatRemoval(session, removal).join('\n'));
    requireAllowed('down', args, guardsOf(removal.targets.map(({ reference }) => reference)));
    await requireRights(session, connection, demandOf(inventory, removal));
    await confirm(session, args, context, place, 'delete all of this from');
    const options = {
      command: 'down',
      steal: isSet(args, 'steal-lock'),
      timeout,
      plannedVersion: removal.state.parent?.object.metadata.resourceVersion,
    };
    await withLease(session, connection, inventory, options, async (holding) => {
      let current = removal;
      if (holding.isPlanStale) {
        current = await planRemoval(holding.session, connection, inventory);
        session.terminal.say('another run has changed what is there: what goes now');
        session.terminal.say(formatRemoval(session, current).join('\n'));
        requireAllowed('down', args, guardsOf(current.targets.map(({ reference }) => reference)));
        await requireRights(holding.session, connection, demandOf(inventory, current));
        await confirm(holding.session, args, context, place, 'delete all of this from');
      }
      await remove(holding.session, connection, inventory, current, timeout);
    });
    connection.close();
    session.terminal.say(
      `${session.terminal.style.green('done')} in ${formatDuration(session.clock.now() - started)}`,
    );
    return 0;
  },
};

function nothingThere(session: Session, overlay: string, context: string, removal?: Removal): number {
  if (removal) for (const line of stayLines(removal)) session.terminal.say(line);
  const nothing = removal?.staying.length ? 'nothing else' : 'nothing';
  session.terminal.say(`${nothing} of overlay ${overlay} is in context ${context}`);
  return 0;
}

interface Removal {
  state: ClusterState;
  /** Objects, and the inventory itself as the last of them. */
  targets: Doomed[];
  /** The history. */
  entries: Doomed[];
  /** Protected from deletion. */
  staying: KubeObject[];
  /** Labelled, but not by strata. */
  strangers: KubeObject[];
  namespace: 'goes' | 'stays' | 'absent';
  foreign: Foreign;
}

const toRemove = ['get', 'delete'];

function demandOf(inventory: Inventory, removal: Removal): Demand {
  const { targets, entries, staying, namespace, state } = removal;
  const held = state.namespace;
  const isReleased =
    namespace === 'stays' &&
    staying.length === 0 &&
    held !== undefined &&
    applyEntry(held) !== undefined &&
    !preventsDeletion(held);
  const rights = rightsForDown(inventory, [...targets, ...entries], {
    inventory: staying.length > 0 ? ['patch'] : state.parent ? ['get', 'delete'] : [],
    namespace: namespace === 'goes' ? ['get', 'delete'] : isReleased ? ['patch'] : [],
  });
  const reading = rightsToRead(inventory, state.discovery, state.parent?.state.groupKinds ?? [], toRemove);
  return { inventory, rights, whole: [...reading, ...rights], role: 'down', isNew: false };
}

const noForeign: Foreign = { objects: [], unknown: [] };

async function planRemoval(session: Session, connection: Connection, inventory: Inventory): Promise<Removal> {
  const state = await readAllowed(session, connection, inventory, 'down', toRemove);
  const members = state.members.filter(
    ({ kind, apiVersion }) => !(kind === 'Namespace' && apiVersion === 'v1'),
  );
  const own = members.filter((member) => isOwned(inventory, member));
  const staying = own.filter(preventsDeletion);
  const targets = own
    .filter((member) => !staying.includes(member))
    .flatMap((member) => doomed(state.discovery, member));
  const strangers = members.filter(
    (member) => !own.includes(member) && !member.metadata.ownerReferences?.length,
  );
  const entries = doomedEntries(inventory, state.history ?? []);
  const common = { state, targets, entries, staying, strangers };
  if (state.namespace === undefined) return { ...common, namespace: 'absent', foreign: noForeign };
  if (state.namespace.metadata.annotations?.[createdByAnnotation] !== inventory.id) {
    return { ...common, namespace: 'stays', foreign: noForeign };
  }
  if (staying.length > 0 || preventsDeletion(state.namespace))
    return { ...common, namespace: 'stays', foreign: noForeign };
  const foreign = await foreignBeside(connection, state, [...targets, ...entries], inventory);
  const isFree = foreign.objects.length === 0 && foreign.unknown.length === 0;
  return { ...common, namespace: isFree ? 'goes' : 'stays', foreign };
}

async function foreignBeside(
  connection: Connection,
  state: ClusterState,
  targets: readonly Doomed[],
  inventory: Inventory,
): Promise<Foreign> {
  const own = new Set([
    ...targets.map(({ reference }) => keyOf(reference)),
    keyOf(parentReference(inventory)),
    keyOf(leaseReference(inventory)),
  ]);
  const foreign = await foreignIn(connection, state.discovery, inventory.namespace);
  return { ...foreign, objects: foreign.objects.filter((reference) => !own.has(keyOf(reference))) };
}

const parentReference = ({ namespace, name }: Inventory) => ({
  group: '',
  kind: 'ConfigMap',
  namespace,
  name,
});

function stayLines({ staying, strangers, namespace, foreign, state }: Removal): string[] {
  const title = (object: KubeObject): string => titleOf(referenceOf(object));
  const lines = [
    ...staying.map((object) => `  ${title(object)} stays: ${preventedText}`),
    ...strangers.map((object) => `  ${title(object)} stays: it has the label, but strata did not apply it`),
  ];
  if (namespace !== 'stays' || state.namespace === undefined) return lines;
  const held = foreign.objects.slice(0, 5).map(titleOf).join(', ');
  const more = foreign.objects.length > 5 ? ` and ${foreign.objects.length - 5} more` : '';
  const reasons = [
    ...(preventsDeletion(state.namespace) ? [preventedText] : []),
    ...(staying.length > 0 ? ['with what stays in the inventory'] : []),
    ...(foreign.objects.length > 0 ? [`it holds ${held}${more}`] : []),
    ...(foreign.unknown.length > 0 ? [`these kinds could not be listed: ${foreign.unknown.join(', ')}`] : []),
  ];
  const why = reasons.length > 0 ? reasons.join('; ') : 'strata did not create it';
  return [...lines, `  Namespace/${state.namespace.metadata.name} stays: ${why}`];
}

function formatRemoval(session: Session, removal: Removal): string[] {
  const { style } = session.terminal;
  const lines = removal.targets.map(({ reference }) => style.red(`- delete ${titleOf(reference)}`));
  const count = removal.entries.length;
  if (count > 0)
    lines.push(style.red(`- delete the history (${count} ${count === 1 ? 'deployment' : 'deployments'})`));
  if (removal.namespace === 'goes')
    lines.push(style.red(`- delete Namespace/${removal.state.namespace?.metadata.name}`));
  return [...lines, ...stayLines(removal)];
}

/** The inventory goes after everything it lists, so that an interrupted `down` can be taken up again. */
async function remove(
  session: Session,
  connection: Connection,
  inventory: Inventory,
  removal: Removal,
  timeout: number,
): Promise<void> {
  const { state, targets, entries, staying } = removal;
  const counted = `${targets.length} ${targets.length === 1 ? 'object' : 'objects'}`;
  const started = session.clock.now();
  await deleteAll(session, connection, [...targets, ...entries], timeout);
  if (targets.length > 0)
    session.terminal.say(`  deleted ${counted}  ${formatDuration(session.clock.now() - started)}`);
  const { parent, namespace } = state;
  if (staying.length > 0) {
    // What stays is still the overlay's: the next `down` has to find it.
    const groupKinds = staying.map((object) => groupKindOf(referenceOf(object)));
    const appliedAt = parent?.state.appliedAt;
    if (namespace) await writeParent(connection, inventory, { groupKinds, appliedAt }, readVersion(session));
    return;
  }
  if (parent) {
    const uid = parent.object.metadata.uid ?? '';
    await deleteAll(
      session,
      connection,
      [{ reference: parentReference(inventory), resource: configMaps, uid }],
      timeout,
    );
  }
  if (namespace === undefined) return;
  // Somebody may have put something there since it was looked at.
  const foreign =
    removal.namespace === 'goes'
      ? await foreignBeside(connection, state, [...targets, ...entries], inventory)
      : removal.foreign;
  if (removal.namespace === 'goes' && foreign.objects.length === 0 && foreign.unknown.length === 0) {
    await removeNamespace(session, connection, namespace, timeout);
    return;
  }
  for (const line of removal.namespace === 'goes'
    ? stayLines({ ...removal, namespace: 'stays', foreign })
    : [])
    session.terminal.say(line);
  if (applyEntry(namespace) && !preventsDeletion(namespace)) await releaseNamespace(connection, namespace);
}

async function removeNamespace(
  session: Session,
  connection: Connection,
  namespace: KubeObject,
  timeout: number,
): Promise<void> {
  const started = session.clock.now();
  const reference = referenceOf(namespace);
  await deleteAll(
    session,
    connection,
    [{ reference, resource: namespaces, uid: namespace.metadata.uid ?? '' }],
    timeout,
  );
  session.terminal.say(`  deleted ${titleOf(reference)}  ${formatDuration(session.clock.now() - started)}`);
}
