import { setImmediate as tick } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Answer, Connection, Request } from '../scripts/lib/connection.ts';
import { StrataError } from '../scripts/lib/errors.ts';
import { inventoryOf } from '../scripts/lib/inventory.ts';
import { isGone, type LeaseOptions, ownProcess, withLease } from '../scripts/lib/lease.ts';
import { at, textAt } from '../scripts/lib/manifest.ts';
import type { Clock } from '../scripts/lib/session.ts';
import { rejection } from './support/assertions.ts';
import { type TestSession, testSession } from './support/session.ts';

const inventory = inventoryOf('dev', 'shop');
const options: LeaseOptions = { command: 'up', steal: false, timeout: 300_000, plannedVersion: undefined };

/** Time passes when somebody sleeps, and only then; the earliest sleeper wakes first. */
function createFakeClock(): Clock {
  let time = 0;
  const sleepers: { until: number; wake: () => void }[] = [];
  const step = async (): Promise<void> => {
    for (let count = 0; count < 20; count++) await tick();
    sleepers.sort((a, b) => a.until - b.until);
    const next = sleepers.shift();
    if (next === undefined) return;
    time = Math.max(time, next.until);
    next.wake();
  };
  return {
    now: () => time,
    sleep: (milliseconds, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const own = signal && AbortSignal.any([signal]);
        own?.addEventListener('abort', () => reject(own.reason), { once: true });
        sleepers.push({ until: time + milliseconds, wake: resolve });
        void step();
      }),
  };
}

interface FakeServer {
  connection: Connection;
  /** undefined: there is none. */
  lease: { holder: string; version: number; seconds: number; process?: string } | undefined;
  asked: string[];
  /** Comes before the answer of the server; undefined leaves it to that. */
  fault: (request: Request) => Answer | Error | undefined;
}

/** As the API server treats one Lease. */
function createServer(): FakeServer {
  let version = 1;
  const server: FakeServer = {
    lease: undefined,
    asked: [],
    fault: () => undefined,
    connection: {
      context: { name: 'dev' } as Connection['context'],
      async request(request) {
        server.asked.push(request.method);
        const fault = server.fault(request);
        if (fault instanceof Error) throw fault;
        return fault ?? answer(request);
      },
      getText: async () => ({ status: 404, text: '' }),
      now: () => 0,
      async get(path) {
        if (!path.includes('/leases/')) return undefined;
        server.asked.push('GET');
        const { status, body } = answer({ method: 'GET', path });
        return status === 404 ? undefined : body;
      },
      watch: async () => {},
      close() {},
    },
  };
  const read = (status = 200): Answer => {
    const { holder, process, seconds } = server.lease!;
    return {
      status,
      body: {
        metadata: {
          uid: 'of the lease',
          resourceVersion: String(server.lease!.version),
          annotations: process ? { 'strata.dev/process': process } : {},
        },
        spec: { holderIdentity: holder, leaseDurationSeconds: seconds },
      },
    };
  };
  const write = (body: unknown, status: number): Answer => {
    const holder = textAt(body, 'spec', 'holderIdentity') ?? '';
    server.lease = { holder, version: ++version, seconds: Number(at(body, 'spec', 'leaseDurationSeconds')) };
    return read(status);
  };
  const answer = ({ method, body }: Request): Answer => {
    if (method === 'POST') return server.lease ? { status: 409, body: {} } : write(body, 201);
    if (method === 'PUT' && server.lease === undefined)
      // It makes a Lease anew, but for one with a uid.
      return textAt(body, 'metadata', 'uid') === undefined ? write(body, 201) : { status: 409, body: {} };
    if (server.lease === undefined) return { status: 404, body: {} };
    if (method === 'GET') return read();
    const wanted =
      textAt(body, 'metadata', 'resourceVersion') ?? textAt(body, 'preconditions', 'resourceVersion');
    if (wanted !== String(server.lease.version)) return { status: 409, body: {} };
    if (method === 'PUT') return write(body, 200);
    server.lease = undefined;
    return { status: 200, body: {} };
  };
  return server;
}

const locked = (
  session: TestSession,
  server: FakeServer,
  work: (signal: AbortSignal) => Promise<string>,
  more: Partial<LeaseOptions> = {},
): Promise<string> =>
  withLease(session, server.connection, inventory, { ...options, ...more }, (holding) =>
    work(holding.session.signal),
  );

const done = async (): Promise<string> => 'done';

const taking = suite('taking the lock');

taking('free: one request to take it, one to give it back', async () => {
  const server = createServer();
  assert.is(await locked(testSession(), server, done), 'done');
  assert.equal(server.asked, ['POST', 'DELETE']);
  assert.is(server.lease, undefined);
});

taking(
  'an expired holder is measured on our own clock, since its record was last seen to change',
  async () => {
    const server = createServer();
    const clock = createFakeClock();
    const session = testSession({ clock });
    server.lease = { holder: 'carol', version: 1, seconds: 30 };
    // It renews three times, and then no more.
    let looks = 0;
    const { connection } = server;
    let last = 0;
    const get = connection.get;
    connection.get = async (path) => {
      if (path.includes('/leases/') && looks++ % 6 === 0 && looks < 18) {
        server.lease!.version++;
        last = clock.now();
      }
      return get(path);
    };
    assert.is(await locked(session, server, done), 'done');
    assert.ok(last > 5000, 'it was alive for a while');
    assert.ok(clock.now() - last > 30_000 && clock.now() - last < 34_000, String(clock.now() - last));
    assert.match(session.output.stderr, /took the lock over from carol: no sign of life for 30 s/);
  },
);

taking('the wall clock may jump: it is not asked', async () => {
  const server = createServer();
  const clock = createFakeClock();
  server.lease = { holder: 'carol', version: 1, seconds: 30 };
  const real = Date.now;
  let jump = 0;
  Date.now = () => {
    jump = jump > 0 ? -7_200_000 : 7_200_000;
    return real() + jump;
  };
  try {
    await locked(testSession({ clock }), server, done);
  } finally {
    Date.now = real;
  }
  assert.ok(clock.now() > 30_000 && clock.now() < 34_000, String(clock.now()));
});

taking('a holder that does not end in time: LOCKED, and it keeps the lock', async () => {
  const server = createServer();
  server.lease = { holder: 'carol', version: 1, seconds: 3600 };
  const session = testSession({ clock: createFakeClock() });
  const error = await rejection(locked(session, server, done, { timeout: 20_000 }));
  assert.is(error.code, 'LOCKED');
  assert.match(error.message, /^locked by carol, .* still so after 20\.0 s; nothing was changed$/);
  assert.match(error.hint ?? '', /npm run up -- dev --steal-lock$/);
  assert.is(server.lease?.holder, 'carol');
});

taking('--steal-lock and a holder of this machine that is gone need no waiting', async () => {
  const own = ownProcess();
  const gone = own?.replace(/ \d+$/, ' 1');
  const rows: [Partial<LeaseOptions>, string | undefined][] = [[{ steal: true }, undefined]];
  if (gone !== undefined) rows.push([{}, gone]);
  for (const [more, recorded] of rows) {
    const server = createServer();
    const clock = createFakeClock();
    server.lease = { holder: 'carol', version: 1, seconds: 30, ...(recorded ? { process: recorded } : {}) };
    await locked(testSession({ clock }), server, done, more);
    assert.is(clock.now(), 0);
  }
});

taking('only a process that could be seen from here is known to be gone', () => {
  const own = ownProcess();
  assert.is(isGone(undefined), false);
  assert.is(isGone('nonsense'), false);
  if (own === undefined) return;
  const [space, pid, boot, born] = own.split(' ');
  assert.is(isGone(own), false, 'it runs');
  assert.is(isGone(`${space} ${pid} ${boot} 1`), true, 'its pid was given to another one');
  assert.is(isGone(`pid:[1] ${pid} ${boot} 1`), false, 'another container');
  assert.is(isGone(`${space} ${pid} 0-0 ${born}`), false, 'another machine');
});

taking('leases that may not be used are a note, and no reason to stop', async () => {
  const server = createServer();
  server.fault = () => ({ status: 403, body: { message: 'leases is forbidden' } });
  const session = testSession();
  assert.is(await locked(session, server, done), 'done');
  assert.match(
    session.output.stderr,
    /^ {2}not locked: leases may not be used in namespace shop \(leases is/,
  );
  assert.equal(server.asked, ['POST'], 'nothing is released');
});

taking('an answer that never came may have taken it: it is given back', async () => {
  const server = createServer();
  const broken = new StrataError('CLUSTER_UNREACHABLE', 'gone');
  let posts = 0;
  server.fault = ({ method, body }) => {
    if (method !== 'POST' || posts++ > 0) return undefined;
    server.lease = { holder: textAt(body, 'spec', 'holderIdentity')!, version: 7, seconds: 30 };
    return broken;
  };
  assert.is(await rejection(locked(testSession(), server, done)), broken);
  assert.is(server.lease, undefined);
});

const holding = suite('holding the lock');

holding('a renewal that is late makes nothing anew of what was released', async () => {
  const server = createServer();
  const session = testSession({ clock: createFakeClock() });
  const { connection } = server;
  let arrive = (): void => {};
  const late = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  let isSent = false;
  const slow: FakeServer = {
    ...server,
    connection: {
      ...connection,
      async request(request) {
        if (request.method === 'PUT') {
          isSent = true;
          await late;
        }
        return connection.request(request);
      },
    },
  };
  await locked(session, slow, async () => {
    while (!isSent) await session.clock.sleep(1000);
    return 'done';
  });
  assert.is(server.lease, undefined, 'released');
  arrive();
  for (let count = 0; count < 50; count++) await tick();
  assert.is(server.lease, undefined);
  assert.equal(server.asked.slice(-2), ['DELETE', 'PUT']);
});

/** Works until the signal says stop; ends by itself after that many milliseconds. */
const workFor =
  (clock: Clock, milliseconds: number) =>
  async (signal: AbortSignal): Promise<string> => {
    const until = clock.now() + milliseconds;
    while (clock.now() < until) await clock.sleep(500, signal);
    return 'done';
  };

holding('is renewed every ten seconds', async () => {
  const server = createServer();
  const clock = createFakeClock();
  assert.is(await locked(testSession({ clock }), server, workFor(clock, 65_000)), 'done');
  assert.is(server.asked.filter((method) => method === 'PUT').length, 6);
  assert.is(server.lease, undefined);
});

for (const jump of [3_600_000, -3_600_000]) {
  holding(`goes on when the wall clock jumps by ${jump} ms`, async () => {
    const server = createServer();
    const clock = createFakeClock();
    const real = Date.now;
    const work = async (signal: AbortSignal): Promise<string> => {
      Date.now = () => real() + jump;
      return workFor(clock, 65_000)(signal);
    };
    try {
      assert.is(await locked(testSession({ clock }), server, work), 'done');
    } finally {
      Date.now = real;
    }
    assert.is(server.asked.filter((method) => method === 'PUT').length, 6);
  });
}

holding('ends the work when somebody else has it, and leaves it with them', async () => {
  const server = createServer();
  const clock = createFakeClock();
  const work = async (signal: AbortSignal): Promise<string> => {
    server.lease = { holder: 'carol', version: 99, seconds: 30 };
    return workFor(clock, 60_000)(signal);
  };
  const error = await rejection(locked(testSession({ clock }), server, work));
  assert.is(error.code, 'LOCKED');
  assert.match(error.message, /was lost, carol has taken it; nothing more was begun/);
  assert.ok(clock.now() <= 11_000, String(clock.now()));
  assert.is(server.lease?.holder, 'carol');
});

holding('ends the work before others may begin when it cannot be renewed', async () => {
  const server = createServer();
  const clock = createFakeClock();
  server.fault = ({ method }) => (method === 'PUT' ? new Error('no answer') : undefined);
  const error = await rejection(locked(testSession({ clock }), server, workFor(clock, 60_000)));
  assert.match(error.message, /it could not be renewed for 20\.0 s/);
  assert.is(error.code, 'LOCKED');
  assert.ok(clock.now() >= 20_000 && clock.now() < 25_000, String(clock.now()));
  const gone = new StrataError('CLUSTER_UNREACHABLE', 'the cluster is gone', { hint: 'minikube start' });
  server.fault = ({ method }) => (method === 'PUT' ? gone : undefined);
  server.lease = undefined;
  const other = await rejection(locked(testSession({ clock }), server, workFor(clock, 60_000)));
  assert.equal([other.code, other.hint], ['CLUSTER_UNREACHABLE', 'minikube start']);
  assert.match(other.message, /^the cluster is gone; the lock of overlay dev was lost/);
});

holding('survives a renewal whose answer was lost, and a lease that somebody deleted', async () => {
  const server = createServer();
  const clock = createFakeClock();
  let puts = 0;
  server.fault = ({ method }) => {
    if (method === 'PUT' && ++puts === 1) {
      server.lease!.version = 50;
      return new Error('cut off');
    }
    if (method === 'PUT' && puts === 4) server.lease = undefined;
    return undefined;
  };
  assert.is(await locked(testSession({ clock }), server, workFor(clock, 65_000)), 'done');
  assert.ok(puts > 4);
  assert.is(server.lease, undefined);
});

holding('is given back after an error and after an interruption', async () => {
  for (const isInterrupted of [false, true]) {
    const server = createServer();
    const session = testSession();
    const broken = new StrataError('INTERRUPTED', 'broken');
    const work = async (): Promise<string> => {
      if (isInterrupted) session.interrupt(broken);
      throw broken;
    };
    assert.is(await rejection(locked(session, server, work)), broken);
    assert.is(server.lease, undefined);
  }
});

taking.run();
holding.run();
