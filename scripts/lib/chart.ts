import { addConfigMap, addSecret } from './chart-data.ts';
import { type ChartInput, Draft, isWorkload, type Node, without } from './chart-draft.ts';
import { addHook } from './chart-hook.ts';
import { inOrder } from './chart-order.ts';
import { addIngress, addService, keptNamespace, textsNaming } from './chart-service.ts';
import { documentOf } from './chart-template.ts';
import { chartYaml, helmignore, helperText, notesText } from './chart-text.ts';
import { flag, oneOf, type Setting, type Settings, text, valuesSchema, valuesYaml } from './chart-values.ts';
import { addOther, addServiceAccount, addWorkload, reservedInSection } from './chart-workload.ts';
import type { Field } from './contract.ts';
import type { FileSet } from './files.ts';
import { inventoryLabel } from './inventory.ts';
import type { KubeObject } from './manifest.ts';
import { isJobAhead } from './wave.ts';

/** In the order of the contract. */
function sortedSecrets(secrets: Record<string, Setting>, fields: readonly Field[]): Record<string, Setting> {
  const rank = (key: string): number => {
    const found = fields.findIndex((field) => field.secret && field.envKey === key);
    return found < 0 ? fields.length : found;
  };
  return Object.fromEntries(Object.entries(secrets).sort(([a], [b]) => rank(a) - rank(b)));
}

function settingsOfChart(draft: Draft): Settings {
  const { name, overlay } = draft.input;
  const { fields } = draft.input.contract;
  const field = draft.environmentField;
  const prefix = {
    type: 'string',
    pattern: '^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$',
    maxLength: draft.prefixLength(),
  };
  const naming = draft.objects
    .filter(({ kind }) => kind === 'Service')
    .flatMap((object) => textsNaming(draft, object));
  const places = [...new Set(naming.map(({ place }) => place))].join(', ');
  const follow = naming.length > 0 ? ` What values say of a Service does not follow: ${places}.` : '';
  const global: Settings = {
    comment: 'Holds for every workload that does not say otherwise itself.',
    // Those of a chart that this one is a dependency of come to all of its charts.
    others: {},
    settings: {
      ...(field
        ? {
            environment: {
              comment: `Wins over ${field.dataKey} in the config of every workload; "" leaves it alone.`,
              value: '',
              schema: field.oneOf ? oneOf('', ...field.oneOf) : text,
            },
          }
        : {}),
      imageRegistry: { value: draft.global.imageRegistry, schema: text },
      imageTag: {
        value: draft.global.imageTag,
        schema: { type: 'string', pattern: '^(\\w[\\w.-]{0,127})?$' },
      },
      imagePullPolicy: {
        value: draft.global.imagePullPolicy,
        schema: oneOf('', 'Always', 'IfNotPresent', 'Never'),
      },
    },
  };
  const hasSecrets = Object.keys(draft.existing).length > 0;
  return {
    comment: `Values of ${name}, made from overlay ${overlay}. Text that looks like a number, true or false needs --set-string.`,
    unlisted: {
      enabled: { comment: 'For the condition of a dependency.', value: true, schema: flag },
    },
    settings: {
      nameOverride: {
        comment:
          'Puts the release and this before every name, so that several releases fit into one namespace.',
        value: '',
        schema: prefix,
      },
      fullnameOverride: {
        comment: `Stands before every name; wins over nameOverride.${follow}${keptNamespace(draft, naming)}`,
        value: '',
        // The name of a Service begins with a letter.
        schema: { ...prefix, pattern: '^([a-z]([-a-z0-9]*[a-z0-9])?)?$' },
      },
      global,
      ...Object.fromEntries(
        [...draft.sections].map(([key, section]) => [
          key,
          { ...section, settings: sorted(section.settings) },
        ]),
      ),
      ...(Object.keys(draft.configs).length > 0
        ? {
            config: {
              comment: 'ConfigMaps that belong to no workload alone, by name.',
              settings: draft.configs,
            },
          }
        : {}),
      ...(Object.keys(draft.ingress).length > 0
        ? { ingress: { comment: 'Who is reached under which host.', settings: draft.ingress } }
        : {}),
      ...(hasSecrets
        ? {
            existingSecrets: {
              comment:
                'Names of Secrets that are in the namespace already. With "" the chart makes the Secret as soon as one of its values is given below; until then the Pods wait for one of its own name.',
              settings: draft.existing,
            },
            secrets: {
              comment:
                'Put them into a file that git does not know, mode 0600: helm install -f values-local.yaml. Helm keeps them in the history of the release, which is a Secret.',
              settings: sortedSecrets(draft.secrets, fields),
            },
          }
        : {}),
    },
  };
}

function build(draft: Draft): FileSet {
  for (const workload of draft.workloads) addWorkload(draft, workload);
  for (const object of draft.objects) {
    if (isWorkload(object)) continue;
    if (object.kind === 'Service') addService(draft, object);
    else if (object.kind === 'ConfigMap') addConfigMap(draft, object);
    else if (object.kind === 'Secret') addSecret(draft, object);
    else if (object.kind === 'ServiceAccount') addServiceAccount(draft, object);
    else if (object.kind === 'Ingress') continue;
    else if (object.kind === 'HorizontalPodAutoscaler' && draft.ownersOf(object).length > 0) continue;
    else if (isJobAhead(object)) addHook(draft, object);
    else if (object.kind === 'CustomResourceDefinition')
      draft.files.set(`crds/${object.metadata.name}.yaml`, documentOf(inOrder(crdOf(object)) as Node));
    else addOther(draft, object);
  }
  addIngress(draft);
  const settings = settingsOfChart(draft);
  return new Map(
    [
      ['Chart.yaml', chartYaml(draft)] as const,
      ['values.yaml', valuesYaml(settings)] as const,
      ['values.schema.json', valuesSchema(settings)] as const,
      ['.helmignore', helmignore] as const,
      ['templates/_helpers.tpl', helperText(draft)] as const,
      ['templates/NOTES.txt', notesText(draft)] as const,
      ...draft.files,
    ].sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** The order in which people look for them. */
const settingOrder = ['replicaCount', 'image', 'service', 'resources', 'env', 'config', 'autoscaling'];

function sorted(settings: Settings['settings']): Settings['settings'] {
  const rank = (key: string): number => {
    const found = settingOrder.indexOf(key);
    return found >= 0 ? found : /^run[A-Z]/.test(key) ? 10 : reservedInSection.has(key) ? 30 : 20;
  };
  return Object.fromEntries(Object.entries(settings).sort(([a], [b]) => rank(a) - rank(b)));
}

function crdOf(object: KubeObject): Node {
  const { labels = {} } = object.metadata;
  return { ...object, metadata: { ...object.metadata, labels: without(labels, inventoryLabel) } };
}

/** The files of the chart, sorted by path. Pure: the same input gives the same bytes. */
export const chartFiles = (input: ChartInput): FileSet => build(new Draft(input));
