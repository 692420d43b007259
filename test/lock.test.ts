import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withLock } from '../scripts/lib/lock.ts';
import { processWithPid } from '../scripts/lib/process.ts';
import { systemClock } from '../scripts/lib/session.ts';
import { testSession } from './support/session.ts';

const locking = suite('withLock');

const withFile = async (work: (file: string) => Promise<void>): Promise<void> => {
  const folder = mkdtempSync(path.join(tmpdir(), 'strata-lock-'));
  try {
    await work(path.join(folder, 'lock'));
    assert.equal(readdirSync(folder), [], 'nothing is left');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

const ignore = (): void => {};

locking('lets one in at a time', () =>
  withFile(async (file) => {
    const events: string[] = [];
    const enter = (name: string) =>
      withLock(testSession(), file, ignore, async () => {
        events.push(`${name} in`);
        await systemClock.sleep(20);
        events.push(`${name} out`);
      });
    await Promise.all([enter('a'), enter('b'), enter('c')]);
    assert.is(events.length, 6);
    for (let index = 0; index < 6; index += 2) {
      assert.is(events[index]!.replace('in', 'out'), events[index + 1]);
    }
  }),
);

locking('is released when the action throws', () =>
  withFile(async (file) => {
    const failing = withLock(testSession(), file, ignore, async () => {
      throw new Error('no');
    });
    await failing.then(
      () => assert.unreachable(),
      (error) => assert.is(error.message, 'no'),
    );
    assert.is(await withLock(testSession(), file, ignore, async () => 'free'), 'free');
  }),
);

for (const [what, holder] of [
  ['a process that is dead', JSON.stringify({ pid: 2 ** 22 + 1, born: 'x' })],
  ['an earlier process with the pid of a living one', JSON.stringify({ pid: process.pid, born: 'x' })],
  ['nobody that can be read', '{'],
] as const) {
  locking(`is taken over from ${what}, by only one`, () =>
    withFile(async (file) => {
      writeFileSync(file, holder);
      let inside = 0;
      let most = 0;
      const enter = () =>
        withLock(testSession(), file, ignore, async () => {
          most = Math.max(most, ++inside);
          await systemClock.sleep(5);
          inside--;
        });
      await Promise.all([enter(), enter(), enter(), enter()]);
      assert.is(most, 1);
    }),
  );
}

locking('tells who holds it, and stops waiting when interrupted', () =>
  withFile(async (file) => {
    writeFileSync(file, JSON.stringify(processWithPid(process.pid)));
    const session = testSession();
    const told: number[] = [];
    const waiting = withLock(
      session,
      file,
      (pid) => {
        told.push(pid);
        session.interrupt(new Error('enough'));
      },
      async () => assert.unreachable(),
    );
    await waiting.then(
      () => assert.unreachable(),
      (error) => assert.is(error.message, 'enough'),
    );
    assert.equal(told, [process.pid]);
    assert.ok(existsSync(file));
    rmSync(file);
  }),
);

locking('is gone when the process ends inside', () =>
  withFile(async (file) => {
    const session = testSession();
    let leave = ignore;
    const inside = withLock(session, file, ignore, () => new Promise<void>((resolve) => (leave = resolve)));
    assert.ok(existsSync(file));
    session.end();
    assert.not.ok(existsSync(file));
    leave();
    await inside;
  }),
);

locking.run();
