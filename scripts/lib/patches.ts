import path from 'node:path';
import type { Problem } from './errors.ts';
import { generatedNameOf, type KubeObject, listAt, referenceOf, textAt, titleOf } from './manifest.ts';
import { nearest } from './nearest.ts';
import { type Layer, readLayers, type TreeFiles } from './overlay.ts';
import { type Place, parseYaml } from './yaml.ts';

/** What gives an object another name or kind than its file has, or takes it away after a patch has found it. */
const renaming =
  /\b(?:namePrefix|nameSuffix|transformers|allowNameChange|allowKindChange)\b|\$patch|metadata[./]name\b|\/kind\b/;
/** Kustomize does not print an object that has this annotation. */
const hiding = /config\.kubernetes\.io\/local-config/;

/** Whether every object of the tree is rendered, under the name that its patches know it by. */
async function isSettled(files: TreeFiles, layers: readonly Layer[]): Promise<boolean> {
  for (const { folder, kustomization } of layers) {
    const entries = Object.entries(kustomization.data as object).flatMap(([field, list]) =>
      listAt(list).map((entry) => ({ field, named: textAt(entry) ?? textAt(entry, 'path') ?? '' })),
    );
    if (renaming.test(JSON.stringify(kustomization.data))) return false;
    for (const { field, named } of entries) {
      const isIncluded = ['resources', 'bases', 'components'].includes(field);
      if (!isIncluded && !/^(?:patches|replacements)/.test(field)) continue;
      const file = path.posix.join(folder, named);
      const kind = named.includes('\n') ? undefined : await files.kindOf(file);
      // Nobody here has seen what is fetched.
      if (isIncluded && kind === undefined) return false;
      const text = kind === 'file' ? ((await files.read(file)) ?? '') : '';
      if ((isIncluded ? hiding : renaming).test(text)) return false;
    }
  }
  return true;
}

/** Kustomize takes both for patterns, and who writes a pattern means whatever there is. */
const isPlain = (text: string | undefined): text is string => text !== undefined && /^[\w-]+$/.test(text);

/**
 * Patches that change nothing: Kustomize passes over a `target` that no object matches. Silent where that is not
 * certain, or meant, as with a selector.
 */
export async function idlePatches(
  files: TreeFiles,
  layers: readonly Layer[],
  objects: readonly KubeObject[],
): Promise<Problem[]> {
  const rendered = objects.map(referenceOf).flatMap((reference) => {
    const { kind, name } = reference;
    return [name, generatedNameOf(reference)].flatMap((known) => (known ? [{ kind, name: known }] : []));
  });
  const idle = layers.flatMap(({ kustomization }) =>
    ['patches', 'patchesJson6902'].flatMap((field) =>
      listAt(kustomization.data, field).flatMap((entry, index): Problem[] => {
        const [kind, name] = [textAt(entry, 'target', 'kind'), textAt(entry, 'target', 'name')];
        const isSelected = /"(?:label|annotation)Selector"/.test(JSON.stringify(entry));
        if (!isPlain(kind) || !isPlain(name) || isSelected) return [];
        const alike = rendered.filter((object) => object.kind === kind).map((object) => object.name);
        if (alike.includes(name)) return [];
        const near = nearest(name, alike);
        const meant = near ? { kind, name: near } : rendered.find((object) => object.name === name);
        const message = `no object matches ${titleOf({ kind, name })}${meant ? `, did you mean ${titleOf(meant)}?` : ''}`;
        const subject = `${field}[${index}]`;
        return [{ severity: 'warning', ...kustomization.placeOf([field, index]), subject, message }];
      }),
    ),
  );
  return idle.length > 0 && (await isSettled(files, layers)) ? idle : [];
}

/** Where the tree has the strategic merge patch for this object. */
export async function placeOfPatch(
  files: TreeFiles,
  folder: string,
  { kind, name }: { kind: string; name: string },
): Promise<Place | undefined> {
  for (const layer of await readLayers(files, folder)) {
    for (const field of ['patches', 'patchesStrategicMerge']) {
      for (const [index, entry] of listAt(layer.kustomization.data, field).entries()) {
        const named = textAt(entry) ?? textAt(entry, 'path');
        const file = named === undefined || named.includes('\n') ? '' : path.posix.join(layer.folder, named);
        const isFile = file !== '' && (await files.kindOf(file)) === 'file';
        const text = (isFile ? await files.read(file) : (textAt(entry, 'patch') ?? named)) ?? '';
        const patches = text.split(/^---$/m).map((document) => parseYaml(document).value);
        if (
          patches.some(
            (patch) => textAt(patch, 'kind') === kind && textAt(patch, 'metadata', 'name') === name,
          )
        )
          return layer.kustomization.placeOf([field, index]);
      }
    }
  }
  return undefined;
}
