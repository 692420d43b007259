import { takeOver } from './adoption.ts';
import { type Connection, refusal } from './connection.ts';
import { movementOf } from './digest.ts';
import { discover, objectPath } from './discovery.ts';
import { StrataError } from './errors.ts';
import { attempts, guardedObject, guardedText, moved, readNow, staleError, type Target } from './guard.ts';
import {
  createdByAnnotation,
  fieldManager,
  type Inventory,
  inventoryManager,
  type ParentState,
  parentObject,
} from './inventory.ts';
import { conditionOf } from './kstatus.ts';
import { endingOf, type Kubectl, type KubectlResult, runKubectl } from './kubectl.ts';
import { configMaps, namespaces } from './live.ts';
import { groupKindOf, type KubeObject, referenceOf, textAt, titleOf } from './manifest.ts';
import { isNamespace } from './plan.ts';
import type { Manifest } from './render.ts';
import { makeRoom } from './replacement.ts';
import { formatDuration, type Session } from './session.ts';
import { applyWaveOf, isAhead, waveNames } from './wave.ts';

export interface ApplyOptions {
  overlay: string;
  forceConflicts: boolean;
  /** Milliseconds that an object that is replaced may take to end and to go. */
  timeout: number;
  /** Returns when all of a wave is Current that others wait for. */
  waitForWave: (wave: number) => Promise<void>;
}

/**
 * Server-side apply of the targets, wave by wave. The first refusal ends it.
 * @throws StrataError APPLY_FAILED; PLAN_STALE when an object is not what was compared; NOT_HEALTHY, DELETE_FAILED
 */
export async function applyTargets(
  session: Session,
  kubectl: Kubectl,
  connection: Connection,
  targets: readonly Target[],
  options: ApplyOptions,
): Promise<void> {
  for (const [wave, name] of waveNames.entries()) {
    // Whether or not there was anything to apply: what an earlier run has begun may still be at it.
    if (isAhead(wave - 1)) await options.waitForWave(wave - 1);
    const own = targets.filter(({ manifest }) => applyWaveOf(manifest.object) === wave);
    if (own.length === 0) continue;
    session.signal.throwIfAborted();
    const cleared = await makeRoom(session, connection, own, options);
    const started = session.clock.now();
    session.terminal.live([`  applying ${name} …`]);
    const shared = cleared.filter(isThere);
    for (const target of shared) await applyShared(connection, target, options);
    const discovery = cleared.some(({ takeover }) => takeover) ? await discover(connection) : undefined;
    const ready = await Promise.all(
      cleared
        .filter((target) => !isThere(target))
        .map((target) => (discovery ? takeOver(connection, discovery, target, options.overlay) : target)),
    );
    for (const batch of batchesOf(ready)) await applyBatch(session, kubectl, connection, batch, options);
    session.terminal.say(
      `  applied ${own.length} ${own.length === 1 ? 'object' : 'objects'} (${name})  ${formatDuration(session.clock.now() - started)}`,
    );
    if (wave === 0) {
      await waitUntilEstablished(
        session,
        connection,
        own.map(({ manifest }) => manifest),
      );
    }
  }
}

/** What kubectl calls an object in its output: `deployment.apps/backend`, without the namespace. */
const kubectlName = (object: KubeObject): string =>
  `${groupKindOf(referenceOf(object)).toLowerCase()}/${object.metadata.name}`;

/** As few calls as possible such that each name of kubectl's output means one object. */
function batchesOf(targets: readonly Target[]): Target[][] {
  const batches: Map<string, Target>[] = [];
  for (const target of targets) {
    const name = kubectlName(target.manifest.object);
    const free = batches.find((batch) => !batch.has(name));
    if (free) free.set(name, target);
    else batches.push(new Map([[name, target]]));
  }
  return batches.map((batch) => [...batch.values()]);
}

/** A namespace that others may have filled. */
const isThere = ({ manifest, expected, isUnguarded }: Target): boolean =>
  isNamespace(referenceOf(manifest.object)) && (expected !== undefined || isUnguarded === true);

/**
 * Server-side apply without kubectl, which would also take over what client-side apply has set there.
 * @throws StrataError APPLY_FAILED; PLAN_STALE when the namespace is not what was compared
 */
async function applyShared(connection: Connection, target: Target, options: ApplyOptions): Promise<void> {
  const query = { fieldManager, fieldValidation: 'Strict', force: String(options.forceConflicts) };
  const path = objectPath(namespaces, '', target.manifest.object.metadata.name, query);
  let current = target;
  for (let count = 1; ; count++) {
    const answer = await connection.request({
      method: 'PATCH',
      path,
      body: guardedObject(current),
      contentType: 'application/apply-patch+yaml',
    });
    if (answer.status < 300) return;
    const message = textAt(answer.body, 'message') ?? `status ${answer.status}`;
    const isLost = answer.status === 409 && message.match(lostRace) !== null;
    [current] = isLost ? ((await readLeft(connection, [current], options.overlay)) as [Target]) : [current];
    if (!isLost || count === attempts)
      throw new StrataError(
        'APPLY_FAILED',
        `the server refuses ${titleOf(referenceOf(target.manifest.object))}: ${message}`,
        {
          hint: 'the same command again finishes what is left',
        },
      );
  }
}

/** A precondition that did not hold; quotas answer the same of themselves. */
const lostRace =
  /Operation cannot be fulfilled on .+?: (?:the object has been modified|uid mismatch)|metadata\.uid: Invalid value/g;

async function applyBatch(
  session: Session,
  kubectl: Kubectl,
  connection: Connection,
  targets: readonly Target[],
  options: ApplyOptions,
): Promise<void> {
  const args = [
    '--context',
    connection.context.name,
    'apply',
    '--server-side',
    '--field-manager',
    fieldManager,
  ];
  if (options.forceConflicts) args.push('--force-conflicts');
  let left = targets;
  for (let count = 1; ; count++) {
    const result = await runKubectl(session, kubectl, [...args, '-f', '-'], {
      needsCluster: true,
      input: left.map(guardedText).join('\n---\n'),
      timeout: 60_000 + left.length * 1000,
      finishWhenInterrupted: true,
    });
    if (result.status === 0) {
      sayWarnings(session, result.stderr);
      return;
    }
    const done = new Set(result.stdout.split('\n').map((line) => line.replace(/ serverside-applied$/, '')));
    left = left.filter(({ manifest }) => !done.has(kubectlName(manifest.object)));
    const lost = result.stderr.match(lostRace)?.length ?? 0;
    const isContested = lost > 0 || / conflicts?: conflict/.test(result.stderr);
    const fresh = isContested && !result.timedOut ? await readLeft(connection, left, options.overlay) : [];
    if (lost === 0 || lost < left.length || count === attempts) throw applyFailure(result);
    left = fresh;
  }
}

/**
 * The targets with the versions they have now.
 * @throws StrataError PLAN_STALE when more than a status has moved
 */
async function readLeft(
  connection: Connection,
  targets: readonly Target[],
  overlay: string,
): Promise<Target[]> {
  const discovery = await discover(connection);
  const read = await Promise.all(
    targets.map(async (target) => {
      const now = await readNow(connection, discovery, target.manifest.object);
      const movement = target.isUnguarded ? undefined : movementOf(target.expected, now);
      return { target, now, movement };
    }),
  );
  const problems = read.flatMap(({ target, movement }) =>
    movement === undefined ? [] : [moved(target.manifest.object, movement)],
  );
  if (problems.length > 0) throw staleError(problems, overlay, 'these were left as they are');
  return read.map(({ target, now }) => ({ ...target, resourceVersion: now?.metadata.resourceVersion }));
}

function applyFailure(result: KubectlResult): StrataError {
  const said = result.stderr.trim();
  return new StrataError(
    'APPLY_FAILED',
    result.timedOut
      ? 'kubectl apply did not end in time'
      : `kubectl apply failed: ${said || endingOf(result)}`,
    {
      hint: 'the same command again finishes what is left',
    },
  );
}

/** Pod Security and deprecations speak through these. */
function sayWarnings(session: Session, stderr: string): void {
  const lines = new Set(stderr.split('\n').filter((line) => line.startsWith('Warning: ')));
  for (const line of lines)
    session.terminal.say(`${session.terminal.style.yellow('warning')}: ${line.slice('Warning: '.length)}`);
}

async function waitUntilEstablished(
  session: Session,
  connection: Connection,
  manifests: readonly Manifest[],
): Promise<void> {
  const definitions = manifests
    .map(({ object }) => object)
    .filter(({ kind }) => kind === 'CustomResourceDefinition');
  if (definitions.length === 0) return;
  const deadline = session.clock.now() + 60_000;
  for (const definition of definitions) {
    while (!(await isServed(connection, definition))) {
      if (session.clock.now() > deadline) {
        throw new StrataError(
          'NOT_HEALTHY',
          `CustomResourceDefinition/${definition.metadata.name} is not established within 60 s`,
          {
            hint: `kubectl --context ${connection.context.name} describe crd ${definition.metadata.name}`,
          },
        );
      }
      await session.clock.sleep(100, session.signal);
    }
  }
}

/** Established, and in the discovery that everybody who names the kind asks: it follows a moment later. */
async function isServed(connection: Connection, definition: KubeObject): Promise<boolean> {
  const discovery = await discover(connection);
  const resource = discovery.find(definition.apiVersion, definition.kind)!;
  const live = await connection.get(objectPath(resource, '', definition.metadata.name));
  const group = textAt(definition, 'spec', 'group') ?? '';
  const kind = textAt(definition, 'spec', 'names', 'kind') ?? '';
  return (
    conditionOf(live, 'Established')?.status === 'True' &&
    discovery.preferred(groupKindOf({ group, kind })) !== undefined
  );
}

/**
 * Creates the namespace, marked as ours in the same request: whoever deletes it later has to know.
 * Returns it, or undefined when somebody else was quicker.
 */
export async function createNamespace(
  connection: Connection,
  inventory: Inventory,
): Promise<KubeObject | undefined> {
  const request = {
    method: 'POST' as const,
    path: `/api/v1/namespaces?fieldManager=${inventoryManager}`,
    body: {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: inventory.namespace, annotations: { [createdByAnnotation]: inventory.id } },
    },
  };
  const answer = await connection.request(request);
  if (answer.status === 409 && textAt(answer.body, 'reason') === 'AlreadyExists') return undefined;
  if (answer.status >= 300) throw refusal(connection.context, request, answer);
  return answer.body as KubeObject;
}

/** Writes the inventory itself. Server-side apply with a manager of its own, so that it never meets the manifests. */
export async function writeParent(
  connection: Connection,
  inventory: Inventory,
  state: ParentState,
  version: string,
): Promise<void> {
  const request = {
    method: 'PATCH' as const,
    path: objectPath(configMaps, inventory.namespace, inventory.name, {
      fieldManager: inventoryManager,
      force: 'true',
    }),
    body: parentObject(inventory, state, version),
    contentType: 'application/apply-patch+yaml',
    repeatable: true,
  };
  const answer = await connection.request(request);
  if (answer.status >= 300) throw refusal(connection.context, request, answer);
}

/** Takes back every field that strata holds of an object that stays. */
export async function releaseNamespace(connection: Connection, namespace: KubeObject): Promise<void> {
  const { name } = namespace.metadata;
  for (const manager of [fieldManager, inventoryManager]) {
    const request = {
      method: 'PATCH' as const,
      path: objectPath(namespaces, '', name, { fieldManager: manager, force: 'true' }),
      body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name } },
      contentType: 'application/apply-patch+yaml',
      repeatable: true,
    };
    const answer = await connection.request(request);
    if (answer.status >= 300 && answer.status !== 404) throw refusal(connection.context, request, answer);
  }
}
