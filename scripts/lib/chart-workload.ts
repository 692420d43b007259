import {
  camelOf,
  type Draft,
  type Node,
  parseImage,
  pascalOf,
  podOf,
  type Workload,
  without,
} from './chart-draft.ts';
import { Expression, Guard, Lines, valueAt } from './chart-template.ts';
import {
  anyList,
  anyMap,
  flag,
  oneOf,
  repository,
  resources,
  type Setting,
  type Settings,
  text,
  texts,
  variables,
  whole,
} from './chart-values.ts';
import {
  at,
  isRecord,
  type KubeObject,
  listAt,
  numberAt,
  stableJson,
  stringsAt,
  textAt,
} from './manifest.ts';
import { mentionsOf } from './references.ts';

/** Above this no Deployment is scaled unless somebody says so. */
const mostReplicas = 5;
const usualUtilization = 80;

/** What a section of the values may hold besides its containers. */
export const reservedInSection = new Set([
  'replicaCount',
  'image',
  'service',
  'serviceAccount',
  'resources',
  'env',
  'config',
  'autoscaling',
  'podAnnotations',
  'nodeSelector',
  'tolerations',
  'affinity',
  'imagePullSecrets',
  'runMigrations',
]);

function imageSettings(draft: Draft, container: unknown, isMain: boolean): Settings {
  const image = parseImage(textAt(container, 'image') ?? '');
  const policy = textAt(container, 'imagePullPolicy') ?? '';
  const { imageTag, imagePullPolicy, imageRegistry } = draft.global;
  const own = (value: string, shared: string): string => (isMain && value === shared ? '' : value);
  return {
    settings: {
      registry: {
        comment: '"": global.imageRegistry',
        value: own(image.registry, imageRegistry),
        schema: text,
      },
      repository: { value: image.repository, schema: repository },
      tag: {
        comment: '"": global.imageTag',
        value: image.digest === '' ? own(image.tag, imageTag) : image.tag,
        schema: { type: 'string', pattern: '^(\\w[\\w.-]{0,127})?$' },
      },
      digest: {
        comment: 'sha256:…; wins over the tag',
        value: image.digest,
        schema: { type: 'string', pattern: '^(sha256:[0-9a-f]{64})?$' },
      },
      pullPolicy: {
        comment: '"": global.imagePullPolicy',
        value: own(policy, imagePullPolicy),
        schema: oneOf('', 'Always', 'IfNotPresent', 'Never'),
      },
    },
  };
}

export function imageFields(draft: Draft, steps: readonly string[]): Node {
  const image = valueAt([...steps, 'image']);
  return {
    image: new Expression(`${draft.include('image', `(list $ ${image})`)} | quote`),
    imagePullPolicy: new Guard(
      `with ${image}.pullPolicy | default $.Values.global.imagePullPolicy`,
      new Expression('.'),
    ),
  };
}

function envField(
  draft: Draft,
  container: unknown,
  steps: readonly string[],
  settings: Record<string, Setting | Settings>,
): unknown {
  const entries = listAt(container, 'env');
  const literals: Record<string, string> = {};
  const values = valueAt([...steps, 'env']);
  const nodes = entries.map((entry) => {
    const name = textAt(entry, 'name') ?? '';
    const value = textAt(entry, 'value');
    if (value === undefined || Object.hasOwn(literals, name)) return draft.adapt(entry);
    literals[name] = value;
    const node = { name, value: new Expression(`${valueAt([name], values)} | quote`) };
    // With null Helm takes it away.
    return new Guard(`if hasKey ${values} ${JSON.stringify(name)}`, node);
  });
  const names = entries.map((entry) => textAt(entry, 'name') ?? '');
  draft.literals.push([[...steps, 'env'], literals]);
  const taken = names.filter((name) => !Object.hasOwn(literals, name));
  const except = taken.length > 0 ? `, but not ${taken.join(', ')}: the template sets them` : '';
  settings.env = {
    comment: `Environment variables; more may be added${except}.`,
    value: literals,
    schema: variables(Object.keys(literals), taken),
  };
  const omitted = names.map((name) => ` ${JSON.stringify(name)}`).join('');
  const more = names.length === 0 ? values : `omit (${values} | default dict)${omitted}`;
  const added = new Guard(`range $name, $value := ${more}`, {
    name: new Expression('$name | quote'),
    value: new Expression('$value | quote'),
  });
  return names.length === 0 ? new Guard(`if ${values}`, [added]) : [...nodes, added];
}

function containerNode(
  draft: Draft,
  container: unknown,
  steps: readonly string[],
  settings: Settings['settings'],
): Node {
  const given = at(container, 'resources');
  settings.resources = {
    comment: 'Requests and limits of the container.',
    value: isRecord(given) ? given : {},
    schema: resources,
  };
  return {
    ...(draft.adapt(container) as Node),
    env: envField(draft, container, steps, settings),
    resources: new Guard(`with ${valueAt([...steps, 'resources'])}`, new Lines('toYaml .')),
  };
}

/** Pull policy included: where it is absent the API server chooses by the tag. */
export const hasSameImage = (one: unknown, other: unknown): boolean =>
  ['image', 'imagePullPolicy'].every((field) => textAt(one, field) === textAt(other, field));

/** Every container of a workload: the main one at `section`, others below it by name. */
function containersOf(draft: Draft, workload: Workload, field: 'containers' | 'initContainers'): unknown[] {
  const { object, section, main } = workload;
  const settings = draft.settingsOf(section);
  const mainContainer = listAt(podOf(object), 'containers')[main];
  return listAt(podOf(object), field).map((container, index) => {
    if (field === 'containers' && index === main) {
      settings.image = imageSettings(draft, container, true);
      return { ...containerNode(draft, container, [section], settings), ...imageFields(draft, [section]) };
    }
    const own = camelOf(textAt(container, 'name') ?? field);
    const key = Object.hasOwn(settings, own) || reservedInSection.has(own) ? `${own}Container` : own;
    const below: Settings = { comment: `Container ${textAt(container, 'name')}`, settings: {} };
    const sharesImage = hasSameImage(container, mainContainer);
    if (!sharesImage) below.settings.image = imageSettings(draft, container, false);
    const node = containerNode(draft, container, [section, key], below.settings);
    settings[key] = below;
    return { ...node, ...imageFields(draft, sharesImage ? [section] : [section, key]) };
  });
}

/** Init containers; those that migrate have a switch, as the Job of the component has. */
function initContainersOf(draft: Draft, workload: Workload): Node {
  const containers = containersOf(draft, workload, 'initContainers');
  const names = listAt(podOf(workload.object), 'initContainers').map((one) => textAt(one, 'name') ?? '');
  const migrating = names.filter((name) => /migrat/.test(name));
  if (migrating.length === 0) return containers.length > 0 ? { initContainers: containers } : {};
  draft.settingsOf(workload.section).runMigrations = {
    comment: `Runs the init container ${migrating.join(', ')} before each Pod starts.`,
    value: true,
    schema: flag,
  };
  const condition = `if ${valueAt([workload.section, 'runMigrations'])}`;
  const isAll = migrating.length === names.length;
  return {
    initContainers: isAll
      ? new Guard(condition, containers)
      : containers.map((one, index) =>
          migrating.includes(names[index]!) ? new Guard(condition, [one]) : one,
        ),
  };
}

/** Containers of what is no workload itself: one with the image of a workload follows the section of that. */
export const withSharedImages = (draft: Draft, containers: readonly unknown[]): unknown[] =>
  containers.map((container) => {
    const owner = draft.workloads.find(({ object, main }) =>
      hasSameImage(container, listAt(podOf(object), 'containers')[main]),
    );
    return { ...(draft.adapt(container) as Node), ...(owner ? imageFields(draft, [owner.section]) : {}) };
  });

/** What has Pods made by others: a CronJob, a Job, or a kind of an operator. */
function withImagesBelow(draft: Draft, value: Node): Node {
  const lists = ['containers', 'initContainers'].filter((field) => Array.isArray(value[field]));
  if (lists.length > 0)
    return {
      ...(draft.adapt(value) as Node),
      ...Object.fromEntries(lists.map((field) => [field, withSharedImages(draft, listAt(value, field))])),
    };
  const below = ['spec', 'jobTemplate', 'template'].find((field) => isRecord(value[field]));
  if (below === undefined) return draft.adapt(value) as Node;
  return {
    ...(draft.adapt(without(value, below)) as Node),
    [below]: withImagesBelow(draft, value[below] as Node),
  };
}

/** An object that nothing is to be set of but the images that it shares with a workload. */
export function addOther(draft: Draft, object: KubeObject, annotationsAt?: readonly string[]): void {
  draft.write(draft.fileOf(object), {
    ...withImagesBelow(draft, without(object, 'metadata', 'status')),
    metadata: draft.metadata(object, { annotationsAt }),
  });
}

/** A cloud gives a ServiceAccount its identity by an annotation. */
export function addServiceAccount(draft: Draft, object: KubeObject): void {
  const steps = draft.accountSteps(object);
  if (steps) {
    draft.settingsOf(steps[0]!).serviceAccount = {
      settings: { annotations: { value: object.metadata.annotations ?? {}, schema: texts } },
    };
  }
  addOther(draft, object, steps);
}

function podNode(draft: Draft, workload: Workload): Node {
  const { object, section } = workload;
  const settings = draft.settingsOf(section);
  const pod = podOf(object) as Node;
  const containers = containersOf(draft, workload, 'containers');
  const choices = ['imagePullSecrets', 'nodeSelector', 'tolerations', 'affinity'] as const;
  const scheduling = choices.flatMap((field): [string, unknown][] => {
    // Its selectors have to follow the release.
    if (field === 'affinity' && pod.affinity !== undefined) return [];
    const isMap = field === 'nodeSelector' || field === 'affinity';
    const value = pod[field] ?? (isMap ? {} : []);
    const schema = field === 'nodeSelector' ? texts : isMap ? anyMap : anyList;
    settings[field] = { value, schema };
    return [[field, new Guard(`with ${valueAt([section, field])}`, new Lines('toYaml .'))]];
  });
  return {
    ...(draft.adapt(pod) as Node),
    ...Object.fromEntries(scheduling),
    containers,
    ...initContainersOf(draft, workload),
  };
}

function checksums(draft: Draft, object: KubeObject): Node {
  const used = (kind: string): string[] => [
    ...new Set(
      mentionsOf(object)
        .filter((mention) => mention.kind === kind && draft.names.has(`${kind}/${mention.name}`))
        .map(({ name }) => draft.names.get(`${kind}/${name}`)!),
    ),
  ];
  const sum = (kind: string, helper: string): Expression | undefined => {
    const all = used(kind).map((name) => `(${draft.include(`${helper}.${name}`)})`);
    if (all.length === 0) return undefined;
    return new Expression(`list ${all.join(' ')} | join "\\n" | sha256sum`);
  };
  const [config, secrets] = [sum('ConfigMap', 'config'), sum('Secret', 'secrets')];
  return {
    ...(config ? { 'checksum/config': config } : {}),
    ...(secrets ? { 'checksum/secrets': secrets } : {}),
  };
}

export function addWorkload(draft: Draft, workload: Workload): void {
  const { object, section, podLabels } = workload;
  const settings = draft.settingsOf(section);
  const autoscaler = autoscalerOf(draft, workload);
  const isScaled = object.kind !== 'DaemonSet';
  const replicas = numberAt(object, 'spec', 'replicas') ?? numberAt(autoscaler, 'spec', 'minReplicas') ?? 1;
  // Members of a StatefulSet have to know of each other: nobody adds one unasked.
  const mayScale = object.kind === 'Deployment' || autoscaler !== undefined;
  if (isScaled) {
    settings.replicaCount = {
      comment: mayScale ? 'Pods, unless autoscaling is on.' : 'Pods.',
      value: replicas,
      schema: whole(0),
    };
  }
  const replicaCount = new Expression(`${valueAt([section, 'replicaCount'])} | int`);
  const pod = podNode(draft, workload);
  const sums = checksums(draft, object);
  settings.podAnnotations = {
    value: without(stringsAt(object, 'spec', 'template', 'metadata', 'annotations'), ...Object.keys(sums)),
    schema: { ...texts, properties: Object.fromEntries(Object.keys(sums).map((key) => [key, false])) },
  };
  const spec = without(object.spec as Node, 'replicas', 'template');
  const template = at(object, 'spec', 'template') as Node;
  draft.write(draft.fileOf(object), {
    apiVersion: object.apiVersion,
    kind: object.kind,
    metadata: draft.metadata(object),
    spec: {
      ...(isScaled
        ? {
            replicas: mayScale
              ? new Guard(`if not ${valueAt([section, 'autoscaling', 'enabled'])}`, replicaCount)
              : replicaCount,
          }
        : {}),
      ...(draft.adapt(spec) as Node),
      template: {
        ...(draft.adapt(template) as Node),
        metadata: {
          ...without(template.metadata as Node, 'labels', 'annotations'),
          labels: draft.withIdentity(podLabels),
          annotations: {
            ...sums,
            '': new Guard(`with ${valueAt([section, 'podAnnotations'])}`, new Lines('toYaml .', true)),
          },
        },
        spec: pod,
      },
    },
  });
  if (mayScale) addAutoscaler(draft, workload, replicas, autoscaler);
}

/** The HorizontalPodAutoscaler that the overlay has for it. */
const autoscalerOf = (draft: Draft, { object }: Workload): KubeObject | undefined =>
  draft.objects.find(
    (other) =>
      other.kind === 'HorizontalPodAutoscaler' &&
      draft.ownersOf(other).some((owner) => owner.object === object),
  );

function addAutoscaler(
  draft: Draft,
  { object, section }: Workload,
  replicas: number,
  rendered: KubeObject | undefined,
): void {
  const group: Settings = {
    comment: 'A HorizontalPodAutoscaler, which needs a metrics server in the cluster.',
    settings: {
      enabled: { value: rendered !== undefined, schema: flag },
      minReplicas: {
        value: rendered ? (numberAt(rendered, 'spec', 'minReplicas') ?? 1) : Math.max(1, replicas),
        schema: whole(1),
      },
      maxReplicas: {
        value: (rendered && numberAt(rendered, 'spec', 'maxReplicas')) ?? Math.max(mostReplicas, replicas),
        schema: whole(1),
      },
    },
  };
  const steps = [section, 'autoscaling'];
  const given = listAt(rendered, 'spec', 'metrics');
  // Without any metric Kubernetes takes one of its own.
  const isOnly = given.length < 2;
  const utilization = (resource: string, value: number): unknown => {
    const key = `target${resource === 'cpu' ? 'CPU' : pascalOf(resource)}UtilizationPercentage`;
    group.settings[key] = {
      comment: `Percent of the ${resource} request${isOnly ? '' : '; 0 leaves it out'}.`,
      value,
      schema: whole(isOnly ? 1 : 0),
    };
    return new Guard(`with ${valueAt([...steps, key])}`, {
      type: 'Resource',
      resource: {
        name: resource,
        target: { type: 'Utilization', averageUtilization: new Expression('. | int') },
      },
    });
  };
  const metrics = rendered
    ? given.map((metric) => {
        const resource = textAt(metric, 'resource', 'name') ?? '';
        const value = numberAt(metric, 'resource', 'target', 'averageUtilization');
        const plain = {
          type: 'Resource',
          resource: { name: resource, target: { type: 'Utilization', averageUtilization: value } },
        };
        return value !== undefined && stableJson(plain) === stableJson(metric)
          ? utilization(resource, value)
          : draft.adapt(metric);
      })
    : [utilization('cpu', usualUtilization)];
  draft.settingsOf(section).autoscaling = group;
  const base: KubeObject = rendered ?? {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { ...object.metadata, annotations: {} },
    spec: {
      scaleTargetRef: { apiVersion: object.apiVersion, kind: object.kind, name: object.metadata.name },
    },
  };
  draft.write(
    draft.fileOf(base),
    {
      apiVersion: base.apiVersion,
      kind: base.kind,
      metadata: draft.metadata(base),
      spec: {
        ...(draft.adapt(base.spec) as Node),
        minReplicas: new Expression(`${valueAt([...steps, 'minReplicas'])} | int`),
        maxReplicas: new Expression(`${valueAt([...steps, 'maxReplicas'])} | int`),
        ...(metrics.length > 0 ? { metrics } : {}),
      },
    },
    valueAt([...steps, 'enabled']),
  );
}
