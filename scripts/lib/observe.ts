import { type Connection, mayComeBack } from './connection.ts';
import { collectionPath, itemsOf, type Resource } from './discovery.ts';
import { type KubeObject, textAt } from './manifest.ts';
import type { Clock } from './session.ts';

/** The objects of one kind, by name. */
export interface Observed {
  objects: ReadonlyMap<string, KubeObject>;
  /** Why the server cannot be asked now; meanwhile `objects` is what it said last. */
  silence?: unknown;
  /** Keeps `objects` as the server holds them, from now until the signal is aborted. */
  follow(): void;
}

interface Page {
  objects: Map<string, KubeObject>;
  resourceVersion: string;
}

async function list(
  connection: Connection,
  resource: Resource,
  namespace: string,
  query: Record<string, string>,
): Promise<Page> {
  const body = await connection.get(collectionPath(resource, namespace, query));
  return {
    objects: new Map(itemsOf(body, resource).map((object) => [object.metadata.name, object])),
    resourceVersion: textAt(body, 'metadata', 'resourceVersion') ?? '',
  };
}

/**
 * Lists; `follow` then watches until `signal` is aborted, with `onChange` after each event. A watch that breaks is
 * taken up again from a new list; `onError` gets what even that cannot mend. A server that starts again is asked until
 * `deadline`, on the session's clock.
 */
export async function observe(
  connection: Connection,
  clock: Clock,
  target: { resource: Resource; namespace: string; query?: Record<string, string> },
  signal: AbortSignal,
  callbacks: { onChange: () => void; onError: (error: unknown) => void },
  deadline: number,
): Promise<Observed> {
  const { resource, namespace, query = {} } = target;
  const listPatiently = async (onSilence: (error: unknown) => void): Promise<Page> => {
    for (;;) {
      try {
        return await list(connection, resource, namespace, query);
      } catch (error) {
        if (!mayComeBack(error) || clock.now() >= deadline) throw error;
        onSilence(error);
        await clock.sleep(500, signal);
      }
    }
  };
  let page = await listPatiently(() => {});

  const watchOn = async (): Promise<void> => {
    while (!signal.aborted) {
      const path = collectionPath(resource, namespace, {
        ...query,
        watch: 'true',
        resourceVersion: page.resourceVersion,
      });
      const gone = await connection
        .watch(path, signal, ({ type, object }) => {
          if (type === 'ERROR') throw new Error('the watch has to start again');
          const changed = object as KubeObject;
          if (type === 'DELETED') view.objects.delete(changed.metadata.name);
          else if (type === 'ADDED' || type === 'MODIFIED') view.objects.set(changed.metadata.name, changed);
          callbacks.onChange();
        })
        .catch(() => undefined);
      if (signal.aborted) return gone;
      await clock.sleep(200, signal);
      page = await listPatiently((error) => {
        view.silence = error;
        callbacks.onChange();
      });
      view.silence = undefined;
      view.objects = page.objects;
      callbacks.onChange();
    }
  };
  const view = {
    objects: page.objects,
    silence: undefined as unknown,
    follow(): void {
      watchOn().catch((error: unknown) => {
        if (!signal.aborted) callbacks.onError(error);
      });
    },
  };
  return view;
}
