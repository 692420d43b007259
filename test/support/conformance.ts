import { isDeepStrictEqual } from 'node:util';
import { parse } from 'yaml';
import {
  at,
  generatedNameOf,
  isRecord,
  type KubeObject,
  listAt,
  referenceOf,
  textAt,
} from '../../scripts/lib/manifest.ts';

/** What a document says about the system, and where that can be looked at. */
export interface Fact {
  /** In the words of the document, in one line. */
  says: string;
  place: Place;
}

/** A part of a document. */
export interface Section {
  title: string;
  facts: Fact[];
}

/** One reference document; it is called by the name of its example. */
export interface ReferenceDocument {
  example: string;
  /** `Kind/name` of all that its example makes, sorted. */
  objects: string[];
  sections: Section[];
}

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** What a field of a live object has to be; `secret` is any text that is not empty, and is never shown. */
type Wanted = { is: Json } | { keys: string[] } | { items: number } | 'set' | 'secret' | 'absent';

export type Place =
  /** A field of a live object, `Kind/name` before the hash suffix. */
  | { in: 'field'; object: string; path: string; wanted: Wanted }
  /** No object of this kind in the namespace. */
  | { in: 'no object'; kind: string }
  /** The ready endpoints of a Service: that its selector and port lead to Pods. */
  | { in: 'endpoints'; service: string; port: number; ready: number }
  /** Where a variable of the first container comes from, by `env` and `envFrom`: `Kind/name[key]`. */
  | { in: 'variable'; object: string; name: string; from: string }
  /** A file of the project that has this text. */
  | { in: 'file'; file: string; text: string }
  /**
   * A file of the Helm chart that `npm run chart` makes of the example: its mere name, or a field in it. `unlike` says why
   * it is not what the document has.
   */
  | { in: 'chart'; file: string; path?: string; is?: Json; unlike?: string };

const field = (object: string, path: string, wanted: Wanted): Place => ({
  in: 'field',
  object,
  path,
  wanted,
});

/** Facts about the fields of one object. */
export const of =
  (object: string) =>
  (says: string, path: string, is: Json): Fact => ({ says, place: field(object, path, { is }) });

export const set = (says: string, object: string, path: string): Fact => ({
  says,
  place: field(object, path, 'set'),
});

export const absent = (says: string, object: string, path: string): Fact => ({
  says,
  place: field(object, path, 'absent'),
});

export const keys = (says: string, object: string, path: string, ...names: string[]): Fact => ({
  says,
  place: field(object, path, { keys: names.sort() }),
});

export const items = (says: string, object: string, path: string, count: number): Fact => ({
  says,
  place: field(object, path, { items: count }),
});

export const secret = (says: string, object: string, key: string): Fact => ({
  says,
  place: field(object, `data."${key}"`, 'secret'),
});

export const none = (says: string, kind: string): Fact => ({ says, place: { in: 'no object', kind } });

export const endpoints = (says: string, service: string, port: number, ready: number): Fact => ({
  says,
  place: { in: 'endpoints', service, port, ready },
});

export const variable = (says: string, object: string, name: string, from: string): Fact => ({
  says,
  place: { in: 'variable', object, name, from },
});

export const file = (says: string, name: string, text: string): Fact => ({
  says,
  place: { in: 'file', file: name, text },
});

export const chart = (says: string, name: string, path?: string, is?: Json): Fact => ({
  says,
  place: {
    in: 'chart',
    file: name,
    ...(path === undefined ? {} : { path }),
    ...(is === undefined ? {} : { is }),
  },
});

/** In its place the chart has something else, for a reason. */
export const unlike = (says: string, why: string, name: string, path: string, is?: Json): Fact => ({
  says,
  place: { in: 'chart', file: name, path, unlike: why, ...(is === undefined ? {} : { is }) },
});

/** The one container of a Deployment. */
export const container = 'spec.template.spec.containers.0';

/** What a fact is compared with. */
export interface Found {
  /** The objects of the namespace and itself, with the names before the hash suffix. */
  objects: readonly KubeObject[];
  /** The text of a file of the project; undefined when there is none. */
  read(file: string): string | undefined;
  /** The text of a file of the example's Helm chart; undefined when there is none. */
  chart(file: string): string | undefined;
}

/** One row of the table. */
export interface Row {
  /** What is there, for people; without any value of a secret. */
  live: string;
  /** undefined: as the document says. */
  problem?: string;
}

/** Names before the hash suffix, in the objects themselves and in all that refer to them. */
export function withoutSuffixes(objects: readonly KubeObject[]): KubeObject[] {
  const names = new Map<string, string>();
  for (const object of objects) {
    const name = generatedNameOf(referenceOf(object));
    if (name !== undefined) names.set(object.metadata.name, name);
  }
  const text = JSON.stringify(objects, (key, value) =>
    typeof value === 'string' && (key === 'name' || key === 'secretName')
      ? (names.get(value) ?? value)
      : value,
  );
  return JSON.parse(text) as KubeObject[];
}

const objectOf = (found: Found, title: string): KubeObject | undefined =>
  found.objects.find(({ kind, metadata }) => `${kind}/${metadata.name}` === title);

/** Names and numbers between dots; what holds dots itself stands in quotes. */
const stepsOf = (path: string): string[] =>
  [...path.matchAll(/"([^"]+)"|[^."]+/g)].map(([step, quoted]) => quoted ?? step);

function valueAt(object: unknown, path: string): unknown {
  return stepsOf(path).reduce<unknown>((value, step) => {
    if (Array.isArray(value) && !/^\d+$/.test(step))
      return value.find((item) => textAt(item, 'name') === step);
    return (value as Record<string, unknown> | undefined)?.[step];
  }, object);
}

const decoded = (value: unknown): string =>
  typeof value === 'string' ? Buffer.from(value, 'base64').toString() : '';

/** The names of what is in a map or a list, for its values may be chosen by the server; a plain value as it is. */
function partsOf(value: unknown): string {
  if (Array.isArray(value)) return value.map((item) => textAt(item, 'name') ?? shown(item)).join(', ');
  if (isRecord(value)) return Object.keys(value).sort().join(', ');
  return value === undefined || value === null ? '' : shown(value);
}

function compareField(value: unknown, wanted: Wanted): Row {
  if (wanted === 'secret') {
    const length = [...decoded(value)].length;
    return length > 0
      ? { live: `set, ${length} characters` }
      : { live: 'not set', problem: 'is no value of a secret' };
  }
  if (wanted === 'set') {
    const parts = partsOf(value);
    return parts === '' ? { live: 'not set', problem: 'is not set' } : { live: parts };
  }
  if (wanted === 'absent') {
    return value === undefined ? { live: 'not there' } : { live: 'there', problem: 'is there' };
  }
  if ('items' in wanted) {
    const count = Array.isArray(value) ? value.length : 0;
    return {
      live: `${count}`,
      ...(count === wanted.items ? {} : { problem: `expected ${wanted.items} items` }),
    };
  }
  if ('keys' in wanted) {
    const own = Object.keys((value as object | undefined) ?? {}).sort();
    const same = isDeepStrictEqual(own, wanted.keys);
    return { live: own.join(', '), ...(same ? {} : { problem: `expected ${wanted.keys.join(', ')}` }) };
  }
  const same = isDeepStrictEqual(value, wanted.is);
  return {
    live: shown(value),
    ...(same ? {} : { problem: `expected ${shown(wanted.is)}` }),
  };
}

const shown = (value: unknown): string =>
  typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing');

function readyEndpoints(found: Found, service: string, port: number): number {
  const slices = found.objects.filter(
    ({ kind, metadata }) =>
      kind === 'EndpointSlice' && metadata.labels?.['kubernetes.io/service-name'] === service,
  );
  return slices
    .filter((slice) => listAt(slice, 'ports').some((entry) => at(entry, 'port') === port))
    .flatMap((slice) => listAt(slice, 'endpoints'))
    .filter((endpoint) => at(endpoint, 'conditions', 'ready') === true).length;
}

/** undefined: no object that is there gives the container this variable. */
function originOf(found: Found, workload: KubeObject | undefined, name: string): string | undefined {
  const spec = valueAt(workload, container);
  const existing = (kind: string, object: unknown, key: unknown): string | undefined => {
    const data = at(objectOf(found, `${kind}/${object}`), 'data');
    return at(data, String(key)) === undefined ? undefined : `${kind}/${object}[${key}]`;
  };
  const own = listAt(spec, 'env').find((entry) => at(entry, 'name') === name);
  if (own !== undefined) {
    if (at(own, 'value') !== undefined) return 'the manifest';
    for (const [kind, source] of [
      ['Secret', 'secretKeyRef'],
      ['ConfigMap', 'configMapKeyRef'],
    ] as const) {
      const reference = at(own, 'valueFrom', source);
      if (reference !== undefined) return existing(kind, at(reference, 'name'), at(reference, 'key'));
    }
    return undefined;
  }
  // Of several sources the last one wins.
  return listAt(spec, 'envFrom')
    .map(
      (entry) =>
        existing('ConfigMap', at(entry, 'configMapRef', 'name'), name) ??
        existing('Secret', at(entry, 'secretRef', 'name'), name),
    )
    .findLast((origin) => origin !== undefined);
}

function chartRow({ file, path, is, unlike: why }: Place & { in: 'chart' }, text: string | undefined): Row {
  if (text === undefined) return { live: 'not there', problem: `the chart has no ${file}` };
  if (path === undefined) return { live: 'there' };
  const value = valueAt(parse(text), path);
  if (value === undefined) return { live: 'not there', problem: `${file} has no ${path}` };
  const live = is === undefined && isRecord(value) ? partsOf(value) : shown(value);
  return {
    live: `${live === '' ? 'empty' : live}${why === undefined ? '' : `; ${why}`}`,
    ...(is === undefined || isDeepStrictEqual(value, is) ? {} : { problem: `expected ${shown(is)}` }),
  };
}

/** What there is in place of what the document says. */
export function rowOf({ place }: Fact, found: Found): Row {
  switch (place.in) {
    case 'field': {
      const object = objectOf(found, place.object);
      return object === undefined
        ? { live: 'not there', problem: `there is no ${place.object}` }
        : compareField(valueAt(object, place.path), place.wanted);
    }
    case 'no object': {
      const titles = found.objects
        .filter(({ kind }) => kind === place.kind)
        .map(({ kind, metadata }) => `${kind}/${metadata.name}`);
      return titles.length === 0
        ? { live: 'none' }
        : { live: titles.join(', '), problem: `expected no ${place.kind}` };
    }
    case 'endpoints': {
      const ready = readyEndpoints(found, place.service, place.port);
      const problem =
        ready === place.ready ? {} : { problem: `expected ${place.ready} on port ${place.port}` };
      return { live: `${ready} ready`, ...problem };
    }
    case 'variable': {
      const origin = originOf(found, objectOf(found, place.object), place.name);
      return {
        live: `from ${origin ?? 'nowhere'}`,
        ...(origin === place.from ? {} : { problem: `expected it from ${place.from}` }),
      };
    }
    case 'file':
      return found.read(place.file)?.includes(place.text)
        ? { live: 'as documented' }
        : { live: 'not there', problem: `${place.file} does not say: ${place.text}` };
    case 'chart':
      return chartRow(place, found.chart(place.file));
  }
}

const code = (text: string): string => `\`${text.replaceAll('|', '\\|').replaceAll('\n', ' ')}\``;

function placeText(place: Place): string {
  switch (place.in) {
    case 'field':
      return `${code(place.object)} ${code(place.path)}`;
    case 'no object':
      return `any ${code(place.kind)}`;
    case 'endpoints':
      return `EndpointSlices of ${code(`Service/${place.service}`)}, port ${place.port}`;
    case 'variable':
      return `${code(place.object)} variable ${code(place.name)}`;
    case 'file':
      return `[${place.file}](${place.file.startsWith('docs/') ? place.file.slice('docs/'.length) : `../${place.file}`})`;
    case 'chart':
      return `Helm chart ${code(place.file)}${place.path === undefined ? '' : ` ${code(place.path)}`}`;
  }
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** The part of docs/reference-systems.md about one document; the rows are in the order of its facts. */
export function tableOf(document: ReferenceDocument, found: Found): string {
  const lines = [
    `## ${document.example}`,
    '',
    `[examples/${document.example}](../examples/${document.example}/README.md) makes: ${document.objects.map(code).join(', ')}; nothing else.`,
    '',
  ];
  for (const { title, facts } of document.sections) {
    lines.push(
      `### ${document.example}: ${title}`,
      '',
      '| fact | where it is met | live value |',
      '| --- | --- | --- |',
    );
    for (const fact of facts)
      lines.push(`| ${cell(fact.says)} | ${placeText(fact.place)} | ${cell(rowOf(fact, found).live)} |`);
    lines.push('');
  }
  return lines.join('\n');
}

const factsOf = (documents: readonly ReferenceDocument[]): Fact[] =>
  documents.flatMap(({ sections }) => sections.flatMap(({ facts }) => facts));

/** The whole of docs/reference-systems.md. */
export function pageOf(documents: readonly ReferenceDocument[], tables: ReadonlyMap<string, string>): string {
  const facts = factsOf(documents);
  const count = (...kinds: Place['in'][]): number =>
    facts.filter(({ place }) => kinds.includes(place.in)).length;
  const others = facts.filter(({ place }) => place.in === 'chart' && place.unlike !== undefined).length;
  return [
    '# The reference systems, fact by fact',
    '',
    'Five documents describe this app in five ways. Each has an example that deploys as it is, and this page has each fact of',
    'each document, where it is met, and what was found there. It is written by the test that deploys the examples to a real',
    'API server (`UPDATE=1 npm run test:cluster -- examples`); the test fails when a fact does not hold and when this page is',
    'not what was found.',
    '',
    `Of ${facts.length} facts ${count('field', 'no object', 'endpoints', 'variable')} are compared with live objects and ${count('file')} with files of this project.`,
    `The other ${count('chart')} are compared with the Helm chart that \`npm run chart\` makes of the example; ${others} of them find`,
    'something else in its place, and say why.',
    '',
    'Names are those before the hash suffix. A value of a secret is told by its length.',
    '',
    ...documents.map(({ example }) => tables.get(example) ?? ''),
  ].join('\n');
}
