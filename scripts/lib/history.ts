import { createHash } from 'node:crypto';
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { type ErrorCode, type Problem, StrataError } from './errors.ts';
import { applyEntry, type Inventory, inventoryManager } from './inventory.ts';
import {
  at,
  generatedNameOf,
  isRecord,
  type KubeObject,
  type Reference,
  referenceOf,
  stringsAt,
  titleOf,
} from './manifest.ts';
import { dataKeysOf, mentionKey } from './references.ts';
import { type Manifest, splitManifests } from './render.ts';
import { imagesOf } from './verify.ts';

/** `applying` is under way, or was ended so hard that it could not say so. */
const results = ['applying', 'healthy', 'failed', 'interrupted'] as const;
export type Result = (typeof results)[number];

/** One deployment, as the annotation of its ConfigMap tells it. Changes of this form only ever add fields. */
export interface Entry {
  /** From 1, never given twice while the overlay is deployed. */
  number: number;
  /** RFC 3339. */
  startedAt: string;
  endedAt?: string;
  result: Result;
  /** Why it failed. */
  code?: ErrorCode;
  /** As the cluster knows the user. */
  who: string;
  /** Of the tree, when git knows it. */
  commit?: string;
  isDirty?: boolean;
  images: string[];
  /** Of strata. */
  version: string;
  /** SHA-256 of the manifests as they are kept. */
  digest: string;
  /** The earlier deployment that this one went back to. */
  rollbackTo?: number;
  /** Names of the generated Secrets, whose values the entry does not hold. */
  secrets: string[];
  /** Why the manifests are not kept. */
  omitted?: string;
}

/** An entry in the cluster. */
export interface KeptEntry extends Entry {
  uid: string;
}

const historyLabel = 'strata.dev/history';
const entryAnnotation = 'strata.dev/deployment';
const contentKey = 'manifests.yaml.br';

/** Bytes after compression; base64 makes them a third longer, and a ConfigMap takes 1 MiB at most. */
const contentLimit = 512 * 1024;
/** Bytes after decompression. */
const textLimit = 64 * 1024 * 1024;
/** Bytes of the facts; all annotations of an object together may have 256 KiB. */
const factsLimit = 128 * 1024;

/** This many entries stay, whatever became of them. */
const keptEntries = 10;
/** This many healthy ones stay usable: the newest and three ways back. Their Secrets are kept for them. */
const usableEntries = 4;
const namedImages = 50;

/** A dot, for the name of an inventory (`strata-<overlay>`) cannot have one there. */
export const entryName = (inventory: Inventory, number: number): string =>
  `strata.${inventory.overlay}.${number}`;

export const historySelector = (inventory: Inventory): string => `${historyLabel}=${inventory.id}`;

const isSecret = (object: KubeObject): boolean => object.kind === 'Secret' && object.apiVersion === 'v1';

const isGeneratedSecret = (object: KubeObject): boolean =>
  isSecret(object) && generatedNameOf(referenceOf(object)) !== undefined;

/** The keys stay, each without its value. */
function withoutValues(object: KubeObject): KubeObject {
  const { stringData: _, ...rest } = object;
  const data = Object.fromEntries([...dataKeysOf(object)].sort().map((key) => [key, '']));
  return { ...rest, data } as KubeObject;
}

const storedPart = ({ object, text }: Manifest): string =>
  isSecret(object) ? `${JSON.stringify(withoutValues(object))}\n` : text.endsWith('\n') ? text : `${text}\n`;

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');

interface Content {
  digest: string;
  images: string[];
  secrets: string[];
  /** undefined when the manifests are not kept. */
  compressed: Buffer | undefined;
  omitted: string | undefined;
}

/**
 * What is kept of the manifests: the very text, without the values of Secrets. `holdsSecret` tells whether a text
 * has such a value in it all the same; then nothing of it is kept.
 */
export function contentOf(manifests: readonly Manifest[], holdsSecret: (text: string) => boolean): Content {
  const objects = manifests.map(({ object }) => object);
  const parts = manifests.map(storedPart);
  const text = parts.join('---\n');
  const facts = {
    digest: digestOf(text),
    images: [...new Set(objects.flatMap(imagesOf))].sort().slice(0, namedImages),
    secrets: objects.filter(isGeneratedSecret).map(({ metadata }) => metadata.name),
  };
  const without = (omitted: string): Content => ({ ...facts, secrets: [], compressed: undefined, omitted });
  const leak = objects[parts.findIndex(holdsSecret)];
  if (leak !== undefined) return without(`${titleOf(referenceOf(leak))} holds the value of a secret`);
  if (JSON.stringify(facts).length > factsLimit) return without('there are too many Secrets');
  // Quality 5 takes a tenth of the time of 11 and gives a fifth more bytes.
  const compressed = brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } });
  const size = (bytes: number): string => `${Math.ceil(bytes / 1024)} KiB`;
  if (compressed.length > contentLimit)
    return without(
      `the manifests are too large: ${size(compressed.length)} compressed, ${size(contentLimit)} is the limit`,
    );
  return { ...facts, compressed, omitted: undefined };
}

export const annotationsOf = (entry: Entry): Record<string, string> => ({
  [entryAnnotation]: JSON.stringify(entry),
});

/** The ConfigMap of an entry. */
export function entryObject(inventory: Inventory, entry: Entry, compressed: Buffer | undefined): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: entryName(inventory, entry.number),
      namespace: inventory.namespace,
      labels: { [historyLabel]: inventory.id },
      annotations: annotationsOf(entry),
    },
    ...(compressed ? { binaryData: { [contentKey]: compressed.toString('base64') } } : {}),
  };
}

/** The entry in a ConfigMap or in its metadata alone; undefined for one that strata did not write. */
export function readEntry(inventory: Inventory, object: KubeObject): KeptEntry | undefined {
  const { name, uid, labels = {}, annotations = {}, managedFields = [] } = object.metadata;
  const isOurs = managedFields.some(({ manager }) => manager === inventoryManager);
  if (!isOurs || labels[historyLabel] !== inventory.id || uid === undefined) return undefined;
  try {
    const entry: unknown = JSON.parse(annotations[entryAnnotation] ?? '');
    return isEntry(entry) && name === entryName(inventory, entry.number) ? { ...entry, uid } : undefined;
  } catch {
    return undefined;
  }
}

function isEntry(value: unknown): value is Entry {
  if (!isRecord(value)) return false;
  const areTexts = (list: unknown): boolean =>
    Array.isArray(list) && list.every((text) => typeof text === 'string');
  return (
    Number.isInteger(value.number) &&
    (results as readonly unknown[]).includes(value.result) &&
    ['startedAt', 'who', 'version', 'digest'].every((field) => typeof value[field] === 'string') &&
    areTexts(value.images) &&
    areTexts(value.secrets)
  );
}

const usable = (entries: readonly KeptEntry[]): KeptEntry[] =>
  entries.filter(({ result }) => result === 'healthy').slice(-usableEntries);

/** What may go, oldest first; the ways back stay however much has failed since. */
export function expendable(entries: readonly KeptEntry[]): KeptEntry[] {
  const kept = new Set([...entries.slice(-keptEntries), ...usable(entries)]);
  return entries.filter((entry) => !kept.has(entry));
}

const historyGroup = 'strata.dev';

export const isOfHistory = ({ group }: Reference): boolean => group === historyGroup;

/** The entries that keep a Secret from being pruned; by `mentionKey`, newest first. */
export function usersInHistory(namespace: string, entries: readonly KeptEntry[]): Map<string, Reference[]> {
  const users = new Map<string, Reference[]>();
  for (const { number, secrets } of usable(entries).reverse()) {
    for (const name of secrets) {
      const key = mentionKey({ kind: 'Secret', namespace, name });
      const user = { group: historyGroup, kind: 'Deployment', namespace, name: String(number) };
      users.set(key, [...(users.get(key) ?? []), user]);
    }
  }
  return users;
}

const impossible = (message: string, overlay: string, problems: Problem[] = []): StrataError =>
  new StrataError('ROLLBACK_IMPOSSIBLE', message, {
    problems,
    hint: `npm run history -- ${overlay}`,
  });

/**
 * The entry to go back to: number `to`, else the last healthy one that is not what was deployed last.
 * @throws StrataError ROLLBACK_IMPOSSIBLE when there is none
 */
export function wayBack(overlay: string, entries: readonly KeptEntry[], to?: number): KeptEntry {
  const current = entries.at(-1);
  if (current === undefined) {
    throw new StrataError('ROLLBACK_IMPOSSIBLE', `there is no history of overlay ${overlay}`, {
      hint: `npm run up -- ${overlay}`,
    });
  }
  const isBefore = ({ result, digest }: KeptEntry): boolean =>
    result === 'healthy' && digest !== current.digest;
  const found =
    to === undefined ? entries.filter(isBefore).at(-1) : entries.find(({ number }) => number === to);
  if (found !== undefined) return found;
  throw impossible(
    to === undefined
      ? `there is nothing to go back to: no earlier deployment than ${current.number} was another one and healthy`
      : `deployment ${to} is not in the history, which has ${entries.map(({ number }) => number).join(', ')}`,
    overlay,
  );
}

/**
 * Where to go back to after a failure, or why there is no such place. An up that changed nothing has no entry of its
 * own, nor has one that may not write them.
 */
export function retreat(entries: readonly KeptEntry[], isChanged: boolean): KeptEntry | string {
  const last = entries.filter(({ result }) => result === 'healthy').at(-1);
  const newest = entries.at(-1);
  if (last === undefined || newest === undefined) return 'nothing was healthy before';
  const isRecorded = newest.result !== 'healthy' || !isChanged;
  return isRecorded && last.digest === newest.digest
    ? `deployment ${last.number}, the last healthy one, is the same as this one`
    : last;
}

/**
 * What the ConfigMap of an entry keeps; Secrets have keys without values.
 * @throws StrataError ROLLBACK_IMPOSSIBLE
 */
export function storedManifests(overlay: string, entry: Entry, object: KubeObject | undefined): Manifest[] {
  if (entry.omitted !== undefined)
    throw impossible(`the manifests of deployment ${entry.number} were not kept: ${entry.omitted}`, overlay);
  const encoded = stringsAt(object, 'binaryData')[contentKey] ?? '';
  try {
    const text = brotliDecompressSync(Buffer.from(encoded, 'base64'), {
      maxOutputLength: textLimit,
    }).toString('utf8');
    if (digestOf(text) === entry.digest) return splitManifests(text);
  } catch {
    // told below
  }
  throw impossible(`the manifests of deployment ${entry.number} are damaged`, overlay);
}

/** Names of the Secrets among these manifests. */
export const secretsIn = (manifests: readonly Manifest[]): string[] =>
  manifests.flatMap(({ object }) => (isSecret(object) ? [object.metadata.name] : []));

/**
 * Gives the Secrets their values back, from the live ones. One without a hash in its name keeps what it has now.
 * @param live by name
 * @throws StrataError ROLLBACK_IMPOSSIBLE with every Secret that is gone or was changed
 */
export function withValues(
  overlay: string,
  entry: Entry,
  manifests: readonly Manifest[],
  live: ReadonlyMap<string, KubeObject>,
): Manifest[] {
  const problems: Problem[] = [];
  const filled = manifests.map((manifest) => {
    if (!isSecret(manifest.object)) return manifest;
    const found = live.get(manifest.object.metadata.name);
    const message = lossOf(manifest.object, found);
    const subject = titleOf(referenceOf(manifest.object));
    if (message !== undefined) problems.push({ severity: 'error', subject, message });
    const values = stringsAt(found, 'data');
    const keys = Object.keys(stringsAt(manifest.object, 'data'));
    const object = {
      ...manifest.object,
      data: Object.fromEntries(keys.map((key) => [key, values[key] ?? ''])),
    };
    return { object, text: JSON.stringify(object) };
  });
  if (problems.length === 0) return filled;
  throw impossible(
    `the Secrets of deployment ${entry.number} are not there any more as they were`,
    overlay,
    problems,
  );
}

/** Why the values of a stored Secret cannot be had. */
function lossOf(stored: KubeObject, live: KubeObject | undefined): string | undefined {
  if (live === undefined) return 'is gone';
  const keys = Object.keys(stringsAt(stored, 'data'));
  const values = stringsAt(live, 'data');
  const missing = keys.filter((key) => values[key] === undefined);
  if (missing.length > 0) return `has lost ${missing.join(', ')}`;
  if (!isGeneratedSecret(stored)) return undefined;
  // Whoever changes a value takes its field over.
  const changed = keys.filter((key) => at(applyEntry(live), 'fieldsV1', 'f:data', `f:${key}`) === undefined);
  return changed.length > 0 ? `was changed since by somebody else: ${changed.join(', ')}` : undefined;
}

/** Number, when, who, commit, images and result, for a table. */
export function rowOf(entry: Entry): string[] {
  const { number, startedAt, who, commit, isDirty, rollbackTo, images, result, code, omitted } = entry;
  const source = commit === undefined ? '-' : `${commit.slice(0, 12)}${isDirty ? '+' : ''}`;
  return [
    String(number),
    startedAt.replace(/\.\d+Z$/, 'Z'),
    who,
    rollbackTo === undefined ? source : `back to ${rollbackTo}`,
    `${result}${code === undefined || result !== 'failed' ? '' : ` (${code})`}`,
    [...images, ...(omitted === undefined ? [] : [`(no way back: ${omitted})`])].join('  '),
  ];
}
