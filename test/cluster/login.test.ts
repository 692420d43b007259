import { readFileSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';

const login = concurrentSuite('login');

const commands = ['diff', 'up', 'down', 'status'];

interface Entry {
  cluster: Record<string, unknown>;
  user: Record<string, unknown> | undefined;
}

/** The kubeconfig of the deployment with another cluster or user entry. */
function change(deployment: Deployment, edit: (entry: Entry) => void): void {
  const config = JSON.parse(readFileSync(deployment.kubeconfig, 'utf8')) as {
    clusters: { cluster: Record<string, unknown> }[];
    users: { name: string; user: Record<string, unknown> | undefined }[];
  };
  const entry: Entry = { cluster: config.clusters[0]!.cluster, user: config.users[0]!.user };
  edit(entry);
  config.users = entry.user === undefined ? [] : [{ name: config.users[0]!.name, user: entry.user }];
  writeFileSync(deployment.kubeconfig, JSON.stringify(config));
}

for (const [title, edit, status, code, message, next] of [
  [
    'a user that is not there',
    (entry) => {
      entry.user = undefined;
    },
    2,
    'KUBECONFIG_INVALID',
    /context minikube cannot log in: its user \S+ is not there/,
    /kubectl config get-users/,
  ],
  [
    'a user without credentials',
    (entry) => {
      entry.user = {};
    },
    2,
    'KUBECONFIG_INVALID',
    /has no credentials/,
    /kubectl config get-users/,
  ],
  [
    'a CA file that is not there',
    (entry) => {
      delete entry.cluster['certificate-authority-data'];
      entry.cluster['certificate-authority'] = '/nowhere/ca.crt';
    },
    2,
    'KUBECONFIG_INVALID',
    /unable to read certificate-authority \/nowhere\/ca\.crt/,
    /^kubectl config view --minify --context minikube$/,
  ],
] as [string, (entry: Entry, deployment: Deployment) => void, number, string, RegExp, RegExp][]) {
  login(`${title}: told with what is next, and nothing is changed`, () =>
    withDeployment({}, async (deployment) => {
      change(deployment, (entry) => edit(entry, deployment));
      for (const command of commands) {
        // `up` and `down` ask before they go anywhere that is not local, and an unknown name is not.
        const { stderr, stdout } = await deployment.expect(
          status,
          command,
          command === 'up' || command === 'down' ? ['--yes'] : [],
        );
        assert.match(stderr, message, command);
        const [, found, hint = ''] = / \[([A-Z_]+)\]\n {2}next: (.*)\n$/.exec(stderr) ?? [];
        assert.is(found, code, stderr);
        assert.match(hint, next);
        assert.is(stdout, '');
      }
      assert.is(await deployment.get('namespace', deployment.namespace), undefined);
    }),
  );
}

login.run();
