import type { Author } from './change.ts';
import { entriesOf } from './digest.ts';
import { holds, type Step } from './fields.ts';
import { fieldManager, inventoryManager } from './inventory.ts';
import type { KubeObject } from './manifest.ts';

/**
 * Who wrote a field that strata applied once and no longer holds: the server takes it from an applier as soon as
 * somebody else gives it another value
 * (https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts). Undefined for what is as strata
 * wrote it, and for what is not there: a field that somebody removed looks like one that the manifest has got since.
 */
export function authorOf(live: KubeObject, steps: readonly Step[]): Author | undefined {
  const holders = entriesOf(live).filter(({ fieldsV1 }) => holds(fieldsV1, live, steps));
  if (holders.some(({ manager }) => manager === fieldManager || manager === inventoryManager))
    return undefined;
  const [latest] = holders.sort((a, b) => ((a.time ?? '') < (b.time ?? '') ? 1 : -1));
  if (latest === undefined) return undefined;
  return { manager: latest.manager ?? 'an unnamed manager', ...(latest.time ? { time: latest.time } : {}) };
}
