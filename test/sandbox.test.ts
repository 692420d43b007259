import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { binaryNames } from '../scripts/lib/binaries.ts';
import { killSandbox, startSandbox, stopSandbox } from '../scripts/lib/boot.ts';
import { StrataError } from '../scripts/lib/errors.ts';
import { isRunning, readRecords, signalRecorded, spawnRecorded } from '../scripts/lib/process.ts';
import { readRunningSandbox, sandboxStatus } from '../scripts/lib/sandbox.ts';
import { systemClock } from '../scripts/lib/session.ts';
import { command } from '../scripts/sandbox.ts';
import { testSession } from './support/session.ts';

const withFolder = async (work: (folder: string, parent: string) => Promise<void>): Promise<void> => {
  const parent = mkdtempSync(path.join(tmpdir(), 'strata-sandbox-'));
  try {
    await work(path.join(parent, 'default'), parent);
  } finally {
    for (const entry of readdirSync(parent)) {
      for (const record of readRecords(path.join(parent, entry, 'run')).values())
        signalRecorded(record, 'SIGKILL');
    }
    rmSync(parent, { recursive: true, force: true });
  }
};

const rejection = async (promise: Promise<unknown>): Promise<StrataError> => {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.instance(thrown, StrataError);
  return thrown as StrataError;
};

/** A program of a sandbox, recorded in its folder, that is only a sleep. */
const startProgram = async (folder: string, name: string, trap = ':') => {
  const run = path.join(folder, 'run');
  mkdirSync(run, { recursive: true });
  spawnRecorded({
    folder: run,
    name,
    file: '/bin/sh',
    args: ['-c', `${trap}; : >up-${name}; exec sleep 60`],
    cwd: folder,
    environment: { PATH: process.env.PATH },
    log: path.join(folder, 'log'),
  });
  while (!existsSync(path.join(folder, `up-${name}`))) await systemClock.sleep(5);
  return readRecords(run).get(name)!;
};

const absent = suite('a sandbox that does not run');

absent('is stopped, and stopping it again is fine', () =>
  withFolder(async (folder, parent) => {
    const session = testSession();
    assert.equal(await sandboxStatus(session, { folder }), { state: 'stopped' });
    assert.is(await stopSandbox(session, { folder }), false);
    assert.is(await stopSandbox(session, { folder: path.join(parent, 'no', 'where') }), false);
    assert.equal(readdirSync(parent), []);
  }),
);

absent('is refused with the line that starts it', () =>
  withFolder(async (folder, parent) => {
    const error = await rejection(readRunningSandbox(testSession(), { folder }));
    assert.is(error.code, 'SANDBOX_NOT_RUNNING');
    assert.is(error.message, 'the sandbox default is not running');
    assert.is(error.hint, 'npm run sandbox -- start');
    const second = await rejection(
      readRunningSandbox(testSession(), { folder: path.join(parent, 'second') }),
    );
    assert.is(second.hint, 'npm run sandbox -- start --name second');
  }),
);

absent('is broken when only a folder is left of it', () =>
  withFolder(async (folder) => {
    mkdirSync(folder);
    writeFileSync(path.join(folder, 'sandbox.json'), '{');
    assert.equal(await sandboxStatus(testSession(), { folder }), { state: 'broken' });
    assert.match(
      (await rejection(readRunningSandbox(testSession(), { folder }))).message,
      /does not answer$/,
    );
    assert.is(await stopSandbox(testSession(), { folder }), true);
    assert.not.ok(existsSync(folder));
  }),
);

absent.run();

const stopping = suite('stopSandbox');

stopping('ends what is recorded, etcd last, and removes every trace', () =>
  withFolder(async (folder, parent) => {
    const records = [];
    for (const name of ['etcd', 'kwok', 'kube-apiserver']) records.push(await startProgram(folder, name));
    assert.is(await stopSandbox(testSession(), { folder }), true);
    assert.not.ok(records.some(isRunning));
    assert.equal(readdirSync(parent), []);
  }),
);

stopping('goes on where a stop was killed', () =>
  withFolder(async (folder, parent) => {
    const record = await startProgram(`${folder}.stopping-0a1b2c3d`, 'etcd');
    assert.is(await stopSandbox(testSession(), { folder }), true);
    assert.not.ok(isRunning(record));
    assert.equal(readdirSync(parent), []);
  }),
);

stopping('leaves another sandbox alone', () =>
  withFolder(async (folder, parent) => {
    const record = await startProgram(path.join(parent, 'default-2'), 'etcd');
    mkdirSync(folder);
    await stopSandbox(testSession(), { folder });
    assert.ok(isRunning(record));
    assert.equal(readdirSync(parent), ['default-2']);
  }),
);

stopping('does not end a stranger that has a recorded pid by now', () =>
  withFolder(async (folder, parent) => {
    const stranger = await startProgram(path.join(parent, 'elsewhere'), 'program');
    mkdirSync(path.join(folder, 'run'), { recursive: true });
    const stat = '(etcd) S 1 1 1 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 1 9 9';
    writeFileSync(path.join(folder, 'run', 'etcd.pid'), `${stranger.pid}\nboot\n${stranger.pid} ${stat}\n`);
    assert.is(await stopSandbox(testSession(), { folder }), true);
    assert.ok(isRunning(stranger));
    assert.not.ok(existsSync(folder));
  }),
);

stopping('at the end of a process ends everything at once', () =>
  withFolder(async (folder, parent) => {
    const record = await startProgram(folder, 'kube-apiserver', 'trap "" TERM');
    killSandbox(folder);
    while (isRunning(record)) await systemClock.sleep(5);
    assert.equal(readdirSync(parent), []);
  }),
);

stopping.run();

const starting = suite('startSandbox');

/** Programs that do not do what they should. */
const installFakes = (bin: string, scripts: Partial<Record<(typeof binaryNames)[number], string>>): void => {
  mkdirSync(bin);
  for (const name of binaryNames) {
    writeFileSync(path.join(bin, name), `#!/bin/sh\n${scripts[name] ?? 'exec sleep 60'}\n`);
    chmodSync(path.join(bin, name), 0o755);
  }
};

starting('shows the log of a program that ends, and leaves no process', () =>
  withFolder(async (folder, parent) => {
    const bin = path.join(parent, 'bin');
    installFakes(bin, { 'kube-apiserver': 'echo "no etcd here" >&2; exit 7' });
    const session = testSession({ environment: { ...process.env, STRATA_SANDBOX_BIN: bin } });
    const error = await rejection(startSandbox(session, { folder }));
    assert.is(error.code, 'SANDBOX_FAILED');
    assert.is(
      error.message,
      'kube-apiserver ended while the sandbox was starting (exit status 7):\nno etcd here',
    );
    const [log] = /\S+kube-apiserver\.log/.exec(error.hint ?? '') ?? [];
    assert.is(readFileSync(log ?? '', 'utf8'), 'no etcd here\n');
    assert.not.ok([...readRecords(path.join(folder, 'run')).values()].some(isRunning));
    assert.equal(await sandboxStatus(session, { folder }), { state: 'broken' });
    assert.not.ok(existsSync(`${folder}.lock`));
  }),
);

starting('tries other ports when one is taken, but not for ever', () =>
  withFolder(async (folder, parent) => {
    const bin = path.join(parent, 'bin');
    installFakes(bin, {
      'kube-apiserver': 'echo "listen tcp 127.0.0.1:1: bind: address already in use"; exit 1',
    });
    const session = testSession({ environment: { ...process.env, STRATA_SANDBOX_BIN: bin }, verbose: true });
    const ports = [11, 12, 13, 14, 15, 16];
    const error = await rejection(
      startSandbox(session, { folder, choosePort: async () => ports.shift() ?? 0 }),
    );
    assert.is(error.code, 'SANDBOX_FAILED');
    assert.equal(ports, [16]);
    assert.match(session.output.stderr, /port 11 was taken before kube-apiserver could use it/);
  }),
);

starting('leaves nothing when it is interrupted', () =>
  withFolder(async (folder, parent) => {
    const bin = path.join(parent, 'bin');
    installFakes(bin, {});
    const session = testSession({ environment: { ...process.env, STRATA_SANDBOX_BIN: bin } });
    const result = rejection(startSandbox(session, { folder }));
    while (readRecords(path.join(folder, 'run')).size < 2) await systemClock.sleep(5);
    const records = [...readRecords(path.join(folder, 'run')).values()];
    session.interrupt(new StrataError('INTERRUPTED', 'interrupted'));
    assert.is((await result).code, 'INTERRUPTED');
    assert.not.ok(records.some(isRunning));
    assert.equal(readdirSync(parent), ['bin']);
  }),
);

starting('says when its folder cannot be written', () =>
  withFolder(async (_, parent) => {
    const bin = path.join(parent, 'bin');
    installFakes(bin, {});
    writeFileSync(path.join(parent, 'file'), '');
    const session = testSession({ environment: { ...process.env, STRATA_SANDBOX_BIN: bin } });
    const error = await rejection(startSandbox(session, { folder: path.join(parent, 'file', 'default') }));
    assert.is(error.code, 'FILE_UNWRITABLE');
  }),
);

starting.run();

const line = suite('npm run sandbox');

const run = (positionals: string[]) => command.run(testSession(), { positionals, flags: {} });

line('needs an action, and suggests the nearest', async () => {
  assert.match((await rejection(run([]))).message, /^what should the sandbox do\?$/);
  assert.match((await rejection(run(['strat']))).message, /did you mean start\?$/);
  assert.is((await rejection(run(['toString']))).code, 'USAGE');
});

line('refuses what an action does not take', async () => {
  assert.match((await rejection(run(['start', '--nome', 'x']))).message, /did you mean --name\?$/);
  assert.match((await rejection(run(['stop', 'second']))).message, /^unexpected argument: second$/);
});

line('explains itself also after an action', async () => {
  const session = testSession();
  assert.is(await command.run(session, { positionals: ['stop', '--help'], flags: {} }), 0);
  assert.match(session.output.stdout, /usage: npm run sandbox -- \[--name NAME\] start \| stop/);
});

line('passes on the name before or after the action', async () => {
  const before = command.run(testSession(), { positionals: ['status'], flags: { name: 'not-there' } });
  assert.is((await rejection(before)).message, 'the sandbox not-there is not running');
  assert.is(
    (await rejection(run(['status', '--name', 'nor-this']))).message,
    'the sandbox nor-this is not running',
  );
  const kubectl = command.run(testSession(), {
    positionals: ['kubectl', 'get', '--name'],
    flags: { name: 'gone' },
  });
  assert.is((await rejection(kubectl)).message, 'the sandbox gone is not running');
});

line.run();
