import { placeOf, targetOf } from './lib/cluster.ts';
import type { Command } from './lib/command.ts';
import { connect } from './lib/connection.ts';
import { rowOf } from './lib/history.ts';
import { afterwards, expectCluster, recognize } from './lib/identity.ts';
import { findKubectl } from './lib/kubectl.ts';
import { readGround } from './lib/live.ts';
import { inventoryFor, locate } from './lib/locate.ts';
import { outputOf } from './lib/output.ts';
import { placeLine } from './lib/report.ts';
import { historyOf } from './lib/rollback.ts';
import { formatTable } from './lib/terminal.ts';

export const command: Command = {
  name: 'history',
  summary:
    'Show what was deployed: when, by whom, from which commit, with which images, and what became of it.',
  usage: '[OVERLAY] [flags]',
  flags: ['root', 'context', 'trust-cluster', 'sandbox', 'output', 'verbose'],
  positionals: 1,
  notes: [
    'Exit status: 0 also when there is none, 2 usage or configuration, 3 the cluster refused.',
    'Oldest first; the last ten are kept. A commit with + had changes that were not committed.',
    'Works when the overlay no longer renders. OVERLAY is minikube unless given.',
  ].join('\n'),
  async run(session, args) {
    const output = outputOf(args);
    const located = await locate(session, args);
    const context = targetOf(session, args, located);
    const expectation = expectCluster(session, args, context, located);
    const connection = await connect(session, findKubectl(session, located.sandbox), context);
    const reading = async () => {
      const inventory = await inventoryFor(connection, located);
      return { inventory, ground: inventory && (await readGround(connection, inventory)) };
    };
    const [{ inventory, ground }] = await afterwards(recognize(session, connection, expectation), reading());
    connection.close();
    const place = placeOf({ overlay: located.overlay, namespace: inventory?.namespace ?? '' }, context);
    const entries = inventory && ground ? historyOf(connection, inventory, ground) : [];
    const { terminal } = session;
    if (output === 'json') {
      const deployments = entries.map(({ uid: _, ...entry }) => entry);
      terminal.json({ schema: 'strata.dev/history/v1', ...place, deployments });
      return 0;
    }
    if (entries.length === 0) {
      terminal.say(`there is no history of overlay ${located.overlay} in context ${context.name}`);
      return 0;
    }
    terminal.say(placeLine(place));
    terminal.data(formatTable(entries.map(rowOf)).join('\n'));
    return 0;
  },
};
