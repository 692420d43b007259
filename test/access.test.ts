import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { accessLines } from '../scripts/lib/access.ts';
import type { KubeObject } from '../scripts/lib/manifest.ts';
import { deployment, owned } from './support/objects.ts';

const place = (context: string): Parameters<typeof accessLines>[1] => ({
  overlay: 'minikube',
  context,
  server: 'https://192.168.49.2:8443',
  namespace: 'todo',
});
const service = (spec: Record<string, unknown>): KubeObject =>
  owned('v1', 'Service', 'frontend', { spec: { clusterIP: '10.96.0.7', ...spec } });
const ingress = (spec: Record<string, unknown>): KubeObject =>
  owned('networking.k8s.io/v1', 'Ingress', 'todo', { spec });

const access = suite('accessLines');

const forward = (context: string, ports: string, local: number): string =>
  `frontend: kubectl --context ${context} -n todo port-forward service/frontend ${ports}, then http://localhost:${local}`;

for (const [name, context, object, expected] of [
  [
    'a ClusterIP',
    'kind-x',
    service({ type: 'ClusterIP', ports: [{ port: 3000 }] }),
    [forward('kind-x', '3000:3000', 3000)],
  ],
  [
    'a port that only root may open here',
    'kind-x',
    service({ ports: [{ port: 80 }] }),
    [forward('kind-x', '8080:80', 8080)],
  ],
  [
    'a node port on minikube',
    'minikube',
    service({ type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] }),
    [
      'frontend: minikube service frontend -p minikube -n todo --url (node port 30080)',
      forward('minikube', '30080:80', 30080),
    ],
  ],
  [
    'a node port elsewhere',
    'kind-x',
    service({ type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] }),
    ['frontend: node port 30080 on every node', forward('kind-x', '30080:80', 30080)],
  ],
  [
    'several ports',
    'kind-x',
    service({ ports: [{ port: 3000 }, { port: 9090 }] }),
    [forward('kind-x', '3000:3000', 3000), forward('kind-x', '9090:9090', 9090)],
  ],
  [
    'a port that port-forward cannot carry',
    'kind-x',
    service({
      ports: [
        { port: 5353, protocol: 'UDP' },
        { port: 3000, protocol: 'TCP' },
      ],
    }),
    [forward('kind-x', '3000:3000', 3000)],
  ],
  ['a headless Service', 'kind-x', service({ clusterIP: 'None', ports: [{ port: 3000 }] }), []],
  [
    'an ExternalName',
    'kind-x',
    service({ type: 'ExternalName', clusterIP: undefined, externalName: 'db.example' }),
    [],
  ],
  ['an Ingress', 'kind-x', ingress({ rules: [{ host: 'todo.example' }] }), ['todo: http://todo.example']],
  [
    'an Ingress with a certificate for one of its hosts',
    'kind-x',
    ingress({
      tls: [{ hosts: ['a.example'], secretName: 's' }],
      rules: [{ host: 'a.example' }, { host: 'b.example' }],
    }),
    ['todo: https://a.example', 'todo: http://b.example'],
  ],
  ['an Ingress without a host', 'kind-x', ingress({ rules: [{ http: { paths: [] } }] }), []],
  ['a Deployment', 'kind-x', deployment(), []],
  [
    'a Service of another group',
    'kind-x',
    { ...service({ ports: [{ port: 80 }] }), apiVersion: 'serving.knative.dev/v1' },
    [],
  ],
] as [string, string, KubeObject, string[]][]) {
  access(name, () => assert.equal(accessLines([object], place(context)), expected));
}

access.run();
