import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  parseDocument,
  stringify,
  visit,
} from 'yaml';
import { messageOf, type Problem } from './errors.ts';

/** Where something was written. `file` as the user would type it from the project root, `line` from 1. */
export interface Place {
  file: string;
  line: number;
}

/** A hand-written YAML file with the places of everything in it. */
export interface YamlFile {
  file: string;
  /** Plain data; anchors, aliases and merge keys resolved. null for an empty file. */
  data: unknown;
  /** Where the deepest existing step of the path stands; line 1 for what is not there at all. */
  placeOf(path: readonly (string | number)[]): Place;
}

const syntaxMessages: Record<string, string> = {
  TAB_AS_INDENT: 'a tab is used for indentation; YAML takes spaces only',
  DUPLICATE_KEY: 'the same key stands twice in this map',
  MULTIPLE_DOCS: 'a second document begins here (---); the file has to be one document',
  BAD_ALIAS: 'an alias (*name) without its anchor (&name)',
};

/** The parser turns the key `<<` into a symbol of that name. */
function keyText(key: unknown): string {
  const value = isScalar(key) ? key.value : key;
  return typeof value === 'symbol' ? (value.description ?? '') : String(value);
}

interface Step {
  offset: number;
  value: unknown;
}

/** One step down, through aliases and merge keys (`<<`). */
function stepInto(document: Document, node: unknown, step: string | number, depth: number): Step | undefined {
  const target = isAlias(node) ? node.resolve(document) : node;
  if (isSeq(target)) {
    const item = target.items[Number(step)];
    return item === undefined ? undefined : { offset: (item as Node).range?.[0] ?? 0, value: item };
  }
  if (!isMap(target)) return undefined;
  const pair = target.items.find(({ key }) => keyText(key) === String(step));
  if (pair) return { offset: (pair.key as Node | null)?.range?.[0] ?? 0, value: pair.value };
  // A merge can only loop through an alias to its own map.
  if (depth > 10) return undefined;
  for (const { key, value } of target.items) {
    if (keyText(key) !== '<<') continue;
    const merged = isAlias(value) ? value.resolve(document) : value;
    const sources = isSeq(merged) ? merged.items : [merged];
    for (const source of sources) {
      const found = stepInto(document, source, step, depth + 1);
      if (found) return found;
    }
  }
  return undefined;
}

function offsetOf(document: Document, path: readonly (string | number)[]): number {
  let node: unknown = document.contents;
  let offset = document.contents?.range?.[0] ?? 0;
  for (const step of path) {
    const next = stepInto(document, node, step, 0);
    if (!next) break;
    offset = next.offset;
    node = next.value;
  }
  return offset;
}

/** Exactly one of `yaml` and `problems` has content: a file with a syntax error is not looked at further. */
export function readYaml(text: string, file: string): { yaml?: YamlFile; problems: Problem[] } {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, {
    lineCounter,
    merge: true,
    prettyErrors: false,
    // At `silent` a second document is dropped without an error.
    logLevel: 'error',
  });
  const lineAt = (offset: number): number => Math.max(1, lineCounter.linePos(offset).line);
  const problemAt = (line: number, message: string): Problem => ({
    severity: 'error',
    file,
    line,
    message: `not valid YAML: ${message}`,
  });
  if (document.errors.length > 0) {
    return {
      problems: document.errors.map((error) =>
        problemAt(lineAt(error.pos[0]), syntaxMessages[error.code] ?? error.message),
      ),
    };
  }
  try {
    const data: unknown = document.toJS({ maxAliasCount: 1000 });
    return {
      yaml: {
        file,
        data: data ?? null,
        placeOf: (path) => ({ file, line: lineAt(offsetOf(document, path)) }),
      },
      problems: [],
    };
  } catch (error) {
    return { problems: [problemAt(1, messageOf(error))] };
  }
}

/** One YAML document as plain data; on a syntax error the 1-based line, never the text of it. */
export function parseYaml(
  text: string,
): { value: unknown; error?: undefined } | { error: string; line: number; value?: undefined } {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, logLevel: 'error' });
  const [error] = document.errors;
  if (error) return { error: error.code, line: lineCounter.linePos(error.pos[0]).line };
  try {
    return { value: document.toJS({ maxAliasCount: 1000 }) };
  } catch {
    // An alias of nothing, or far too many of them.
    return { error: 'BAD_ALIAS', line: lineCounter.linePos(offsetOfBadAlias(document)).line };
  }
}

function offsetOfBadAlias(document: Document): number {
  let offset = 0;
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document) !== undefined) return undefined;
      offset = alias.range?.[0] ?? 0;
      return visit.BREAK;
    },
  });
  return offset;
}

/** Text that holds no manifests; names the document by number, never by content. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
}

/** A YAML stream as plain data, one entry a document. @throws ManifestError */
export function parseYamlStream(text: string): unknown[] {
  const documents = parseAllDocuments(text, { logLevel: 'error', uniqueKeys: false });
  if (!Array.isArray(documents)) return [];
  return documents.map((document, index) => {
    const [error] = document.errors;
    if (error) throw new ManifestError(`document ${index + 1} is not valid YAML (${error.code})`);
    try {
      return document.toJS({ maxAliasCount: 1000 }) as unknown;
    } catch {
      throw new Error(`document ${index + 1} is not valid YAML (BAD_ALIAS)`);
    }
  });
}

/** For people: block style, no line folding, keys in the order given. */
export function formatYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}
