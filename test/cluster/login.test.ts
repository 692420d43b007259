import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
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

/** A login program as a small script. */
function program(deployment: Deployment, name: string, script: string): object {
  const command = path.join(path.dirname(deployment.kubeconfig), name);
  writeFileSync(command, `#!/bin/sh\n${script}\n`);
  chmodSync(command, 0o755);
  return { apiVersion: 'client.authentication.k8s.io/v1', command, interactiveMode: 'IfAvailable' };
}

const otherCertificate = (deployment: Deployment): string => {
  const file = path.join(path.dirname(deployment.kubeconfig), 'other');
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  execFileSync('openssl', [...args, '-subj', '/CN=other', '-keyout', `${file}.key`, '-out', `${file}.crt`], {
    stdio: 'ignore',
  });
  return `${file}.crt`;
};

for (const [title, edit, status, code, message, next] of [
  [
    'a token that the server does not take',
    (entry) => {
      entry.user = { token: 'expired' };
    },
    3,
    'CLUSTER_REFUSED',
    /does not accept the login: Unauthorized/,
    /^minikube start, then check with: kubectl --context minikube auth whoami$/,
  ],
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
    'the CA of another cluster',
    (entry, deployment) => {
      const pem = readFileSync(otherCertificate(deployment));
      entry.cluster['certificate-authority-data'] = pem.toString('base64');
    },
    3,
    'CLUSTER_UNREACHABLE',
    /its certificate is not signed by the CA of the kubeconfig: .*x509: certificate signed by unknown authority/,
    /^minikube update-context$/,
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
  [
    'a certificate of another name',
    (entry) => {
      entry.cluster['tls-server-name'] = 'other.strata.test';
    },
    3,
    'CLUSTER_UNREACHABLE',
    /the certificate of the server is for another name: .*x509: certificate is valid for/,
    /kubectl config view --minify/,
  ],
  [
    'a server whose name is not known',
    (entry) => {
      entry.cluster.server = 'https://cluster.invalid:6443';
    },
    3,
    'CLUSTER_UNREACHABLE',
    /the name of the server is not known here/,
    /kubectl config view --minify/,
  ],
  [
    'a login program that is not installed',
    (entry) => {
      entry.user = {
        exec: {
          apiVersion: 'client.authentication.k8s.io/v1',
          command: 'corp-login',
          interactiveMode: 'Never',
          installHint: 'get it from https://corp.strata.test',
        },
      };
    },
    3,
    'CLUSTER_REFUSED',
    /logging in to context minikube failed: .*executable corp-login not found\nget it from https:\/\/corp/s,
    /^install corp-login, /,
  ],
  [
    'a login program that fails',
    (entry, deployment) => {
      entry.user = { exec: program(deployment, 'aws', 'echo "SSO session has expired" >&2; exit 3') };
    },
    3,
    'CLUSTER_REFUSED',
    /logging in to context minikube failed: .*failed with exit code 3\nSSO session has expired/s,
    /^aws sso login, then check with: kubectl --context minikube auth whoami$/,
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

login('a login program that is slow is waited for, and runs once a command', () =>
  withDeployment({}, async (deployment) => {
    const log = path.join(path.dirname(deployment.kubeconfig), 'runs');
    change(deployment, (entry) => {
      const token = String(entry.user?.token);
      deployment.secrets.add(token);
      const credential = JSON.stringify({
        apiVersion: 'client.authentication.k8s.io/v1',
        kind: 'ExecCredential',
        status: { token },
      });
      entry.user = { exec: program(deployment, 'slow', `echo >>'${log}'; sleep 2; echo '${credential}'`) };
    });
    await deployment.expect(1, 'diff');
    assert.is(readFileSync(log, 'utf8'), '\n');
  }),
);

login('a client certificate that has expired is told with its date', () =>
  withDeployment({}, async (deployment) => {
    change(deployment, (entry) => {
      const file = otherCertificate(deployment);
      const key = file.replace('.crt', '.key');
      // Signed anew with an end that was yesterday.
      const args = ['x509', '-in', file, '-signkey', key, '-days', '-1', '-out', `${file}.old`];
      execFileSync('openssl', args, { stdio: 'ignore' });
      entry.user = { 'client-certificate': `${file}.old`, 'client-key': key };
    });
    const { stderr } = await deployment.expect(3, 'diff');
    assert.match(
      stderr,
      /does not accept the login: .*the client certificate of user \S+ expired at 20\d\d-/,
    );
  }),
);

login.run();
