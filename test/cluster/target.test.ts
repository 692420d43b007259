import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';

const target = concurrentSuite('target');

const commands = ['diff', 'up', 'down', 'status'];

interface Listener {
  /** URL of a server that answers nothing. */
  url: string;
  /** Connections so far. */
  connections: number;
}

/** What every byte that goes to a cluster would have to open first. */
async function withListener(work: (listener: Listener) => Promise<void>): Promise<void> {
  const listener: Listener = { url: '', connections: 0 };
  const server = createServer((socket) => {
    listener.connections++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  listener.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    await work(listener);
  } finally {
    server.close();
  }
}

/** A kubeconfig whose current context has this name and server. */
function kubeconfigOf(deployment: Deployment, name: string, server: string): string {
  const file = path.join(path.dirname(deployment.kubeconfig), `kubeconfig-${name}`);
  const content = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    contexts: [{ name, context: { cluster: name, user: name } }],
    clusters: [{ name, cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name, user: { token: 'strata-test' } }],
  };
  writeFileSync(file, JSON.stringify(content), { mode: 0o600 });
  return file;
}

target('a context that is not on the list gets not one byte, current or named', () =>
  withListener((listener) =>
    withDeployment({}, async (deployment) => {
      const environment = { KUBECONFIG: kubeconfigOf(deployment, 'foreign', listener.url) };
      for (const command of commands) {
        const yes = command === 'up' || command === 'down' ? ['--yes'] : [];
        const named = await deployment.expect(2, command, ['--context', 'foreign', ...yes], { environment });
        assert.match(named.stderr, /context foreign is not on the list of overlay minikube \(minikube\)/);
        assert.match(named.stderr, /\[CONTEXT_REFUSED\]/);
        const current = await deployment.expect(2, command, yes, { environment });
        assert.match(current.stderr, /context minikube does not exist/);
        assert.match(current.stderr, /next: minikube start/);
      }
      assert.is(listener.connections, 0);

      // The same server under an allowed name is asked: it would have been seen.
      const allowed = { KUBECONFIG: kubeconfigOf(deployment, 'minikube', listener.url) };
      const outcome = await deployment.expect(3, 'status', [], { environment: allowed });
      assert.match(outcome.stderr, /\[CLUSTER_UNREACHABLE\]/);
      assert.ok(listener.connections > 0);
    }),
  ),
);

target('the one exact name of the list is used when a foreign context is the current one', () =>
  withListener((listener) =>
    withDeployment({}, async (deployment) => {
      const foreign = kubeconfigOf(deployment, 'foreign', listener.url);
      const environment = { KUBECONFIG: [foreign, deployment.kubeconfig].join(path.delimiter) };
      await deployment.expect(0, 'up', [], { environment });
      await deployment.expect(0, 'diff', [], { environment });
      await deployment.expect(0, 'status', [], { environment });
      await deployment.expect(0, 'down', [], { environment });
      assert.is(listener.connections, 0);
    }),
  ),
);

target('the dev overlay comes with an empty list, and says where to write the name', () =>
  withListener((listener) =>
    withDeployment({ overlay: 'dev' }, async (deployment) => {
      for (const name of ['minikube', 'shared-dev']) {
        const environment = { KUBECONFIG: kubeconfigOf(deployment, name, listener.url) };
        for (const command of commands) {
          const { stderr } = await deployment.expect(2, command, ['--context', name], { environment });
          assert.match(stderr, /its list of contexts is empty \[CONTEXT_REFUSED\]/);
          assert.match(stderr, /next: .*overlays\/dev\/strata\.yaml/);
        }
      }
      assert.is(listener.connections, 0);
    }),
  ),
);

target('a cluster that is not local is changed only with --yes when nobody can be asked', () =>
  withDeployment({ context: 'shared-dev' }, async (deployment) => {
    await withListener(async (listener) => {
      const environment = { KUBECONFIG: kubeconfigOf(deployment, 'shared-dev', listener.url) };
      for (const command of ['up', 'down']) {
        const { stderr } = await deployment.expect(2, command, [], { environment });
        assert.match(stderr, /context shared-dev is not local, and there is no terminal to ask in/);
        assert.match(stderr, `next: after a look at the diff: ${deployment.commandOf(command, ' --yes')}`);
      }
      assert.is(listener.connections, 0);
    });
    await deployment.expect(1, 'diff');
    await deployment.expect(0, 'up', ['--yes']);
    await deployment.expect(0, 'diff');
    await deployment.expect(2, 'down');
    assert.ok(await deployment.get('deployment', 'backend'));
    await deployment.expect(0, 'down', ['--yes']);
    assert.is(await deployment.get('namespace', deployment.namespace), undefined);
  }),
);

target('a secret that is a placeholder gets not one byte either, on minikube too, unless it is allowed', () =>
  withListener((listener) =>
    withDeployment({}, async (deployment) => {
      deployment.setSecret('JWT_SECRET', 'change-me-to-a-long-random-string');
      const environment = { KUBECONFIG: kubeconfigOf(deployment, 'minikube', listener.url) };
      const refused = await deployment.expect(2, 'up', [], { environment });
      assert.match(refused.stderr, /^error: \.env:2 {2}JWT_SECRET: is no secret: it is made of words/m);
      assert.match(refused.stderr, /\[ENV_INVALID\]/);
      assert.is(listener.connections, 0);

      const before = await deployment.snapshot();
      await deployment.expect(2, 'up');
      assert.equal(await deployment.snapshot(), before);
      const { stderr } = await deployment.expect(1, 'diff');
      assert.match(stderr, /^warning: \.env:2 {2}JWT_SECRET: is no secret: /m);

      deployment.edit(
        deployment.own('strata.yaml'),
        (text) => `${text}secrets: { backend-secrets: { JWT_SECRET: { placeholder: allow } } }\n`,
      );
      const allowed = await deployment.expect(0, 'up');
      assert.not.match(allowed.stderr, /is no secret/);
      const [name] = await deployment.generated('Secret', 'backend-secrets');
      const { data } = (await deployment.get('secret', name!)) as unknown as { data: Record<string, string> };
      const held = Buffer.from(data.JWT_SECRET!, 'base64').toString();
      assert.is(held, 'change-me-to-a-long-random-string');

      deployment.setSecret('BETTER_AUTH_SECRET', 'your-better-auth-secret-of-32-characters');
      const deployed = await deployment.snapshot();
      await deployment.expect(2, 'up');
      assert.equal(await deployment.snapshot(), deployed);
    }),
  ),
);

target('a local name with an address elsewhere is not local', () =>
  withDeployment({}, async (deployment) => {
    // An address for documentation, RFC 5737.
    const environment = { KUBECONFIG: kubeconfigOf(deployment, 'minikube', 'https://203.0.113.7:6443') };
    const { stderr } = await deployment.expect(2, 'up', [], { environment });
    assert.match(stderr, /context minikube is not local/);
  }),
);

target('the dev overlay deploys to a context on its list', () =>
  withDeployment({ overlay: 'dev', context: 'shared-dev' }, async (deployment) => {
    const { stderr } = await deployment.expect(0, 'up', ['--yes']);
    assert.match(stderr, /todo: https:\/\/todo\.dev\.example\.com/);
    assert.is((await deployment.list('pods')).length, 3);
    await deployment.expect(0, 'diff');
    await deployment.expect(0, 'down', ['--yes']);
    assert.is(await deployment.get('namespace', deployment.namespace), undefined);
  }),
);

target.run();
