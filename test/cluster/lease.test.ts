import * as assert from 'uvu/assert';
import { type KubeObject, textAt } from '../../scripts/lib/manifest.ts';
import { eventually, type Outcome } from '../support/cluster.ts';
import { assertStatus, concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';
import { withRelay } from '../support/relay.ts';

const lease = concurrentSuite('lease');

const nameOf = (deployment: Deployment): string => `strata-${deployment.overlay}`;

const leaseOf = (deployment: Deployment): ReturnType<Deployment['get']> =>
  deployment.get('lease', nameOf(deployment));

/** Somebody on another machine, whose clock is wrong. */
const holdElsewhere = (deployment: Deployment, seconds: number, time: string): Promise<string> =>
  deployment.kubectl(['create', '-f', '-'], {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: nameOf(deployment) },
    spec: {
      holderIdentity: 'carol@elsewhere pid 7 (0000)\u001b[31m',
      leaseDurationSeconds: seconds,
      acquireTime: time,
      renewTime: time,
    },
  });

/** Long enough for another command to come in between, also on a busy machine. */
function startSlowly(deployment: Deployment, delay: string): void {
  deployment.simulate('backend', 'slow-start');
  deployment.edit(deployment.own('deployment.backend-simulate.yaml'), (text) =>
    text.replace(/(strata.dev\/simulate-delay: ).*/, `$1${delay}`),
  );
}

const waitingLine = /waiting for .*@.* pid \d+ \(\w+\), at work on overlay minikube since .*; --steal-lock/;

function assertDone(outcome: Outcome): void {
  assertStatus(outcome, 0);
  assert.match(outcome.stderr, /^done in/m);
}

lease('the API server makes a Lease that is gone anew, but for one with a uid', () =>
  withDeployment({}, async (deployment) => {
    const { namespace } = deployment;
    await deployment.kubectl(['create', 'namespace', namespace]);
    await holdElsewhere(deployment, 30, '2001-01-01T00:00:00.000000Z');
    const held = (await leaseOf(deployment)) as KubeObject;
    await deployment.kubectl(['delete', 'lease', nameOf(deployment)]);
    const [name, resourceVersion, uid] = ['name', 'resourceVersion', 'uid'].map((field) =>
      textAt(held, 'metadata', field),
    );
    const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${name}`;
    const put = (metadata: object) =>
      deployment.tryKubectl(['replace', '--raw', path, '-f', '-'], { ...held, metadata });
    const late = await put({ name, namespace, resourceVersion, uid });
    assert.match(late.stderr, /Precondition failed: UID in precondition/);
    assert.is(await leaseOf(deployment), undefined);
    const made = await put({ name, namespace, resourceVersion });
    assert.is(made.status, 0, made.stderr);
    assert.ok(await leaseOf(deployment));
  }),
);

for (const second of ['up', 'down']) {
  lease(`${second} while up is at work waits, says for whom, and then does its work`, () =>
    withDeployment({}, async (deployment) => {
      startSlowly(deployment, '15s');
      const first = deployment.start('up');
      await first.said('waiting until everything is Current');
      const held = await leaseOf(deployment);
      assert.match(textAt(held, 'spec', 'holderIdentity') ?? '', new RegExp(` pid ${first.child.pid} \\(`));
      deployment.assertDiscreet(JSON.stringify(held));
      const other = deployment.start(second);
      await other.said(waitingLine);
      assert.is(first.child.exitCode, null, 'it waits while the first one works');
      assertDone(await first.ended);
      assertDone(await other.ended);
      assert.is(await leaseOf(deployment), undefined);
      if (second === 'up') await deployment.expect(0, 'diff');
      else assert.is(await deployment.get('namespace', deployment.namespace), undefined);
    }),
  );
}

lease('two first ups at once: one after the other, and the later one sees what the earlier one did', () =>
  withDeployment({}, async (deployment) => {
    const outcomes = await Promise.all(['up', 'up', 'up'].map((name) => deployment.start(name).ended));
    for (const outcome of outcomes) assertDone(outcome);
    const created = outcomes.flatMap(({ stderr }) => stderr.match(/^plan: .*/gm) ?? []);
    assert.ok(created.length > 3, `who waited has compared again: ${created.join('\n')}`);
    await deployment.expect(0, 'diff');
    assert.is(await leaseOf(deployment), undefined);
  }),
);

for (const time of ['2001-01-01T00:00:00.000000Z', '2101-01-01T00:00:00.000000Z']) {
  lease(`a holder that shows no sign of life loses it, whatever its clock says (${time.slice(0, 4)})`, () =>
    withDeployment({}, async (deployment) => {
      await deployment.expect(0, 'up');
      await holdElsewhere(deployment, 2, time);
      const started = performance.now();
      const { stderr } = await deployment.expect(0, 'up');
      assert.ok(performance.now() - started > 2000);
      assert.match(
        stderr,
        /took the lock over from carol@elsewhere pid 7 \(0000\)\?\[31m: no sign of life for 2 s/,
      );
      assert.is(await leaseOf(deployment), undefined);
    }),
  );
}

lease('a holder that is alive keeps it: 3 with who, since when and what next; nothing is changed', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    const before = await deployment.snapshot();
    await holdElsewhere(deployment, 3600, '2001-01-01T00:00:00.000000Z');
    deployment.setValues({ APP_NAME: 'changed' });
    for (const command of ['up', 'down']) {
      const { status, stderr } = await deployment.strata(command, ['--timeout', '1s']);
      assert.is(status, 3, stderr);
      assert.match(
        stderr,
        /locked by carol@elsewhere pid 7 .* since 2001-01-01T00:00:00Z by its clock, and still so after 1\.0 s; nothing was changed \[LOCKED\]/,
      );
      assert.match(stderr, /\n {2}next: /);
      assert.match(stderr, deployment.commandOf(command, ' --timeout 1s --steal-lock'));
    }
    assert.equal(await deployment.snapshot(), before);
    const { stderr } = await deployment.expect(0, 'up', ['--steal-lock']);
    assert.match(stderr, /took the lock over from carol@elsewhere .*: --steal-lock/);
    await deployment.expect(0, 'diff');
  }),
);

lease('who loses the lock while working stops before the next wave', () =>
  withRelay(async (deployment, relay) => {
    await deployment.kubectl(['create', 'namespace', deployment.namespace]);
    const isApply = (url = ''): boolean => url.includes('fieldManager=strata&') && !url.includes('dryRun');
    // Longer than it takes to notice.
    relay.fault = ({ method, url }) =>
      method === 'PATCH' && isApply(url) && /configmaps|secrets|serviceaccounts/.test(url ?? '')
        ? 14_000
        : undefined;
    const running = deployment.start('up');
    await running.said('(namespaces and CRDs)');
    const spec = { holderIdentity: 'carol@elsewhere pid 7', leaseDurationSeconds: 3600 };
    await deployment.kubectl(['patch', 'lease', nameOf(deployment), '-p', JSON.stringify({ spec })]);
    const outcome = await running.ended;
    assertStatus(outcome, 3);
    assert.match(
      outcome.stderr,
      /the lock of overlay minikube was lost, carol@elsewhere pid 7 has taken it; nothing more was begun \[LOCKED\]\n {2}next: .*\n$/,
    );
    assert.ok(outcome.stderr.endsWith(`${deployment.commandOf('up')}\n`));
    assert.not.match(outcome.stderr, /\(workloads\)|removed again/);
    assert.equal(await deployment.list('deployments'), []);
    assert.is(textAt(await leaseOf(deployment), 'spec', 'holderIdentity'), 'carol@elsewhere pid 7');
    relay.heal();
    await deployment.expect(0, 'up', ['--steal-lock']);
    await deployment.expect(0, 'diff');
  }),
);

lease('after SIGKILL the next run on this machine need not wait', () =>
  withDeployment({}, async (deployment) => {
    deployment.simulate('backend', 'slow-start');
    const killed = deployment.start('up');
    await killed.said('waiting until everything is Current');
    killed.child.kill('SIGKILL');
    await killed.ended;
    assert.ok(await leaseOf(deployment), 'it is still there');
    const { stderr } = await deployment.expect(0, 'up');
    assert.match(
      stderr,
      new RegExp(`took the lock over from .* pid ${killed.child.pid} .*: it no longer runs`),
    );
    assert.is(await leaseOf(deployment), undefined);
  }),
);

lease('SIGINT, a failed rollout and a failed apply release it', () =>
  withDeployment({}, async (deployment) => {
    startSlowly(deployment, '20s');
    const interrupted = deployment.start('up');
    await interrupted.said('waiting until everything is Current');
    interrupted.child.kill('SIGINT');
    assertStatus(await interrupted.ended, 130);
    assert.is(await leaseOf(deployment), undefined);
    await deployment.expect(4, 'up', ['--timeout', '300ms']);
    assert.is(await leaseOf(deployment), undefined);
  }),
);

lease('a lock that nobody holds any more does not keep the namespace', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    await holdElsewhere(deployment, 1, '2001-01-01T00:00:00.000000Z');
    await deployment.expect(0, 'down');
    assert.is(await deployment.get('namespace', deployment.namespace), undefined);
  }),
);

lease('somebody who may not use leases is told, and goes on', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    const name = deployment.namespace;
    // All but leases.
    for (const [group, resources] of [
      ['', '*'],
      ['apps', '*'],
      ['batch', '*'],
    ]) {
      const rules = [{ apiGroups: [group], resources: [resources], verbs: ['*'] }];
      const kind = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role' };
      const metadata = { name: `most-${group || 'core'}` };
      await deployment.kubectl(['create', '-f', '-'], { ...kind, metadata, rules });
      await deployment.kubectl([
        'create',
        'rolebinding',
        metadata.name,
        `--role=${metadata.name}`,
        '--user=viewer',
      ]);
    }
    await deployment.kubectl(['create', 'clusterrole', name, '--verb=*', '--resource=namespaces']);
    await deployment.kubectl([
      'create',
      'clusterrolebinding',
      name,
      `--clusterrole=${name}`,
      '--user=viewer',
    ]);
    try {
      deployment.writeKubeconfig(deployment.context, { from: deployment.sandbox.viewerKubeconfig });
      deployment.setValues({ APP_NAME: 'changed' });
      const { stderr } = await eventually(
        () => deployment.strata('up'),
        ({ status }) => status === 0,
      );
      assert.match(stderr, /^ {2}not locked: leases may not be used in namespace .*viewer.*cannot/m);
      await deployment.expect(0, 'diff');
    } finally {
      await deployment.kubectl(['delete', 'clusterrole,clusterrolebinding', name]);
    }
  }),
);

lease('what only looks asks for no lease; up needs three requests for it', () =>
  withRelay(async (deployment, relay) => {
    const asked: string[] = [];
    relay.fault = ({ method, url }) => {
      if (url?.includes('/leases')) asked.push(method ?? '');
      return undefined;
    };
    await deployment.expect(1, 'diff');
    await deployment.expect(0, 'render', [], { mayPrintSecrets: true });
    await deployment.expect(0, 'status');
    assert.equal(asked, []);
    await deployment.expect(0, 'up');
    assert.equal(asked, ['POST', 'DELETE']);
    await deployment.expect(0, 'diff');
    await deployment.expect(0, 'status');
    assert.is(asked.length, 2);
  }),
);

lease.run();
