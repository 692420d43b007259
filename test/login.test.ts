import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Context } from '../scripts/lib/kubeconfig.ts';
import { expiredSince, loginCommand, renewal, troubleOf } from '../scripts/lib/login.ts';
import { certificate } from './support/certificate.ts';

const context = (over: Partial<Context> = {}): Context => ({
  name: 'prod',
  cluster: 'prod',
  server: 'https://a',
  user: 'u',
  usesExec: false,
  ...over,
});

const login = suite('loginCommand');

for (const [program, expected] of [
  [undefined, 'log in again'],
  ['corp-login', 'log in again'],
  ['aws', 'aws sso login'],
  ['/opt/google/bin/gke-gcloud-auth-plugin', 'gcloud auth login'],
] as const) {
  login(`${program ?? 'no program'}: ${expected}`, () => {
    assert.is(loginCommand(context(program ? { login: program } : {})), expected);
  });
}

const renewing = suite('renewal');

for (const [name, expected] of [
  ['minikube', 'minikube update-context'],
  ['kind-dev', 'kind export kubeconfig --name dev'],
  ['k3d-dev', 'k3d kubeconfig merge dev'],
  [
    'gke_team_europe-west1_dev',
    'gcloud container clusters get-credentials dev --location europe-west1 --project team',
  ],
  [
    'arn:aws:eks:eu-west-1:123456789012:cluster/prod',
    'aws eks update-kubeconfig --region eu-west-1 --name prod',
  ],
  ['prod', 'get its kubeconfig anew from whoever runs the cluster'],
] as const) {
  renewing(name, () => assert.is(renewal(context({ name })), expected));
}

const trouble = suite('troubleOf');

// As kubectl 1.32 and 1.36 say it.
for (const [words, isFinal, isLogin, told] of [
  ['dial tcp 127.0.0.1:1: connect: connection refused', false, false, /^ $/],
  ['dial tcp: lookup a.invalid on 10.0.0.1:53: no such host', false, false, /VPN is off .*config view/],
  ['tls: failed to verify certificate: x509: certificate signed by unknown authority', true, false, /CA of/],
  [
    'tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026',
    true,
    false,
    /clock of this machine is wrong date; /,
  ],
  [
    'tls: failed to verify certificate: x509: certificate is valid for 10.0.0.1, not 127.0.0.2',
    true,
    false,
    /for another name /,
  ],
  ['getting credentials: exec: executable corp not found', true, true, /^ install corp,/],
  [
    'getting credentials: exec: executable corp failed with exit code 3',
    true,
    true,
    /^ log in again, .*whoami/,
  ],
] as const) {
  trouble(words, () => {
    const found = troubleOf(context({ login: '/bin/corp' }), words);
    assert.equal([found.isFinal, found.isLogin], [isFinal, isLogin]);
    assert.match(`${found.means ?? ''} ${found.hint ?? ''}`, told);
  });
}

const expiry = suite('expiredSince');

for (const [year, clientCertificate, expected] of [
  ['2100', { text: certificate }, undefined],
  ['2127', { text: certificate }, '2126-10-28T14:21:08.000Z'],
  ['2127', { text: 'no certificate' }, undefined],
  ['2127', { file: '/nowhere/client.crt' }, undefined],
  ['2127', undefined, undefined],
] as const) {
  expiry(`${JSON.stringify(clientCertificate)?.slice(0, 40)} in ${year}: ${expected}`, () => {
    const found = context(clientCertificate ? { clientCertificate } : {});
    assert.is(expiredSince(found, new Date(`${year}-01-01`)), expected);
  });
}

expiry.run();
login.run();
renewing.run();
trouble.run();
