import { Validator } from '@cfworker/json-schema';
import type { FromSchema } from 'json-schema-to-ts';
import { isRecord } from './manifest.ts';

/** The formats a field can ask for; `formats.ts` checks them. */
export const formatNames = [
  'http-url',
  'origin-list',
  'postgres-url',
  'postgres-direct-url',
  'port',
  'integer',
  'boolean',
  'json',
  'base64',
] as const;

export type FormatName = (typeof formatNames)[number];

const env = {
  title: 'Env key',
  description: 'The key in the env file that holds the value. Default: the data key itself.',
  type: 'string',
  // dotenv cannot hold a key called __proto__.
  pattern: '^(?!__proto__$)[A-Za-z_][A-Za-z0-9_]*$',
  maxLength: 253,
  examples: ['JWT_SECRET'],
} as const;

const optional = {
  title: 'Optional',
  description:
    'true: the app runs without it. `KEY=` is then an empty value, and no line leaves the data key out.',
  type: 'boolean',
} as const;

const format = {
  title: 'Format',
  description: 'What the value has to look like. null takes an inherited format away.',
  enum: [...formatNames, null],
} as const;

const oneOf = {
  title: 'One of',
  description: 'The only values that are valid. A list replaces an inherited one; null takes it away.',
  type: ['array', 'null'],
  items: { type: 'string' },
  minItems: 1,
  uniqueItems: true,
  examples: [['development', 'staging', 'production']],
} as const;

const pattern = {
  title: 'Pattern',
  description:
    'A regular expression of JavaScript (flag u) that has to match somewhere in the value; anchor it with ^ and $. null takes an inherited one away.',
  type: ['string', 'null'],
  examples: ['^sk-[A-Za-z0-9_-]+$'],
} as const;

const minLength = {
  title: 'Shortest length',
  description: 'In characters (code points). null takes an inherited one away.',
  type: ['integer', 'null'],
  minimum: 1,
  examples: [32],
} as const;

const description = {
  title: 'Description',
  description: 'What it is and where to get it; shown when the value is missing.',
  type: 'string',
} as const;

const configField = {
  title: 'Field of a ConfigMap',
  description: 'One value that anybody may read. Nothing after the colon: a required text.',
  type: ['object', 'null'],
  additionalProperties: false,
  properties: {
    env,
    default: {
      title: 'Default',
      description: 'The value when no env file has one. null takes an inherited default away.',
      type: ['string', 'null'],
      examples: ['http://localhost:8000'],
    },
    optional,
    format,
    oneOf,
    pattern,
    minLength,
    description,
    buildTime: {
      title: 'Build time',
      description:
        'true: the value is baked into the image when it is built, as NEXT_PUBLIC_* are; a change needs a new image.',
      type: 'boolean',
    },
  },
} as const;

const secretField = {
  title: 'Field of a Secret',
  description: 'One value that stays secret. Nothing after the colon: a required text.',
  type: ['object', 'null'],
  additionalProperties: false,
  properties: {
    env,
    optional,
    format,
    oneOf,
    pattern,
    minLength,
    description,
    generate: {
      title: 'Generate',
      description: 'true: `npm run env -- --init` fills it with 48 random characters.',
      type: 'boolean',
    },
    placeholder: {
      title: 'Placeholder',
      description:
        'allow: `up` takes the value also where it looks like a placeholder, a published default or what .env.example says. refuse, which is the default, takes an inherited allow away.',
      enum: ['allow', 'refuse'],
    },
  },
} as const;

// A DNS-1123 subdomain.
const anyObjectName = {
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
  maxLength: 253,
} as const;

// Of a kind that manifests refer to by name; as `diff` and the errors write it.
const externalObject = {
  pattern: `^(ConfigMap|Secret|ServiceAccount|Service|PersistentVolumeClaim)/${anyObjectName.pattern.slice(1)}`,
  maxLength: 280,
} as const;

// The hash suffix takes 11 characters.
const objectName = { ...anyObjectName, maxLength: 242 } as const;

// What the API server takes as a key of a ConfigMap or Secret.
const dataKey = { pattern: '^(?!\\.$|\\.\\.|__proto__$)[-._a-zA-Z0-9]+$', maxLength: 253 } as const;

const uid = {
  title: 'uid',
  description:
    'uid of the kube-system namespace: kubectl get namespace kube-system -o jsonpath={.metadata.uid}. null takes an inherited one away.',
  type: ['string', 'null'],
  pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$',
  examples: ['218fc5a9-a5f1-4b54-aa05-46717d0ab26d'],
} as const;

const ca = {
  title: 'CA fingerprint',
  description:
    'SHA-256 of the CA certificate that the kubeconfig trusts: openssl x509 -noout -fingerprint -sha256. null takes an inherited one away.',
  type: ['string', 'null'],
  pattern: '^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$',
} as const;

const objectsOf = <Kind extends string, Field>(kind: Kind, field: Field) =>
  ({
    title: `${kind}s`,
    description: 'Object name, then data key, then what the value has to be.',
    type: ['object', 'null'],
    propertyNames: objectName,
    additionalProperties: {
      title: kind,
      type: ['object', 'null'],
      propertyNames: dataKey,
      additionalProperties: field,
    },
  }) as const;

/** The one source for strata.schema.json, `StrataFile` and the checks of every strata.yaml. */
export const strataSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'strata.yaml',
  description:
    'The env contract of a base, component or overlay: which keys exist, where each goes, what is valid. Files are deep-merged along resources and components; a list replaces a list.',
  type: ['object', 'null'],
  additionalProperties: false,
  properties: {
    configMaps: {
      ...objectsOf('ConfigMap', configField),
      examples: [{ 'backend-config': { ENVIRONMENT: { default: 'development' } } }],
    },
    secrets: {
      ...objectsOf('Secret', secretField),
      examples: [{ 'backend-secrets': { DATABASE_URL: { format: 'postgres-url' } } }],
    },
    contexts: {
      title: 'Contexts',
      description:
        'The kubeconfig contexts this overlay may go to: exact names, or globs with * only. Nothing else is ever touched.',
      type: 'array',
      items: { type: 'string', minLength: 1 },
      uniqueItems: true,
      examples: [['minikube'], ['team-dev-*']],
    },
    cluster: {
      title: 'Cluster',
      description:
        'The one cluster this overlay may go to, whatever its context is called. Each one that is given has to hold; the CA stands in for a uid that may not be read.',
      type: ['object', 'null'],
      additionalProperties: false,
      minProperties: 1,
      properties: { uid, ca },
      examples: [{ uid: '218fc5a9-a5f1-4b54-aa05-46717d0ab26d' }],
    },
    external: {
      title: 'External objects',
      description:
        'Kind/name of ConfigMaps, Secrets, ServiceAccounts, Services and claims that the manifests refer to and that something else makes.',
      type: 'array',
      items: { type: 'string', ...externalObject },
      uniqueItems: true,
      examples: [['Secret/registry-credentials']],
    },
  },
} as const;

export type StrataFile = FromSchema<typeof strataSchema>;

/** One place where a file breaks the schema; `path` leads to it from the root of the file. */
export interface SchemaFault {
  path: string[];
  keyword: string;
}

// These only say that something below them is wrong.
const passedOn = new Set(['properties', 'additionalProperties', 'propertyNames', 'items']);

/** The validator compares each item of a list with each other; `duplicatesIn` does not. */
const quick = JSON.parse(
  JSON.stringify(strataSchema, (name, value) => (name === 'uniqueItems' ? undefined : value)),
) as object;

/** Every list with a text that stands in it twice. */
function duplicatesIn(data: unknown): SchemaFault[] {
  if (!isRecord(data)) return [];
  const isTwice = (list: unknown): boolean => Array.isArray(list) && new Set(list).size < list.length;
  const lists = ['contexts', 'external'].filter((name) => isTwice(data[name])).map((name) => [name]);
  for (const section of ['configMaps', 'secrets']) {
    for (const [name, fields] of isRecord(data[section]) ? Object.entries(data[section]) : []) {
      for (const [key, field] of isRecord(fields) ? Object.entries(fields) : [])
        if (isRecord(field) && isTwice(field.oneOf)) lists.push([section, name, key, 'oneOf']);
    }
  }
  return lists.map((path) => ({ path, keyword: 'uniqueItems' }));
}

function validate(data: unknown): { instanceLocation: string; keyword: string }[] {
  try {
    return new Validator(quick, '2020-12', false).validate(data).errors;
  } catch (error) {
    // A name with a lone surrogate has no URI form, in which the validator keeps its place.
    if (error instanceof URIError) return [{ instanceLocation: '#', keyword: 'pattern' }];
    throw error;
  }
}

/** Every fault of one file, each at its deepest place. Empty: `data` is a `StrataFile`. */
export function checkSchema(data: unknown): SchemaFault[] {
  const found = validate(data)
    .filter(({ keyword }) => !passedOn.has(keyword))
    .map(({ instanceLocation, keyword }) => ({
      path: instanceLocation
        .split('/')
        .slice(1)
        .map((part) => decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')),
      keyword,
    }));
  return [...found, ...duplicatesIn(data)];
}
