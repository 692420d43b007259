import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { type Problem, StrataError, systemCode, throwOnErrors } from './errors.ts';
import { isRecord, listAt, textAt } from './manifest.ts';
import { nearest } from './nearest.ts';
import { type Place, readYaml, type YamlFile } from './yaml.ts';

/** The files of a tree, by path relative to its root, with `/`. */
export interface TreeFiles {
  /** undefined when there is no such file. */
  read(file: string): Promise<string | undefined>;
  kindOf(file: string): Promise<'file' | 'folder' | undefined>;
}

/** One kustomization of a tree. */
export interface Layer {
  /** Relative to the root, with `/`; empty for the root itself. */
  folder: string;
  /** The parsed kustomization.yaml. */
  kustomization: YamlFile;
}

/** The names Kustomize looks for, in its order (api/konfig/general.go). */
const kustomizationNames = ['kustomization.yaml', 'kustomization.yml', 'Kustomization'] as const;

/** @throws StrataError FILE_UNREADABLE */
export function unreadable(file: string, error: unknown): StrataError {
  const reasons: Record<string, string> = {
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EISDIR: 'it is a folder',
    ELOOP: 'its symbolic links go in a circle',
    ENOENT: 'there is no such file',
    ENOTDIR: 'a part of its path is not a folder',
  };
  const code = systemCode(error);
  return new StrataError('FILE_UNREADABLE', `${file} cannot be read: ${reasons[code ?? ''] ?? code}`, {
    hint: code === 'ENOENT' ? 'correct the path' : `ls -ld ${file}`,
    cause: error,
  });
}

/** undefined when there is nothing at that path. */
async function unlessMissing<T>(file: string, work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined;
    throw unreadable(file, error);
  }
}

export function diskTreeFiles(root: string): TreeFiles {
  return {
    read(file) {
      return unlessMissing(file, readFile(path.join(root, file), 'utf8'));
    },
    async kindOf(file) {
      const stats = await unlessMissing(file, stat(path.join(root, file)));
      if (stats === undefined) return undefined;
      return stats.isDirectory() ? 'folder' : 'file';
    },
  };
}

async function readKustomization(
  files: TreeFiles,
  folder: string,
): Promise<{ kustomization?: YamlFile; problems: Problem[] } | undefined> {
  for (const name of kustomizationNames) {
    const file = path.posix.join(folder, name);
    const text = await files.read(file);
    if (text === undefined) continue;
    const { yaml, problems } = readYaml(text, file);
    if (!yaml) return { problems };
    if (isRecord(yaml.data)) return { kustomization: yaml, problems };
    return {
      problems: [{ severity: 'error', file, line: 1, message: 'expected a map, like `kind: Kustomization`' }],
    };
  }
  return undefined;
}

/** Kustomize fetches such a path itself when nothing local has that name (api/internal/git/repospec.go). */
const isRemote = (entry: string): boolean =>
  /^[a-z][a-z0-9+.-]*:|^git@|^github\.com\/|^[\w-]+(\.[\w-]+)+\/|\?ref=|\/\//i.test(entry);

interface Walk {
  files: TreeFiles;
  layers: Layer[];
  problems: Problem[];
  done: Set<string>;
}

async function walkEntry(
  walk: Walk,
  from: YamlFile,
  field: string,
  index: number,
  open: string[],
): Promise<void> {
  const entry = (from.data as Record<string, unknown[]>)[field]?.[index];
  const place = from.placeOf([field, index]);
  if (typeof entry !== 'string' || entry === '') {
    walk.problems.push({ severity: 'error', ...place, subject: field, message: 'expected a path' });
    return;
  }
  const target = path.posix.normalize(path.posix.join(open.at(-1)!, entry)).replace(/\/$/, '');
  const kind = await walk.files.kindOf(target);
  if (kind === 'folder') return walkFolder(walk, target, place, open);
  if (kind === 'file' && field !== 'components') return;
  if (kind === undefined && isRemote(entry)) return;
  walk.problems.push({
    severity: 'error',
    ...place,
    subject: entry,
    message: kind === 'file' ? 'a component is a folder, this is a file' : `${target} does not exist`,
    hint: `correct the path under ${field}, seen from the folder of ${from.file}`,
  });
}

async function walkFolder(
  walk: Walk,
  folder: string,
  place: Place | undefined,
  open: string[],
): Promise<void> {
  if (open.includes(folder)) {
    const circle = [...open.slice(open.indexOf(folder)), folder].join(' → ');
    walk.problems.push({
      severity: 'error',
      ...place,
      message: `the kustomizations include each other: ${circle}`,
    });
    return;
  }
  if (walk.done.has(folder)) return;
  walk.done.add(folder);
  const found = await readKustomization(walk.files, folder);
  if (!found) {
    walk.problems.push({
      severity: 'error',
      ...place,
      subject: folder,
      message: 'has no kustomization.yaml',
      hint: `write ${path.posix.join(folder, 'kustomization.yaml')}`,
    });
    return;
  }
  walk.problems.push(...found.problems);
  const { kustomization } = found;
  if (!kustomization) return;
  // `bases` is the old name; Kustomize 5 still appends it to the resources.
  for (const field of ['resources', 'bases', 'components']) {
    const entries = (kustomization.data as Record<string, unknown>)[field];
    if (!Array.isArray(entries)) continue;
    for (const index of entries.keys()) await walkEntry(walk, kustomization, field, index, [...open, folder]);
  }
  walk.layers.push({ folder, kustomization });
}

/**
 * The local kustomizations an overlay is made of, each once, in the order in which Kustomize accumulates them:
 * resources depth-first, then components, then the kustomization itself.
 * @throws StrataError TREE_INVALID with every broken path
 */
export async function readLayers(files: TreeFiles, folder: string): Promise<Layer[]> {
  const walk: Walk = { files, layers: [], problems: [], done: new Set() };
  await walkFolder(walk, folder, undefined, []);
  throwOnErrors('TREE_INVALID', `${folder} does not hang together`, walk.problems);
  return walk.layers;
}

/** The first line with all these words among the manifests, patches and kustomizations of an overlay. */
export async function findLine(
  files: TreeFiles,
  folder: string,
  words: readonly string[],
): Promise<Place | undefined> {
  for (const layer of await readLayers(files, folder)) {
    const { data, file } = layer.kustomization;
    const named = [
      ...listAt(data, 'resources'),
      ...listAt(data, 'patches').map((patch) => textAt(patch, 'path')),
    ].flatMap((entry) => (typeof entry === 'string' ? [path.posix.join(layer.folder, entry)] : []));
    for (const candidate of [...named, file]) {
      if ((await files.kindOf(candidate)) !== 'file') continue;
      const lines = (await files.read(candidate))?.split('\n') ?? [];
      const index = lines.findIndex((line) => words.every((word) => line.includes(word)));
      if (index >= 0) return { file: candidate, line: index + 1 };
    }
  }
  return undefined;
}

/** Names of the folders in overlays/ that have a kustomization, sorted. */
export async function listOverlays(root: string): Promise<string[]> {
  const folder = path.join(root, 'overlays');
  const entries = (await unlessMissing('overlays', readdir(folder, { withFileTypes: true }))) ?? [];
  const files = diskTreeFiles(root);
  const found = await Promise.all(
    entries.map(async ({ name }) => {
      if (name.startsWith('.')) return [];
      const kinds = await Promise.all(
        kustomizationNames.map((file) => files.kindOf(`overlays/${name}/${file}`)),
      );
      return kinds.includes('file') ? [name] : [];
    }),
  );
  return found.flat().sort();
}

/**
 * The folder of an overlay, relative to the root.
 * @param home the folder of strata itself: another root is named where the overlay is not
 * @throws StrataError OVERLAY_NOT_FOUND
 */
export async function resolveOverlay(root: string, name: string, home = root): Promise<string> {
  const overlays = await listOverlays(root);
  if (overlays.includes(name)) return `overlays/${name}`;
  const inside = path.relative(home, root);
  const place = inside.startsWith('..') ? root : inside;
  const meant = nearest(name, overlays);
  const isPath = /[/\\]/.test(name);
  const message = isPath
    ? `an overlay is named without a path, got ${name}`
    : `there is no overlay ${name}${place && ` in ${place}`}${meant ? `, did you mean ${meant}?` : ''}`;
  throw new StrataError('OVERLAY_NOT_FOUND', message, {
    hint:
      overlays.length > 0
        ? `one of: ${overlays.join(', ')}`
        : `write ${path.join(place, 'overlays', isPath ? 'NAME' : name, 'kustomization.yaml')}`,
  });
}

export interface NamespacePlace extends Place {
  namespace: string;
}

/**
 * The `namespace:` that the overlay's own kustomization sets.
 * @throws StrataError OVERLAY_NOT_FOUND, TREE_INVALID
 */
export async function readNamespace(root: string, overlay: string): Promise<NamespacePlace> {
  const folder = await resolveOverlay(root, overlay);
  const found = await readKustomization(diskTreeFiles(root), folder);
  const problems = found?.problems ?? [];
  throwOnErrors('TREE_INVALID', `the kustomization of ${overlay} cannot be read`, problems);
  const kustomization = found!.kustomization!;
  const { namespace } = kustomization.data as Record<string, unknown>;
  const place = kustomization.placeOf(['namespace']);
  const invalid = (message: string): StrataError =>
    new StrataError('TREE_INVALID', `${place.file} ${message}`, {
      hint: `write a line like \`namespace: todo-${overlay}\` in ${place.file}`,
    });
  if (namespace === undefined || namespace === null || namespace === '') throw invalid('sets no namespace');
  if (typeof namespace !== 'string') throw invalid(`(line ${place.line}) sets a namespace that is no text`);
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(namespace)) {
    throw invalid(
      `(line ${place.line}) sets the namespace ${JSON.stringify(namespace)}; it has to be 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends`,
    );
  }
  return { namespace, ...place };
}
