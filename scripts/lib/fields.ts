import { isDeepStrictEqual } from 'node:util';
import { isRecord } from './manifest.ts';

/**
 * Field sets of managed fields, `fieldsV1`: `f:` names a field, `k:` an item of a list by its keys, `v:` by its value,
 * `i:` by its index, and `.` stands for the thing itself
 * (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/#System).
 */
export type FieldSet = Record<string, unknown>;

export type Step = string | number;

const isItself = (name: string): boolean => name === '.';

/** Whether an item of a list is the one that a `k:`, `v:` or `i:` means. */
function matches(name: string, item: unknown, index: number): boolean {
  const meant: unknown = JSON.parse(name.slice(2));
  if (name.startsWith('i:')) return meant === index;
  if (name.startsWith('v:')) return isDeepStrictEqual(meant, item);
  return (
    isRecord(meant) &&
    isRecord(item) &&
    Object.entries(meant).every(([key, value]) => isDeepStrictEqual(item[key], value))
  );
}

/** The name in the set of what one step below `value` leads to. */
export function nameOf(set: FieldSet, value: unknown, step: Step): string | undefined {
  if (typeof step === 'string') return `f:${step}` in set ? `f:${step}` : undefined;
  const item = Array.isArray(value) ? value[step] : undefined;
  return Object.keys(set).find((name) => /^[kvi]:/.test(name) && matches(name, item, step));
}

const below = (value: unknown, step: Step): unknown =>
  typeof step === 'number'
    ? Array.isArray(value)
      ? value[step]
      : undefined
    : isRecord(value)
      ? value[step]
      : undefined;

/** Whether the set holds the field of `value` that the steps lead to, by itself or as part of something whole. */
export function holds(set: unknown, value: unknown, steps: readonly Step[]): boolean {
  if (!isRecord(set)) return false;
  const [step, ...rest] = steps;
  if (step === undefined) return true;
  if (Object.keys(set).length === 0) return true;
  const name = nameOf(set, value, step);
  return name !== undefined && holds(set[name], below(value, step), rest);
}

/** A thing without parts, or one that is held besides its parts. */
const isMember = (set: FieldSet): boolean => Object.keys(set).length === 0 || '.' in set;

const namesIn = (set: FieldSet): string[] => Object.keys(set).filter((name) => !isItself(name));

/** Whether a field is in both sets, by itself or as part of something whole. That an item is in a list does not count. */
export function meets(a: FieldSet, b: FieldSet): boolean {
  return namesIn(a).some((name) => {
    const [left, right] = [a[name], b[name]];
    if (!isRecord(left) || !isRecord(right)) return false;
    const isWhole = [left, right].some((set) => Object.keys(set).length === 0);
    return isWhole || meets(left, right);
  });
}

/** Everything that one of both sets holds; neither is empty, or it would mean the whole. */
export function unite(a: FieldSet, b: FieldSet): FieldSet {
  const names = [...new Set([...namesIn(a), ...namesIn(b)])];
  const parts = names.map((name) => {
    const [left, right] = [a[name], b[name]];
    return [name, isRecord(left) && isRecord(right) ? unite(left, right) : (left ?? right)];
  });
  const isHeld = names.length > 0 && (isMember(a) || isMember(b));
  return Object.fromEntries([...(isHeld ? [['.', {}]] : []), ...parts]);
}

/**
 * What is left of `value` when a manager gives up everything in `set`: what one of `kept` holds stays, with its parents.
 * As the server does it: `prune` in merge/update.go of sigs.k8s.io/structured-merge-diff.
 */
export function remainder(value: unknown, set: FieldSet, kept: readonly FieldSet[]): unknown {
  if (kept.some((other) => Object.keys(other).length === 0)) return value;
  const gone = new Set<Step>();
  const left = new Map<Step, unknown>();
  for (const name of namesIn(set)) {
    const step = name.startsWith('f:')
      ? name.slice(2)
      : Array.isArray(value)
        ? value.findIndex((item, index) => matches(name, item, index))
        : -1;
    const part = below(value, step);
    const own = set[name];
    if (part === undefined || !isRecord(own)) continue;
    const others = kept.map((other) => other[name]).filter(isRecord);
    // A struct goes with the last of its fields, an item of a list only by itself.
    if (others.length === 0 && (name.startsWith('f:') || isMember(own))) gone.add(step);
    else left.set(step, remainder(part, own, others));
  }
  if (Array.isArray(value))
    return value.flatMap((item, index) =>
      gone.has(index) ? [] : [left.has(index) ? left.get(index) : item],
    );
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([field, part]) =>
      gone.has(field) ? [] : [[field, left.has(field) ? left.get(field) : part]],
    ),
  );
}

function labelOf(name: string): string {
  const meant = name.slice(2);
  if (name.startsWith('f:')) return /^[\w-]+$/.test(meant) ? `.${meant}` : `.${JSON.stringify(meant)}`;
  const parsed: unknown = JSON.parse(meant);
  return `[${isRecord(parsed) ? Object.values(parsed).join(',') : String(parsed)}]`;
}

/** The fields that a set holds, for people: `spec.template.spec.containers[backend].image`. */
export function pathsOf(set: unknown, path = ''): string[] {
  if (!isRecord(set)) return [];
  const names = Object.keys(set).filter((name) => !isItself(name));
  if (names.length === 0) return path === '' ? [] : [path];
  return names.flatMap((name) => pathsOf(set[name], `${path}${labelOf(name)}`.replace(/^\./, '')));
}

/** `a, b, c and 4 more`. */
export function listPaths(paths: readonly string[]): string {
  const shown = paths.slice(0, 3).join(', ');
  return paths.length > 3 ? `${shown} and ${paths.length - 3} more` : shown;
}
