import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KubeObject } from '../scripts/lib/manifest.ts';
import { referenceOf } from '../scripts/lib/manifest.ts';
import { dataKeysOf, type Mention, mentionKey, mentionsOf, usersOf } from '../scripts/lib/references.ts';
import { deployment, owned, pod, replicaSet } from './support/objects.ts';

const mention = (kind: Mention['kind'], name: string, parts: Partial<Mention> = {}): Mention => ({
  kind,
  name,
  keys: [],
  mayBeAbsent: false,
  ...parts,
});

const podWith = (spec: Record<string, unknown>): KubeObject =>
  owned('v1', 'Pod', 'x', { spec: { containers: [], ...spec } });

const workload = (apiVersion: string, kind: string, spec: Record<string, unknown>): KubeObject => ({
  apiVersion,
  kind,
  metadata: { name: 'x', namespace: 'todo' },
  spec,
});

const secretUser = { containers: [{ name: 'c', envFrom: [{ secretRef: { name: 's' } }] }] };

const shapes = suite('mentionsOf, by kind');

for (const [name, object] of [
  ['a Pod', workload('v1', 'Pod', secretUser)],
  ['a Deployment', workload('apps/v1', 'Deployment', { template: { spec: secretUser } })],
  [
    'a CronJob',
    workload('batch/v1', 'CronJob', { jobTemplate: { spec: { template: { spec: secretUser } } } }),
  ],
  ['an Argo Rollout', workload('argoproj.io/v1alpha1', 'Rollout', { template: { spec: secretUser } })],
  [
    'a ControllerRevision, which keeps the template under data',
    {
      apiVersion: 'apps/v1',
      kind: 'ControllerRevision',
      metadata: { name: 'x' },
      data: { spec: { template: { spec: secretUser } } },
      revision: 1,
    },
  ],
  ['an init container', podWith({ initContainers: secretUser.containers })],
  ['an ephemeral container', podWith({ ephemeralContainers: secretUser.containers })],
] as [string, KubeObject][]) {
  shapes(`${name} names what its containers use`, () => {
    assert.equal(mentionsOf(object), [mention('Secret', 's')]);
  });
}

for (const [name, object] of [
  [
    'a CustomResourceDefinition whose schema has a field called containers',
    workload('apiextensions.k8s.io/v1', 'CustomResourceDefinition', {
      versions: [{ schema: { openAPIV3Schema: { properties: { containers: { type: 'array' } } } } }],
    }),
  ],
  [
    'a ConfigMap',
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' }, data: { secretName: 's' } },
  ],
  ['a Service', workload('v1', 'Service', { selector: { app: 'x' } })],
  ['a Pod without anything', podWith({})],
] as [string, KubeObject][]) {
  shapes(`${name} names nothing`, () => assert.equal(mentionsOf(object), []));
}

const fields = suite('mentionsOf, by field');

for (const [name, spec, expected] of [
  [
    'envFrom',
    {
      containers: [
        { envFrom: [{ configMapRef: { name: 'c' } }, { prefix: 'X_', secretRef: { name: 's' } }] },
      ],
    },
    [mention('ConfigMap', 'c'), mention('Secret', 's')],
  ],
  [
    'an optional envFrom',
    { containers: [{ envFrom: [{ secretRef: { name: 's', optional: true } }] }] },
    [mention('Secret', 's', { mayBeAbsent: true })],
  ],
  [
    'optional: false',
    { containers: [{ envFrom: [{ secretRef: { name: 's', optional: false } }] }] },
    [mention('Secret', 's')],
  ],
  [
    'a key of a ConfigMap',
    { containers: [{ env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } }] }] },
    [mention('ConfigMap', 'c', { keys: ['k'] })],
  ],
  [
    'an optional key of a Secret',
    {
      containers: [
        { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k', optional: true } } }] },
      ],
    },
    [mention('Secret', 's', { keys: ['k'], mayBeAbsent: true })],
  ],
  [
    'plain env values and field references',
    {
      containers: [
        {
          env: [
            { name: 'A', value: 's' },
            { name: 'B', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
          ],
        },
      ],
    },
    [],
  ],
  [
    'volumes',
    {
      volumes: [
        { name: 'a', configMap: { name: 'c', items: [{ key: 'k', path: 'p' }] } },
        { name: 'b', secret: { secretName: 's', optional: true } },
      ],
    },
    [mention('ConfigMap', 'c', { keys: ['k'] }), mention('Secret', 's', { mayBeAbsent: true })],
  ],
  [
    'projected volumes',
    {
      volumes: [
        {
          name: 'a',
          projected: {
            sources: [
              { secret: { name: 's', items: [{ key: 'k', path: 'p' }] } },
              { configMap: { name: 'c' } },
              { serviceAccountToken: { path: 't' } },
            ],
          },
        },
      ],
    },
    [mention('Secret', 's', { keys: ['k'] }), mention('ConfigMap', 'c')],
  ],
  [
    'a claim',
    { volumes: [{ name: 'a', persistentVolumeClaim: { claimName: 'data' } }] },
    [mention('PersistentVolumeClaim', 'data')],
  ],
  ['a service account', { serviceAccountName: 'backend' }, [mention('ServiceAccount', 'backend')]],
  [
    'the service account that every namespace has',
    { serviceAccountName: 'default' },
    [mention('ServiceAccount', 'default', { mayBeAbsent: true })],
  ],
  [
    'pull secrets, which commonly come from elsewhere',
    { imagePullSecrets: [{ name: 'registry' }] },
    [mention('Secret', 'registry', { mayBeAbsent: true })],
  ],
  [
    'empty names',
    {
      imagePullSecrets: [{}],
      serviceAccountName: '',
      containers: [{ envFrom: [{ secretRef: { name: '' } }] }],
    },
    [],
  ],
] as [string, Record<string, unknown>, Mention[]][]) {
  fields(name, () => assert.equal(mentionsOf(podWith(spec)), expected));
}

fields('a StatefulSet makes the claims of its own templates', () => {
  const set = workload('apps/v1', 'StatefulSet', {
    volumeClaimTemplates: [{ metadata: { name: 'data' } }],
    template: {
      spec: {
        containers: [],
        volumes: [
          { name: 'data', persistentVolumeClaim: { claimName: 'data' } },
          { name: 'other', persistentVolumeClaim: { claimName: 'other' } },
        ],
      },
    },
  });
  assert.equal(mentionsOf(set), [mention('PersistentVolumeClaim', 'other')]);
});

fields('an Ingress names its Services; its certificates may be made later', () => {
  const ingress = workload('networking.k8s.io/v1', 'Ingress', {
    defaultBackend: { service: { name: 'fallback', port: { number: 80 } } },
    tls: [{ hosts: ['todo.example'], secretName: 'todo-tls' }],
    rules: [
      {
        host: 'todo.example',
        http: {
          paths: [
            { path: '/', backend: { service: { name: 'frontend', port: { name: 'http' } } } },
            { path: '/files', backend: { resource: { kind: 'Bucket', name: 'files' } } },
          ],
        },
      },
      { host: 'other.example' },
    ],
  });
  assert.equal(mentionsOf(ingress), [
    mention('Service', 'fallback'),
    mention('Service', 'frontend'),
    mention('Secret', 'todo-tls', { mayBeAbsent: true }),
  ]);
});

const keys = suite('dataKeysOf');

keys('counts data, stringData and binaryData, empty values too', () => {
  const object = {
    ...owned('v1', 'Secret', 's'),
    data: { a: '', b: 'eA==' },
    stringData: { c: 'x' },
    binaryData: { d: 'eA==' },
  };
  assert.equal([...dataKeysOf(object)], ['a', 'b', 'c', 'd']);
  assert.equal([...dataKeysOf(owned('v1', 'Secret', 's'))], []);
});

const users = suite('usersOf');

users('lists each user of a ConfigMap or Secret once, within its namespace', () => {
  const objects = [
    replicaSet('backend-7d4b9c6f5d', '3'),
    pod('backend-7d4b9c6f5d-x2x9k', 'backend-7d4b9c6f5d'),
    pod('elsewhere', 'x', undefined, { metadata: { namespace: 'other' } }),
    owned('v1', 'Pod', 'twice', {
      spec: { containers: [...secretUser.containers, ...secretUser.containers] },
    }),
    deployment(),
  ].map((object) => ({ reference: referenceOf(object), object }));
  const found = usersOf(objects.slice(0, 4));
  const names = (kind: string, namespace: string, name: string): string[] =>
    (found.get(mentionKey({ kind, namespace, name })) ?? []).map((user) => `${user.kind}/${user.name}`);
  assert.equal(names('Secret', 'todo', 'backend-secrets-9ghkt42c7f'), [
    'ReplicaSet/backend-7d4b9c6f5d',
    'Pod/backend-7d4b9c6f5d-x2x9k',
  ]);
  assert.equal(names('Secret', 'other', 'backend-secrets-9ghkt42c7f'), ['Pod/elsewhere']);
  assert.equal(names('Secret', 'todo', 's'), ['Pod/twice']);
  assert.equal(names('ConfigMap', 'todo', 's'), []);
});

shapes.run();
fields.run();
keys.run();
users.run();
