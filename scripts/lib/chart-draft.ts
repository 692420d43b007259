import { inOrder } from './chart-order.ts';
import { Expression, Guard, Lines, scalar, templateOf, valueAt } from './chart-template.ts';
import type { Setting, Settings } from './chart-values.ts';
import type { Contract, Field } from './contract.ts';
import { inventoryLabel } from './inventory.ts';
import {
  at,
  generatedNameOf,
  isRecord,
  type KubeObject,
  listAt,
  referenceOf,
  stringsAt,
  textAt,
  titleOf,
} from './manifest.ts';
import { type Mention, mentionsOf } from './references.ts';

export interface ChartInput {
  /** What the overlay renders. Values of Secrets are not looked at, only their keys. */
  objects: readonly KubeObject[];
  contract: Pick<Contract, 'fields'>;
  overlay: string;
  namespace: string;
  /** Of the chart: lower-case letters, digits and dashes. */
  name: string;
  /** Semantic version. */
  version: string;
}

export type Node = Readonly<Record<string, unknown>>;

/** Labels that the chart sets by itself. */
const ownLabels = ['helm.sh/chart', 'app.kubernetes.io/instance', 'app.kubernetes.io/managed-by'];

/** `web-api` as `webApi`. */
export const camelOf = (name: string): string =>
  name.replace(/[^A-Za-z0-9]+(.)?/g, (_, next: string | undefined) => next?.toUpperCase() ?? '');

export const pascalOf = (name: string): string => camelOf(`-${name}`);

/** What a Pod needs to start. */
const copied = ['ConfigMap', 'Secret', 'ServiceAccount'];

/**
 * What makes names or labels of its own name, a dash and ten characters.
 * https://github.com/kubernetes/kubernetes/issues/64023
 */
const suffixed = ['StatefulSet', 'CronJob'];

interface Image {
  registry: string;
  repository: string;
  tag: string;
  digest: string;
}

/** By the rules of container references: the first part is a registry when it has a dot or a port, or is localhost. */
export function parseImage(reference: string): Image {
  const [named = '', digest = ''] = reference.split('@');
  const [, path = named, tag = ''] = /^(.+?)(?::([\w][\w.-]*))?$/.exec(named) ?? [];
  const [first = '', ...rest] = path.split('/');
  const hasRegistry = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost');
  return {
    registry: hasRegistry ? first : '',
    repository: hasRegistry ? rest.join('/') : path,
    tag,
    digest,
  };
}

export interface Workload {
  object: KubeObject;
  /** Its section in the values. */
  section: string;
  main: number;
  podLabels: Readonly<Record<string, string>>;
}

export const podOf = (object: KubeObject): unknown => at(object, 'spec', 'template', 'spec');

export const isWorkload = (object: KubeObject): boolean =>
  ['Deployment', 'StatefulSet', 'DaemonSet'].includes(object.kind) && object.apiVersion.startsWith('apps/');

const isSubset = (
  part: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): boolean =>
  Object.keys(part).length > 0 && Object.entries(part).every(([key, value]) => labels[key] === value);

export const without = (record: Node, ...keys: string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(record).filter(([key]) => !keys.includes(key)));

/** One label that the workload and all its Services select by, or every one of theirs. */
function identityOf({ object, podLabels }: Workload, objects: readonly KubeObject[]): string[] {
  const services = objects
    .filter(({ kind }) => kind === 'Service')
    .map((service) => stringsAt(service, 'spec', 'selector'))
    .filter((selector) => isSubset(selector, podLabels));
  const selectors = [stringsAt(object, 'spec', 'selector', 'matchLabels'), ...services];
  const shared = Object.keys(selectors[0]!).filter((key) => selectors.every((selector) => key in selector));
  const usual = ['app.kubernetes.io/name', 'app', 'name'].find((key) => shared.includes(key)) ?? shared[0];
  const keys = usual === undefined ? selectors.flatMap(Object.keys) : [usual];
  return keys.map((key) => `${key}=${podLabels[key]}`);
}

/** What most of them have, if it is more than one or all, and none has nothing. */
function common(values: readonly string[]): string {
  if (values.length === 0 || values.includes('')) return '';
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const [[value, count] = ['', 0]] = [...counts].sort(([, a], [, b]) => b - a);
  return count > 1 || values.length === 1 ? value : '';
}

/** A chart in the making: what is known of the objects, and what was written so far. */
export class Draft {
  readonly input: ChartInput;
  readonly objects: readonly KubeObject[];
  readonly workloads: Workload[] = [];
  readonly sections = new Map<string, Settings>();
  readonly ingress: Record<string, Setting> = {};
  readonly configs: Record<string, Settings> = {};
  readonly secrets: Record<string, Setting> = {};
  readonly existing: Record<string, Setting> = {};
  /** Environment variables with a text of their own, by where they stand in the values. */
  readonly literals: [steps: string[], texts: Readonly<Record<string, string>>][] = [];
  readonly helpers: string[] = [];
  readonly files = new Map<string, string>();
  /** `Kind/name` as rendered of what gets a prefix, with the name before the hash. */
  readonly names = new Map<string, string>();
  /** In a hook: the names of copies, by `Kind/name` as rendered. */
  copies = new Map<string, string>();
  readonly global: { imageTag: string; imagePullPolicy: string; imageRegistry: string };
  readonly environmentField: Field | undefined;
  /** `label=value` of the labels that tell the Pods of one workload. */
  readonly identity: ReadonlySet<string>;
  /** Characters of the longest name that gets a prefix, with what the cluster puts behind it. */
  longestName = 0;
  /** Lines of NOTES.txt about how to reach what. */
  readonly notes: string[] = [];

  constructor(input: ChartInput) {
    this.input = input;
    this.objects = input.objects.filter(
      ({ kind, apiVersion }) => !(kind === 'Namespace' && apiVersion === 'v1'),
    );
    for (const object of this.objects) {
      if (object.metadata.namespace === undefined) continue;
      const name = this.plainName(object);
      this.names.set(`${object.kind}/${object.metadata.name}`, name);
      if (suffixed.includes(object.kind)) this.longestName = Math.max(this.longestName, name.length + 11);
    }
    this.findWorkloads();
    const containers = this.workloads.flatMap(({ object }) =>
      ['containers', 'initContainers'].flatMap((field) => listAt(podOf(object), field)),
    );
    const images = containers.map((container) => parseImage(textAt(container, 'image') ?? ''));
    this.global = {
      imageTag: common(images.filter(({ digest }) => digest === '').map(({ tag }) => tag)),
      imagePullPolicy: common(containers.map((container) => textAt(container, 'imagePullPolicy') ?? '')),
      imageRegistry: common(images.map(({ registry }) => registry)),
    };
    this.identity = new Set(this.workloads.flatMap((workload) => identityOf(workload, this.objects)));
    this.environmentField = input.contract.fields.find(
      ({ envKey, secret }) => envKey === 'ENVIRONMENT' && !secret,
    );
  }

  plainName(object: KubeObject): string {
    return generatedNameOf(referenceOf(object)) ?? object.metadata.name;
  }

  include(helper: string, argument = '$'): string {
    return `include "${this.input.name}.${helper}" ${argument}`;
  }

  nameOf(name: string): Expression {
    this.longestName = Math.max(this.longestName, name.length);
    return new Expression(
      `${this.include('name', `(list $ ${JSON.stringify(name)})`)}${scalar(name) === name ? '' : ' | quote'}`,
    );
  }

  findWorkloads(): void {
    const taken = new Set(['global', 'nameOverride', 'fullnameOverride', 'ingress', 'config', 'secrets']);
    taken.add('existingSecrets').add('enabled');
    for (const object of this.objects.filter(isWorkload)) {
      const { name, labels = {} } = object.metadata;
      const component = labels['app.kubernetes.io/component'];
      const containers = listAt(podOf(object), 'containers');
      // Where no label says what `todo-backend` is, its container `backend` does.
      const short = containers
        .map((container) => textAt(container, 'name'))
        .find((own) => name.endsWith(`-${own}`));
      const candidates = [component ?? short ?? name, name, `${name}-${object.kind}`].map(camelOf);
      const section = candidates.find((candidate) => !taken.has(candidate)) ?? candidates[2]!;
      taken.add(section);
      const main = containers.findIndex((container) => [name, component].includes(textAt(container, 'name')));
      const podLabels = stringsAt(object, 'spec', 'template', 'metadata', 'labels');
      this.workloads.push({ object, section, main: Math.max(0, main), podLabels });
      this.sections.set(section, { comment: titleOf({ kind: object.kind, name }), settings: {} });
    }
  }

  settingsOf(section: string): Record<string, Setting | Settings> {
    const found = this.sections.get(section) ?? { settings: {} };
    this.sections.set(section, found);
    return found.settings;
  }

  ownersOf(object: KubeObject): Workload[] {
    const { kind, metadata } = object;
    if (kind === 'Service')
      return this.workloads.filter(({ podLabels }) =>
        isSubset(stringsAt(object, 'spec', 'selector'), podLabels),
      );
    if (kind === 'HorizontalPodAutoscaler') {
      const target = at(object, 'spec', 'scaleTargetRef');
      return this.workloads.filter(
        ({ object: { kind: ofKind, metadata: own } }) =>
          textAt(target, 'kind') === ofKind && textAt(target, 'name') === own.name,
      );
    }
    return this.workloads.filter(({ object: workload }) =>
      mentionsOf(workload).some((mention) => mention.kind === kind && mention.name === metadata.name),
    );
  }

  /** What the Pods of a Job that runs ahead need to start, as far as it is of the chart. */
  neededBy(job: KubeObject): Mention[] {
    return mentionsOf(job).filter(
      ({ kind, name }) => copied.includes(kind) && this.names.has(`${kind}/${name}`),
    );
  }

  /** Whose image such a Job runs, or whose data it shares. */
  ownerOfJob(job: KubeObject): Workload | undefined {
    const needed = this.neededBy(job);
    const shares = ({ object }: Workload): boolean =>
      mentionsOf(object).some((one) =>
        needed.some((other) => one.kind === other.kind && one.name === other.name),
      );
    const imageOf = (object: KubeObject, index: number): string | undefined =>
      textAt(listAt(podOf(object), 'containers')[index], 'image');
    return (
      this.workloads.find(({ object, main }) => imageOf(object, main) === imageOf(job, 0)) ??
      this.workloads.find(shares)
    );
  }

  /** The section and the key of the value that such a Job is switched by. */
  switchOf(job: KubeObject): [section: string, key: string] {
    const name = this.plainName(job);
    const key = /migrat/.test(name) ? 'runMigrations' : `run${pascalOf(name)}`;
    return [this.ownerOfJob(job)?.section ?? camelOf(name), key];
  }

  fieldsOf(kind: 'ConfigMap' | 'Secret', name: string): Field[] {
    return this.input.contract.fields.filter(({ object }) => object.kind === kind && object.name === name);
  }

  /** What stands for the name of an object: literal when the chart does not make it. */
  reference(kind: string, name: string): unknown {
    const copy = this.copies.get(`${kind}/${name}`);
    const plain = this.names.get(`${kind}/${name}`);
    if (plain === undefined) return name;
    const quotedName = JSON.stringify(plain);
    if (kind === 'Secret') {
      const own = this.include('secretName', `(list $ ${quotedName})`);
      if (copy === undefined) return new Expression(`${own} | quote`);
      const made = `(${this.include(`makes.${plain}`)})`;
      return new Expression(
        `ternary (${this.include('name', `(list $ ${JSON.stringify(copy)})`)}) (${own}) (ne "" ${made}) | quote`,
      );
    }
    return this.nameOf(copy ?? plain);
  }

  /** Which kind a text field names; undefined when it names no object. */
  kindNamedBy(field: string, record: Node, parent: string | undefined): string | undefined {
    if (field === 'secretName') return 'Secret';
    if (field === 'claimName') return 'PersistentVolumeClaim';
    if (field === 'serviceAccountName' || field === 'serviceAccount') return 'ServiceAccount';
    if (field === 'serviceName') return 'Service';
    if (field !== 'name') return undefined;
    const byParent: Record<string, string> = {
      configMapRef: 'ConfigMap',
      configMapKeyRef: 'ConfigMap',
      configMap: 'ConfigMap',
      secretRef: 'Secret',
      secretKeyRef: 'Secret',
      secret: 'Secret',
      imagePullSecrets: 'Secret',
      service: 'Service',
      backendRefs: 'Service',
    };
    if (typeof record.kind === 'string') return record.kind;
    return parent === undefined ? undefined : byParent[parent];
  }

  /**
   * Labels by which Pods are found, with the prefix of the names. One more label would not do: the selectors of a release
   * without prefix in the same namespace would find these Pods, too.
   */
  withIdentity(labels: Node): Node {
    return Object.fromEntries(
      Object.entries(labels).map(([key, value]) => [
        key,
        typeof value === 'string' && this.identity.has(`${key}=${value}`) ? this.nameOf(value) : value,
      ]),
    );
  }

  selects(labels: unknown): boolean {
    return this.workloads.some(({ podLabels }) => isSubset(stringsAt(labels), podLabels));
  }

  /** The same with names, selectors and namespaces that follow the release. */
  adapt(value: unknown, parent?: string): unknown {
    if (Array.isArray(value)) return value.map((item) => this.adapt(item, parent));
    if (!isRecord(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([field, entry]) => [field, this.adaptField(field, entry, value, parent)]),
    );
  }

  adaptField(field: string, entry: unknown, record: Node, parent: string | undefined): unknown {
    if (typeof entry === 'string') {
      if (field === 'namespace' && entry === this.input.namespace)
        return new Expression('$.Release.Namespace');
      const kind = this.kindNamedBy(field, record, parent);
      return kind === undefined ? entry : this.reference(kind, entry);
    }
    const adapted = this.adapt(entry, field);
    return field === 'matchLabels' && this.selects(entry) ? this.withIdentity(adapted as Node) : adapted;
  }

  /** The value that holds the annotations of a ServiceAccount, when it is of one workload alone. */
  accountSteps(object: KubeObject): string[] | undefined {
    const [owner, ...others] = object.kind === 'ServiceAccount' ? this.ownersOf(object) : [];
    return owner === undefined || others.length > 0
      ? undefined
      : [owner.section, 'serviceAccount', 'annotations'];
  }

  /** @param changes `annotationsAt`: the value that stands for the annotations of the object */
  metadata(
    object: KubeObject,
    changes: { name?: string; annotations?: Node; annotationsAt?: readonly string[] } = {},
  ): Node {
    const { labels = {}, annotations = {} } = object.metadata;
    const { annotationsAt } = changes;
    const isOfRelease = object.metadata.namespace !== undefined;
    const name = changes.name ?? this.plainName(object);
    const fixed = { ...(annotationsAt ? {} : annotations), ...changes.annotations };
    const hasFixed = Object.keys(fixed).length > 0;
    const given =
      annotationsAt && new Guard(`with ${valueAt(annotationsAt)}`, new Lines('toYaml .', hasFixed));
    return {
      name: isOfRelease ? this.nameOf(name) : name,
      labels: {
        ...without(labels, inventoryLabel, ...ownLabels),
        '': new Lines(this.include('labels'), true),
      },
      ...(hasFixed ? { annotations: { ...fixed, ...(given ? { '': given } : {}) } } : {}),
      ...(given && !hasFixed ? { annotations: given } : {}),
    };
  }

  /** @param condition of an `if` around it all */
  write(file: string, object: Node, condition?: string): void {
    const content = templateOf(inOrder(object) as Node);
    const guarded = condition === undefined ? content : `{{- if ${condition} }}\n${content}{{- end }}\n`;
    const path = `templates/${file}`;
    const before = this.files.get(path);
    this.files.set(path, before === undefined ? guarded : `${before}---\n${guarded}`);
  }

  fileOf(object: KubeObject): string {
    const short: Record<string, string> = { HorizontalPodAutoscaler: 'hpa', PodDisruptionBudget: 'pdb' };
    return `${this.plainName(object)}-${short[object.kind] ?? object.kind.toLowerCase()}.yaml`;
  }

  /** Most characters of what stands before a name. Known at the end, as `longestName` is. */
  prefixLength(): number {
    return Math.max(1, 63 - 1 - this.longestName);
  }
}
