import { type Arguments, type FlagName, flagWords, isSet, overlayOf } from './command.ts';
import { kubectlHint, sandboxOfContext } from './sandbox-name.ts';

const ofTree = 'chart diff doctor down env generate history render rollback status up';
const ofCluster = 'diff doctor down history rollback status up';
const ofValues = 'chart diff doctor env generate render up';

/**
 * The flags that say which tree, cluster and values are meant, with the commands that take them. Without them the next
 * command would go to another place than the one that gave the hint.
 */
export const placeFlags: Partial<Record<FlagName, readonly string[]>> & { root: readonly string[] } = {
  root: ofTree.split(' '),
  context: ofCluster.split(' '),
  sandbox: ofTree.split(' ').filter((name) => name !== 'chart'),
  'env-file': ofValues.split(' '),
  'from-process': ofValues.split(' '),
  image: ofValues.split(' ').filter((name) => name !== 'doctor' && name !== 'env'),
};

/** What is meant for one run alone, or is no part of what the run does. */
const onceFlags: readonly string[] = ['trust-cluster', 'steal-lock', 'init', 'verbose', 'help'];

/**
 * A text with the commands in it as they have to be typed after this one: each with the tree; those of the same overlay
 * with its cluster and values, too; the same command again with all its flags. The context of the sandbox is in no
 * kubeconfig of the user, so kubectl goes through `npm run sandbox`.
 * @param name of the command that was typed
 */
export function advise(text: string, name: string, args: Arguments): string {
  const overlay = overlayOf(args);
  // Where comes first, then what.
  const known = [...Object.keys(placeFlags), ...Object.keys(args.flags)] as FlagName[];
  const typed = [...new Set(known)].filter((flag) => args.flags[flag] !== undefined);
  const hinted = /\bnpm run (\w+)(?::(\w+))?( -- (?!-)([^\s;,]+)| --(?= -))?(?=([^;,\n]*))/g;
  const carried = text.replace(
    hinted,
    (match, command: string, suffix?: string, words?: string, word?: string, rest = '') => {
      if (!placeFlags.root.includes(command)) return match;
      const named = word ?? suffix;
      const isPlan = rest.startsWith(' --plan ');
      const added = named === undefined && !isPlan ? args.positionals.slice(0, 1) : [];
      const isAgain = command === name && (named === overlay || isPlan);
      const flags = typed.filter((flag) => {
        if (` ${rest} `.includes(` --${flag} `)) return false;
        const takers = placeFlags[flag];
        if (takers) return takers.includes(command) && (flag === 'root' || named === overlay);
        return isAgain && !onceFlags.includes(flag);
      });
      if (added.length === 0 && flags.length === 0) return match;
      const given = Object.fromEntries(flags.map((flag) => [flag, args.flags[flag]]));
      const script = `npm run ${command}${suffix ? `:${suffix}` : ''}`;
      return [script + (words ?? ' --'), ...added, ...flagWords({ positionals: [], flags: given })].join(' ');
    },
  );
  if (!isSet(args, 'sandbox')) return carried;
  return carried.replaceAll(/\bkubectl --context (\S+)(?= )/g, (match, context: string) => {
    const sandbox = sandboxOfContext(context);
    return sandbox === undefined ? match : kubectlHint(sandbox);
  });
}
