import { writeFileSync } from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { eventually, kubectlIn, type Outcome } from '../support/cluster.ts';
import { concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';

const rights = concurrentSuite('rights');

const account = 'deployer';

const reviews = /^POST \S*\/selfsubjectaccessreviews /m;

const userOf = ({ namespace }: Deployment): string => `system:serviceaccount:${namespace}:${account}`;

/** From now on every command is this ServiceAccount, which has no right yet. */
async function becomeAccount(deployment: Deployment): Promise<void> {
  if ((await deployment.get('namespace', deployment.namespace)) === undefined)
    await deployment.kubectl(['create', 'namespace', deployment.namespace]);
  await deployment.kubectl(['create', 'serviceaccount', account]);
  const token = (await deployment.kubectl(['create', 'token', account])).trim();
  deployment.secrets.add(token);
  const text = await kubectlIn(deployment.sandbox, ['config', 'view', '--raw', '-o', 'json']);
  const config = JSON.parse(text.stdout) as { users: { user: object }[] };
  config.users[0]!.user = { token };
  const source = path.join(path.dirname(deployment.kubeconfig), 'account.kubeconfig');
  writeFileSync(source, JSON.stringify(config), { mode: 0o600 });
  deployment.writeKubeconfig(deployment.context, { from: source });
}

/** What the error says to hand to an administrator. */
const rolesIn = ({ stderr }: Outcome): string => {
  const [, roles = ''] = /^# What overlay .*\n([\s\S]*?)\n# end$/m.exec(stderr) ?? [];
  return roles;
};

const apply = (deployment: Deployment, roles: string): Promise<string> =>
  deployment.kubectl(['apply', '-f', '-'], roles);

/** Roles of the cluster outlive the namespace. */
async function withAccount(work: (deployment: Deployment) => Promise<void>): Promise<void> {
  await withDeployment({}, async (deployment) => {
    try {
      await work(deployment);
    } finally {
      const names = ['up', 'down', 'status'].map((role) => `strata-minikube-${role}-${deployment.namespace}`);
      await deployment.tryKubectl([
        'delete',
        '--ignore-not-found',
        'clusterrole,clusterrolebinding',
        ...names,
      ]);
    }
  });
}

/** The authorizer of the API server learns of a role a moment later. */
const untilStatus = (deployment: Deployment, status: number, command: string): Promise<Outcome> =>
  eventually(
    () => deployment.strata(command),
    (outcome) => outcome.status === status,
  );

rights('the roles that diff prints are all that it takes: up, a change, and down', () =>
  withAccount(async (deployment) => {
    await becomeAccount(deployment);
    const refused = await deployment.expect(3, 'diff');
    assert.match(refused.stderr, `error: not allowed: User "${userOf(deployment)}" cannot `);
    assert.match(
      refused.stderr,
      /and \d+ more rights are missing \[CLUSTER_REFUSED\]\n {2}next: give the roles/,
    );
    for (const kind of ['configmaps', 'secrets', 'services', 'deployments.apps'])
      assert.match(
        refused.stderr,
        new RegExp(
          `error: ${kind} in namespace ${deployment.namespace}: not allowed: .*list.*\\n {2}next: kubectl --context minikube auth can-i \\w+ ${kind} -n ${deployment.namespace}`,
        ),
      );
    assert.match(refused.stderr, /error: namespaces: not allowed: .*patch/);
    assert.is(refused.stdout, '');
    await apply(deployment, rolesIn(refused));
    await untilStatus(deployment, 1, 'diff');
    const up = await deployment.expect(0, 'up', ['--verbose']);
    assert.match(up.stderr, reviews);
    const again = await deployment.expect(0, 'up', ['--verbose']);
    assert.not.match(again.stderr, reviews, 'nothing to change, nothing to ask for');
    deployment.setValues({ APP_NAME: 'changed' });
    await deployment.expect(0, 'up');
    await deployment.expect(0, 'down');
    assert.equal(await deployment.list('deployments,services'), []);
  }),
);

rights('down tells what it takes before it deletes anything, and its roles leave those of up alone', () =>
  withAccount(async (deployment) => {
    await becomeAccount(deployment);
    const roles = rolesIn(await deployment.expect(3, 'diff'));
    await apply(deployment, roles.replaceAll(/^ {6}- delete\n/gm, ''));
    await untilStatus(deployment, 0, 'up');
    const before = await deployment.snapshot();
    const refused = await deployment.expect(3, 'down');
    assert.match(refused.stderr, /cannot delete resource .*more rights are missing \[CLUSTER_REFUSED\]/);
    assert.equal(await deployment.snapshot(), before);
    await apply(deployment, rolesIn(refused));
    const names = await deployment.kubectl(['get', 'role', '-o', 'name']);
    assert.is(names.match(/\/strata-minikube-(up|down)$/gm)?.length, 2);
    // What down prints is enough by itself.
    await deployment.kubectl(['delete', 'rolebinding', 'strata-minikube-up']);
    await untilStatus(deployment, 0, 'down');
    assert.equal(await deployment.list('deployments,services'), []);
  }),
);

rights('up that lacks one right in the end changes nothing, and names that one alone', () =>
  withAccount(async (deployment) => {
    await becomeAccount(deployment);
    const roles = rolesIn(await deployment.expect(3, 'up'));
    assert.match(roles, /\bcreate\b/);
    await apply(deployment, roles.replaceAll(/^ {6}- secrets\n/gm, ''));
    const before = await deployment.snapshot();
    const refused = await eventually(
      () => deployment.strata('up'),
      ({ stderr }) => stderr.match(/^error: .*: not allowed: /gm)?.length === 1,
    );
    assert.is(refused.status, 3);
    assert.match(refused.stderr, `error: secrets in namespace ${deployment.namespace}: not allowed: `);
    assert.equal(
      [...(await deployment.snapshot()).keys()].filter((name) => !before.has(name)),
      [],
    );
  }),
);

rights('what is only nice to have is a note, and the wait goes on without it', () =>
  withAccount(async (deployment) => {
    await becomeAccount(deployment);
    const roles = rolesIn(await deployment.expect(3, 'up'));
    await apply(deployment, roles.replaceAll(/^ {6}- watch\n/gm, ''));
    await untilStatus(deployment, 1, 'diff');
    const { stderr } = await deployment.expect(0, 'up');
    assert.match(stderr, /note: not allowed to watch .*deployments\.apps.*: the wait asks again and again/);
    assert.match(stderr, /note: not allowed to watch pods, watch replicasets\.apps: a rollout that fails/);
  }),
);

rights('without the right to keep a history up says so, and goes on', () =>
  withAccount(async (deployment) => {
    await deployment.expect(0, 'up');
    await becomeAccount(deployment);
    const roles = rolesIn(await deployment.expect(3, 'diff'));
    await apply(deployment, roles.replaceAll(/^ {6}- create\n/gm, ''));
    await untilStatus(deployment, 0, 'diff');
    const { stderr } = await deployment.expect(0, 'up', ['--image', 'todo-backend=todo-backend:v2']);
    assert.match(stderr, /note: not allowed to create configmaps: the history is not kept/);
    assert.match(stderr, /warning: the history cannot be written: not allowed: .* cannot create /);
    const { stdout } = await deployment.expect(0, 'history');
    assert.match(stdout, /^1 .*todo-backend:dev.*\n$/);
  }),
);

rights('status tells what it takes to read', () =>
  withAccount(async (deployment) => {
    await deployment.expect(0, 'up');
    await becomeAccount(deployment);
    const none = await deployment.expect(3, 'status');
    assert.match(none.stderr, /warning: ConfigMap\/strata-minikube: cannot be read: the kinds it lists/);
    await apply(deployment, rolesIn(none));
    const some = await eventually(
      () => deployment.strata('status'),
      ({ stderr }) => stderr.includes('deployments.apps in namespace'),
    );
    assert.not.match(some.stderr, /delete|patch|create/);
    await apply(deployment, rolesIn(some));
    await untilStatus(deployment, 0, 'status');
  }),
);

rights.run();
