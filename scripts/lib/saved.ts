import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Binding, bindingOf, keysOf, movesSince } from './binding.ts';
import type { Found, Planned } from './cluster.ts';
import { type Arguments, flagWords, isSet, overlayOf, textOf, textsOf } from './command.ts';
import { sha256 } from './digest.ts';
import { messageOf, type Problem, StrataError, systemCode } from './errors.ts';
import { typedPath, unwritable, writePrivate } from './files.ts';
import { type Identity, readIdentity } from './identity.ts';
import { isRecord, stableJson } from './manifest.ts';
import type { Session } from './session.ts';
import { shellWord } from './shell.ts';
import { readVersion } from './version.ts';

const schema = 'strata.dev/saved-plan/v1';

const lists = ['image', 'env-file'] as const;
const switches = ['from-process', 'force-conflicts', 'adopt', 'sandbox'] as const;

/** A plan in a file: what it is bound to, and how to make the same manifests again. */
export interface SavedPlan extends Binding {
  schema: typeof schema;
  /** Version that made it. */
  strata: string;
  /** RFC 3339. */
  createdAt: string;
  overlay: string;
  context: string;
  flags: Record<(typeof lists)[number], string[]> & Record<(typeof switches)[number], boolean>;
  /** SHA-256 of the rest: tells a file that was cut off or edited. It does not say who wrote the file. */
  checksum: string;
}

const checksumOf = ({ checksum: _, ...rest }: SavedPlan): string => sha256(stableJson(rest));

/** Of the sandbox too, which is not recorded. */
const identityOf = async ({
  connection,
  recognized,
}: Pick<Found, 'connection' | 'recognized'>): Promise<Identity> =>
  recognized.identity ?? (await readIdentity(connection));

/** Writes the plan for `up --plan`. @throws StrataError FILE_UNWRITABLE */
export async function savePlan(
  session: Session,
  args: Arguments,
  planned: Planned,
  file: string,
): Promise<void> {
  const { rendered, plan, place, context } = planned;
  const salt = randomBytes(16).toString('base64url');
  const [cluster, keys] = await Promise.all([identityOf(planned), keysOf(rendered.text, salt)]);
  const { namespace } = place;
  const { scrubber } = session;
  const saved: SavedPlan = {
    schema,
    strata: readVersion(session),
    createdAt: new Date().toISOString(),
    overlay: overlayOf(args),
    context: context.name,
    flags: {
      image: textsOf(args, 'image'),
      'env-file': textsOf(args, 'env-file'),
      'from-process': isSet(args, 'from-process'),
      'force-conflicts': isSet(args, 'force-conflicts'),
      adopt: isSet(args, 'adopt'),
      sandbox: isSet(args, 'sandbox'),
    },
    ...bindingOf({ cluster, namespace, plan, rendered, scrubber }, salt, keys),
    checksum: '',
  };
  // Through JSON, which drops what is undefined.
  const plain = JSON.parse(JSON.stringify(saved)) as SavedPlan;
  const text = `${JSON.stringify({ ...plain, checksum: checksumOf(plain) }, null, 2)}\n`;
  try {
    writePrivate(typedPath(session.environment, file), text);
  } catch (error) {
    throw systemCode(error) === undefined ? error : unwritable(file, error);
  }
}

type Shape = 'text' | 'switch' | 'texts' | ((value: unknown) => boolean);

const isTexts = (value: unknown): boolean =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

function has(shapes: Record<string, Shape>): (value: unknown) => boolean {
  const fits = (shape: Shape, value: unknown): boolean => {
    if (typeof shape === 'function') return shape(value);
    if (shape === 'texts') return isTexts(value);
    return typeof value === (shape === 'text' ? 'string' : 'boolean');
  };
  return (value) =>
    isRecord(value) && Object.entries(shapes).every(([name, shape]) => fits(shape, value[name]));
}

const each =
  (shape: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    Array.isArray(value) && value.every(shape);

const unless =
  (shape: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    value === undefined || shape(value);

const isText = (value: unknown): boolean => typeof value === 'string';

const isSavedPlan = has({
  overlay: 'text',
  context: 'text',
  namespace: 'text',
  inventoryMissing: 'switch',
  cluster: has({ uid: unless(isText), ca: 'texts', server: 'text' }),
  flags: has({
    image: 'texts',
    'env-file': 'texts',
    'from-process': 'switch',
    'force-conflicts': 'switch',
    adopt: 'switch',
    sandbox: 'switch',
  }),
  rendered: has({
    salt: 'text',
    digest: 'text',
    manifests: (value) => isRecord(value) && Object.values(value).every(isText),
  }),
  targets: each(
    has({
      action: (value) =>
        ['create', 'change', 'replace', 'unchanged', 'prune', 'keep'].includes(String(value)),
      group: 'text',
      kind: 'text',
      namespace: 'text',
      name: 'text',
      outcome: unless(isText),
      expected: unless(
        has({
          uid: 'text',
          digest: 'text',
          writers: each(has({ manager: 'text', operation: 'text', time: 'text' })),
        }),
      ),
    }),
  ),
});

/**
 * The plan in a text that `diff --save` wrote with this version.
 * @throws StrataError PLAN_INVALID for any other text, also one that was edited or cut off
 */
export function parsePlan(text: string, file: string, version: string): SavedPlan {
  const invalid = (why: string): StrataError =>
    new StrataError('PLAN_INVALID', `${file} ${why}`, {
      hint: `npm run diff -- --save ${shellWord(file)}`,
    });
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw invalid('is no JSON: it was cut off, or is no plan');
  }
  const found = isRecord(content) ? content : {};
  if (typeof found.schema !== 'string' || !found.schema.startsWith('strata.dev/'))
    throw invalid('is no plan');
  if (found.schema.startsWith('strata.dev/plan/'))
    throw invalid('was written by --output json, which is for reading: --save writes what can be applied');
  if (found.schema !== schema) throw invalid(`has the schema ${found.schema}; this version reads ${schema}`);
  if (found.strata !== version) throw invalid(`was made by strata ${found.strata}, this is ${version}`);
  if (!isSavedPlan(found)) throw invalid('is damaged: fields are missing or of another type');
  const saved = found as unknown as SavedPlan;
  if (saved.checksum !== checksumOf(saved))
    throw invalid('was edited or damaged: its checksum is another one');
  return saved;
}

/** @throws StrataError FILE_UNREADABLE, PLAN_INVALID */
export function readPlan(session: Session, file: string): SavedPlan {
  let text: string;
  try {
    text = readFileSync(typedPath(session.environment, file), 'utf8');
  } catch (error) {
    throw new StrataError(
      'FILE_UNREADABLE',
      `${file} cannot be read: ${systemCode(error) ?? messageOf(error)}`,
      { hint: `npm run diff -- --save ${shellWord(file)}` },
    );
  }
  return parsePlan(text, file, readVersion(session));
}

/** The flags that the plan was made with. */
function flagsOf(saved: SavedPlan): Arguments['flags'] {
  const flags: Arguments['flags'] = saved.flags.sandbox ? {} : { context: saved.context };
  for (const name of lists) if (saved.flags[name].length > 0) flags[name] = saved.flags[name];
  for (const name of switches) if (saved.flags[name]) flags[name] = true;
  return flags;
}

/**
 * The arguments that the plan was made with.
 * @throws StrataError USAGE with all those that would make another plan
 */
export function argumentsOfPlan(args: Arguments, saved: SavedPlan, file: string): Arguments {
  const [overlay] = args.positionals;
  const context = textOf(args, 'context');
  const isOther = (name: (typeof lists)[number] | (typeof switches)[number]): boolean =>
    args.flags[name] !== undefined && stableJson(args.flags[name]) !== stableJson(saved.flags[name]);
  const others = [...lists, ...switches].filter(isOther).map((name) => `--${name}`);
  if (context !== undefined && context !== saved.context) others.push(`--context ${context}`);
  if (overlay !== undefined && overlay !== saved.overlay) others.push(`overlay ${overlay}`);
  if (others.length > 0) {
    throw new StrataError(
      'USAGE',
      `${file} is a plan for overlay ${saved.overlay} in context ${saved.context}; ${others.join(', ')} would make another one`,
      { hint: `npm run up -- --plan ${shellWord(file)}` },
    );
  }
  return { positionals: [saved.overlay], flags: { ...args.flags, ...flagsOf(saved) } };
}

/** Overlay and flags that make the same plan, to type again. */
const wordsOf = (saved: SavedPlan): string =>
  [saved.overlay, ...flagWords({ positionals: [], flags: flagsOf(saved) })].join(' ');

/**
 * Compares everything that the plan is bound to with what is there now.
 * @throws StrataError PLAN_STALE with all differences
 */
export async function requireSame(
  session: Session,
  found: Found,
  saved: SavedPlan,
  file: string,
): Promise<void> {
  const { namespace, plan, rendered, isRefused } = found;
  const [cluster, keys] = await Promise.all([identityOf(found), keysOf(rendered.text, saved.rendered.salt)]);
  const ground = { cluster, namespace, plan, rendered, scrubber: session.scrubber };
  const problems: Problem[] = movesSince(saved, ground, keys, isRefused);
  if (problems.length === 0) return;
  throw new StrataError(
    'PLAN_STALE',
    `${file} of ${saved.createdAt} is not what would be applied now; nothing was changed`,
    { problems, hint: `npm run diff -- ${wordsOf(saved)} --save ${shellWord(file)}` },
  );
}
