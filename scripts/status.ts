import { placeOf } from './lib/cluster.ts';
import type { Command } from './lib/command.ts';
import { isOwned } from './lib/inventory.ts';
import { type Readiness, readinessOf } from './lib/kstatus.ts';
import { visit } from './lib/locate.ts';
import { type KubeObject, referenceOf, titleOf } from './lib/manifest.ts';
import { outputOf } from './lib/output.ts';
import { type Place, placeLine } from './lib/report.ts';
import { readAllowed } from './lib/rights.ts';
import type { Session } from './lib/session.ts';
import { formatTable } from './lib/terminal.ts';
import { imagesOf } from './lib/verify.ts';

export const command: Command = {
  name: 'status',
  summary: 'Show what is deployed, its health, images, and since when.',
  usage: '[OVERLAY] [flags]',
  flags: ['root', 'context', 'trust-cluster', 'sandbox', 'output', 'verbose'],
  positionals: 1,
  notes:
    'Exit status: 0 healthy or nothing there, 2 usage or configuration, 3 the cluster refused, 4 not healthy.',
  async run(session, args) {
    const output = outputOf(args);
    const { located, context, connection, found } = await visit(session, args, (opened, inventory) =>
      readAllowed(session, opened, inventory, 'status'),
    );
    connection.close();
    const namespace = found?.inventory.namespace ?? '';
    const place = placeOf({ overlay: located.overlay, namespace }, context);
    const members = found ? found.read.members.filter((member) => isOwned(found.inventory, member)) : [];
    const appliedAt = found?.read.parent?.state.appliedAt;
    const rows = members.map((object) => ({ object, readiness: readinessOf(object) }));
    if (output === 'json') session.terminal.json(toJson(rows, place, appliedAt));
    else printStatus(session, rows, place, appliedAt);
    return rows.every(({ readiness }) => readiness.status === 'Current') ? 0 : 4;
  },
};

interface Row {
  object: KubeObject;
  readiness: Readiness;
}

function printStatus(
  session: Session,
  rows: readonly Row[],
  place: Place,
  appliedAt: string | undefined,
): void {
  const { terminal } = session;
  if (rows.length === 0) {
    terminal.say(`nothing of overlay ${place.overlay} is in context ${place.context}`);
    return;
  }
  terminal.say(placeLine(place));
  if (appliedAt) terminal.say(`last changed ${appliedAt}`);
  const style = terminal.outStyle;
  const lines = rows.map(({ object, readiness }) => {
    const { status, message } = readiness;
    const colour = status === 'Current' ? style.green : status === 'InProgress' ? style.yellow : style.red;
    return [
      titleOf(referenceOf(object)),
      colour(status),
      [message, ...new Set(imagesOf(object))].filter(Boolean).join('  '),
    ];
  });
  terminal.data(formatTable(lines).join('\n'));
  if (rows.some(({ readiness }) => readiness.status !== 'Current'))
    terminal.say(session.advise(`next: npm run doctor -- ${place.overlay}`));
}

function toJson(rows: readonly Row[], place: Place, appliedAt: string | undefined): unknown {
  return {
    schema: 'strata.dev/status/v1',
    ...place,
    appliedAt,
    healthy: rows.every(({ readiness }) => readiness.status === 'Current'),
    objects: rows.map(({ object, readiness }) => ({
      ...referenceOf(object),
      status: readiness.status,
      message: readiness.message || undefined,
      images: [...new Set(imagesOf(object))],
      createdAt: object.metadata.creationTimestamp,
    })),
  };
}
