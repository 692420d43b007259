import { plainYaml, scalar } from './chart-template.ts';
import type { Field } from './contract.ts';

/** JSON Schema, draft 7: what every version of Helm reads. */
type JsonSchema = Readonly<Record<string, unknown>>;

/** One value that a user of the chart may change; a list or a map counts as one where its schema says what is in it. */
export interface Setting {
  comment?: string;
  value: unknown;
  schema: JsonSchema;
  /** Whether it may be taken away with null. */
  optional?: boolean;
}

/** A map of settings. */
export interface Settings {
  comment?: string;
  settings: Record<string, Setting | Settings>;
  /** Settings without a default: they stand in values.yaml as a comment. */
  absent?: Record<string, Setting>;
  /** What Helm itself or a chart around this one sets: not in values.yaml. */
  unlisted?: Record<string, Setting>;
  /** What else may be in it; nothing unless given. */
  others?: JsonSchema;
}

const isSetting = (entry: Setting | Settings): entry is Setting => 'schema' in entry;

const longestLine = 100;

/** A comment in lines of at most about 100 characters. */
function commentLines(text: string | undefined, indent: number): string[] {
  const pad = `${' '.repeat(indent)}# `;
  return (text ?? '').split('\n').flatMap((paragraph) => {
    const lines: string[] = [];
    for (const word of paragraph.split(/\s+/).filter(Boolean)) {
      const last = lines.at(-1);
      if (last !== undefined && last.length + word.length < longestLine) lines.push(`${lines.pop()} ${word}`);
      else lines.push(`${pad}${word}`);
    }
    return lines;
  });
}

function valueLines({ comment, settings, absent = {} }: Settings, indent: number): string[] {
  const pad = ' '.repeat(indent);
  return [
    ...(indent === 0 ? [] : commentLines(comment, indent)),
    ...Object.entries(settings).flatMap(([key, entry]) => {
      const gap = indent === 0 ? [''] : [];
      if (isSetting(entry))
        return [...gap, ...commentLines(entry.comment, indent), plainYaml(key, entry.value, indent)];
      const head = [...gap, ...commentLines(entry.comment, indent)];
      const below = valueLines({ ...entry, comment: '' }, indent + 2);
      const isEmpty = Object.keys(entry.settings).length === 0;
      return [...head, `${pad}${scalar(key)}:${isEmpty ? ' {}' : ''}`, ...below];
    }),
    ...Object.entries(absent).flatMap(([key, entry]) => [
      ...commentLines(entry.comment, indent),
      `${pad}# ${plainYaml(key, entry.value)}`,
    ]),
  ];
}

/** The text of values.yaml. */
export const valuesYaml = (root: Settings): string =>
  `${[...commentLines(root.comment, 0), ...valueLines(root, 0)].join('\n')}\n`;

/** What Helm drops for a null is missed, unless the default says nothing either. */
function isNeeded(entry: Setting | Settings): boolean {
  if (!isSetting(entry)) return true;
  const { value, optional = false } = entry;
  return !optional && value !== '' && (typeof value !== 'object' || Object.keys(value ?? {}).length > 0);
}

function schemaOf(entry: Setting | Settings): JsonSchema {
  const described = entry.comment ? { description: entry.comment.replaceAll('\n', ' ') } : {};
  if (isSetting(entry)) return { ...described, ...entry.schema };
  const required = Object.keys(entry.settings).filter((key) => isNeeded(entry.settings[key]!));
  return {
    ...described,
    type: 'object',
    properties: Object.fromEntries(
      Object.entries({ ...entry.settings, ...entry.absent, ...entry.unlisted }).map(([key, value]) => [
        key,
        schemaOf(value),
      ]),
    ),
    ...(required.length > 0 ? { required } : {}),
    additionalProperties: entry.others ?? false,
  };
}

/** The text of values.schema.json. */
export function valuesSchema(root: Settings): string {
  const { description, ...schema } = schemaOf(root);
  return `${JSON.stringify({ $schema: 'http://json-schema.org/draft-07/schema#', title: description, ...schema }, null, 2)}\n`;
}

export const text: JsonSchema = { type: 'string' };
export const flag: JsonSchema = { type: 'boolean' };
export const anyMap: JsonSchema = { type: 'object' };
export const anyList: JsonSchema = { type: 'array', items: { type: 'object' } };
export const texts: JsonSchema = { type: 'object', additionalProperties: text };
export const whole = (minimum: number, maximum?: number): JsonSchema => ({
  type: 'integer',
  minimum,
  ...(maximum === undefined ? {} : { maximum }),
});
export const oneOf = (...values: readonly string[]): JsonSchema => ({ type: 'string', enum: values });

const nameText = '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*';
/** The name of an object. */
export const objectName: JsonSchema = { type: 'string', pattern: `^${nameText}$`, maxLength: 253 };
/** The same, or nothing. */
export const maybeName: JsonSchema = { type: 'string', pattern: `^(${nameText})?$`, maxLength: 253 };

/** Environment variables; the template sets the taken ones from elsewhere, so that a value would mean nothing. */
export const variables = (given: readonly string[], taken: readonly string[]): JsonSchema => ({
  type: 'object',
  properties: Object.fromEntries([
    ...given.map((name) => [name, text] as const),
    ...taken.map((name) => [name, false] as const),
  ]),
  patternProperties: { '^[A-Za-z_.-][\\w.-]*$': text },
  additionalProperties: false,
});

const namePart = '[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*';
/** Of an image, without tag and digest; it may begin with a registry. */
export const repository: JsonSchema = {
  type: 'string',
  pattern: `^([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?/)?${namePart}(/${namePart})*$`,
};

const quantity: JsonSchema = {
  type: ['string', 'number'],
  pattern: '^[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([munkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$',
  minimum: 0,
};
const quantities: JsonSchema = { type: 'object', additionalProperties: quantity };
/** ResourceRequirements of a container. */
export const resources: JsonSchema = {
  type: 'object',
  properties: { requests: quantities, limits: quantities, claims: anyList },
  additionalProperties: false,
};

/**
 * What Go's regular expressions (RE2), by which Helm checks a schema, read as JavaScript does.
 * https://github.com/google/re2/wiki/Syntax
 */
export const isPortable = (pattern: string): boolean =>
  !/\(\?(?!:)|\\(?![dDwWsSbBnrtfv]|[^A-Za-z0-9])|\[\^?\]|\{\d{4,}|,\d{4,}\}/.test(pattern);

const origin = '(\\*|[a-z][a-z0-9+.-]*://[^\\s/?#@\\\\,A-Z]+)';
const jsonText = '"([^"\\\\]|\\\\.)+"';
const listOf = (item: string): string => `${item}(\\s*,\\s*${item})*`;

/** The formats of the contract as far as a pattern can tell them. */
const formatPatterns: Readonly<Record<string, string>> = {
  'http-url': '^[hH][tT][tT][pP][sS]?://[^\\s/?#\\\\][^\\s\\\\]*$',
  'origin-list': `^\\s*(${listOf(origin)}|\\[\\s*(${listOf(jsonText)})?\\s*\\])\\s*$`,
  port: '^([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$',
  integer: '^(0|-?[1-9][0-9]*)$',
  boolean:
    '^([tT][rR][uU][eE]|[fF][aA][lL][sS][eE]|1|0|[yY]([eE][sS])?|[nN][oO]?|[oO][nN]|[oO][fF][fF]|[tT]|[fF])$',
};

/** What the contract asks of a value that anybody may read. */
export function schemaOfField(field: Field): JsonSchema {
  const { oneOf: choices, minLength, pattern, format, optional } = field;
  const patterns = [
    ...(pattern !== undefined && isPortable(pattern) ? [pattern] : []),
    ...(format !== undefined && formatPatterns[format] ? [formatPatterns[format]] : []),
  ];
  const rules = {
    ...(choices ? { enum: choices } : {}),
    ...(minLength === undefined ? {} : { minLength }),
    ...(patterns.length === 1 ? { pattern: patterns[0] } : {}),
    ...(patterns.length > 1 ? { allOf: patterns.map((one) => ({ pattern: one })) } : {}),
  };
  if (!optional) return { type: 'string', minLength: 1, ...rules };
  return Object.keys(rules).length === 0 ? text : { type: 'string', anyOf: [{ maxLength: 0 }, rules] };
}

/** Of a secret only type and length: Helm prints a value that does not match anything else. */
export const schemaOfSecret = (minLength = 0): JsonSchema =>
  minLength > 1 ? { type: 'string', anyOf: [{ maxLength: 0 }, { minLength }] } : text;
