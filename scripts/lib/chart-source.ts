import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Problem } from './errors.ts';
import type { FileSet } from './files.ts';
import { base64Forms, exactForms, partsOf, shortestAnywhere } from './forms.ts';
import { isRecord, type KubeObject, stringsAt, textAt, titleOf } from './manifest.ts';
import type { EnvValue } from './values.ts';

/** Of the tree; a tree without one has no name and no version. */
function packageOf(root: string): Record<string, unknown> {
  try {
    const content: unknown = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
    return isRecord(content) ? content : {};
  } catch {
    return {};
  }
}

const chartName = (text: string): string =>
  text
    .toLowerCase()
    .replace(/^@[^/]*\//, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[-0-9]+|-+$/g, '')
    .slice(0, 50);

/** Of the chart: what the objects are part of, else the name of the package, else the overlay. */
export function nameOf(root: string, objects: readonly KubeObject[], overlay: string): string {
  const label = 'app.kubernetes.io/part-of';
  const wholes = new Set(objects.flatMap(({ metadata }) => metadata.labels?.[label] ?? []));
  const candidates = [wholes.size === 1 ? [...wholes][0]! : '', String(packageOf(root).name ?? ''), overlay];
  return candidates.map(chartName).find((name) => name !== '') ?? 'chart';
}

const semanticVersion = /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/;

/** Of the package, or the first one there can be. `helm package --version` sets another. */
export function versionOf(root: string): string {
  const version = String(packageOf(root).version ?? '');
  return semanticVersion.test(version) ? version : '0.1.0';
}

interface Secret {
  name: string;
  value: string;
}

/** What the env files say, and what stands in Secrets of the tree. */
export function secretsKnown(values: readonly EnvValue[], objects: readonly KubeObject[]): Secret[] {
  const ofFiles = values.flatMap(({ field, value }) =>
    field.secret && value ? [{ name: field.envKey, value }] : [],
  );
  const ofTree = objects
    .filter(({ kind }) => kind === 'Secret')
    .flatMap((object) => {
      const title = titleOf({ kind: 'Secret', name: textAt(object, 'metadata', 'name') ?? '' });
      const data = Object.entries(stringsAt(object, 'data')).map(
        ([key, value]) => [key, Buffer.from(value, 'base64').toString()] as const,
      );
      return [...data, ...Object.entries(stringsAt(object, 'stringData'))].map(([key, value]) => ({
        name: `${title} ${key}`,
        value,
      }));
    });
  return [...ofFiles, ...ofTree];
}

/**
 * Where a value of a secret, a line of it or the password in its URL stands in the files, in clear, escaped or in
 * base64. What has fewer than eight characters is not looked for: it stands in ordinary words.
 */
export function leaksIn(files: FileSet, secrets: readonly Secret[]): Problem[] {
  return secrets.flatMap(({ name, value }) => {
    const forms = [value, ...partsOf(value)]
      .flatMap((part) => [part, ...exactForms(part), ...base64Forms(part)])
      .filter((form) => form.length >= shortestAnywhere);
    return [...files].flatMap(([file, content]): Problem[] => {
      const offset = Math.max(...forms.map((form) => content.indexOf(form)), -1);
      if (offset < 0) return [];
      return [
        {
          severity: 'error',
          subject: name,
          message: `its value would stand in ${file}, line ${content.slice(0, offset).split('\n').length}`,
          hint: 'it comes from a manifest, or from a ConfigMap key of the same value',
        },
      ];
    });
  });
}
