import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import deepmerge from 'deepmerge';
import { parse as parseEnvFile } from 'dotenv';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse, parseAllDocuments } from 'yaml';
import type { KubeObject } from '../scripts/lib/manifest.ts';
import { mentionsOf } from '../scripts/lib/references.ts';

interface Kustomization {
  apiVersion?: string;
  kind?: string;
  namespace?: string;
  resources?: string[];
  components?: string[];
  labels?: { includeSelectors?: boolean }[];
  patches?: { path?: string; target?: { kind?: string } }[];
  images?: { name: string; newName?: string; newTag?: string; digest?: string }[];
  [generator: string]: unknown;
}

interface Probe {
  httpGet?: { path: string; port: string | number };
}

interface SecurityContext {
  runAsNonRoot?: boolean;
  runAsUser?: number;
  runAsGroup?: number;
  fsGroup?: number;
  seccompProfile?: { type: string };
  allowPrivilegeEscalation?: boolean;
  privileged?: boolean;
  readOnlyRootFilesystem?: boolean;
  capabilities?: { add?: string[]; drop?: string[] };
}

interface Container {
  name: string;
  image: string;
  imagePullPolicy?: string;
  ports?: { name?: string; containerPort: number; hostPort?: number }[];
  env?: { name: string; value?: string }[];
  envFrom?: { configMapRef?: { name: string }; secretRef?: { name: string } }[];
  startupProbe?: Probe;
  readinessProbe?: Probe;
  livenessProbe?: Probe;
  lifecycle?: { preStop?: { sleep?: { seconds: number } } };
  resources?: Record<'requests' | 'limits', { cpu?: string; memory?: string } | undefined>;
  securityContext?: SecurityContext;
  volumeMounts?: { name: string; mountPath: string }[];
}

interface PodSpec {
  serviceAccountName?: string;
  automountServiceAccountToken?: boolean;
  enableServiceLinks?: boolean;
  hostNetwork?: boolean;
  hostPID?: boolean;
  hostIPC?: boolean;
  terminationGracePeriodSeconds?: number;
  securityContext?: SecurityContext;
  initContainers?: Container[];
  containers: Container[];
  volumes?: Record<string, unknown>[];
}

interface ServicePort {
  name?: string;
  port: number;
  targetPort?: string | number;
  nodePort?: number;
}

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  spec?: {
    type?: string;
    replicas?: number;
    revisionHistoryLimit?: number;
    progressDeadlineSeconds?: number;
    selector?: Record<string, string> & { matchLabels?: Record<string, string> };
    strategy?: { rollingUpdate?: { maxSurge?: unknown; maxUnavailable?: unknown } };
    template?: { metadata: { labels: Record<string, string> }; spec: PodSpec };
    ports?: ServicePort[];
    rules?: {
      http: { paths: { backend: { service: { name: string; port: { name?: string; number?: number } } } }[] };
    }[];
  };
}

interface Field {
  env?: string;
  default?: string;
  optional?: boolean;
  oneOf?: string[];
  generate?: boolean;
}

interface Contract {
  contexts?: string[];
  configMaps?: Record<string, Record<string, Field>>;
  secrets?: Record<string, Record<string, Field>>;
}

const root = realpathSync(path.join(import.meta.dirname, '..'));
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
const inTree = (file: string): boolean => existsSync(path.join(root, file));

function filesBelow(folder: string): string[] {
  if (!inTree(folder)) return [];
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const file = path.posix.join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(file) : [file];
  });
}

const foldersIn = (folder: string): string[] =>
  readdirSync(path.join(root, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);

const overlaysOf = (tree: string): string[] =>
  foldersIn(path.posix.join(tree, 'overlays')).map((name) => path.posix.join(tree, 'overlays', name));

const examples = foldersIn('examples').map((name) => `examples/${name}`);
/** Folders with a base/ and overlays/ of their own. */
const trees = ['.', ...examples];
const allOverlays = trees.flatMap(overlaysOf);
const treeOf = (overlay: string): string => path.posix.join(overlay, '../..');
const inBase = (file: string): boolean => /^(examples\/[^/]+\/)?base\//.test(file);
const treeFiles = [
  'components',
  ...trees.flatMap((tree) => ['base', 'overlays'].map((folder) => path.posix.join(tree, folder))),
].flatMap(filesBelow);
const isReadme = (file: string): boolean => /^components\/[^/]+\/README\.md$/.test(file);
const manifestFiles = treeFiles.filter((file) => !isReadme(file));
const componentDocuments = treeFiles.filter(isReadme);
const kustomizationFiles = manifestFiles.filter((file) => path.basename(file) === 'kustomization.yaml');
const contractFiles = manifestFiles.filter((file) => path.basename(file) === 'strata.yaml');
const objectFiles = manifestFiles.filter(
  (file) => !kustomizationFiles.includes(file) && !contractFiles.includes(file),
);
const patchFiles = kustomizationFiles.flatMap((file) => pathsIn(file).patches);
/** A list of operations (RFC 6902) does not say what it is for; its target does. */
const targetKinds = new Map(
  kustomizationFiles.flatMap((file) =>
    (kustomization(file).patches ?? []).map(({ path: entry = '', target }) => [
      path.posix.join(path.posix.dirname(file), entry),
      target?.kind,
    ]),
  ),
);
const documents = [
  'README.md',
  ...filesBelow('docs'),
  ...componentDocuments,
  ...examples.map((example) => `${example}/README.md`),
  ...treeFiles.filter(isReadme),
].filter((file) => file.endsWith('.md') && inTree(file));
const scripts = Object.keys(JSON.parse(read('package.json')).scripts);

function kustomization(file: string): Kustomization {
  return parse(read(file));
}

function pathsIn(file: string): { resources: string[]; patches: string[] } {
  const { resources = [], components = [], patches = [] } = kustomization(file);
  const resolve = (entry: string): string => path.posix.join(path.posix.dirname(file), entry);
  return {
    resources: [...resources, ...components].map(resolve),
    patches: patches.flatMap((patch) => (patch.path ? [resolve(patch.path)] : [])),
  };
}

interface Rendered {
  status: number | null;
  stderr: string;
  objects: Manifest[];
}

function kubectlKustomize(folder: string): Promise<Rendered> {
  return new Promise((resolve, reject) => {
    const child = spawn('kubectl', ['kustomize', folder], {
      cwd: root,
      env: { ...process.env, KUBECONFIG: '/dev/null' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (status) => {
      resolve({ status, stderr, objects: parseAllDocuments(stdout).map((document) => document.toJS()) });
    });
  });
}

/** What kubectl makes of an overlay with one component more, without touching the tree. */
async function renderWithComponent(overlay: string, component: string): Promise<Rendered> {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'strata-tree-')));
  try {
    const content = {
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: [path.relative(folder, path.join(root, overlay))],
      components: [path.relative(folder, path.join(root, component))],
    };
    writeFileSync(path.join(folder, 'kustomization.yaml'), JSON.stringify(content));
    return await kubectlKustomize(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const renders = new Map(['base', ...allOverlays].map((folder) => [folder, kubectlKustomize(folder)]));

async function objectsOf(folder: string): Promise<Manifest[]> {
  const rendered = await renders.get(folder)!;
  assert.is(rendered.status, 0, `${folder} does not render: ${rendered.stderr}`);
  return rendered.objects;
}

async function kindIn(folder: string, kind: string): Promise<Manifest[]> {
  return (await objectsOf(folder)).filter((object) => object.kind === kind);
}

const named = (objects: Manifest[], name: string): Manifest => {
  const found = objects.find((object) => object.metadata.name === name);
  assert.ok(found, `${name} is not rendered`);
  return found;
};

const workloadKinds = ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Job', 'CronJob', 'Pod'];

/** Compared with an empty list, so that a failure names every offender. */
const none = (offenders: string[], message: string): void =>
  assert.equal(offenders, [], `${message}: ${offenders.join(', ')}`);

const sorted = (values: Iterable<string>): string[] => [...new Set(values)].sort();

interface Exception {
  habit: string;
  examples: string[];
  reason: string;
}

/** Where the document that an example follows says otherwise. */
const exceptions: Exception[] = [
  {
    habit: 'has a service account of its own',
    examples: ['autoscaling', 'config-volumes', 'per-service-config', 'shared-config', 'value-from'],
    reason: 'the document lists its objects, and no ServiceAccount is among them',
  },
  {
    habit: 'selects by name and component only',
    examples: ['per-service-config', 'shared-config', 'value-from'],
    reason: 'the document selects by the label app',
  },
  {
    habit: 'has a startup probe',
    examples: ['per-service-config', 'value-from'],
    reason: 'the document gives liveness a delay in its place',
  },
  {
    habit: 'has a read-only root file system',
    examples: ['per-service-config'],
    reason: 'the document wants no volumes, so there is no other place to write to',
  },
  {
    habit: 'can write to /tmp, a volume of its Pod',
    examples: ['per-service-config'],
    reason: 'the document wants no volumes',
  },
  {
    habit: 'runs an image whose tag is not latest',
    examples: ['per-service-config', 'value-from'],
    reason: 'the document says latest',
  },
];

/** Adds the test of a habit; where the folder has an exception, the test that it needs it. */
function testHabit(
  add: (title: string, work: () => Promise<void>) => unknown,
  folder: string,
  what: string,
  habit: string,
  offendersOf: () => Promise<string[]>,
): void {
  const example = /^examples\/([^/]+)/.exec(folder)?.[1] ?? '';
  const exception = exceptions.find((entry) => entry.habit === habit && entry.examples.includes(example));
  if (!exception) {
    add(`in ${folder} every ${what} ${habit}`, async () => none(await offendersOf(), 'not so'));
    return;
  }
  add(`in ${folder} not every ${what} ${habit}, because ${exception.reason}`, async () => {
    assert.is.not((await offendersOf()).length, 0, 'the exception is not needed');
  });
}

/** The document of one example names its chart, and so its app. */
const appOf = (folder: string): string =>
  folder.startsWith('examples/value-from/') ? 'todo-chatbot' : 'todo';

const envExampleOf = (tree: string): string => path.posix.join(tree, '.env.example');

const text = suite('text');

text('every file ends with one newline and has no tab, carriage return or trailing blank', () => {
  const files = [...manifestFiles, ...documents, ...trees.map(envExampleOf)];
  none(
    files.filter((file) => !/[^\n]\n$/.test(read(file))),
    'not one final newline',
  );
  none(
    files.filter((file) => /\t|\r| $/m.test(read(file))),
    'tab, carriage return or trailing blank',
  );
});

text('every YAML file holds one document that parses', () => {
  for (const file of manifestFiles) {
    const documents = parseAllDocuments(read(file));
    assert.is(documents.length, 1, `${file} holds ${documents.length} documents`);
    assert.equal(documents[0]?.errors, [], file);
  }
});

text('list items are indented by two spaces below their key', () => {
  const offenders = manifestFiles.flatMap((file) => {
    const lines = read(file)
      .split('\n')
      .filter((line) => !/^\s*(#|$)/.test(line));
    return lines.flatMap((line, index) => {
      const item = /^( *)- /.exec(line);
      const key = /^((?: *- )? *)[^\s].*:$/.exec(lines[index - 1] ?? '');
      return item && key && item[1]!.length !== key[1]!.length + 2 ? [`${file}: ${line.trim()}`] : [];
    });
  });
  none(offenders, 'wrong indentation');
});

text('folders below base, overlays and components hold YAML only, and one README.md per component', () => {
  assert.equal(
    componentDocuments,
    foldersIn('components').map((name) => `components/${name}/README.md`),
  );
  none(
    treeFiles.filter((file) => !file.endsWith('.yaml') && !isReadme(file)),
    'not YAML',
  );
});

text.run();

const kustomizations = suite('kustomizations');

/** The order in which `kustomize edit` writes them (kustfile), without the deprecated ones. */
const fieldOrder = [
  'apiVersion',
  'kind',
  'metadata',
  'resources',
  'namePrefix',
  'nameSuffix',
  'namespace',
  'crds',
  'labels',
  'commonAnnotations',
  'patches',
  'configMapGenerator',
  'secretGenerator',
  'helmCharts',
  'helmGlobals',
  'generatorOptions',
  'images',
  'replacements',
  'replicas',
  'configurations',
  'generators',
  'transformers',
  'validators',
  'components',
  'openapi',
  'buildMetadata',
];

const deprecatedFields = [
  'bases',
  'commonLabels',
  'helmChartInflationGenerator',
  'imageTags',
  'patchesJson6902',
  'patchesStrategicMerge',
  'vars',
];

kustomizations('every kustomization states apiVersion and kind', () => {
  for (const file of kustomizationFiles) {
    const { apiVersion, kind } = kustomization(file);
    const expected = file.startsWith('components/')
      ? ['kustomize.config.k8s.io/v1alpha1', 'Component']
      : ['kustomize.config.k8s.io/v1beta1', 'Kustomization'];
    assert.equal([apiVersion, kind], expected, file);
  }
});

kustomizations('no kustomization uses a deprecated field', () => {
  for (const file of kustomizationFiles) {
    const content = kustomization(file);
    const generators = [content.configMapGenerator, content.secretGenerator].flatMap((list) => list ?? []);
    none(
      deprecatedFields.filter((field) => field in content),
      `deprecated in ${file}`,
    );
    assert.not.ok(
      generators.some((generator) => 'env' in (generator as object)),
      `${file}: env is deprecated, use envs`,
    );
  }
});

kustomizations('fields come in the order of kustomize itself', () => {
  for (const file of kustomizationFiles) {
    const fields = Object.keys(kustomization(file)).filter((field) => !deprecatedFields.includes(field));
    none(
      fields.filter((field) => !fieldOrder.includes(field)),
      `unknown in ${file}`,
    );
    assert.equal(
      fields,
      fieldOrder.filter((field) => fields.includes(field)),
      file,
    );
  }
});

kustomizations('no kustomization adds labels to selectors, which are immutable', () => {
  for (const file of kustomizationFiles) {
    for (const entry of kustomization(file).labels ?? []) {
      assert.is(entry.includeSelectors, false, `${file}: say includeSelectors: false`);
    }
  }
});

kustomizations('every file is referenced by a kustomization', () => {
  const referenced = kustomizationFiles.flatMap((file) => Object.values(pathsIn(file)).flat());
  none(
    objectFiles.filter((file) => !referenced.includes(file)),
    'never referenced',
  );
});

kustomizations('a file of one object is named for its kind, a patch for its kind and effect', () => {
  for (const file of objectFiles) {
    const kind = (parse(read(file)).kind ?? targetKinds.get(file)).toLowerCase();
    const pattern = patchFiles.includes(file) ? `^${kind}\\.[a-z]+(-[a-z]+)*\\.yaml$` : `^${kind}\\.yaml$`;
    assert.match(path.basename(file), new RegExp(pattern), file);
  }
});

kustomizations('patches live in files', () => {
  for (const file of kustomizationFiles) {
    for (const patch of kustomization(file).patches ?? []) assert.ok(patch.path, `inline patch in ${file}`);
  }
});

kustomizations('a base decides nothing that depends on the place', () => {
  for (const tree of trees) {
    const base = kustomization(path.posix.join(tree, 'base/kustomization.yaml'));
    none(
      ['namespace', 'images', 'replicas', 'configMapGenerator', 'secretGenerator'].filter(
        (field) => field in base,
      ),
      `in the base of ${tree}`,
    );
  }
  for (const file of objectFiles.filter(inBase)) {
    const object: Manifest = parse(read(file));
    assert.is(object.metadata.namespace, undefined, file);
    assert.is(object.spec?.replicas, undefined, file);
    const { containers = [], initContainers = [] } = object.spec?.template?.spec ?? {};
    for (const container of [...containers, ...initContainers]) {
      assert.not.match(container.image, /[:@]/, `${file} pins an image`);
    }
  }
});

kustomizations('overlays compose: they hold no full workload', () => {
  for (const file of objectFiles.filter((file) => /^(examples\/[^/]+\/)?overlays\//.test(file))) {
    const object: Manifest = parse(read(file));
    if (!workloadKinds.includes(object.kind)) continue;
    if (file.startsWith('components/') && !patchFiles.includes(file)) continue;
    assert.ok(patchFiles.includes(file), `${file} is a workload of its own`);
    assert.is(object.spec?.selector, undefined, `${file} is a full manifest, not a patch`);
    for (const container of object.spec?.template?.spec.containers ?? []) {
      assert.is(container.image, undefined, `${file} sets an image; use images:`);
    }
  }
});

kustomizations('overlays have the same skeleton', () => {
  for (const overlay of allOverlays) {
    for (const file of ['kustomization.yaml', 'namespace.yaml', 'strata.yaml']) {
      assert.ok(inTree(`${overlay}/${file}`), `${overlay} lacks ${file}`);
    }
    const { resources, namespace } = kustomization(`${overlay}/kustomization.yaml`);
    assert.ok(resources?.includes('../../base'), `${overlay} does not start from base`);
    assert.ok(namespace, `${overlay} has no namespace`);
  }
});

kustomizations.run();

const rendering = suite('rendering');

for (const folder of ['base', ...allOverlays]) {
  rendering(`${folder} renders without an error or a warning`, async () => {
    const { status, stderr, objects } = await renders.get(folder)!;
    assert.is(status, 0, stderr);
    assert.not.match(stderr, /warning|deprecated/i);
    assert.ok(objects.length > 0, 'nothing rendered');
  });

  rendering(`${folder} renders each object once`, async () => {
    const references = (await objectsOf(folder)).map(({ kind, metadata }) => `${kind}/${metadata.name}`);
    assert.equal(references.sort(), sorted(references));
  });

  rendering(`every reference in ${folder} resolves`, async () => {
    const objects = await objectsOf(folder);
    const of = (kind: string) => objects.filter((object) => object.kind === kind);
    const templates = objects.flatMap(({ spec }) => spec?.template ?? []);

    for (const { spec } of templates)
      if (spec.serviceAccountName) named(of('ServiceAccount'), spec.serviceAccountName);
    for (const { metadata, spec } of of('Service')) {
      const selector = Object.entries(spec?.selector ?? {});
      const backing = templates.filter(({ metadata }) =>
        selector.every(([key, value]) => metadata.labels[key] === value),
      );
      assert.is(backing.length, 1, `Service ${metadata.name} selects ${backing.length} workloads`);
      const ports = backing.flatMap(({ spec }) => spec.containers).flatMap(({ ports }) => ports ?? []);
      for (const { port, targetPort = port } of spec?.ports ?? []) {
        assert.ok(
          ports.some(({ name, containerPort }) => targetPort === name || targetPort === containerPort),
          `Service ${metadata.name}: no container port ${targetPort}`,
        );
      }
    }
    for (const { spec } of of('Ingress')) {
      for (const { backend } of spec?.rules?.flatMap(({ http }) => http.paths) ?? []) {
        const service = named(of('Service'), backend.service.name);
        assert.ok(
          service.spec?.ports?.some(
            ({ name, port }) => name === backend.service.port.name || port === backend.service.port.number,
          ),
          `Ingress: Service ${backend.service.name} has no such port`,
        );
      }
    }
  });
}

for (const overlay of allOverlays) {
  rendering(`${overlay} pins every image`, async () => {
    const images = (await objectsOf(overlay))
      .flatMap(({ spec }) => spec?.template?.spec ?? [])
      .flatMap(({ containers, initContainers = [] }) => [...containers, ...initContainers])
      .map(({ image }) => image);
    assert.ok(images.length > 0);
    none(
      images.filter((image) => !/(:[\w][\w.-]{0,127}|@sha256:[0-9a-f]{64})$/.test(image)),
      'not pinned',
    );
  });

  rendering(`${overlay} puts everything into its own namespace, which enforces restricted`, async () => {
    const { namespace } = kustomization(`${overlay}/kustomization.yaml`);
    const objects = await objectsOf(overlay);
    const own = named(
      objects.filter(({ kind }) => kind === 'Namespace'),
      namespace!,
    );
    assert.is(own.metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted');
    none(
      objects
        .filter(({ kind, metadata }) => kind !== 'Namespace' && metadata.namespace !== namespace)
        .map(({ kind, metadata }) => `${kind}/${metadata.name}`),
      'elsewhere',
    );
  });
}

rendering('no two overlays share a namespace', () => {
  const namespaces = allOverlays.map((overlay) => kustomization(`${overlay}/kustomization.yaml`).namespace!);
  assert.equal(namespaces.sort(), sorted(namespaces));
});

rendering(
  'minikube serves the frontend on node port 30080, with as many replicas as a component says',
  async () => {
    const { spec } = named(await kindIn('overlays/minikube', 'Service'), 'frontend');
    assert.is(spec?.type, 'NodePort');
    assert.equal(
      spec?.ports?.map(({ nodePort, targetPort }) => [nodePort, targetPort]),
      [[30080, 'http']],
    );
    for (const { spec } of await kindIn('overlays/minikube', 'Deployment'))
      assert.is(spec?.replicas, undefined);
  },
);

rendering('dev serves two frontend replicas through an Ingress and no node port', async () => {
  const services = await kindIn('overlays/dev', 'Service');
  assert.is(named(await kindIn('overlays/dev', 'Deployment'), 'frontend').spec?.replicas, 2);
  assert.is((await kindIn('overlays/dev', 'Ingress')).length, 1);
  for (const { spec } of services) assert.is(spec?.type ?? 'ClusterIP', 'ClusterIP');
});

rendering('backend-readiness moves readiness to /ready and leaves the other probes on /health', async () => {
  const { objects } = await renderWithComponent('overlays/minikube', 'components/backend-readiness');
  const deployments = objects.filter(({ kind }) => kind === 'Deployment');
  const [container] = named(deployments, 'backend').spec!.template!.spec.containers;
  assert.equal(container?.readinessProbe?.httpGet, { path: '/ready', port: 'http' });
  assert.is(container?.livenessProbe?.httpGet?.path, '/health');
  assert.is(container?.startupProbe?.httpGet?.path, '/health');
});

rendering.run();

const workloads = suite('workloads');

const isPositive = (value: unknown): boolean => Number.isInteger(value) && (value as number) > 0;
const hasBoth = (amounts: { cpu?: string; memory?: string } | undefined): boolean =>
  Boolean(amounts?.cpu && amounts.memory);

const containerHabits: [string, (container: Container, pod: PodSpec) => boolean][] = [
  [
    'cannot gain privileges',
    ({ securityContext: s }) => s?.allowPrivilegeEscalation === false && !s.privileged,
  ],
  ['has a read-only root file system', ({ securityContext: s }) => s?.readOnlyRootFilesystem === true],
  [
    'drops all capabilities and adds none',
    ({ securityContext: s }) => String(s?.capabilities?.drop) === 'ALL' && !s?.capabilities?.add,
  ],
  [
    'does not undo the identity of its Pod',
    ({ securityContext: s = {} }) =>
      s.runAsNonRoot !== false &&
      s.runAsUser !== 0 &&
      !(s.seccompProfile && s.seccompProfile.type === 'Unconfined'),
  ],
  ['requests cpu and memory', ({ resources }) => hasBoth(resources?.requests)],
  ['limits cpu and memory', ({ resources }) => hasBoth(resources?.limits)],
  ['runs an image that was loaded, not pulled', ({ imagePullPolicy }) => imagePullPolicy === 'IfNotPresent'],
  [
    'can write to /tmp, a volume of its Pod',
    ({ volumeMounts = [] }, { volumes = [] }) =>
      volumeMounts.some(
        ({ name, mountPath }) =>
          mountPath === '/tmp' && volumes.some((volume) => volume.name === name && 'emptyDir' in volume),
      ),
  ],
  ['runs an image whose tag is not latest', ({ image }) => !image.endsWith(':latest')],
  ['opens no port of the node', ({ ports = [] }) => ports.every(({ hostPort }) => hostPort === undefined)],
];

const serverHabits: [string, (container: Container, pod: PodSpec) => boolean][] = [
  ['has a startup probe', ({ startupProbe }) => startupProbe !== undefined],
  ['has a readiness probe', ({ readinessProbe }) => readinessProbe !== undefined],
  ['has a liveness probe', ({ livenessProbe }) => livenessProbe !== undefined],
  ['is not restarted for what /ready says', ({ livenessProbe }) => livenessProbe?.httpGet?.path !== '/ready'],
  [
    'probes a port that it has',
    ({ ports = [], startupProbe, readinessProbe, livenessProbe }) =>
      [startupProbe, readinessProbe, livenessProbe].every(
        (probe) =>
          probe === undefined ||
          ports.some(({ name, containerPort }) =>
            [name ?? 'no name', containerPort].includes(probe.httpGet?.port ?? 'no port'),
          ),
      ),
  ],
  [
    'sleeps before SIGTERM, natively, and has time left after it',
    ({ lifecycle }, { terminationGracePeriodSeconds = 0 }) => {
      const seconds = lifecycle?.preStop?.sleep?.seconds ?? 0;
      return seconds > 0 && terminationGracePeriodSeconds - seconds >= 10;
    },
  ],
];

const podHabits: [string, (pod: PodSpec) => boolean][] = [
  ['holds no service-account token', (pod) => pod.automountServiceAccountToken === false],
  ['has a service account of its own', (pod) => ![undefined, 'default'].includes(pod.serviceAccountName)],
  ['gets no service links', (pod) => pod.enableServiceLinks === false],
  ['is not root', ({ securityContext: s }) => s?.runAsNonRoot === true],
  ['has a numeric user', ({ securityContext: s }) => isPositive(s?.runAsUser)],
  ['has a numeric group', ({ securityContext: s }) => isPositive(s?.runAsGroup)],
  ['has a numeric group for its volumes', ({ securityContext: s }) => isPositive(s?.fsGroup)],
  [
    "uses the runtime's seccomp profile",
    ({ securityContext: s }) => s?.seccompProfile?.type === 'RuntimeDefault',
  ],
  ['shares nothing with the node', (pod) => !(pod.hostNetwork || pod.hostPID || pod.hostIPC)],
  [
    'has only volumes that restricted allows, each with a use',
    ({ volumes = [], containers, initContainers = [] }) => {
      const allowed = ['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'projected', 'secret'];
      const mounts = [...containers, ...initContainers].flatMap(({ volumeMounts }) => volumeMounts ?? []);
      return volumes.every(
        (volume) =>
          mounts.some(({ name }) => name === volume.name) &&
          Object.keys(volume).every((key) => ['name', 'persistentVolumeClaim', ...allowed].includes(key)),
      );
    },
  ],
];

const deploymentHabits: [string, (deployment: Manifest) => boolean][] = [
  [
    'rolls out without downtime',
    ({ spec }) => {
      const { maxSurge, maxUnavailable } = spec?.strategy?.rollingUpdate ?? {};
      return maxUnavailable === 0 && isPositive(maxSurge);
    },
  ],
  ['limits its history', ({ spec }) => isPositive(spec?.revisionHistoryLimit)],
  ['gives up before `up` does', ({ spec }) => (spec?.progressDeadlineSeconds ?? 600) < 300],
  [
    'selects by name and component only',
    ({ spec }) =>
      String(Object.keys(spec?.selector?.matchLabels ?? {}).sort()) ===
      'app.kubernetes.io/component,app.kubernetes.io/name',
  ],
  [
    'carries the labels that it selects',
    ({ metadata, spec }) =>
      Object.entries(spec?.selector?.matchLabels ?? {}).every(
        ([key, value]) => spec?.template?.metadata.labels[key] === value && metadata.labels?.[key] === value,
      ),
  ],
];

async function workloadsOf(folder: string): Promise<Manifest[]> {
  const found = (await objectsOf(folder)).filter(({ kind }) => workloadKinds.includes(kind));
  assert.ok(found.length > 0, `no workload in ${folder}`);
  return found;
}

for (const folder of ['base', ...allOverlays]) {
  for (const [habit, holds] of deploymentHabits) {
    testHabit(workloads, folder, 'Deployment', habit, async () =>
      (await kindIn(folder, 'Deployment'))
        .filter((deployment) => !holds(deployment))
        .map(({ metadata }) => metadata.name),
    );
  }

  for (const [habit, holds] of podHabits) {
    testHabit(workloads, folder, 'Pod', habit, async () =>
      (await workloadsOf(folder))
        .filter(({ spec }) => !holds(spec!.template!.spec))
        .map(({ metadata }) => metadata.name),
    );
  }

  for (const [habit, holds] of [...containerHabits, ...serverHabits]) {
    testHabit(workloads, folder, 'container', habit, async () => {
      const isServerHabit = serverHabits.some(([sentence]) => sentence === habit);
      return (await workloadsOf(folder)).flatMap(({ metadata, spec }) => {
        const pod = spec!.template!.spec;
        const containers = isServerHabit
          ? pod.containers
          : [...pod.containers, ...(pod.initContainers ?? [])];
        return containers
          .filter((container) => !holds(container, pod))
          .map(({ name }) => `${metadata.name}/${name}`);
      });
    });
  }

  workloads(`in ${folder} no ServiceAccount hands out its token`, async () => {
    const accounts = await kindIn(folder, 'ServiceAccount');
    none(
      accounts
        .filter(
          (account) =>
            (account as { automountServiceAccountToken?: boolean }).automountServiceAccountToken !== false,
        )
        .map(({ metadata }) => metadata.name),
      'token',
    );
  });

  workloads(`in ${folder} every object says which app it is part of`, async () => {
    none(
      (await objectsOf(folder))
        .filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/part-of'] !== appOf(folder))
        .map(({ kind, metadata }) => `${kind}/${metadata.name}`),
      'no part-of label',
    );
  });
}

workloads('every exception names a habit and examples that there are', () => {
  const habits = [...deploymentHabits, ...podHabits, ...containerHabits, ...serverHabits].map(
    ([habit]) => habit,
  );
  for (const { habit, examples: names } of exceptions) {
    assert.ok(habits.includes(habit), habit);
    none(
      names.filter((name) => !examples.includes(`examples/${name}`)),
      'no such example',
    );
  }
});

const ownWorkloads = objectFiles.filter(
  (file) => file.startsWith('components/') && !patchFiles.includes(file) && parse(read(file)).spec?.template,
);

for (const file of ownWorkloads) {
  workloads(`${file} has the habits of every Pod`, () => {
    const pod = (parse(read(file)) as Manifest).spec!.template!.spec;
    const broken = [
      ...podHabits.filter(([, holds]) => !holds(pod)),
      ...containerHabits.filter(([, holds]) => !pod.containers.every((container) => holds(container, pod))),
    ];
    none(
      broken.map(([habit]) => habit),
      'not so',
    );
  });
}

async function containerOf(name: string): Promise<{ container: Container; pod: PodSpec }> {
  const pod = named(await kindIn('base', 'Deployment'), name).spec!.template!.spec;
  const [container] = pod.containers;
  assert.ok(container);
  return { container, pod };
}

const setIn = ({ env = [] }: Container, name: string): string | undefined =>
  env.find((entry) => entry.name === name)?.value;

workloads('the frontend listens on every address of port 3000, whatever the env file says', async () => {
  const { container } = await containerOf('frontend');
  assert.is(setIn(container, 'HOSTNAME'), '0.0.0.0');
  assert.is(setIn(container, 'PORT'), '3000');
  assert.is(container.ports?.[0]?.containerPort, 3000);
  assert.is(container.livenessProbe?.httpGet?.path, '/');
});

workloads('the frontend can write its cache', async () => {
  const { container } = await containerOf('frontend');
  assert.ok(container.volumeMounts?.some(({ mountPath }) => mountPath === '/app/.next/cache'));
});

workloads('the backend listens on port 8000 and is asked for its health', async () => {
  const { container } = await containerOf('backend');
  assert.is(setIn(container, 'UVICORN_HOST'), '0.0.0.0');
  assert.is(setIn(container, 'UVICORN_PORT'), '8000');
  assert.is(container.ports?.[0]?.containerPort, 8000);
  assert.is(container.livenessProbe?.httpGet?.path, '/health');
});

workloads('the backend ends by itself before it is killed', async () => {
  const { container, pod } = await containerOf('backend');
  const sleep = container.lifecycle?.preStop?.sleep?.seconds ?? 0;
  const shutdown = Number(setIn(container, 'UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN'));
  assert.ok(shutdown > 0 && sleep + shutdown < pod.terminationGracePeriodSeconds!);
});

workloads.run();

const contracts = suite('env contract');

const emptyContract: Required<Contract> = { contexts: [], configMaps: {}, secrets: {} };

const baseContractOf = (overlay: string): Contract =>
  parse(read(path.posix.join(treeOf(overlay), 'base/strata.yaml')));

function contractOf(overlay: string): Required<Contract> {
  return deepmerge.all([emptyContract, baseContractOf(overlay), parse(read(`${overlay}/strata.yaml`))], {
    arrayMerge: (_, list) => list,
  }) as Required<Contract>;
}

const fieldsOf = (objects: Record<string, Record<string, Field>>): { key: string; field: Field }[] =>
  Object.values(objects)
    .flatMap((data) => Object.entries(data))
    .map(([dataKey, field]) => ({ key: field.env ?? dataKey, field }));

const allFieldsOf = ({ configMaps, secrets }: Required<Contract>) => [
  ...fieldsOf(configMaps),
  ...fieldsOf(secrets),
];

contracts('every strata.yaml names the schema that editors complete it with', () => {
  for (const file of contractFiles) {
    const [first = ''] = read(file).split('\n');
    const schema = /^# yaml-language-server: \$schema=(\S+)$/.exec(first)?.[1];
    assert.ok(schema, `${file} does not begin with its schema`);
    const target = path.posix.join(path.posix.dirname(file), schema);
    assert.is(target, 'strata.schema.json', file);
    assert.ok(inTree(target), `${target}, named by ${file}, is not in the tree`);
  }
});

for (const overlay of allOverlays) {
  contracts(`the objects of the contract of ${overlay} are those that its containers read`, async () => {
    const mentioned = (await workloadsOf(overlay)).flatMap((object) => mentionsOf(object as KubeObject));
    const { configMaps, secrets } = contractOf(overlay);
    const namesOf = (kind: 'ConfigMap' | 'Secret') =>
      sorted(mentioned.flatMap((mention) => (mention.kind === kind ? mention.name : [])));
    assert.equal(namesOf('ConfigMap'), sorted(Object.keys(configMaps)));
    assert.equal(namesOf('Secret'), sorted(Object.keys(secrets)));
  });

  contracts(`no secret of ${overlay} goes into a ConfigMap`, () => {
    const { configMaps, secrets } = contractOf(overlay);
    const secretKeys = fieldsOf(secrets).map(({ key }) => key);
    none(
      fieldsOf(configMaps).flatMap(({ key }) => (secretKeys.includes(key) ? [key] : [])),
      'secret in a ConfigMap',
    );
  });

  contracts(`${overlay} refines keys of its base and invents none`, () => {
    const keysOf = (contract: Required<Contract>) => sorted(allFieldsOf(contract).map(({ key }) => key));
    assert.equal(keysOf(contractOf(overlay)), keysOf(deepmerge(emptyContract, baseContractOf(overlay))));
  });

  contracts(`a fresh copy of .env.example has every value that ${overlay} needs`, () => {
    const values = parseEnvFile(read(envExampleOf(treeOf(overlay))));
    none(
      allFieldsOf(contractOf(overlay))
        .filter(
          ({ key, field }) =>
            !field.optional && !field.generate && field.default === undefined && !values[key],
        )
        .map(({ key }) => key),
      'no value',
    );
  });

  contracts(`the defaults and examples of ${overlay} are among the values that their keys allow`, () => {
    const values = parseEnvFile(read(envExampleOf(treeOf(overlay))));
    for (const { key, field } of allFieldsOf(contractOf(overlay))) {
      const value = values[key] ?? field.default;
      if (field.oneOf) assert.ok(field.oneOf.includes(value ?? ''), `${key} is ${value}`);
    }
  });
}

contracts('minikube is the only context of its overlay, and dev waits for a name', () => {
  for (const tree of trees)
    assert.equal(contractOf(path.posix.join(tree, 'overlays/minikube')).contexts, ['minikube']);
  assert.equal(contractOf('overlays/dev').contexts, []);
});

/** Keys that .env.example shows as `# KEY=default`, so that a copy leaves the choice to each overlay. */
const commentedValues = (file: string): Record<string, string> =>
  parseEnvFile((read(file).match(/^# [A-Z][A-Z0-9_]*=.*$/gm) ?? []).join('\n').replace(/^# /gm, ''));

for (const tree of trees) {
  const file = envExampleOf(tree);

  contracts(`${file} has the keys of the contract, each once`, () => {
    const keys = (read(file).match(/^(# )?[A-Z][A-Z0-9_]*(?==)/gm) ?? []).map((key) => key.replace('# ', ''));
    assert.equal(keys.sort(), sorted(keys));
    assert.equal(
      keys,
      sorted(overlaysOf(tree).flatMap((overlay) => allFieldsOf(contractOf(overlay)).map(({ key }) => key))),
    );
  });

  contracts(`${file} leaves generated keys empty and shows the defaults of minikube`, () => {
    const values = parseEnvFile(read(file));
    const commented = commentedValues(file);
    for (const { key, field } of allFieldsOf(contractOf(path.posix.join(tree, 'overlays/minikube')))) {
      if (field.generate) assert.is(values[key], '', key);
      if (field.default !== undefined) assert.is(values[key] ?? commented[key], field.default, key);
      if (key in commented)
        assert.type(field.default, 'string', `${key} is commented out but has no default`);
    }
  });

  contracts(`${file} says what each key does, in one line above it`, () => {
    const lines = read(file).split('\n');
    none(
      lines.filter(
        (line, index) => /^(# )?[A-Z][A-Z0-9_]*=/.test(line) && !/^# [A-Z].* /.test(lines[index - 1] ?? ''),
      ),
      'no comment above',
    );
  });

  contracts(`${file} holds only values that every dotenv reader reads alike`, () => {
    const assignments = read(file).match(/^(# )?[A-Z][A-Z0-9_]*=.*$/gm) ?? [];
    none(
      assignments.filter((line) => !/=("[^"\\$`\n]*"|[^\s"'`\\$#&;<>|()]*)$/.test(line)),
      'readers disagree',
    );
  });
}

contracts.run();

const documentation = suite('documentation');

const fences = (file: string): string[] => read(file).match(/^```[^\n]*\n[\s\S]*?^```$/gm) ?? [];

documentation('README.md exists, and each example has one', () => {
  assert.ok(inTree('README.md'), 'write README.md: its tables and its tree are checked here');
  none(
    examples.filter((example) => !inTree(`${example}/README.md`)),
    'no README.md',
  );
});

documentation('every fenced npm command names a script', () => {
  const offenders = documents.flatMap((file) =>
    fences(file)
      .flatMap((fence) => [...fence.matchAll(/npm run (?:-s |--silent )?([\w:-]+)/g)])
      .flatMap(([, name = '']) => (scripts.includes(name) ? [] : [`${name} in ${file}`])),
  );
  none(offenders, 'no such script');
});

documentation('every path into the tree exists', () => {
  const offenders = documents.flatMap((file) =>
    [
      ...read(file).matchAll(/`((?:base|components|docs|examples|overlays|scripts|test)\/[\w./-]*)`/g),
    ].flatMap(([, target = '']) => (inTree(target) ? [] : [`${target} in ${file}`])),
  );
  none(offenders, 'no such path');
});

documentation('every relative link leads to a file', () => {
  const offenders = documents.flatMap((file) =>
    [...read(file).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].flatMap(([, target = '']) =>
      inTree(path.posix.join(path.posix.dirname(file), target)) ? [] : [`${target} in ${file}`],
    ),
  );
  none(offenders, 'broken');
});

if (inTree('README.md')) {
  documentation("README's table of scripts is the list in package.json", () => {
    const rows = read('README.md').matchAll(/^\| `npm (?:run )?(?:-s )?([\w:-]+)/gm);
    assert.equal(sorted([...rows].map(([, name = '']) => name)), sorted(scripts));
  });

  documentation("README's menu of components is the folders", () => {
    const rows = read('README.md').matchAll(/^\| \[([\w-]+)\]\(components\/([\w-]+)\/README\.md\) \| /gm);
    assert.equal(
      [...rows].flatMap(([, name, folder]) => (name === folder ? [name] : [`${name} leads to ${folder}`])),
      foldersIn('components').sort(),
    );
  });

  documentation("README's tree is the tree", () => {
    const block = fences('README.md').find((fence) => /^```\w*\n(?:[^\n]*\n)*?base\//.test(fence)) ?? '';
    const folders: string[] = [];
    const shown = block
      .split('\n')
      .slice(1, -1)
      .filter((line) => line.trim() !== '')
      .flatMap((line) => {
        const depth = Math.floor(line.search(/\S/) / 2);
        const tokens = line.trim().replaceAll('…', '').split(/\s+/);
        const end = tokens.findIndex((token, index) => index > 0 && !/^(\S+\/|\S+\.\w+)$/.test(token));
        const names = tokens.slice(0, end === -1 ? undefined : end);
        folders.length = depth;
        folders.push(names[0] ?? '');
        return names.map((name) => path.posix.join(...folders.slice(0, depth), name).replace(/\/$/, ''));
      });
    const madeAtRunTime = /^(\.strata|\.env$|node_modules)/;
    none(
      shown.filter((file) => !madeAtRunTime.test(file) && !inTree(file)),
      'shown but not there',
    );
    none(
      foldersIn('.').filter((folder) => !/^(\.|node_modules$)/.test(folder) && !shown.includes(folder)),
      'there but not shown',
    );
  });
}

for (const file of componentDocuments) {
  documentation(`${file} is on the one pattern`, () => {
    const text = read(file);
    const plain = fences(file).reduce((rest, fence) => rest.replace(fence, ''), text);
    const name = path.basename(path.dirname(file));
    assert.match(text, new RegExp(`^# ${name}\n\n[A-Z][^\n]{10,118}\\.\n\n## Use\n`));
    assert.equal(plain.match(/^#+ .*$/gm)!.slice(1), ['## Use', '## What it adds', '## Know']);
    assert.match(text, new RegExp(`^  - \\.\\./\\.\\./components/${name}$`, 'm'));
    assert.match(text, /^- \*\*Switching it off\*\*/m, 'how to switch it off');
  });
}

documentation.run();

const tests = suite('tests');

// A suite that is not run prints nothing and passes.
tests('every suite of every test file is run', () => {
  const offenders = filesBelow('test')
    .filter((file) => file.endsWith('.test.ts'))
    .flatMap((file) => {
      const source = read(file);
      const suites = [...source.matchAll(/(\w+) = suite(?:<.*>)?\(/g)].map(([, name = '']) => name);
      const missing = suites.filter((name) => !new RegExp(`^\\s*${name}\\.run\\(\\)`, 'm').test(source));
      return source.includes('.run()') ? missing.map((name) => `${name} in ${file}`) : [file];
    });
  none(offenders, 'never run');
});

tests.run();
