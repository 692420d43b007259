import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { chartFiles } from '../scripts/lib/chart.ts';
import { type ChartInput, camelOf, parseImage, podOf } from '../scripts/lib/chart-draft.ts';
import { recordFile, writeChart } from '../scripts/lib/chart-folder.ts';
import { leaksIn, nameOf, secretsKnown, versionOf } from '../scripts/lib/chart-source.ts';
import {
  Expression,
  escaped,
  Guard,
  Lines,
  plainYaml,
  templateOf,
  valueAt,
} from '../scripts/lib/chart-template.ts';
import { isPortable, repository, schemaOfField, schemaOfSecret } from '../scripts/lib/chart-values.ts';
import { buildContract } from '../scripts/lib/contract.ts';
import { checkFormat } from '../scripts/lib/formats.ts';
import { type KubeObject, listAt, numberAt, stringsAt, textAt } from '../scripts/lib/manifest.ts';
import { rejection } from './support/assertions.ts';
import { awkward } from './support/rich-tree.ts';
import { testSession } from './support/session.ts';
import { webDeployment } from './support/small-tree.ts';
import { anyText } from './support/text.ts';
import { withTree } from './support/tree.ts';

const writing = suite('text of a chart');

const pieces = fc.constantFrom(
  ...Object.values(awkward),
  '\n',
  ' ',
  '{{',
  '}}',
  'a',
  '# ',
  ': ',
  '\u0085',
  '-',
);
const anyValue = fc.oneof(
  anyText({ maxLength: 30 }),
  fc.array(pieces, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('')),
  fc.constantFrom(
    'y',
    'N',
    'On',
    '0x1F',
    '010',
    '1_0',
    '+1',
    '.5',
    '1.',
    '1e9',
    '0b1',
    '1:2',
    'NaN',
    '-.INF',
    'a:',
  ),
);

writing('every text is the same text for YAML 1.1 and 1.2', () => {
  fc.assert(
    fc.property(anyValue, anyValue, (key, text) => {
      for (const version of ['1.1', '1.2'] as const) {
        const read: unknown = parse(`outer:\n${plainYaml(key, text, 2)}\n  last: 1\n`, { version });
        assert.equal(read, {
          outer: Object.fromEntries([
            [key, text],
            ['last', 1],
          ]),
        });
      }
    }),
    { numRuns: 2000 },
  );
});

for (const [text, line] of [
  ['frontend', 'k: frontend'],
  ['256Mi', 'k: 256Mi'],
  ['100m', 'k: 100m'],
  ['Todo API', 'k: Todo API'],
  ['http://backend:8000', 'k: http://backend:8000'],
  ['1', 'k: "1"'],
  ['1.30', 'k: "1.30"'],
  ['no', 'k: "no"'],
  ['', 'k: ""'],
  ['a\u200bb', 'k: "a\\u200bb"'],
  ['a\nb\n', 'k: |\n  a\n  b'],
] as const) {
  writing(`${JSON.stringify(text)} reads well`, () => {
    assert.is(plainYaml('k', text), line);
  });
}

writing('actions stand where a hand would put them', () => {
  const node = {
    name: new Expression('.name'),
    '': new Guard('with .labels', new Lines('toYaml .', true)),
    list: [new Guard('range .items', [{ a: new Expression('.'), b: 1 }]), { c: new Guard('if .x', 'y') }],
    map: new Guard('with .map', new Lines('toYaml .')),
    text: 'a {{ b }}',
  };
  assert.is(
    templateOf(node),
    `name: {{ .name }}
{{- with .labels }}
{{- toYaml . | nindent 0 }}
{{- end }}
list:
  {{- range .items }}
  - a: {{ . }}
    b: 1
  {{- end }}
  -
    {{- if .x }}
    c: "y"
    {{- end }}
{{- with .map }}
map:
  {{- toYaml . | nindent 2 }}
{{- end }}
text: "a {{ "{{" }} b }}"
`,
  );
  assert.is(escaped('{{{{x}}'), '{{ "{{" }}{{ "{{" }}x}}');
});

for (const [steps, expression] of [
  [['web', 'replicaCount'], '$.Values.web.replicaCount'],
  [['web', 'config', 'data.key'], '(index $.Values "web" "config" "data.key")'],
  [['existingSecrets', 'web-secrets'], '(index $.Values "existingSecrets" "web-secrets")'],
] as const) {
  writing(`${steps.join('/')} is reached by ${expression}`, () => {
    assert.is(valueAt(steps), expression);
  });
}

writing('names become keys', () => {
  assert.equal(['web', 'web-api', 'a.b-c'].map(camelOf), ['web', 'webApi', 'aBC']);
});

for (const [reference, ...parts] of [
  ['todo-backend', '', 'todo-backend', '', ''],
  ['todo-backend:dev', '', 'todo-backend', 'dev', ''],
  ['library/redis:7', '', 'library/redis', '7', ''],
  ['localhost/x:1', 'localhost', 'x', '1', ''],
  ['r.example.com/a/b:0.1.0', 'r.example.com', 'a/b', '0.1.0', ''],
  ['r:5000/a', 'r:5000', 'a', '', ''],
  ['r:5000/a:1@sha256:ab', 'r:5000', 'a', '1', 'sha256:ab'],
] as const) {
  writing(`the image ${reference} in its parts`, () => {
    const { registry, repository, tag, digest } = parseImage(reference);
    assert.equal([registry, repository, tag, digest], parts);
  });
}

const rules = suite('schema of a value');

for (const [pattern, portable] of [
  ['^[a-z]+$', true],
  ['^wf_\\w{1,20}$', true],
  ['^https?:\\/\\/x$', true],
  ['(?:a|b)', true],
  ['^(?=a)', false],
  ['(?<!x)y', false],
  ['(a)\\1', false],
  ['\\u{1F600}', false],
  ['\\p{Letter}', false],
  ['[^]', false],
  ['a{2000}', false],
] as const) {
  rules(`${pattern} ${portable ? 'is' : 'is not'} for Go, too`, () => {
    assert.is(isPortable(pattern), portable);
  });
}

const contractOf = (data: object): ChartInput['contract'] => {
  const { contract, problems } = buildContract([{ file: 'strata.yaml', text: JSON.stringify(data) }]);
  assert.equal(problems, []);
  return contract;
};

rules('what the contract asks of a config value', () => {
  const { fields } = contractOf({
    configMaps: {
      web: {
        PLAIN: {},
        OPTIONAL: { optional: true },
        CHOICE: { oneOf: ['a', 'b'] },
        SHORT: { optional: true, minLength: 3 },
        SECOND: { format: 'integer', pattern: '^[0-9]$' },
        LOOKS: { pattern: '^(?=x)' },
      },
    },
  });
  assert.equal(Object.fromEntries(fields.map((field) => [field.dataKey, schemaOfField(field)])), {
    PLAIN: { type: 'string', minLength: 1 },
    OPTIONAL: { type: 'string' },
    CHOICE: { type: 'string', minLength: 1, enum: ['a', 'b'] },
    SHORT: { type: 'string', anyOf: [{ maxLength: 0 }, { minLength: 3 }] },
    SECOND: {
      type: 'string',
      minLength: 1,
      allOf: [{ pattern: '^[0-9]$' }, { pattern: '^(0|-?[1-9][0-9]*)$' }],
    },
    LOOKS: { type: 'string', minLength: 1 },
  });
});

for (const [value, fits] of [
  ['http://localhost:3000', true],
  ['http://a, https://b.example.com:8443', true],
  ['*', true],
  ['capacitor://localhost', true],
  ['["http://localhost:3000", "https:\\/\\/a"]', true],
  ['[]', true],
  ['nonsense', false],
  ['http://a,', false],
  ['http://a/', false],
  ['http://A', false],
  ['[1]', false],
  ['[""]', false],
  ['["http://a"', false],
] as const) {
  rules(`${JSON.stringify(value)} ${fits ? 'is' : 'is not'} a list of origins, as the contract says`, () => {
    const { fields } = contractOf({ configMaps: { web: { ORIGINS: { format: 'origin-list' } } } });
    const { pattern } = schemaOfField(fields[0]!) as { pattern: string };
    assert.ok(isPortable(pattern));
    assert.is(new RegExp(pattern).test(value), fits);
    assert.is(checkFormat('origin-list', value).error === undefined, fits);
  });
}

for (const [value, fits] of [
  ['todo', true],
  ['todo/back-end_x.y', true],
  ['Registry.example.com:5000/a/b__c', true],
  ['bad repo', false],
  ['todo:1', false],
  ['a//b', false],
  ['a/', false],
  ['A', false],
  ['a@sha256:0', false],
] as const) {
  rules(`${value} ${fits ? 'is' : 'is not'} the name of an image`, () => {
    assert.is(new RegExp(String(repository.pattern)).test(value), fits);
  });
}

rules('of a secret nothing that helm would print the value for', () => {
  assert.equal(schemaOfSecret(), { type: 'string' });
  assert.equal(schemaOfSecret(32), { type: 'string', anyOf: [{ maxLength: 0 }, { minLength: 32 }] });
});

const making = suite('chartFiles');

const secret = (data: Record<string, string>): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: {
    name: 'web-t5d69dkh69',
    namespace: 'ns',
    annotations: { 'kubectl.kubernetes.io/last-applied-configuration': 'canary-in-an-annotation' },
  },
  type: 'Opaque',
  data,
});

const deployment = (): KubeObject => {
  const object = webDeployment() as unknown as KubeObject;
  object.metadata.namespace = 'ns';
  const spec = (object as never as { spec: { template: { spec: { containers: object[] } } } }).spec;
  Object.assign(spec.template.spec.containers[0]!, { envFrom: [{ secretRef: { name: 'web-t5d69dkh69' } }] });
  return object;
};

const inputOf = (
  objects: KubeObject[],
  contract: object = { secrets: { web: { WEB_TOKEN: {} } } },
): ChartInput => ({
  objects,
  contract: contractOf(contract),
  overlay: 'none',
  namespace: 'ns',
  name: 'shop',
  version: '1.2.3',
});

const fileOf = (files: ReadonlyMap<string, string>, name: string): string => {
  assert.ok(files.has(name), `${name} is one of ${[...files.keys()].join(', ')}`);
  return files.get(name)!;
};

making('the same input gives the same bytes', () => {
  const input = (): ChartInput => inputOf([deployment(), secret({ WEB_TOKEN: '' })]);
  assert.equal([...chartFiles(input())], [...chartFiles(input())]);
});

making('has the files of a chart, and nothing of a Secret but its keys', () => {
  const value = Buffer.from('canary-value').toString('base64');
  const files = chartFiles(inputOf([deployment(), secret({ WEB_TOKEN: value, other: value })]));
  assert.equal(
    [...files.keys()],
    [
      '.helmignore',
      'Chart.yaml',
      'templates/NOTES.txt',
      'templates/_helpers.tpl',
      'templates/web-deployment.yaml',
      'templates/web-hpa.yaml',
      'templates/web-secret.yaml',
      'values.schema.json',
      'values.yaml',
    ],
  );
  const all = [...files.values()].join('\n');
  assert.not.match(all, /canary/);
  assert.not.match(all, new RegExp(value));
  const values = parse(fileOf(files, 'values.yaml'));
  assert.equal(values.secrets, { WEB_TOKEN: '', other: '' });
  assert.equal(values.existingSecrets, { web: '' });
  assert.equal(values.web.env, { MODE: 'plain' });
  assert.equal(parse(fileOf(files, 'Chart.yaml')), {
    apiVersion: 'v2',
    name: 'shop',
    description: 'shop, as overlay none describes it',
    type: 'application',
    version: '1.2.3',
    appVersion: '1',
    kubeVersion: '>=1.30.0-0',
  });
});

making('sections are keys of their own', () => {
  const named = (name: string, component?: string): KubeObject => {
    const object = deployment();
    object.metadata = {
      name,
      namespace: 'ns',
      labels: component ? { 'app.kubernetes.io/component': component } : {},
    };
    return object;
  };
  const files = chartFiles(
    inputOf(
      [
        named('a', 'ingress'),
        named('c', 'enabled'),
        named('web-api'),
        named('b', 'web-api'),
        named('shop-web'),
      ],
      {},
    ),
  );
  const values = parse(fileOf(files, 'values.yaml'));
  assert.equal(
    Object.keys(values).filter((key) => values[key].replicaCount !== undefined),
    ['a', 'c', 'webApi', 'b', 'web'],
  );
});

making('schema and values name the same keys', () => {
  const files = chartFiles(inputOf([deployment(), secret({ WEB_TOKEN: '' })]));
  const schema = JSON.parse(fileOf(files, 'values.schema.json'));
  const values = parse(fileOf(files, 'values.yaml'));
  const compare = (value: Record<string, unknown>, rule: { properties?: Record<string, object> }): void => {
    if (rule.properties === undefined) return;
    for (const [key, below] of Object.entries(value)) {
      assert.ok(key in rule.properties, key);
      if (typeof below === 'object' && below !== null && !Array.isArray(below))
        compare(below as Record<string, unknown>, rule.properties[key] as object);
    }
  };
  compare(values, schema);
  assert.equal(Object.keys(schema.properties), [...Object.keys(values), 'enabled']);
  assert.is(schema.additionalProperties, false);
});

const comment = (values: string, key: string): string => {
  const lines = values.split('\n');
  const end = lines.findIndex((line) => line.trim().startsWith(`${key}:`));
  const start = lines.findLastIndex((line, index) => index < end && !line.trim().startsWith('#'));
  return lines
    .slice(start + 1, end)
    .map((line) => line.replace(/^ *# /, ''))
    .join(' ');
};

for (const [value, isNamed, hasNamespace] of [
  ['http://web', true, false],
  ['http://web:80/x', true, false],
  ['redis://user:word@web:6379/0', true, false],
  ['web', true, false],
  ['web:80', true, false],
  ['a:1,web:80', true, false],
  ['http://web.ns.svc.cluster.local:80', true, true],
  ['web.ns', true, true],
  ['https://web.example.com', false, false],
  ['web shop', false, false],
  ['http://webs', false, false],
] as const) {
  making(`${JSON.stringify(value)} ${isNamed ? 'names' : 'does not name'} the Service web`, () => {
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace: 'ns' },
      spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
    } as KubeObject;
    const config = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'app', namespace: 'ns' },
      data: { HOST: value },
    };
    const web = deployment();
    const [container] = listAt(web, 'spec', 'template', 'spec', 'containers') as { env: object[] }[];
    container!.env.push({ name: 'WEB', value });
    const values = fileOf(chartFiles(inputOf([web, service, config], {})), 'values.yaml');
    const places = 'config.app.HOST, web.env.WEB';
    assert.is(comment(values, 'port').includes(`${places} name it: change both.`), isNamed);
    const follow = comment(values, 'fullnameOverride');
    assert.is(follow.includes(`does not follow: ${places}.`), isNamed);
    assert.is(follow.includes(`The namespace ns stays in ${places},`), hasNamespace);
  });
}

for (const [kind, length] of [
  ['ServiceAccount', 63],
  ['StatefulSet', 52],
  ['CronJob', 52],
] as const) {
  making(`a prefix leaves room for the names of a ${kind}`, () => {
    const metadata = { name: 'n'.repeat(30), namespace: 'ns' };
    const files = chartFiles(inputOf([{ ...deployment(), kind, metadata }], {}));
    const { properties } = JSON.parse(fileOf(files, 'values.schema.json'));
    assert.is(properties.fullnameOverride.maxLength, length - 31);
    assert.is(properties.nameOverride.maxLength, length - 31);
  });
}

making('what says something by itself cannot be taken away, what is empty or optional can', () => {
  const config = (name: string, data: Record<string, string>): KubeObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'ns' },
    data,
  });
  const contract = { configMaps: { app: { NAME: {}, LEVEL: { optional: true } } } };
  const files = chartFiles(
    inputOf(
      [deployment(), config('app', { NAME: 'x', LEVEL: 'y' }), config('other', { any: 'z' })],
      contract,
    ),
  );
  const { required, properties } = JSON.parse(fileOf(files, 'values.schema.json'));
  assert.equal(required, ['global', 'web', 'config']);
  assert.equal(properties.web.required, ['replicaCount', 'image', 'env', 'autoscaling']);
  assert.equal(properties.web.properties.image.required, ['repository']);
  assert.equal(properties.config.required, ['app', 'other']);
  assert.equal(properties.config.properties.app.required, ['NAME']);
  assert.is(properties.config.properties.other.required, undefined);
});

for (const [title, annotations, hook] of [
  ['before the install', {}, 'pre-install,pre-upgrade'],
  ['behind the install when it needs a workload', { 'strata.dev/run': 'before' }, 'post-install,pre-upgrade'],
] as [string, Record<string, string>, string][]) {
  making(`a Job that runs before is a hook ${title}`, () => {
    const web = deployment();
    web.metadata.annotations = annotations;
    const job = { ...deployment(), apiVersion: 'batch/v1', kind: 'Job' };
    job.metadata = { name: 'migrate', namespace: 'ns', annotations: { 'strata.dev/run': 'before' } };
    const files = chartFiles(inputOf([web, job, secret({ WEB_TOKEN: '' })]));
    const text = fileOf(files, 'templates/migrate-job.yaml');
    assert.match(text, `    helm.sh/hook: ${hook}\n    helm.sh/hook-weight: "0"\n`);
    assert.not.match(text, 'strata.dev/run');
    // The copy of the Secret comes first.
    assert.match(text, /^kind: Secret\n[\s\S]*helm\.sh\/hook-weight: "-5"$/m);
    assert.equal(parse(fileOf(files, 'values.yaml')).web.runMigrations, true);
  });
}

const account: KubeObject = {
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { name: 'web', namespace: 'ns', annotations: { 'cloud.example/role': 'reader' } },
};

making('what a Job needs before the install comes along as it is', () => {
  const web = deployment();
  const job = { ...deployment(), apiVersion: 'batch/v1', kind: 'Job' };
  job.metadata = { name: 'migrate', namespace: 'ns', annotations: { 'strata.dev/run': 'before' } };
  Object.assign(podOf(job) as object, { serviceAccountName: 'web', tolerations: [{ operator: 'Exists' }] });
  const files = chartFiles(inputOf([web, account, job, secret({ WEB_TOKEN: '' })]));
  const text = fileOf(files, 'templates/migrate-job.yaml');
  const copy = text.split('---').find((document) => /^kind: ServiceAccount$/m.test(document)) ?? '';
  assert.match(copy, '    cloud.example/role: reader\n');
  for (const field of ['imagePullSecrets', 'nodeSelector'])
    assert.match(text, `{{- with $.Values.web.${field} }}\n      ${field}:\n`);
  assert.match(text, 'tolerations:\n        - operator: Exists\n', 'its own stay its own');
});

making('the annotations of a ServiceAccount are values of the workload that has it alone', () => {
  const web = deployment();
  const other = deployment();
  other.metadata = { ...other.metadata, name: 'other', labels: {} };
  const job = { ...deployment(), apiVersion: 'batch/v1', kind: 'Job' };
  job.metadata = { name: 'migrate', namespace: 'ns', annotations: { 'strata.dev/run': 'before' } };
  for (const object of [web, other, job])
    Object.assign(podOf(object) as object, { serviceAccountName: 'web' });
  const given = '    {{- with $.Values.web.serviceAccount.annotations }}\n    {{- toYaml . | nindent 4 }}\n';
  const alone = chartFiles(inputOf([web, account, job], {}));
  assert.equal(parse(fileOf(alone, 'values.yaml')).web.serviceAccount, {
    annotations: { 'cloud.example/role': 'reader' },
  });
  assert.match(
    fileOf(alone, 'templates/web-serviceaccount.yaml'),
    '\n  {{- with $.Values.web.serviceAccount.annotations }}\n  annotations:\n    {{- toYaml . | nindent 4 }}\n',
  );
  // Who migrates has to be who the workload is.
  const copies = fileOf(alone, 'templates/migrate-job.yaml').split('---');
  const copy = copies.find((document) => /^kind: ServiceAccount$/m.test(document)) ?? '';
  assert.match(copy, `    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded\n${given}`);
  const shared = chartFiles(inputOf([web, other, account], {}));
  const values = parse(fileOf(shared, 'values.yaml'));
  assert.equal([values.web.serviceAccount, values.other.serviceAccount], [undefined, undefined]);
  assert.match(fileOf(shared, 'templates/web-serviceaccount.yaml'), '\n    cloud.example/role: reader\n');
});

making('what shares the image of a workload follows its values', () => {
  const job = (image: string): object => ({
    spec: { template: { spec: { containers: [{ name: 'clean', image }], restartPolicy: 'Never' } } },
  });
  const cron = (name: string, image: string): KubeObject => ({
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name, namespace: 'ns' },
    spec: { schedule: '0 3 * * *', jobTemplate: job(image) },
  });
  const image = textAt(podOf(deployment()), 'containers', 0, 'image') ?? '';
  const files = chartFiles(inputOf([deployment(), cron('clean', image), cron('other', 'busybox:1')], {}));
  const text = fileOf(files, 'templates/clean-cronjob.yaml');
  assert.match(text, 'schedule: "0 3 * * *"\n');
  assert.match(text, 'image: {{ include "shop.image" (list $ $.Values.web.image) | quote }}\n');
  assert.match(text, 'restartPolicy: Never\n');
  assert.match(fileOf(files, 'templates/other-cronjob.yaml'), 'image: busybox:1\n');
});

making('an init container that migrates has the switch of the Job that does', () => {
  const web = deployment();
  const [main] = listAt(podOf(web), 'containers') as object[];
  const switched = (...names: string[]): string => {
    Object.assign(podOf(web) as object, { initContainers: names.map((name) => ({ ...main, name })) });
    const files = chartFiles(inputOf([web], {}));
    assert.is(parse(fileOf(files, 'values.yaml')).web.runMigrations, names.includes('migrate') || undefined);
    return fileOf(files, 'templates/web-deployment.yaml');
  };
  assert.match(switched('migrate'), '      {{- if $.Values.web.runMigrations }}\n      initContainers:\n');
  assert.match(
    switched('wait', 'migrate'),
    /\n {6}initContainers:\n[\s\S]*name: wait\n[\s\S]*\n {8}\{\{- if \$\.Values\.web\.runMigrations \}\}\n[\s\S]*name: migrate\n/,
  );
  assert.not.match(switched('wait'), 'runMigrations');
});

making('a headless Service has nothing to set, and nobody scales a StatefulSet unasked', () => {
  const database = { ...deployment(), kind: 'StatefulSet' };
  const service = (name: string, more: object): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'ns' },
    spec: {
      ...more,
      selector: stringsAt(database, 'spec', 'template', 'metadata', 'labels'),
      ports: [{ port: 5432 }],
    },
  });
  const values = (...objects: KubeObject[]): Record<string, Record<string, unknown>> =>
    parse(fileOf(chartFiles(inputOf([database, ...objects], {})), 'values.yaml'));
  const headless = service('members', { clusterIP: 'None' });
  const alone = values(headless);
  assert.is(alone.web!.service, undefined);
  assert.is(alone.web!.autoscaling, undefined);
  assert.is(alone.web!.replicaCount, numberAt(database, 'spec', 'replicas') ?? 1);
  assert.equal(values(headless, service('web', {})).web!.service, {
    type: 'ClusterIP',
    port: 5432,
    nodePort: 0,
    annotations: {},
  });
});

making('without autoscaling there are as many Pods as the autoscaler keeps at least', () => {
  const web = deployment();
  delete (web.spec as Record<string, unknown>).replicas;
  const scaler: KubeObject = {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'web', namespace: 'ns' },
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: web.metadata.name },
      minReplicas: 2,
      maxReplicas: 4,
    },
  };
  assert.is(parse(fileOf(chartFiles(inputOf([web, scaler], {})), 'values.yaml')).web.replicaCount, 2);
});

making('a definition of a kind is not templated', () => {
  const crd: KubeObject = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'shops.example.com' },
    spec: { note: 'plain {{ x }}' },
  };
  const files = chartFiles(inputOf([deployment(), crd], {}));
  assert.equal(parse(fileOf(files, 'crds/shops.example.com.yaml')).spec, { note: 'plain {{ x }}' });
});

const source = suite('what a chart is made from');

source('the name: part-of, else the package, else the overlay', async () => {
  const part = (value: string): KubeObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'x', labels: { 'app.kubernetes.io/part-of': value } },
  });
  await withTree({ 'package.json': '{"name":"@team/My_Shop","version":"2.0.0-rc.1"}' }, (root) => {
    assert.is(nameOf(root, [part('todo')], 'dev'), 'todo');
    assert.is(nameOf(root, [part('a'), part('b')], 'dev'), 'my-shop');
    assert.is(versionOf(root), '2.0.0-rc.1');
  });
  await withTree({}, (root) => {
    assert.is(nameOf(root, [], '1dev'), 'dev');
    assert.is(versionOf(root), '0.1.0');
  });
});

source('a value that would stand in the chart is told by file and line, never itself', () => {
  const values = [
    { field: { envKey: 'TOKEN', secret: true }, value: 'canary-0123456789' },
    { field: { envKey: 'SHORT', secret: true }, value: 'web' },
    { field: { envKey: 'DATABASE_URL', secret: true }, value: 'postgres://todo:canary%2Fword@db.test/todo' },
    { field: { envKey: 'PLAIN', secret: false }, value: 'image: web' },
  ] as never;
  const tree = [secret({ key: Buffer.from('canary-of-the-tree').toString('base64') })];
  const files = new Map([
    ['a.yaml', 'image: web\nvalue: canary-0123456789\n'],
    ['b.yaml', `data: ${Buffer.from('canary-0123456789').toString('base64')}\n`],
    ['c.yaml', 'x: canary-of-the-tree\n'],
    ['d.yaml', 'APP_NAME: canary/word\n'],
  ]);
  const problems = leaksIn(files, secretsKnown(values, tree));
  assert.equal(
    problems.map(({ subject, message }) => `${subject}: ${message}`),
    [
      'TOKEN: its value would stand in a.yaml, line 2',
      'TOKEN: its value would stand in b.yaml, line 1',
      'DATABASE_URL: its value would stand in d.yaml, line 1',
      'Secret/web-t5d69dkh69 key: its value would stand in c.yaml, line 1',
    ],
  );
  assert.not.match(JSON.stringify(problems), /canary/);
});

const folders = suite('writeChart');

const files = new Map([
  ['Chart.yaml', 'name: a\n'],
  ['templates/x.yaml', 'x\n'],
]);

const write = (folder: string, content: ReadonlyMap<string, string> = files): void => {
  const session = testSession();
  try {
    writeChart(session, folder, 'DIR', content);
  } finally {
    session.end();
  }
};

const refusal = (folder: string): Promise<string> =>
  rejection(async () => write(folder)).then(({ code, message }) => `${code} ${message}`);

folders('writes a new folder with its parents, for everybody to read', () =>
  withTree({}, (root) => {
    const folder = path.join(root, 'a/b/chart');
    write(folder);
    assert.is(readFileSync(path.join(folder, 'templates/x.yaml'), 'utf8'), 'x\n');
    assert.equal(readdirSync(path.join(root, 'a/b')), ['chart']);
  }),
);

folders('replaces its own chart as a whole, and an empty folder', () =>
  withTree({}, (root) => {
    const folder = path.join(root, 'chart');
    mkdirSync(folder);
    write(folder);
    write(folder, new Map([['Chart.yaml', 'name: b\n']]));
    assert.equal(readdirSync(folder).sort(), [recordFile, 'Chart.yaml']);
    assert.equal(readdirSync(root), ['chart']);
  }),
);

for (const [title, spoil, expected] of [
  [
    'a file of somebody else',
    (folder: string) => writeFileSync(path.join(folder, 'values-local.yaml'), 'x'),
    /DIR holds .*values-local\.yaml; nothing was changed/,
  ],
  [
    'a template that was edited',
    (folder: string) => writeFileSync(path.join(folder, 'templates/x.yaml'), 'y\n'),
    /was edited since: templates\/x\.yaml/,
  ],
  [
    'a link instead of a file',
    (folder: string) => symlinkSync('Chart.yaml', path.join(folder, 'link')),
    /: link; nothing/,
  ],
] as const) {
  folders(`leaves a chart with ${title} alone`, () =>
    withTree({}, async (root) => {
      const folder = path.join(root, 'chart');
      write(folder);
      spoil(folder);
      assert.match(await refusal(folder), expected);
      assert.ok(existsSync(path.join(folder, recordFile)));
    }),
  );
}

folders('leaves a folder of somebody else, and a file, alone', () =>
  withTree({ 'chart/Chart.yaml': 'name: a\n', file: '' }, async (root) => {
    assert.match(
      await refusal(path.join(root, 'chart')),
      /^FILE_UNWRITABLE DIR is not empty and no chart of this command: Chart\.yaml/,
    );
    assert.match(await refusal(path.join(root, 'file')), /^FILE_UNWRITABLE DIR is no folder/);
  }),
);

folders('where no folder can be, says so and leaves nothing', () =>
  withTree({ file: '' }, async (root) => {
    assert.match(await refusal(path.join(root, 'file/chart')), /^FILE_UNWRITABLE DIR cannot be written/);
    assert.equal(readdirSync(root), ['file']);
  }),
);

writing.run();
rules.run();
making.run();
source.run();
folders.run();
