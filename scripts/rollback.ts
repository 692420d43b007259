import { requireConfirmable } from './lib/cluster.ts';
import { type Command, overlayOf, parseDuration, textOf } from './lib/command.ts';
import { deploy } from './lib/deploy.ts';
import { StrataError } from './lib/errors.ts';
import { wayBack } from './lib/history.ts';
import { checkKubectlVersion } from './lib/kubectl.ts';
import { readGround } from './lib/live.ts';
import { visit } from './lib/locate.ts';
import type { Destination } from './lib/prepare.ts';
import { historyOf, planRollback } from './lib/rollback.ts';

/** @throws StrataError USAGE */
function numberOf(text: string | undefined, overlay: string): number | undefined {
  if (text === undefined || /^[1-9]\d{0,8}$/.test(text)) return text === undefined ? undefined : Number(text);
  throw new StrataError('USAGE', `--to ${text} is not the number of a deployment`, {
    hint: `npm run history -- ${overlay} shows the numbers`,
  });
}

export const command: Command = {
  name: 'rollback',
  summary: 'Go back to an earlier deployment: its manifests and its configuration together.',
  usage: '[OVERLAY] [flags]',
  flags: [
    'root',
    'context',
    'trust-cluster',
    'sandbox',
    'to',
    'yes',
    'allow-delete',
    'timeout',
    'force-conflicts',
    'steal-lock',
    'verbose',
  ],
  positionals: 1,
  notes: [
    'Exit status: 0 healthy, 2 usage or configuration, 3 the cluster refused or there is no way back,',
    '4 not healthy in time, 130 interrupted or declined.',
    'Without --to: the last healthy deployment that was another one. Shows a plan and asks as up does, and is',
    'in the history itself. Takes everything from the cluster: works without .env, and when the overlay no longer',
    'renders.',
  ].join('\n'),
  async run(session, args) {
    const started = session.clock.now();
    const timeout = parseDuration(textOf(args, 'timeout') ?? '5m');
    const to = numberOf(textOf(args, 'to'), overlayOf(args));
    const { located, kubectl, context, connection, recognized, found } = await visit(
      session,
      args,
      readGround,
      (target, name) => requireConfirmable(session, args, target, `rollback -- ${name}`),
    );
    const { overlay, sandbox } = located;
    if (found === undefined) {
      throw new StrataError(
        'ROLLBACK_IMPOSSIBLE',
        `nothing of overlay ${overlay} is in context ${context.name}`,
        { hint: `npm run up -- ${overlay}` },
      );
    }
    await checkKubectlVersion(session, kubectl);
    const { inventory, read: ground } = found;
    const entry = wayBack(overlay, historyOf(connection, inventory, ground), to);
    session.terminal.say(`going back to deployment ${entry.number} of ${entry.startedAt} (${entry.result})`);
    const { namespace } = inventory;
    const destination: Destination = { overlay, namespace, inventory, kubectl, sandbox };
    const planned = await planRollback(session, args, { connection, recognized, ground }, destination, entry);
    await deploy(session, args, planned, {
      command: 'rollback',
      started,
      timeout,
      deed: 'apply this to',
      rollbackTo: entry.number,
    });
    return 0;
  },
};
