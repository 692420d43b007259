import { isPlaceholderHost } from './placeholder.ts';
import type { FormatName } from './schema.ts';

/** What is wrong with a value, said without the value or any part of it. */
export interface Finding {
  error?: string;
  warnings?: string[];
}

/** Control characters and white space: no address, number or list of addresses has them. */
const hasBlank = (value: string): boolean => /[\s\p{Cc}]/u.test(value);

function parseUrl(value: string): URL | undefined {
  try {
    return new URL(value);
  } catch {
    return undefined;
  }
}

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i;

function checkHttpUrl(value: string): Finding {
  // URL() trims, drops tabs and accepts `http:host`; the programs that read the value do not.
  if (hasBlank(value)) return { error: 'expected an http or https URL, found white space in it' };
  const url = /^https?:\/\/[^/?#]/i.test(value) ? parseUrl(value) : undefined;
  if (!url || value.includes('\\')) return { error: 'expected a URL that begins with http:// or https://' };
  const warnings = [];
  if (url.username || url.password)
    warnings.push('the URL holds a user name or password; it is no secret here');
  return { warnings };
}

interface Origins {
  items: string[];
  error?: string;
  spaced?: boolean;
}

function splitOrigins(value: string): Origins {
  if (!value.trimStart().startsWith('[')) {
    const items = value.split(',');
    return { items: items.map((item) => item.trim()), spaced: items.some((item) => item !== item.trim()) };
  }
  try {
    const list: unknown = JSON.parse(value);
    if (Array.isArray(list) && list.every((item) => typeof item === 'string')) return { items: list };
  } catch {
    // The message of JSON.parse quotes the value.
  }
  return { items: [], error: 'begins like a JSON list but is not a JSON list of texts' };
}

function checkOrigin(origin: string): Finding {
  if (origin === '') return { error: 'is empty' };
  if (origin === '*')
    return { warnings: ['* allows every origin, and browsers refuse it for requests with cookies'] };
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@\\]+$/i.test(origin)) {
    const isUrl = /^[a-z][a-z0-9+.-]*:\/\/[^\s/]+\//i.test(origin);
    return {
      error: isUrl
        ? 'has a path or a / at its end, and an origin has none'
        : 'is not like https://host or http://host:port',
    };
  }
  if (origin !== origin.toLowerCase()) return { error: 'has capital letters, and browsers send lower case' };
  if (origin.includes('*')) return { warnings: ['a * inside an origin is taken literally by most servers'] };
  if (!/^https?:/.test(origin)) return {};
  const url = parseUrl(origin);
  if (!url) return { error: 'is not a valid URL' };
  if (url.origin !== origin)
    return {
      warnings: [
        `is not written as browsers send it (default ports are left out, IDN hosts are in punycode)`,
      ],
    };
  return {};
}

/**
 * Comma-separated, or a JSON list as pydantic-settings reads a `list[str]`. An origin is compared letter by letter
 * with what the browser sends, so a path, a final slash or a capital letter never matches.
 */
function checkOriginList(value: string): Finding {
  const { items, error, spaced } = splitOrigins(value);
  if (error) return { error };
  const warnings = spaced
    ? ['there is white space around a comma; some servers keep it and then nothing matches']
    : [];
  for (const [index, item] of items.entries()) {
    const which = items.length === 1 ? 'the origin' : `origin ${index + 1} of ${items.length}`;
    const finding = checkOrigin(item);
    if (finding.error) return { error: `${which} ${finding.error}` };
    warnings.push(...(finding.warnings ?? []).map((warning) => `${which}: ${warning}`));
  }
  return { warnings };
}

interface PostgresUrl {
  driver: string | undefined;
  scheme: string;
  userInfo: string | undefined;
  host: string;
  port: string | undefined;
  database: string;
  query: Map<string, string>;
}

// Parsed by hand: the parsers that matter (libpq, SQLAlchemy, pg) disagree with URL() and with each other
// about everything that is not percent-encoded, and that is what is being looked for.
function parsePostgresUrl(value: string): PostgresUrl | string {
  const match = /^(postgres(?:ql)?)(?:\+([a-z0-9_]+))?:\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(
    value,
  );
  if (!match) {
    return value.includes('#') && /^postgres/i.test(value)
      ? 'there is a # in it; in a password write it as %23'
      : 'expected a URL like postgresql://user:password@host:5432/database';
  }
  const [, scheme, driver, authority, database = '', queryText = ''] = match;
  const parts = authority!.split('@');
  if (parts.length > 2) return 'there is more than one @ before the host; in a password write @ as %40';
  if (parts.length === 1 && /@/.test(database + queryText)) {
    return 'the @ before the host comes after a / or ?; in a password write / as %2F and ? as %3F';
  }
  if (/[[\]]/.test(parts.length > 1 ? parts[0]! : '')) return 'in a password write [ as %5B and ] as %5D';
  const hostPort = /^(\[[0-9a-f:.]+\]|[^:[\]]*)(?::(\d*))?$/i.exec(parts.at(-1)!);
  // Several hosts, as libpq takes them, are left alone.
  if (!hostPort && !parts.at(-1)!.includes(',')) return 'what stands after the @ is not host or host:port';
  const query = new Map(
    queryText.split('&').map((pair) => {
      const [name = '', ...rest] = pair.split('=');
      return [name, rest.join('=')] as const;
    }),
  );
  return {
    scheme: scheme!.toLowerCase(),
    driver: driver?.toLowerCase(),
    userInfo: parts.length > 1 ? parts[0] : undefined,
    host: (hostPort?.[1] ?? '').toLowerCase(),
    port: hostPort?.[2] || undefined,
    database,
    query,
  };
}

export const placeholderHostWarning = 'the host looks like a placeholder';

function schemeWarnings(url: PostgresUrl): string[] {
  if (url.scheme === 'postgresql') return [];
  return ['SQLAlchemy rejects the scheme postgres://; postgresql:// is understood everywhere'];
}

function driverWarnings(url: PostgresUrl): string[] {
  const foreign = ['sslmode', 'channel_binding'].filter((name) => url.query.has(name));
  if (foreign.length === 0) return [];
  const words = foreign.join(' and ');
  if (url.driver === 'asyncpg') {
    return [
      `asyncpg stops with an error at ${words} in the URL; write ssl=require instead and drop channel_binding`,
    ];
  }
  if (url.driver !== undefined) return [];
  return [
    `${words} ${foreign.length > 1 ? 'are words' : 'is a word'} of libpq (psycopg, pg): SQLAlchemy with asyncpg stops with an error at ${foreign.length > 1 ? 'them' : 'it'} and needs ssl=require instead`,
  ];
}

function hostWarnings(url: PostgresUrl): string[] {
  const { host, query } = url;
  if (host === '' && !query.has('host'))
    return ['there is no host in it: the driver will look for a socket inside the container'];
  if (loopback.test(host)) {
    return [
      'the host is this machine: inside a container that is the container itself (minikube: host.minikube.internal)',
    ];
  }
  if (isPlaceholderHost(host)) return [placeholderHostWarning];
  return [];
}

function neonWarnings(url: PostgresUrl): string[] {
  if (!/(^|\.)neon\.(tech|build)$/.test(url.host)) return [];
  const warnings = [];
  const encrypted = url.query.has('sslmode') || url.query.has('ssl');
  if (!encrypted || url.query.get('sslmode') === 'disable') {
    warnings.push('Neon takes encrypted connections only: add ?sslmode=require, for asyncpg ?ssl=require');
  }
  const cacheOff = ['statement_cache_size', 'prepared_statement_cache_size'].some(
    (name) => url.query.get(name) === '0',
  );
  if (/-pooler\./.test(url.host) && !cacheOff && url.query.get('pgbouncer') !== 'true') {
    warnings.push(
      'the -pooler endpoint shares connections per transaction: asyncpg needs prepared_statement_cache_size=0 (SQLAlchemy) or statement_cache_size=0, and migrations need the endpoint without -pooler',
    );
  }
  return warnings;
}

/** The warnings are those of Neon's own connection strings read by SQLAlchemy, asyncpg, psycopg and pg. */
function checkPostgresUrl(value: string): Finding {
  if (hasBlank(value)) return { error: 'there is white space in it; in a password write a space as %20' };
  if (/%(?![0-9a-f]{2})/i.test(value))
    return { error: 'there is a % without two hex digits after it; in a password write % as %25' };
  const url = parsePostgresUrl(value);
  if (typeof url === 'string') return { error: url };
  if (url.port !== undefined && !isPort(url.port)) return { error: 'the port is not between 1 and 65535' };
  const warnings = [
    ...schemeWarnings(url),
    ...driverWarnings(url),
    ...hostWarnings(url),
    ...neonWarnings(url),
  ];
  if (url.userInfo === undefined && url.host !== '') warnings.push('there is no user in it');
  if (url.database === '')
    warnings.push('there is no database name in it: drivers take the name of the user instead');
  return { warnings };
}

/** Neon's endpoint, the port of PgBouncer, that of Supabase for transactions, the flag that Prisma has for one. */
const isPooled = ({ host, port, query }: PostgresUrl): boolean =>
  /-pooler\./.test(host) || port === '6432' || port === '6543' || query.get('pgbouncer') === 'true';

/** For what needs a session of its own, such as migrations: they lock, and set things for the statements after. */
function checkDirectUrl(value: string): Finding {
  const finding = checkPostgresUrl(value);
  const url = parsePostgresUrl(value);
  if (finding.error || typeof url === 'string' || !isPooled(url)) return finding;
  return {
    warnings: [
      'it leads to a connection pooler, which gives each transaction another session; Neon: the same host without -pooler',
      ...(finding.warnings ?? []).filter((warning) => !warning.includes('-pooler')),
    ],
  };
}

const isPort = (value: string): boolean => /^[1-9]\d{0,4}$/.test(value) && Number(value) <= 65535;

const checkers: Record<FormatName, (value: string) => Finding> = {
  'http-url': checkHttpUrl,
  'origin-list': checkOriginList,
  'postgres-url': checkPostgresUrl,
  'postgres-direct-url': checkDirectUrl,
  port: (value) => (isPort(value) ? {} : { error: 'expected a port: a whole number from 1 to 65535' }),
  integer: (value) =>
    /^(0|-?[1-9]\d*)$/.test(value)
      ? {}
      : { error: 'expected a whole number, like 30 or -1, without leading zeros' },
  boolean(value) {
    if (value === 'true' || value === 'false') return {};
    // What pydantic takes for a bool.
    if (/^(true|false|1|0|yes|no|y|n|on|off|t|f)$/i.test(value)) {
      return { warnings: ['pydantic understands this spelling, most other readers only true and false'] };
    }
    return { error: 'expected true or false' };
  },
  json(value) {
    try {
      JSON.parse(value);
      return {};
    } catch {
      // The message of JSON.parse quotes the value.
      return { error: 'is not valid JSON' };
    }
  },
  base64(value) {
    const text = value.replace(/[\r\n]/g, '');
    if (/^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0) {
      return text === value
        ? {}
        : { warnings: ['there are line breaks in the base64, which strict decoders refuse'] };
    }
    if (/^[A-Za-z0-9_-]*={0,2}$/.test(text)) {
      return {
        error:
          text.length % 4 === 0
            ? 'is base64url (- and _); expected base64 (+ and /)'
            : 'is not complete base64: its length is no multiple of 4',
      };
    }
    return { error: 'expected base64: A-Z, a-z, 0-9, +, / and = at the end' };
  },
};

/** @param value not empty: an empty value is a missing one, which is told elsewhere. */
export function checkFormat(format: FormatName, value: string): Finding {
  return checkers[format](value);
}

/** The rules of a field that a value can break. */
export interface Rules {
  format?: FormatName;
  oneOf?: readonly string[];
  pattern?: string;
  /** In code points. */
  minLength?: number;
}

/** All rules against one value. No message has the value or any part of it. */
export function checkRules(rules: Rules, value: string): { errors: string[]; warnings: string[] } {
  const errors: string[] = [];
  const finding = rules.format ? checkFormat(rules.format, value) : {};
  if (finding.error) errors.push(`format ${rules.format}: ${finding.error}`);
  if (rules.oneOf && !rules.oneOf.includes(value)) errors.push(`expected one of: ${rules.oneOf.join(', ')}`);
  if (rules.pattern !== undefined && !new RegExp(rules.pattern, 'u').test(value)) {
    errors.push(`does not match the pattern ${rules.pattern}`);
  }
  const length = rules.minLength === undefined ? 0 : [...value].length;
  if (rules.minLength !== undefined && length < rules.minLength) {
    errors.push(`is too short: expected at least ${rules.minLength} characters, found ${length}`);
  }
  return { errors, warnings: finding.warnings ?? [] };
}
