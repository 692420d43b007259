import { type Draft, type Node, type Workload, without } from './chart-draft.ts';
import { Guard, Lines, scalar, valueAt } from './chart-template.ts';
import {
  maybeName,
  type Setting,
  type Settings,
  schemaOfField,
  schemaOfSecret,
  text,
} from './chart-values.ts';
import type { Field } from './contract.ts';
import { type KubeObject, lastAppliedAnnotation, stringsAt } from './manifest.ts';
import { dataKeysOf, mentionsOf } from './references.ts';
import { isJobAhead } from './wave.ts';

function commentOf(field: Field | undefined): string {
  if (field === undefined) return '';
  const parts = [
    field.description,
    field.oneOf ? `one of ${field.oneOf.join(', ')}` : undefined,
    field.minLength ? `at least ${field.minLength} characters` : undefined,
    field.optional ? 'optional' : undefined,
    field.buildTime ? 'baked into the image when it is built' : undefined,
  ];
  return parts.filter(Boolean).join('; ');
}

/** What has a new name for each content may be immutable; under one name it could never change. */
const withoutFreeze = (draft: Draft, object: KubeObject): Node =>
  draft.plainName(object) === object.metadata.name ? object : without(object, 'immutable');

/** Where the data of a ConfigMap stand in the values: in the section of the one workload that uses it, or by name. */
export function configSteps(draft: Draft, object: KubeObject): string[] {
  const ownerOf = (config: KubeObject): Workload | undefined => {
    const owners = draft.ownersOf(config);
    return owners.length === 1 ? owners[0] : undefined;
  };
  const owner = ownerOf(object);
  const rivals = draft.objects.filter((other) => other.kind === 'ConfigMap' && ownerOf(other) === owner);
  // One of the contract is what people mean by config; another one is a file.
  const first =
    rivals.find((other) => draft.fieldsOf('ConfigMap', draft.plainName(other)).length > 0) ?? rivals[0];
  return owner && first === object ? [owner.section, 'config'] : ['config', draft.plainName(object)];
}

export function addConfigMap(draft: Draft, object: KubeObject): void {
  const name = draft.plainName(object);
  const data = stringsAt(object, 'data');
  const steps = configSteps(draft, object);
  const fields = draft.fieldsOf('ConfigMap', name);
  const settings: Record<string, Setting> = {};
  const absent: Record<string, Setting> = {};
  for (const key of Object.keys(data))
    if (!fields.some(({ dataKey }) => dataKey === key))
      settings[key] = { value: data[key], schema: text, optional: true };
  for (const field of fields) {
    const value = data[field.dataKey];
    const entry: Setting = {
      comment: commentOf(field),
      value: value ?? '',
      schema: schemaOfField(field),
      optional: field.optional,
    };
    (value === undefined ? absent : settings)[field.dataKey] = entry;
  }
  const group: Settings = {
    comment: `Data of the ConfigMap ${name}.`,
    settings,
    absent,
    ...(fields.length === 0 ? { others: text } : {}),
  };
  if (steps[0] === 'config') draft.configs[name] = group;
  else draft.settingsOf(steps[0]!).config = group;
  const values = valueAt(steps);
  const shared = fields.filter(({ envKey }) => envKey === draft.environmentField?.envKey);
  const overrides = shared.flatMap(({ dataKey }) => [
    '{{- with $.Values.global.environment }}',
    `{{- $config = merge (dict ${JSON.stringify(dataKey)} .) $config }}`,
    '{{- end }}',
  ]);
  const keys = [...Object.keys(data), ...fields.map(({ dataKey }) => dataKey)];
  const isOpen = fields.length === 0 || keys.some((key) => scalar(key) !== key);
  draft.helpers.push(
    [
      `{{/* Data of the ConfigMap ${name}. */}}`,
      `{{- define "${draft.input.name}.config.${name}" -}}`,
      `{{- $config := ${values} }}`,
      ...overrides,
      '{{- range $key, $value := $config }}',
      `{{ $key${isOpen ? ' | quote' : ''} }}: {{ $value | quote }}`,
      '{{- end }}',
      '{{- end }}',
    ].join('\n'),
  );
  const lines = `${draft.include(`config.${name}`)} | trim`;
  draft.write(draft.fileOf(object), {
    ...(draft.adapt(without(withoutFreeze(draft, object), 'metadata', 'data')) as Node),
    metadata: draft.metadata(object),
    data: Object.keys(data).length > 0 ? new Lines(lines) : new Guard(`with (${lines})`, new Lines('.')),
  });
}

function isTakenKey(draft: Draft, dataKey: string, object: KubeObject): boolean {
  return draft.objects.some(
    (other) => other.kind === 'Secret' && other !== object && dataKeysOf(other).has(dataKey),
  );
}

/** The keys of a Secret with the value of the chart that each gets. */
export function secretKeys(
  draft: Draft,
  object: KubeObject,
): { dataKey: string; key: string; field: Field | undefined }[] {
  const name = draft.plainName(object);
  const fields = draft.fieldsOf('Secret', name);
  const known = new Set(
    draft.input.contract.fields.filter(({ secret }) => secret).map(({ envKey }) => envKey),
  );
  const others = [...dataKeysOf(object)]
    .filter((dataKey) => !fields.some((field) => field.dataKey === dataKey))
    .map((dataKey) => ({
      dataKey,
      key: known.has(dataKey) || isTakenKey(draft, dataKey, object) ? `${name}-${dataKey}` : dataKey,
      field: undefined,
    }));
  return [...fields.map((field) => ({ dataKey: field.dataKey, key: field.envKey, field })), ...others];
}

function secretSetting(
  draft: Draft,
  key: string,
  dataKey: string,
  field: Field | undefined,
  object: string,
): void {
  const before = draft.secrets[key];
  const place = `${object}[${dataKey}]`;
  if (before !== undefined) {
    before.comment = `${before.comment}, ${place}`;
    return;
  }
  draft.secrets[key] = {
    comment: `${commentOf(field)}\nGoes to ${place}`.trim(),
    value: '',
    schema: schemaOfSecret(field?.minLength),
  };
}

export function secretNode(
  draft: Draft,
  object: KubeObject,
  changes: { name?: string; annotations?: Node },
): Node {
  const lines = `${draft.include(`secrets.${draft.plainName(object)}`)} | trim`;
  // Client-side apply leaves a copy of the values there.
  const annotations = without(object.metadata.annotations ?? {}, lastAppliedAnnotation) as Record<
    string,
    string
  >;
  const plain = { ...object, metadata: { ...object.metadata, annotations } };
  return {
    ...without(withoutFreeze(draft, object), 'metadata', 'data', 'stringData'),
    metadata: draft.metadata(plain, changes),
    data: new Guard(`with (${lines})`, new Lines('.')),
  };
}

/** Helm deletes what an upgrade does not render: a command without the values would take the Secret from its Pods. */
function keptLines(draft: Draft, name: string, switches: readonly string[]): string[] {
  const own = draft.include('name', `(list $ ${JSON.stringify(name)})`);
  const used = draft.include('secretName', `(list $ ${JSON.stringify(name)})`);
  const message = `the Secret ${name} is of this release, and the upgrade would delete it: give its values again (-f FILE, or --reuse-values), or name one that is not: existingSecrets.${name}`;
  return [
    // Of a Job that is switched off it may go.
    `{{- else if and $.Release.IsUpgrade (eq (${own}) (${used}))${switches.length > 0 ? ` (or ${switches.join(' ')})` : ''} }}`,
    `{{- with lookup "v1" "Secret" $.Release.Namespace (${own}) }}`,
    '{{- if eq (dig "metadata" "annotations" "meta.helm.sh/release-name" "" .) $.Release.Name }}',
    `{{- fail ${JSON.stringify(message)} }}`,
    '{{- end }}',
    '{{- end }}',
  ];
}

/** The values by which those are switched that a Secret is for, when they are all Jobs that run ahead. */
export function switchesOf(draft: Draft, object: KubeObject): string[] {
  const users = draft.objects.filter((other) =>
    mentionsOf(other).some(({ kind, name }) => kind === 'Secret' && name === object.metadata.name),
  );
  return users.every(isJobAhead) ? users.map((job) => valueAt(draft.switchOf(job))) : [];
}

export function addSecret(draft: Draft, object: KubeObject): void {
  const name = draft.plainName(object);
  const keys = secretKeys(draft, object);
  const existing = valueAt(['existingSecrets', name]);
  for (const { dataKey, key, field } of keys) secretSetting(draft, key, dataKey, field, name);
  const needed = keys.filter(({ field }) => !field?.optional);
  const listed = keys
    .map(({ dataKey, field }) => `${dataKey}${field?.optional ? ' (optional)' : ''}`)
    .join(', ');
  // Without a required key it may be empty, and the Pods wait for it to be there.
  const always = needed.length === 0 ? ' With "" the chart makes it in any case, be it empty.' : '';
  draft.existing[name] = {
    comment: `Keys: ${listed || 'none'}.${always}`,
    value: '',
    schema: maybeName,
  };
  const given = keys.map(({ key }) => valueAt(['secrets', key]));
  const switches = switchesOf(draft, object);
  const conditions = [
    `not ${existing}`,
    ...(needed.length > 0 ? [`or ${given.join(' ')}`] : []),
    ...(switches.length > 0 ? [`or ${switches.join(' ')}`] : []),
  ];
  const makes = `and ${conditions.map((one) => `(${one})`).join(' ')}`;
  const entryOf = ({ dataKey, key, field }: (typeof keys)[number]): string[] => {
    const value = valueAt(['secrets', key]);
    const quotedKey = scalar(dataKey);
    if (field?.optional)
      return [`{{- with ${value} }}`, `${quotedKey}: {{ . | b64enc | quote }}`, '{{- end }}'];
    const about = field?.description ? `: ${field.description}` : '';
    const message = `secrets.${key} is missing${about}; the Secret ${name} needs it. Or name one that has all its keys: existingSecrets.${name}`;
    return [`${quotedKey}: {{ required ${JSON.stringify(message)} ${value} | b64enc | quote }}`];
  };
  draft.helpers.push(
    [
      `{{/* Whether the chart makes the Secret ${name}: not when another one is named, nor before any value is given. */}}`,
      `{{- define "${draft.input.name}.makes.${name}" -}}`,
      `{{- if ${makes} }}true`,
      ...(needed.length > 0 ? keptLines(draft, name, switches) : []),
      '{{- end }}',
      '{{- end }}',
    ].join('\n'),
    [
      `{{/* Data of the Secret ${name}. */}}`,
      `{{- define "${draft.input.name}.secrets.${name}" -}}`,
      `{{- if ${draft.include(`makes.${name}`)} }}`,
      ...keys.flatMap(entryOf),
      '{{- end }}',
      '{{- end }}',
    ].join('\n'),
  );
  draft.write(draft.fileOf(object), secretNode(draft, object, {}), draft.include(`makes.${name}`));
}
