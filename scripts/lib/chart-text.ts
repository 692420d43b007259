import { secretKeys, switchesOf } from './chart-data.ts';
import type { Draft } from './chart-draft.ts';
import { documentOf, escaped, valueAt } from './chart-template.ts';

export const helmignore = `# Neither values with secrets nor the list of files is packed.
values-*.yaml
.strata-chart.json
.git/
.gitignore
*.tgz
*.tmp
*.swp
.DS_Store
`;

export function chartYaml(draft: Draft): string {
  const { name, version, overlay } = draft.input;
  return documentOf({
    apiVersion: 'v2',
    name,
    description: `${name}, as overlay ${overlay} describes it`,
    type: 'application',
    version,
    appVersion: draft.global.imageTag || version,
    kubeVersion: '>=1.30.0-0',
  });
}

export function helperText(draft: Draft): string {
  const { name } = draft.input;
  const blocks = [
    `{{/*
What stands before every name: fullnameOverride, or release and nameOverride, or nothing.
Cut so that the longest name of the chart still fits behind it.
*/}}
{{- define "${name}.prefix" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if .Values.nameOverride }}
{{- $name := printf "%s-%s" .Release.Name .Values.nameOverride }}
{{- if contains .Values.nameOverride .Release.Name }}
{{- $name = .Release.Name }}
{{- end }}
{{- if not (regexMatch "^[a-z]" $name) }}
{{- fail "with nameOverride the release has to begin with a letter, because the name of a Service does; or set fullnameOverride" }}
{{- end }}
{{- $name | replace "." "-" | trunc ${draft.prefixLength()} | trimSuffix "-" }}
{{- end }}
{{- end }}`,
    `{{/* Name of an object: (list $ "name"). */}}
{{- define "${name}.name" -}}
{{- $name := last . }}
{{- with include "${name}.prefix" (first .) }}
{{- printf "%s-%s" . $name }}
{{- else }}
{{- $name }}
{{- end }}
{{- end }}`,
    `{{/* Name of a Secret: of one that is there already, or of the chart's own: (list $ "name"). */}}
{{- define "${name}.secretName" -}}
{{- $root := first . }}
{{- index $root.Values.existingSecrets (last .) | default (include "${name}.name" .) }}
{{- end }}`,
    `{{/* Labels of every object, besides its own. */}}
{{- define "${name}.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{- end }}`,
    `{{/* Reference of an image: (list $ image). */}}
{{- define "${name}.image" -}}
{{- $global := (first .).Values.global }}
{{- $image := last . }}
{{- with $image.registry | default $global.imageRegistry }}
{{- printf "%s/" . }}
{{- end }}
{{- $image.repository }}
{{- if $image.digest }}
{{- with $image.tag }}
{{- printf ":%s" . }}
{{- end }}
{{- printf "@%s" $image.digest }}
{{- else }}
{{- with $image.tag | default $global.imageTag }}
{{- printf ":%s" . }}
{{- end }}
{{- end }}
{{- end }}`,
    ...draft.helpers,
  ];
  return `${blocks.join('\n\n')}\n`;
}

/** How to reach it, and which Secrets are still to be made. */
export function notesText(draft: Draft): string {
  const waitedFor = draft.objects.flatMap((object) => {
    if (object.kind !== 'Secret') return [];
    const name = draft.plainName(object);
    const needed = secretKeys(draft, object).filter(({ field }) => !field?.optional);
    if (needed.length === 0) return [];
    // One that exists is for whoever named it to know.
    const isNoted = `not (or (${draft.include(`makes.${name}`)}) ${valueAt(['existingSecrets', name])})`;
    const switches = switchesOf(draft, object);
    const isMissing = switches.length > 0 ? `and (${isNoted}) (or ${switches.join(' ')})` : isNoted;
    return [{ name, keys: needed.map(({ dataKey }) => escaped(dataKey)), isMissing }];
  });
  const secrets = waitedFor.flatMap(({ name, keys, isMissing }) => [
    `{{- if ${isMissing} }}`,
    `  {{ ${draft.include('name', `(list $ ${JSON.stringify(name)})`)} }}, with the keys ${keys.join(', ')}`,
    '{{- end }}',
  ]);
  return `${[
    '{{ .Chart.Name }} {{ .Chart.AppVersion }} is in namespace {{ .Release.Namespace }} as release {{ .Release.Name }}.',
    ...(draft.notes.length > 0 ? ['', 'How to reach it:', ...draft.notes] : []),
    ...(waitedFor.length > 0
      ? [
          `{{- if or ${waitedFor.map(({ isMissing }) => `(${isMissing})`).join(' ')} }}`,
          '',
          'Pods wait for these Secrets until they are in the namespace:',
          ...secrets,
          'To have the chart make them, give it the values under "secrets" instead.',
          '{{- end }}',
        ]
      : []),
    '',
    'Is it healthy?',
    '  kubectl -n {{ .Release.Namespace }} get pods',
  ].join('\n')}\n`;
}
