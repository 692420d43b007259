import { type Planned, planManifests } from './cluster.ts';
import type { Arguments } from './command.ts';
import type { Connection } from './connection.ts';
import { deploy } from './deploy.ts';
import { objectPath } from './discovery.ts';
import { formatProblem, StrataError } from './errors.ts';
import { entryName, type KeptEntry, retreat, secretsIn, storedManifests, withValues } from './history.ts';
import type { Recognized } from './identity.ts';
import type { Inventory } from './inventory.ts';
import { configMaps, type Ground, readGround } from './live.ts';
import type { KubeObject } from './manifest.ts';
import type { Destination } from './prepare.ts';
import type { Manifest } from './render.ts';
import type { Session } from './session.ts';
import { isJobAhead } from './wave.ts';

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
  const stored = await loadManifests(connection, destination.inventory, entry);
  // A migration of that time would meet a database that is further on. The manifest stays: it tells the deployments apart.
  const manifests = stored.map((manifest) =>
    isJobAhead(manifest.object) ? { ...manifest, isLeftAlone: true as const } : manifest,
  );
  const opened = {
    connection,
    ground: Promise.resolve(ground),
    recognizing: Promise.resolve(recognized),
    rendered: { text: manifests.map(({ text }) => text).join('---\n'), manifests },
  };
  return planManifests(session, args, opened, destination, started);
}

/** Flags of `up` that going back does not know: they are about the manifests. */
const own = ['image', 'env-file', 'from-process', 'plan', 'rollback-on-failure'];

/**
 * After an `up` that did not become healthy: back to the last deployment that was. Says so when that cannot be; the
 * failure of `up` is what counts and is told by the caller.
 */
export async function goBack(
  session: Session,
  args: Arguments,
  failed: Planned<Destination>,
  timeout: number,
): Promise<void> {
  const { connection, recognized, prepared, plan } = failed;
  const { inventory, overlay } = prepared;
  const { terminal } = session;
  try {
    const ground = await readGround(connection, inventory);
    const entry = retreat(historyOf(connection, inventory, ground), plan.isChanged);
    if (typeof entry === 'string') {
      terminal.say(`there is nothing to go back to: ${entry}`);
      return;
    }
    terminal.say(`not healthy: going back to deployment ${entry.number} of ${entry.startedAt}`);
    const flags = Object.fromEntries(Object.entries(args.flags).filter(([name]) => !own.includes(name)));
    const back: Arguments = {
      positionals: [overlay],
      // Whoever asked for it before has been asked already.
      flags: { ...flags, to: String(entry.number), yes: true },
    };
    const planned = await planRollback(session, back, { connection, recognized, ground }, prepared, entry);
    await deploy(session, back, planned, {
      command: 'rollback',
      started: session.clock.now(),
      timeout,
      deed: 'apply this to',
      rollbackTo: entry.number,
    });
    terminal.say(`went back to deployment ${entry.number}`);
  } catch (error) {
    if (!(error instanceof StrataError) || session.signal.aborted) throw error;
    for (const problem of error.problems) terminal.say(session.advise(formatProblem(problem)));
    terminal.say(`${terminal.style.red('going back failed')}: ${error.message} [${error.code}]`);
    terminal.say(session.advise(`  next: ${error.hint ?? `npm run rollback -- ${overlay}`}`));
  }
}
