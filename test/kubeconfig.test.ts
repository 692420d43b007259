import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Context,
  isLocal,
  type Kubeconfig,
  kubeconfigFiles,
  mergeKubeconfigs,
  readKubeconfig,
} from '../scripts/lib/kubeconfig.ts';
import { thrown } from './support/assertions.ts';
import { withTree } from './support/tree.ts';

const places = suite('kubeconfigFiles');

for (const [name, environment, explicit, expected] of [
  ['the explicit file alone', { KUBECONFIG: '/a', HOME: '/home/u' }, '/x', ['/x']],
  ['KUBECONFIG before the home folder', { KUBECONFIG: '/a', HOME: '/home/u' }, undefined, ['/a']],
  ['a list, without repeats and empty entries', { KUBECONFIG: '/a::/b:/a:' }, undefined, ['/a', '/b']],
  ['the home folder', { HOME: '/home/u' }, undefined, ['/home/u/.kube/config']],
  [
    'the home folder when KUBECONFIG is empty',
    { KUBECONFIG: '', HOME: '/home/u' },
    undefined,
    ['/home/u/.kube/config'],
  ],
  ['the home folder of the system without HOME', {}, undefined, [path.join(homedir(), '.kube/config')]],
] as [string, Record<string, string>, string | undefined, string[]][]) {
  places(name, () => assert.equal(kubeconfigFiles(environment, explicit), expected));
}

// As minikube and gcloud write it.
const minikube = {
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'minikube',
  preferences: {},
  clusters: [
    {
      name: 'minikube',
      cluster: {
        'certificate-authority': '/home/u/.minikube/ca.crt',
        extensions: [{ name: 'cluster_info', extension: { provider: 'minikube.sigs.k8s.io' } }],
        server: 'https://192.168.49.2:8443',
      },
    },
  ],
  contexts: [{ name: 'minikube', context: { cluster: 'minikube', namespace: 'default', user: 'minikube' } }],
  users: [{ name: 'minikube', user: { 'client-certificate': '/home/u/.minikube/client.crt' } }],
};
const gke = {
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'gke_team_europe-west1_dev',
  clusters: [
    { name: 'gke', cluster: { server: 'https://34.1.2.3' } },
    { name: 'minikube', cluster: { server: 'https://evil.example' } },
  ],
  contexts: [{ name: 'gke_team_europe-west1_dev', context: { cluster: 'gke', user: 'gke' } }],
  users: [
    {
      name: 'gke',
      user: {
        exec: { apiVersion: 'client.authentication.k8s.io/v1beta1', command: 'gke-gcloud-auth-plugin' },
      },
    },
  ],
};

const merge = (...contents: unknown[]): Kubeconfig =>
  mergeKubeconfigs(contents.map((content, index) => ({ file: `/${index}`, content })));

const merging = suite('mergeKubeconfigs');

merging('a context has its server, its user and whether that logs in through a program', () => {
  const { contexts, current, files } = merge(minikube, gke);
  assert.equal(contexts.get('gke_team_europe-west1_dev'), {
    name: 'gke_team_europe-west1_dev',
    cluster: 'gke',
    server: 'https://34.1.2.3',
    user: 'gke',
    usesExec: true,
    login: 'gke-gcloud-auth-plugin',
  });
  assert.equal([contexts.get('minikube')?.usesExec, current, files], [false, 'minikube', ['/0', '/1']]);
});

merging('the first file that names something wins, as for kubectl', () => {
  assert.is(merge(minikube, gke).contexts.get('minikube')?.server, 'https://192.168.49.2:8443');
  assert.is(merge(gke, minikube).contexts.get('minikube')?.server, 'https://evil.example');
  assert.is(merge(gke, minikube).current, 'gke_team_europe-west1_dev');
});

merging('an empty current context is none, so a later file may set it', () => {
  assert.is(merge({ ...minikube, 'current-context': '' }, gke).current, 'gke_team_europe-west1_dev');
  assert.is(merge({ ...minikube, 'current-context': '' }).current, undefined);
});

merging('a context whose cluster or user is nowhere has no server and no plugin', () => {
  const { contexts } = merge({ contexts: [{ name: 'x', context: { cluster: 'gone', user: 'gone' } }] });
  assert.equal(contexts.get('x'), {
    name: 'x',
    cluster: 'gone',
    server: '',
    user: 'gone',
    usesExec: false,
    fault: 'its user gone is not there',
  });
});

const accountOf = (user: unknown, cluster: object = { server: 'https://a' }): Context =>
  merge({
    clusters: [{ name: 'c', cluster }],
    users: user === undefined ? [] : [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
  }).contexts.get('x')!;

for (const [name, user, fault] of [
  ['a token', { token: 't' }, undefined],
  ['a file with a token', { tokenFile: '/t' }, undefined],
  ['a client certificate', { 'client-certificate': 'c' }, undefined],
  ['a program', { exec: { command: 'x' } }, undefined],
  ['a user name', { username: 'n', password: 'p' }, undefined],
  ['a key alone', { 'client-key': 'k' }, 'its user u has no credentials'],
  ['nothing', {}, 'its user u has no credentials'],
  ['no entry', undefined, 'its user u is not there'],
] as [string, unknown, string | undefined][]) {
  merging(`a user with ${name}: ${fault ?? 'can log in'}`, () => {
    assert.is(accountOf(user).fault, fault);
  });
}

merging('over plain HTTP nobody has to log in', () => {
  assert.is(accountOf({}, { server: 'http://a' }).fault, undefined);
});

merging('certificates are read from the data, else from a file beside the kubeconfig', () => {
  const data = Buffer.from('pem').toString('base64');
  const server = 'https://a';
  assert.equal(accountOf({ token: 't' }, { server, 'certificate-authority': 'ca.crt' }).ca, {
    file: '/ca.crt',
  });
  assert.equal(
    accountOf({ token: 't' }, { server, 'certificate-authority': 'x', 'certificate-authority-data': data })
      .ca,
    { text: 'pem' },
  );
  assert.is(accountOf({ token: 't' }).ca, undefined);
  assert.equal(accountOf({ 'client-certificate': '/c.crt' }).clientCertificate, { file: '/c.crt' });
});

for (const [name, content] of [
  ['an empty file', null],
  ['a text', 'text'],
  ['a list', []],
  ['lists that are none', { clusters: 'x', contexts: {}, users: 3 }],
  ['entries that are none', { contexts: [null, 'x', 3] }],
] as [string, unknown][]) {
  merging(`${name} has no contexts`, () => {
    assert.equal([[...merge(content).contexts.keys()], merge(content).current], [[], undefined]);
  });
}

const reading = suite('readKubeconfig');

const yaml = (server: string): string =>
  `current-context: a\nclusters:\n- name: c\n  cluster: {server: "${server}"}\ncontexts:\n- name: a\n  context: {cluster: c, user: u}\n`;

reading('reads every file of the list and skips those that are not there', () =>
  withTree({ one: yaml('https://one'), two: yaml('https://two') }, (root) => {
    const files = ['gone', 'two', 'one'].map((name) => path.join(root, name));
    const { contexts, files: read } = readKubeconfig({ KUBECONFIG: files.join(':') });
    assert.equal([contexts.get('a')?.server, read], ['https://two', files.slice(1)]);
  }),
);

reading('no file at all is an empty kubeconfig', () => {
  const { contexts, current, files } = readKubeconfig({}, '/nowhere/config');
  assert.equal([contexts.size, current, files], [0, undefined, []]);
});

reading('knows what KUBECONFIG names when none of it is there', () =>
  withTree({ one: yaml('https://one') }, (root) => {
    const [one, gone] = [path.join(root, 'one'), path.join(root, 'gone')];
    assert.equal(readKubeconfig({ KUBECONFIG: `${gone}:/nowhere` }).absent, [gone, '/nowhere']);
    assert.is(readKubeconfig({ KUBECONFIG: `${gone}:${one}` }).absent, undefined);
    assert.is(readKubeconfig({ KUBECONFIG: gone }, one).absent, undefined);
    assert.is(readKubeconfig({ KUBECONFIG: one }, gone).absent, undefined);
    assert.is(readKubeconfig({ KUBECONFIG: ':' }).absent, undefined);
    assert.is(readKubeconfig({ HOME: root }).absent, undefined);
  }),
);

reading('kubectl config is JSON now and then', () =>
  withTree({ config: JSON.stringify(minikube) }, (root) => {
    assert.is(readKubeconfig({}, path.join(root, 'config')).current, 'minikube');
  }),
);

for (const [name, text, line] of [
  ['an unclosed list', 'a: 1\nb: [', 2],
  ['a tab as indentation', 'a:\n\tb: 1\n', 2],
  ['an alias of nothing', 'a: 1\nb: *secret-token\n', 2],
] as [string, string, number][]) {
  reading(`${name} is told with file and line, and nothing of its text`, () =>
    withTree({ config: text }, (root) => {
      const file = path.join(root, 'config');
      const error = thrown(() => readKubeconfig({}, file));
      assert.equal([error.code, error.message], ['KUBECONFIG_INVALID', `${file}:${line} is not valid YAML`]);
    }),
  );
}

for (const [name, text, why] of [
  ['plain text', 'hello secret-token', 'expected a map with contexts, clusters and users'],
  ['a list', '- secret-token', 'expected a map with contexts, clusters and users'],
  ['a map of clusters', 'clusters: {a: secret-token}', 'clusters is no list'],
] as const) {
  reading(`${name} is no kubeconfig, and nothing of it is told`, () =>
    withTree({ config: text }, (root) => {
      const file = path.join(root, 'config');
      const error = thrown(() => readKubeconfig({}, file));
      assert.equal(
        [error.code, error.message, error.hint],
        [
          'KUBECONFIG_INVALID',
          `${file} is no kubeconfig: ${why}`,
          `kubectl config view --kubeconfig ${file}`,
        ],
      );
    }),
  );
}

reading('a folder in place of a file is told', () =>
  withTree({}, (root) => {
    mkdirSync(path.join(root, 'config'));
    const error = thrown(() => readKubeconfig({}, path.join(root, 'config')));
    assert.is(error.code, 'KUBECONFIG_INVALID');
    assert.match(error.message, /cannot be read \(EISDIR\)$/);
  }),
);

const local = suite('isLocal');

const context = (name: string, server: string): Context => ({
  name,
  server,
  cluster: name,
  user: name,
  usesExec: false,
});

for (const [name, server, expected] of [
  ['minikube', 'https://192.168.49.2:8443', true],
  ['minikube', 'https://127.0.0.1:32771', true],
  ['minikube', 'https://172.17.0.2:8443', true],
  ['minikube', 'https://10.0.2.15:8443', true],
  ['kind-dev', 'https://127.0.0.1:41231', true],
  ['kind-dev', 'https://[::1]:41231', true],
  ['kind-dev', 'https://[fd00:10::2]:6443', true],
  // k3d writes the address it listens on.
  ['k3d-dev', 'https://0.0.0.0:45557', true],
  ['k3d-dev', 'https://host.docker.internal:45557', true],
  ['docker-desktop', 'https://kubernetes.docker.internal:6443', true],
  ['strata-sandbox', 'https://127.0.0.1:41231', true],
  ['strata-sandbox-two', 'https://localhost:41231', true],
  ['minikube', 'https://34.1.2.3', false],
  ['minikube', 'https://172.32.0.1:8443', false],
  ['minikube', 'https://172.15.0.1:8443', false],
  ['minikube', 'https://192.169.0.1:8443', false],
  ['minikube', 'https://localhost.evil.example', false],
  ['minikube', 'https://127.0.0.1.evil.example', false],
  ['minikube', 'https://[2001:db8::1]:6443', false],
  ['minikube', '', false],
  ['minikube', 'not a URL', false],
  ['production', 'https://127.0.0.1:6443', false],
  ['minikube-production', 'https://127.0.0.1:6443', false],
  ['my-minikube', 'https://127.0.0.1:6443', false],
  ['kind-', 'https://127.0.0.1:6443', false],
  ['mankind-x', 'https://127.0.0.1:6443', false],
  ['strata-sandboxed', 'https://127.0.0.1:6443', false],
] as [string, string, boolean][]) {
  local(`${name} at ${server || 'no server'}: ${expected}`, () => {
    assert.is(isLocal(context(name, server)), expected);
  });
}

places.run();
merging.run();
reading.run();
local.run();
