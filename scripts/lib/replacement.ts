import type { Connection } from './connection.ts';
import { movementOf } from './digest.ts';
import { type Discovery, discover } from './discovery.ts';
import { StrataError } from './errors.ts';
import { created, moved, readNow, staleError, type Target } from './guard.ts';
import { isRunning } from './job.ts';
import { type KubeObject, referenceOf, titleOf } from './manifest.ts';
import { type Doomed, deleteObject, doomed, waitUntilGone } from './prune.ts';
import { formatDuration, type Session } from './session.ts';

interface RoomOptions {
  overlay: string;
  /** Milliseconds. */
  timeout: number;
}

/**
 * Deletes what is replaced, once it no longer runs, and returns the targets as what is then left to do. A Job that
 * runs is waited for: to end it halfway, or to have two of them at once, is what nobody wants of a migration.
 * @throws StrataError NOT_HEALTHY when it does not end in time; PLAN_STALE, DELETE_FAILED
 */
export async function makeRoom(
  session: Session,
  connection: Connection,
  targets: readonly Target[],
  { overlay, timeout }: RoomOptions,
): Promise<Target[]> {
  const replaced = targets.filter(({ isReplaced }) => isReplaced);
  if (replaced.length === 0) return [...targets];
  const deadline = session.clock.now() + timeout;
  const discovery = await discover(connection);
  for (const target of replaced) {
    const going = await removeWhenEnded(session, connection, discovery, target, { overlay, timeout });
    // With its Pods, so that the new one never runs beside them.
    await waitUntilGone(session, connection, going, deadline);
    session.terminal.say(`  deleted ${titleOf(referenceOf(target.manifest.object))}, to create it anew`);
  }
  return targets.map((target) => (target.isReplaced ? created(target.manifest) : target));
}

/** Empty when it is gone already. */
async function removeWhenEnded(
  session: Session,
  connection: Connection,
  discovery: Discovery,
  { manifest, expected }: Target,
  { overlay, timeout }: RoomOptions,
): Promise<Doomed[]> {
  const { clock, terminal } = session;
  const started = clock.now();
  let isSaid = false;
  for (let pause = 50; ; pause = Math.min(pause * 1.5, 1000)) {
    session.signal.throwIfAborted();
    const now = await readNow(connection, discovery, manifest.object);
    if (now === undefined) return [];
    const title = titleOf(referenceOf(now));
    const target = doomed(discovery, now);
    const isSame = now.metadata.uid === expected?.uid;
    if (isSame && now.metadata.deletionTimestamp) return target;
    const movement = movementOf(expected, now);
    if (movement !== undefined)
      throw staleError(
        [moved(now, movement)],
        overlay,
        'it was left as it is, and so was all that follows it',
      );
    if (!isRunning(now)) {
      const versioned = target.map((one) => ({ ...one, ...versionOf(now) }));
      const [deletion] = await Promise.all(versioned.map((one) => deleteObject(connection, one)));
      // Otherwise its status has moved in between.
      if (deletion !== 'replaced') return target;
      continue;
    }
    if (clock.now() - started > timeout) throw stillRuns(connection, now, timeout);
    if (!isSaid) terminal.say(`  ${title} still runs; it is replaced when it has ended`);
    isSaid = true;
    terminal.live([`  ${title} still runs  ${formatDuration(clock.now() - started)}`]);
    await clock.sleep(pause, session.signal);
  }
}

const versionOf = ({ metadata: { resourceVersion } }: KubeObject): { resourceVersion?: string } =>
  resourceVersion === undefined ? {} : { resourceVersion };

function stillRuns(connection: Connection, job: KubeObject, timeout: number): StrataError {
  const { name, namespace } = job.metadata;
  const kubectl = `kubectl --context ${connection.context.name} -n ${namespace}`;
  return new StrataError(
    'NOT_HEALTHY',
    `${titleOf(referenceOf(job))} still runs after ${formatDuration(timeout)}, and was not replaced; what follows it was left as it is`,
    {
      hint: `${kubectl} logs job/${name}; then the same command again, with more --timeout if it needs that`,
    },
  );
}
