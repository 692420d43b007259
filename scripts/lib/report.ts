import { type Author, compareData, compareFields, hasData, type KeyChange, unifiedDiff } from './change.ts';
import { guardsOfPlan } from './deletions.ts';
import { authorOf } from './drift.ts';
import { listPaths, type Step } from './fields.ts';
import { isRunning } from './job.ts';
import { groupOf, titleOf } from './manifest.ts';
import { type Action, countActions, type Plan, type PlannedObject } from './plan.ts';
import type { Style } from './terminal.ts';

export interface Place {
  overlay: string;
  context: string;
  server: string;
  namespace: string;
}

export const placeLine = (place: Place): string =>
  `overlay ${place.overlay} → context ${place.context} (${place.server}), namespace ${place.namespace}`;

const marks: Record<Action, string> = {
  create: '+',
  change: '~',
  replace: '±',
  unchanged: '=',
  prune: '-',
  keep: '·',
};

function colourOf(style: Style, action: Action): (text: string) => string {
  return {
    create: style.green,
    change: style.yellow,
    replace: style.yellow,
    unchanged: style.dim,
    prune: style.red,
    keep: style.dim,
  }[action];
}

const oneLine = (value: string): boolean => !value.includes('\n') && value.length <= 100;

function formatKeyChange(change: KeyChange, style: Style): string[] {
  const { key, before, after, lengthBefore, lengthAfter } = change;
  const characters = (length: number | undefined): string => `${length} character${length === 1 ? '' : 's'}`;
  if (change.change === 'added') {
    const shown = after !== undefined && oneLine(after) ? `: ${after}` : ` (${characters(lengthAfter)})`;
    return [style.green(`+ ${key}${shown}`)];
  }
  if (change.change === 'removed') return [style.red(`- ${key} (${characters(lengthBefore)})`)];
  if (before !== undefined && after !== undefined && oneLine(before) && oneLine(after)) {
    return [style.yellow(`~ ${key}:`), style.red(`  - ${before}`), style.green(`  + ${after}`)];
  }
  const lengths =
    lengthBefore === lengthAfter ? characters(lengthAfter) : `${lengthBefore} → ${characters(lengthAfter)}`;
  return [style.yellow(`~ ${key} changed (${lengths})`)];
}

function colourDiff(line: string, style: Style): string {
  if (line.startsWith('+')) return style.green(line);
  if (line.startsWith('-')) return style.red(line);
  return line.startsWith('@@') ? style.cyan(line) : line;
}

function headOf(planned: PlannedObject): string {
  const title = titleOf(planned.reference);
  if (planned.replaces) return `${titleOf(planned.replaces.reference)} → ${planned.reference.name}`;
  if (planned.stays) return `${title} stays: ${planned.stays}`;
  if (planned.action === 'keep') return `${title}, still used by ${listUsers(planned.usedBy)}`;
  if (planned.action === 'prune' && planned.isSuperseded) return `${title}, superseded and no longer used`;
  return title;
}

function listUsers(users: readonly string[]): string {
  const [first = '', ...rest] = users;
  return rest.length === 0 ? first : `${first} and ${rest.length} more`;
}

/** For what changes in place: a generated object that takes the place of another one was written by nobody else. */
const findAuthor =
  ({ live, action, replaces }: PlannedObject) =>
  (steps: readonly Step[]): Author | undefined =>
    live && action === 'change' && !replaces ? authorOf(live, steps) : undefined;

/** A line for everybody who changed a part of this since strata applied it. */
function driftOf(planned: PlannedObject): string[] {
  const { before, after } = planned;
  const find = findAuthor(planned);
  const changes = [
    ...compareFields(before, after, find),
    ...(after && hasData(after)
      ? compareData(before, after, find).map(({ key, changedBy }) => ({ path: `data.${key}`, changedBy }))
      : []),
  ];
  const paths = new Map<string, string[]>();
  for (const { path, changedBy } of changes) {
    const who = changedBy && `${changedBy.manager}${changedBy.time ? ` at ${changedBy.time}` : ''}`;
    if (who !== undefined) paths.set(who, [...(paths.get(who) ?? []), path]);
  }
  return [...paths].map(([who, own]) => `changed since by ${who}: ${listPaths(own)}`);
}

/** What goes along with the change, and is in no field that the diff shows. */
function takeoverOf({ isAdopted, takeover }: PlannedObject): string[] {
  const managers = makersOf(takeover);
  const from = managers.length > 0 ? ` from ${listPaths(managers)}` : '';
  return [
    ...(isAdopted
      ? [`adopted${from}: down will delete it`]
      : managers.length > 0
        ? [`takes over what is held${from}`]
        : []),
    ...(takeover?.dropsAnnotation
      ? ['the copy of the manifest that client-side apply keeps in it goes']
      : []),
  ];
}

const makersOf = (takeover: PlannedObject['takeover']): string[] => [
  ...new Set(takeover?.entries.map(({ manager = 'an unnamed manager' }) => manager)),
];

function renewalLine({ renewal, live }: PlannedObject): string {
  const wait = live && isRunning(live) ? '; it still runs, and `up` waits until it has ended' : '';
  return `deleted and created anew: ${renewal}${wait}`;
}

function detailsOf(planned: PlannedObject, style: Style): string[] {
  const before = planned.replaces?.before ?? planned.before;
  const { after } = planned;
  const lines: string[] = [];
  if (planned.notValidated) lines.push(style.yellow(`not validated: ${planned.notValidated}`));
  if (planned.renewal) lines.push(style.yellow(renewalLine(planned)));
  lines.push(...takeoverOf(planned).map((line) => style.yellow(line)));
  if (planned.isOwnershipOnly && !planned.isAdopted)
    lines.push('only the list of fields that strata holds changes');
  if (after === undefined || (planned.action === 'create' && !hasData(after))) return lines;
  if (planned.action === 'create' && before === undefined) {
    const keys = compareData(undefined, after).map(({ key }) => key);
    return [...lines, keys.length > 0 ? `with ${keys.join(', ')}` : 'empty'];
  }
  if (hasData(after))
    lines.push(...compareData(before, after).flatMap((change) => formatKeyChange(change, style)));
  if (planned.action === 'change' || planned.action === 'replace') {
    lines.push(...unifiedDiff(before, after).map((line) => colourDiff(line, style)));
    lines.push(...driftOf(planned).map((line) => style.yellow(line)));
  }
  return lines;
}

/** The name of a generated object that changed is told as a change, whatever the API calls it. */
const shownAction = (planned: PlannedObject): Action => (planned.replaces ? 'change' : planned.action);

/** The plan for people. Values of secrets are nowhere in it. */
export function formatPlan(plan: Plan, style: Style): string[] {
  const replaced = new Set(plan.objects.map(({ replaces }) => replaces && titleOf(replaces.reference)));
  const lines = plan.objects
    .filter((planned) => planned.action !== 'unchanged')
    // The predecessor of a replacement is told with it.
    .filter((planned) => !(planned.action === 'keep' && replaced.has(titleOf(planned.reference))))
    .flatMap((planned) => {
      const action = shownAction(planned);
      const head = colourOf(style, action)(`${marks[action]} ${action.padEnd(6)} ${headOf(planned)}`);
      return [head, ...detailsOf(planned, style).map((line) => `    ${line}`)];
    });
  if (plan.inventoryIsMissing)
    lines.push(style.yellow('~ change the inventory is missing, it is written again'));
  return [...lines, summaryOf(plan)];
}

export function summaryOf(plan: Plan): string {
  const counts = countActions(plan);
  const replacements = plan.objects.filter(({ replaces }) => replaces).length;
  const shown: [string, number][] = [
    ['to create', counts.create - replacements],
    ['to change', counts.change + replacements],
    ['to replace', counts.replace],
    ['unchanged', counts.unchanged],
    ['to prune', counts.prune],
    ['kept', counts.keep],
  ];
  const text = shown.flatMap(([word, count]) => (count > 0 ? [`${count} ${word}`] : [])).join(', ');
  return `plan: ${plan.isChanged ? 'changed' : 'clean'}${text ? ` (${text})` : ''}`;
}

/** Changes within `v1` only ever add fields. */
export function planToJson(plan: Plan, place: Place): unknown {
  const guards = guardsOfPlan(plan);
  return {
    schema: 'strata.dev/plan/v1',
    ...place,
    changed: plan.isChanged,
    inventoryMissing: plan.inventoryIsMissing,
    summary: countActions(plan),
    ...(guards.length > 0 ? { guards: guards.map(({ allowance }) => allowance) } : {}),
    objects: plan.objects.map((planned) => {
      const before = planned.replaces?.before ?? planned.before;
      const { reference, after, manifest } = planned;
      const apiVersion = manifest?.object.apiVersion ?? planned.before?.apiVersion;
      return {
        action: planned.action,
        apiVersion,
        group: groupOf(apiVersion ?? ''),
        kind: reference.kind,
        namespace: reference.namespace,
        name: reference.name,
        replaces: planned.replaces?.reference.name,
        superseded: planned.isSuperseded || undefined,
        usedBy: planned.usedBy.length > 0 ? planned.usedBy : undefined,
        stays: planned.stays,
        renewal: planned.renewal,
        notValidated: planned.notValidated,
        ownershipOnly: planned.isOwnershipOnly || undefined,
        adopted: planned.isAdopted || undefined,
        takesOverFrom:
          planned.action === 'change' && planned.takeover ? makersOf(planned.takeover) : undefined,
        keys:
          after && hasData(after) && planned.action !== 'unchanged'
            ? compareData(before, after, findAuthor(planned))
            : undefined,
        fields:
          planned.action === 'change' || planned.action === 'replace'
            ? compareFields(planned.before, after, findAuthor(planned))
            : undefined,
      };
    }),
  };
}
