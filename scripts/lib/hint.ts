import { type Arguments, type FlagName, flagWords, isSet, overlayOf } from './command.ts';

const ofTree = 'chart diff doctor down env generate history render rollback status up';
const ofCluster = 'diff doctor down history rollback status up';
const ofValues = 'chart diff doctor env generate render up';

/**
 * The flags that say which tree, cluster and values are meant, with the commands that take them. Without them the next
 * command would go to another place than the one that gave the hint.
 */
export const placeFlags = {
  root: ofTree.split(' '),
  context: ofCluster.split(' '),
  sandbox: ofTree.split(' ').filter((name) => name !== 'chart'),
  'env-file': ofValues.split(' '),
  'from-process': ofValues.split(' '),
  image: ofValues.split(' ').filter((name) => name !== 'doctor' && name !== 'env'),
} as const satisfies Partial<Record<FlagName, readonly string[]>>;

type PlaceFlag = keyof typeof placeFlags;

/** What is meant for one run alone, or is no part of what the run does. */
const onceFlags: readonly string[] = ['trust-cluster', 'steal-lock', 'init', 'verbose', 'help'];

const orderOf = (flag: string): number => {
  const found = Object.keys(placeFlags).indexOf(flag);
  return found < 0 ? Number.MAX_SAFE_INTEGER : found;
};

/**
 * A text with the commands in it as they have to be typed after this one: each with the tree; those of the same overlay
 * with its cluster and values, too; the same command again with all its flags. The context of the sandbox is in no
 * kubeconfig of the user, so kubectl goes through `npm run sandbox`.
 * @param name of the command that was typed
 */
export function advise(text: string, name: string, args: Arguments): string {
  const overlay = overlayOf(args);
  const typed = (Object.keys(args.flags) as FlagName[]).sort((a, b) => orderOf(a) - orderOf(b));
  const takes = (flag: FlagName, command: string): boolean =>
    (placeFlags[flag as PlaceFlag] as readonly string[] | undefined)?.includes(command) ?? false;
  const hinted = /\bnpm run (\w+)(?::(\w+))?( -- (?!-)([^\s;,]+)| --(?= -))?(?=([^;,\n]*))/g;
  const carried = text.replace(
    hinted,
    (match, command: string, suffix?: string, words?: string, word?: string, rest = '') => {
      if (!placeFlags.root.includes(command as never)) return match;
      const named = word ?? suffix;
      const isPlan = rest.startsWith(' --plan ');
      const added = named === undefined && !isPlan ? args.positionals.slice(0, 1) : [];
      const isAgain = command === name && (named === overlay || isPlan);
      const flags = typed.filter((flag) => {
        if (` ${rest} `.includes(` --${flag} `)) return false;
        if (flag in placeFlags) return takes(flag, command) && (flag === 'root' || named === overlay);
        return isAgain && !onceFlags.includes(flag);
      });
      if (added.length === 0 && flags.length === 0) return match;
      const given = Object.fromEntries(flags.map((flag) => [flag, args.flags[flag]]));
      const script = `npm run ${command}${suffix ? `:${suffix}` : ''}`;
      return [script + (words ?? ' --'), ...added, ...flagWords({ positionals: [], flags: given })].join(' ');
    },
  );
  if (!isSet(args, 'sandbox')) return carried;
  return carried.replaceAll(
    /\bkubectl --context strata-sandbox(?:-([a-z0-9-]+))?(?= )/g,
    (_, sandbox?: string) => `npm run sandbox -- ${sandbox === undefined ? '' : `--name ${sandbox} `}kubectl`,
  );
}
