import { prunedBy } from './lib/binding.ts';
import { planOverlay, requireConfirmable, warnOfBuildTime } from './lib/cluster.ts';
import { type Command, isSet, parseDuration, textOf } from './lib/command.ts';
import { deploy } from './lib/deploy.ts';
import { StrataError } from './lib/errors.ts';
import { exposuresOf } from './lib/exposure.ts';
import { sayWarnings } from './lib/prepare.ts';
import { goBack } from './lib/rollback.ts';
import { argumentsOfPlan, readPlan, requireSame } from './lib/saved.ts';
import { shellWord } from './lib/shell.ts';

export const command: Command = {
  name: 'up',
  summary: 'Apply what diff shows, wait until it is healthy, then remove what is superseded.',
  usage: '[OVERLAY] [flags]',
  flags: [
    'root',
    'context',
    'trust-cluster',
    'sandbox',
    'env-file',
    'from-process',
    'image',
    'plan',
    'yes',
    'allow-delete',
    'timeout',
    'force-conflicts',
    'adopt',
    'steal-lock',
    'rollback-on-failure',
    'verbose',
  ],
  positionals: 1,
  notes: [
    'Exit status: 0 healthy, 2 usage or configuration, 3 the cluster or a tool refused,',
    '4 not healthy in time, 130 interrupted or declined. The same command again finishes the job.',
    'A plan that deletes more than half of what is there, or a PersistentVolumeClaim, PersistentVolume or',
    'CustomResourceDefinition, is refused until --allow-delete names it.',
    'Asks before it changes a cluster that is not local.',
    'With --rollback-on-failure the status is 4 also when the last healthy deployment is back.',
    'With --plan, overlay and flags come from the plan; whatever moved since then is told, and nothing is applied.',
    'Refuses secrets that are still placeholders, before anything is sent; the sandbox takes them.',
  ].join('\n'),
  async run(session, given) {
    const started = session.clock.now();
    const timeout = parseDuration(textOf(given, 'timeout') ?? '5m');
    const file = textOf(given, 'plan');
    const saved = file === undefined ? undefined : readPlan(session, file);
    const args = saved ? argumentsOfPlan(given, saved, file!) : given;
    session.means(args);
    const planned = await planOverlay(
      session,
      args,
      (context, overlay) =>
        requireConfirmable(session, args, context, `up -- ${saved ? `--plan ${shellWord(file!)}` : overlay}`),
      'refuse',
      saved && ((found) => requireSame(session, found, saved, file!)),
    );
    const { prepared } = planned;
    if (!prepared.sandbox)
      sayWarnings(session, await exposuresOf(session, prepared.values, prepared.envPaths));
    try {
      await deploy(session, args, planned, {
        command: 'up',
        started,
        timeout,
        deed: 'apply this to',
        ...(saved ? { mayPrune: prunedBy(saved) } : {}),
        remark: (plan) => warnOfBuildTime(session, prepared, plan),
      });
    } catch (error) {
      const isUnhealthy = error instanceof StrataError && error.code === 'NOT_HEALTHY';
      if (isSet(args, 'rollback-on-failure') && isUnhealthy && !session.signal.aborted)
        await goBack(session, args, planned, timeout);
      throw error;
    }
    return 0;
  },
};
