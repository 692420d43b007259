import { createTwoFilesPatch } from 'diff';
import type { Step } from './fields.ts';
import { isRecord, type KubeObject, stringsAt } from './manifest.ts';
import { formatYaml } from './yaml.ts';

/** A field manager that is not strata. */
export interface Author {
  manager: string;
  /** RFC 3339; the server notes none for who scales. */
  time?: string;
}

/** Who wrote what is there now; undefined when that was strata. */
type FindAuthor = (steps: readonly Step[]) => Author | undefined;

/** One field that differs. `before` or `after` is missing when the field is. */
export interface FieldChange {
  path: string;
  before?: unknown;
  after?: unknown;
  /** Somebody else has changed it since strata applied it; what has no author is a change of ours. */
  changedBy?: Author;
}

/** One data key of a ConfigMap or Secret that differs; values are absent for Secrets. */
export interface KeyChange {
  key: string;
  change: 'added' | 'removed' | 'changed';
  /** Characters. */
  lengthBefore?: number;
  lengthAfter?: number;
  before?: string;
  after?: string;
  changedBy?: Author;
}

export const isSecret = (object: KubeObject): boolean =>
  object.kind === 'Secret' && object.apiVersion === 'v1';
const isConfigMap = (object: KubeObject): boolean =>
  object.kind === 'ConfigMap' && object.apiVersion === 'v1';
export const hasData = (object: KubeObject): boolean => isSecret(object) || isConfigMap(object);

const lengthOf = (object: KubeObject, value: string): number =>
  isSecret(object) ? Buffer.from(value, 'base64').toString('utf8').length : value.length;

/** By data key; what a Secret holds is told by its length alone. */
export function compareData(
  before: KubeObject | undefined,
  after: KubeObject | undefined,
  findAuthor: FindAuthor = () => undefined,
): KeyChange[] {
  const object = after ?? before;
  if (object === undefined) return [];
  const old = stringsAt(before, 'data');
  const fresh = stringsAt(after, 'data');
  return [...new Set([...Object.keys(old), ...Object.keys(fresh)])].sort().flatMap((key): KeyChange[] => {
    const [was, is] = [old[key], fresh[key]];
    if (was === is) return [];
    const change = was === undefined ? 'added' : is === undefined ? 'removed' : 'changed';
    const changedBy = was === undefined ? undefined : findAuthor(['data', key]);
    return [
      {
        key,
        change,
        ...(changedBy ? { changedBy } : {}),
        ...(was === undefined
          ? {}
          : { lengthBefore: lengthOf(object, was), ...(isSecret(object) ? {} : { before: was }) }),
        ...(is === undefined
          ? {}
          : { lengthAfter: lengthOf(object, is), ...(isSecret(object) ? {} : { after: is }) }),
      },
    ];
  });
}

/** Without what `compareData` tells: for a Secret nothing of its data may be in any text. */
export function withoutData(object: KubeObject): KubeObject {
  if (!hasData(object)) return object;
  const { data: _, stringData: __, ...rest } = object;
  return rest as KubeObject;
}

/** A unified diff without file headers; empty when nothing differs. */
export function unifiedDiff(before: KubeObject | undefined, after: KubeObject | undefined): string[] {
  const text = (object: KubeObject | undefined): string =>
    object ? formatYaml(sortFields(withoutData(object))) : '';
  const [old, fresh] = [text(before), text(after)];
  if (old === fresh) return [];
  const patch = createTwoFilesPatch('live', 'after', old, fresh, undefined, undefined, { context: 3 });
  return patch
    .split('\n')
    .slice(3)
    .filter((line) => line !== '');
}

/** The server and the manifest order fields differently. */
function sortFields(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortFields);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sortFields(value[key])]),
  );
}

/** Every leaf that differs, outside the data of a Secret. */
export function compareFields(
  before: KubeObject | undefined,
  after: KubeObject | undefined,
  findAuthor: FindAuthor = () => undefined,
): FieldChange[] {
  const changes: FieldChange[] = [];
  const walk = (path: string, steps: readonly Step[], old: unknown, fresh: unknown): void => {
    if (JSON.stringify(old) === JSON.stringify(fresh)) return;
    if (isRecord(old) && isRecord(fresh)) {
      for (const key of new Set([...Object.keys(old), ...Object.keys(fresh)])) {
        walk(
          path ? `${path}.${/^[\w-]+$/.test(key) ? key : JSON.stringify(key)}` : key,
          [...steps, key],
          old[key],
          fresh[key],
        );
      }
      return;
    }
    if (Array.isArray(old) && Array.isArray(fresh)) {
      for (let index = 0; index < Math.max(old.length, fresh.length); index++)
        walk(`${path}[${index}]`, [...steps, index], old[index], fresh[index]);
      return;
    }
    const changedBy = old === undefined ? undefined : findAuthor(steps);
    changes.push({
      path,
      ...(old === undefined ? {} : { before: old }),
      ...(fresh === undefined ? {} : { after: fresh }),
      ...(changedBy ? { changedBy } : {}),
    });
  };
  if (before && after) walk('', [], sortFields(withoutData(before)), sortFields(withoutData(after)));
  return changes;
}
