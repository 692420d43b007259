import { type Planned, planManifests } from './cluster.ts';
import type { Arguments } from './command.ts';
import type { Connection } from './connection.ts';
import { objectPath } from './discovery.ts';
import { StrataError } from './errors.ts';
import { entryName, type KeptEntry, secretsIn, storedManifests, withValues } from './history.ts';
import type { Recognized } from './identity.ts';
import type { Inventory } from './inventory.ts';
import { configMaps, type Ground } from './live.ts';
import type { KubeObject } from './manifest.ts';
import type { Destination } from './prepare.ts';
import type { Manifest } from './render.ts';
import type { Session } from './session.ts';

/** @throws StrataError CLUSTER_REFUSED when the history may not be read */
export function historyOf(
  connection: Connection,
  { namespace }: Inventory,
  { history }: Ground,
): readonly KeptEntry[] {
  if (history !== undefined) return history;
  throw new StrataError('CLUSTER_REFUSED', 'the history may not be read', {
    hint: `kubectl --context ${connection.context.name} auth can-i list configmaps -n ${namespace}`,
  });
}

/**
 * The manifests of an entry with the values of the Secrets that were kept for it.
 * @throws StrataError ROLLBACK_IMPOSSIBLE
 */
async function loadManifests(
  connection: Connection,
  inventory: Inventory,
  entry: KeptEntry,
): Promise<Manifest[]> {
  const { namespace, overlay } = inventory;
  const object = await connection.get(objectPath(configMaps, namespace, entryName(inventory, entry.number)));
  const manifests = storedManifests(overlay, entry, object as KubeObject | undefined);
  const secrets = { ...configMaps, kind: 'Secret', plural: 'secrets' };
  const live = new Map<string, KubeObject>();
  await Promise.all(
    secretsIn(manifests).map(async (name) => {
      const found = await connection.get(objectPath(secrets, namespace, name));
      if (found !== undefined) live.set(name, found as KubeObject);
    }),
  );
  return withValues(overlay, entry, manifests, live);
}

interface Footing {
  connection: Connection;
  recognized: Recognized;
  ground: Ground;
}

/**
 * The plan for what an earlier deployment has left in the cluster; neither tree nor env files are read.
 * @throws StrataError ROLLBACK_IMPOSSIBLE when it has not left everything
 */
export async function planRollback<From extends Destination>(
  session: Session,
  args: Arguments,
  { connection, recognized, ground }: Footing,
  destination: From,
  entry: KeptEntry,
): Promise<Planned<From>> {
  const started = session.clock.now();
  const manifests = await loadManifests(connection, destination.inventory, entry);
  const opened = {
    connection,
    ground: Promise.resolve(ground),
    recognizing: Promise.resolve(recognized),
    rendered: { text: manifests.map(({ text }) => text).join('---\n'), manifests },
  };
  return planManifests(session, args, opened, destination, started);
}
