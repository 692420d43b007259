import { type Arguments, flagWords, overlayOf, textsOf } from './command.ts';
import { type Problem, StrataError } from './errors.ts';
import { groupKindOf, type Reference, titleOf } from './manifest.ts';
import type { Plan } from './plan.ts';

/** A deletion that needs a confirmation of its own. */
export interface Guard {
  /** What `--allow-delete` has to say. */
  allowance: string;
  message: string;
}

/** Kinds that take along what no manifest brings back. */
const losses: Record<string, string> = {
  PersistentVolumeClaim: 'its data may go with it',
  PersistentVolume: 'its data may go with it',
  Namespace: 'everything in it goes with it',
  'CustomResourceDefinition.apiextensions.k8s.io': 'every object of its kind goes with it, in all namespaces',
};

/** Guards of single objects, for `down`: whoever asks for it means to delete most of what is there. */
export function guardsOf(doomed: readonly Reference[]): Guard[] {
  return doomed.flatMap((reference) => {
    const loss = losses[groupKindOf(reference)];
    return loss ? [{ allowance: titleOf(reference), message: `would be deleted; ${loss}` }] : [];
  });
}

/**
 * Guards of a plan. Superseded generated ConfigMaps and Secrets do not count: each change leaves one behind.
 * What something still uses counts, for it may be free by the time the rollout has ended.
 */
export function guardsOfPlan(plan: Plan): Guard[] {
  const live = plan.objects.filter(
    ({ uid, isSuperseded, reference }) =>
      uid !== undefined && !isSuperseded && groupKindOf(reference) !== 'Namespace',
  );
  const doomed = plan.objects.filter(
    ({ action, isSuperseded, stays }) =>
      !isSuperseded && stays === undefined && (action === 'prune' || action === 'keep'),
  );
  const most: Guard = {
    allowance: 'most',
    message: `${doomed.length} of the ${live.length} objects that are there would be deleted`,
  };
  return [
    ...(doomed.length * 2 > live.length ? [most] : []),
    ...guardsOf(doomed.map(({ reference }) => reference)),
  ];
}

/** @throws StrataError USAGE */
function allowancesOf(args: Arguments): Set<string> {
  const given = textsOf(args, 'allow-delete');
  for (const text of given) {
    if (text === 'most' || text === 'all' || /^[A-Z]\w*\/\S+$/.test(text)) continue;
    throw new StrataError('USAGE', `--allow-delete ${text} is not known`, {
      hint: '--allow-delete most, --allow-delete Kind/name or --allow-delete all',
    });
  }
  return new Set(given);
}

/** @throws StrataError DELETE_GUARDED with every guard that no --allow-delete answers; USAGE */
export function requireAllowed(command: string, args: Arguments, guards: readonly Guard[]): void {
  const allowed = allowancesOf(args);
  if (allowed.has('all')) return;
  const open = guards.filter(({ allowance }) => !allowed.has(allowance));
  if (open.length === 0) return;
  const flags = open.map(({ allowance }) => `--allow-delete ${allowance}`);
  throw new StrataError('DELETE_GUARDED', 'this deletes more than goes without saying; nothing was changed', {
    problems: open.map(
      ({ allowance, message }): Problem => ({
        severity: 'error',
        ...(allowance === 'most' ? {} : { subject: allowance }),
        message,
      }),
    ),
    hint: `npm run ${command} -- ${[overlayOf(args), ...flagWords(args), ...flags].join(' ')}`,
  });
}
