import path from 'node:path';
import deepmerge from 'deepmerge';
import { type Problem, throwOnErrors } from './errors.ts';
import { checkRules, type Rules } from './formats.ts';
import { nearest } from './nearest.ts';
import { diskTreeFiles, readLayers, resolveOverlay, type TreeFiles } from './overlay.ts';
import { checkSchema, formatNames, type SchemaFault, type StrataFile, strataSchema } from './schema.ts';
import { type Place, readYaml, type YamlFile } from './yaml.ts';

export type { Place } from './yaml.ts';

export interface ContractObject {
  kind: 'ConfigMap' | 'Secret';
  name: string;
  place: Place;
}

/** One data key of one object. */
export interface Field extends Rules {
  object: { kind: 'ConfigMap' | 'Secret'; name: string };
  dataKey: string;
  envKey: string;
  secret: boolean;
  optional: boolean;
  /** Never for a secret. */
  default?: string;
  description?: string;
  generate: boolean;
  /** What stands in for a secret is taken for one. */
  allowsPlaceholder?: true;
  buildTime: boolean;
  /** Where the field was last named; `defaultPlace` where its default was last set. */
  place: Place;
  defaultPlace?: Place;
}

/** What tells the one cluster that an overlay may go to; at least one of the two. */
export interface ClusterPin {
  /** Of Namespace/kube-system. */
  uid?: string;
  /** SHA-256 of the CA certificate, 64 hexadecimal digits in lower case. */
  ca?: string;
}

/** The merged env contract of one overlay. */
export interface Contract {
  /** ConfigMaps first, otherwise in the order of the files. */
  fields: Field[];
  /** Objects without fields too: they are generated empty. */
  objects: ContractObject[];
  /** Exact names, or globs with `*` only. */
  contexts: string[];
  contextsPlace: Place | undefined;
  cluster?: { pin: ClusterPin; place: Place };
  /** Names of objects that the manifests refer to and that something else makes. */
  external: string[];
  /** The strata.yaml files, in the order of the merge. */
  files: string[];
}

/** How many characters `--init` generates; base64url, 6 bits each. */
export const generatedLength = 48;

const sections = { configMaps: 'ConfigMap', secrets: 'Secret' } as const;
type Section = keyof typeof sections;

interface Source {
  yaml: YamlFile;
  data: StrataFile;
}

interface FieldRecord {
  [property: string]: unknown;
}

/** Keys are `section/object` and `section/object/data key`: deepmerge drops names like `constructor` on their own. */
interface Merged {
  objects: Record<string, object>;
  fields: Record<string, FieldRecord>;
  contexts?: string[];
  cluster?: { uid?: string | null; ca?: string | null } | null;
  external?: string[];
}

const topLevel = Object.keys(strataSchema.properties);
const propertiesOf = (section: Section): string[] =>
  Object.keys(strataSchema.properties[section].additionalProperties.additionalProperties.properties);

const misplaced: Record<string, string> = {
  'secrets.default': 'a secret has no default: it would stand in a tracked file for everybody to read',
  'secrets.buildTime':
    'a secret cannot be baked into an image: it would be readable by everybody who has the image',
  'configMaps.generate': 'only secrets are generated; a ConfigMap can be read by anybody',
  'configMaps.placeholder': 'only secrets are looked at for placeholders',
};

const misplacedHints: Record<string, string> = {
  'secrets.default':
    'take it out, put the value into .env, and replace it where it was in use: it may be known',
};

const expected: Record<string, string> = {
  env: 'an env key: letters, digits and _, not beginning with a digit',
  default: 'a text; numbers, true and false need quotes',
  optional: 'true or false',
  format: `one of ${formatNames.join(', ')}`,
  oneOf: 'a list of different texts; numbers, true and false need quotes',
  pattern: 'a text',
  minLength: 'a whole number from 1',
  description: 'a text',
  generate: 'true or false',
  placeholder: 'allow or refuse',
  buildTime: 'true or false',
};

function unknownFieldMessage(section: string, name: string, candidates: readonly string[]): string {
  const reason = misplaced[`${section}.${name}`];
  if (reason) return reason;
  const meant = nearest(name, candidates);
  return `unknown field${meant ? `, did you mean ${meant}?` : `; known here: ${candidates.join(', ')}`}`;
}

function nameMessage(depth: number): string {
  return depth === 2
    ? 'is no object name: expected at most 242 of a-z, 0-9, - and ., with a letter or digit at both ends of each part'
    : 'is no data key: expected at most 253 of A-Z, a-z, 0-9, -, _ and .';
}

function shapeMessage(section: string, depth: number): string {
  if (depth === 0) return `expected a map with ${topLevel.join(', ')}`;
  if (section === 'contexts') return 'expected a list of different context names';
  if (section === 'external') return 'expected a list of different objects, each as Kind/name';
  if (section === 'cluster') return 'expected a map with uid, ca or both';
  if (depth === 1) return 'expected a map of object names';
  if (depth === 2) return 'expected a map of data keys';
  return section === 'secrets'
    ? 'expected the rules of the field, or nothing after the colon; the value itself belongs in .env'
    : 'expected the rules of the field, like { default: "…" }, or nothing after the colon';
}

const fieldsOf = (section: string): string[] =>
  section === 'cluster'
    ? Object.keys(strataSchema.properties.cluster.properties)
    : propertiesOf(section as Section);

const expectedOfCluster: Record<string, string> = {
  uid: 'expected the uid of the kube-system namespace, 36 characters like 218fc5a9-a5f1-4b54-aa05-46717d0ab26d',
  ca: 'expected the SHA-256 fingerprint of a certificate, 64 hexadecimal digits with or without colons',
};

function faultMessage(fault: SchemaFault, data: unknown): string {
  const { path: steps, keyword } = fault;
  const [section = '', field = '', , property = ''] = steps;
  if (section === 'cluster' && keyword !== 'false' && field in expectedOfCluster)
    return expectedOfCluster[field]!;
  if (keyword === 'false') {
    return unknownFieldMessage(section, steps.at(-1)!, steps.length === 1 ? topLevel : fieldsOf(section));
  }
  if (steps.length > 3 && property in expected) {
    const found = property === 'format' ? atPath(data, steps) : undefined;
    const meant = typeof found === 'string' ? nearest(found, formatNames) : undefined;
    return `expected ${expected[property]}${meant ? `; did you mean ${meant}?` : ''}`;
  }
  if (keyword === 'pattern' || keyword === 'maxLength')
    return nameMessage(section === 'external' ? 2 : steps.length);
  return shapeMessage(section, steps.length);
}

function atPath(data: unknown, steps: readonly string[]): unknown {
  return steps.reduce<unknown>((value, step) => (value as Record<string, unknown> | undefined)?.[step], data);
}

function faultProblem(yaml: YamlFile, fault: SchemaFault): Problem {
  const hint = misplacedHints[`${fault.path[0]}.${fault.path[3]}`];
  return {
    severity: 'error',
    ...yaml.placeOf(fault.path),
    ...(fault.path.length > 0 ? { subject: fault.path.join('.') } : {}),
    message: faultMessage(fault, yaml.data),
    ...(fault.keyword === 'false' && hint ? { hint } : {}),
  };
}

/** The file without what is wrong in it, so that the rest can still be checked in the same run. */
function withoutFaults(data: unknown, faults: readonly SchemaFault[]): StrataFile {
  if (faults.some(({ path: steps }) => steps.length === 0)) return {};
  const copy = structuredClone(data);
  for (const { path: steps } of faults) {
    const parent = atPath(copy, steps.slice(0, -1));
    if (Array.isArray(parent))
      delete (atPath(copy, steps.slice(0, -2)) as Record<string, unknown>)?.[steps.at(-2)!];
    else if (typeof parent === 'object' && parent !== null)
      delete (parent as Record<string, unknown>)[steps.at(-1)!];
  }
  return copy as StrataFile;
}

function readSource(text: string, file: string): { source?: Source; problems: Problem[] } {
  const { yaml, problems } = readYaml(text, file);
  if (!yaml) return { problems };
  const faults = checkSchema(yaml.data);
  const distinct = new Map(faults.map((fault) => [fault.path.join('\n'), fault]));
  return {
    source: { yaml, data: withoutFaults(yaml.data, faults) },
    problems: [...distinct.values()].map((fault) => faultProblem(yaml, fault)),
  };
}

const entriesOf = <T>(map: Readonly<Record<string, T>> | null | undefined): [string, T][] =>
  Object.entries(map ?? {});

/** Nothing after the colon says nothing: it must not wipe out what an earlier file said. */
function flatten(data: StrataFile): Merged {
  const result: Merged = { objects: {}, fields: {} };
  for (const section of Object.keys(sections) as Section[]) {
    for (const [name, fields] of entriesOf(data?.[section])) {
      result.objects[`${section}/${name}`] = {};
      for (const [key, record] of entriesOf(fields))
        result.fields[`${section}/${name}/${key}`] = { ...record };
    }
  }
  if (data?.contexts) result.contexts = [...data.contexts];
  if (data?.cluster !== undefined) result.cluster = data.cluster && { ...data.cluster };
  if (data?.external) result.external = [...data.external];
  return result;
}

function merge(sources: readonly Source[]): Merged {
  return deepmerge.all<Merged>([{ objects: {}, fields: {} }, ...sources.map(({ data }) => flatten(data))], {
    arrayMerge: (_, later: unknown[]) => later,
  });
}

/** Where the last file that has this path has it. */
function lastPlace(sources: readonly Source[], steps: readonly string[]): Place | undefined {
  const source = sources.findLast(({ data }) => {
    const parent = atPath(data, steps.slice(0, -1));
    return typeof parent === 'object' && parent !== null && Object.hasOwn(parent, steps.at(-1)!);
  });
  return source?.yaml.placeOf(steps);
}

/** A property set to null takes the inherited one away. */
const present = <T>(record: FieldRecord, name: string): Record<string, T> =>
  record[name] === undefined || record[name] === null ? {} : { [name]: record[name] as T };

function fieldFrom(
  sources: readonly Source[],
  section: Section,
  name: string,
  dataKey: string,
  record: FieldRecord,
): Field {
  const steps = [section, name, dataKey];
  const defaultPlace = record.default == null ? undefined : lastPlace(sources, [...steps, 'default']);
  return {
    object: { kind: sections[section], name },
    dataKey,
    envKey: (record.env as string | undefined) ?? dataKey,
    secret: section === 'secrets',
    optional: record.optional === true,
    ...present<string>(record, 'default'),
    ...present<string>(record, 'format'),
    ...present<string[]>(record, 'oneOf'),
    ...present<string>(record, 'pattern'),
    ...present<number>(record, 'minLength'),
    ...present<string>(record, 'description'),
    generate: record.generate === true,
    ...(record.placeholder === 'allow' ? { allowsPlaceholder: true } : {}),
    buildTime: record.buildTime === true,
    place: lastPlace(sources, steps)!,
    ...(defaultPlace ? { defaultPlace } : {}),
  } as Field;
}

/** The data keys of each `section/object`: none of the three parts holds a slash. */
function groupByObject(fields: Merged['fields']): Map<string, [dataKey: string, FieldRecord][]> {
  const groups = new Map<string, [string, FieldRecord][]>();
  for (const [key, record] of Object.entries(fields)) {
    const border = key.lastIndexOf('/');
    const object = key.slice(0, border);
    if (!groups.has(object)) groups.set(object, []);
    groups.get(object)!.push([key.slice(border + 1), record]);
  }
  return groups;
}

function clusterFrom(sources: readonly Source[], merged: Merged): Pick<Contract, 'cluster'> {
  const { uid, ca } = merged.cluster ?? {};
  if (!uid && !ca) return {};
  const pin = { ...(uid ? { uid } : {}), ...(ca ? { ca: ca.replaceAll(':', '').toLowerCase() } : {}) };
  return { cluster: { pin, place: lastPlace(sources, ['cluster'])! } };
}

function contractFrom(sources: readonly Source[]): Contract {
  const merged = merge(sources);
  const objects: ContractObject[] = [];
  const fields: Field[] = [];
  const recordsOf = groupByObject(merged.fields);
  for (const section of Object.keys(sections) as Section[]) {
    for (const object of Object.keys(merged.objects).filter((key) => key.startsWith(`${section}/`))) {
      const name = object.slice(section.length + 1);
      objects.push({ kind: sections[section], name, place: lastPlace(sources, [section, name])! });
      for (const [dataKey, record] of recordsOf.get(object) ?? [])
        fields.push(fieldFrom(sources, section, name, dataKey, record));
    }
  }
  return {
    fields,
    objects,
    contexts: merged.contexts ?? [],
    contextsPlace: lastPlace(sources, ['contexts']),
    ...clusterFrom(sources, merged),
    external: merged.external ?? [],
    files: sources.map(({ yaml }) => yaml.file),
  };
}

/** `backend-config[ENVIRONMENT]`: where a value goes. */
export const destinationOf = (field: Pick<Field, 'object' | 'dataKey'>): string =>
  `${field.object.name}[${field.dataKey}]`;

const written = (place: Place): string => `${place.file}:${place.line}`;

const fieldError = (field: Field, message: string, hint?: string, place: Place = field.place): Problem => ({
  severity: 'error',
  ...place,
  subject: destinationOf(field),
  message,
  ...(hint ? { hint } : {}),
});

function isPattern(pattern: string): boolean {
  try {
    new RegExp(pattern, 'u');
    return true;
  } catch {
    return false;
  }
}

function checkEnvKey(field: Field): Problem[] {
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(field.envKey)) return [];
  const name = field.dataKey
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, '_')
    .replace(/^(\d)/, '_$1');
  return [
    fieldError(field, 'this data key is no env key, so the field has to name one', `add \`env: ${name}\``),
  ];
}

function checkGenerate(field: Field): Problem[] {
  if (!field.generate) return [];
  const made = `generate makes ${generatedLength} characters of A-Z, a-z, 0-9, - and _`;
  if (field.oneOf) return [fieldError(field, `generate and oneOf exclude each other`)];
  if (field.format) return [fieldError(field, `${made}, which is not of format ${field.format}`)];
  if ((field.minLength ?? 0) > generatedLength) return [fieldError(field, `${made}, fewer than minLength`)];
  return [];
}

function checkField(field: Field): Problem[] {
  const problems = [...checkEnvKey(field), ...checkGenerate(field)];
  if (field.pattern !== undefined && !isPattern(field.pattern)) {
    problems.push(fieldError(field, 'pattern is no regular expression of JavaScript (flag u)'));
    return problems;
  }
  if (field.default === undefined) return problems;
  const place = field.defaultPlace ?? field.place;
  if (field.optional) {
    problems.push(
      fieldError(
        field,
        'default and optional exclude each other: with a default it is never absent',
        'take one away, or set `optional: false` or `default: null` in the later file',
        place,
      ),
    );
  }
  if (field.default === '') {
    problems.push(
      fieldError(
        field,
        'an empty default says nothing',
        'write `optional: true` for a value that may be absent',
        place,
      ),
    );
    return problems;
  }
  const { errors } = checkRules(field, field.default);
  problems.push(
    ...errors.map((error) =>
      fieldError(field, `the default breaks the field's own rule: ${error}`, undefined, place),
    ),
  );
  return problems;
}

function checkSecrecy(sharing: readonly Field[]): Problem[] {
  const closed = sharing.find((field) => field.secret);
  if (!closed) return [];
  return sharing
    .filter((field) => !field.secret)
    .map((open) =>
      fieldError(
        open,
        `${open.envKey} is a secret in ${destinationOf(closed)} (${written(closed.place)}), so it cannot go into a ConfigMap`,
        'move it to a Secret, or give it an env key of its own with `env:`',
      ),
    );
}

function contradiction(first: Field, second: Field): string | undefined {
  if (first.format && second.format && first.format !== second.format) return 'the two formats differ';
  if (first.default !== undefined && second.default !== undefined && first.default !== second.default) {
    return 'the two defaults differ';
  }
  const values = new Set(first.oneOf);
  const shared = second.oneOf?.some((value) => values.has(value));
  return first.oneOf && second.oneOf && !shared ? 'no value is in both oneOf lists' : undefined;
}

function checkAgreement(sharing: readonly Field[]): Problem[] {
  const [first, ...others] = sharing;
  return others.flatMap((field) => {
    const reason = contradiction(first!, field);
    if (!reason) return [];
    return fieldError(
      field,
      `${field.envKey} also feeds ${destinationOf(first!)} (${written(first!.place)}), and ${reason}`,
      'make both agree, or give one an env key of its own with `env:`',
    );
  });
}

/** The fields by the env key that feeds them. */
export function groupByEnvKey(fields: readonly Field[]): Map<string, Field[]> {
  const groups = new Map<string, Field[]>();
  for (const field of fields) {
    if (!groups.has(field.envKey)) groups.set(field.envKey, []);
    groups.get(field.envKey)!.push(field);
  }
  return groups;
}

function checkSharedKeys(fields: readonly Field[]): Problem[] {
  return [...groupByEnvKey(fields).values()].flatMap((sharing) => [
    ...checkSecrecy(sharing),
    ...checkAgreement(sharing),
  ]);
}

function checkContexts(contract: Contract, sources: readonly Source[]): Problem[] {
  const source = sources.findLast(({ data }) => data?.contexts);
  return contract.contexts.flatMap((context, index) => {
    const problem = (message: string, hint: string): Problem[] => [
      { severity: 'error', ...source!.yaml.placeOf(['contexts', index]), subject: 'contexts', message, hint },
    ];
    if (/^\*+$/.test(context)) {
      return problem('this glob matches every cluster', 'name the contexts, or a prefix like team-dev-*');
    }
    if (/[?[\]{}!\s\p{Cc}]/u.test(context)) {
      return problem(
        'only * stands for other characters; ? [ ] { } ! and white space are not allowed',
        'kubectl config get-contexts -o name',
      );
    }
    return [];
  });
}

/**
 * Merges the texts of strata.yaml files, earlier ones first. Pure.
 * With errors among the problems the contract is what is left without the faulty parts.
 */
export function buildContract(files: readonly { file: string; text: string }[]): {
  contract: Contract;
  problems: Problem[];
} {
  const read = files.map(({ file, text }) => readSource(text, file));
  const sources = read.flatMap(({ source }) => source ?? []);
  const contract = contractFrom(sources);
  const problems = [
    ...read.flatMap((one) => one.problems),
    ...contract.fields.flatMap(checkField),
    ...checkSharedKeys(contract.fields),
    ...checkContexts(contract, sources),
  ];
  return { contract, problems };
}

/** The strata.yaml files along the resources and components of an overlay's folder, in the order of the merge. */
async function readContractFiles(
  files: TreeFiles,
  folder: string,
): Promise<{ texts: { file: string; text: string }[]; problems: Problem[] }> {
  const texts = [];
  const problems: Problem[] = [];
  for (const layer of await readLayers(files, folder)) {
    const file = path.posix.join(layer.folder, 'strata.yaml');
    const text = await files.read(file);
    if (text !== undefined) texts.push({ file, text });
    const other = path.posix.join(layer.folder, 'strata.yml');
    if ((await files.kindOf(other)) === undefined) continue;
    problems.push({
      severity: 'error',
      file: other,
      message: 'is not read: the name is strata.yaml',
      hint: `git mv ${other} ${file}`,
    });
  }
  return { texts, problems };
}

/** The contract of an overlay folder with everything that is wrong with it. @throws StrataError TREE_INVALID, FILE_UNREADABLE */
export async function readContract(
  files: TreeFiles,
  folder: string,
): Promise<{ contract: Contract; problems: Problem[] }> {
  const { texts, problems } = await readContractFiles(files, folder);
  const built = buildContract(texts);
  return { contract: built.contract, problems: [...problems, ...built.problems] };
}

/**
 * The contract of an overlay, by name.
 * @throws StrataError OVERLAY_NOT_FOUND, TREE_INVALID, FILE_UNREADABLE, CONTRACT_INVALID with all problems
 */
export async function loadContract(root: string, overlay: string): Promise<Contract> {
  const folder = await resolveOverlay(root, overlay);
  const { contract, problems } = await readContract(diskTreeFiles(root), folder);
  throwOnErrors('CONTRACT_INVALID', `the env contract of ${overlay} is not valid`, problems);
  return contract;
}
