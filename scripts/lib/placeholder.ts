import { fillers, publishedSecrets, standIns } from './vocabulary.ts';

/** Longer texts are keys, certificates and documents; no word of them says anything. */
const longestPhrase = 200;
const longestWord = Math.max(...[...standIns, ...fillers].map((word) => word.length));

const alphabet = 'abcdefghijklmnopqrstuvwxyz';
const reversed = (text: string): string => [...text].reverse().join('');
/** a1b2c3… */
const alternating = [...alphabet].map((letter, index) => `${letter}${(index + 1) % 10}`).join('');
const rows = [
  '1234567890'.repeat(8),
  reversed('1234567890'.repeat(3)),
  alphabet.repeat(2),
  reversed(alphabet),
  '0123456789abcdef'.repeat(4),
  alternating,
  alternating.slice(1),
];
const keyboards = [
  'qwertyuiop',
  'qwertzuiop',
  'asdfghjkl',
  'zxcvbnm',
  '1q2w3e4r5t6y7u8i9o0p',
  'qazwsxedcrfvtgb',
];
/** Any three letters of a keyboard come up by chance. */
const isRow = (text: string): boolean => {
  const unit = /^(.{3,})\1+$/.exec(text)?.[1] ?? text;
  return (
    rows.some((row) => row.includes(unit)) ||
    (unit.length >= 4 && keyboards.some((row) => row.includes(unit)))
  );
};
const isRepeated = (text: string): boolean => /^(.)\1*$/.test(text);
const isFiller = (text: string): boolean => text.length >= 3 && (isRow(text) || isRepeated(text));

/** How much of a text the vocabulary explains. */
const unknown = 0;
const known = 1;
const standIn = 2;
type Explained = typeof unknown | typeof known | typeof standIn;

const least = (parts: readonly Explained[]): Explained =>
  parts.includes(unknown) || parts.length === 0 ? unknown : parts.includes(standIn) ? standIn : known;

function explainPiece(piece: string): Explained {
  if (standIns.has(piece)) return standIn;
  return piece === '#' || fillers.has(piece) ? known : unknown;
}

/** Nothing but rows: `abc123def456`. */
const isRows = (token: string): boolean => (token.match(/\d+|\D+/g) ?? []).every(isFiller);

/** Words without anything between them: `yoursecretkeyhere2024`. */
function explainRun(token: string): Explained {
  if (isRows(token)) return standIn;
  let hasLongRow = false;
  const text = token.replace(/\d+/g, (digits) => {
    if (digits.length > 4 && !isFiller(digits) && !/^0{4,}\d{1,2}$/.test(digits)) return '!';
    if (digits.length > 4) hasLongRow = true;
    return '#';
  });
  const best: Explained[] = [hasLongRow ? standIn : known];
  for (let end = 1; end <= text.length; end++) {
    best[end] = unknown;
    for (let start = Math.max(0, end - longestWord); start < end; start++) {
      if (best[start] === unknown) continue;
      const piece = explainPiece(text.slice(start, end));
      if (piece === unknown) continue;
      if (piece === standIn || best[start] === standIn) best[end] = standIn;
      else if (best[end] === unknown) best[end] = known;
    }
  }
  return best[text.length]!;
}

const withoutMarks = (text: string): string => text.normalize('NFD').replace(/\p{M}/gu, '');
const tokensOf = (text: string): string[] => text.split(/[^A-Za-z0-9]+/).filter(Boolean);
const squeezed = (text: string): string => tokensOf(text).join('').toLowerCase();
const humps = (token: string): string[] =>
  token
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1 $2')
    .split(' ');

const isLetter = (text: string): boolean => /^[aix]$/i.test(text);

function explainToken(token: string): Explained {
  if (token.length === 1) return isLetter(token) || /\d/.test(token) ? known : unknown;
  if (isFiller(token.toLowerCase())) return standIn;
  const run = explainRun(token.toLowerCase());
  if (run !== unknown) return run;
  const parts = humps(token);
  if (parts.length === 1) return unknown;
  return least(parts.map((part) => (isLetter(part) ? known : explainRun(part.toLowerCase()))));
}

const explain = (text: string): Explained => least(tokensOf(text).map(explainToken));

/** `p@ssw0rd`, `s3cr3t`. */
function withoutLeet(text: string): string[] {
  const letters = text
    .replace(/[\d\W_]+$/, '')
    .replace(/[@4]/g, 'a')
    .replace(/3/g, 'e')
    .replace(/0/g, 'o')
    .replace(/[$5]/g, 's')
    .replace(/7/g, 't');
  return [letters.replace(/[1!]/g, 'i'), letters.replace(/1/g, 'l')];
}

/** A part that no person types for others to replace: the words around it prove nothing. */
function hasRandomPart(text: string): boolean {
  const symbols = new Set(text.match(/[^A-Za-z0-9\s]/g));
  if (symbols.size >= 4 && text.length >= 16 && !/\s/.test(text)) return true;
  return tokensOf(text).some((token) => {
    if (token.length < 8 || explainToken(token) !== unknown) return false;
    if (/\d/.test(token) && /[a-z]/i.test(token)) return true;
    const parts = humps(token);
    return (
      parts.some((part) => part.length >= 20) || (parts.length > 1 && parts.some((part) => part.length <= 2))
    );
  });
}

const noun =
  '(?:(?:api|secret|pass)?(?:key|keys|token|secret|word)|passwd|pass|passphrase|pwd|salt|code|id|url|uri|dsn|string|value|hash|credentials?|host|user|username|name|email|database|db|domain|account|connection|webhook|cle|clave|contrasena|senha|chave|passwort|schluessel)';
const secretNoun = '(?:key|apikey|secret|token|password|passwd|pwd|passphrase)';

/** Phrases that tell the reader what to do; words between them may be anything: `your-acme-api-key`. */
const phrases = [
  /\b(?:change|replace|edit|update|fill|modify) (?:me|this|it)\b/,
  /\b(?:change|replace|edit|update|fill)(?:me|this|it)\b/,
  /\b(?:replace|fill(?: in)?|substitute)(?: \w+)? with\b/,
  /^(?:re)?(?:change|replace|put|insert|enter|paste|generate|create|add)d? (?:me |this |it |a |an |the |in |by |with )*(?:real|actual|own|random|strong|secure|long|here|before|only|in prod)/,
  /^set (?:me|this)\b|^n a$/,
  /\bchanged?(?: \w+){0,4} (?:in|for|before|on) (?:prod|deploy)/,
  new RegExp(`\\b(?:insert|enter|put|paste|add|type)(?: \\w+){0,5} ${noun}(?: here)?$`),
  new RegExp(`\\b(?:your|ur|votre|vos|tu|sua|seu|dein|deine|ihr|ihre)(?: \\w+){0,6} ${noun}\\b`),
  new RegExp(`\\b${noun} (?:goes )?(?:here|aqui|hier|ici)\\b`),
  /\b(?:placeholder|dummy|fixme|lorem ipsum)\b/,
  new RegExp(
    `^(?:\\w{2,5} )?(?:test|testing|fake|example|sample|mock|demo|default|temporary|some|any)(?: \\w+){0,4} ${secretNoun}(?: \\w+){0,3}$`,
  ),
  new RegExp(`^(?:local|dev|development|staging)(?: \\w+){0,3} ${secretNoun}(?: \\w+){0,3}$`),
  /\b(?:super|top|very|ultra) ?(?:\w+ )?secret\b/,
  /\b(?:insecure|unsafe)\b|\bnot (?:so |really |a |very )*(?:secret|secure)\b|\b(?:not for|do not use|dont use)\b/,
  /\b(?:dev|development|local|test|testing|build|ci) only\b/,
];

/** Names of secrets, which the user of SMTP may have (`apikey`) but no secret. */
const secretName =
  /\b(?:jwt|api|auth|session|cookie|client|app|secret|access|encryption|signing) ?(?:secret|key|token|password)\b/;

/** What cannot be told from the name of a person, a database or a place: `admin`, `test`, `postgres`. */
const isNameKey = (key: string): boolean =>
  /(?:^|_)(?:USER|USERNAME|LOGIN|NAME|HOST|HOSTNAME|PORT|DB|DATABASE|EMAIL|REGION|BUCKET|ENDPOINT|DOMAIN|ENV|ENVIRONMENT|MODE|LEVEL|SCHEMA|TYPE|PROVIDER|MODEL|ISSUER|AUDIENCE|REALM|ID)$/i.test(
    key,
  );

const wordsReason = 'is made of words that stand for a secret, like those of a template';

function wordsFault(text: string, key: string): string | undefined {
  if (text.length > longestPhrase) return undefined;
  const plain = withoutMarks(text);
  const isName = isNameKey(key);
  if (!isName && /[a-z]/i.test(plain)) {
    if (explain(plain) === standIn) return wordsReason;
    const isLeet = /[a-z].*[@$!\d]|[@$!\d].*[a-z]/i.test(plain);
    if (isLeet && withoutLeet(plain).some((variant) => explain(variant) === standIn)) return wordsReason;
  }
  const spaced = tokensOf(plain).flatMap(humps).join(' ').toLowerCase();
  const isPhrase = phrases.some((phrase) => phrase.test(spaced)) || (!isName && secretName.test(spaced));
  if (isPhrase && !hasRandomPart(plain)) return wordsReason;
  if (key !== '' && squeezed(plain) === squeezed(key)) return 'is the name of the key itself';
  return undefined;
}

const bracketed =
  /^(?:<+[\w\s.,:'@/=-]*>+|\[+[\w\s.,:'@/=-]*\]+|#?\{+[\w\s.,:'@/=-]*\}+#?|\([\w\s.,:'@/=-]*\)|%[\w() :]+%|__\w+__|@@?\w+@@?|[«‹].*[»›])$/;
const inBrackets = /<\/?[A-Za-z][\w .:/-]{1,60}>|\[[A-Za-z][\w .-]{2,60}\]|\{[A-Za-z][\w .-]{2,60}\}/g;
const unfilled =
  /\$\{[A-Za-z_][A-Za-z0-9_.]{2,60}(?::?[-=?+][^{}]{0,60})?\}|\{\{[\w .$'"-]{3,100}\}\}|^\$[A-Z_][A-Z0-9_]+$|^\$\([a-z]+ .+\)$|^`[a-z]+ .+`$|^process\.env\.\w+$/;
/** How keys of known services begin; what comes after `sk-...` is left out, not secret. */
const beginnings = /(?:^|[-_/:@=.])\.\.\.|(?:eyJ\w*|AIza\w*|[-_/:@=]\w{1,12})\.\.\.|…/;

function bracketFault(text: string): string | undefined {
  if (/[\r\n]|<\?xml|<\//.test(text)) return undefined;
  if (unfilled.test(text))
    return 'holds a variable or command that nothing replaces: values are taken as they are';
  const isJson = /^[[{]\s*["{[\]}\d]/.test(text);
  if (!isJson && bracketed.test(text) && !hasRandomPart(text))
    return 'stands in brackets, as templates mark what is to be filled in';
  const inside = isJson ? [] : (text.match(inBrackets) ?? []);
  // Short ones come up by chance.
  const isNamed = inside.some((part) => {
    const said = explain(withoutMarks(part));
    return said === standIn || (said === known && part.length >= 7);
  });
  return isNamed ? 'has a part in brackets, as templates mark what is to be filled in' : undefined;
}

function fillerFault(text: string): string | undefined {
  if (text.length > longestPhrase) return undefined;
  const letters = squeezed(text);
  if (letters === '' && !/[\p{L}\p{N}]/u.test(text)) return 'has no letter and no digit';
  if (letters.length >= 3 && isRepeated(letters)) return 'is one character or group over and over';
  if (letters.length >= 3 && isRow(letters)) return 'is a row of the keyboard, the alphabet or the digits';
  if (!/[a-z]/i.test(text) && explain(text) === standIn) return 'is a row of the digits';
  const few = /(?<![A-Za-z0-9])x{3,}(?![A-Za-z0-9])|\*{3,}|_{4,}|\?{3,}/i;
  if (/x{6,}|\*{6,}/i.test(text) || (few.test(text) && !hasRandomPart(text)))
    return 'has characters in it that stand for others, like xxx or ***';
  if (!/\s/.test(text) && beginnings.test(text)) return 'has dots in place of what was left out';
  return undefined;
}

/** The sample token of https://jwt.io and the keys of https://github.com/supabase/supabase/blob/master/docker/.env.example. */
function isPublishedToken(text: string): boolean {
  const payload = /^eyJ[\w-]+\.(eyJ[\w-]+)\.[\w-]+$/.exec(text)?.[1];
  if (payload === undefined) return false;
  return /"(?:sub": ?"1234567890|iss": ?"supabase-demo)"/.test(Buffer.from(payload, 'base64url').toString());
}

const published = 'is printed in public documentation or source code, so everybody knows it';

/** Short ones could be words of any other text. */
const squeezedSecrets = new Set([...publishedSecrets].map(squeezed).filter((text) => text.length >= 10));

function publishedFault(text: string, key: string): string | undefined {
  if (text.startsWith('django-insecure-')) {
    // https://docs.djangoproject.com/en/stable/ref/checks/#security, W009
    return 'begins as Django begins keys that are for development alone';
  }
  if (isPublishedToken(text)) return published;
  const isPublished = publishedSecrets.has(text) || squeezedSecrets.has(squeezed(text));
  return isPublished && !(isNameKey(key) && /^[a-z0-9]+$/.test(text)) ? published : undefined;
}

const plainFault = (text: string, key: string): string | undefined =>
  publishedFault(text, key) ?? bracketFault(text) ?? fillerFault(text) ?? wordsFault(text, key);

/** Hosts for documentation (RFC 2606, RFC 6761) and those of templates; Neon's own print the word `region`. */
const placeholderHost =
  /^(?:host|hostname|db-?host|server-?name|(?:your|my)[-_.]?(?:host|server|domain|db|database).*|your[-_.].*|.*[<>{}].*|.*\.\.\..*|.*\.region\.aws\.neon\.tech|(?:.*\.)?example\.(?:com|net|org|edu)|.*\.(?:example|invalid)|.*(?:^|[-.])(?:example|placeholder|changeme|xxx+)(?:[-.].*)?)$/i;

export const isPlaceholderHost = (host: string): boolean => placeholderHost.test(host);

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** By hand, for `new URL` refuses just what is looked for. */
const urlForm = /^[a-z][a-z0-9+.-]*:\/\/(?:([^/?#]*)@)?([^/?#@]*)([\s\S]*)$/i;

function urlFault(text: string): string | undefined {
  const match = urlForm.exec(text);
  if (!match) return undefined;
  const [, userInfo, authority = '', rest = ''] = match;
  const hosts = authority.split(',').map((host) => host.replace(/:[\w<>{}$]*$/, ''));
  const [user = '', ...passwords] = (userInfo ?? '').split(':');
  const password = decoded(passwords.join(':'));
  const query = /\?([^#]*)/.exec(rest)?.[1]?.split('&') ?? [];
  const secretParameters = query.flatMap((pair) => {
    const [name = '', ...value] = pair.split('=');
    return /secret|password|token|key|signature/i.test(name) ? [decoded(value.join('='))] : [];
  });
  if (password !== '') {
    const fault = plainFault(password, '');
    // Not `password`: where that is the password, the word would be taken out of the message.
    if (fault) return `the credential in it ${fault}`;
  }
  // A user may well be called `user` or `apikey`, as SendGrid wants it.
  const userFault = bracketFault(user) ?? (user === '' ? undefined : fillerFault(decoded(user)));
  if (userFault) return `the user name in it ${userFault}`;
  if (hosts.some((host) => isPlaceholderHost(host) || wordsFault(host, 'HOST') !== undefined))
    return 'the host in it is one of documentation or a template';
  for (const parameter of secretParameters) {
    const fault = parameter === '' ? undefined : plainFault(parameter, '');
    if (fault) return `a parameter in it ${fault}`;
  }
  return bracketFault(text) ?? fillerFault(text);
}

function pemFault(text: string): string | undefined {
  const body = /^-----BEGIN [A-Z0-9 ]+-----([\s\S]*?)(?:-----END|$)/.exec(text.trim())?.[1];
  if (body === undefined) return undefined;
  const inside = body.replace(/\\n|\s/g, '');
  const isEmpty =
    inside.length < 40 &&
    (inside === '' || /\.\.\.|…/.test(inside) || explain(body.replaceAll('\\n', ' ')) !== unknown);
  return isEmpty ? 'has the first and the last line of a key and no key between them' : undefined;
}

/** `Server=db;Uid=app;Pwd=…` and `host=db password=…`. */
function pairsFault(text: string): string | undefined {
  if (text.length > 10 * longestPhrase) return undefined;
  for (const [, value = ''] of text.matchAll(/(?:^|[;\s])(?:password|pwd|accountkey)\s*=\s*([^;\s]+)/gi)) {
    const fault = plainFault(value, '');
    if (fault) return `the credential in it ${fault}`;
  }
  return undefined;
}

function jsonFault(value: unknown, key: string): string | undefined {
  if (typeof value === 'string') {
    if (!/secret|passw|token|key|credential/i.test(key) || value === '') return undefined;
    const fault = pemFault(value) ?? plainFault(value, '');
    return fault && `a text in its JSON ${fault}`;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [name, part] of Object.entries(value)) {
    const fault = jsonFault(part, Array.isArray(value) ? key : name);
    if (fault) return fault;
  }
  return undefined;
}

function parsedJson(text: string): unknown {
  if (!/^[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Why a value is no secret but what stands where one has to be put; said without the value or any part of it.
 * undefined: nothing speaks against it.
 * @param key the env key; keys of names and places may hold ordinary words
 * @param examples what .env.example says for this key
 */
export function placeholderFault(
  value: string,
  key: string,
  examples: ReadonlySet<string> = new Set(),
): string | undefined {
  const text = value.trim();
  if (text === '') return undefined;
  if (examples.has(text)) return 'is what .env.example says, which everybody can read';
  const json = parsedJson(text);
  if (typeof json === 'object' && json !== null) return jsonFault(json, '');
  if (text.startsWith('-----BEGIN ')) return pemFault(text);
  if (urlForm.test(text)) return urlFault(text);
  return pairsFault(text) ?? plainFault(text, key);
}
