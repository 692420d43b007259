import { configSteps } from './chart-data.ts';
import { type Draft, type Node, type Workload, without } from './chart-draft.ts';
import { Expression, Guard, Lines, scalar, valueAt } from './chart-template.ts';
import { flag, maybeName, objectName, oneOf, type Setting, text, texts, whole } from './chart-values.ts';
import { addOther } from './chart-workload.ts';
import { inventoryLabel } from './inventory.ts';
import {
  at,
  type KubeObject,
  listAt,
  numberAt,
  referenceOf,
  stableJson,
  stringsAt,
  textAt,
  titleOf,
} from './manifest.ts';

/** Labels that every object has. */
function commonLabels(objects: readonly KubeObject[]): Record<string, string> {
  const [first, ...others] = objects.map(({ metadata }) => metadata.labels ?? {});
  return Object.fromEntries(
    Object.entries(first ?? {}).filter(
      ([key, value]) => key !== inventoryLabel && others.every((labels) => labels[key] === value),
    ),
  );
}

/** Its name leads to the Pods themselves: there is neither another port nor a type to choose. */
const isHeadless = (object: KubeObject): boolean => textAt(object, 'spec', 'clusterIP') === 'None';

/** The Service whose port and type stand in the section. */
function serviceOf(draft: Draft, workload: Workload): KubeObject | undefined {
  return draft.objects.find(
    (object) => object.kind === 'Service' && !isHeadless(object) && draft.ownersOf(object)[0] === workload,
  );
}

/** The port that is meant when a path names none: the first of the Service. */
function firstPort(draft: Draft, service: string): unknown {
  const object = draft.objects.find(({ kind, metadata }) => kind === 'Service' && metadata.name === service);
  const name = textAt(object, 'spec', 'ports', 0, 'name');
  return name === undefined ? { number: numberAt(object, 'spec', 'ports', 0, 'port') } : { name };
}

/** A value that names a Service as a host, perhaps with the namespace. */
interface Naming {
  place: string;
  hasNamespace: boolean;
}

/** Config values and environment variables with the name of a Service: they are text, and follow nothing. */
export function textsNaming(draft: Draft, object: KubeObject): Naming[] {
  const host = new RegExp(
    `(?:://|[@,]|^)${object.metadata.name}(\\.${draft.input.namespace}(?:\\.svc[\\w.-]*)?)?(?:[:/,]|$)`,
  );
  const configs = draft.objects
    .filter(({ kind }) => kind === 'ConfigMap')
    .map((config) => [configSteps(draft, config), stringsAt(config, 'data')] as const);
  return [...configs, ...draft.literals].flatMap(([steps, texts]) =>
    Object.entries(texts).flatMap(([key, value]) => {
      const found = host.exec(value);
      return found ? [{ place: [...steps, key].join('.'), hasNamespace: found[1] !== undefined }] : [];
    }),
  );
}

/** What of them has a namespace keeps it in a release that is in another one. */
export function keptNamespace(draft: Draft, naming: readonly Naming[]): string {
  const places = new Set(naming.filter(({ hasNamespace }) => hasNamespace).map(({ place }) => place));
  return places.size === 0
    ? ''
    : ` The namespace ${draft.input.namespace} stays in ${[...places].join(', ')}, whatever --namespace says.`;
}

function portComment(draft: Draft, object: KubeObject): string {
  const naming = textsNaming(draft, object);
  if (naming.length === 0) return '';
  const places = naming.map(({ place }) => place).join(', ');
  return `${places} ${naming.length > 1 ? 'name' : 'names'} it: change both.`;
}

function reach(draft: Draft, object: KubeObject, steps: readonly string[]): void {
  const name = draft.include('name', `(list . ${JSON.stringify(object.metadata.name)})`);
  const type = valueAt([...steps, 'type'], '.Values');
  const port = valueAt([...steps, 'port'], '.Values');
  draft.notes.push(
    `{{- if eq ${type} "NodePort" }}`,
    `  kubectl -n {{ .Release.Namespace }} get service {{ ${name} }}    # its port of every node`,
    `{{- else if eq ${type} "LoadBalancer" }}`,
    `  kubectl -n {{ .Release.Namespace }} get service {{ ${name} }} --watch    # until it has an address`,
    '{{- end }}',
    `  kubectl -n {{ .Release.Namespace }} port-forward service/{{ ${name} }} 8080:{{ ${port} | int }}`,
  );
}

export function addService(draft: Draft, object: KubeObject): void {
  const [owner] = draft.ownersOf(object);
  const adapted = draft.adapt(without(object, 'metadata', 'status')) as Record<string, unknown>;
  const spec = adapted.spec as Record<string, unknown>;
  if (draft.selects(at(object, 'spec', 'selector')))
    spec.selector = draft.withIdentity(spec.selector as Node);
  const [first, ...others] = listAt(spec, 'ports') as Node[];
  const type = textAt(object, 'spec', 'type') ?? 'ClusterIP';
  const settings = owner && draft.settingsOf(owner.section);
  let annotationsAt: string[] | undefined;
  const isFirst = settings !== undefined && settings.service === undefined && !isHeadless(object);
  if (isFirst && first !== undefined && type !== 'ExternalName') {
    const steps = [owner!.section, 'service'];
    settings.service = {
      comment: titleOf(referenceOf(object)),
      settings: {
        type: { value: type, schema: oneOf('ClusterIP', 'NodePort', 'LoadBalancer') },
        port: {
          comment: portComment(draft, object),
          value: numberAt(first, 'port') ?? 80,
          schema: whole(1, 65535),
        },
        nodePort: {
          comment: 'Port of every node, for NodePort and LoadBalancer; 0 lets the cluster choose.',
          value: numberAt(first, 'nodePort') ?? 0,
          schema: whole(0, 65535),
        },
        annotations: { value: object.metadata.annotations ?? {}, schema: texts },
      },
    };
    annotationsAt = [...steps, 'annotations'];
    const isExposed = `ne ${valueAt([...steps, 'type'])} "ClusterIP"`;
    const exposed = (port: Node): Node =>
      port.nodePort === undefined ? port : { ...port, nodePort: new Guard(`if ${isExposed}`, port.nodePort) };
    spec.type = new Expression(valueAt([...steps, 'type']));
    spec.ports = [
      {
        ...first,
        port: new Expression(`${valueAt([...steps, 'port'])} | int`),
        nodePort: new Guard(
          `if and (${isExposed}) ${valueAt([...steps, 'nodePort'])}`,
          new Expression(`${valueAt([...steps, 'nodePort'])} | int`),
        ),
      },
      ...others.map(exposed),
    ];
    reach(draft, object, steps);
  }
  draft.write(draft.fileOf(object), { ...adapted, metadata: draft.metadata(object, { annotationsAt }) });
}

/** The hosts as values; undefined when the rules hold what values cannot say. */
function hostsOf(draft: Draft, object: KubeObject): unknown[] | undefined {
  const hosts = listAt(object, 'spec', 'rules').map((rule) => {
    const paths = listAt(rule, 'http', 'paths').map((entry) => {
      const service = textAt(entry, 'backend', 'service', 'name');
      const port = at(entry, 'backend', 'service', 'port');
      const path = textAt(entry, 'path');
      if (service === undefined || path === undefined || !draft.names.has(`Service/${service}`))
        return undefined;
      const isFirst = stableJson(port) === stableJson(firstPort(draft, service));
      const given = isFirst ? {} : { port: at(port, 'name') ?? at(port, 'number') };
      return { path, pathType: at(entry, 'pathType'), service, ...given };
    });
    const host = textAt(rule, 'host');
    return host === undefined || paths.length === 0 || paths.includes(undefined)
      ? undefined
      : { host, paths };
  });
  const isOdd =
    hosts.includes(undefined) ||
    at(object, 'spec', 'defaultBackend') !== undefined ||
    listAt(object, 'spec', 'tls').some((entry) => listAt(entry, 'hosts').length === 0);
  return hosts.length === 0 || isOdd ? undefined : hosts;
}

function addPortHelper(draft: Draft, services: readonly KubeObject[]): void {
  const cases = services.flatMap((object) => {
    const { name: service } = object.metadata;
    const port = firstPort(draft, service);
    const name = textAt(port, 'name');
    const [owner] = draft.ownersOf(object);
    const number =
      owner && serviceOf(draft, owner) === object
        ? `{{ ${valueAt([owner.section, 'service', 'port'], '$root.Values')} | int }}`
        : String(numberAt(port, 'number'));
    return [
      `{{- else if eq $path.service ${JSON.stringify(service)} }}`,
      name === undefined ? `number: ${number}` : `name: ${scalar(name)}`,
    ];
  });
  draft.helpers.push(
    [
      '{{/* The port of a path of the Ingress: its own, or the first one of its Service. */}}',
      `{{- define "${draft.input.name}.ingressPort" -}}`,
      '{{- $root := first . }}',
      '{{- $path := last . }}',
      '{{- if kindIs "string" $path.port }}',
      'name: {{ $path.port | quote }}',
      '{{- else if $path.port }}',
      'number: {{ $path.port | int }}',
      ...cases,
      '{{- end }}',
      '{{- end }}',
    ].join('\n'),
  );
}

/** The Ingress of the values: the first one that can be told in values, or an example that is off. */
export function addIngress(draft: Draft): void {
  const services = draft.objects.filter(({ kind }) => kind === 'Service');
  const ingresses = draft.objects.filter(({ kind }) => kind === 'Ingress');
  const rendered = ingresses.find((object) => hostsOf(draft, object) !== undefined);
  for (const object of ingresses) if (object !== rendered) addOther(draft, object);
  if (services.length === 0 || (ingresses.length > 0 && rendered === undefined)) return;
  const exposed =
    services.find((object) => ['NodePort', 'LoadBalancer'].includes(textAt(object, 'spec', 'type') ?? '')) ??
    services[0]!;
  const { name } = draft.input;
  const example = {
    host: `${name}.example.com`,
    paths: [{ path: '/', pathType: 'Prefix', service: exposed.metadata.name }],
  };
  const serviceNames = services.map(({ metadata }) => metadata.name);
  const pathSchema = {
    type: 'object',
    properties: {
      path: { type: 'string', pattern: '^/' },
      pathType: oneOf('Prefix', 'Exact', 'ImplementationSpecific'),
      service: oneOf(...serviceNames),
      port: { type: ['string', 'integer'], minLength: 1, maxLength: 15, minimum: 1, maximum: 65535 },
    },
    required: ['path', 'pathType', 'service'],
    additionalProperties: false,
  };
  const tlsSchema = {
    type: 'object',
    properties: { hosts: { type: 'array', items: text }, secretName: objectName },
    required: ['hosts'],
    additionalProperties: false,
  };
  Object.assign(draft.ingress, {
    enabled: { value: rendered !== undefined, schema: flag },
    className: {
      comment: '"": the default class of the cluster',
      value: textAt(rendered, 'spec', 'ingressClassName') ?? (rendered ? '' : 'nginx'),
      schema: maybeName,
    },
    annotations: { value: rendered?.metadata.annotations ?? {}, schema: texts },
    hosts: {
      comment: `service is one of ${serviceNames.join(', ')}; port is a name or a number, and the first one of the Service unless given.`,
      value: rendered ? hostsOf(draft, rendered) : [example],
      schema: {
        type: 'array',
        minItems: 1,
        items: {
          type: 'object',
          properties: {
            host: { type: 'string', minLength: 1 },
            paths: { type: 'array', minItems: 1, items: pathSchema },
          },
          required: ['host', 'paths'],
          additionalProperties: false,
        },
      },
    },
    tls: {
      comment: 'A list of hosts and the secretName with their certificate.',
      value: listAt(rendered, 'spec', 'tls'),
      schema: { type: 'array', items: tlsSchema },
    },
  } satisfies Record<string, Setting>);
  addPortHelper(draft, services);
  const labels = commonLabels(draft.objects);
  const base: KubeObject = rendered ?? {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name, namespace: draft.input.namespace, labels },
    spec: {},
  };
  const paths = new Guard('range .paths', [
    {
      path: new Expression('.path | quote'),
      pathType: new Expression('.pathType'),
      backend: {
        service: {
          name: new Expression(draft.include('name', '(list $ .service)')),
          port: new Lines(draft.include('ingressPort', '(list $ .)')),
        },
      },
    },
  ]);
  const makesSecrets = draft.objects.some(({ kind }) => kind === 'Secret');
  // A certificate that the chart makes has a name that follows the release.
  const certificate = makesSecrets
    ? `ternary (${draft.include('secretName', '(list $ .)')}) . (hasKey $.Values.existingSecrets .)`
    : '.';
  draft.write(
    'ingress.yaml',
    {
      apiVersion: base.apiVersion,
      kind: base.kind,
      metadata: draft.metadata(base, { annotationsAt: ['ingress', 'annotations'] }),
      spec: {
        ...without(base.spec as Node, 'rules', 'tls', 'ingressClassName'),
        ingressClassName: new Guard('with $.Values.ingress.className', new Expression('. | quote')),
        tls: new Guard('if $.Values.ingress.tls', [
          new Guard('range $.Values.ingress.tls', [
            {
              hosts: new Lines('toYaml .hosts'),
              secretName: new Guard('with .secretName', new Expression(`${certificate} | quote`)),
            },
          ]),
        ]),
        rules: [
          new Guard('range $.Values.ingress.hosts', [
            { host: new Expression('.host | quote'), http: { paths: [paths] } },
          ]),
        ],
      },
    },
    '$.Values.ingress.enabled',
  );
  draft.notes.push(
    '{{- if .Values.ingress.enabled }}',
    '{{- $secured := list }}',
    '{{- range .Values.ingress.tls }}',
    '{{- $secured = concat $secured .hosts }}',
    '{{- end }}',
    '{{- range .Values.ingress.hosts }}',
    // A certificate may be for every host of a domain.
    '{{- $isSecured := or (has .host $secured) (has (regexReplaceAll "^[^.]+" .host "*") $secured) }}',
    '  http{{ if $isSecured }}s{{ end }}://{{ .host }}{{ (first .paths).path }}',
    '{{- end }}',
    '{{- end }}',
  );
}
