import path from 'node:path';
import { StrataError } from './errors.ts';
import type { FileSet } from './files.ts';
import { inventoryLabel } from './inventory.ts';

/** A ConfigMap or Secret that the contract names, with the values it gets. */
export interface GeneratedObject {
  kind: 'ConfigMap' | 'Secret';
  name: string;
  /** Data key and value; keys of optional values that are absent are left out. */
  data: ReadonlyMap<string, string>;
}

/** An entry of `images:` in a kustomization. */
export interface ImageOverride {
  name: string;
  newName: string;
  newTag?: string;
  digest?: string;
}

export interface GenerateInput {
  /** Absolute path of the folder the kustomization will stand in. */
  folder: string;
  /** Absolute path of the checked-in overlay. */
  overlayFolder: string;
  namespace: string;
  /** Value of the inventory label. */
  inventoryId: string;
  objects: readonly GeneratedObject[];
  images: readonly ImageOverride[];
}

/**
 * The private kustomization over the checked-in overlay.
 * One file per value: the only form Kustomize passes on byte for byte (reference: api/kv/kv.go).
 * JSON, because Kustomize reads YAML 1.1 booleans: a name like `on` would not survive otherwise.
 */
export function generateFiles(input: GenerateInput): FileSet {
  const files = new Map<string, string>();
  const generators = (kind: GeneratedObject['kind']): unknown[] =>
    input.objects
      .filter((object) => object.kind === kind)
      .map((object) => ({
        name: object.name,
        // Without it the references of the overlay keep the bare name, and nothing complains.
        namespace: input.namespace,
        ...(kind === 'Secret' ? { type: 'Opaque' } : {}),
        files: [...object.data].map(([key, value], index) => {
          // A key may be 253 characters long, a file name 255 bytes.
          const file = `values/${kind.toLowerCase()}.${object.name}/${`${index}.${key}`.slice(0, 255)}`;
          files.set(file, value);
          return `${key}=${file}`;
        }),
      }));
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: [path.relative(input.folder, input.overlayFolder).split(path.sep).join('/')],
    labels: [{ pairs: { [inventoryLabel]: input.inventoryId }, includeSelectors: false }],
    configMapGenerator: generators('ConfigMap'),
    secretGenerator: generators('Secret'),
    images: input.images,
  };
  return new Map([['kustomization.yaml', `${JSON.stringify(kustomization, null, 2)}\n`], ...files]);
}

/**
 * `NAME=REF` of --image. REF is a repository with a tag, a digest or both.
 * @throws StrataError USAGE
 */
export function parseImageOverride(text: string): ImageOverride {
  const match = /^([^=\s]+)=([^=\s@]+?)(?::([\w][\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$/.exec(text);
  const [, name, newName, newTag, digest] = match ?? [];
  if (name === undefined || newName === undefined || (newTag === undefined && digest === undefined)) {
    throw new StrataError('USAGE', `--image ${text} is not NAME=REPOSITORY:TAG or NAME=REPOSITORY@sha256:…`, {
      hint: 'write it like --image todo-frontend=todo-frontend:a1b2c3',
    });
  }
  if (newTag === 'latest' && digest === undefined) {
    throw new StrataError(
      'USAGE',
      `--image ${text}: the tag latest does not say what runs, and a reload of it may not arrive`,
      {
        hint: 'give each build a tag of its own',
      },
    );
  }
  return { name, newName, ...(newTag ? { newTag } : {}), ...(digest ? { digest } : {}) };
}

/**
 * The overlay may already have renamed an image: an override by the name of the base has to match the new one too.
 * `renames` is every `images:` entry of the tree, base name to the name it gets.
 */
export function expandImageOverrides(
  overrides: readonly ImageOverride[],
  renames: ReadonlyMap<string, string>,
): ImageOverride[] {
  return overrides.flatMap((override) => {
    // The overlay may rename what a component has renamed.
    const names = new Set<string>();
    for (let name: string | undefined = override.name; name && !names.has(name); name = renames.get(name))
      names.add(name);
    return [...names].map((name) => ({ ...override, name }));
  });
}
