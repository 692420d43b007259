import path from 'node:path';
import { withLock } from '../../scripts/lib/lock.ts';
import { useSandbox } from './cluster.ts';
import { testSession } from './session.ts';

/** For tests that deploy with the node ports of the manifests: those are the cluster's, so one test at a time has them. */
export async function fixedNodePorts<T>(work: () => Promise<T>): Promise<T> {
  const { folder } = await useSandbox();
  return withLock(testSession(), path.join(folder, 'node-ports.lock'), () => {}, work);
}
