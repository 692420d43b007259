import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isCollection,
  isMap,
  isPair,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  type Pair,
  Parser,
  type Scalar,
  stringify,
  type YAMLMap,
} from 'yaml';
import type { Problem } from './errors.ts';

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
  TOO_DEEP: 'more than 200 levels inside each other',
  TAG: 'a tag that makes something else than a text, a number, a list or a map',
  MERGE: 'what a merge key (<<) takes in has to be a map',
};

/** The package recurses, and at the end of the stack V8 ends the process instead of throwing. */
const deepest = 200;
/** Each alias is looked for among all anchors. */
const mostAliases = 1000;
/** What all aliases together may stand for, in values: whoever walks the data walks each of them. */
const mostRepeated = 100_000;

const circleMessage = 'an alias (*name) inside of what it stands for (&name)';
const excessMessage =
  'Excessive alias count: more than 1,000 of them, or they stand for more than 100,000 values';

class YamlFault extends Error {
  readonly code: string;
  readonly offset: number;

  constructor(code: string, offset: number, message = syntaxMessages[code] ?? code) {
    super(message);
    this.code = code;
    this.offset = offset;
  }
}

interface Reading {
  /** `<<` takes in what it names. */
  merge: boolean;
  uniqueKeys: boolean;
}

interface Composed {
  document: Document.Parsed;
  /** In the order of the text. */
  faults: YamlFault[];
  /** What each alias stands for. */
  targets: ReadonlyMap<unknown, Node>;
}

/**
 * What `Parser.parse` gives, read lexeme by lexeme to see how deep it is: when many levels end at once, the parser goes
 * up through them in as many calls inside each other.
 * @throws YamlFault TOO_DEEP
 */
function tokensOf(text: string, lineCounter?: LineCounter): CST.Token[] {
  const parser = new Parser(lineCounter?.addNewLine);
  const tokens: CST.Token[] = [];
  lineCounter?.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    tokens.push(...parser.next(lexeme));
    if (parser.stack.length > deepest) throw new YamlFault('TOO_DEEP', parser.offset);
  }
  tokens.push(...parser.end());
  return tokens;
}

/** One entry a document; none for a text without any, unless `force`. @throws YamlFault TOO_DEEP */
function compose(text: string, reading: Reading, lineCounter?: LineCounter, force = true): Composed[] {
  const tokens = tokensOf(text, lineCounter);
  const composer = new Composer({
    merge: reading.merge,
    // The package compares each key with each other; `inspect` does not.
    uniqueKeys: false,
    logLevel: 'error',
  });
  const documents = composer.compose(tokens, force, text.length) as Iterable<Document.Parsed>;
  return Array.from(documents, (document) => inspect(document, reading));
}

/** Finds keys that stand twice, and aliases of nothing, of what they stand in, or of too much. */
function inspect(document: Document.Parsed, { uniqueKeys }: Reading): Composed {
  const faults = document.errors.map(
    ({ code, pos, message }) => new YamlFault(code, pos[0], syntaxMessages[code] ?? message),
  );
  const targets = new Map<unknown, Node>();
  const anchors = new Map<string, Node>();
  const sizes = new Map<unknown, number>();
  let [names, repeated] = [0, 0];
  const count = (node: Node, size: number): void => {
    names++;
    repeated += size;
    if (names > mostAliases || repeated > mostRepeated)
      throw new YamlFault('BAD_ALIAS', node.range?.[0] ?? 0, excessMessage);
  };
  const sizeOf = (node: unknown): number => {
    if (isPair(node)) return sizeOf(node.key) + sizeOf(node.value);
    if (isAlias(node)) {
      const target = anchors.get(node.source);
      const size = sizes.get(target);
      // Without a size it is still open: the alias stands in what it stands for.
      if (target === undefined || size === undefined) {
        faults.push(new YamlFault('BAD_ALIAS', node.range?.[0] ?? 0, target && circleMessage));
        return 1;
      }
      targets.set(node, target);
      count(node, size);
      return size;
    }
    const anchored = (isScalar(node) || isCollection(node)) && node.anchor ? node : undefined;
    if (anchored) {
      count(anchored, 0);
      anchors.set(anchored.anchor!, anchored);
    }
    if (isScalar(node)) keepOverflow(node);
    if (isStrange(node)) faults.push(new YamlFault('TAG', (node as Node).range?.[0] ?? 0));
    let size = 1;
    if (isCollection(node)) for (const item of node.items) size += sizeOf(item);
    if (uniqueKeys && isMap(node)) faults.push(...duplicatesIn(node));
    if (anchored) sizes.set(anchored, size);
    return size;
  };
  if (faults.length > 0) return { document, faults, targets };
  try {
    sizeOf(document.contents);
  } catch (error) {
    if (!(error instanceof YamlFault)) throw error;
    faults.push(error);
  }
  return { document, faults: faults.sort((one, other) => one.offset - other.offset), targets };
}

/**
 * A number that is too large stays text, as it does for Kustomize, kubectl and the API server: Go's parser gives up
 * where JavaScript says Infinity.
 */
function keepOverflow(node: Scalar): void {
  const { value, source = '' } = node;
  if (typeof value === 'number' && !Number.isFinite(value) && /\d/.test(source)) node.value = source;
}

/** `!!binary`, `!!timestamp`, `!!set` and the like make objects of other classes than plain data has. */
function isStrange(node: unknown): boolean {
  if (isScalar(node)) return typeof node.value === 'object' && node.value !== null;
  return isCollection(node) && /:(?:set|omap|pairs)$/.test(node.tag ?? '');
}

function duplicatesIn(map: YAMLMap): YamlFault[] {
  const seen = new Set<unknown>();
  return map.items.flatMap(({ key }) => {
    if (!isScalar(key)) return [];
    const isTwice = seen.has(key.value);
    seen.add(key.value);
    return isTwice ? [new YamlFault('DUPLICATE_KEY', key.range?.[0] ?? 0)] : [];
  });
}

/** @throws YamlFault: all but the merge keys was looked at before */
function dataOf({ document }: Composed): unknown {
  try {
    return document.toJS({ maxAliasCount: -1 });
  } catch {
    throw new YamlFault('MERGE', document.contents?.range?.[0] ?? 0);
  }
}

/** The parser turns the key `<<` into a symbol of that name. */
function keyText(key: unknown): string {
  const value = isScalar(key) ? key.value : key;
  return typeof value === 'symbol' ? (value.description ?? '') : String(value);
}

interface Step {
  offset: number;
  value: unknown;
}

/** Finds places without going through a whole map for each of its keys. */
class Places {
  readonly #composed: Composed;
  readonly #pairs = new Map<unknown, Map<string, Pair>>();

  constructor(composed: Composed) {
    this.#composed = composed;
  }

  #resolve(node: unknown): unknown {
    return isAlias(node) ? this.#composed.targets.get(node) : node;
  }

  #pairsOf(map: YAMLMap): Map<string, Pair> {
    let pairs = this.#pairs.get(map);
    if (pairs === undefined) {
      pairs = new Map(map.items.map((pair) => [keyText(pair.key), pair]));
      this.#pairs.set(map, pairs);
    }
    return pairs;
  }

  /** One step down, through aliases and merge keys (`<<`). */
  #stepInto(node: unknown, step: string | number): Step | undefined {
    const target = this.#resolve(node);
    if (isSeq(target)) {
      const item = target.items[Number(step)];
      return item === undefined ? undefined : { offset: (item as Node).range?.[0] ?? 0, value: item };
    }
    if (!isMap(target)) return undefined;
    const pairs = this.#pairsOf(target);
    const pair = pairs.get(String(step));
    if (pair) return { offset: (pair.key as Node | null)?.range?.[0] ?? 0, value: pair.value };
    const merged = this.#resolve(pairs.get('<<')?.value);
    for (const source of isSeq(merged) ? merged.items : [merged]) {
      const found = this.#stepInto(source, step);
      if (found) return found;
    }
    return undefined;
  }

  /** Of the deepest step that is there. */
  offsetOf(path: readonly (string | number)[]): number {
    const { contents } = this.#composed.document;
    let node: unknown = contents;
    let offset = contents?.range?.[0] ?? 0;
    for (const step of path) {
      const next = this.#stepInto(node, step);
      if (!next) break;
      offset = next.offset;
      node = next.value;
    }
    return offset;
  }
}

/** A file of exactly one document. @throws YamlFault */
function composeOne(text: string, lineCounter: LineCounter, merge: boolean): Composed {
  const [composed, second] = compose(text, { merge, uniqueKeys: true }, lineCounter);
  if (second) composed!.faults.push(new YamlFault('MULTIPLE_DOCS', second.document.range[0]));
  return composed!;
}

function onFault<T>(work: () => T, tell: (fault: YamlFault) => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof YamlFault) return tell(error);
    throw error;
  }
}

/** Exactly one of `yaml` and `problems` has content: a file with a syntax error is not looked at further. */
export function readYaml(text: string, file: string): { yaml?: YamlFile; problems: Problem[] } {
  const lineCounter = new LineCounter();
  const lineAt = (offset: number): number => Math.max(1, lineCounter.linePos(offset).line);
  const tell = (faults: readonly YamlFault[]): { problems: Problem[] } => ({
    problems: faults.map(({ offset, message }) => ({
      severity: 'error',
      file,
      line: lineAt(offset),
      message: `not valid YAML: ${message}`,
    })),
  });
  return onFault<{ yaml?: YamlFile; problems: Problem[] }>(
    () => {
      const composed = composeOne(text, lineCounter, true);
      if (composed.faults.length > 0) return tell(composed.faults);
      const data = dataOf(composed) ?? null;
      const places = new Places(composed);
      const placeOf: YamlFile['placeOf'] = (path) => ({ file, line: lineAt(places.offsetOf(path)) });
      return { yaml: { file, data, placeOf }, problems: [] };
    },
    (fault) => tell([fault]),
  );
}

/** One YAML document as plain data; on a syntax error the 1-based line, never the text of it. */
export function parseYaml(
  text: string,
): { value: unknown; error?: undefined } | { error: string; line: number; value?: undefined } {
  const lineCounter = new LineCounter();
  const tell = ({ code, offset }: YamlFault): { error: string; line: number } => ({
    error: code,
    line: Math.max(1, lineCounter.linePos(offset).line),
  });
  return onFault<ReturnType<typeof parseYaml>>(() => {
    const composed = composeOne(text, lineCounter, false);
    const [fault] = composed.faults;
    return fault ? tell(fault) : { value: dataOf(composed) };
  }, tell);
}

/** Text that holds no manifests; names the document by number, never by content. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
}

/**
 * A YAML stream as plain data, one entry a document.
 * @param first the number of its first document in errors
 * @throws ManifestError
 */
export function parseYamlStream(text: string, first = 1): unknown[] {
  let number = first;
  const tell = ({ code }: YamlFault): never => {
    throw new ManifestError(`document ${number} is not valid YAML (${code})`);
  };
  return onFault(
    () =>
      compose(text, { merge: false, uniqueKeys: false }, undefined, false).map((composed, index) => {
        number = first + index;
        const [fault] = composed.faults;
        return fault ? tell(fault) : dataOf(composed);
      }),
    tell,
  );
}

/** For people: block style, no line folding, keys in the order given. */
export function formatYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}
