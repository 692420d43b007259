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
