import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { processWithPid } from '../../scripts/lib/process.ts';
import { systemClock } from '../../scripts/lib/session.ts';
import { eventually, type Outcome } from '../support/cluster.ts';
import { assertStatus, concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';
import { wrapFolder, wrapKubectl } from '../support/fake-kubectl.ts';
import { type Moment, type Relay, withRelay } from '../support/relay.ts';
import { projectFolder } from '../support/session.ts';

const faults = concurrentSuite('faults');

/** At the end one message with its code and what is next; no data, no stack. */
function assertFailure(
  outcome: Outcome,
  expected: { status: number; code: string; message?: RegExp | string; next?: RegExp | string },
): void {
  assertStatus(outcome, expected.status);
  assert.is(outcome.stdout, '');
  const codes = outcome.stderr.match(/ \[[A-Z_]+\]$/gm) ?? [];
  assert.is(codes.length, 1, `one message with a code: ${outcome.stderr}`);
  const [, message = '', code, next = ''] =
    /(?:^|\n)error: ([\s\S]*) \[([A-Z_]+)\]\n(?: {2}next: (.*)\n)?$/.exec(outcome.stderr) ?? [];
  assert.is(code, expected.code, `ends with a message and its code: ${outcome.stderr}`);
  if (expected.message !== undefined) assert.match(message, expected.message);
  if (expected.next !== undefined) assert.match(next, expected.next);
  assert.not.match(outcome.stderr, /^ +at /m, 'no stack');
}

async function assertGone(deployment: Deployment): Promise<void> {
  assert.is(await deployment.get('namespace', deployment.namespace), undefined);
}

faults('slow answers change nothing but the time', () =>
  withRelay(async (deployment, relay) => {
    relay.fault = () => 60;
    await deployment.expect(1, 'diff');
    await deployment.expect(0, 'up');
    await deployment.expect(0, 'diff');
    await deployment.expect(0, 'status');
    await deployment.expect(0, 'down');
    await assertGone(deployment);
  }),
);

for (const requests of [0, 1, 4, 10, 17]) {
  faults(`a server that dies after ${requests} requests: diff says neither clean nor changed`, () =>
    withRelay(async (deployment, relay) => {
      relay.dieAt(requests);
      const outcome = await deployment.strata('diff');
      assertFailure(outcome, {
        status: 3,
        code: 'CLUSTER_UNREACHABLE',
        message: 'cannot be reached',
        next: /./,
      });
      relay.heal();
      await deployment.expect(1, 'diff');
    }),
  );
}

for (const [ofUp, ofDown] of [
  [3, 5],
  [19, 9],
  [23, 30],
  [29, 80],
  [36, 'last'],
] as [Moment, Moment][]) {
  faults(`a server that dies at request ${ofUp} of up and ${ofDown} of down: 3, and the same finishes`, () =>
    withRelay(async (deployment, relay) => {
      relay.dieAt(ofUp);
      const up = await deployment.strata('up');
      assert.is(up.status, 3, up.stderr);
      assert.match(up.stderr, /\[(CLUSTER_UNREACHABLE|APPLY_FAILED)\]\n {2}next: .+\n$/);
      assert.not.match(up.stderr, /done in/);
      relay.heal();
      await deployment.expect(0, 'up');
      await deployment.expect(0, 'diff');
      relay.dieAt(ofDown);
      const down = await deployment.strata('down');
      assertFailure(down, { status: 3, code: 'CLUSTER_UNREACHABLE', next: /./ });
      assert.not.match(down.stderr, /done in|nothing of overlay/);
      relay.heal();
      await deployment.expect(0, 'down');
      await assertGone(deployment);
    }),
  );
}

faults('one answer that is cut off is asked for again', () =>
  withRelay(async (deployment, relay) => {
    const cut = new Set<string>();
    relay.fault = ({ method, url = '' }) => {
      if (method !== 'GET' || cut.has(url) || url.includes('watch=')) return undefined;
      cut.add(url);
      return 'cut';
    };
    await deployment.expect(1, 'diff');
    assert.ok(cut.size > 4, [...cut].join('\n'));
  }),
);

faults('answers that are always cut off are no answers', () =>
  withRelay(async (deployment, relay) => {
    relay.fault = ({ method }) => (method === 'PATCH' ? 'cut' : undefined);
    assertFailure(await deployment.strata('diff'), { status: 3, code: 'CLUSTER_UNREACHABLE' });
    relay.fault = ({ method, url }) => (method === 'PATCH' && !url?.includes('dryRun') ? 'cut' : undefined);
    const outcome = await deployment.strata('up');
    assert.is(outcome.status, 3, outcome.stderr);
    relay.heal();
    await deployment.expect(0, 'up');
    await deployment.expect(0, 'diff');
  }),
);

faults('watches that always break are taken up again', () =>
  withRelay(async (deployment, relay) => {
    deployment.simulate('backend', 'slow-start');
    relay.fault = ({ url }) => (url?.includes('watch=') ? 'drop' : undefined);
    await deployment.expect(0, 'up');
  }),
);

faults('a server that takes the request and says nothing: Ctrl-C ends it', () =>
  withRelay(async (deployment, relay) => {
    relay.fault = () => 'stall';
    const running = deployment.start('diff');
    await eventually(
      async () => relay.count,
      (count) => count > 0,
    );
    running.child.kill('SIGINT');
    const started = performance.now();
    const outcome = await running.ended;
    assert.ok(performance.now() - started < 3000);
    assertFailure(outcome, { status: 130, code: 'INTERRUPTED', next: 'same command' });
    deployment.assertNothingLeft();
  }),
);

/** Sends Ctrl-C at that moment. */
async function interruptAt(relay: Relay, command: string, moment: Moment): Promise<void> {
  const { deployment } = relay;
  const running = deployment.start(command);
  relay.count = 0;
  relay.fault = (request, index) => {
    if (relay.isAt(moment, request, index)) running.child.kill('SIGINT');
    return undefined;
  };
  const outcome = await running.ended;
  relay.heal();
  assertFailure(outcome, { status: 130, code: 'INTERRUPTED', message: /^interrupted/, next: 'same command' });
  assert.not.match(outcome.stderr, /done in/);
  deployment.assertDiscreet(outcome);
  deployment.assertNothingLeft();
}

for (const [ofUp, ofDown] of [
  [0, 0],
  [9, 4],
  [18, 8],
  [20, 10],
  [24, 40],
  [28, 70],
  [33, 90],
  [40, 'last'],
] as [Moment, Moment][]) {
  faults(`Ctrl-C at request ${ofUp} of up and ${ofDown} of down: the same command finishes`, () =>
    withRelay(async (deployment, relay) => {
      // It keeps `up` waiting for some requests more.
      deployment.simulate('backend', 'slow-start');
      await interruptAt(relay, 'up', ofUp);
      await deployment.expect(0, 'up');
      await deployment.expect(0, 'diff');
      await interruptAt(relay, 'down', ofDown);
      await deployment.expect(0, 'down');
      await assertGone(deployment);
    }),
  );
}

faults('a server error that passes does not make down leave the namespace', () =>
  withRelay(async (deployment, relay) => {
    await deployment.expect(0, 'up');
    const seen = new Set<string>();
    relay.fault = ({ method, url = '' }) => {
      if (method !== 'GET' || !url.includes('/namespaces/') || seen.has(url)) return undefined;
      seen.add(url);
      return { busy: 500 };
    };
    await deployment.expect(0, 'down');
    assert.ok(seen.size > 20);
    await assertGone(deployment);
  }),
);

/** The real kubectl, but for one apply, the second unless told: there it runs the script first. */
function wrapApply(deployment: Deployment, script: string, which = 2): { PATH: string } {
  const folder = wrapFolder(deployment);
  const lines = [
    `count='${folder}/count'`,
    'case " $* " in',
    "*' apply '*)",
    '  echo >>"$count"',
    `  if [ "$(wc -l <"$count")" -eq ${which} ]; then`,
    `    echo $$ >'${folder}/reached'`,
    `    ${script}`,
    '  fi',
    '  ;;',
    'esac',
  ];
  return wrapKubectl(deployment, lines.join('\n'));
}

const reachedApply = (deployment: Deployment): Promise<unknown> => {
  const file = path.join(wrapFolder(deployment), 'reached');
  return eventually(
    async () => existsSync(file),
    (isThere) => isThere,
    60_000,
  );
};

faults('kubectl apply that fails half-way: 3, nothing of the run stays, the same command works', () =>
  withDeployment({}, async (deployment) => {
    const secret = [...deployment.secrets][0];
    const environment = wrapApply(
      deployment,
      `cat >/dev/null; echo "error: it dislikes ${secret} $(printf %s '${secret}' | base64 -w0)" >&2; exit 1`,
    );
    const outcome = await deployment.strata('up', [], { environment });
    assertFailure(outcome, {
      status: 3,
      code: 'APPLY_FAILED',
      message: /^kubectl apply failed: error: it dislikes \[\w+\] \[\w+\]$/,
      next: 'same command again',
    });
    assert.match(outcome.stderr, /applied 1 object \(namespaces and CRDs\)/);
    assert.match(outcome.stderr, /namespace \S+, created in this run, was removed again/);
    await assertGone(deployment);
    await deployment.expect(0, 'up', [], { environment });
    await deployment.expect(0, 'diff');
  }),
);

faults('kubectl apply that fails in a namespace that was there: the namespace stays', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    const before = await deployment.get('namespace', deployment.namespace);
    const environment = wrapApply(deployment, 'kill -KILL $$');
    deployment.setValues({ APP_NAME: 'another' });
    const outcome = await deployment.strata('up', [], { environment });
    assertFailure(outcome, { status: 3, code: 'APPLY_FAILED', message: /kubectl apply failed: .+/ });
    const after = await deployment.get('namespace', deployment.namespace);
    assert.is(after?.metadata.uid, before?.metadata.uid);
    assert.not.ok(after?.metadata.deletionTimestamp);
    await deployment.expect(0, 'up');
    await deployment.expect(0, 'diff');
  }),
);

faults('Ctrl-C while kubectl applies: it finishes its wave, and nothing more is done', () =>
  withDeployment({}, async (deployment) => {
    // Of accounts and config: the namespace is written without kubectl.
    const running = deployment.start('up', [], { environment: wrapApply(deployment, 'sleep 1', 1) });
    await reachedApply(deployment);
    running.child.kill('SIGINT');
    const outcome = await running.ended;
    assertFailure(outcome, { status: 130, code: 'INTERRUPTED', next: 'same command' });
    deployment.assertNothingLeft();
    assert.is((await deployment.generated('Secret', 'backend-secrets')).length, 1);
    assert.equal(await deployment.list('deployments'), []);
    await deployment.expect(0, 'up');
    await deployment.expect(0, 'diff');
  }),
);

faults('SIGKILL while kubectl applies: kubectl ends too, and the next run need not wait for it', () =>
  withDeployment({}, async (deployment) => {
    const running = deployment.start('up', [], { environment: wrapApply(deployment, 'exec sleep 100') });
    await reachedApply(deployment);
    running.child.kill('SIGKILL');
    await running.ended;
    const pid = Number(readFileSync(path.join(wrapFolder(deployment), 'reached'), 'utf8'));
    await eventually(
      async () => processWithPid(pid),
      (found) => found === undefined,
      5000,
    );
    const { stderr } = await deployment.expect(0, 'up');
    assert.match(stderr, /took the lock over from .*: it no longer runs/);
    await deployment.expect(0, 'diff');
  }),
);

faults('a second Ctrl-C does not wait for kubectl', () =>
  withDeployment({}, async (deployment) => {
    const script = `trap '' TERM INT; sleep 100`;
    const running = deployment.start('up', [], { environment: wrapApply(deployment, script) });
    await reachedApply(deployment);
    running.child.kill('SIGINT');
    await running.said(
      'interrupted: kubectl is finishing the objects it was given, then nothing more begins (again to end at once)',
    );
    await systemClock.sleep(300);
    assert.is(running.child.exitCode, null, 'the first one waits');
    running.child.kill('SIGINT');
    const started = performance.now();
    const outcome = await running.ended;
    assert.ok(performance.now() - started < 3000);
    assertStatus(outcome, 130);
    deployment.assertDiscreet(outcome);
    deployment.assertNothingLeft();
    const listing = spawnSync('ps', ['-axww', '-o', 'args='], { encoding: 'utf8' }).stdout;
    assert.not.match(listing, path.dirname(deployment.root), 'no process of it is left');
    await deployment.expect(0, 'up');
    await deployment.expect(0, 'diff');
  }),
);

faults('diff ends with its own status when nobody reads it, and with 2 when it cannot be written', () =>
  withDeployment({}, async (deployment) => {
    const running = deployment.start('diff');
    running.child.stdout?.destroy();
    const outcome = await running.ended;
    assertStatus(outcome, 1);
    assert.not.match(outcome.stderr, /error|EPIPE|^ +at /m);
    if (!existsSync('/dev/full')) return;
    const full = openSync('/dev/full', 'w');
    try {
      const line = [process.execPath, '--', 'scripts/strata.js', 'diff', '--root', deployment.root];
      const written = await runLine(line, deployment.environment, full);
      assertFailure(written, {
        status: 2,
        code: 'FILE_UNWRITABLE',
        message: 'ENOSPC',
        next: 'free some space',
      });
    } finally {
      closeSync(full);
    }
  }),
);

function runLine(
  line: readonly string[],
  environment: Record<string, string>,
  stdout: number | 'pipe',
  answer?: { to: string | RegExp; text: string },
): Promise<Outcome> {
  const child = spawn(line[0]!, line.slice(1), {
    cwd: projectFolder,
    env: environment,
    stdio: ['pipe', stdout, 'pipe'],
  });
  const outcome: Outcome = { status: -1, stdout: '', stderr: '' };
  let isAnswered = false;
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      outcome[name] += text;
      if (answer === undefined || isAnswered || !stripVTControlCharacters(outcome[name]).match(answer.to))
        return;
      isAnswered = true;
      child.stdin?.write(answer.text);
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ ...outcome, status: status ?? 128 }));
  });
}

const terminals = concurrentSuite('in a terminal');

/** Gives the line a terminal of its own; what it shows comes out of stdout. */
const inTerminal = [
  'python3',
  '-c',
  'import os, pty, sys\nsys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))',
];
const hasTerminals = spawnSync('python3', ['-c', 'import pty']).status === 0;

async function typed(
  deployment: Deployment,
  words: readonly string[],
  answer?: { to: string | RegExp; text: string },
): Promise<{ status: number; shown: string }> {
  const line = [process.execPath, '--', 'scripts/strata.js', ...words, '--root', deployment.root];
  const outcome = await runLine(
    [...inTerminal, ...line],
    { ...deployment.environment, TERM: 'xterm' },
    'pipe',
    answer,
  );
  const shown = stripVTControlCharacters(outcome.stdout).replaceAll('\r', '');
  deployment.assertDiscreet(shown);
  deployment.assertNothingLeft();
  return { status: outcome.status, shown };
}

const question = "Type the overlay's name: ";

/** A name that is no local cluster's. */
const withShared = (work: (deployment: Deployment) => Promise<void>): Promise<void> =>
  withDeployment({ context: 'shared' }, work);

if (hasTerminals) {
  for (const [title, text, code] of [
    ['another answer', 'yes\r', 'DECLINED'],
    ['no answer', '\r', 'DECLINED'],
    ['the name and more', 'minikube please\r', 'DECLINED'],
    ['the end of input', '\x04', 'DECLINED'],
    ['Ctrl-C', '\x03', 'INTERRUPTED'],
  ] as const) {
    terminals(`${title} to the question of up changes nothing: 130`, () =>
      withShared(async (deployment) => {
        const { status, shown } = await typed(deployment, ['up'], { to: question, text });
        assert.is(status, 130, shown);
        assert.match(shown, new RegExp(`, nothing was changed \\[${code}\\]\n`));
        assert.is(shown.split(question).length, 2, 'asked once');
        await assertGone(deployment);
      }),
    );
  }

  terminals('the name of the overlay is the answer, for up and for down', () =>
    withShared(async (deployment) => {
      const answer = { to: question, text: 'minikube\r' };
      const up = await typed(deployment, ['up'], answer);
      assert.is(up.status, 0, up.shown);
      const declined = await typed(deployment, ['down'], { to: question, text: 'y\r' });
      assert.is(declined.status, 130, declined.shown);
      await deployment.expect(0, 'diff');
      const down = await typed(deployment, ['down'], answer);
      assert.is(down.status, 0, down.shown);
      await assertGone(deployment);
    }),
  );

  terminals('Ctrl-C while it waits reaches us, not kubectl: 130, and the same command finishes', () =>
    withDeployment({}, async (deployment) => {
      deployment.simulate('backend', 'slow-start');
      const { status, shown } = await typed(deployment, ['up'], { to: 'waiting until', text: '\x03' });
      assert.is(status, 130, shown);
      assert.match(shown, /\[INTERRUPTED\]/);
      await deployment.expect(0, 'up');
    }),
  );

  terminals('render masks what is secret', () =>
    withDeployment({}, async (deployment) => {
      const { status, shown } = await typed(deployment, ['render']);
      assert.is(status, 0, shown);
      assert.match(shown, /^ {2}JWT_SECRET: "\*\*\*"$/m);
    }),
  );
} else {
  const skipped = suite('in a terminal');
  skipped.skip('python3, which opens terminals, is not here', () => {});
  skipped.run();
}

faults.run();
terminals.run();
