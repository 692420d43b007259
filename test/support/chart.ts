import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { command } from '../../scripts/chart.ts';
import { parseArguments } from '../../scripts/lib/command.ts';
import { inventoryLabel } from '../../scripts/lib/inventory.ts';
import {
  at,
  generatedNameOf,
  isRecord,
  type KubeObject,
  referenceOf,
  stableJson,
} from '../../scripts/lib/manifest.ts';

import { prepare, renderVerified } from '../../scripts/lib/prepare.ts';
import { runAnnotation } from '../../scripts/lib/wave.ts';
import { command as render } from '../../scripts/render.ts';
import { testSession } from './session.ts';

/** The environment of the tests has values of its own; none of them is for the tree. */
const environment = { PATH: process.env.PATH, HOME: process.env.HOME };

/** Runs the command on the tree; returns the folder of the chart, which is below the root. */
export async function makeChart(
  root: string,
  overlay: string,
  words: readonly string[] = [],
): Promise<string> {
  const out = path.join(mkdtempSync(path.join(root, 'out-')), 'chart');
  const session = testSession({ root, environment });
  try {
    await command.run(session, parseArguments(command, [overlay, '--out', out, ...words]));
  } finally {
    session.end();
  }
  return out;
}

/** What `render` prints. */
export async function renderedObjects(
  root: string,
  overlay: string,
  words: readonly string[] = [],
): Promise<KubeObject[]> {
  const session = testSession({ root, environment });
  try {
    const prepared = await prepare(session, parseArguments(render, [overlay, ...words]));
    const { manifests } = await renderVerified(session, prepared);
    return manifests.map(({ object }) => object);
  } finally {
    session.end();
  }
}

type Json = Record<string, unknown>;

/** All in which the objects of a chart may differ from those of `render`. docs/chart.md has the same list. */
interface Difference {
  name: string;
  why: string;
  /** Takes it out of the objects of `render`. */
  fromRender?(objects: Json[]): Json[];
  /** Takes it out of the objects of the chart. */
  fromChart?(objects: Json[]): Json[];
}

const each =
  (change: (object: Json) => void) =>
  (objects: Json[]): Json[] => {
    for (const object of objects) change(object);
    return objects;
  };

const recordAt = (value: unknown, ...path: string[]): Json | undefined => {
  const found = at(value, ...path);
  return isRecord(found) ? found : undefined;
};

/** Without the entry, and without the record when that was all. */
function drop(parent: Json | undefined, field: string, keys: readonly string[]): void {
  const record = recordAt(parent, field);
  if (parent === undefined || record === undefined) return;
  for (const key of keys) delete record[key];
  if (Object.keys(record).length === 0) delete parent[field];
}

const replaced = (value: unknown, names: ReadonlyMap<string, string>): unknown => {
  if (typeof value === 'string') return names.get(value) ?? value;
  if (Array.isArray(value)) return value.map((item) => replaced(item, names));
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, replaced(entry, names)]));
};

const isHook = (object: Json): boolean => at(object, 'metadata', 'annotations', 'helm.sh/hook') !== undefined;

function plainData(object: Json): void {
  const data = recordAt(object, 'data') ?? {};
  if (object.kind === 'Secret') {
    for (const [key, value] of Object.entries(recordAt(object, 'stringData') ?? {}))
      data[key] = Buffer.from(String(value)).toString('base64');
    delete object.stringData;
    for (const [key, value] of Object.entries(data))
      data[key] = Buffer.from(String(value), 'base64').toString('base64');
  }
  if (Object.keys(data).length > 0) object.data = data;
  else if (object.kind === 'Secret' || object.kind === 'ConfigMap') delete object.data;
}

export const differences: readonly Difference[] = [
  {
    name: 'the Namespace',
    why: 'helm install --create-namespace makes it, and the release itself is stored in it',
    fromRender: (objects) => objects.filter(({ kind }) => kind !== 'Namespace'),
  },
  {
    name: 'metadata.namespace',
    why: 'Helm puts what has none into the namespace of the release',
    fromRender: each((object) => delete (object.metadata as Json).namespace),
  },
  {
    name: 'hash suffixes',
    why: 'a release has one ConfigMap of a name; the checksum annotations roll the Pods instead',
    fromRender(objects) {
      const names = new Map<string, string>();
      for (const object of objects) {
        const plain = generatedNameOf(referenceOf(object as KubeObject));
        if (plain !== undefined) names.set((object as KubeObject).metadata.name, plain);
      }
      for (const object of objects)
        if (names.has(String(at(object, 'metadata', 'name')))) delete object.immutable;
      return objects.map((object) => replaced(object, names) as Json);
    },
  },
  {
    name: 'the inventory label',
    why: 'it says what up owns',
    fromRender: each((object) => drop(recordAt(object, 'metadata'), 'labels', [inventoryLabel])),
  },
  {
    name: 'the labels of Helm',
    why: 'every chart has them; selectors do not',
    fromChart: each((object) =>
      drop(recordAt(object, 'metadata'), 'labels', [
        'helm.sh/chart',
        'app.kubernetes.io/instance',
        'app.kubernetes.io/managed-by',
      ]),
    ),
  },
  {
    name: 'checksum annotations',
    why: 'a changed ConfigMap or Secret rolls the Pods, as a new hash suffix does',
    fromChart: each((object) =>
      drop(recordAt(object, 'spec', 'template', 'metadata'), 'annotations', [
        'checksum/config',
        'checksum/secrets',
      ]),
    ),
  },
  {
    name: 'defaults of the API server',
    why: 'a Service without type is a ClusterIP, and only a headless one has nothing to choose; a Deployment or StatefulSet without replicas has one',
    fromRender: each((object) => {
      const spec = recordAt(object, 'spec');
      if (object.kind === 'Service' && spec && spec.clusterIP !== 'None') spec.type ??= 'ClusterIP';
      if (['Deployment', 'StatefulSet'].includes(String(object.kind)) && spec) spec.replicas ??= 1;
    }),
  },
  {
    name: 'the form of data',
    why: 'Kustomize breaks base64 into lines, the server reads stringData into data, and no data is empty data',
    fromRender: each(plainData),
    fromChart: each(plainData),
  },
  {
    name: 'replicas of what is scaled',
    why: 'an upgrade would undo what the autoscaler did',
    fromRender(objects) {
      const targets = objects
        .filter(({ kind }) => kind === 'HorizontalPodAutoscaler')
        .map((object) => recordAt(object, 'spec', 'scaleTargetRef'));
      for (const object of objects)
        if (
          targets.some(
            (target) => target?.kind === object.kind && target?.name === at(object, 'metadata', 'name'),
          )
        )
          delete recordAt(object, 'spec')?.replicas;
      return objects;
    },
  },
  {
    name: 'Jobs that run before',
    why: 'Helm knows them as hooks, which need copies of what they use before the rest is there',
    fromRender: each((object) => {
      if (object.kind === 'Job') drop(recordAt(object, 'metadata'), 'annotations', [runAnnotation]);
    }),
    fromChart(objects) {
      const hooks = objects.filter(isHook);
      const jobs = hooks.filter(({ kind }) => kind === 'Job');
      const names = new Map<string, string>();
      for (const object of hooks.filter((hook) => !jobs.includes(hook))) {
        const name = String(at(object, 'metadata', 'name'));
        const original = jobs
          .map((job) => name.slice(`${at(job, 'metadata', 'name')}-`.length))
          .find((plain) =>
            objects.some((other) => other.kind === object.kind && at(other, 'metadata', 'name') === plain),
          );
        if (original === undefined) throw new Error(`${object.kind}/${name} is a copy of nothing`);
        const data = (one: Json): string => stableJson([one.data, one.type]);
        const source = objects.find(
          (other) => other.kind === object.kind && at(other, 'metadata', 'name') === original,
        )!;
        if (data(source) !== data(object))
          throw new Error(`${object.kind}/${name} is no copy of ${original}`);
        names.set(name, original);
      }
      const rest = objects.filter((object) => !isHook(object) || jobs.includes(object));
      return rest.map((object) => {
        if (!jobs.includes(object)) return object;
        const job = replaced(object, names) as Json;
        drop(recordAt(job, 'metadata'), 'annotations', [
          'helm.sh/hook',
          'helm.sh/hook-weight',
          'helm.sh/hook-delete-policy',
        ]);
        return job;
      });
    },
  },
];

/** `Kind/name` with each object, without the differences that are allowed. */
export function normalized(
  objects: readonly KubeObject[],
  side: 'fromRender' | 'fromChart',
): Record<string, unknown> {
  let rest = structuredClone(objects) as unknown as Json[];
  for (const difference of differences) rest = difference[side]?.(rest) ?? rest;
  const entries = rest.map((object) => [`${object.kind}/${at(object, 'metadata', 'name')}`, object] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Paths at which two trees of plain data differ, list items by index. */
export function changedPaths(before: unknown, after: unknown, prefix = ''): string[] {
  if (stableJson(before) === stableJson(after)) return [];
  const both = [before, after];
  if (both.every(isRecord) || both.every(Array.isArray)) {
    const keys = new Set(both.flatMap((side) => Object.keys(side as object)));
    return [...keys].flatMap((key) =>
      changedPaths(
        (before as Json)[key],
        (after as Json)[key],
        prefix === '' ? key : `${prefix}${Array.isArray(before) ? `[${key}]` : `.${key}`}`,
      ),
    );
  }
  return [prefix];
}
