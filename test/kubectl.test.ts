import { existsSync, mkdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StrataError } from '../scripts/lib/errors.ts';
import {
  checkKubectlVersion,
  childEnvironment,
  endingOf,
  findKubectl,
  type RunOptions,
  runKubectl,
} from '../scripts/lib/kubectl.ts';
import { rejection, thrown } from './support/assertions.ts';
import { withKubectl } from './support/fake-kubectl.ts';
import { isAlive, until } from './support/process.ts';
import { testSession } from './support/session.ts';
import { withTree } from './support/tree.ts';

const options: RunOptions = { needsCluster: false, timeout: 10_000 };

const finding = suite('findKubectl');

const onPath = (...folders: string[]): ReturnType<typeof testSession> =>
  testSession({ environment: { PATH: folders.join(':') } });
const sandbox = { kubectl: '/sandbox/kubectl', kubeconfig: '/sandbox/kubeconfig' };

finding('takes the first program of that name on PATH', () =>
  withKubectl('', async (first) =>
    withKubectl('', async (second) => {
      assert.equal(findKubectl(onPath('/nowhere', first.folder, second.folder)), {
        program: first.program,
        kubeconfig: undefined,
      });
    }),
  ),
);

finding('passes over what cannot be run, folders and relative entries', () =>
  withTree({ 'plain/kubectl': 'no program' }, (root) =>
    withKubectl('', async ({ folder, program }) => {
      mkdirSync(path.join(root, 'folder/kubectl'), { recursive: true });
      const relative = path.relative(process.cwd(), folder);
      assert.is(
        findKubectl(onPath('', '.', relative, path.join(root, 'plain'), path.join(root, 'folder'), folder))
          .program,
        program,
      );
    }),
  ),
);

finding('a sandbox brings its own, but the one on PATH comes first', () =>
  withKubectl('', async ({ folder, program }) => {
    assert.equal(findKubectl(onPath('/nowhere'), sandbox), {
      program: '/sandbox/kubectl',
      kubeconfig: '/sandbox/kubeconfig',
    });
    assert.equal(findKubectl(onPath(folder), sandbox), { program, kubeconfig: '/sandbox/kubeconfig' });
  }),
);

for (const environment of [{ PATH: '/nowhere' }, { PATH: '' }, {}]) {
  finding(`none with ${JSON.stringify(environment)} is told, with two ways out`, () => {
    const error = thrown(() => findKubectl(testSession({ environment })));
    assert.equal([error.code, error.exitStatus], ['KUBECTL_NOT_FOUND', 3]);
    assert.match(error.hint ?? '', /install it \(https:.*--sandbox/);
  });
}

const running = suite('runKubectl');

running('returns status and both outputs, byte for byte', () =>
  withKubectl("printf 'ä🚀\\n\\n'; printf 'no\\n' >&2; exit 3", async (kubectl) => {
    const result = await runKubectl(testSession(), kubectl, ['x'], options);
    assert.equal(result, { status: 3, signal: null, stdout: 'ä🚀\n\n', stderr: 'no\n', timedOut: false });
  }),
);

running('arguments arrive as they are, whatever they hold', () =>
  withKubectl(`for word; do printf '%s\\0' "$word"; done`, async (kubectl) => {
    const args = ['a b', "it's", '$(touch x)', '`x`', '"', '', '*', '\\', 'ä\n', '-f', ';'];
    const { stdout } = await runKubectl(testSession(), kubectl, args, options);
    assert.equal(stdout.split('\0').slice(0, -1), args);
  }),
);

running('input arrives whole, and without any stdin is at its end', () =>
  withKubectl('wc -c', async (kubectl) => {
    const input = 'ä'.repeat(200_000);
    assert.is((await runKubectl(testSession(), kubectl, [], { ...options, input })).stdout.trim(), '400000');
    assert.is((await runKubectl(testSession(), kubectl, [], options)).stdout.trim(), '0');
  }),
);

running('one that does not read its input is judged by its status', () =>
  withKubectl('exit 0', async (kubectl) => {
    const result = await runKubectl(testSession(), kubectl, [], { ...options, input: 'x'.repeat(1_000_000) });
    assert.is(result.status, 0);
  }),
);

for (const [name, environment, kubeconfig, needsCluster, expected] of [
  [
    'what needs no cluster gets none, whatever the environment says',
    { KUBECONFIG: '/mine' },
    undefined,
    false,
    '/dev/null',
  ],
  ['what needs no cluster gets none of the sandbox either', {}, '/sandbox', false, '/dev/null'],
  ["a cluster call has the user's kubeconfig", { KUBECONFIG: '/mine' }, undefined, true, '/mine'],
  ["a cluster call without KUBECONFIG follows kubectl's own rules", {}, undefined, true, 'unset'],
  [
    'a cluster call of the sandbox has the one of the sandbox',
    { KUBECONFIG: '/mine' },
    '/sandbox',
    true,
    '/sandbox',
  ],
] as const) {
  running(name, () =>
    withKubectl('', async (kubectl) => {
      const session = testSession({ environment: { PATH: process.env.PATH, ...environment } });
      await runKubectl(session, { ...kubectl, kubeconfig }, ['get', 'pods'], { ...options, needsCluster });
      assert.equal(kubectl.calls(), [`${expected}|get pods`]);
    }),
  );
}

running('an external diff of the user changes nothing', () => {
  const session = testSession({ environment: { KUBECTL_EXTERNAL_DIFF: 'meld', KUBECTL_X: 'y' } });
  assert.equal(childEnvironment(session, undefined), { KUBECTL_X: 'y' });
  assert.equal(childEnvironment(session, '/k'), { KUBECTL_X: 'y', KUBECONFIG: '/k' });
});

running('its environment has none of our secrets, and what it says shows none', () =>
  withKubectl('env; echo "error: it dislikes $(printf %s corre; printf ct-horse)" >&2', async (kubectl) => {
    const environment = {
      PATH: process.env.PATH,
      JWT_SECRET: 'correct-horse',
      COPY: 'correct-horse',
      KEPT: 'x',
    };
    const session = testSession({ environment });
    session.scrubber.add('JWT_SECRET', 'correct-horse');
    const { stdout, stderr } = await runKubectl(session, kubectl, [], options);
    assert.match(stdout, /^KEPT=x$/m);
    assert.not.match(stdout, /JWT_SECRET|COPY|correct-horse/);
    assert.is(stderr.trim(), 'error: it dislikes [JWT_SECRET]');
  }),
);

running('one that hangs is ended after its time-out, with all that it started', () =>
  withKubectl('sleep 600 & echo $! >"$(dirname "$0")/pid"; wait', async (kubectl) => {
    const started = performance.now();
    const result = await runKubectl(testSession(), kubectl, [], { ...options, timeout: 200 });
    assert.equal([result.timedOut, result.signal], [true, 'SIGTERM']);
    assert.ok(performance.now() - started < 2000);
    const pid = Number(readFileSync(path.join(kubectl.folder, 'pid'), 'utf8'));
    await until(() => !isAlive(pid), 'what it started is still there');
  }),
);

running('an interruption ends it, with its own reason', () =>
  withKubectl('exec sleep 600', async (kubectl) => {
    const session = testSession();
    const reason = new StrataError('INTERRUPTED', 'interrupted');
    setTimeout(() => session.interrupt(reason), 50);
    assert.is(await rejection(runKubectl(session, kubectl, [], options)), reason);
    assert.is(await rejection(runKubectl(session, kubectl, [], options)), reason);
  }),
);

running('one that writes is left to finish when it is interrupted', () =>
  withKubectl('sleep 0.2; touch "$(dirname "$0")/done"', async (kubectl) => {
    const session = testSession();
    setTimeout(() => session.interrupt(new StrataError('INTERRUPTED', 'interrupted')), 50);
    const error = await rejection(
      runKubectl(session, kubectl, [], { ...options, finishWhenInterrupted: true }),
    );
    assert.is(error.code, 'INTERRUPTED');
    assert.ok(existsSync(path.join(kubectl.folder, 'done')));
  }),
);

running('the end of the process ends even one that will not', () =>
  withKubectl("trap '' TERM; sleep 600 & wait; wait; wait", async (kubectl) => {
    const session = testSession();
    setTimeout(() => session.end(), 100);
    assert.is((await runKubectl(session, kubectl, [], options)).signal, 'SIGKILL');
  }),
);

running('--verbose shows a line that a person could type', () =>
  withKubectl('', async (kubectl) => {
    const session = testSession({ verbose: true });
    await runKubectl(session, kubectl, ['get', '-l', "a in (b, c's)", '--context=kind-x'], {
      ...options,
      input: 'secret',
    });
    assert.is(session.output.stderr, "$ kubectl get -l 'a in (b, c'\\''s)' --context=kind-x  (stdin)\n");
  }),
);

running('an ending is told by status or by signal', () => {
  assert.is(endingOf({ status: 7, signal: null }), 'exit status 7');
  assert.is(endingOf({ status: null, signal: 'SIGKILL' }), 'ended by SIGKILL');
});

const versions = suite('checkKubectlVersion');

const answering = (gitVersion: string): string =>
  `echo '{"clientVersion": {"major": "1", "gitVersion": "${gitVersion}"}, "kustomizeVersion": "v5.5.0"}'`;

for (const version of ['v1.27.0', 'v1.32.4-dispatcher', 'v1.36.4', 'v2.0.0']) {
  versions(`${version} is new enough, and asked without any cluster`, () =>
    withKubectl(answering(version), async (kubectl) => {
      await checkKubectlVersion(testSession({ home: kubectl.folder }), kubectl);
      assert.equal(kubectl.calls(), ['/dev/null|version --client -o json']);
    }),
  );
}

for (const version of ['v1.26.15', 'v1.9.0-gke']) {
  versions(`${version} is too old`, () =>
    withKubectl(answering(version), async (kubectl) => {
      const error = await rejection(checkKubectlVersion(testSession({ home: kubectl.folder }), kubectl));
      assert.equal(
        [error.code, error.message, error.hint],
        [
          'KUBECTL_FAILED',
          `kubectl ${version} is too old, strata needs 1.27 or later`,
          'install a newer one: https://kubernetes.io/docs/tasks/tools/',
        ],
      );
    }),
  );
}

for (const [name, script, ending] of [
  ['rubbish', 'echo "<html>"', 'exit status 0'],
  ['nothing', '', 'exit status 0'],
  ['a failure', `${answering('v1.36.0')}; exit 5`, 'exit status 5'],
  ['a crash', 'kill -SEGV $$', 'ended by SIGSEGV'],
] as const) {
  versions(`one that answers ${name} is told by its path, and not remembered`, () =>
    withKubectl(script, async (kubectl) => {
      const session = testSession({ home: kubectl.folder });
      const error = await rejection(checkKubectlVersion(session, kubectl));
      assert.equal(
        [error.code, error.message, error.hint],
        [
          'KUBECTL_FAILED',
          `${kubectl.program} does not say its version (${ending})`,
          `${kubectl.program} version --client`,
        ],
      );
      await rejection(checkKubectlVersion(session, kubectl));
      assert.is(kubectl.calls().length, 2);
    }),
  );
}

const cacheOf = (folder: string): string => path.join(folder, 'node_modules/.cache/strata/kubectl.json');

versions('one program is asked once, also through a link', () =>
  withKubectl(answering('v1.32.4'), async (kubectl) => {
    const session = testSession({ home: kubectl.folder });
    const link = path.join(kubectl.folder, 'link');
    symlinkSync(kubectl.program, link);
    await checkKubectlVersion(session, kubectl);
    await checkKubectlVersion(session, { ...kubectl, program: link });
    assert.is(kubectl.calls().length, 1);
    assert.is(JSON.parse(readFileSync(cacheOf(kubectl.folder), 'utf8')).version, 'v1.32.4');
  }),
);

for (const [name, spoil] of [
  ['was replaced', (program: string) => writeFileSync(program, `${readFileSync(program, 'utf8')}\n`)],
  ['was touched', (program: string) => utimesSync(program, 1, 1)],
  ['has a cache that is half written', (_: string, cache: string) => writeFileSync(cache, '{"program":')],
  ['has a cache of null', (_: string, cache: string) => writeFileSync(cache, 'null')],
] as const) {
  versions(`one that ${name} is asked again`, () =>
    withKubectl(answering('v1.32.4'), async (kubectl) => {
      const session = testSession({ home: kubectl.folder });
      await checkKubectlVersion(session, kubectl);
      spoil(kubectl.program, cacheOf(kubectl.folder));
      await checkKubectlVersion(session, kubectl);
      assert.is(kubectl.calls().length, 2);
    }),
  );
}

versions('where nothing can be remembered it is asked each time', () =>
  withKubectl(answering('v1.32.4'), async (kubectl) => {
    writeFileSync(path.join(kubectl.folder, 'node_modules'), 'in the way');
    const session = testSession({ home: kubectl.folder });
    await checkKubectlVersion(session, kubectl);
    await checkKubectlVersion(session, kubectl);
    assert.is(kubectl.calls().length, 2);
  }),
);

finding.run();
running.run();
versions.run();
