import { createHmac, scrypt, timingSafeEqual } from 'node:crypto';
import { compareData, compareFields, hasData, isSecret, withoutData } from './change.ts';
import { digestOf, type Expected, expectedOf, movementOf, sha256 } from './digest.ts';
import { type Problem, sortProblems } from './errors.ts';
import { compareIdentities, formatIdentity, type Identity } from './identity.ts';
import {
  generatedNameOf,
  isRecord,
  type KubeObject,
  keyOf,
  type Reference,
  referenceOf,
  stableJson,
  titleOf,
} from './manifest.ts';
import type { Action, Plan, PlannedObject } from './plan.ts';
import type { Rendered } from './render.ts';
import type { Scrubber } from './scrub.ts';

/** One object of a saved plan. Generated names stand without their hash, as `settings-*`: that is a fast digest. */
export interface SavedTarget extends Reference {
  action: Action;
  /** The object as it was compared; absent for a create. */
  expected?: Expected;
  /** Digest of what the server makes of it; not for a create, which gets made-up fields. */
  outcome?: string;
}

/** What a saved plan holds on to. Nothing in it tells more about a secret than its key name. */
export interface Binding {
  cluster: Identity;
  namespace: string;
  inventoryMissing: boolean;
  rendered: {
    /** Of scrypt, in base64url. */
    salt: string;
    /** scrypt over all rendered bytes. */
    digest: string;
    /** SHA-256 of each manifest without what comes from secrets, to say which one differs. */
    manifests: Record<string, string>;
  };
  targets: SavedTarget[];
}

/** What a binding is made from, and compared with. */
export interface Ground {
  cluster: Identity;
  namespace: string;
  plan: Plan;
  rendered: Rendered;
  scrubber: Scrubber;
}

/** What only the rendered bytes give. */
interface Keys {
  digest: string;
  /** For all digests of objects: they name hashes of Secrets, and whoever guesses has to pay scrypt each time. */
  key: Buffer;
}

/** Slow on purpose: https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#scrypt */
const cost = { N: 2 ** 17, r: 8, p: 1, maxmem: 2 ** 28 };

export function keysOf(text: string, salt: string): Promise<Keys> {
  return new Promise((resolve, reject) => {
    scrypt(text, salt, 64, cost, (error, bytes) => {
      if (error) reject(error);
      else resolve({ digest: bytes.subarray(0, 32).toString('base64url'), key: bytes.subarray(32) });
    });
  });
}

const keyed = (key: Buffer, text: string): string =>
  createHmac('sha256', key).update(text).digest('base64url');

function shownName(reference: Reference, scrubber: Scrubber): string {
  const base = generatedNameOf(reference);
  return scrubber.scrub(base === undefined ? reference.name : `${base}-*`);
}

const isRendered = (action: Action): boolean => action !== 'prune' && action !== 'keep';

/** Ports and addresses of a Service that each dry run makes up anew. */
const madeUp = ['nodePort', 'healthCheckNodePort', 'clusterIP', 'clusterIPs'];

const withoutMadeUp = (object: KubeObject | undefined): KubeObject | undefined =>
  object?.kind === 'Service'
    ? (JSON.parse(
        JSON.stringify(object, (key, value) => (madeUp.includes(key) ? undefined : value)),
      ) as KubeObject)
    : object;

/** What the server makes of one object, as far as it is not made up. */
const outcomeOf = ({ before, after }: PlannedObject): string =>
  stableJson({
    fields: compareFields(withoutMadeUp(before), withoutMadeUp(after)),
    keys: after && hasData(after) ? compareData(before, after) : [],
  });

function manifestDigests({ manifests }: Rendered, scrubber: Scrubber): Record<string, string> {
  const names = manifests.flatMap(({ object }): [string, string][] => {
    const reference = referenceOf(object);
    return generatedNameOf(reference) ? [[reference.name, shownName(reference, scrubber)]] : [];
  });
  const plain = (text: string): string =>
    scrubber.scrub(names.reduce((current, [name, shown]) => current.replaceAll(name, shown), text));
  const keysIn = (object: KubeObject): string[] =>
    [object.data, object.stringData].flatMap((data) => (isRecord(data) ? Object.keys(data) : [])).sort();
  const digests: Record<string, string> = {};
  for (const { object, text } of manifests) {
    const told = isSecret(object)
      ? stableJson({ ...withoutData(object), data: undefined, keys: keysIn(object) })
      : text;
    const reference = referenceOf(object);
    const name = keyOf({ ...reference, name: shownName(reference, scrubber) });
    digests[name] = sha256(`${digests[name] ?? ''}${plain(told)}`);
  }
  return digests;
}

/** Pure, but for the time it takes to derive `keys`. */
export function bindingOf(ground: Ground, salt: string, { digest, key }: Keys): Binding {
  const { cluster, namespace, plan, rendered, scrubber } = ground;
  return {
    cluster,
    namespace,
    inventoryMissing: plan.inventoryIsMissing,
    rendered: { salt, digest, manifests: manifestDigests(rendered, scrubber) },
    targets: plan.objects.map((planned): SavedTarget => {
      const { action, reference, live } = planned;
      const expected = live && expectedOf(live);
      return {
        action,
        ...reference,
        name: shownName(reference, scrubber),
        ...(expected ? { expected: { ...expected, digest: keyed(key, expected.digest) } } : {}),
        ...(action === 'change' || action === 'replace' ? { outcome: keyed(key, outcomeOf(planned)) } : {}),
      };
    }),
  };
}

const problem = (subject: string, message: string): Problem => ({ severity: 'error', subject, message });

function clusterProblems(then: Identity, now: Identity): Problem[] {
  const verdict = compareIdentities(then, now);
  if (verdict === 'unknown')
    return [problem('cluster', `cannot be shown to be the one of the plan: ${formatIdentity(now)}`)];
  return verdict === 'another cluster'
    ? [problem('cluster', `was ${formatIdentity(then)}; is ${formatIdentity(now)}`)]
    : [];
}

const isSameText = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

/** `Kind/name` of a key that `keyOf` made. */
const titleOfKey = (key: string): string => key.replace(/^([^./]+)[^/]*\/[^/]*\//, '$1/');

function renderProblems(then: Binding['rendered'], { rendered, scrubber }: Ground): Problem[] {
  const fresh = manifestDigests(rendered, scrubber);
  const problems = [...new Set([...Object.keys(then.manifests), ...Object.keys(fresh)])].flatMap(
    (key): Problem[] => {
      const [old, is] = [then.manifests[key], fresh[key]];
      if (old === is) return [];
      if (old === undefined) return [problem(titleOfKey(key), 'is rendered now, and was not')];
      if (is === undefined) return [problem(titleOfKey(key), 'is not rendered any more')];
      return [
        problem(
          titleOfKey(key),
          'renders differently: the tree, a value, an image or kubectl is another one',
        ),
      ];
    },
  );
  return problems.length > 0
    ? problems
    : [problem('rendered bytes', 'differ, in the value of a secret or in their order')];
}

/** The same object in the plan then and now. Rendered ones come in the order of the same bytes. */
function idsOf<T extends { action: Action; uid: string | undefined }>(
  targets: readonly T[],
  keyFor: (target: T) => string,
): Map<string, T> {
  const byId = new Map<string, T>();
  for (const target of targets) {
    const key = `${isRendered(target.action) ? 'rendered' : 'surplus'} ${keyFor(target)}`;
    let id = key.endsWith('-*') && !isRendered(target.action) ? `${key} ${target.uid}` : key;
    while (byId.has(id)) id += ' again';
    byId.set(id, target);
  }
  return byId;
}

const writersOf = (expected: Expected): string => stableJson(expected.writers);

/** It was deleted, or is about to be gone, to be created anew: an interrupted run of the same plan ended there. */
const isReplacing = (expected: Expected | undefined, { action, uid, live }: PlannedObject): boolean =>
  action === 'create' ||
  (action === 'replace' && uid === expected?.uid && live?.metadata.deletionTimestamp !== undefined);

/** Why one object cannot be treated as the plan says; undefined when it can, or when that was done already. */
function objectionTo(
  saved: SavedTarget | undefined,
  now: PlannedObject | undefined,
  key: Buffer | undefined,
  isRefused: boolean,
): string | undefined {
  // What is gone and was to go, or is not rendered any more: that is told elsewhere.
  if (now === undefined || (saved === undefined && now.action !== 'prune')) return undefined;
  if (saved === undefined) return 'would be pruned now, and that is not in the plan';
  const [then, is] = [saved.action, now.action];
  // It may have become unused meanwhile, which is for the next plan.
  if (then === 'keep') return undefined;
  const { expected } = saved;
  // An interrupted run of the same plan has come this far.
  if (is === 'unchanged' && (then !== 'unchanged' || expected?.uid === now.uid)) return undefined;
  if (then === 'replace' && isReplacing(expected, now)) return undefined;
  const movement = movementOf(expected, now.live, (object) => {
    if (key) return keyed(key, digestOf(object));
    // Without the bytes of then there is no key: the bookkeeping of the server still tells who wrote.
    return expected && writersOf(expectedOf(object)) === writersOf(expected) ? expected.digest : '';
  });
  if (movement !== undefined) return movement;
  if (key === undefined) return undefined;
  if (then !== is) return `was to be: ${then}; is now: ${is}${now.stays ? `, ${now.stays}` : ''}`;
  if (isRefused || saved.outcome === undefined || saved.outcome === keyed(key, outcomeOf(now)))
    return undefined;
  return 'the server makes something else of it now: a webhook, a default or its version changed';
}

/**
 * Everything that is not as it was. `isRefused` when the server has objections of its own, which are told later:
 * then what it would make of the objects is not known.
 */
export function movesSince(saved: Binding, ground: Ground, keys: Keys, isRefused: boolean): Problem[] {
  const { plan, scrubber } = ground;
  const isSameRender = isSameText(saved.rendered.digest, keys.digest);
  const problems = clusterProblems(saved.cluster, ground.cluster);
  if (saved.namespace !== ground.namespace)
    problems.push(problem('namespace', `was ${saved.namespace}, is ${ground.namespace}`));
  if (plan.inventoryIsMissing && !saved.inventoryMissing)
    problems.push(problem('inventory', 'is missing, and was not'));
  if (!isSameRender) problems.push(...renderProblems(saved.rendered, ground));

  const then = idsOf(
    saved.targets.map((target) => ({ ...target, uid: target.expected?.uid })),
    keyOf,
  );
  const now = idsOf(plan.objects, ({ reference }) =>
    keyOf({ ...reference, name: shownName(reference, scrubber) }),
  );
  // Another render gives generated objects other names: the old ones are no longer rendered, but still the same.
  const byUid = new Map(isSameRender ? [] : plan.objects.map((planned) => [planned.uid, planned]));
  const isKnown = ({ uid }: PlannedObject): boolean =>
    !isSameRender && saved.targets.some(({ expected }) => uid !== undefined && expected?.uid === uid);
  for (const id of new Set([...then.keys(), ...now.keys()])) {
    const target = then.get(id);
    const planned = (target?.uid && byUid.get(target.uid)) || now.get(id);
    if (target === undefined && isKnown(planned!)) continue;
    const objection = objectionTo(target, planned, isSameRender ? keys.key : undefined, isRefused);
    if (objection !== undefined) problems.push(problem(titleOf(target ?? planned!.reference), objection));
  }
  return sortProblems(problems);
}

/** What the plan has to prune; nothing else goes, whatever has become unused. */
export function prunedBy(saved: Binding): (object: KubeObject) => boolean {
  const uids = new Set(
    saved.targets.flatMap(({ action, expected }) => (action === 'prune' ? [expected?.uid] : [])),
  );
  return ({ metadata }) => uids.has(metadata.uid);
}
