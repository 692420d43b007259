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

/**
 * A text with the commands in it as they have to be typed after these arguments: the tree for all of them, the rest for
 * those of the same overlay. The context of the sandbox is in no kubeconfig of the user, so kubectl goes through
 * `npm run sandbox`.
 */
export function advise(text: string, args: Arguments): string {
  const overlay = overlayOf(args);
  const typed = (Object.keys(placeFlags) as PlaceFlag[]).filter((name) => args.flags[name] !== undefined);
  const command = /\bnpm run (\w+)(?::(\w+))?( -- (?!-)([^\s;,]+)| --(?= -))?(?=([^;,\n]*))/g;
  const carried = text.replace(
    command,
    (match, name: string, suffix = '', words = ' --', word = suffix, rest = '') => {
      const added = typed.filter(
        (flag) =>
          placeFlags[flag].includes(name) &&
          (flag === 'root' || word === overlay) &&
          !`${rest} `.includes(` --${flag} `),
      );
      if (added.length === 0) return match;
      const flags = Object.fromEntries(added.map((flag) => [flag, args.flags[flag]]));
      const script = `npm run ${name}${suffix && `:${suffix}`}`;
      return [script + words, ...flagWords({ positionals: [], flags })].join(' ');
    },
  );
  if (!isSet(args, 'sandbox')) return carried;
  return carried.replaceAll(
    /\bkubectl --context strata-sandbox(?:-([a-z0-9-]+))?(?= )/g,
    (_, name?: string) => `npm run sandbox -- ${name === undefined ? '' : `--name ${name} `}kubectl`,
  );
}
