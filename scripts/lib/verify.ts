import type { Problem } from './errors.ts';
import type { GeneratedObject, ImageOverride } from './generate.ts';
import {
  at,
  generatedNameOf,
  type KubeObject,
  keyOf,
  listAt,
  referenceOf,
  stringsAt,
  textAt,
  titleOf,
} from './manifest.ts';
import { dataKeysOf, mentionKey, mentionsOf } from './references.ts';
import type { Manifest } from './render.ts';
import { autoscaled } from './scaling.ts';
import { runAnnotation, runFaultOf } from './wave.ts';

export interface Expectation {
  namespace: string;
  generated: readonly GeneratedObject[];
  images: readonly ImageOverride[];
  /** `Kind/name` of what the tree says is there without strata. */
  external: readonly string[];
}

/** The server's limit for the data of one ConfigMap or Secret, in bytes. */
const dataLimit = 1024 * 1024;
/** etcd's default request limit, in bytes. */
const objectLimit = 1.5 * 1024 * 1024;

export interface Finding extends Problem {
  /** They stand together in the line of the tree that is to blame. */
  words?: readonly string[];
}

const problem = (subject: string, message: string, hint?: string): Problem => ({
  severity: 'error',
  subject,
  message,
  ...(hint ? { hint } : {}),
});

/**
 * Proves that what was rendered is what was meant. Every finding, without values.
 * An empty list means: every value arrived unchanged, every reference resolves, nothing is empty or twice.
 */
export function verify(manifests: readonly Manifest[], expected: Expectation): Finding[] {
  const objects = manifests.map(({ object }) => object);
  if (objects.length === 0) {
    return [problem('overlay', 'renders nothing', 'add the base to `resources` of the overlay')];
  }
  return [
    ...verifyIdentity(objects, expected.namespace),
    ...expected.generated.flatMap((generated) => verifyValues(objects, generated, expected.namespace)),
    ...verifyReferences(objects, expected),
    ...verifyRun(objects),
    ...verifyReplicas(objects),
    ...manifests.flatMap(verifySize),
    ...expected.images.flatMap((image) => verifyImage(objects, image)),
  ];
}

function verifyRun(objects: readonly KubeObject[]): Finding[] {
  return objects.flatMap((object) => {
    const fault = runFaultOf(object);
    if (fault === undefined) return [];
    const hint = `write ${runAnnotation}: before on a workload, or take it away`;
    return [
      { ...problem(titleOf(referenceOf(object)), fault.message, hint), words: [runAnnotation, fault.value] },
    ];
  });
}

function verifyIdentity(objects: readonly KubeObject[], namespace: string): Problem[] {
  const seen = new Set<string>();
  return objects.flatMap((object) => {
    const reference = referenceOf(object);
    const title = titleOf(reference);
    const problems: Problem[] = [];
    if (!object.metadata.name)
      problems.push(
        problem(
          object.kind,
          'has generateName instead of a name: it could never be found again',
          'give it a name',
        ),
      );
    if (seen.has(keyOf(reference)))
      problems.push(problem(title, 'is rendered twice', 'remove one of the two'));
    seen.add(keyOf(reference));
    if (reference.namespace !== '' && reference.namespace !== namespace) {
      problems.push(
        problem(
          title,
          `is in namespace ${reference.namespace}, the overlay is ${namespace}`,
          'remove the namespace from the manifest',
        ),
      );
    }
    if (reference.group === '' && reference.kind === 'Namespace' && reference.name !== namespace) {
      problems.push(
        problem(
          title,
          `is not the namespace of the overlay (${namespace})`,
          'remove it, or correct `namespace:`',
        ),
      );
    }
    return problems;
  });
}

function verifyValues(
  objects: readonly KubeObject[],
  generated: GeneratedObject,
  namespace: string,
): Problem[] {
  const title = titleOf(generated);
  const found = objects.filter((object) => {
    const reference = referenceOf(object);
    return (
      reference.kind === generated.kind &&
      reference.namespace === namespace &&
      generatedNameOf(reference) === generated.name
    );
  });
  if (found.length !== 1) {
    return [
      problem(
        title,
        found.length === 0
          ? 'has no hash suffix after rendering, or is missing'
          : `was rendered ${found.length} times`,
        'no other generator may make this name, and disableNameSuffixHash must be off',
      ),
    ];
  }
  const object = found[0]!;
  const problems: Problem[] = [];
  for (const [key, value] of generated.data) {
    if (!arrivedUnchanged(object, key, value)) {
      problems.push(
        problem(
          `${title} ${key}`,
          'did not arrive unchanged',
          'a patch or component of the tree changes it; remove that',
        ),
      );
    }
  }
  for (const key of dataKeysOf(object)) {
    if (!generated.data.has(key))
      problems.push(problem(`${title} ${key}`, 'is not in the env contract', 'add it to strata.yaml'));
  }
  return problems;
}

function arrivedUnchanged(object: KubeObject, key: string, value: string): boolean {
  const rendered = stringsAt(object, 'data')[key];
  if (rendered === undefined) return false;
  if (object.kind === 'ConfigMap') return rendered === value;
  return Buffer.from(rendered, 'base64').equals(Buffer.from(value, 'utf8'));
}

function verifyReferences(objects: readonly KubeObject[], { external }: Expectation): Problem[] {
  const byKey = new Map<string, KubeObject>();
  for (const object of objects) byKey.set(mentionKey(referenceOf(object)), object);
  return objects.flatMap((object) => {
    const { namespace } = referenceOf(object);
    const title = titleOf(referenceOf(object));
    return mentionsOf(object).flatMap((mention) => {
      const target = byKey.get(mentionKey({ ...mention, namespace }));
      const name = titleOf(mention);
      if (target === undefined) {
        if (mention.mayBeAbsent || external.includes(name)) return [];
        return [
          problem(
            title,
            `refers to ${name}, which is not rendered`,
            `correct the name, or declare it in strata.yaml: external: [${name}]`,
          ),
        ];
      }
      const keys = dataKeysOf(target);
      return mention.keys
        .filter((key) => !keys.has(key) && !mention.mayBeAbsent)
        .map((key) =>
          problem(
            title,
            `refers to key ${key} of ${name}, which has no such key`,
            'add the key to strata.yaml',
          ),
        );
    });
  });
}

/** Two that set the same field: the count would go back at every `up`, or be a conflict. */
function verifyReplicas(objects: readonly KubeObject[]): Problem[] {
  const scaled = autoscaled(objects);
  return objects.flatMap((object) => {
    const reference = referenceOf(object);
    const scaler = scaled.get(keyOf(reference));
    if (scaler === undefined || at(object, 'spec', 'replicas') === undefined) return [];
    return [
      problem(
        titleOf(reference),
        `sets replicas, but ${scaler} scales it`,
        `take ${reference.name} out of \`replicas:\` of the overlay and out of its patches; minReplicas is the count to start with`,
      ),
    ];
  });
}

function verifySize({ object, text }: Manifest): Problem[] {
  const title = titleOf(referenceOf(object));
  const size = Buffer.byteLength(text);
  if (object.kind === 'ConfigMap' || object.kind === 'Secret') {
    const encoding = object.kind === 'Secret' ? 'base64' : 'utf8';
    const data = Object.values(stringsAt(object, 'data')).reduce(
      (sum, value) => sum + Buffer.from(value, encoding).length,
      0,
    );
    if (data > dataLimit)
      return [
        problem(
          title,
          `holds ${Math.ceil(data / 1024)} KiB, Kubernetes takes at most 1024 KiB`,
          'split it into several objects',
        ),
      ];
  }
  return size > objectLimit
    ? [problem(title, `is ${Math.ceil(size / 1024)} KiB, the server takes at most 1536 KiB`, 'split it')]
    : [];
}

/** Every container image of the object, found by shape. */
export function imagesOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(imagesOf);
  if (typeof value !== 'object' || value === null) return [];
  const own = ['containers', 'initContainers'].flatMap((field) =>
    listAt(value, field).flatMap((container) => [textAt(container, 'image') ?? ''].filter(Boolean)),
  );
  return [...own, ...Object.values(value).flatMap(imagesOf)];
}

/** https://github.com/distribution/reference/blob/v0.6.0/reference.go, which the kubelet parses names with. */
const imageForm =
  /^(?:(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::\d+)?\/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*(?::(\w[\w.-]{0,127}))?(@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-f]{32,})?$/;

/** What is wrong with the names of images: an error keeps a Pod from starting, a warning leaves open what runs. */
export function problemsOfImages(images: readonly string[]): Problem[] {
  return [...new Set(images)].flatMap((image): Problem[] => {
    const match = imageForm.exec(image);
    if (match === null)
      return [problem(image, 'is not the name of an image', 'write it like registry.example/app:a1b2c3')];
    const [, tag, digest] = match;
    if (digest !== undefined || (tag !== undefined && tag !== 'latest')) return [];
    const what = tag === undefined ? 'has neither tag nor digest' : 'has the tag latest';
    return [{ ...problem(image, `${what}: what runs is not known`, 'give it a tag'), severity: 'warning' }];
  });
}

function verifyImage(objects: readonly KubeObject[], image: ImageOverride): Problem[] {
  const wanted = `${image.newName}${image.newTag ? `:${image.newTag}` : ''}${image.digest ? `@${image.digest}` : ''}`;
  const images = [...new Set(objects.flatMap(imagesOf))];
  if (images.some((found) => found === wanted || found === `${image.newName}@${image.digest}`)) return [];
  return [
    problem(
      `--image ${image.name}`,
      'names an image that the overlay does not use',
      `one of: ${images.join(', ')}`,
    ),
  ];
}
