import { isRecord } from './manifest.ts';

/** An action of a Go template that yields one scalar; without the braces. */
export class Expression {
  readonly action: string;
  constructor(action: string) {
    this.action = action;
  }
}

/** An action that yields several lines: below the key it is the value of, or in place of an entry when `inline`. */
export class Lines {
  readonly action: string;
  readonly inline: boolean;
  constructor(action: string, inline = false) {
    this.action = action;
    this.inline = inline;
  }
}

/** An entry of a map or a list inside of `if`, `with` or `range`. */
export class Guard {
  readonly head: string;
  readonly value: unknown;
  constructor(head: string, value: unknown) {
    this.head = head;
    this.value = value;
  }
}

/** Words that YAML 1.1, which Helm and kubectl read, takes for something else than text; those of YAML 1.2 too. */
const reserved = /^(?:y|n|yes|no|on|off|true|false|null)$/i;
/** Neither a number nor a date in any YAML, whatever follows. */
const plainText = /^[A-Za-z/](?:[\w./@+,-]| (?=[\w(/]))*(?::(?=[\w/])(?:[\w./@+,-]| (?=[\w(/]))*)*$/;
const plainQuantity = /^[1-9]\d*(?:m|[KMGTP]i)$/;
/** What a block scalar carries unchanged for every reader: printable, no blanks at the end of a line. */
const blockText = /^(?! )(?!\n)(?:[\x21-\x7e\u00a1-\u2027\u202a-\ud7ff\ue000-\ufefe]| (?![\n]|$)|\n)+$/;

/** One line, in double quotes: a form that JSON and every YAML read alike. */
function quoted(text: string): string {
  return JSON.stringify(text).replace(/[\u007f-\u00a0\u2028\u2029\ufffe\uffff]|\p{Cf}/gu, (character) =>
    character.length > 1 ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

const isPlain = (text: string): boolean =>
  (plainText.test(text) && !reserved.test(text)) || plainQuantity.test(text);

/** A scalar on one line. Text is quoted more often than the `yaml` package does: it writes for YAML 1.2 alone. */
export function scalar(value: unknown): string {
  if (typeof value === 'string') return isPlain(value) ? value : quoted(value);
  return value === null || value === undefined ? 'null' : String(value);
}

/** `key:` with a text of several lines, or of one. */
function textEntry(key: string, text: string, pad: string): string[] {
  if (!text.includes('\n') || !blockText.test(text)) return [`${pad}${key}: ${scalar(text)}`];
  const body = text.replace(/\n+$/, '');
  const ends = text.length - body.length;
  const chomping = ['-', '', '+'][Math.min(ends, 2)];
  const lines = [...body.split('\n'), ...Array<string>(Math.max(0, ends - 1)).fill('')];
  return [`${pad}${key}: |${chomping}`, ...lines.map((line) => (line === '' ? '' : `${pad}  ${line}`))];
}

interface Writing {
  /** What is done to text that is no action. */
  literal(line: string): string;
}

function entryLines(key: string, value: unknown, indent: number, writing: Writing): string[] {
  const pad = ' '.repeat(indent);
  const name = scalar(key);
  if (value instanceof Guard)
    return [
      `${pad}{{- ${value.head} }}`,
      ...entryLines(key, value.value, indent, writing),
      `${pad}{{- end }}`,
    ];
  if (value instanceof Expression) return [`${pad}${writing.literal(name)}: {{ ${value.action} }}`];
  if (value instanceof Lines)
    return value.inline
      ? [`${pad}{{- ${value.action} | nindent ${indent} }}`]
      : [`${pad}${writing.literal(name)}:`, `${pad}  {{- ${value.action} | nindent ${indent + 2} }}`];
  if (typeof value === 'string') return textEntry(name, value, pad).map(writing.literal);
  if (Array.isArray(value))
    return value.length === 0
      ? [writing.literal(`${pad}${name}: []`)]
      : [writing.literal(`${pad}${name}:`), ...listLines(value, indent + 2, writing)];
  if (isRecord(value))
    return Object.keys(value).length === 0
      ? [writing.literal(`${pad}${name}: {}`)]
      : [writing.literal(`${pad}${name}:`), ...mapLines(value, indent + 2, writing)];
  return [writing.literal(`${pad}${name}: ${scalar(value)}`)];
}

const mapLines = (map: Readonly<Record<string, unknown>>, indent: number, writing: Writing): string[] =>
  Object.entries(map).flatMap(([key, value]) => entryLines(key, value, indent, writing));

/** The lines of an item, the first one behind its dash. */
function dashed(lines: readonly string[], indent: number): string[] {
  const pad = ' '.repeat(indent);
  const [first = '', ...rest] = lines;
  // An action on a line of its own cannot stand behind a dash that belongs to what follows it.
  if (first.trimStart().startsWith('{{-')) return [`${pad}-`, ...lines];
  return [`${pad}- ${first.slice(indent + 2)}`, ...rest];
}

function itemLines(item: unknown, indent: number, writing: Writing): string[] {
  const pad = ' '.repeat(indent);
  if (item instanceof Guard) {
    const items = Array.isArray(item.value) ? item.value : [item.value];
    return [`${pad}{{- ${item.head} }}`, ...listLines(items, indent, writing), `${pad}{{- end }}`];
  }
  if (item instanceof Lines) return [`${pad}{{- ${item.action} | nindent ${indent} }}`];
  if (item instanceof Expression) return [`${pad}- {{ ${item.action} }}`];
  if (Array.isArray(item) && item.length > 0) return dashed(listLines(item, indent + 2, writing), indent);
  if (isRecord(item) && Object.keys(item).length > 0)
    return dashed(mapLines(item, indent + 2, writing), indent);
  if (Array.isArray(item)) return [`${pad}- []`];
  if (isRecord(item)) return [`${pad}- {}`];
  return [writing.literal(`${pad}- ${scalar(item)}`)];
}

const listLines = (items: readonly unknown[], indent: number, writing: Writing): string[] =>
  items.flatMap((item) => itemLines(item, indent, writing));

/** Text that a Go template prints as it is. */
export const escaped = (text: string): string => text.replaceAll('{{', '{{ "{{" }}');

/** An object with actions in it, as the text of a template: everything else is literal. */
export function templateOf(object: Readonly<Record<string, unknown>>): string {
  return `${mapLines(object, 0, { literal: escaped }).join('\n')}\n`;
}

/** Plain data as a document of its own. */
export const documentOf = (data: Readonly<Record<string, unknown>>): string =>
  `${mapLines(data, 0, { literal: (line) => line }).join('\n')}\n`;

/** Plain data as YAML that reads the same by YAML 1.1 and 1.2, from this indentation on. */
export function plainYaml(key: string, value: unknown, indent = 0): string {
  return entryLines(key, value, indent, { literal: (line) => line }).join('\n');
}

/** How a template reaches a value: `.Values.a.b`, or with `index` where a name is no identifier. */
export function valueAt(steps: readonly string[], from = '$.Values'): string {
  return steps.every((step) => /^[A-Za-z_]\w*$/.test(step))
    ? [from, ...steps].join('.')
    : `(index ${from} ${steps.map((step) => JSON.stringify(step)).join(' ')})`;
}
