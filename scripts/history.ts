import { placeOf } from './lib/cluster.ts';
import type { Command } from './lib/command.ts';
import { rowOf } from './lib/history.ts';
import { readGround } from './lib/live.ts';
import { visit } from './lib/locate.ts';
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
    'Works when the overlay no longer renders.',
  ].join('\n'),
  async run(session, args) {
    const output = outputOf(args);
    const { located, context, connection, found } = await visit(session, args, readGround);
    connection.close();
    const namespace = found?.inventory.namespace ?? '';
    const place = placeOf({ overlay: located.overlay, namespace }, context);
    const entries = found ? historyOf(connection, found.inventory, found.read) : [];
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
