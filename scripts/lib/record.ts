import type { Planned } from './cluster.ts';
import { type Connection, refusal } from './connection.ts';
import { collectionPath, objectPath } from './discovery.ts';
import { StrataError } from './errors.ts';
import { type Commit, readCommit } from './git.ts';
import {
  annotationsOf,
  contentOf,
  type Entry,
  entryName,
  entryObject,
  expendable,
  type KeptEntry,
  type Result,
  readEntry,
} from './history.ts';
import { type Inventory, inventoryManager } from './inventory.ts';
import { configMaps } from './live.ts';
import { type KubeObject, textAt } from './manifest.ts';
import type { Destination } from './prepare.ts';
import { type Doomed, deleteObject } from './prune.ts';
import { whoAmI } from './rights.ts';
import type { Session } from './session.ts';
import { readVersion } from './version.ts';

/** The ConfigMaps of entries, for deleting them. */
export const doomedEntries = (inventory: Inventory, entries: readonly KeptEntry[]): Doomed[] =>
  entries.map(({ number, uid }) => ({
    reference: {
      group: '',
      kind: 'ConfigMap',
      namespace: inventory.namespace,
      name: entryName(inventory, number),
    },
    resource: configMaps,
    uid,
  }));

/** Who deploys, and from which commit. */
export interface Author {
  who: string;
  commit: Commit | undefined;
}

export async function readAuthor(session: Session, connection: Connection): Promise<Author> {
  const [who, commit] = await Promise.all([whoAmI(connection), readCommit(session)]);
  return { who: who ?? connection.context.user, commit };
}

/** Milliseconds for the last word on a deployment that failed. */
const patience = 2000;

/** Writes down what becomes of one deployment. */
interface Recorder {
  /** Begins the entry; the namespace has to be there. */
  open(author: Author): Promise<void>;
  /** Ends the entry, if there is one. Never fails: what it tells of is worse, or done. */
  settle(result: Result, error?: unknown): Promise<void>;
}

/**
 * `open` and `settle` take one round trip each. The entry that the same manifests have left unfinished is taken up
 * again, so that a command that is repeated until it is done is one deployment.
 */
export function createRecorder(
  session: Session,
  planned: Planned<Destination>,
  rollbackTo: number | undefined,
): Recorder {
  const { connection, prepared, rendered, state, plan } = planned;
  const { inventory } = prepared;
  const entries = state.history;
  const newest = entries?.at(-1);
  // Compressing takes its time.
  if (!plan.isChanged && (newest === undefined || newest.result === 'healthy'))
    return { open: async () => {}, settle: async () => {} };
  const content = contentOf(rendered.manifests, (text) => session.scrubber.scrub(text) !== text);
  const isUnfinished = newest?.digest === content.digest && newest.result !== 'healthy';
  let open: KeptEntry | undefined = isUnfinished ? newest : undefined;

  const warn = (error: unknown): void => {
    if (!(error instanceof StrataError)) throw error;
    const warning = session.terminal.style.yellow('warning');
    session.terminal.say(`${warning}: the history cannot be written: ${error.message}`);
  };

  async function begin({ who, commit }: Author): Promise<void> {
    if (entries === undefined || open !== undefined) return;
    const { compressed, omitted, ...facts } = content;
    const entry: Entry = {
      number: (newest?.number ?? 0) + 1,
      startedAt: new Date().toISOString(),
      result: 'applying',
      who,
      ...(rollbackTo === undefined ? commit : { rollbackTo }),
      version: readVersion(session),
      ...facts,
      ...(omitted === undefined ? {} : { omitted }),
    };
    const left = entries.filter(({ result }) => result === 'applying');
    const [created] = await Promise.all([
      create(connection, inventory, entry, compressed),
      ...left.map((earlier) => amend(connection, inventory, { ...earlier, result: 'interrupted' })),
    ]);
    open = created;
    if (omitted) session.terminal.say(`  nobody can go back to deployment ${open.number}: ${omitted}`);
  }

  return {
    open: (author) =>
      begin(author).catch((error) => {
        session.signal.throwIfAborted();
        warn(error);
      }),
    async settle(result, error) {
      if (open === undefined) return;
      const { code: _, ...rest } = open;
      const ended: KeptEntry = {
        ...rest,
        result,
        endedAt: new Date().toISOString(),
        ...(error instanceof StrataError ? { code: error.code } : {}),
      };
      const kept = (entries ?? []).filter(({ number }) => number !== ended.number);
      const surplus = doomedEntries(inventory, expendable([...kept, ended]));
      open = undefined;
      // One that failed may have lost its server, and an interrupted one has no other requests any more.
      const work =
        result === 'healthy'
          ? Promise.all([
              amend(connection, inventory, ended),
              ...surplus.map((target) => deleteObject(connection, target)),
            ])
          : amend(connection, inventory, ended, patience);
      await work.then(
        () => {},
        // After a failure there is worse to tell.
        (thrown) => (result === 'healthy' ? warn(thrown) : session.terminal.detail(String(thrown))),
      );
    },
  };
}

async function create(
  connection: Connection,
  inventory: Inventory,
  entry: Entry,
  compressed: Buffer | undefined,
): Promise<KeptEntry> {
  const object = entryObject(inventory, entry, compressed);
  const request = {
    method: 'POST' as const,
    path: collectionPath(configMaps, inventory.namespace, { fieldManager: inventoryManager }),
    body: object,
    // Sent twice it meets itself, and is told by its text.
    repeatable: true,
  };
  const answer = await connection.request(request);
  if (answer.status === 409) {
    const path = objectPath(configMaps, inventory.namespace, entryName(inventory, entry.number));
    const found = (await connection.get(path)) as KubeObject | undefined;
    const kept = found && readEntry(inventory, found);
    if (kept && JSON.stringify(annotationsOf(entry)) === JSON.stringify(found.metadata.annotations))
      return kept;
    if (found) return create(connection, inventory, { ...entry, number: entry.number + 1 }, compressed);
  }
  if (answer.status >= 300) throw refusal(connection.context, request, answer);
  return { ...entry, uid: textAt(answer.body, 'metadata', 'uid') ?? '' };
}

async function amend(
  connection: Connection,
  inventory: Inventory,
  entry: KeptEntry,
  urgent?: number,
): Promise<void> {
  const { uid, ...facts } = entry;
  const request = {
    method: 'PATCH' as const,
    path: objectPath(configMaps, inventory.namespace, entryName(inventory, entry.number), {
      fieldManager: inventoryManager,
    }),
    // With the uid the server refuses another object of the same name.
    body: { metadata: { uid, annotations: annotationsOf(facts) } },
    contentType: 'application/merge-patch+json',
    repeatable: true,
    ...(urgent === undefined ? {} : { urgent }),
  };
  const answer = await connection.request(request);
  // Somebody tidied up, or the namespace of a first apply that failed was removed again.
  if (answer.status >= 300 && answer.status !== 404) throw refusal(connection.context, request, answer);
}
