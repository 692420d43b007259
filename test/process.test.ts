import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  isRunning,
  parseRecord,
  processWithPid,
  readRecords,
  signalRecorded,
  spawnRecorded,
  stopProcesses,
} from '../scripts/lib/process.ts';
import { systemClock } from '../scripts/lib/session.ts';

const withFolder = async (work: (folder: string) => Promise<void>): Promise<void> => {
  const folder = mkdtempSync(path.join(tmpdir(), 'strata-process-'));
  try {
    await work(folder);
  } finally {
    for (const record of readRecords(folder).values()) signalRecorded(record, 'SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
};

const start = (folder: string, script: string, name = 'program') =>
  spawnRecorded({
    folder,
    name,
    file: '/bin/sh',
    args: ['-c', script],
    cwd: folder,
    environment: { PATH: process.env.PATH },
    log: path.join(folder, 'log'),
  });

const recorded = async (folder: string, name = 'program') => {
  for (;;) {
    const record = readRecords(folder).get(name);
    if (record) return record;
    await systemClock.sleep(5);
  }
};

const parsing = suite('parseRecord');

const stat = (state: string): string => `77 (a) b) ${state} 1 77 77 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 4242 9 9`;

for (const [text, expected] of [
  [`77\nboot\n${stat('S')}\n`, { pid: 77, born: 'boot 4242' }],
  [`77\n\nSat Nov 21 09:31:00 2026\n`, { pid: 77, born: 'Sat Nov 21 09:31:00 2026' }],
  ['', undefined],
  ['77\n', undefined],
  ['1\nboot\nx\n', undefined],
  [`-5\nboot\n${stat('S')}\n`, undefined],
] as const) {
  parsing(`reads ${JSON.stringify(text.slice(0, 12))}`, () => {
    assert.equal(parseRecord(text), expected);
  });
}

parsing.run();

const running = suite('processWithPid');

running('knows this process', () => {
  const self = processWithPid(process.pid);
  assert.ok(self && isRunning(self));
});

running('says nothing about a pid that nobody has', () => {
  assert.is(processWithPid(2 ** 22 + 1), undefined);
});

running('takes a pid with another time of birth for somebody else', () => {
  assert.not.ok(isRunning({ pid: process.pid, born: 'long ago' }));
});

running.run();

const spawning = suite('spawnRecorded');

spawning('records the program under its own pid and logs privately', () =>
  withFolder(async (folder) => {
    const child = start(folder, 'echo said; echo complained >&2; exec sleep 60');
    const record = await recorded(folder);
    assert.is(record.pid, child.pid);
    assert.ok(isRunning(record));
    while (!readFileSync(path.join(folder, 'log'), 'utf8').includes('complained')) await systemClock.sleep(5);
    assert.is(readFileSync(path.join(folder, 'log'), 'utf8'), 'said\ncomplained\n');
    assert.equal(await stopProcesses(systemClock, [record]), []);
    assert.not.ok(isRunning(record));
  }),
);

spawning('does not start the program where the folder of the record is gone', () =>
  withFolder(async (folder) => {
    const trace = path.join(folder, 'started');
    const child = spawnRecorded({
      folder: path.join(folder, 'gone'),
      name: 'program',
      file: '/bin/sh',
      args: ['-c', `: >${trace}`],
      cwd: folder,
      environment: {},
      log: path.join(folder, 'log'),
    });
    while (child.exitCode === null) await systemClock.sleep(5);
    assert.is.not(child.exitCode, 0);
    assert.not.ok(existsSync(trace));
  }),
);

spawning.run();

const stopping = suite('stopProcesses');

stopping('ends the whole group, also one that ignores SIGTERM', () =>
  withFolder(async (folder) => {
    start(folder, 'trap "" TERM; sleep 60 & echo $! >child; wait; wait');
    const record = await recorded(folder);
    while (!existsSync(path.join(folder, 'child'))) await systemClock.sleep(5);
    await systemClock.sleep(20);
    const child = processWithPid(Number(readFileSync(path.join(folder, 'child'), 'utf8')))!;
    // A clock that runs ahead, so that the test does not wait the five seconds.
    let ahead = 0;
    const clock = {
      now: () => systemClock.now() + ahead,
      sleep: (milliseconds: number) => {
        ahead += 200;
        return systemClock.sleep(milliseconds);
      },
    };
    assert.equal(await stopProcesses(clock, [record]), []);
    assert.not.ok(isRunning(record));
    while (isRunning(child)) await systemClock.sleep(5);
  }),
);

stopping('leaves a process alone that only has the same pid', () =>
  withFolder(async (folder) => {
    start(folder, 'exec sleep 60');
    const record = await recorded(folder);
    assert.equal(await stopProcesses(systemClock, [{ pid: record.pid, born: 'before that' }]), []);
    assert.ok(isRunning(record));
  }),
);

stopping.run();
