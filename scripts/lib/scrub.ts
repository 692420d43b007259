/** Knows the values of secrets and takes them out of text that comes back from other programs. */
export interface Scrubber {
  /** `name` is what stands in the text instead. */
  add(name: string, value: string): void;
  scrub(text: string): string;
}

/** Values shorter than this appear in ordinary prose; taking them out would shred it and tell their length. */
const shortestScrubbed = 4;
/** Values shorter than this are only taken out where they stand as a word of their own. */
const shortestAnywhere = 8;

/** Kustomize breaks base64 after so many columns (kyaml/yaml/datamap.go). */
const base64Columns = 70;

const hex = (character: string): string => character.charCodeAt(0).toString(16);

function formsOf(value: string): string[] {
  const base64 = Buffer.from(value, 'utf8').toString('base64');
  const url = encodeURIComponent(value);
  // Go encodes some characters that JavaScript leaves alone.
  const goUrl = url.replace(/[!'()*]/g, (character) => `%${hex(character).toUpperCase()}`);
  const json = JSON.stringify(value).slice(1, -1);
  return [
    value,
    base64,
    base64.replace(/=+$/, ''),
    url,
    goUrl,
    goUrl.replaceAll('%20', '+'),
    json,
    json.replace(/[<>&\u2028\u2029]/g, (character) => `\\u${hex(character).padStart(4, '0')}`),
    ...(value.includes('\n') ? value.split('\n').map((line) => line.trim()) : []),
  ];
}

const escapeRegExp = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');

const lineBreak = '(?:\\s|\\\\n)*';
const withoutBreaks = (form: string): string => form.replace(new RegExp(lineBreak, 'g'), '');

/** A form as it stands in text; long base64 may have line breaks, also escaped ones. */
function patternOf(form: string): string {
  if (form.length < shortestAnywhere) return `(?<![\\w.-])${escapeRegExp(form)}(?![\\w-])`;
  if (form.length <= base64Columns || !/^[\w+/]+=*$/.test(form)) return escapeRegExp(form);
  const lines = form.match(new RegExp(`.{1,${base64Columns}}`, 'g')) ?? [];
  return lines.map(escapeRegExp).join(lineBreak);
}

export function createScrubber(): Scrubber {
  const names = new Map<string, string>();
  let pattern: RegExp | undefined;

  const compile = (): RegExp => {
    const alternatives = [...names.keys()].sort((a, b) => b.length - a.length).map(patternOf);
    return new RegExp(alternatives.join('|'), 'g');
  };

  return {
    add(name, value) {
      for (const form of formsOf(value)) {
        if (form.length < shortestScrubbed || names.has(form)) continue;
        names.set(form, name);
        pattern = undefined;
      }
    },
    scrub(text) {
      if (names.size === 0) return text;
      pattern ??= compile();
      return text.replace(pattern, (form) => `[${names.get(form) ?? names.get(withoutBreaks(form))}]`);
    },
  };
}
