import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Context } from '../scripts/lib/kubeconfig.ts';
import { renewal } from '../scripts/lib/login.ts';

const context = (over: Partial<Context> = {}): Context => ({
  name: 'prod',
  cluster: 'prod',
  server: 'https://a',
  user: 'u',
  usesExec: false,
  ...over,
});

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

renewing.run();
