import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatProblem } from '../scripts/lib/errors.ts';
import type { GeneratedObject } from '../scripts/lib/generate.ts';
import type { KubeObject } from '../scripts/lib/manifest.ts';
import type { Manifest } from '../scripts/lib/render.ts';
import { type Expectation, imagesOf, problemsOfImages, verify } from '../scripts/lib/verify.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
/** As Kustomize prints what is longer than 70 columns. */
const folded = (text: string): string =>
  `${base64(text)
    .match(/.{1,70}/g)!
    .join('\n')}\n`;

const configName = 'backend-config-2m5hbd84tk';
const secretName = 'backend-secrets-9ghkt42c7f';

const config = (data: Record<string, string>, name = configName): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'todo' },
  data,
});
const secret = (data: Record<string, string>, name = secretName): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: 'todo' },
  type: 'Opaque',
  data,
});
const account: KubeObject = {
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { name: 'backend', namespace: 'todo' },
};
const backend = (
  container: Record<string, unknown> = {},
  spec: Record<string, unknown> = {},
): KubeObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'backend', namespace: 'todo' },
  spec: {
    template: {
      spec: {
        serviceAccountName: 'backend',
        ...spec,
        containers: [
          {
            name: 'backend',
            image: 'todo-backend:1.0.0',
            envFrom: [{ configMapRef: { name: configName } }, { secretRef: { name: secretName } }],
            ...container,
          },
        ],
      },
    },
  },
});

const generated = (
  kind: GeneratedObject['kind'],
  name: string,
  data: Record<string, string>,
): GeneratedObject => ({
  kind,
  name,
  data: new Map(Object.entries(data)),
});

const expected: Expectation = {
  namespace: 'todo',
  generated: [
    generated('ConfigMap', 'backend-config', { ENVIRONMENT: 'development' }),
    generated('Secret', 'backend-secrets', { JWT_SECRET: 'correct-horse' }),
  ],
  images: [],
  external: [],
};

const goodConfig = config({ ENVIRONMENT: 'development' });
const goodSecret = secret({ JWT_SECRET: base64('correct-horse') });
const good = [goodConfig, goodSecret, account, backend()];

const manifestsOf = (objects: readonly KubeObject[]): Manifest[] =>
  objects.map((object) => ({ object, text: JSON.stringify(object) }));

const findings = (objects: readonly KubeObject[], parts: Partial<Expectation> = {}): string[] =>
  verify(manifestsOf(objects), { ...expected, ...parts }).map(
    ({ subject, message }) => `${subject}: ${message}`,
  );

/** The good objects with one of them replaced. */
const replacing = (old: KubeObject, ...fresh: KubeObject[]): KubeObject[] => [
  ...good.filter((object) => object !== old),
  ...fresh,
];

const whole = suite('verify');

whole('finds nothing in what was meant', () => assert.equal(findings(good), []));

whole('every finding is an error with a hint, and none holds a value', () => {
  const problems = verify(
    manifestsOf([
      config({ ENVIRONMENT: 'correct-horse-2' }),
      secret({ JWT_SECRET: 'correct-horse-3', X: 'correct-horse-4' }),
      backend(),
      backend(),
    ]),
    expected,
  );
  assert.ok(problems.length >= 5);
  for (const problem of problems) {
    assert.is(problem.severity, 'error');
    assert.ok(problem.hint, problem.message);
    assert.not.match(JSON.stringify(problem), /correct-horse|development/);
  }
});

whole('an empty render is refused', () => {
  assert.equal(findings([]), ['overlay: renders nothing']);
});

whole('strata.dev/run has one value, and is for workloads; the words say what to look for', () => {
  const migrate = (kind: string, value: string): KubeObject => ({
    apiVersion: 'batch/v1',
    kind,
    metadata: { name: 'migrate', namespace: 'todo', annotations: { 'strata.dev/run': value } },
  });
  assert.equal(findings([...good, migrate('Job', 'before')]), []);
  const [finding] = verify(manifestsOf([...good, migrate('Job', 'after')]), expected);
  assert.is(finding?.message, 'strata.dev/run is "after"; the only value is before');
  assert.equal(finding?.words, ['strata.dev/run', 'after']);
  assert.is(finding?.hint, 'write strata.dev/run: before on a workload, or take it away');
});

const identity = suite('verify, identity');

const elsewhere = { ...account, metadata: { name: 'x', namespace: 'other' } };
const namespaced = (name: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name },
});

for (const [name, objects, expectedFindings] of [
  ['the same object twice', [...good, account], ['ServiceAccount/backend: is rendered twice']],
  [
    'the same object in two versions',
    [...good, { ...backend(), apiVersion: 'apps/v1beta1' }],
    ['Deployment/backend: is rendered twice'],
  ],
  [
    'another namespace',
    [...good, elsewhere],
    ['ServiceAccount/x: is in namespace other, the overlay is todo'],
  ],
  ['the namespace of the overlay', [...good, namespaced('todo')], []],
  [
    'another Namespace object',
    [...good, namespaced('other')],
    ['Namespace/other: is not the namespace of the overlay (todo)'],
  ],
  [
    'objects of the cluster',
    [...good, { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'x' } }],
    [],
  ],
  [
    'an object that the server would name',
    [
      ...good,
      {
        apiVersion: 'batch/v1',
        kind: 'Job',
        metadata: { generateName: 'x-', namespace: 'todo' },
      } as unknown as KubeObject,
    ],
    ['Job: has generateName instead of a name: it could never be found again'],
  ],
  ['two objects of one name and other kinds', [...good, { ...account, kind: 'PersistentVolumeClaim' }], []],
] as [string, KubeObject[], string[]][]) {
  identity(`looks at ${name}`, () => assert.equal(findings(objects), expectedFindings));
}

const values = suite('verify, values');

const long = 'x'.repeat(400);

for (const [name, objects, parts, expectedFindings] of [
  [
    'a value that changed on its way',
    replacing(goodConfig, config({ ENVIRONMENT: 'development ' })),
    {},
    ['ConfigMap/backend-config ENVIRONMENT: did not arrive unchanged'],
  ],
  [
    'a key that was lost',
    replacing(goodSecret, secret({})),
    {},
    ['Secret/backend-secrets JWT_SECRET: did not arrive unchanged'],
  ],
  [
    'a Secret whose text is not base64 of the value',
    replacing(goodSecret, secret({ JWT_SECRET: 'correct-horse' })),
    {},
    ['Secret/backend-secrets JWT_SECRET: did not arrive unchanged'],
  ],
  [
    'a key that no contract names',
    replacing(goodConfig, config({ ENVIRONMENT: 'development', EXTRA: 'x' })),
    {},
    ['ConfigMap/backend-config EXTRA: is not in the env contract'],
  ],
  [
    'a key that another field of the manifest brings',
    replacing(goodSecret, { ...goodSecret, stringData: { EXTRA: 'x' } }),
    {},
    ['Secret/backend-secrets EXTRA: is not in the env contract'],
  ],
  [
    'a missing object',
    [goodConfig, account, backend({ envFrom: [] })],
    {},
    ['Secret/backend-secrets: has no hash suffix after rendering, or is missing'],
  ],
  [
    'an object without its hash suffix',
    [config({ ENVIRONMENT: 'development' }, 'backend-config'), goodSecret, account, backend({ envFrom: [] })],
    {},
    ['ConfigMap/backend-config: has no hash suffix after rendering, or is missing'],
  ],
  [
    'an object twice, with two hashes',
    [...good, config({ ENVIRONMENT: 'development' }, 'backend-config-ghkmt24567')],
    {},
    ['ConfigMap/backend-config: was rendered 2 times'],
  ],
  [
    'base64 in lines',
    replacing(goodSecret, secret({ JWT_SECRET: folded(long) })),
    { generated: [expected.generated[0], generated('Secret', 'backend-secrets', { JWT_SECRET: long })] },
    [],
  ],
  [
    'values of any script',
    [config({ A: '日本 🚀\n\u0000' }), secret({ A: base64('日本 🚀\n\u0000') }), account, backend()],
    {
      generated: [
        generated('ConfigMap', 'backend-config', { A: '日本 🚀\n\u0000' }),
        generated('Secret', 'backend-secrets', { A: '日本 🚀\n\u0000' }),
      ],
    },
    [],
  ],
  [
    'objects that are meant to be empty',
    [{ ...goodConfig, data: undefined }, goodSecret, account, backend()],
    { generated: [generated('ConfigMap', 'backend-config', {}), expected.generated[1]] },
    [],
  ],
  [
    'a lost key that is called like a method of every object',
    good,
    {
      generated: [
        generated('ConfigMap', 'backend-config', { ENVIRONMENT: 'development', toString: 'x' }),
        generated('Secret', 'backend-secrets', { JWT_SECRET: 'correct-horse', constructor: 'x' }),
      ],
    },
    [
      'ConfigMap/backend-config toString: did not arrive unchanged',
      'Secret/backend-secrets constructor: did not arrive unchanged',
    ],
  ],
] as [string, KubeObject[], Partial<Expectation>, string[]][]) {
  values(`looks at ${name}`, () => assert.equal(findings(objects, parts), expectedFindings));
}

const references = suite('verify, references');

const from = (source: Record<string, unknown>): Record<string, unknown> => ({
  env: [{ name: 'A', valueFrom: source }],
});

for (const [name, object, parts, expectedFindings] of [
  [
    'the bare name, as Kustomize leaves it in another namespace',
    backend({ envFrom: [{ configMapRef: { name: 'backend-config' } }] }),
    {},
    ['Deployment/backend: refers to ConfigMap/backend-config, which is not rendered'],
  ],
  [
    'an optional source that is not there',
    backend({ envFrom: [{ configMapRef: { name: 'gone', optional: true } }] }),
    {},
    [],
  ],
  [
    'what the tree declares as external',
    backend({ envFrom: [{ secretRef: { name: 'vault' } }] }),
    { external: ['Secret/vault'] },
    [],
  ],
  [
    'an external object of another kind',
    backend({ envFrom: [{ configMapRef: { name: 'vault' } }] }),
    { external: ['Secret/vault'] },
    ['Deployment/backend: refers to ConfigMap/vault, which is not rendered'],
  ],
  ['a key that is there', backend(from({ secretKeyRef: { name: secretName, key: 'JWT_SECRET' } })), {}, []],
  [
    'a key that is not',
    backend(from({ configMapKeyRef: { name: configName, key: 'GONE' } })),
    {},
    [`Deployment/backend: refers to key GONE of ConfigMap/${configName}, which has no such key`],
  ],
  [
    'an optional key that is not',
    backend(from({ configMapKeyRef: { name: configName, key: 'GONE', optional: true } })),
    {},
    [],
  ],
  [
    'a service account that nobody makes',
    backend({}, { serviceAccountName: 'gone' }),
    {},
    ['Deployment/backend: refers to ServiceAccount/gone, which is not rendered'],
  ],
  ['the default service account', backend({}, { serviceAccountName: 'default' }), {}, []],
  ['pull secrets from elsewhere', backend({}, { imagePullSecrets: [{ name: 'registry' }] }), {}, []],
  [
    'a claim that nobody makes',
    backend({}, { volumes: [{ name: 'd', persistentVolumeClaim: { claimName: 'data' } }] }),
    {},
    ['Deployment/backend: refers to PersistentVolumeClaim/data, which is not rendered'],
  ],
] as [string, KubeObject, Partial<Expectation>, string[]][]) {
  references(`looks at ${name}`, () => {
    assert.equal(findings([goodConfig, goodSecret, account, object], parts), expectedFindings);
  });
}

references('an Ingress needs its Service', () => {
  const ingress: KubeObject = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name: 'todo', namespace: 'todo' },
    spec: {
      rules: [{ http: { paths: [{ backend: { service: { name: 'frontend', port: { number: 80 } } } }] } }],
    },
  };
  const service: KubeObject = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'frontend', namespace: 'todo' },
  };
  assert.equal(findings([...good, ingress]), [
    'Ingress/todo: refers to Service/frontend, which is not rendered',
  ]);
  assert.equal(findings([...good, ingress, service]), []);
});

const scaling = suite('verify, replicas');

const scaler: KubeObject = {
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
  metadata: { name: 'busy', namespace: 'todo' },
  spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'backend' } },
};
const counted = (replicas: number): KubeObject => {
  const object = backend();
  return { ...object, spec: { ...(object.spec as object), replicas } };
};

scaling('are set by the manifest or by an autoscaler, not by both', () => {
  assert.equal(findings([...good, scaler]), []);
  assert.equal(findings(replacing(good[3]!, counted(2))), []);
  assert.equal(findings([...replacing(good[3]!, counted(2)), scaler]), [
    'Deployment/backend: sets replicas, but HorizontalPodAutoscaler/busy scales it',
  ]);
});

const sizes = suite('verify, sizes');

const parts = (bytes: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`K${index}`, 'x'.repeat(bytes / 8)]));
const mapped = (data: Record<string, string>, write: (value: string) => string): Record<string, string> =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [key, write(value)]));

for (const [name, bytes, expectedFindings] of [
  ['exactly 1 MiB', 1024 * 1024, []],
  [
    'eight bytes more',
    1024 * 1024 + 8,
    [/^(Secret|ConfigMap)\/backend-\S+: holds 1025 KiB, Kubernetes takes at most 1024 KiB$/],
  ],
] as [string, number, RegExp[]][]) {
  const data = parts(bytes);
  sizes(`a Secret of ${name}, in lines as Kustomize prints it`, () => {
    const found = findings(replacing(goodSecret, secret(mapped(data, folded))), {
      generated: [expected.generated[0]!, generated('Secret', 'backend-secrets', data)],
    });
    assert.is(found.length, expectedFindings.length, found.join());
    for (const [index, pattern] of expectedFindings.entries()) assert.match(found[index]!, pattern);
  });
  sizes(`a ConfigMap of ${name}`, () => {
    const found = findings(replacing(goodConfig, config(data)), {
      generated: [generated('ConfigMap', 'backend-config', data), expected.generated[1]!],
    });
    assert.is(found.length, expectedFindings.length, found.join());
    for (const [index, pattern] of expectedFindings.entries()) assert.match(found[index]!, pattern);
  });
}

sizes('an object that the server would not take as a request', () => {
  const huge: KubeObject = {
    ...account,
    metadata: { name: 'huge', namespace: 'todo', annotations: { a: 'x'.repeat(1.6 * 1024 * 1024) } },
  };
  assert.equal(findings([...good, huge]), [
    'ServiceAccount/huge: is 1639 KiB, the server takes at most 1536 KiB',
  ]);
});

const images = suite('verify, images');

const digest = `sha256:${'0'.repeat(64)}`;

for (const [name, image, override, found] of [
  [
    'a tag that is used',
    'todo-backend:a1',
    { name: 'todo-backend', newName: 'todo-backend', newTag: 'a1' },
    true,
  ],
  [
    'a digest that is used',
    `todo-backend@${digest}`,
    { name: 'todo-backend', newName: 'todo-backend', digest },
    true,
  ],
  [
    'a tag and a digest',
    `todo-backend:a1@${digest}`,
    { name: 'todo-backend', newName: 'todo-backend', newTag: 'a1', digest },
    true,
  ],
  [
    'a tag that the digest replaced',
    `todo-backend@${digest}`,
    { name: 'todo-backend', newName: 'todo-backend', newTag: 'a1', digest },
    true,
  ],
  [
    'an image that nothing uses',
    'todo-backend:1',
    { name: 'todo-backnd', newName: 'todo-backnd', newTag: 'a1' },
    false,
  ],
  ['another tag', 'todo-backend:1', { name: 'todo-backend', newName: 'todo-backend', newTag: 'a1' }, false],
] as [string, string, Expectation['images'][number], boolean][]) {
  images(`looks at ${name}`, () => {
    const problems = verify(manifestsOf([goodConfig, goodSecret, account, backend({ image })]), {
      ...expected,
      images: [override],
    });
    assert.equal(
      problems.map(({ subject, message, hint }) => [subject, message, hint]),
      found
        ? []
        : [[`--image ${override.name}`, 'names an image that the overlay does not use', `one of: ${image}`]],
    );
  });
}

images('are found in every container of every workload', () => {
  const cronJob = {
    spec: {
      jobTemplate: {
        spec: { template: { spec: { initContainers: [{ image: 'a' }], containers: [{ image: 'b' }, {}] } } },
      },
    },
  };
  assert.equal(imagesOf([cronJob, backend()]).sort(), ['a', 'b', 'todo-backend:1.0.0']);
});

for (const [image, expected] of [
  ['todo-backend:1.0.0', undefined],
  ['registry.example:5000/team/a_b/c.d--e:v1', undefined],
  ['[fd00::1]:5000/app:v1', undefined],
  ['localhost/app:v1', undefined],
  [`app@${digest}`, undefined],
  [`app:latest@${digest}`, undefined],
  ['app', 'warning: app: has neither tag nor digest'],
  ['registry.example:5000/app', 'warning: registry.example:5000/app: has neither tag nor digest'],
  ['app:latest', 'warning: app:latest: has the tag latest'],
  ['', 'error: is not the name'],
  ['App:v1', 'error: App:v1: is not the name'],
  ['app:v 1', 'error: app:v 1: is not the name'],
  ['app:', 'error: app:: is not the name'],
  ['app@sha256:12', 'error: app@sha256:12: is not the name'],
  ['https://registry.example/app:v1', 'error: https://registry.example/app:v1: is not the name'],
  ['a//b:v1', 'error: a//b:v1: is not the name'],
  ['$IMAGE:v1', 'error: $IMAGE:v1: is not the name'],
] as const) {
  images(`the name ${image || 'that is empty'}: ${expected ?? 'nothing is wrong with it'}`, () => {
    const found = problemsOfImages([image, image]).map(formatProblem);
    assert.is(found.length, expected === undefined ? 0 : 1);
    assert.ok((found[0] ?? '').startsWith(expected ?? ''), found[0]);
  });
}

images('a name is judged in linear time', () => {
  const started = performance.now();
  assert.is(problemsOfImages([`${'a-'.repeat(20_000)}!`, `${'a/'.repeat(20_000)}!`]).length, 2);
  assert.ok(performance.now() - started < 1000);
});

whole.run();
identity.run();
values.run();
references.run();
scaling.run();
sizes.run();
images.run();
