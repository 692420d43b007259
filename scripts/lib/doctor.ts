import { stripVTControlCharacters } from 'node:util';
import { quoted } from './causes.ts';
import { readDemand, type TargetInput, targetOf } from './cluster.ts';
import { type Arguments, isSet, overlayOf, textsOf } from './command.ts';
import { type Connection, connect, type Request, refusal } from './connection.ts';
import { type Problem, StrataError, throwOnErrors } from './errors.ts';
import { gatherDiagnosis, readSurroundings } from './evidence.ts';
import { type Diagnosis, problemsOf } from './findings.ts';
import { compareCluster, expectCluster, formatIdentity } from './identity.ts';
import { isOwned } from './inventory.ts';
import { readinessOf } from './kstatus.ts';
import type { Context } from './kubeconfig.ts';
import { checkKubectlVersion, findKubectl, type Kubectl } from './kubectl.ts';
import { readEverything } from './live.ts';
import { inventoryFor, type Located, locate } from './locate.ts';
import { textAt } from './manifest.ts';
import { readNamespace, resolveOverlay } from './overlay.ts';
import { mendable, type Prepared, prepare, renderVerified } from './prepare.ts';
import type { Rendered } from './render.ts';
import { requireRights } from './rights.ts';
import { type SandboxInfo, sandboxStatus } from './sandbox.ts';
import { sandboxFolder, startHint } from './sandbox-name.ts';
import type { Session } from './session.ts';
import { readEnvValues } from './values.ts';
import { imagesOf, problemsOfImages } from './verify.ts';

/** `skipped`: what it needs is missing, and a check above says so. */
export type CheckState = 'ok' | 'warning' | 'failed' | 'skipped';

export interface Check {
  name: string;
  state: CheckState;
  message: string;
  /** The next command. */
  hint?: string;
  problems?: readonly Problem[];
  /** Exit status of a command that would fail of this; 0 unless it failed. */
  status: number;
}

export interface Examination {
  overlay: string;
  checks: Check[];
  /** Of what is deployed and not Current. */
  diagnosis: Diagnosis | undefined;
  /** Milliseconds since the epoch, by the clock of the server where one answered. */
  now: number;
}

/** The highest status of those that failed, for what comes late in a deployment has the higher one. */
export const statusOf = (checks: readonly Check[]): number =>
  Math.max(0, ...checks.map(({ status }) => status));

interface Verdict<Found> {
  found: Found;
  message: string;
  state?: 'ok' | 'warning';
  hint?: string;
  problems?: readonly Problem[];
}

/** What it found, or undefined when the check failed. */
type Perform = <Found>(name: string, work: () => Promise<Verdict<Found>>) => Promise<Found | undefined>;

function performer(session: Session, add: (check: Check) => void): Perform {
  return async (name, work) => {
    session.terminal.live([`checking ${name} …`]);
    try {
      const { found, state = 'ok', ...rest } = await work();
      add({ name, state, status: 0, ...rest });
      return found;
    } catch (error) {
      session.signal.throwIfAborted();
      if (!(error instanceof StrataError)) throw error;
      const { message, hint, problems, exitStatus: status } = error;
      add({
        name,
        state: 'failed',
        // Two identities are long.
        message: quoted(message, 800),
        ...(hint ? { hint } : {}),
        ...(problems.length > 0 ? { problems } : {}),
        status,
      });
      return undefined;
    }
  };
}

/** What a command would say on the way is a warning of its check; of a check that fails it is said. */
async function withNotes<Found>(
  session: Session,
  work: (noting: Session) => Promise<Verdict<Found>>,
): Promise<Verdict<Found>> {
  const notes: string[] = [];
  const terminal = { ...session.terminal, say: (text: string) => void notes.push(text) };
  try {
    const verdict = await work({ ...session, terminal });
    if (notes.length === 0) return verdict;
    const problems = notes.map((note): Problem => {
      const message = stripVTControlCharacters(note).replace(/^(?:note|warning): /, '');
      return { severity: 'warning', message };
    });
    return { ...verdict, state: 'warning', problems: [...(verdict.problems ?? []), ...problems] };
  } catch (error) {
    for (const note of notes) session.terminal.say(note);
    throw error;
  }
}

interface Rendering extends Rendered {
  prepared: Prepared;
}

async function checkRendering(session: Session, args: Arguments): Promise<Verdict<Rendering>> {
  // What it has to say of the env files is told already.
  const silent = { ...session, terminal: { ...session.terminal, say: () => {} } };
  const prepared = await prepare(silent, args);
  return withNotes(session, async (noting) => {
    const rendered = await renderVerified(noting, prepared);
    const message = `${rendered.manifests.length} objects, every value and reference as meant`;
    return { found: { ...rendered, prepared }, message };
  });
}

async function checkImages({ prepared, manifests }: Rendering): Promise<Verdict<true>> {
  const images = [...new Set(manifests.flatMap(({ object }) => imagesOf(object)))];
  const problems = problemsOfImages(images);
  const hint = `npm run up -- ${prepared.overlay} --image NAME=REPOSITORY:TAG, or correct the manifest`;
  throwOnErrors('VERIFY_FAILED', 'no node could pull these images', problems, hint);
  const message = images.join(', ') || 'none';
  return problems.length > 0
    ? { found: true, state: 'warning', message, problems, hint }
    : { found: true, message };
}

async function checkSandbox(session: Session, isWanted: boolean): Promise<Verdict<SandboxInfo | undefined>> {
  const folder = sandboxFolder(session);
  const status = await sandboxStatus(session, { folder });
  if (status.state === 'running')
    return { found: status.info, message: `${status.info.name} runs at ${status.info.server}` };
  const message = status.state === 'broken' ? 'does not answer' : 'is not running';
  if (isWanted) throw new StrataError('SANDBOX_NOT_RUNNING', `it ${message}`, { hint: startHint(folder) });
  return status.state === 'broken'
    ? { found: undefined, state: 'warning', message: `it ${message}`, hint: startHint(folder) }
    : { found: undefined, message: `it ${message}, and nothing here needs it` };
}

async function checkKubectl(
  session: Session,
  sandbox: SandboxInfo | undefined,
): Promise<Verdict<{ kubectl: Kubectl; version: string }>> {
  const kubectl = findKubectl(session, sandbox);
  const version = await checkKubectlVersion(session, kubectl);
  return { found: { kubectl, version }, message: `${version} (${kubectl.program})` };
}

async function checkEnv(
  session: Session,
  args: Arguments,
  sandbox: SandboxInfo | undefined,
): Promise<Verdict<true>> {
  const overlay = overlayOf(args);
  const { values, contractIsValid, ...report } = await readEnvValues(session, overlay, {
    envFiles: textsOf(args, 'env-file'),
    fromProcess: isSet(args, 'from-process'),
    sandboxEnvFile: sandbox?.envFile,
  });
  const problems = mendable(report.problems, sandbox);
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  const hint = `npm run env -- ${overlay}`;
  if (errors > 0) {
    const code = contractIsValid ? 'ENV_INVALID' : 'CONTRACT_INVALID';
    throw new StrataError(
      code,
      `${errors} ${errors === 1 ? 'thing is' : 'things are'} not as the contract wants`,
      {
        problems,
        hint,
      },
    );
  }
  const message = `${values.length} values as the contract wants them`;
  return problems.length > 0
    ? { found: true, state: 'warning', message, problems, hint }
    : { found: true, message };
}

async function checkTree(session: Session, overlay: string): Promise<Verdict<true>> {
  const folder = await resolveOverlay(session.root, overlay, session.home);
  const { namespace } = await readNamespace(session.root, overlay);
  return { found: true, message: `${folder}, namespace ${namespace}` };
}

async function checkKubeconfig(
  session: Session,
  args: Arguments,
  located: TargetInput,
): Promise<Verdict<Context>> {
  const context = targetOf(session, args, located);
  return { found: context, message: `context ${context.name}, ${context.server}` };
}

const whoAmI: Request = {
  method: 'POST',
  path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
  body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
  // It only asks; a POST is how.
  repeatable: true,
};

/** A server may tell its version to anybody: only this shows that the login is accepted. */
async function checkLogin(connection: Connection): Promise<Verdict<true>> {
  const answer = await connection.request(whoAmI);
  if (answer.status >= 300) throw refusal(connection.context, whoAmI, answer);
  const name = textAt(answer.body, 'status', 'userInfo', 'username') ?? 'somebody';
  return { found: true, message: `accepted, as ${name}` };
}

const minorOf = (version: string): number => Number(/^v?1\.(\d+)/.exec(version)?.[1]);

/** One minor version either way: https://kubernetes.io/releases/version-skew-policy/#kubectl */
export function isSkewed(client: string, server: string): boolean {
  return Math.abs(minorOf(client) - minorOf(server)) > 1;
}

async function checkVersions(connection: Connection, client: string): Promise<Verdict<true>> {
  const server = textAt(await connection.get('/version'), 'gitVersion') ?? 'unknown';
  const message = `kubectl ${client}, server ${server}`;
  if (!isSkewed(client, server)) return { found: true, message };
  return {
    found: true,
    state: 'warning',
    message: `${message}: more than one minor version apart`,
    hint: `install kubectl 1.${minorOf(server)}: https://kubernetes.io/docs/tasks/tools/`,
  };
}

async function checkIdentity(
  session: Session,
  args: Arguments,
  connection: Connection,
  located: Located,
): Promise<Verdict<true>> {
  const { context } = connection;
  if (located.sandbox)
    return { found: true, message: 'the sandbox is known by its processes, and is not compared' };
  const { cluster, record, ...rest } = expectCluster(session, args, context, located);
  const trusting = `npm run diff -- ${located.overlay} --trust-cluster`;
  return withNotes(session, async (noting) => {
    const { found } = await compareCluster(noting, connection, { ...rest, cluster, record, trusting });
    const known = cluster
      ? `as ${cluster.place.file}:${cluster.place.line} pins it`
      : record
        ? `recorded on ${record.recordedAt.slice(0, 10)}`
        : 'the first up records it';
    return { found: true, message: `${formatIdentity(found)}; ${known}` };
  });
}

async function checkRights(
  session: Session,
  connection: Connection,
  rendering: Rendering,
): Promise<Verdict<true>> {
  const demand = await readDemand(connection, rendering.prepared, rendering);
  return withNotes(session, async (noting) => {
    await requireRights(noting, connection, demand);
    return { found: true, message: `${demand.rights.length} that up takes` };
  });
}

async function checkDeployment(
  session: Session,
  connection: Connection,
  located: Located,
  keep: (diagnosis: Diagnosis) => void,
): Promise<Verdict<true>> {
  const { overlay } = located;
  const inventory = await inventoryFor(connection, located);
  const members = inventory
    ? (await readEverything(connection, inventory)).members.filter((member) => isOwned(inventory, member))
    : [];
  if (inventory === undefined || members.length === 0)
    return { found: true, message: 'nothing is deployed', hint: `npm run up -- ${overlay}` };
  const troubles = members
    .map((live) => ({ live, readiness: readinessOf(live) }))
    .filter(({ readiness }) => readiness.status !== 'Current');
  if (troubles.length === 0) return { found: true, message: `${members.length} objects, all Current` };
  const setting = { context: connection.context.name, namespace: inventory.namespace, overlay };
  const surroundings = await readSurroundings(connection, setting);
  const diagnosis = await gatherDiagnosis(session, connection, troubles, surroundings);
  keep(diagnosis);
  throw new StrataError('NOT_HEALTHY', `${troubles.length} of ${members.length} objects are not Current`, {
    problems: problemsOf(diagnosis),
    hint: `npm run status -- ${overlay}`,
  });
}

/**
 * Looks at everything that a deployment needs, as far as it can: what fails is a check, and what depends on it is
 * skipped. Changes nothing. Throws only when interrupted, or for a bug.
 */
export async function examine(session: Session, args: Arguments): Promise<Examination> {
  const overlay = overlayOf(args);
  const checks: Check[] = [];
  let diagnosis: Diagnosis | undefined;
  let now = Date.now();
  const wantsSandbox = isSet(args, 'sandbox');
  const advice = <T extends { hint?: string }>(given: T): T =>
    given.hint ? { ...given, hint: session.advise(given.hint) } : given;
  const perform = performer(session, (check) => {
    const { problems } = check;
    checks.push(advice(problems ? { ...check, problems: problems.map(advice) } : check));
  });
  const skip = (name: string, needed: string): undefined => {
    checks.push({ name, state: 'skipped', message: `needs ${needed}`, status: 0 });
  };

  await perform('node', async () => ({ found: true, message: `${process.version} (${process.execPath})` }));
  const running = await perform('sandbox', () => checkSandbox(session, wantsSandbox));
  const sandbox = wantsSandbox ? running : undefined;
  const lacksSandbox = wantsSandbox && sandbox === undefined;
  const tool = await perform('kubectl', () => checkKubectl(session, sandbox));
  const hasTree = await perform('overlay', () => checkTree(session, overlay));
  const render = async (): Promise<Rendering | undefined> => {
    const skipAll = (needed: string): undefined => {
      for (const name of ['rendering', 'images']) skip(name, needed);
    };
    // Whoever names its files needs no env file of the sandbox.
    if (lacksSandbox && textsOf(args, 'env-file').length === 0) {
      skip('env', 'the sandbox');
      return skipAll('the sandbox');
    }
    if (!hasTree) {
      skip('env', 'the overlay');
      return skipAll('the overlay');
    }
    const isValid = await perform('env', () => checkEnv(session, args, sandbox));
    if (lacksSandbox) return skipAll('the sandbox');
    if (tool === undefined) return skipAll('kubectl');
    if (!isValid) return skipAll('valid env values');
    const found = await perform('rendering', () => checkRendering(session, args));
    if (found) await perform('images', () => checkImages(found));
    else skip('images', 'the rendering');
    return found;
  };
  const rendering = await render();

  const reach = async (): Promise<void> => {
    const later = ['cluster', 'login', 'versions', 'identity', 'rights', 'deployment'];
    const skipAll = (names: readonly string[], needed: string): void => {
      for (const name of names) skip(name, needed);
    };
    if (lacksSandbox) return skipAll(['kubeconfig', ...later], 'the sandbox');
    // The list of contexts can be read of many a tree that does not render.
    const located = await locate(session, args).catch((error: unknown) => {
      if (error instanceof StrataError) return undefined;
      throw error;
    });
    if (located === undefined) return skipAll(['kubeconfig', ...later], 'the overlay');
    const context = await perform('kubeconfig', () => checkKubeconfig(session, args, located));
    if (context === undefined) return skipAll(later, 'a context');
    if (tool === undefined) return skipAll(later, 'kubectl');
    const connection = await perform('cluster', async () => ({
      found: await connect(session, tool.kubectl, context),
      message: 'answers',
    }));
    if (connection === undefined) return skipAll(later.slice(1), 'the cluster');
    try {
      now = connection.now();
      const isLoggedIn = await perform('login', () => checkLogin(connection));
      await perform('versions', () => checkVersions(connection, tool.version));
      if (!isLoggedIn) return skipAll(later.slice(3), 'the login');
      const isKnown = await perform('identity', () => checkIdentity(session, args, connection, located));
      // Of another cluster nothing is told.
      if (!isKnown) return skipAll(later.slice(4), 'the cluster that is meant');
      if (rendering) await perform('rights', () => checkRights(session, connection, rendering));
      else skip('rights', 'the rendering');
      await perform('deployment', () =>
        checkDeployment(session, connection, located, (found) => {
          diagnosis = { ...found, findings: found.findings.map(advice) };
        }),
      );
    } finally {
      connection.close();
    }
  };
  await reach();
  session.terminal.live([]);
  return { overlay, checks, diagnosis, now };
}
