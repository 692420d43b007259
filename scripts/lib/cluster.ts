import { dryRunOfTakeover } from './adoption.ts';
import { type Arguments, isSet, textOf } from './command.ts';
import { type Connection, connect, isForbidden } from './connection.ts';
import type { Contract } from './contract.ts';
import { discover } from './discovery.ts';
import { formatProblem, type Problem, StrataError, sortProblems } from './errors.ts';
import { afterwards, type Expectation, expectCluster, type Recognized, recognize } from './identity.ts';
import { staysBecause } from './inventory.ts';
import { type Context, isLocal, readKubeconfig } from './kubeconfig.ts';
import {
  type ClusterState,
  type DryRun,
  dryRun,
  type Ground,
  holderOfNodePort,
  readGround,
  readLive,
  readState,
  readUsers,
  usersFor,
} from './live.ts';
import { groupKindOf, keyOf, type Reference, referenceOf, textAt } from './manifest.ts';
import {
  isForeign,
  isNamespace,
  makePlan,
  type Objection,
  objectionsTo,
  type Plan,
  type PlanInput,
  staysTheirs,
  surplusOf,
} from './plan.ts';
import { type Destination, type Prepared, prepare, renderVerified } from './prepare.ts';
import type { Rendered } from './render.ts';
import type { Place } from './report.ts';
import {
  type Demand,
  type NeedsOfUp,
  rightsForRoles,
  rightsForUp,
  rightsRefusal,
  withRightsExplained,
} from './rights.ts';
import type { SandboxInfo } from './sandbox.ts';
import { keepReplicas } from './scaling.ts';
import type { Session } from './session.ts';
import { chooseContext } from './target.ts';
import type { PlaceholderRule } from './values.ts';

export interface TargetInput {
  overlay: string;
  contexts: readonly string[];
  /** Where the list of contexts stands, or should stand. */
  contextsFile: string;
  /** The cluster that the overlay pins. */
  cluster: Contract['cluster'];
  sandbox: SandboxInfo | undefined;
}

/**
 * Where the overlay may go. Reads kubeconfig files only: no byte is sent.
 * @throws StrataError CONTEXT_REFUSED, KUBECONFIG_INVALID
 */
export function targetOf(session: Session, args: Arguments, input: TargetInput): Context {
  const wanted = textOf(args, 'context');
  if (input.sandbox && wanted !== undefined && wanted !== input.sandbox.context) {
    throw new StrataError('USAGE', '--sandbox and --context name two clusters', {
      hint: 'leave one of them out',
    });
  }
  return chooseContext(readKubeconfig(session.environment, input.sandbox?.kubeconfig), {
    overlay: input.overlay,
    allowed: input.sandbox ? [input.sandbox.context] : input.contexts,
    allowedFile: input.contextsFile,
    wanted,
  });
}

const targetInput = (prepared: Prepared): TargetInput => ({
  overlay: prepared.overlay,
  contexts: prepared.contract.contexts,
  contextsFile: prepared.contract.contextsPlace?.file ?? `overlays/${prepared.overlay}/strata.yaml`,
  cluster: prepared.contract.cluster,
  sandbox: prepared.sandbox,
});

export const placeOf = (prepared: { overlay: string; namespace: string }, context: Context): Place => ({
  overlay: prepared.overlay,
  context: context.name,
  server: context.server,
  namespace: prepared.namespace,
});

/**
 * @throws StrataError CONFIRMATION_NEEDED when nobody can be asked, before anything is sent
 */
export function requireConfirmable(
  session: Session,
  args: Arguments,
  context: Context,
  script: string,
): void {
  if (isSet(args, 'yes') || isLocal(context) || session.terminal.interactive) return;
  throw new StrataError(
    'CONFIRMATION_NEEDED',
    `context ${context.name} is not local, and there is no terminal to ask in`,
    {
      hint: `after a look at the diff: npm run ${script} --yes`,
    },
  );
}

/** Typing the overlay's name is the answer that no reflex gives. @throws StrataError DECLINED */
export async function confirm(
  session: Session,
  args: Arguments,
  context: Context,
  place: Place,
  deed: string,
): Promise<void> {
  if (isSet(args, 'yes') || isLocal(context)) return;
  const { style } = session.terminal;
  const question = `${deed} ${style.bold(place.overlay)} in context ${style.bold(place.context)}, namespace ${place.namespace}? Type the overlay's name: `;
  const answer = await session.terminal.ask(question, session.signal);
  if (answer?.trim() === place.overlay) return;
  throw new StrataError('DECLINED', 'declined, nothing was changed');
}

export interface Compared {
  connection: Connection;
  recognized: Recognized;
  /** The rights that the plan takes. */
  demand: Demand;
  state: ClusterState;
  plan: Plan;
}

/** What was found, before what the server has against it is told. */
export interface Found extends Omit<Compared, 'demand' | 'state'> {
  namespace: string;
  rendered: Rendered;
  /** The server has objections: they are told next. */
  isRefused: boolean;
}

/** @throws StrataError when the plan may not be carried out */
export type Examine = (found: Found) => Promise<void>;

interface Opened {
  connection: Connection;
  ground: Promise<Ground>;
  recognizing: Promise<Recognized>;
  rendered: Rendered;
}

/** Opens the connection, and asks what can be asked already, while `rendering` is under way. */
async function connectWhile(
  session: Session,
  prepared: Prepared,
  expectation: Expectation,
  rendering: Promise<Rendered>,
): Promise<Opened> {
  let ground!: Promise<Ground>;
  let recognizing!: Promise<Recognized>;
  const connecting = connect(session, prepared.kubectl, expectation.context, (connection) => {
    ground = readGround(connection, prepared.inventory);
    recognizing = recognize(session, connection, expectation);
    // Told where they are awaited; an old server or a broken tree is told first.
    ground.catch(() => {});
    recognizing.catch(() => {});
  });
  const [connected, rendered] = await Promise.allSettled([connecting, rendering]);
  // What is wrong in the tree is the user's to mend first.
  if (rendered.status === 'rejected') throw rendered.reason;
  if (connected.status === 'rejected') throw connected.reason;
  return { connection: connected.value, ground, recognizing, rendered: rendered.value };
}

function demandOf(needs: NeedsOfUp, isNew: boolean): Demand {
  const { inventory } = needs;
  return { inventory, rights: rightsForUp(needs), whole: rightsForRoles(needs), role: 'up', isNew };
}

/** What may be taken from others. */
interface Choices {
  force: boolean;
  adopt: boolean;
}

const choicesOf = (args: Arguments): Choices => ({
  force: isSet(args, 'force-conflicts'),
  adopt: isSet(args, 'adopt'),
});

/** What is there of the overlay, and what the rights depend on. */
async function readKnown(
  connection: Connection,
  { inventory, namespace }: Destination,
  state: ClusterState,
  manifests: Rendered['manifests'],
) {
  const surplus = surplusOf(inventory, state.members, manifests);
  const [live, users] = await Promise.all([
    readLive(
      connection,
      state,
      manifests.map(({ object }) => object),
    ),
    surplus.length > 0 ? readUsers(connection, state, namespace) : new Map<string, Reference[]>(),
  ]);
  const deletable = surplus
    .filter((object) => staysBecause(inventory, object) === undefined)
    .map(referenceOf)
    .map((reference) => ({ reference, isUsed: usersFor(users, reference).length > 0 }));
  return { live, users, known: { state, live, surplus: deletable } };
}

/**
 * The rights that `up` takes. Where what is there may not be read, as if all of it had to be created.
 * @throws StrataError CLUSTER_REFUSED, CLUSTER_UNREACHABLE, NOT_OWNED for an inventory of somebody else
 */
export async function readDemand(
  connection: Connection,
  destination: Destination,
  { manifests }: Rendered,
): Promise<Demand> {
  const { inventory } = destination;
  const objects = manifests.map(({ object }) => object);
  const groupKinds = new Set(objects.map((object) => groupKindOf(referenceOf(object))));
  try {
    const state = await readState(connection, inventory, groupKinds);
    const { known } = await readKnown(connection, destination, state, manifests);
    const { discovery } = state;
    return demandOf({ inventory, discovery, objects, known }, state.namespace === undefined);
  } catch (error) {
    if (!isForbidden(error)) throw error;
    return demandOf({ inventory, discovery: await discover(connection), objects }, false);
  }
}

/**
 * Asks the server what it would make of the manifests.
 * @throws StrataError CONFLICT, NOT_OWNED, CLUSTER_REFUSED with every objection
 */
async function compare(
  session: Session,
  opened: Opened,
  prepared: Destination,
  choices: Choices,
  examine: Examine,
): Promise<Compared> {
  const { inventory } = prepared;
  const objects = opened.rendered.manifests.map(({ object }) => object);
  return withRightsExplained(
    session,
    opened.connection,
    () => compareAllowed(session, opened, prepared, choices, examine),
    (discovery) => demandOf({ inventory, discovery, objects }, false),
  );
}

async function compareAllowed(
  session: Session,
  { connection, ground, recognizing, rendered }: Opened,
  prepared: Destination,
  { force, adopt }: Choices,
  examine: Examine,
): Promise<Compared> {
  const { inventory, namespace } = prepared;
  const objects = rendered.manifests.map(({ object }) => object);
  const groupKinds = new Set(objects.map((object) => groupKindOf(referenceOf(object))));
  // A dry run carries secrets: it waits until the cluster is known to be the right one.
  const [state, recognized] = await afterwards(
    recognizing,
    readState(connection, inventory, groupKinds, ground),
  );
  refuseTerminating(connection, state, prepared.namespace);
  const ownKinds = new Set(
    objects
      .filter(({ kind }) => kind === 'CustomResourceDefinition')
      .map((object) =>
        groupKindOf({
          group: textAt(object, 'spec', 'group') ?? '',
          kind: textAt(object, 'spec', 'names', 'kind') ?? '',
        }),
      ),
  );
  const manifests = keepReplicas(rendered.manifests, state.members);
  const [{ live, users, known }, ...asked] = await Promise.all([
    readKnown(connection, prepared, state, rendered.manifests),
    ...manifests.map(({ object, isLeftAlone }): DryRun | Promise<DryRun> =>
      isLeftAlone ? { outcome: 'left alone' } : dryRun(connection, state, object, { force, ownKinds }),
    ),
  ]);
  const dryRuns = await Promise.all(
    manifests.map(({ object }, index) => {
      const found = live.get(keyOf(referenceOf(object)));
      if (found === undefined || isNamespace(referenceOf(object))) return asked[index]!;
      if (asked[index]!.outcome === 'left alone') return asked[index]!;
      if (staysTheirs(inventory, found, adopt)) return asked[index]!;
      const isTheirs = isForeign(inventory, found);
      return dryRunOfTakeover(connection, state, object, found, asked[index]!, isTheirs);
    }),
  );
  const input: PlanInput = { inventory, manifests, state, live, dryRuns, users, adopt };
  const plan = makePlan(input);
  const replaced = plan.objects.flatMap(({ action, reference }) => (action === 'replace' ? [reference] : []));
  const { discovery } = state;
  const needs = { inventory, discovery, objects, known: { ...known, replaced } };
  const demand = demandOf(needs, state.namespace === undefined);
  const objections = objectionsTo(input);
  // Who moved an object explains why it meets an objection.
  await examine({ connection, recognized, plan, namespace, rendered, isRefused: objections.length > 0 });
  if (objections.length > 0) throw await explainObjections(session, connection, objections, demand);
  return { connection, recognized, demand, state, plan };
}

function refuseTerminating(connection: Connection, state: ClusterState, namespace: string): void {
  if (!state.namespace?.metadata.deletionTimestamp) return;
  throw new StrataError('CLUSTER_REFUSED', `namespace ${namespace} is still being deleted`, {
    hint: `kubectl --context ${connection.context.name} get namespace ${namespace} -o yaml shows what holds it; then the same command again`,
  });
}

async function explainObjections(
  session: Session,
  connection: Connection,
  objections: readonly Objection[],
  demand: Demand,
): Promise<StrataError> {
  const { inventory } = demand;
  const lacksRight = ({ message }: Problem): boolean => /\bUser "[^"]*" cannot /.test(message);
  const problems = await Promise.all(
    objections.map(async (objection): Promise<Problem> => {
      const port = /nodePort.*?: (\d+): provided port is already allocated/.exec(objection.message)?.[1];
      const holder = port && (await holderOfNodePort(connection, Number(port)));
      const hint = holder
        ? `node port ${port} is held by Service ${holder}: take another one, or delete that`
        : lacksRight(objection)
          ? `ask for the right, then check with: kubectl --context ${connection.context.name} auth can-i --list -n ${inventory.namespace}`
          : undefined;
      return {
        ...objection,
        ...(hint ? { hint } : {}),
      };
    }),
  );
  if (objections.some(lacksRight)) {
    const others = sortProblems(problems.filter((problem) => !lacksRight(problem)));
    const refusal = await rightsRefusal(session, connection, { ...demand, problems: others });
    if (refusal) return refusal;
  }
  const kinds = new Set(objections.map(({ kind }) => kind));
  const code = kinds.has('not owned') ? 'NOT_OWNED' : kinds.has('refused') ? 'CLUSTER_REFUSED' : 'CONFLICT';
  const summary = {
    NOT_OWNED: 'objects of the same name are there already, and strata did not make them',
    CLUSTER_REFUSED: 'the cluster does not take these objects; nothing was changed',
    CONFLICT: 'other managers hold fields that the overlay sets; nothing was changed',
  }[code];
  return new StrataError(code, summary, {
    problems: sortProblems(problems),
    hint:
      code === 'CONFLICT'
        ? `take the fields over: --force-conflicts`
        : `npm run diff -- ${inventory.overlay}`,
  });
}

/** Values that are baked into images when those are built: changing them in the cluster alone changes nothing. */
export function warnOfBuildTime(session: Session, prepared: Prepared, plan: Plan): void {
  const baked = new Map(
    prepared.values
      .filter(({ field }) => field.buildTime)
      .map(({ field }) => [`${field.object.name}/${field.dataKey}`, field.envKey]),
  );
  for (const planned of plan.objects) {
    const before = planned.replaces?.before;
    if (before === undefined || planned.after === undefined) continue;
    const name = planned.replaces!.reference.name.replace(/-[^-]+$/, '');
    const [old, fresh] = [before.data ?? {}, planned.after.data ?? {}] as Record<string, unknown>[];
    for (const key of new Set([...Object.keys(old!), ...Object.keys(fresh!)])) {
      const envKey = baked.get(`${name}/${key}`);
      if (envKey === undefined || old![key] === fresh![key]) continue;
      session.terminal.say(
        formatProblem({
          severity: 'warning',
          subject: envKey,
          message: 'changes, but it is baked into the image when that is built',
          hint: 'rebuild the image, then up with --image NAME=REPOSITORY:NEWTAG',
        }),
      );
    }
  }
}

export interface Planned<From extends Destination = Prepared> extends Compared {
  prepared: From;
  context: Context;
  place: Place;
  rendered: Rendered;
  /** Has its say about every later plan for the same manifests too. */
  examine: Examine;
  /** Milliseconds. */
  durations: { rendering: number; comparing: number };
}

/** The plan for manifests, wherever they come from; `started` is when the work on them began. */
export async function planManifests<From extends Destination>(
  session: Session,
  args: Arguments,
  opened: Opened,
  prepared: From,
  started: number,
  examine: Examine = async () => {},
): Promise<Planned<From>> {
  const { clock, terminal } = session;
  const { rendered } = opened;
  const { context } = opened.connection;
  const renderedAt = clock.now();
  terminal.live([`comparing ${rendered.manifests.length} objects with the cluster …`]);
  const compared = await compare(session, opened, prepared, choicesOf(args), examine);
  const durations = { rendering: renderedAt - started, comparing: clock.now() - renderedAt };
  return { ...compared, prepared, context, place: placeOf(prepared, context), rendered, examine, durations };
}

/**
 * Everything that `diff` and `up` do alike: from the env files to the plan. `mayGoTo` has its say about the context
 * before anything is sent there, `examine` about the plan.
 */
export async function planOverlay(
  session: Session,
  args: Arguments,
  mayGoTo: (context: Context, overlay: string) => void = () => {},
  placeholders: PlaceholderRule = 'tell',
  examine: Examine = async () => {},
): Promise<Planned> {
  const started = session.clock.now();
  const prepared = await prepare(session, args, { placeholders });
  const context = targetOf(session, args, targetInput(prepared));
  mayGoTo(context, prepared.overlay);
  const expectation = expectCluster(session, args, context, targetInput(prepared));
  session.terminal.live(['rendering and connecting …']);
  const rendering = renderVerified(session, prepared);
  const opened = await connectWhile(session, prepared, expectation, rendering);
  return planManifests(session, args, opened, prepared, started, examine);
}

/** The same manifests against what the cluster holds by now. */
export async function planAgain<From extends Destination>(
  session: Session,
  args: Arguments,
  planned: Planned<From>,
): Promise<Planned<From>> {
  const { connection, prepared, rendered } = planned;
  const opened = {
    connection,
    rendered,
    ground: readGround(connection, prepared.inventory),
    recognizing: Promise.resolve(planned.recognized),
  };
  return { ...planned, ...(await compare(session, opened, prepared, choicesOf(args), planned.examine)) };
}
