import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { eventually } from '../support/cluster.ts';
import { assertStatus, concurrentSuite, withDeployment } from '../support/deployment.ts';

const secrets = concurrentSuite('secrets');

/** Every run of a test goes through `strata`, which looks for the values in all it says and leaves. */
secrets('are in no output, event, annotation or file, whatever happens', () =>
  withDeployment({}, async (deployment) => {
    deployment.setSecret('OPENAI_API_KEY', 'sk-"canary"-1 & <more> % ünïcode');
    await deployment.expect(1, 'diff', ['--verbose']);
    await deployment.expect(1, 'diff', ['--output', 'json']);
    await deployment.expect(0, 'up', ['--verbose']);
    await deployment.expect(0, 'status', ['--output', 'json']);

    // Somebody edits a Secret: a conflict, then a change to be taken over.
    const [name] = await deployment.generated('Secret', 'backend-secrets');
    deployment.secrets.add('edited-by-hand-0123456789');
    const edited = { stringData: { JWT_SECRET: 'edited-by-hand-0123456789' } };
    await deployment.kubectl(['patch', 'secret', name!, '-p', JSON.stringify(edited)]);
    const conflict = await deployment.expect(3, 'up', ['--verbose']);
    assert.match(conflict.stderr, /Secret\/\S+: \.data\.JWT_SECRET is held by kubectl-patch/);
    const taken = await deployment.expect(1, 'diff', ['--force-conflicts', '--verbose']);
    assert.match(taken.stdout, /~ JWT_SECRET changed \(25 → 48 characters\)/);
    await deployment.expect(1, 'diff', ['--force-conflicts', '--output', 'json']);
    await deployment.expect(0, 'up', ['--force-conflicts', '--verbose']);

    // What the server, kubectl and Kustomize say when they refuse.
    deployment.setSecret('JWT_SECRET', 'another-canary-'.repeat(4));
    deployment.edit('base/backend/deployment.yaml', (text) => text.replace('replicas', 'replica'));
    deployment.add({
      'secret.wrong.yaml': {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'wrong' },
        type: 'kubernetes.io/tls',
        stringData: { password: [...deployment.secrets][0] },
      },
    });
    await deployment.expect(3, 'up', ['--verbose']);
    deployment.write(deployment.own('secret.wrong.yaml'), 'kind: [');
    await deployment.expect(3, 'render', ['--verbose']);
    deployment.drop('secret.wrong.yaml');

    deployment.simulate('backend', 'crash-loop');
    await deployment.expect(4, 'up', ['--verbose']);
    await deployment.assertClusterDiscreet();
    await deployment.expect(4, 'status', ['--verbose']);
    await deployment.expect(0, 'down', ['--verbose']);
  }),
);

secrets('come out of render in a pipe, and nowhere else', () =>
  withDeployment({}, async (deployment) => {
    const { stdout, stderr } = await deployment.expect(0, 'render', [], { mayPrintSecrets: true });
    for (const value of [deployment.values.get('JWT_SECRET')!, deployment.values.get('DATABASE_URL')!])
      assert.ok(stdout.includes(Buffer.from(value).toString('base64').slice(0, 40)));
    assert.is(stderr, '');
    // What it prints is what would be applied.
    await deployment.kubectl(['create', 'namespace', deployment.namespace]);
    await deployment.kubectl(['apply', '--server-side', '--field-manager=strata', '-f', '-'], stdout);
    const diff = await deployment.expect(0, 'diff', ['--exit-zero', '--output', 'json']);
    const { summary } = JSON.parse(diff.stdout) as { summary: Record<string, number> };
    assert.equal([summary.create, summary.change, summary.prune], [0, 0, 0]);
  }),
);

/** The environments of all that a process has started, where the system shows them. */
function environmentsBelow(pid: number): string[] {
  const table = execFileSync('ps', ['-axww', '-o', 'pid=,ppid='], { encoding: 'utf8' });
  const pairs = table.split('\n').map((line) => line.trim().split(/\s+/).map(Number));
  const below = (parent: number): number[] =>
    pairs.flatMap(([child, its]) => (its === parent ? [child!, ...below(child!)] : []));
  const programOf = (id: number): string => readFileSync(`/proc/${id}/cmdline`, 'utf8');
  return below(pid).flatMap((child) => {
    try {
      // Between fork and exec it still is its parent, environment and all.
      if (programOf(child) === programOf(pid)) return [];
      return [readFileSync(`/proc/${child}/environ`, 'utf8')];
    } catch {
      return [];
    }
  });
}

secrets('are on no command line, in no environment of a child, and in files of the user alone', () =>
  withDeployment({}, async (deployment) => {
    deployment.simulate('backend', 'never-ready');
    const environment = { JWT_SECRET: 'from-the-process-0123456789-0123456789' };
    deployment.setSecret('JWT_SECRET', environment.JWT_SECRET);
    const running = deployment.start('up', ['--verbose', '--from-process'], { environment });
    const seen: string[] = [];
    const environments: string[] = [];
    const watch = setInterval(() => {
      seen.push(execFileSync('ps', ['-axww', '-o', 'args='], { encoding: 'utf8' }));
      environments.push(...environmentsBelow(running.child.pid!));
    }, 60);
    try {
      await running.said('waiting until everything is Current');
    } finally {
      clearInterval(watch);
    }
    const lines = [...new Set(seen.join('\n').split('\n'))];
    assert.ok(lines.some((line) => line.includes('proxy --context minikube')));
    deployment.assertDiscreet(lines.join('\n'));
    if (existsSync('/proc/self/environ')) assert.ok(environments.some((text) => text.includes('PATH=')));
    deployment.assertDiscreet(environments.join('\n'));

    const folder = path.join(deployment.root, '.strata');
    const entries = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    const files = entries.map((name) => path.join(folder, name));
    assert.ok(
      files.some(
        (file) =>
          file.includes('/run-') &&
          statSync(file).isFile() &&
          readFileSync(file, 'utf8') === deployment.values.get('JWT_SECRET'),
      ),
    );
    for (const file of [folder, ...files]) assert.is(statSync(file).mode & 0o077, 0, file);

    running.child.kill('SIGINT');
    assertStatus(await running.ended, 130);
    deployment.assertNothingLeft();
    await eventually(
      async () => execFileSync('ps', ['-axww', '-o', 'args='], { encoding: 'utf8' }),
      (text) => !text.includes(deployment.root),
    );
  }),
);

secrets('of generate stay in its folder, which only the user can read', () =>
  withDeployment({}, async (deployment) => {
    const outcome = await deployment.start('generate').ended;
    assertStatus(outcome, 0);
    deployment.assertDiscreet(outcome);
    const folder = path.join(deployment.root, '.strata');
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
      assert.is(statSync(path.join(folder, name)).mode & 0o077, 0, name);
    // By hand, as it says, and then taken over without a change.
    await deployment.kubectl(['create', 'namespace', deployment.namespace]);
    const generated = path.join(folder, deployment.overlay);
    await deployment.kubectl(['apply', '--server-side', '--field-manager', 'strata', '-k', generated]);
    deployment.remove('.strata');
    const before = await deployment.get('deployment', 'backend');
    await deployment.expect(0, 'up');
    const after = await deployment.get('deployment', 'backend');
    assert.is(after?.metadata.generation, before?.metadata.generation);
    await deployment.expect(0, 'diff');
  }),
);

secrets.run();
