import path from 'node:path';
import * as assert from 'uvu/assert';
import { type KubeObject, textAt } from '../../scripts/lib/manifest.ts';
import { formatYaml } from '../../scripts/lib/yaml.ts';
import type { Outcome } from './cluster.ts';
import type { Deployment } from './deployment.ts';
import { wrapKubectl } from './fake-kubectl.ts';

const labels = { app: 'web' };

export const webDeployment = (parts: Record<string, unknown> = {}): Record<string, unknown> => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', labels },
  spec: {
    replicas: 1,
    selector: { matchLabels: labels },
    template: {
      metadata: { labels },
      spec: {
        containers: [
          {
            name: 'web',
            image: 'web:1',
            env: [{ name: 'MODE', value: 'plain' }],
            ports: [{ containerPort: 80 }],
          },
        ],
      },
    },
    ...parts,
  },
});

export const settings = (data: Record<string, string> = { colour: 'red' }): Record<string, unknown> => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'settings' },
  data,
});

/** A tree of one small Deployment, one ConfigMap of its own and one generated Secret: for `overlay: 'none'`. */
export function writeSmallTree(deployment: Deployment, more: Record<string, object> = {}): void {
  const files = { 'web.yaml': webDeployment(), 'settings.yaml': settings(), ...more };
  for (const [file, content] of Object.entries(files))
    deployment.write(deployment.own(file), formatYaml(content));
  deployment.write(
    deployment.own('kustomization.yaml'),
    formatYaml({ namespace: deployment.namespace, resources: Object.keys(files) }),
  );
  deployment.write(
    deployment.own('strata.yaml'),
    `contexts: [${deployment.context}]\n${formatYaml({ secrets: { web: { WEB_TOKEN: {} } } })}`,
  );
  deployment.values.clear();
  deployment.setSecret('WEB_TOKEN', 'token-of-the-small-tree');
}

export interface JobParts {
  /** As docs/sandbox.md has it. */
  simulate?: string;
  delay?: string;
  annotations?: Record<string, string>;
  name?: string;
}

/** Its image is set along with that of the Deployment. */
export const webJob = ({
  simulate,
  delay = '5s',
  annotations = {},
  name = 'migrate',
}: JobParts = {}): Record<string, unknown> => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name, annotations },
  spec: {
    backoffLimit: 0,
    template: {
      metadata: simulate
        ? { annotations: { 'strata.dev/simulate': simulate, 'strata.dev/simulate-delay': delay } }
        : {},
      spec: {
        restartPolicy: 'Never',
        containers: [{ name: 'migrate', image: 'web:1', envFrom: [{ secretRef: { name: 'web' } }] }],
      },
    },
  },
});

/** Of the Job and the Deployment. */
export function setImage(deployment: Deployment, newTag: string): void {
  deployment.kustomize((kustomization) => {
    kustomization.images = [{ name: 'web', newTag }];
  });
}

export const imageOf = (object: KubeObject | undefined): string | undefined =>
  textAt(object, 'spec', 'template', 'spec', 'containers', 0, 'image');

/** Each text comes after the one before it. */
export function assertOrder({ stderr }: Outcome, ...texts: string[]): void {
  let from = 0;
  for (const text of texts) {
    const index = stderr.indexOf(text, from);
    assert.ok(index >= 0, `${text} is not there, or not after what comes before it:\n${stderr}`);
    from = index + text.length;
  }
}

/** A kubectl before the real one in PATH: it runs the lines once, just before the first call that `pattern` matches. */
export function meddlingKubectl(deployment: Deployment, pattern: string, lines: readonly string[]): string {
  const folder = path.join(path.dirname(deployment.root), `meddling-${Math.random().toString(36).slice(2)}`);
  const real = `KUBECONFIG='${deployment.sandbox.kubeconfig}' '${deployment.sandbox.kubectl}' -n ${deployment.namespace}`;
  const script = [
    `case "$*" in ${pattern})`,
    `  if mkdir '${folder}/done' 2>/dev/null; then`,
    ...lines.map((line) => `    ${real} ${line} >'${folder}/said' 2>&1 || exit 99`),
    '  fi;;',
    'esac',
  ];
  return wrapKubectl(deployment, script.join('\n'), folder).PATH;
}
