import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildContract, type Contract } from '../scripts/lib/contract.ts';
import { parseEnvFile } from '../scripts/lib/envfile.ts';
import { formatNames } from '../scripts/lib/schema.ts';
import { type CheckOptions, checkValues, loadEnvValues } from '../scripts/lib/values.ts';
import { rejection } from './support/assertions.ts';
import { testSession } from './support/session.ts';
import { withTree } from './support/tree.ts';

function contractOf(text: string): Contract {
  const { contract, problems } = buildContract([{ file: 'strata.yaml', text }]);
  assert.equal(problems, []);
  return contract;
}

const contract = contractOf(`
configMaps:
  config:
    MODE: { default: dev, oneOf: [dev, prod] }
    NAME: { optional: true }
secrets:
  one:
    TOKEN: { minLength: 3, description: "Token of the thing." }
  two:
    token: { env: TOKEN }
    SALT: { generate: true }
    EXTRA: { optional: true }
`);

function check(texts: readonly string[], options: CheckOptions = {}, of = contract) {
  const keys = new Set(of.fields.map(({ envKey }) => envKey));
  const { values, problems } = checkValues(
    of,
    texts.map((text, index) => parseEnvFile(text, ['.env', '.env.dev'][index]!, keys)),
    options,
  );
  return {
    values: Object.fromEntries(
      values.map(({ field, value, source }) => {
        const place = source && (source.kind === 'process' ? 'process' : `${source.file}:${source.line}`);
        return [`${field.object.name}.${field.dataKey}`, [value, place] as const];
      }),
    ),
    told: problems.map(
      ({ severity, file, line, subject, message }) =>
        `${severity} ${file ?? ''}:${line ?? ''} ${subject}: ${message}`,
    ),
    problems,
  };
}

const resolving = suite('checkValues, values');
const enough = 'TOKEN=abd\nSALT=x\n';

resolving('come from files, defaults or nowhere', () => {
  const { values, told } = check([enough]);
  assert.equal(told, []);
  assert.equal(values, {
    'config.MODE': ['dev', 'strata.yaml:4'],
    'config.NAME': [undefined, undefined],
    'one.TOKEN': ['abd', '.env:1'],
    'two.token': ['abd', '.env:1'],
    'two.SALT': ['x', '.env:2'],
    'two.EXTRA': [undefined, undefined],
  });
});

for (const [name, texts, options, key, expected] of [
  ['the later layer wins', [`${enough}NAME=a`, 'NAME=b'], {}, 'config.NAME', ['b', '.env.dev:1']],
  ['an empty later layer wins too', [`${enough}NAME=a`, 'NAME='], {}, 'config.NAME', ['', '.env.dev:1']],
  ['an empty optional value is empty', [`${enough}NAME=`], {}, 'config.NAME', ['', '.env:3']],
  ['an empty value leaves the default', [`${enough}MODE=`], {}, 'config.MODE', ['dev', 'strata.yaml:4']],
  [
    'the process wins where it is asked for',
    [`${enough}NAME=a`],
    { process: { NAME: 'p', OTHER: 'o' } },
    'config.NAME',
    ['p', 'process'],
  ],
  [
    'the process counts only for keys it has',
    [`${enough}NAME=a`],
    { process: {} },
    'config.NAME',
    ['a', '.env:3'],
  ],
] as [string, string[], CheckOptions, string, [string, string]][]) {
  resolving(name, () => {
    const { values, told } = check(texts, options);
    assert.equal(told, []);
    assert.equal(values[key], expected);
  });
}

const missing = suite('checkValues, missing');

missing('is told once for each env key, with objects, description and hint', () => {
  const { problems } = check(['SALT=']);
  assert.equal(problems, [
    {
      severity: 'error',
      file: 'strata.yaml',
      line: 8,
      subject: 'TOKEN',
      message: 'is missing; one[TOKEN], two[token] needs it: Token of the thing',
      hint: 'add `TOKEN=…` to .env',
    },
    {
      severity: 'error',
      file: 'strata.yaml',
      line: 11,
      subject: 'SALT',
      message: 'is missing: empty in .env:1; two[SALT] needs it',
      hint: 'add `SALT=…` to .env; `openssl rand -base64 36` makes a good one',
    },
  ]);
});

missing('leads to --init where there is no env file', () => {
  assert.equal(
    check([]).problems.map(({ hint }) => hint),
    Array(2).fill('npm run env -- --init'),
  );
});

missing('an empty variable of the process is missing', () => {
  assert.equal(check([enough], { process: { TOKEN: '' } }).told, [
    'error strata.yaml:8 TOKEN: is missing: empty (in the process environment); one[TOKEN], two[token] needs it: Token of the thing',
  ]);
});

missing('a field that is optional in one object is required by the other', () => {
  const both = contractOf('secrets: {a: {K: {optional: true}}, b: {K: }}');
  assert.equal(check(['K='], {}, both).told, [
    'error strata.yaml:1 K: is missing: empty in .env:1; b[K] needs it',
  ]);
});

missing('is not told while the contract itself is broken, nor are unknown keys', () => {
  assert.equal(check(['X=1\nMODE=x'], { incomplete: true }).told, [
    'error .env:2 MODE: expected one of: dev, prod',
  ]);
});

const faults = suite('checkValues, faults');
const one = (section: string, rules = ''): Contract => contractOf(`${section}: {o: {K: {${rules}}}}`);

for (const [name, of, process, ...messages] of [
  [
    'one of',
    one('configMaps', 'oneOf: [a, b]'),
    'c',
    'error : K: expected one of: a, b (in the process environment)',
  ],
  [
    'a format',
    one('secrets', 'format: port'),
    'x',
    'error : K: format port: expected a port: a whole number from 1 to 65535 (in the process environment)',
  ],
  ['128 KiB with key and NUL', one('secrets'), 'x'.repeat(128 * 1024 - 3)],
  [
    'a byte more',
    one('secrets'),
    'x'.repeat(128 * 1024 - 2),
    'error : K: is 131073 bytes with its key; Linux starts no process with a variable of more than 128 KiB (in the process environment)',
  ],
  [
    'NUL',
    one('secrets'),
    'a\0',
    'error : K: has a NUL character, and no environment can hold one (in the process environment)',
  ],
  [
    'NEL',
    one('configMaps'),
    'a\u0085',
    'error : K: has the character U+0085, which a ConfigMap does not carry unchanged (in the process environment)',
  ],
  [
    'DEL',
    one('configMaps'),
    '\u007f',
    'error : K: has the character U+007F, which a ConfigMap does not carry unchanged (in the process environment)',
  ],
  [
    'C1',
    one('configMaps'),
    '\u0090',
    'error : K: has the character U+0090, which a ConfigMap does not carry unchanged (in the process environment)',
  ],
  [
    'a noncharacter',
    one('configMaps'),
    '\uffff',
    'error : K: has the character U+FFFF, which a ConfigMap does not carry unchanged (in the process environment)',
  ],
  [
    'a line separator',
    one('configMaps'),
    'a\u2028b',
    'error : K: has the character U+2028, which a ConfigMap does not carry unchanged (in the process environment)',
  ],
  [
    'lines that begin with a tab',
    one('configMaps'),
    '\ta\nb',
    'error : K: has several lines and begins with a tab, which Kustomize refuses in a ConfigMap (in the process environment)',
  ],
  ['one line that begins with a tab', one('configMaps'), '\ta'],
  ['ESC, CR, BOM, emoji, no-break space', one('configMaps'), '\u001b\r\n\ufeff😀\u00a0 '],
  ['all of it in a Secret', one('secrets'), '\ta\n\u0085\u007f\u2028\uffff'],
  [
    'an empty optional value of any format',
    one('configMaps', 'optional: true, format: port, minLength: 3'),
    '',
  ],
] as [string, Contract, string, ...string[]][]) {
  faults(name, () => assert.equal(check([], { process: { K: process } }, of).told, messages));
}

faults('an object over 1 MiB is told', () => {
  const names = Array.from({ length: 9 }, (_, index) => `K${index}`);
  const big = contractOf(`secrets: {o: {${names.map((name) => `${name}: `).join(', ')}}}`);
  const text = names.map((name) => `${name}=${'x'.repeat(120_000)}`).join('\n');
  assert.equal(check([text], {}, big).told, [
    'error strata.yaml:1 Secret/o: its values are 1080000 bytes together; the API server takes at most 1 MiB',
  ]);
});

faults('an unknown key is a warning with the nearest name', () => {
  assert.equal(check([`${enough}TOKE=x\nOTHER=y`]).told, [
    'warning .env:3 TOKE: no contract names this key, so its value goes nowhere; did you mean TOKEN?',
    'warning .env:4 OTHER: no contract names this key, so its value goes nowhere',
  ]);
});

faults('a key that may be a piece of a secret is not named', () => {
  assert.equal(check([`${enough}NAME=MIIE\nZm9vYmFy==`]).told, [
    'warning .env:4 undefined: no contract names this key, so its value goes nowhere',
  ]);
});

faults('never have a piece of a value', () => {
  const piece = fc.nat(0xffffffff).map((number) => `Qx${number.toString(16).padStart(8, '0')}Z`);
  const rules = fc.constantFrom(
    'minLength: 99',
    'oneOf: [a]',
    'pattern: "^a$"',
    ...formatNames.map((format) => `format: ${format}`),
  );
  const ends = fc.constantFrom('', '#', '\u0085', '\n', '"', '@h/d', ' $', '\0', '\\"');
  fc.assert(
    fc.property(
      piece,
      rules,
      ends,
      fc.constantFrom('secrets', 'configMaps'),
      fc.boolean(),
      (value, rule, end, section, quoted) => {
        const of = one(section, rule);
        const text = quoted ? `K="${value}${end}"\n${value}=${end}` : `K=${value}${end}${value}\nK=${value}`;
        for (const options of [{}, { process: { K: value + end } }]) {
          assert.not(JSON.stringify(check([text], options, of).problems).includes(value));
        }
      },
    ),
    { numRuns: 500 },
  );
});

const placeholders = suite('checkValues, placeholders');

const guarded = contractOf(`
secrets:
  one:
    URL: { format: postgres-url }
    SALT: { generate: true }
    MODE: { oneOf: [test, demo], optional: true }
    PORT: { format: port, optional: true }
  two:
    url: { env: URL, placeholder: allow }
    ALLOWED: { placeholder: allow, optional: true }
`);

const url = 'postgresql://todo:m8QzT4vKe2@ep-cool-frost-a1.eu-central-1.aws.neon.tech/todo?ssl=require';

placeholders('are told once for an env key, with the reason, what to do, and no part of the value', () => {
  const { problems } = check(['URL=postgresql://user:changeme@db/todo\nSALT=changeme\n'], {}, guarded);
  assert.equal(problems, [
    {
      severity: 'warning',
      file: '.env',
      line: 1,
      subject: 'URL',
      message:
        'is no secret: the credential in it is made of words that stand for a secret, like those of a template',
      hint: 'put the real value there; if it is meant so: `placeholder: allow` for one[URL] (strata.yaml:4)',
    },
    {
      severity: 'warning',
      file: '.env',
      line: 2,
      subject: 'SALT',
      message: 'is no secret: it is made of words that stand for a secret, like those of a template',
      hint: '`openssl rand -base64 36` makes a good one; if it is meant so: `placeholder: allow` for one[SALT] (strata.yaml:5)',
    },
  ]);
});

for (const [rule, severities] of [
  ['refuse', ['error', 'error']],
  ['tell', ['warning', 'warning']],
  ['ignore', []],
] as const) {
  placeholders(`${rule}: ${severities.join(', ') || 'nothing'}`, () => {
    const { problems } = check(
      ['URL=postgresql://u:<password>@db/d\nSALT=todo\n'],
      { placeholders: rule },
      guarded,
    );
    assert.equal(
      problems.map(({ severity }) => severity),
      severities,
    );
  });
}

placeholders('what the contract itself lists, numbers and what it allows are none', () => {
  const text = `URL=${url}\nSALT=x7Lm2Vq\nMODE=test\nPORT=1234\nALLOWED=changeme\n`;
  assert.equal(check([text], { placeholders: 'refuse' }, guarded).told, []);
});

placeholders('a host of a template is told once', () => {
  const { told } = check(['URL=postgresql://todo:m8QzT4vKe2@db.example.com/d\nSALT=x7Lm2Vq\n'], {}, guarded);
  assert.equal(told, [
    'warning .env:1 URL: is no secret: the host in it is one of documentation or a template',
  ]);
});

for (const [title, example] of [
  ['as it stands', `URL="${url}"\n`],
  ['commented out', `# URL=${url}\n`],
]) {
  placeholders(`what .env.example says is none, ${title}`, () => {
    const { told } = check([`URL=${url}\nSALT=x7Lm2Vq\n`], { example, placeholders: 'refuse' }, guarded);
    assert.equal(told, [
      'error .env:1 URL: is no secret: it is what .env.example says, which everybody can read',
    ]);
  });
}

placeholders('a later overlay can take the allowance back', () => {
  const { contract: merged } = buildContract([
    { file: 'a.yaml', text: 'secrets: {s: {A: {placeholder: allow}, B: {placeholder: allow}}}' },
    { file: 'b.yaml', text: 'secrets: {s: {B: {placeholder: refuse}}}' },
  ]);
  assert.equal(
    check(['A=changeme\nB=changeme\n'], {}, merged).problems.map(({ subject }) => subject),
    ['B'],
  );
});

const loading = suite('loadEnvValues');

const tree = {
  'overlays/dev/kustomization.yaml': 'resources: [../../base]\nnamespace: n\n',
  'overlays/dev/strata.yaml': 'configMaps: {c: {MODE: {default: dev}}}\n',
  'base/kustomization.yaml': '{}',
  'base/strata.yaml': 'configMaps: {c: {MODE: {oneOf: [dev, prod]}}}\nsecrets: {s: {TOKEN: }}\n',
};

const load = (files: Record<string, string>, options = {}, environment = {}) =>
  withTree({ ...tree, ...files }, async (root) => {
    const session = testSession({ root, environment: { INIT_CWD: root, ...environment } });
    const loaded = await loadEnvValues(session, 'dev', options);
    return { ...loaded, session, text: loaded.values.map(({ value }) => value).join(' ') };
  });

for (const [name, files, options, environment, text] of [
  ['.env', { '.env': 'TOKEN=secret1' }, {}, {}, 'dev secret1'],
  [
    '.env.<overlay> over .env',
    { '.env': 'TOKEN=secret1', '.env.dev': 'TOKEN=secret2' },
    {},
    {},
    'dev secret2',
  ],
  [
    '--env-file in place of both',
    { '.env': 'TOKEN=secret1\nMODE=prod', other: 'TOKEN=secret2' },
    { envFiles: ['other'] },
    {},
    'dev secret2',
  ],
  [
    'several --env-file, later ones winning',
    { a: 'TOKEN=secret1\nMODE=prod', b: 'TOKEN=secret2' },
    { envFiles: ['a', 'b'] },
    {},
    'prod secret2',
  ],
  [
    'the process with --from-process',
    { '.env': 'TOKEN=secret1' },
    { fromProcess: true },
    { TOKEN: 'secret3' },
    'dev secret3',
  ],
  ['the process without it', { '.env': 'TOKEN=secret1' }, {}, { TOKEN: 'secret3' }, 'dev secret1'],
] as [string, Record<string, string>, object, Record<string, string>, string][]) {
  loading(`reads ${name}`, async () => assert.is((await load(files, options, environment)).text, text));
}

loading('reads the env file of the sandbox in place of .env', async () => {
  await withTree({ env: 'TOKEN=sandbox' }, async (folder) => {
    const sandboxEnvFile = path.join(folder, 'env');
    assert.is((await load({ '.env': 'TOKEN=x' }, { sandboxEnvFile })).text, 'dev sandbox');
    assert.is(
      (await load({ other: 'TOKEN=given' }, { sandboxEnvFile, envFiles: ['other'] })).text,
      'dev given',
    );
  });
});

loading('tells the scrubber every secret of every layer, and no ConfigMap value', async () => {
  const files = { '.env': 'TOKEN=first-secret\nMODE=prod', '.env.dev': 'TOKEN=second-secret' };
  const { session } = await load(files, { fromProcess: true }, { TOKEN: 'third-secret' });
  assert.is(
    session.scrubber.scrub('first-secret second-secret third-secret prod'),
    '[TOKEN] [TOKEN] [TOKEN] prod',
  );
});

loading('gives warnings back', async () => {
  const { warnings } = await load({ '.env': 'TOKEN=x\nOTHER=y' });
  assert.equal(
    warnings.map(({ line, subject }) => [line, subject]),
    [[2, 'OTHER']],
  );
});

for (const [name, files, options, code, ...places] of [
  ['nothing at all', {}, {}, 'ENV_INVALID', 'base/strata.yaml:2'],
  [
    'everything at once, sorted',
    { '.env': 'MODE=x\nbroken line', '.env.dev': 'NOPE=1' },
    {},
    'ENV_INVALID',
    '.env:1',
    '.env:2',
    '.env.dev:1',
    'base/strata.yaml:2',
  ],
  [
    'contract and env file together',
    { '.env': 'broken line', 'overlays/dev/strata.yaml': 'x: 1' },
    {},
    'CONTRACT_INVALID',
    '.env:1',
    'overlays/dev/strata.yaml:1',
  ],
  ['a missing --env-file', {}, { envFiles: ['nope'] }, 'FILE_UNREADABLE'],
  ['a missing env file of the sandbox', {}, { sandboxEnvFile: '/nope/env' }, 'FILE_UNREADABLE'],
  ['a folder', { '.env/x': '' }, {}, 'FILE_UNREADABLE'],
] as [string, Record<string, string>, object, string, ...string[]][]) {
  loading(`throws for ${name}`, async () => {
    const error = await rejection(load(files, options));
    assert.is(error.code, code);
    assert.equal(
      error.problems.map(({ file, line }) => `${file}:${line}`),
      places,
    );
  });
}

loading('refuses a file of more than 16 MiB', async () => {
  await withTree(tree, async (root) => {
    mkdirSync(path.join(root, 'x'));
    writeFileSync(path.join(root, '.env'), Buffer.alloc(17 * 1024 * 1024, 'A=b\n'));
    const error = await rejection(loadEnvValues(testSession({ root }), 'dev'));
    assert.match(error.message, /more than 16 MiB/);
  });
});

resolving.run();
missing.run();
faults.run();
placeholders.run();
loading.run();
