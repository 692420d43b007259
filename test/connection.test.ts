import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Connection, connect, refusal, type WatchEvent } from '../scripts/lib/connection.ts';
import { StrataError } from '../scripts/lib/errors.ts';
import type { Context } from '../scripts/lib/kubeconfig.ts';
import { createScrubber } from '../scripts/lib/scrub.ts';
import type { Clock } from '../scripts/lib/session.ts';
import { failure, rejection } from './support/assertions.ts';
import { type FakeKubectl, withKubectl } from './support/fake-kubectl.ts';
import { isAlive, until } from './support/process.ts';
import { projectFolder, type TestSession, testSession } from './support/session.ts';

const context: Context = {
  name: 'kind-x',
  cluster: 'kind-x',
  server: 'https://127.0.0.1:6443',
  user: 'kind-x',
  usesExec: false,
};

interface Seen {
  method: string;
  url: string;
  headers: http.IncomingHttpHeaders;
  body: string;
}

type Handler = (seen: Seen, response: http.ServerResponse, count: number) => void;

function json(
  response: http.ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

const plain = (response: http.ServerResponse, status: number, text: string): void => {
  response.writeHead(status, { 'Content-Type': 'text/plain' });
  response.end(text);
};

const status = (code: number, reason: string, message: string): unknown => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message,
  reason,
  code,
});

const version = { major: '1', minor: '32+', gitVersion: 'v1.32.4' };

/** Puts the test's own server where kubectl proxy would put its socket. */
const servingProxy = (server: string, more = ''): string => `
for word; do case $word in --unix-socket=*) socket=\${word#*=};; esac; done
ln -s '${server}' "$socket"
echo $$ >'${server}.pid'
${more}
echo "Starting to serve on $socket"
exec sleep 600`;

interface Rig {
  kubectl: FakeKubectl;
  session: TestSession;
  /** Milliseconds of each pause. */
  pauses: number[];
  requests: Seen[];
  connect(over?: Partial<Context>): Promise<Connection>;
  socket(): string;
  /** Where the well-behaved proxy wrote its pid. */
  pidFile: string;
}

interface RigOptions {
  /** Instead of the well-behaved proxy. */
  script?: (server: string) => string;
  secret?: string;
  session?: Parameters<typeof testSession>[0];
}

/** The real `connect()` with a kubectl of ours in front of a server of ours. */
async function withServer(
  handle: Handler,
  work: (rig: Rig) => Promise<void>,
  options: RigOptions = {},
): Promise<void> {
  const requests: Seen[] = [];
  const counts = new Map<string, number>();
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const seen = { method, url, headers, body: Buffer.concat(chunks).toString() };
      if (url === '/version' && !counts.has('/version')) {
        counts.set('/version', 1);
        return handle(seen, response, 0);
      }
      requests.push(seen);
      const count = (counts.get(`${method} ${url}`) ?? 0) + 1;
      counts.set(`${method} ${url}`, count);
      handle(seen, response, count);
    });
  });
  await withKubectl('', async (base) => {
    const listening = path.join(base.folder, 'server');
    server.listen(listening);
    await once(server, 'listening');
    const script = (options.script ?? servingProxy)(listening);
    await withKubectl(script, async (kubectl) => {
      const pauses: number[] = [];
      const clock: Clock = {
        now: () => performance.now(),
        sleep: async (milliseconds, signal) => {
          pauses.push(milliseconds);
          signal?.throwIfAborted();
        },
      };
      const scrubber = createScrubber();
      if (options.secret) scrubber.add('KEY', options.secret);
      const session = testSession({ clock, scrubber, home: kubectl.folder, ...options.session });
      const pidFile = `${listening}.pid`;
      const socket = (): string => /--unix-socket=(\S+)/.exec(kubectl.calls().join(' '))?.[1] ?? '';
      try {
        await work({
          kubectl,
          session,
          pauses,
          requests,
          socket,
          pidFile,
          connect: (over = {}) => connect(session, kubectl, { ...context, ...over }),
        });
      } finally {
        session.end();
      }
    });
  }).finally(() => {
    server.closeAllConnections();
    server.close();
  });
}

/** Answers /version as a server that is new enough, and everything else as told. */
const serving =
  (handle: Handler): Handler =>
  (seen, response, count) =>
    seen.url === '/version' ? json(response, 200, version) : handle(seen, response, count);

const nothing = serving((_, response) => json(response, 200, {}));

const opening = suite('connect');

opening('starts one proxy for the context, on a socket only this user can reach', () =>
  withServer(nothing, async ({ connect, kubectl, socket, session }) => {
    const connection = await connect();
    assert.equal(
      kubectl.calls().map((call) => call.split('|')[1]),
      [`proxy --context kind-x --unix-socket=${socket()} --append-server-path`],
    );
    assert.ok(Buffer.byteLength(socket()) < 100);
    assert.is((statSync(path.dirname(socket())).mode & 0o777).toString(8), '700');
    connection.close();
    assert.not.ok(existsSync(path.dirname(socket())));
    assert.is(session.output.stderr, '');
  }),
);

for (const [name, temporary] of [
  ['deep', 'a-long-name/'.repeat(12)],
  ['of few characters and many bytes', 'ö🚀'.repeat(11)],
] as const) {
  opening(`a temporary folder that is ${name} leaves the path of the socket short`, () =>
    withServer(nothing, async ({ connect, socket, kubectl }) => {
      const { TMPDIR } = process.env;
      process.env.TMPDIR = path.join(kubectl.folder.length > 40 ? '/tmp' : kubectl.folder, temporary);
      mkdirSync(process.env.TMPDIR, { recursive: true });
      try {
        (await connect()).close();
        assert.ok(Buffer.byteLength(socket()) < 100, socket());
      } finally {
        if (TMPDIR === undefined) delete process.env.TMPDIR;
        else process.env.TMPDIR = TMPDIR;
      }
    }),
  );
}

opening('asks for the version alone, before anything else', () =>
  withServer(
    (seen, response) => {
      assert.is(seen.url, '/version');
      json(response, 200, version);
    },
    async ({ connect, requests }) => {
      (await connect()).close();
      assert.equal(requests, []);
    },
  ),
);

opening('knows the time by the clock of the server, not of the proxy, and not by ours', () =>
  withServer(
    (seen, response, count) => {
      if (seen.url === '/version')
        return json(response, 200, version, { Date: 'Sun, 01 Mar 2026 10:00:00 GMT' });
      // Such a text is kubectl's own.
      if (count === 1) {
        response.setHeader('Date', 'Mon, 01 Jan 1990 10:00:00 GMT');
        return plain(response, 502, 'bad gateway');
      }
      json(response, 200, {}, { Date: 'rubbish' });
    },
    async ({ connect, session }) => {
      let time = 5000;
      session.clock.now = () => time;
      const connection = await connect();
      const real = Date.now;
      try {
        Date.now = () => real() + 3_600_000;
        assert.is(connection.now(), Date.parse('2026-03-01T10:00:00Z'));
        assert.equal(await connection.get('/x'), {});
        time += 7000;
        Date.now = () => real() - 3_600_000;
        assert.is(connection.now(), Date.parse('2026-03-01T10:00:07Z'));
      } finally {
        Date.now = real;
      }
      connection.close();
    },
  ),
);

for (const [name, answer, expected] of [
  [
    '1.29',
    { major: '1', minor: '29', gitVersion: 'v1.29.14' },
    'the cluster of context kind-x is v1.29.14, strata needs 1.30 or later',
  ],
  [
    '1.9, which is no 1.90',
    { major: '1', minor: '9+', gitVersion: 'v1.9.1-gke' },
    'the cluster of context kind-x is v1.9.1-gke, strata needs 1.30 or later',
  ],
  [
    'of unknown version',
    { hello: 'world' },
    'the cluster of context kind-x is of unknown version, strata needs 1.30 or later',
  ],
] as [string, unknown, string][]) {
  opening(`a server that is ${name} is too old`, () =>
    withServer(
      (_, response) => json(response, 200, answer),
      async ({ connect }) => {
        const error = await rejection(connect());
        assert.equal([error.code, error.exitStatus, error.message], ['CLUSTER_TOO_OLD', 3, expected]);
      },
    ),
  );
}

for (const answer of [
  { major: '1', minor: '30' },
  { major: '1', minor: '31+' },
  { major: '2', minor: '0' },
]) {
  opening(`a server ${answer.major}.${answer.minor} is new enough`, () =>
    withServer(
      (_, response) => json(response, 200, answer),
      async ({ connect }) => (await connect()).close(),
    ),
  );
}

for (const [code, message, hint] of [
  [
    401,
    'the cluster of context kind-x does not accept the login: Unauthorized',
    'log in again, then check with: kubectl --context kind-x auth whoami',
  ],
  [
    403,
    'not allowed: Unauthorized',
    'ask for the right, then check with: kubectl --context kind-x auth can-i --list',
  ],
] as const) {
  opening(`a ${code} is told as a refusal, not as a cluster that is away`, () =>
    withServer(
      (_, response) => json(response, code, status(code, 'x', 'Unauthorized')),
      async ({ connect }) => {
        const error = await rejection(connect());
        assert.equal([error.code, error.message, error.hint], ['CLUSTER_REFUSED', message, hint]);
      },
    ),
  );
}

opening('a login that does not arrive is told as such, not as a missing right', () => {
  const said = 'forbidden: User "system:anonymous" cannot get path "/version"';
  return withServer(
    (_, response) => json(response, 403, status(403, 'Forbidden', said)),
    async ({ connect }) => {
      const error = await rejection(connect());
      assert.is(error.message, `the cluster of context kind-x does not accept the login: ${said}`);
      assert.match(error.hint ?? '', /auth whoami$/);
    },
  );
});

opening('a proxy that dies at its start is told at once, in its own words without secrets', async () => {
  const started = performance.now();
  await withServer(
    nothing,
    async ({ connect, socket }) => {
      const error = await rejection(connect());
      assert.equal(
        [error.code, error.message],
        ['KUBECTL_FAILED', 'kubectl proxy did not start: error: context "kind-x" does not exist: [KEY]'],
      );
      assert.is(error.hint, 'kubectl --context kind-x cluster-info');
      assert.not.ok(existsSync(path.dirname(socket())));
    },
    {
      secret: 'correct-horse',
      script: () => 'echo "error: context \\"kind-x\\" does not exist: correct-horse" >&2; exit 1',
    },
  );
  assert.ok(performance.now() - started < 5000, 'it does not wait for the deadline');
});

opening('a proxy that dies without a word is told by its exit status', () =>
  withServer(
    nothing,
    async ({ connect }) => {
      const error = await rejection(connect());
      assert.is(error.message, 'kubectl proxy did not start: exit status 7');
    },
    { script: () => 'exit 7' },
  ),
);

opening('a proxy that never says that it serves is given up after the deadline, and ended', () =>
  withServer(
    nothing,
    async ({ connect, kubectl }) => {
      const { timeout } = AbortSignal;
      AbortSignal.timeout = (milliseconds) => timeout(milliseconds / 100);
      try {
        const error = await rejection(connect());
        assert.equal(
          [error.code, error.message],
          ['KUBECTL_FAILED', 'kubectl proxy did not start: no answer within 20 s'],
        );
      } finally {
        AbortSignal.timeout = timeout;
      }
      const pid = Number(readFileSync(path.join(kubectl.folder, 'pid'), 'utf8'));
      await until(() => !isAlive(pid), 'the proxy is still there');
    },
    { script: () => 'echo $$ >"$(dirname "$0")/pid"; exec sleep 600' },
  ),
);

opening('an interruption while the proxy starts ends it, with its own reason', () =>
  withServer(
    nothing,
    async ({ connect, session }) => {
      const reason = new StrataError('INTERRUPTED', 'interrupted');
      setTimeout(() => session.interrupt(reason), 50);
      assert.is(await rejection(connect()), reason);
    },
    { script: () => 'exec sleep 600' },
  ),
);

opening('a login plugin gets the terminal first, where there is one', () =>
  withServer(
    nothing,
    async ({ connect, kubectl }) => {
      (await connect({ usesExec: true })).close();
      assert.equal(
        kubectl.calls().map((call) => call.split('|')[1]!.split(' --unix')[0]),
        ['--context kind-x get --raw /version', 'proxy --context kind-x'],
      );
    },
    {
      session: { terminal: { interactive: true } },
      script: (server) => `case $* in *get*) exit 0;; esac\n${servingProxy(server)}`,
    },
  ),
);

opening('a login that fails is a refusal', () =>
  withServer(
    nothing,
    async ({ connect }) => {
      const error = await rejection(connect({ usesExec: true }));
      assert.equal(
        [error.code, error.hint],
        ['CLUSTER_REFUSED', 'kubectl --context kind-x get --raw /version'],
      );
    },
    { session: { terminal: { interactive: true } }, script: () => 'exit 1' },
  ),
);

opening('the end of the process ends the proxy and removes its socket', () =>
  withServer(nothing, async ({ connect, session, socket, kubectl }) => {
    await connect();
    assert.ok(lstatSync(socket()));
    session.end();
    assert.not.ok(existsSync(path.dirname(socket())));
    assert.is(kubectl.calls().length, 1);
  }),
);

opening('the proxy ends when strata is killed, and its socket goes too', () =>
  withServer(nothing, async ({ kubectl, socket, pidFile }) => {
    const program = `
      import { connect } from './scripts/lib/connection.ts';
      import { testSession } from './test/support/session.ts';
      const kubectl = ${JSON.stringify({ program: kubectl.program })};
      connect(testSession(), kubectl, ${JSON.stringify(context)}).then(() => console.log('connected'));
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
      cwd: projectFolder,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout!, 'data');
    const pid = Number(readFileSync(pidFile, 'utf8'));
    assert.ok(isAlive(pid) && existsSync(path.dirname(socket())));
    child.kill('SIGKILL');
    await until(() => !isAlive(pid), 'the proxy survived');
    await until(() => !existsSync(path.dirname(socket())), 'the socket survived');
  }),
);

const asking = suite('request');

/** Connects, works, and closes. */
const connectedAnew = (
  handle: Handler,
  work: (connection: Connection, rig: Rig) => Promise<void>,
  options: RigOptions = {},
): Promise<void> =>
  withServer(
    serving(handle),
    async (rig) => {
      const connection = await rig.connect();
      try {
        await work(connection, rig);
      } finally {
        connection.close();
      }
    },
    options,
  );

interface Shared {
  connection: Connection;
  rig: Rig;
  close(): Promise<void>;
}

let shared: Promise<Shared> | undefined;
let sharedHandler: Handler;

/** One connection for all tests that leave it as it was; each of them costs a few processes. */
function openShared(): Promise<Shared> {
  return new Promise((resolve, reject) => {
    let release = (): void => {};
    const released = new Promise<void>((done) => {
      release = done;
    });
    const done = connectedAnew(
      (...args) => sharedHandler(...args),
      async (connection, rig) => {
        const close = (): Promise<void> => {
          release();
          return done;
        };
        resolve({ connection, rig, close });
        await released;
      },
    );
    done.catch(reject);
  });
}

async function connected(
  handle: Handler,
  work: (connection: Connection, rig: Rig) => Promise<void>,
): Promise<void> {
  shared ??= openShared();
  const { connection, rig } = await shared;
  rig.requests.length = 0;
  rig.pauses.length = 0;
  const counts = new Map<string, number>();
  sharedHandler = (seen, response) => {
    const key = `${seen.method} ${seen.url}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    handle(seen, response, counts.get(key)!);
  };
  await work(connection, rig);
}

asking('hands out text as it is, whatever the status, and asks for it once', () =>
  connected(
    (_, response) => plain(response, 503, 'no {json\n'),
    async (connection, { requests }) => {
      const { status: code, text } = await connection.getText('/log?tailLines=3');
      assert.equal([code, text], [503, 'no {json\n']);
      assert.equal(
        requests.map(({ method, url, headers }) => [method, url, headers.accept]),
        [['GET', '/log?tailLines=3', '*/*']],
      );
    },
  ),
);

asking('sends method, path and body as they are, and returns the answer', () =>
  connected(
    (_, response) => json(response, 201, { kind: 'Namespace' }),
    async (connection, { requests }) => {
      const path = '/api/v1/namespaces?fieldManager=strata';
      assert.equal(await connection.request({ method: 'POST', path, body: { name: 'ä🚀' } }), {
        status: 201,
        body: { kind: 'Namespace' },
      });
      const [seen] = requests;
      assert.equal(
        [
          seen!.method,
          seen!.url,
          JSON.parse(seen!.body),
          seen!.headers.accept,
          seen!.headers['content-type'],
        ],
        ['POST', path, { name: 'ä🚀' }, 'application/json', 'application/json'],
      );
      assert.is(seen!.headers.host, 'localhost');
    },
  ),
);

for (const method of ['DELETE', 'POST', 'PATCH'] as const) {
  // Without it Node sends a DELETE chunked, and the server ignores the uid in it.
  asking(`${method} says how long its body is`, () =>
    connected(
      (_, response) => json(response, 200, {}),
      async (connection, { requests }) => {
        const body = { preconditions: { uid: 'ä-1' } };
        await connection.request({ method, path: '/x', body, contentType: 'application/apply-patch+yaml' });
        const { headers } = requests[0]!;
        assert.is(Number(headers['content-length']), Buffer.byteLength(JSON.stringify(body)));
        assert.equal(
          [headers['transfer-encoding'], headers['content-type']],
          [undefined, 'application/apply-patch+yaml'],
        );
        assert.is(requests[0]!.body, JSON.stringify(body));
      },
    ),
  );
}

for (const [code, reason] of [
  [400, 'BadRequest'],
  [403, 'Forbidden'],
  [404, 'NotFound'],
  [409, 'Conflict'],
  [422, 'Invalid'],
  // Strict field validation of an apply patch answers 500.
  [500, 'InternalError'],
] as const) {
  asking(`a ${code} with a Status is the server's answer, asked for once`, () =>
    connected(
      (_, response) => json(response, code, status(code, reason, 'why')),
      async (connection, { requests, pauses }) => {
        const answer = await connection.request({ method: 'PATCH', path: '/x', body: {}, repeatable: true });
        assert.equal(
          [answer.status, (answer.body as { reason: string }).reason, requests.length, pauses],
          [code, reason, 1, []],
        );
      },
    ),
  );
}

asking('a 500 with a Status is asked again for what is only read, for it may pass', () =>
  connected(
    (_, response, count) =>
      count < 3
        ? json(response, 500, status(500, 'InternalError', 'etcdserver: leader changed'))
        : json(response, 200, { ok: true }),
    async (connection, { requests, pauses }) => {
      assert.equal(await connection.get('/x'), { ok: true });
      assert.equal([requests.length, pauses], [3, [100, 200]]);
    },
  ),
);

asking('a 500 with a Status that does not pass is the answer', () =>
  connected(
    (_, response) => json(response, 500, status(500, 'InternalError', 'conversion webhook failed')),
    async (connection, { requests }) => {
      const answer = await connection.request({ method: 'GET', path: '/x' });
      assert.equal([answer.status, requests.length], [500, 3]);
    },
  ),
);

asking('a 500 in plain text is the proxy: tried five times, then the cluster is unreachable', () =>
  connected(
    (_, response) => plain(response, 500, 'dial tcp 127.0.0.1:6443: connect: connection refused\n'),
    async (connection, { requests, pauses }) => {
      const error = await rejection(connection.request({ method: 'GET', path: '/x' }));
      assert.equal(
        [error.code, error.exitStatus, error.message, error.hint],
        [
          'CLUSTER_UNREACHABLE',
          3,
          'the cluster of context kind-x (https://127.0.0.1:6443) cannot be reached: dial tcp 127.0.0.1:6443: connect: connection refused',
          'kubectl --context kind-x cluster-info',
        ],
      );
      assert.equal([requests.length, pauses], [5, [100, 200, 400, 800]]);
    },
  ),
);

asking('a proxy that finds the server again is no failure', () =>
  connected(
    (_, response, count) =>
      count < 3 ? plain(response, 502, 'bad gateway') : json(response, 200, { ok: true }),
    async (connection, { requests }) => {
      assert.equal(await connection.get('/x'), { ok: true });
      assert.is(requests.length, 3);
    },
  ),
);

for (const [name, over, hint] of [
  ['minikube', { name: 'minikube' }, 'minikube status; minikube start'],
  ['the sandbox', { name: 'strata-sandbox' }, 'npm run sandbox -- start'],
  ['a named sandbox', { name: 'strata-sandbox-rv2' }, 'npm run sandbox -- start --name rv2'],
  [
    'a cluster of a like name',
    { name: 'strata-sandboxes' },
    'kubectl --context strata-sandboxes cluster-info',
  ],
] as const) {
  asking(`where ${name} is away, the hint is how to start it`, () =>
    withServer(
      (_, response) => plain(response, 500, 'refused'),
      async (rig) => assert.is((await rejection(rig.connect(over))).hint, hint),
    ),
  );
}

for (const code of [429, 502, 503, 504]) {
  asking(`a ${code} is asked again for what may be repeated, after the pause that the server wants`, () =>
    connected(
      (_, response, count) =>
        count === 1
          ? json(response, code, status(code, 'Busy', 'slow down'), { 'Retry-After': '3' })
          : json(response, 200, { count }),
      async (connection, { pauses }) => {
        assert.equal(await connection.request({ method: 'PATCH', path: '/x', body: {}, repeatable: true }), {
          status: 200,
          body: { count: 2 },
        });
        assert.equal(pauses, [3000]);
      },
    ),
  );
  asking(`a ${code} to what may not be repeated is told at once`, () =>
    connected(
      (_, response) => json(response, code, status(code, 'Busy', 'slow down'), { 'Retry-After': '3' }),
      async (connection, { requests, pauses }) => {
        const error = await rejection(connection.request({ method: 'POST', path: '/x', body: {} }));
        assert.is(error.code, 'CLUSTER_UNREACHABLE');
        assert.match(error.message, /slow down$/);
        assert.equal([requests.length, pauses], [1, []]);
      },
    ),
  );
}

asking('no server may make us wait longer than ten seconds', () =>
  connected(
    (_, response, count) =>
      count === 1 ? json(response, 503, {}, { 'Retry-After': '3600' }) : json(response, 200, {}),
    async (connection, { pauses }) => {
      await connection.get('/x');
      assert.equal(pauses, [10_000]);
    },
  ),
);

const cutOff: Handler = (_, response) => {
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '1000' });
  response.write('{"kind":');
  setTimeout(() => response.destroy(), 5);
};

asking('an answer that is cut off is none: asked again, or told', () =>
  connected(
    (seen, response, count) =>
      seen.method === 'GET' && count === 2 ? json(response, 200, { count }) : cutOff(seen, response, count),
    async (connection) => {
      assert.equal(await connection.get('/x'), { count: 2 });
      const error = await rejection(connection.request({ method: 'POST', path: '/x', body: {} }));
      assert.is(error.code, 'CLUSTER_UNREACHABLE');
    },
  ),
);

asking('half an object that happens to end is no answer either', () =>
  connected(
    (_, response) => plain(response, 200, '{"kind":"Na'),
    async (connection, { requests }) => {
      assert.is((await rejection(connection.get('/x'))).code, 'CLUSTER_UNREACHABLE');
      assert.is(requests.length, 5);
    },
  ),
);

// The API server answers so where a group is gone; proxies in front of it where a login is missing.
for (const [code, text, get] of [
  [404, '404 page not found', 'undefined'],
  [401, 'Unauthorized', 'CLUSTER_REFUSED'],
  [403, 'Forbidden', 'CLUSTER_REFUSED'],
] as const) {
  asking(`a ${code} in plain text is an answer, for the proxy itself only says 5xx`, () =>
    connected(
      (_, response) => plain(response, code, text),
      async (connection, { requests }) => {
        assert.is((await connection.request({ method: 'GET', path: '/x' })).status, code);
        assert.is(requests.length, 1);
        if (get === 'undefined') return assert.is(await connection.get('/x'), undefined);
        const error = await rejection(connection.get('/x'));
        assert.is(error.code, get);
        assert.match(error.message, text);
      },
    ),
  );
}

asking('nothing of a secret is in the error, not even where the text is cut', () =>
  connectedAnew(
    (_, response) => plain(response, 500, `${'x'.repeat(290)} correct-horse-battery-staple`),
    async (connection) => {
      const { message } = await rejection(connection.get('/x'));
      assert.not.match(message, 'correct');
    },
    { secret: 'correct-horse-battery-staple' },
  ),
);

asking('a request that gets no answer is given up after its deadline', () =>
  connected(
    () => {},
    async (connection) => {
      const { timeout } = AbortSignal;
      AbortSignal.timeout = (milliseconds) => timeout(milliseconds / 300);
      try {
        const error = await rejection(connection.request({ method: 'POST', path: '/x', body: {} }));
        assert.equal(
          [error.code, error.message.split(': ').at(-1)],
          ['CLUSTER_UNREACHABLE', 'no answer within 30 s'],
        );
      } finally {
        AbortSignal.timeout = timeout;
      }
    },
  ),
);

asking('a proxy that dies is told in its own words, without trying on', () =>
  connectedAnew(
    (_, response) => response.destroy(),
    async (connection, { pidFile, pauses }) => {
      process.kill(Number(readFileSync(pidFile, 'utf8')));
      let message = '';
      for (let count = 0; count < 100 && !message.includes('ended'); count++) {
        ({ message } = await rejection(connection.get('/x')));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      assert.match(message, /cannot be reached: kubectl proxy ended: error: token of \[KEY\] expired$/m);
      pauses.length = 0;
      await rejection(connection.get('/x'));
      assert.equal(pauses, []);
    },
    {
      secret: 'correct-horse',
      script: (server) => servingProxy(server, 'echo "error: token of correct-horse expired" >&2'),
    },
  ),
);

asking('an interruption ends what is under way, with its own reason', () =>
  connectedAnew(
    () => {},
    async (connection, { session }) => {
      const reason = new StrataError('INTERRUPTED', 'interrupted');
      const request = connection.get('/x');
      setTimeout(() => session.interrupt(reason), 20);
      assert.is(await rejection(request), reason);
      assert.is(await rejection(connection.get('/y')), reason);
    },
  ),
);

asking('never more than sixteen at once, and all of them come back', () => {
  let open = 0;
  let most = 0;
  let waiting: (() => void)[] | undefined = [];
  const release = (): void => {
    for (const answer of waiting ?? []) answer();
    waiting = undefined;
  };
  return connected(
    (seen, response) => {
      most = Math.max(most, ++open);
      const answer = (): void => {
        open--;
        json(response, 200, { url: seen.url });
      };
      if (!waiting) return answer();
      // A seventeenth would be here by then.
      if (waiting.push(answer) === 16) setTimeout(release, 50);
    },
    async (connection) => {
      const urls = Array.from({ length: 100 }, (_, index) => `/x/${index}`);
      assert.equal(
        await Promise.all(urls.map((url) => connection.get(url))),
        urls.map((url) => ({ url })),
      );
      assert.is(most, 16);
    },
  );
});

asking('--verbose tells every line and every request', () =>
  connectedAnew(
    (_, response) => json(response, 200, {}),
    async (connection, { session, socket }) => {
      await connection.get('/api/v1/pods?limit=1');
      assert.is(
        session.output.stderr,
        `$ kubectl proxy --context kind-x --unix-socket=${socket()} --append-server-path\nGET /version 200\nGET /api/v1/pods?limit=1 200\n`,
      );
    },
    { session: { verbose: true } },
  ),
);

const getting = suite('get');

for (const [code, expected] of [
  [409, 'the cluster answered 409 to GET /x: why'],
  [403, 'not allowed: why'],
  [401, 'the cluster of context kind-x does not accept the login: why'],
] as const) {
  getting(`a ${code} is a refusal`, () =>
    connected(
      (_, response) => json(response, code, status(code, 'x', 'why')),
      async (connection) => {
        const error = await rejection(connection.get('/x?y=z'));
        assert.equal([error.code, error.message], ['CLUSTER_REFUSED', expected]);
      },
    ),
  );
}

getting('a 404 is nothing, an object is the object', () =>
  connected(
    (seen, response) =>
      seen.url === '/gone'
        ? json(response, 404, status(404, 'NotFound', 'x'))
        : json(response, 200, { a: 1 }),
    async (connection) => {
      assert.equal([await connection.get('/gone'), await connection.get('/x')], [undefined, { a: 1 }]);
    },
  ),
);

getting('a refusal without a message has its status', () => {
  const error = refusal(context, { method: 'GET', path: '/x?y' }, { status: 418, body: {} });
  assert.equal(
    [error.message, error.hint],
    ['the cluster answered 418 to GET /x: status 418', "kubectl --context kind-x get --raw '/x'"],
  );
});

const watching = suite('watch');

const event = (name: string): WatchEvent => ({ type: 'ADDED', object: { metadata: { name } } });
const line = (name: string): string => `${JSON.stringify(event(name))}\n`;
const never = new AbortController().signal;

const stream =
  (write: (response: http.ServerResponse) => void): Handler =>
  (_, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json' });
    write(response);
  };

watching('hands over each event in order, however the bytes arrive, until the server ends', () =>
  connected(
    stream((response) => {
      const bytes = Buffer.from(line('a') + line('ä🚀') + line('c'));
      for (const [index, byte] of bytes.entries())
        setTimeout(() => response.write(Buffer.of(byte)), index / 20);
      setTimeout(() => response.end(), 60);
    }),
    async (connection) => {
      const events: WatchEvent[] = [];
      await connection.watch('/x?watch=true', never, (found) => events.push(found));
      assert.equal(events, [event('a'), event('ä🚀'), event('c')]);
    },
  ),
);

watching('ends quietly when nobody wants it any more', () =>
  connected(
    stream((response) => response.write(line('a'))),
    async (connection) => {
      const stop = new AbortController();
      let count = 0;
      await connection.watch('/x', stop.signal, () => {
        count++;
        stop.abort();
      });
      await connection.watch('/x', stop.signal, () => {
        count++;
      });
      assert.is(count, 1);
    },
  ),
);

for (const [name, handle, pattern] of [
  [
    'a stream that breaks',
    stream((response) => {
      response.write(line('a'));
      setTimeout(() => response.destroy(), 10);
    }),
    /aborted|reset|hang up/,
  ],
  [
    'a refusal',
    ((_, response) => json(response, 410, status(410, 'Expired', 'too old'))) as Handler,
    /^watch refused with status 410$/,
  ],
  ['a line that is no JSON', stream((response) => response.write('<html>\n')), /JSON/],
  [
    'a stream that ends within a line',
    stream((response) => response.end(line('a') + line('b').slice(0, 20))),
    /JSON/,
  ],
  ['a server that is gone', ((_, response) => response.destroy()) as Handler, /hang up|reset/],
] as [string, Handler, RegExp][]) {
  watching(`${name} rejects, so that somebody lists again`, () =>
    connected(handle, async (connection) => {
      assert.match((await failure(connection.watch('/x', never, () => {}))).message, pattern);
    }),
  );
}

watching('what the reader of an event throws ends the watch', () =>
  connected(
    stream((response) => response.write(line('a'))),
    async (connection) => {
      const { message } = await failure(
        connection.watch('/x', never, () => {
          throw new Error('the watch has to start again');
        }),
      );
      assert.is(message, 'the watch has to start again');
    },
  ),
);

watching('takes no place of a request, and as many as there are make Node warn of nothing', () =>
  connected(
    (seen, response, count) =>
      seen.url === '/watch' ? stream(() => {})(seen, response, count) : json(response, 200, {}),
    async (connection) => {
      const warnings: Error[] = [];
      const onWarning = (warning: Error): number => warnings.push(warning);
      process.on('warning', onWarning);
      const stop = new AbortController();
      const watches = Array.from({ length: 20 }, () => connection.watch('/watch', stop.signal, () => {}));
      assert.equal(await connection.get('/x'), {});
      stop.abort();
      await Promise.all(watches);
      process.off('warning', onWarning);
      assert.equal(warnings, []);
    },
  ),
);

watching.after(async () => (await shared)?.close());

opening.run();
asking.run();
getting.run();
watching.run();
