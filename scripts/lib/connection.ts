import { rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { $ } from 'zx/core';
import { StrataError, systemCode } from './errors.ts';
import { temporaryPath } from './files.ts';
import type { Context } from './kubeconfig.ts';
import { childEnvironment, type Kubectl, posixShell, runKubectl } from './kubectl.ts';
import { expiredSince, loginCommand, type Trouble, troubleOf } from './login.ts';
import { isRecord, textAt } from './manifest.ts';
import { sandboxOfContext, startHint } from './sandbox-name.ts';
import { type Scrubber, scrubJson } from './scrub.ts';
import { learnSecrets } from './secrets.ts';
import type { Session } from './session.ts';

export interface Request {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path with query, as the API server knows it. */
  path: string;
  body?: unknown;
  contentType?: string;
  accept?: string;
  /** A dry run or a read: sending it twice does no harm. */
  repeatable?: boolean;
  /** Milliseconds. Waits behind no other request, is sent once, and also after an interruption. */
  urgent?: number;
}

export interface Answer {
  status: number;
  body: unknown;
}

export interface WatchEvent {
  type: string;
  object: unknown;
}

export interface Connection {
  context: Context;
  /** Any answer of the server, also a refusal. @throws StrataError CLUSTER_UNREACHABLE when there is none */
  request(request: Request): Promise<Answer>;
  /** The object, or undefined when there is none. @throws StrataError for any other refusal */
  get(path: string): Promise<unknown>;
  /** The answer as it is, for what is no JSON; asked once. @throws StrataError CLUSTER_UNREACHABLE */
  getText(path: string): Promise<{ status: number; text: string }>;
  /** Hands over events until the server ends the stream (resolves), it breaks (rejects) or `signal` is aborted (resolves). */
  watch(path: string, signal: AbortSignal, onEvent: (event: WatchEvent) => void): Promise<void>;
  /**
   * Milliseconds since the epoch by the server's clock, to compare with times that the cluster wrote; a second or so
   * behind. Ours may be wrong, or jump.
   */
  now(): number;
  close(): void;
}

const oldestMinor = 30;
/** Milliseconds; a request that takes longer has failed. */
const requestDeadline = 30_000;
const startDeadline = 20_000;
const attempts = 5;
const concurrency = 16;

interface Proxy {
  socket: string;
  stop(): void;
  /** Why it has ended; empty while it runs. */
  failure(): string;
  /** What a login program said last, for people. */
  loginWords(): string;
}

/** How kubectl begins when it does not understand its configuration; measured with 1.32 and 1.36. */
const configurationFaults =
  /^(Error in configuration:|error: (unable to (read|load)|error loading config|open |The \S+ auth plugin)|Unable to connect to the server: (parse|first path))/m;

/**
 * `kubectl proxy` on a socket only this user can reach; kubectl is the only program that holds credentials.
 * It ends when our end of the pipe closes, so a SIGKILL of strata leaves no open door and no socket behind. The shell makes
 * the folder, or a SIGKILL right before it starts would leave that.
 */
async function startProxy(session: Session, kubectl: Kubectl, context: Context): Promise<Proxy> {
  // A socket's path is limited to about 100 bytes: a deep TMPDIR does not fit.
  const base = Buffer.byteLength(tmpdir()) > 60 ? '/tmp' : tmpdir();
  const folder = temporaryPath('strata-', base);
  const socket = path.join(folder, 's');
  const args = ['proxy', '--context', context.name, `--unix-socket=${socket}`, '--append-server-path'];
  session.terminal.detail(`$ kubectl ${args.join(' ')}`);
  const child = $({
    ...posixShell,
    quiet: true,
    nothrow: true,
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: childEnvironment(session, kubectl.kubeconfig),
  })`mkdir -m 700 ${folder} || exit 1; exec 3<&0; ${kubectl.program} ${args} 3<&- & proxy=$!; (cat <&3 >/dev/null; kill $proxy 2>/dev/null; rm -rf ${folder}) & wait $proxy`;
  child.stdin.on('error', () => {});
  let errors = '';
  let ended = false;
  // Scrubbed before it is cut: the rest of a secret would not be known for one.
  const stream = session.scrubber.stream();
  const keep = (text: string): void => {
    errors = (errors + text).slice(-4000);
  };
  child.stderr.on('data', (chunk: Buffer) => keep(stream.write(chunk)));
  const said = (): string => {
    keep(stream.end());
    return errors.trim();
  };
  const stop = (): void => {
    forget();
    ended = true;
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
    } catch {
      // already gone
    }
    rmSync(folder, { recursive: true, force: true });
  };
  const forget = session.atExit(stop);

  const exited = child.then((output) => {
    ended = true;
    return `exit status ${output.exitCode}`;
  });
  const serving = new Promise<'serving'>((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('Starting to serve')) resolve('serving');
    });
  });
  const deadline = AbortSignal.any([session.signal, AbortSignal.timeout(startDeadline)]);
  const timedOut = new Promise<'no answer within 20 s'>((resolve) => {
    deadline.addEventListener('abort', () => resolve('no answer within 20 s'), { once: true });
  });
  const outcome = await Promise.race([serving, exited, timedOut]);
  session.signal.throwIfAborted();
  if (outcome !== 'serving') {
    stop();
    const words = said();
    if (configurationFaults.test(words)) {
      throw new StrataError(
        'KUBECONFIG_INVALID',
        `the kubeconfig does not do for context ${context.name}: ${words}`,
        { hint: `kubectl config view --minify --context ${context.name}` },
      );
    }
    throw new StrataError('KUBECTL_FAILED', `kubectl proxy did not start: ${words || outcome}`, {
      hint: `kubectl --context ${context.name} cluster-info`,
    });
  }
  return {
    socket,
    stop,
    failure: () => (ended ? `kubectl proxy ended: ${said()}` : ''),
    loginWords: () =>
      said()
        .split(/^[IWEF]\d{4} /m)[0]!
        .trim()
        .split('\n')
        .slice(-3)
        .join('\n'),
  };
}

/** Hands out `count` places; each caller returns its own. */
function createPlaces(count: number): () => Promise<() => void> {
  let free = count;
  const waiting: (() => void)[] = [];
  const leave = (): void => {
    const next = waiting.shift();
    if (next) next();
    else free++;
  };
  return async () => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    return leave;
  };
}

interface RawAnswer {
  status: number;
  text: string;
  retryAfter: string | undefined;
  /** When the server sent it, by its clock. */
  date: string | undefined;
}

function send(
  agent: http.Agent | undefined,
  socketPath: string,
  request: Request,
  signal: AbortSignal,
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
    const outgoing = http.request(
      {
        agent: agent ?? false,
        socketPath,
        method: request.method,
        path: request.path,
        signal,
        headers: {
          Host: 'localhost',
          Accept: request.accept ?? 'application/json',
          // Without it Node sends a DELETE chunked, the server ignores the body, and the uid precondition with it.
          ...(body
            ? { 'Content-Type': request.contentType ?? 'application/json', 'Content-Length': body.length }
            : {}),
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          if (!response.complete) return reject(new Error('the answer was cut off'));
          resolve({
            status: response.statusCode ?? 0,
            text: Buffer.concat(chunks).toString('utf8'),
            retryAfter: response.headers['retry-after'],
            date: response.headers.date,
          });
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

function parseAnswer(raw: RawAnswer): Answer | undefined {
  try {
    return { status: raw.status, body: JSON.parse(raw.text) as unknown };
  } catch {
    // A kind that is gone while discovery still lists it is a 404 in plain text;
    // what stands in front of a server refuses a login so.
    const isRefusal = raw.status >= 400 && raw.status < 500;
    return isRefusal ? { status: raw.status, body: { message: raw.text.trim() } } : undefined;
  }
}

/** A `Status` object is the server speaking; plain text with 500 or 502 is the proxy saying that the connection failed. */
const isFromServer = (answer: Answer | undefined): answer is Answer =>
  answer !== undefined && isRecord(answer.body);

/** Refusals quote what was sent: they are scrubbed before anything is made of them. Secrets that are read are learned. */
function screened(answer: Answer | undefined, scrubber: Scrubber): Answer | undefined {
  if (answer === undefined) return undefined;
  if (answer.status >= 300) return { ...answer, body: scrubJson(scrubber, answer.body) };
  learnSecrets(scrubber, answer.body);
  return answer;
}

/** A change of etcd's leader is such a 500 for a read: https://github.com/kubernetes/kubernetes/issues/106491 */
const readAttempts = 3;

const isBusy = (status: number): boolean => [429, 502, 503, 504].includes(status);

function pause(attempt: number, retryAfter: string | undefined): number {
  const seconds = Number(retryAfter);
  return seconds > 0 ? Math.min(seconds, 10) * 1000 : 100 * 2 ** attempt;
}

const forbidden = Symbol('forbidden');

/** Whether the error is a 403 of the server, which more rights would mend. */
export const isForbidden = (error: unknown): boolean =>
  error instanceof StrataError && error.cause === forbidden;

/**
 * The login did not arrive: a client certificate is sent only where the server asks for one of its CA, and who sends
 * nothing is anonymous (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-requests).
 */
export const isAnonymous = ({ status, body }: Answer): boolean =>
  status === 403 && (textAt(body, 'message') ?? '').includes('User "system:anonymous"');

/** What a refusal means for a person. */
export function refusal(
  context: Context,
  request: { method: string; path: string },
  answer: Answer,
): StrataError {
  const said = textAt(answer.body, 'message') ?? `status ${answer.status}`;
  const { name } = context;
  if (answer.status === 401 || isAnonymous(answer)) {
    const expired = expiredSince(context, new Date());
    return new StrataError(
      'CLUSTER_REFUSED',
      `the cluster of context ${name} does not accept the login: ${said}${expired ? `; the client certificate of user ${context.user} expired at ${expired}` : ''}`,
      {
        hint: `${loginCommand(context)}, then check with: kubectl --context ${name} auth whoami`,
      },
    );
  }
  if (answer.status === 403) {
    return new StrataError('CLUSTER_REFUSED', `not allowed: ${said}`, {
      hint: `ask for the right, then check with: kubectl --context ${name} auth can-i --list`,
      cause: forbidden,
    });
  }
  return new StrataError(
    'CLUSTER_REFUSED',
    `the cluster answered ${answer.status} to ${request.method} ${request.path.split('?')[0]}: ${said}`,
    {
      hint: `kubectl --context ${name} get --raw '${request.path.split('?')[0]}'`,
    },
  );
}

const passing = Symbol('passing');

/** Whether a server that could not be reached may answer later: it starts again, or the network is gone for a while. */
export const mayComeBack = (error: unknown): boolean =>
  error instanceof StrataError && error.cause === passing;

function unreachable(context: Context, why: string, trouble: Trouble, isLasting = false): StrataError {
  const means = trouble.means === undefined ? '' : `${trouble.means}: `;
  const sandbox = sandboxOfContext(context.name);
  return new StrataError(
    'CLUSTER_UNREACHABLE',
    `the cluster of context ${context.name} (${context.server}) cannot be reached: ${means}${why}`,
    {
      hint:
        trouble.hint ??
        (context.name === 'minikube'
          ? 'minikube status; minikube start'
          : sandbox !== undefined
            ? startHint(sandbox)
            : `kubectl --context ${context.name} cluster-info`),
      cause: isLasting || trouble.isFinal ? undefined : passing,
    },
  );
}

function loginFailed(context: Context, why: string, hint: string | undefined): StrataError {
  return new StrataError('CLUSTER_REFUSED', `logging in to context ${context.name} failed: ${why}`, {
    hint: hint ?? `kubectl --context ${context.name} get --raw /version`,
  });
}

/**
 * Opens the one connection of a command and checks the server's version. `alongside` may already send requests of its
 * own meanwhile; not so with an exec plugin, which would run once per connection.
 * @throws StrataError CLUSTER_UNREACHABLE, CLUSTER_REFUSED, CLUSTER_TOO_OLD, KUBECTL_FAILED
 */
export async function connect(
  session: Session,
  kubectl: Kubectl,
  context: Context,
  alongside: (connection: Connection) => void = () => {},
): Promise<Connection> {
  if (context.usesExec && session.terminal.interactive) await logIn(session, kubectl, context);
  const proxy = await startProxy(session, kubectl, context);
  const agent = new http.Agent({ keepAlive: true, maxSockets: concurrency, maxFreeSockets: concurrency });

  const takePlace = createPlaces(concurrency);

  async function attemptUrgently(request: Request, patience: number): Promise<RawAnswer | Error> {
    const deadline = AbortSignal.timeout(patience);
    return send(undefined, proxy.socket, request, deadline).catch((error: Error) =>
      deadline.aborted ? new Error(`no answer within ${patience / 1000} s`) : error,
    );
  }

  async function attempt(request: Request): Promise<RawAnswer | Error> {
    if (request.urgent !== undefined) return attemptUrgently(request, request.urgent);
    // The deadline runs from the moment the request is sent, not while it queues.
    const leave = await takePlace();
    const deadline = AbortSignal.timeout(requestDeadline);
    try {
      return await send(agent, proxy.socket, request, AbortSignal.any([session.signal, deadline]));
    } catch (error) {
      session.signal.throwIfAborted();
      return deadline.aborted ? new Error(noAnswer(context)) : (error as Error);
    } finally {
      leave();
    }
  }

  /** From our monotonic clock to the server's. */
  let offset: number | undefined;
  const learnTime = ({ date = '' }: RawAnswer): void => {
    const time = Date.parse(date);
    if (!Number.isNaN(time)) offset = time - session.clock.now();
  };

  async function request(wanted: Request): Promise<Answer> {
    const repeatable = wanted.urgent === undefined && (wanted.repeatable ?? wanted.method === 'GET');
    let why = '';
    let trouble = troubleOf(context, '');
    // A server that was silent for that long is not asked again.
    const lastStart = session.clock.now() + requestDeadline;
    for (let count = 0; count < attempts; count++) {
      const raw = await attempt(wanted);
      session.terminal.detail(
        `${wanted.method} ${wanted.path} ${raw instanceof Error ? raw.message : raw.status}`,
      );
      if (!(raw instanceof Error)) {
        const answer = screened(parseAnswer(raw), session.scrubber);
        // What the proxy says has the time of this machine.
        if (isFromServer(answer)) learnTime(raw);
        const mayPass = wanted.method === 'GET' && raw.status === 500 && count < readAttempts - 1;
        if (isFromServer(answer) && !isBusy(raw.status) && !(repeatable && mayPass)) return answer;
        why = isFromServer(answer)
          ? (textAt(answer.body, 'message') ?? `status ${raw.status}`)
          : explainProxyText(raw, session.scrubber);
        // A server may have such trouble of its own, with its webhooks for one.
        trouble = troubleOf(context, isFromServer(answer) ? '' : why);
      } else {
        why = proxy.failure() || explainSystemError(raw);
        if (proxy.failure()) break;
      }
      if (trouble.isFinal || !repeatable || count === attempts - 1) break;
      if (session.clock.now() >= lastStart) break;
      await session.clock.sleep(
        pause(count, raw instanceof Error ? undefined : raw.retryAfter),
        session.signal,
      );
    }
    if (trouble.isLogin) {
      // What the program said comes over another pipe than kubectl's answer.
      await session.clock.sleep(50, session.signal);
      const words = [why, proxy.loginWords()].filter(Boolean).join('\n');
      throw loginFailed(context, words, trouble.hint);
    }
    throw unreachable(context, why, trouble, proxy.failure() !== '');
  }

  const connection: Connection = {
    context,
    request,
    async get(target) {
      const wanted: Request = { method: 'GET', path: target };
      const answer = await request(wanted);
      if (answer.status === 404) return undefined;
      if (answer.status >= 300) throw refusal(context, wanted, answer);
      return answer.body;
    },
    async getText(target) {
      const raw = await attempt({ method: 'GET', path: target, accept: '*/*' });
      if (raw instanceof Error)
        throw unreachable(context, proxy.failure() || explainSystemError(raw), troubleOf(context, ''));
      return raw;
    },
    watch: (target, signal, onEvent) => watch(proxy.socket, target, signal, onEvent),
    now: () => (offset === undefined ? Date.now() : session.clock.now() + offset),
    close() {
      agent.destroy();
      proxy.stop();
    },
  };
  const checking = checkServerVersion(connection);
  if (context.usesExec) await checking;
  alongside(connection);
  await checking;
  return connection;
}

/** The proxy has no terminal: a plugin that must ask somebody does so here, and its answer is cached by it. */
async function logIn(session: Session, kubectl: Kubectl, context: Context): Promise<void> {
  const result = await runKubectl(session, kubectl, ['--context', context.name, 'get', '--raw', '/version'], {
    needsCluster: true,
    inheritTerminal: true,
    timeout: 180_000,
  });
  if (result.status !== 0) throw loginFailed(context, result.stderr.trim(), undefined);
}

async function checkServerVersion(connection: Connection): Promise<void> {
  const version = await connection.get('/version');
  const minor = Number.parseInt(textAt(version, 'minor') ?? '', 10);
  const isOld = textAt(version, 'major') === '1' && minor < oldestMinor;
  if (!isOld && !Number.isNaN(minor)) return;
  throw new StrataError(
    'CLUSTER_TOO_OLD',
    `the cluster of context ${connection.context.name} is ${textAt(version, 'gitVersion') ?? 'of unknown version'}, strata needs 1.${oldestMinor} or later`,
    {
      hint: 'upgrade the cluster (minikube start --kubernetes-version=stable)',
    },
  );
}

/** A login program may be what does not come to an end. */
const noAnswer = ({ login }: Context): string =>
  `no answer within ${requestDeadline / 1000} s${login === undefined ? '' : `; the login program ${login} may be waiting for something`}`;

function explainSystemError(error: Error): string {
  const code = systemCode(error);
  return (
    {
      ECONNRESET: 'the connection was reset',
      ECONNREFUSED: 'kubectl proxy does not listen',
      ENOENT: 'kubectl proxy is gone',
    }[code ?? ''] ?? error.message
  );
}

/** Six lines that client-go puts before the install hint of a login program. */
const pluginAdvice =
  /\n\nIt looks like you are trying to use a client-go credential plugin[\s\S]*?#client-go-credential-plugins\n*/;

function explainProxyText(raw: RawAnswer, scrubber: Scrubber): string {
  const text = scrubber.scrub(raw.text).replace(pluginAdvice, '\n').trim();
  return text.slice(0, 300) || `status ${raw.status} without a message`;
}

function watch(
  socketPath: string,
  target: string,
  signal: AbortSignal,
  onEvent: (event: WatchEvent) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return resolve();
    const end = (error?: Error): void => (signal.aborted || error === undefined ? resolve() : reject(error));
    // Watches stay open: they may not take the places of other requests.
    const outgoing = http.request(
      {
        socketPath,
        path: target,
        // One of its own, for Node warns of more than ten listeners to one signal.
        signal: AbortSignal.any([signal]),
        headers: { Host: 'localhost', Accept: 'application/json' },
      },
      (response) => {
        response.on('error', end);
        if (response.statusCode !== 200) {
          response.resume();
          return end(new Error(`watch refused with status ${response.statusCode}`));
        }
        const lines = createInterface({ input: response });
        lines.on('line', (line) => {
          try {
            onEvent(JSON.parse(line) as WatchEvent);
          } catch (error) {
            end(error as Error);
            outgoing.destroy();
          }
        });
        // It passes on the errors of its input.
        lines.on('error', end);
        lines.on('close', () => end());
      },
    );
    outgoing.on('error', end);
    outgoing.end();
  });
}
