import { type TargetInput, targetOf } from './cluster.ts';
import { type Arguments, overlayOf } from './command.ts';
import { type Connection, connect } from './connection.ts';
import { buildContract, readContract } from './contract.ts';
import { collectionPath } from './discovery.ts';
import { StrataError, throwOnErrors } from './errors.ts';
import { afterwards, expectCluster, type Recognized, recognize } from './identity.ts';
import { type Inventory, inventoryOf, overlaySelector, parentName } from './inventory.ts';
import type { Context } from './kubeconfig.ts';
import { findKubectl, type Kubectl } from './kubectl.ts';
import { configMaps } from './live.ts';
import { listAt, textAt } from './manifest.ts';
import { diskTreeFiles, readNamespace, resolveOverlay } from './overlay.ts';
import { sandboxOf } from './prepare.ts';
import type { Session } from './session.ts';
import { learnVariables } from './values.ts';

/** What can be known of an overlay even when it no longer renders. */
export interface Located extends TargetInput {
  /** undefined when the tree does not say it any more. */
  namespace: string | undefined;
}

/** A broken tree may not keep anybody from taking a deployment down: only the list of contexts and the pin have to be readable. */
export async function locate(session: Session, args: Arguments): Promise<Located> {
  const overlay = overlayOf(args);
  const folder = await resolveOverlay(session.root, overlay, session.home);
  const files = diskTreeFiles(session.root);
  const ownFile = `${folder}/strata.yaml`;
  const { contract, problems } = await readContract(files, folder).catch(async () => {
    const text = await files.read(ownFile);
    return buildContract(text === undefined ? [] : [{ file: ownFile, text }]);
  });
  learnVariables(session, contract);
  // Without what is wrong in it the pin would let every cluster pass.
  throwOnErrors(
    'CONTRACT_INVALID',
    `the pin of the cluster of ${overlay} is not valid`,
    problems.filter(({ subject }) => subject?.split('.')[0] === 'cluster'),
  );
  const namespace = await readNamespace(session.root, overlay).then(
    (place) => place.namespace,
    () => undefined,
  );
  return {
    overlay,
    namespace,
    contexts: contract.contexts,
    contextsFile: contract.contextsPlace?.file ?? ownFile,
    cluster: contract.cluster,
    sandbox: await sandboxOf(session, args),
  };
}

/**
 * The inventory of a located overlay; searched in all namespaces when the tree does not name one.
 * @throws StrataError TREE_INVALID when that finds several
 */
export async function inventoryFor(connection: Connection, located: Located): Promise<Inventory | undefined> {
  if (located.namespace !== undefined) return inventoryOf(located.overlay, located.namespace);
  const list = await connection.get(
    collectionPath(configMaps, '', { labelSelector: overlaySelector(located.overlay) }),
  );
  const namespaces = listAt(list, 'items')
    .filter((item) => textAt(item, 'metadata', 'name') === parentName(located.overlay))
    .flatMap((item) => textAt(item, 'metadata', 'namespace') ?? []);
  if (namespaces.length > 1) {
    throw new StrataError(
      'TREE_INVALID',
      `overlay ${located.overlay} does not say its namespace, and there are deployments in ${namespaces.join(', ')}`,
      {
        hint: `write \`namespace:\` in overlays/${located.overlay}/kustomization.yaml`,
      },
    );
  }
  return namespaces[0] === undefined ? undefined : inventoryOf(located.overlay, namespaces[0]);
}

/** What a command that starts from the cluster stands on. */
export interface Visit<T> {
  located: Located;
  context: Context;
  kubectl: Kubectl;
  connection: Connection;
  recognized: Recognized;
  /** undefined when nothing of the overlay is there; `read` was not asked then. */
  found: { inventory: Inventory; read: T } | undefined;
}

/**
 * Opens the connection for an overlay that need not render, and reads there while the cluster is recognized: of another
 * one nothing is told. `mayGoTo` has its say before anything is sent.
 * @throws StrataError CONTEXT_REFUSED, CLUSTER_CHANGED, CLUSTER_UNREACHABLE, CLUSTER_REFUSED and those of `mayGoTo`
 */
export async function visit<T>(
  session: Session,
  args: Arguments,
  read: (connection: Connection, inventory: Inventory) => Promise<T>,
  mayGoTo: (context: Context, overlay: string) => void = () => {},
): Promise<Visit<T>> {
  const located = await locate(session, args);
  const context = targetOf(session, args, located);
  mayGoTo(context, located.overlay);
  const expectation = expectCluster(session, args, context, located);
  const kubectl = findKubectl(session, located.sandbox);
  const connection = await connect(session, kubectl, context);
  const reading = async (): Promise<Visit<T>['found']> => {
    const inventory = await inventoryFor(connection, located);
    return inventory && { inventory, read: await read(connection, inventory) };
  };
  const [found, recognized] = await afterwards(recognize(session, connection, expectation), reading());
  return { located, context, kubectl, connection, recognized, found };
}
