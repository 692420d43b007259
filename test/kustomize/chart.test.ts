import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import deepmerge from 'deepmerge';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { at, isRecord, type KubeObject, listAt, stringsAt, textAt } from '../../scripts/lib/manifest.ts';
import { mentionsOf } from '../../scripts/lib/references.ts';
import { changedPaths, makeChart, normalized, renderedObjects } from '../support/chart.ts';
import { helm, helmTemplate } from '../support/helm.ts';
import { awkward, richSecrets, richTree } from '../support/rich-tree.ts';
import { projectFolder } from '../support/session.ts';
import { anyText } from '../support/text.ts';

const todoSecrets = {
  DATABASE_URL: 'postgresql+asyncpg://todo:canary%2Fword@db.strata.test/todo?ssl=require',
  BETTER_AUTH_SECRET: 'canary/better+auth=0123456789-abcdefghij',
  JWT_SECRET: 'canary jwt "quoted" 0123456789-abcdefghij',
  OPENAI_API_KEY: 'canary-openai',
};

/** A chart with what it was made from; all are made once. */
interface Made {
  overlay: string;
  namespace: string;
  chart: string;
  secrets: Record<string, string>;
  /** What `render` prints with these secrets. */
  rendered: KubeObject[];
  /** By section. */
  owners: Record<string, string>;
}

const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'strata-charts-')));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

let files = 0;

/** A private file with these values, for -f. */
function valuesFile(values: object): string {
  const file = path.join(folder, `values-${files++}.json`);
  // YAML for helm: a line separator would end a line, and a pair of escaped surrogates is none.
  const text = JSON.stringify(values).replace(
    /[\u007f-\ud7ff\ue000-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

const envText = (secrets: Record<string, string>): string =>
  Object.entries(secrets)
    .map(([key, value]) => `${key}=\`${value}\`\n`)
    .join('');

async function make(
  name: string,
  parts: Pick<Made, 'overlay' | 'namespace' | 'secrets' | 'owners'>,
): Promise<Made> {
  const root = path.join(folder, name);
  for (const part of ['base', 'components', 'overlays'])
    cpSync(path.join(projectFolder, part), path.join(root, part), { recursive: true });
  for (const [file, text] of Object.entries(name === 'shop' ? richTree : {})) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), text);
  }
  if (name === 'dev') {
    const file = path.join(root, 'overlays/dev/kustomization.yaml');
    // Its list of components is the last of the file.
    const more = ['autoscaling', 'high-availability', 'migrations', 'network-policy'];
    const lines = more.map((component) => `  - ../../components/${component}\n`);
    writeFileSync(file, `${readFileSync(file, 'utf8')}${lines.join('')}`);
  }
  const chart = await makeChart(root, parts.overlay);
  writeFileSync(path.join(root, '.env'), envText(parts.secrets), { mode: 0o600 });
  return { ...parts, chart, rendered: await renderedObjects(root, parts.overlay) };
}

const todoOwners = { backend: 'Deployment/backend', frontend: 'Deployment/frontend' };

const makers = {
  minikube: () =>
    make('minikube', {
      overlay: 'minikube',
      namespace: 'todo-minikube',
      secrets: todoSecrets,
      owners: todoOwners,
    }),
  dev: () =>
    make('dev', {
      overlay: 'dev',
      namespace: 'todo-dev',
      secrets: { ...todoSecrets, DIRECT_DATABASE_URL: todoSecrets.DATABASE_URL },
      owners: todoOwners,
    }),
  shop: () =>
    make('shop', {
      overlay: 'shop',
      namespace: 'shop',
      secrets: richSecrets,
      owners: { webApi: 'Deployment/web-api', store: 'StatefulSet/store' },
    }),
};
type Name = keyof typeof makers;
const names = Object.keys(makers) as Name[];
const made = new Map<Name, Promise<Made>>();

function madeOf(name: Name): Promise<Made> {
  if (!made.has(name)) made.set(name, makers[name]());
  return made.get(name)!;
}

/** What the tree itself says of its TLS Secret goes with the others. */
const secretValues = ({ overlay, secrets }: Made): Record<string, string> =>
  overlay === 'shop'
    ? { ...secrets, 'tls.crt': 'canary-certificate-in-the-tree', 'tls.key': 'canary-key-in-the-tree' }
    : secrets;

const template = ({ chart, namespace }: Made, values: object = {}): Promise<KubeObject[]> =>
  helmTemplate(chart, ['--namespace', namespace, '-f', valuesFile(values)]);

const templated = new Map<string, Promise<KubeObject[]>>();

/** The same for the same values. */
function templateOnce(one: Made, values: object): Promise<KubeObject[]> {
  const key = `${one.overlay} ${JSON.stringify(values)}`;
  const found = templated.get(key) ?? template(one, values);
  templated.set(key, found);
  return found;
}

const withoutSecrets = (objects: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(objects).filter(([title]) => !title.startsWith('Secret/')));

const equal = suite('helm template against render');

for (const name of names) {
  equal(`${name}: every object but the Secrets, with the values of the chart`, async () => {
    const one = await madeOf(name);
    const objects = await template(one);
    const made = objects.filter(({ kind }) => kind === 'Secret').map(({ metadata }) => metadata.name);
    assert.equal(made, name === 'shop' ? ['only-optional'] : []);
    const [found, expected] = [normalized(objects, 'fromChart'), normalized(one.rendered, 'fromRender')];
    assert.equal(changedPaths(withoutSecrets(expected), withoutSecrets(found)), []);
    assert.ok(Object.keys(found).length >= 8);
  });

  equal(`${name}: every object, with the values of the secrets`, async () => {
    const one = await madeOf(name);
    const objects = await template(one, { secrets: secretValues(one) });
    const expected = normalized(one.rendered, 'fromRender');
    assert.equal(changedPaths(expected, normalized(objects, 'fromChart')), []);
    assert.ok(Object.keys(expected).filter((title) => title.startsWith('Secret/')).length >= 2);
  });

  equal(`${name}: lint is content, strictly`, async () => {
    const { chart } = await madeOf(name);
    const { status, stdout, stderr } = await helm(['lint', '--strict', chart]);
    assert.is(status, 0, stdout + stderr);
    assert.match(stdout, /1 chart\(s\) linted, 0 chart\(s\) failed/);
    assert.not.match(stdout, /WARNING|ERROR/);
  });
}

const documented = suite('each documented value');

type Schema = Record<string, unknown>;

const schemaAt = (schema: Schema, steps: readonly string[]): Schema =>
  steps.reduce<Schema>(
    (found, step) => (at(found, 'properties', step) ?? found.additionalProperties) as Schema,
    schema,
  );

/** Every value that is documented: the entries of maps, and lists and empty maps as a whole. */
const leavesOf = (value: unknown, steps: string[] = []): string[][] =>
  isRecord(value) && Object.keys(value).length > 0
    ? Object.entries(value).flatMap(([key, entry]) => leavesOf(entry, [...steps, key]))
    : [steps];

const texts = ['changed', 'http://changed.example.com', 'true', '7', `sha256:${'b'.repeat(64)}`, '9Gi'];

/** Another value that the schema takes. */
function otherValue(schema: Schema, before: unknown): unknown {
  if (typeof before === 'boolean') return !before;
  if (schema.type === 'integer') return Number(before) + 1;
  const patterns = [schema, ...listAt(schema, 'allOf'), ...listAt(schema, 'anyOf')].map(
    (one) => new RegExp(textAt(one, 'pattern') ?? ''),
  );
  const choices = listAt(schema, 'enum').length > 0 ? listAt(schema, 'enum') : texts;
  const fits = (text: unknown): boolean =>
    text !== before && text !== '' && patterns.every((pattern) => pattern.test(String(text)));
  const found = choices.find(fits);
  assert.ok(found !== undefined, `a value for ${JSON.stringify(schema)}`);
  return found;
}

const nested = (steps: readonly string[], value: unknown): Record<string, unknown> =>
  steps.reduceRight<unknown>((below, step) => ({ [step]: below }), value) as Record<string, unknown>;

interface Rule {
  /** Steps joined by `/`; the first group is the section. */
  path: RegExp;
  /** Paths that have to change; OWNER is the workload of the section. */
  changes: readonly string[];
  /** Paths that may change with them. */
  also?: readonly string[];
  /** Values without which the value means nothing. */
  with?: (section: string) => object;
  value?: unknown;
}

const pod = 'spec\\.template\\.spec';
const container = `${pod}\\.(initC|c)ontainers\\[\\d\\]`;
const checksum = '^\\w+/[\\w-]+\\.spec\\.template\\.metadata\\.annotations\\.checksum/';
const scaled = (section: string): object => ({ [section]: { autoscaling: { enabled: true } } });
const longSecret = 'z'.repeat(40);
const allSecrets = {
  secrets: Object.fromEntries(
    ['DATABASE_URL', 'BETTER_AUTH_SECRET', 'JWT_SECRET', 'tls.crt', 'tls.key'].map((key) => [
      key,
      longSecret,
    ]),
  ),
};

const rules: readonly Rule[] = [
  {
    path: /^global\/environment$/,
    value: 'production',
    changes: ['^ConfigMap/[\\w-]+\\.data\\.ENVIRONMENT$', `${checksum}config$`],
  },
  {
    path: /^global\/image(Registry|Tag)$/,
    changes: [`${container}\\.image$`],
    also: ['^Job/migrate\\..*\\.image$'],
  },
  { path: /^global\/imagePullPolicy$/, changes: [`${container}\\.imagePullPolicy$`] },
  {
    path: /^(\w+)\/replicaCount$/,
    changes: ['^OWNER\\.spec\\.replicas$'],
    with: (section) => ({ [section]: { autoscaling: { enabled: false } } }),
  },
  {
    path: /^(\w+)\/(?:\w+\/)?image\/(registry|repository|tag|digest)$/,
    changes: [`^OWNER\\.${container}\\.image$`],
    also: ['^Job/migrate\\..*\\.image$'],
  },
  {
    path: /^(\w+)\/(?:\w+\/)?image\/pullPolicy$/,
    changes: [`^OWNER\\.${container}\\.imagePullPolicy$`],
    also: ['^Job/migrate\\..*\\.imagePullPolicy$'],
  },
  {
    path: /^(\w+)\/service\/type$/,
    changes: ['^Service/[\\w-]+\\.spec\\.type$'],
    also: ['^Service/[\\w-]+\\.spec\\.ports\\[\\d\\]\\.nodePort$'],
  },
  {
    path: /^(\w+)\/service\/port$/,
    changes: ['^Service/[\\w-]+\\.spec\\.ports\\[0\\]\\.port$'],
    also: ['^Ingress/.*\\.port\\.number$'],
  },
  {
    path: /^(\w+)\/service\/nodePort$/,
    changes: ['^Service/[\\w-]+\\.spec\\.ports\\[0\\]\\.nodePort$'],
    with: (section) => ({ [section]: { service: { type: 'NodePort' } } }),
  },
  {
    path: /^(\w+)\/service\/annotations$/,
    value: { owner: 'me' },
    changes: ['^Service/[\\w-]+\\.metadata\\.annotations$'],
  },
  {
    path: /^(\w+)\/service\/annotations\/owner$/,
    changes: ['^Service/[\\w-]+\\.metadata\\.annotations\\.owner$'],
  },
  {
    path: /^(\w+)\/serviceAccount\/annotations$/,
    value: { role: 'x' },
    changes: ['^ServiceAccount/[\\w-]+\\.metadata\\.annotations$'],
    also: ['^ServiceAccount/migrate-[\\w-]+\\.metadata\\.annotations\\.role$'],
  },
  {
    path: /^(\w+)\/(?:\w+\/)?resources$/,
    value: { limits: { cpu: '2' } },
    changes: [`^OWNER\\.${container}\\.resources$`],
  },
  {
    path: /^(\w+)\/(?:\w+\/)?resources\/(requests|limits)\/\w+$/,
    value: '3',
    changes: [`^OWNER\\.${container}\\.resources\\.(requests|limits)\\.\\w+$`],
  },
  { path: /^(\w+)\/(?:\w+\/)?env$/, value: { NEW: 'x' }, changes: [`^OWNER\\.${container}\\.env$`] },
  { path: /^(\w+)\/(?:\w+\/)?env\/\w+$/, changes: [`^OWNER\\.${container}\\.env\\[\\d+\\]\\.value$`] },
  {
    path: /^(\w+)\/config\/([\w.-]+)$/,
    changes: ['^ConfigMap/[\\w-]+\\.data\\.KEY$', `^OWNER${checksum.slice('^\\w+/[\\w-]+'.length)}config$`],
  },
  {
    path: /^(config)\/[\w-]+\/([\w.-]+)$/,
    changes: ['^ConfigMap/[\\w-]+\\.data\\.KEY$'],
    also: [`${checksum}config$`],
  },
  { path: /^(config)\/empty$/, value: {}, changes: [] },
  {
    path: /^(\w+)\/autoscaling\/enabled$/,
    changes: ['^HorizontalPodAutoscaler/[\\w-]+$', '^OWNER\\.spec\\.replicas$'],
  },
  {
    path: /^(\w+)\/autoscaling\/(min|max)Replicas$/,
    with: scaled,
    changes: ['^HorizontalPodAutoscaler/[\\w-]+\\.spec\\.(min|max)Replicas$'],
  },
  {
    path: /^(\w+)\/autoscaling\/target\w+UtilizationPercentage$/,
    with: scaled,
    changes: [
      '^HorizontalPodAutoscaler/[\\w-]+\\.spec\\.metrics\\[0\\]\\.resource\\.target\\.averageUtilization$',
    ],
  },
  {
    path: /^(\w+)\/runMigrations$/,
    changes: ['^Job/migrate$'],
    also: ['^(ConfigMap|ServiceAccount)/migrate-[\\w-]+$'],
  },
  {
    path: /^(\w+)\/imagePullSecrets$/,
    value: [{ name: 'x' }],
    changes: [`^OWNER\\.${pod}\\.imagePullSecrets(\\[0\\]\\.name)?$`],
    also: [`^Job/migrate\\.${pod}\\.imagePullSecrets$`],
  },
  {
    path: /^(\w+)\/nodeSelector$/,
    value: { disk: 'ssd' },
    changes: [`^OWNER\\.${pod}\\.nodeSelector$`],
    also: [`^Job/migrate\\.${pod}\\.nodeSelector$`],
  },
  { path: /^(\w+)\/nodeSelector\/.+$/, changes: [`^OWNER\\.${pod}\\.nodeSelector\\.`] },
  {
    path: /^(\w+)\/tolerations$/,
    value: [{ operator: 'Exists' }],
    changes: [`^OWNER\\.${pod}\\.tolerations$`],
    also: [`^Job/migrate\\.${pod}\\.tolerations$`],
  },
  { path: /^(\w+)\/affinity$/, value: { nodeAffinity: {} }, changes: [`^OWNER\\.${pod}\\.affinity$`] },
  {
    path: /^(\w+)\/podAnnotations$/,
    value: { a: 'b' },
    changes: ['^OWNER\\.spec\\.template\\.metadata\\.annotations\\.a$'],
  },
  {
    path: /^(\w+)\/podAnnotations\/\w+$/,
    changes: ['^OWNER\\.spec\\.template\\.metadata\\.annotations\\.\\w+$'],
  },
  { path: /^(ingress)\/enabled$/, changes: ['^Ingress/\\w+$'] },
  { path: /^(ingress)\/className$/, changes: ['^Ingress/\\w+\\.spec\\.ingressClassName$'], value: 'other' },
  {
    path: /^(ingress)\/annotations$/,
    value: { a: 'b' },
    changes: ['^Ingress/\\w+\\.metadata\\.annotations$'],
  },
  { path: /^(ingress)\/annotations\/.+$/, changes: ['^Ingress/\\w+\\.metadata\\.annotations\\.'] },
  {
    path: /^(ingress)\/hosts$/,
    value: [{ host: 'x.test', paths: [{ path: '/y', pathType: 'Exact', service: 'SERVICE', port: 77 }] }],
    changes: [
      '^Ingress/\\w+\\.spec\\.rules\\[0\\]\\.host$',
      '^Ingress/\\w+\\.spec\\.rules\\[0\\]\\.http\\.paths\\[0\\]\\.path$',
      '^Ingress/\\w+\\.spec\\.rules\\[0\\]\\.http\\.paths\\[0\\]\\.pathType$',
      '^Ingress/\\w+\\.spec\\.rules\\[0\\]\\.http\\.paths\\[0\\]\\.backend\\.service\\.port\\.number$',
    ],
    also: ['^Ingress/\\w+\\.spec\\.rules'],
  },
  {
    path: /^(ingress)\/tls$/,
    value: [{ hosts: ['x.test'], secretName: 'elsewhere' }],
    changes: ['^Ingress/\\w+\\.spec\\.tls'],
  },
  {
    path: /^(existingSecrets)\/[\w-]+$/,
    changes: ['\\.name$|\\.secretName$|^Secret/only-optional$'],
  },
  {
    path: /^(secrets)\/OTHER_KEY$/,
    changes: ['^Secret/only-optional\\.data$'],
    value: longSecret,
  },
  {
    path: /^(secrets)\/.+$/,
    value: 'y'.repeat(41),
    with: () => allSecrets,
    changes: ['^Secret/[\\w-]+\\.data\\.'],
    also: [`${checksum}secrets$`],
  },
];

/** Names are what they all follow; they have tests of their own. */
const isName = (steps: readonly string[]): boolean => /^(fulln|n)ameOverride$/.test(steps.join('/'));

const keyed = (objects: readonly KubeObject[]): Record<string, KubeObject> =>
  Object.fromEntries(objects.map((object) => [`${object.kind}/${object.metadata.name}`, object]));

async function checkLeaf(one: Made, schema: Schema, values: unknown, steps: string[]): Promise<void> {
  const joined = steps.join('/');
  const rule = rules.find(({ path: pattern }) => pattern.test(joined));
  assert.ok(rule, `${joined} is documented and tested`);
  const [, section = '', key = ''] = rule.path.exec(joined)!;
  const isIngress = section === 'ingress' && joined !== 'ingress/enabled';
  const basis = {
    ...(isIngress ? { ingress: { enabled: true } } : {}),
    ...(rule.with?.(section) ?? {}),
  };
  const base = rule.with === undefined ? basis : onlyKnown(basis, values);
  const service = one.overlay === 'shop' ? 'web-api' : 'frontend';
  const own = rule.value ?? otherValue(schemaAt(schema, steps), at(values, ...steps));
  const value = JSON.parse(JSON.stringify(own).replaceAll('SERVICE', service)) as unknown;
  const overwrite = { arrayMerge: (_: unknown[], later: unknown[]) => later };
  const [before, after] = await Promise.all([
    templateOnce(one, base),
    template(one, deepmerge(base, nested(steps, value), overwrite)),
  ]);
  const changed = changedPaths(keyed(before), keyed(after));
  const patternOf = (text: string): RegExp =>
    new RegExp(
      text.replaceAll('OWNER', one.owners[section] ?? 'none').replaceAll('KEY', key.replaceAll('.', '\\.')),
    );
  const needed = rule.changes.map(patternOf);
  const allowed = [...needed, ...(rule.also ?? []).map(patternOf)];
  // A hook has copies of what it needs.
  allowed.push(/^(ConfigMap|Secret)\/migrate-[\w-]+\.data\./, /^Secret\/migrate-[\w-]+$/);
  const found = `${joined} = ${JSON.stringify(value)} changes ${changed.join(', ') || 'nothing'}`;
  for (const pattern of needed)
    assert.ok(
      changed.some((one) => pattern.test(one)),
      `${found}, and not ${pattern}`,
    );
  const surplus = changed.filter((one) => !allowed.some((pattern) => pattern.test(one)));
  assert.equal(surplus, [], found);
}

/** Without keys that this chart does not have. */
function onlyKnown(values: object, defaults: unknown): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values)
      .filter(([key]) => isRecord(defaults) && key in defaults)
      .map(([key, value]) => [key, isRecord(value) ? onlyKnown(value, at(defaults, key)) : value]),
  );
}

for (const name of ['minikube', 'shop'] as const) {
  documented(`${name}: changes what it says, and nothing else`, async () => {
    const one = await madeOf(name);
    const values: unknown = parse(readFileSync(path.join(one.chart, 'values.yaml'), 'utf8'));
    const schema = JSON.parse(readFileSync(path.join(one.chart, 'values.schema.json'), 'utf8')) as Schema;
    const waiting = leavesOf(values).filter((steps) => !isName(steps));
    assert.ok(waiting.length > 60, `${waiting.length} values`);
    const work = async (): Promise<void> => {
      for (let steps = waiting.shift(); steps !== undefined; steps = waiting.shift())
        await checkLeaf(one, schema, values, steps);
    };
    await Promise.all([work(), work()]);
  });

  for (const [title, override, release, prefix] of [
    ['fullnameOverride', { fullnameOverride: 'blue' }, 'strata', 'blue'],
    ['nameOverride', { nameOverride: 'x' }, 'green', 'green-x'],
    ['nameOverride that the release has', { nameOverride: 'een' }, 'green', 'green'],
    ['a long nameOverride', { nameOverride: 'n'.repeat(20) }, 'r'.repeat(50), 'r'.repeat(20)],
  ] as const) {
    documented(`${name}: every name, reference and selector follows ${title}`, async () => {
      const one = await madeOf(name);
      const file = valuesFile({ ...override, ingress: { enabled: true }, secrets: secretValues(one) });
      const objects = await helmTemplate(one.chart, ['--namespace', one.namespace, '-f', file], release);
      const titles = new Set(objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`));
      for (const object of objects) {
        const { kind, metadata } = object;
        assert.ok(metadata.name.startsWith(`${prefix}`), metadata.name);
        assert.ok(metadata.name.length <= 63, metadata.name);
        for (const { kind: of, name: to } of mentionsOf(object)) {
          if (to === 'registry') continue;
          assert.ok(titles.has(`${of}/${to}`), `${kind}/${metadata.name} refers to ${of}/${to}`);
        }
        const target = textAt(object, 'spec', 'scaleTargetRef', 'name') ?? textAt(object, 'roleRef', 'name');
        if (target !== undefined) assert.ok(target.startsWith(prefix), target);
      }
      const pods = podLabelsOf(objects);
      for (const selector of objects.flatMap(selectorsIn))
        assert.ok(
          pods.some((labels) => isSelected(selector, labels)),
          JSON.stringify(selector),
        );
      for (const selector of (await templateOnce(one, {})).flatMap(selectorsIn))
        assert.not.ok(
          pods.some((labels) => isSelected(selector, labels)),
          JSON.stringify(selector),
        );
    });
  }
}

const podLabelsOf = (objects: readonly KubeObject[]): Record<string, string>[] =>
  objects.map((object) => stringsAt(object, 'spec', 'template', 'metadata', 'labels'));

const isSelected = (selector: Record<string, unknown>, labels: Record<string, string>): boolean =>
  Object.entries(selector).every(([key, value]) => labels[key] === value);

/** Every `matchLabels`, and what Services select. */
function selectorsIn(value: unknown): Record<string, unknown>[] {
  if (Array.isArray(value)) return value.flatMap(selectorsIn);
  if (!isRecord(value)) return [];
  const own = isRecord(value.matchLabels) ? [value.matchLabels] : [];
  const service = value.kind === 'Service' && isRecord(at(value, 'spec', 'selector'));
  return [
    ...own,
    ...(service ? [at(value, 'spec', 'selector') as Record<string, unknown>] : []),
    ...Object.values(value).flatMap(selectorsIn),
  ];
}

const refused = suite('values that helm refuses');

for (const [title, values, message] of [
  ['an unknown key', { frontend: { replicas: 2 } }, /'replicas' not allowed/],
  ['an unknown section', { front: {} }, /'front' not allowed/],
  ['text for a number', { frontend: { replicaCount: 'two' } }, /replicaCount.*got string, want integer/],
  ['a negative number', { frontend: { replicaCount: -1 } }, /replicaCount.*minimum/],
  ['a port that is none', { frontend: { service: { port: 70000 } } }, /service\/port.*maximum/],
  [
    'an autoscaler without any metric',
    { backend: { autoscaling: { enabled: true, targetCPUUtilizationPercentage: 0 } } },
    /targetCPUUtilizationPercentage.*minimum/,
  ],
  ['an unknown type', { frontend: { service: { type: 'ExternalName' } } }, /service\/type.*one of/],
  ['an unknown pull policy', { global: { imagePullPolicy: 'Sometimes' } }, /imagePullPolicy.*one of/],
  ['a quantity that is none', { backend: { resources: { limits: { memory: '1 GB' } } } }, /memory.*pattern/],
  [
    'a number as an environment variable',
    { backend: { env: { X: 1000000 } } },
    /env\/X.*got number, want string/,
  ],
  ['a variable that no environment has', { backend: { env: { '1 BAD': 'x' } } }, /'1 BAD' not allowed/],
  [
    'an annotation that the chart sets',
    { backend: { podAnnotations: { 'checksum/config': 'x' } } },
    /podAnnotations\/checksum.*config/,
  ],
  [
    'a config value that the contract refuses',
    { backend: { config: { ENVIRONMENT: 'test' } } },
    /ENVIRONMENT.*one of/,
  ],
  [
    'a config value of another format',
    { frontend: { config: { BACKEND_URL: 'backend' } } },
    /BACKEND_URL.*pattern/,
  ],
  ['origins that are none', { backend: { config: { CORS_ORIGINS: 'nonsense' } } }, /CORS_ORIGINS.*pattern/],
  ['an image that is none', { backend: { image: { repository: 'bad repo:x' } } }, /repository.*pattern/],
  ['a config value that is empty', { backend: { config: { APP_NAME: '' } } }, /APP_NAME.*minLength/],
  ['an unknown config key', { backend: { config: { APP_TITLE: 'x' } } }, /'APP_TITLE' not allowed/],
  ['another environment', { global: { environment: 'test' } }, /environment.*one of/],
  ['a host without paths', { ingress: { hosts: [{ host: 'x' }] } }, /missing property 'paths'/],
  [
    'a path to no Service',
    { ingress: { hosts: [{ host: 'x', paths: [{ path: '/', pathType: 'Prefix', service: 'db' }] }] } },
    /service.*one of/,
  ],
  ['a name that is none', { fullnameOverride: 'Blue' }, /fullnameOverride.*pattern/],
  ['no environment at all', { backend: { env: null } }, /backend'.*missing property 'env'/],
  ['no image', { frontend: { image: null } }, /frontend'.*missing property 'image'/],
  ['no port', { backend: { service: { port: null } } }, /service'.*missing property 'port'/],
  ['no config value', { backend: { config: { APP_NAME: null } } }, /config'.*missing property 'APP_NAME'/],
  ['no secrets at all', { secrets: null }, /missing property 'secrets'/],
  ['a name that no Service may have', { fullnameOverride: '1st' }, /fullnameOverride.*pattern/],
  ['an unknown secret', { secrets: { API_KEY: 'x' } }, /'API_KEY' not allowed/],
] as [string, object, RegExp][]) {
  refused(title, async () => {
    const { chart } = await madeOf('minikube');
    const { status, stderr } = await helm(['template', 'x', chart, '-f', valuesFile(values)]);
    assert.is(status, 1, stderr);
    assert.match(stderr, message);
  });
}

refused('a variable that the template takes from elsewhere', async () => {
  const { chart } = await madeOf('shop');
  const values = { webApi: { env: { POD: 'x' } } };
  const { status, stderr } = await helm(['template', 'x', chart, '-f', valuesFile(values)]);
  assert.is(status, 1);
  assert.match(stderr, /webApi\/env\/POD/);
  const text = readFileSync(path.join(chart, 'values.yaml'), 'utf8');
  assert.match(text, 'more may be added, but not POD, KEY, MODE: the template sets them.');
});

refused('a release that no Service may be called by', async () => {
  const { chart } = await madeOf('minikube');
  assert.is((await helm(['template', '1st', chart])).status, 0);
  const { status, stderr } = await helm(['template', '1st', chart, '-f', valuesFile({ nameOverride: 'x' })]);
  assert.is(status, 1);
  assert.match(stderr, /the release has to begin with a letter/);
});

refused('a secret that is too short, without printing it', async () => {
  const { chart } = await madeOf('minikube');
  const values = { secrets: { ...todoSecrets, JWT_SECRET: 'canary-short' } };
  const { status, stderr } = await helm(['template', 'x', chart, '-f', valuesFile(values)]);
  assert.is(status, 1);
  assert.match(stderr, /secrets\/JWT_SECRET/);
  assert.match(stderr, /minLength: got 12, want 32/);
  assert.not.match(stderr, /canary/);
});

refused('half of the secrets, with the key that is missing', async () => {
  const { chart } = await madeOf('minikube');
  const { JWT_SECRET: _, ...others } = todoSecrets;
  const { status, stderr } = await helm(['template', 'x', chart, '-f', valuesFile({ secrets: others })]);
  assert.is(status, 1);
  assert.match(stderr, /secrets\.JWT_SECRET is missing: Signs the tokens.*existingSecrets\.backend-secrets/);
  assert.not.match(stderr, /canary/);
  const named = { secrets: others, existingSecrets: { 'backend-secrets': 'elsewhere' } };
  const objects = await helmTemplate(chart, ['-f', valuesFile(named)]);
  assert.equal(
    objects.filter(({ kind }) => kind === 'Secret').map(({ metadata }) => metadata.name),
    ['frontend-secrets'],
  );
});

documented('a Secret of optional keys is made without any value, and values.yaml says so', async () => {
  const { chart } = await madeOf('shop');
  const text = readFileSync(path.join(chart, 'values.yaml'), 'utf8');
  const always = 'With "" the chart makes it in any case, be it empty.';
  assert.match(text, `# Keys: OTHER_KEY (optional). ${always}\n  only-optional: ""`);
  assert.is(text.split(always).length, 2);
  const own = { existingSecrets: { 'only-optional': 'ext' } };
  const objects = await helmTemplate(chart, ['-f', valuesFile(own)]);
  assert.equal(
    objects.filter(({ kind }) => kind === 'Secret'),
    [],
  );
});

const notes = suite('NOTES.txt');

/** What `helm install` says at the end. */
async function notesOf({ chart, namespace }: Made, values: object): Promise<string> {
  const { status, stdout, stderr } = await helm([
    ...['install', 'strata', chart, '--dry-run=client', '--namespace', namespace, '-f', valuesFile(values)],
  ]);
  assert.is(status, 0, stderr);
  return stdout.slice(stdout.indexOf('\nNOTES:'));
}

const waiting = /Pods wait for these Secrets/;

for (const [title, values, names] of [
  ['all', {}, ['backend-secrets', 'frontend-secrets']],
  ['only those that nobody named', { existingSecrets: { 'backend-secrets': 'ext' } }, ['frontend-secrets']],
  ['no Secret that is named', { existingSecrets: { 'backend-secrets': 'ext', 'frontend-secrets': 'e' } }, []],
  ['no Secret that is made', { secrets: todoSecrets }, []],
] as const) {
  notes(`Pods wait for ${title}`, async () => {
    const text = await notesOf(await madeOf('minikube'), values);
    assert.equal(
      [...text.matchAll(/^ {2}(\S+), with the keys /gm)].map(([, name]) => name),
      names,
    );
    assert.is(waiting.test(text), names.length > 0);
    assert.is(text.includes('give it the values under "secrets"'), names.length > 0);
  });
}

notes('no Pod waits for the Secret of a Job that is off, and the chart does not make it', async () => {
  const one = await madeOf('dev');
  assert.match(await notesOf(one, {}), /^ {2}migrations-secrets, with the keys DATABASE_URL$/m);
  const off = { backend: { runMigrations: false } };
  assert.not.match(await notesOf(one, off), 'migrations-secrets');
  assert.not.match(await notesOf(one, { ...off, secrets: todoSecrets }), waiting);
  const objects = await template(one, { ...off, secrets: one.secrets });
  assert.equal(
    objects.filter(({ kind }) => kind === 'Secret').map(({ metadata }) => metadata.name),
    ['backend-secrets', 'frontend-secrets'],
  );
});

for (const [title, tls, urls] of [
  ['no host', [], ['http://a.test/', 'http://b.test/']],
  ['one host', [{ hosts: ['b.test'] }], ['http://a.test/', 'https://b.test/']],
  ['a domain', [{ hosts: ['*.test'] }], ['https://a.test/', 'https://b.test/']],
] as const) {
  notes(`https is for what has a certificate: ${title}`, async () => {
    const paths = [{ path: '/', pathType: 'Prefix', service: 'frontend' }];
    const hosts = ['a.test', 'b.test'].map((host) => ({ host, paths }));
    const text = await notesOf(await madeOf('minikube'), { ingress: { enabled: true, hosts, tls } });
    assert.equal(
      text.match(/^ {2}https?:\S+$/gm)?.map((line) => line.trim()),
      urls,
    );
  });
}

const dependency = suite('a chart around this one');

for (const [title, values, replicas] of [
  ['sets values of it, and global ones of its own', { todo: { backend: { replicaCount: 3 } } }, 3],
  ['switches it on by its condition', { todo: { enabled: true } }, 1],
  ['switches it off by its condition', { todo: { enabled: false } }, undefined],
] as const) {
  dependency(title, async () => {
    const { chart } = await madeOf('minikube');
    const around = mkdtempSync(path.join(folder, 'umbrella-'));
    const { name, version } = parse(readFileSync(path.join(chart, 'Chart.yaml'), 'utf8'));
    cpSync(chart, path.join(around, 'charts', name), { recursive: true });
    const dependencies = [{ name, version, condition: `${name}.enabled` }];
    const about = { apiVersion: 'v2', name: 'umbrella', version: '1.0.0', dependencies };
    writeFileSync(path.join(around, 'Chart.yaml'), JSON.stringify(about));
    const shared = { storageClass: 'fast', imageTag: '9' };
    const objects = await helmTemplate(around, ['-f', valuesFile({ global: shared, ...values })]);
    const backend = keyed(objects)['Deployment/backend'];
    assert.is(at(backend, 'spec', 'replicas'), replicas);
    const image = textAt(backend, 'spec', 'template', 'spec', 'containers', 0, 'image');
    assert.is(image?.endsWith(':9'), backend && true);
  });
}

const envOf = (objects: readonly KubeObject[]): unknown[] =>
  listAt(keyed(objects)['Deployment/web-api'], 'spec', 'template', 'spec', 'containers', 0, 'env');

const metricTypes = (objects: readonly KubeObject[]): unknown[] =>
  listAt(keyed(objects)['HorizontalPodAutoscaler/web-api'], 'spec', 'metrics').map((one) => at(one, 'type'));

documented('one metric of several is left out with 0', async () => {
  const one = await madeOf('shop');
  const without = { webApi: { autoscaling: { targetMemoryUtilizationPercentage: 0 } } };
  assert.equal(metricTypes(await templateOnce(one, {})), ['Resource', 'Pods']);
  assert.equal(metricTypes(await template(one, without)), ['Pods']);
});

const envNames = (objects: readonly KubeObject[]): (string | undefined)[] =>
  envOf(objects).map((entry) => textAt(entry, 'name'));

const withoutEnv = (objects: readonly KubeObject[]): Record<string, KubeObject> => {
  const found = structuredClone(keyed(objects));
  delete (at(found['Deployment/web-api'], 'spec', 'template', 'spec', 'containers', 0) as Schema).env;
  return found;
};

const removed = suite('null');

removed('takes one environment variable away, and leaves what is empty by default', async () => {
  const one = await madeOf('shop');
  const values = {
    webApi: {
      env: { ZULU: null },
      image: { digest: null },
      podAnnotations: { port: null },
      resources: { limits: null },
    },
    store: { podAnnotations: null },
    config: { 'nginx-files': { YES: null } },
    existingSecrets: { 'web-secrets': null },
    secrets: { API_KEY: null },
  };
  const [before, after] = await Promise.all([templateOnce(one, {}), template(one, values)]);
  const container = 'Deployment/web-api.spec.template.spec.containers[0]';
  const changed = changedPaths(withoutEnv(before), withoutEnv(after));
  assert.equal(
    changed.filter((one) => !one.includes('annotations.checksum/')),
    [
      'ConfigMap/nginx-files.data.YES',
      'Deployment/web-api.spec.template.metadata.annotations.port',
      `${container}.resources.limits`,
    ],
  );
  assert.equal(
    envNames(after),
    envNames(before).filter((name) => name !== 'ZULU'),
  );
});

const arriving = suite('any value');

const pieces = fc.constantFrom(
  ...Object.values(awkward),
  '{{',
  '\n',
  '---\n',
  ' ',
  'x',
  '"',
  "'",
  '\\',
  '\u0001',
);
const anyValue = fc
  .oneof(
    fc.array(pieces, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('')),
    anyText({ minLength: 1, maxLength: 30 }),
  )
  // What no YAML and no environment carries.
  .filter((text) => text !== '' && text.isWellFormed() && !/[\0\ufffe\uffff\ufffd]/.test(text));

arriving('arrives in environment, ConfigMap and Secret as it was given', async () => {
  const one = await madeOf('shop');
  await fc.assert(
    fc.asyncProperty(fc.array(anyValue, { minLength: 60, maxLength: 60 }), async (values) => {
      const entries = Object.fromEntries(values.map((value, index) => [`V${index}`, value]));
      const objects = await template(one, {
        webApi: { env: entries },
        config: { 'nginx-files': entries },
        secrets: { ...secretValues(one), API_KEY: values[0] },
      });
      const found = keyed(objects);
      const env = new Map(envOf(objects).map((entry) => [textAt(entry, 'name'), textAt(entry, 'value')]));
      const data = stringsAt(found['ConfigMap/nginx-files'], 'data');
      for (const [key, value] of Object.entries(entries)) {
        assert.is(env.get(key), value);
        assert.is(data[key], value);
      }
      const secret = stringsAt(found['Secret/web-secrets'], 'data').API_KEY ?? '';
      assert.is(Buffer.from(secret, 'base64').toString(), values[0]);
    }),
    { numRuns: 8 },
  );
});

equal.run();
documented.run();
refused.run();
dependency.run();
notes.run();
removed.run();
arriving.run();
