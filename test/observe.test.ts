import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Connection, connect } from '../scripts/lib/connection.ts';
import { StrataError } from '../scripts/lib/errors.ts';
import { configMaps } from '../scripts/lib/live.ts';
import { observe } from '../scripts/lib/observe.ts';
import type { Clock } from '../scripts/lib/session.ts';
import { rejection } from './support/assertions.ts';
import { withKubectl } from './support/fake-kubectl.ts';
import { until } from './support/process.ts';
import { testSession } from './support/session.ts';

/** Sleeps pass at once, and are counted as time. */
function createClock(): Clock {
  let time = 0;
  return {
    now: () => time,
    async sleep(milliseconds, signal) {
      signal?.throwIfAborted();
      time += milliseconds;
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

/** As `connect` says it of a server that starts again. */
const gone = await withKubectl(
  `for word; do case $word in --unix-socket=*) socket=\${word#*=};; esac; done
echo "Starting to serve on $socket"
exec sleep 60`,
  async (kubectl) => {
    const session = testSession({ clock: createClock() });
    const context = { name: 'c', cluster: 'c', server: 'https://c', user: 'c', usesExec: false };
    try {
      return await rejection(connect(session, kubectl, context));
    } finally {
      session.end();
    }
  },
);
const lasting = new StrataError('CLUSTER_UNREACHABLE', 'the proxy is gone');

interface Rig {
  connection: Connection;
  /** What each list says in turn; the last one for ever. */
  answers: (string | StrataError)[];
  signal: AbortController;
}

function createRig(...answers: Rig['answers']): Rig {
  const signal = new AbortController();
  const rig: Rig = {
    answers,
    signal,
    connection: {
      async get() {
        const answer = rig.answers.length > 1 ? rig.answers.shift()! : rig.answers[0]!;
        if (answer instanceof StrataError) throw answer;
        return { metadata: { resourceVersion: '1' }, items: [{ metadata: { name: answer } }] };
      },
      // Each watch breaks at once.
      watch: async () => {},
    } as Partial<Connection> as Connection,
  };
  return rig;
}

const watchedFor = async (milliseconds: number, rig: Rig) => {
  const seen: { names: string; isSilent: boolean }[] = [];
  const errors: unknown[] = [];
  const view = await observe(
    rig.connection,
    createClock(),
    { resource: configMaps, namespace: 'a' },
    rig.signal.signal,
    {
      onChange: () =>
        seen.push({ names: [...view.objects.keys()].join(), isSilent: view.silence !== undefined }),
      onError: (error) => errors.push(error),
    },
    milliseconds,
  );
  view.follow();
  return { seen, errors, view };
};

const observing = suite('observe');

observing('a server that starts again is silent meanwhile, and then told anew', async () => {
  assert.is(gone.code, 'CLUSTER_UNREACHABLE');
  const rig = createRig('before', gone, gone, 'after');
  const { seen, errors } = await watchedFor(60_000, rig);
  await until(() => seen.length >= 3);
  rig.signal.abort();
  assert.equal(seen.slice(0, 3), [
    { names: 'before', isSilent: true },
    { names: 'before', isSilent: true },
    { names: 'after', isSilent: false },
  ]);
  assert.equal(errors, []);
});

observing('the first list is waited for too', async () => {
  const rig = createRig(gone, gone, 'there');
  const { view } = await watchedFor(60_000, rig);
  rig.signal.abort();
  assert.equal([...view.objects.keys()], ['there']);
});

observing('not for longer than there is time, and what will not mend at once', async () => {
  const late = createRig('before', gone);
  const { seen, errors } = await watchedFor(3000, late);
  await until(() => errors.length > 0);
  assert.is(errors[0], gone);
  assert.ok(seen.length >= 5 && seen.length <= 7, String(seen.length));
  assert.is(await rejection(watchedFor(3000, createRig(lasting))), lasting);
  assert.is(await rejection(watchedFor(0, createRig(gone))), gone);
});

observing.run();
