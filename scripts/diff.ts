import { planOverlay, warnOfBuildTime } from './lib/cluster.ts';
import { type Command, isSet, textOf } from './lib/command.ts';
import { guardsOfPlan } from './lib/deletions.ts';
import { formatProblem } from './lib/errors.ts';
import { outputOf } from './lib/output.ts';
import { formatPlan, placeLine, planToJson } from './lib/report.ts';
import { savePlan } from './lib/saved.ts';
import { shellWord } from './lib/shell.ts';

export const command: Command = {
  name: 'diff',
  summary: 'Show what up would change, by asking the server.',
  usage: '[OVERLAY] [flags]',
  flags: [
    'root',
    'context',
    'trust-cluster',
    'sandbox',
    'env-file',
    'from-process',
    'image',
    'force-conflicts',
    'adopt',
    'save',
    'output',
    'exit-zero',
    'verbose',
  ],
  positionals: 1,
  notes: [
    'Exit status: 0 clean, 1 changed, 2 usage or configuration, 3 the cluster or a tool refused.',
    'Secrets are shown by key and length, never by value.',
    'A secret that is still a placeholder is a warning here; up refuses it.',
    'A saved plan holds no value of a secret; only its owner may read it.',
  ].join('\n'),
  async run(session, args) {
    const output = outputOf(args);
    const planned = await planOverlay(session, args);
    const { prepared, place, connection, plan } = planned;
    const file = textOf(args, 'save');
    if (file !== undefined) await savePlan(session, args, planned, file);
    connection.close();
    if (output === 'json') session.terminal.json(planToJson(plan, place));
    else {
      session.terminal.say(placeLine(place));
      session.terminal.data(formatPlan(plan, session.terminal.outStyle).join('\n'));
    }
    for (const { allowance, message } of guardsOfPlan(plan))
      session.terminal.say(
        formatProblem({
          severity: 'warning',
          subject: allowance,
          message,
          hint: `up needs --allow-delete ${allowance}`,
        }),
      );
    warnOfBuildTime(session, prepared, plan);
    if (file !== undefined)
      session.terminal.say(
        session.advise(
          `saved to ${file}; npm run up -- --plan ${shellWord(file)} applies exactly this, or nothing`,
        ),
      );
    return plan.isChanged && !isSet(args, 'exit-zero') ? 1 : 0;
  },
};
