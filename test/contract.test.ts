import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildContract, type Contract, loadContract } from '../scripts/lib/contract.ts';
import type { Problem } from '../scripts/lib/errors.ts';
import { rejection } from './support/assertions.ts';
import { projectFolder } from './support/session.ts';
import { withTree } from './support/tree.ts';

const build = (...texts: string[]): { contract: Contract; problems: Problem[] } =>
  buildContract(texts.map((text, index) => ({ file: `${'abc'[index]}.yaml`, text })));

function contractOf(...texts: string[]): Contract {
  const { contract, problems } = build(...texts);
  assert.equal(problems, []);
  return contract;
}

const told = (...texts: string[]): string[] =>
  build(...texts).problems.map(({ file, line, message }) => `${file}:${line} ${message}`);

const merging = suite('merge');

merging('a field has the defaults of the contract and its place', () => {
  const contract = contractOf('secrets:\n  s:\n    KEY:\n');
  assert.equal(contract.fields, [
    {
      object: { kind: 'Secret', name: 's' },
      dataKey: 'KEY',
      envKey: 'KEY',
      secret: true,
      optional: false,
      generate: false,
      buildTime: false,
      place: { file: 'a.yaml', line: 3 },
    },
  ]);
  assert.equal(contract.objects, [{ kind: 'Secret', name: 's', place: { file: 'a.yaml', line: 2 } }]);
});

merging('later files refine rule by rule; a list replaces a list', () => {
  const contract = contractOf(
    'configMaps:\n  c:\n    A: { oneOf: [x, y], description: first }\n    B: { default: b }\ncontexts: [one, two]\n',
    'configMaps:\n  c:\n    A:\n      default: z\n      oneOf: [z]\n    B:\ncontexts: [three]\n',
  );
  const [a, b] = contract.fields;
  assert.equal([a!.oneOf, a!.default, a!.description], [['z'], 'z', 'first']);
  assert.equal(
    [a!.place, a!.defaultPlace],
    [
      { file: 'b.yaml', line: 3 },
      { file: 'b.yaml', line: 4 },
    ],
  );
  assert.equal(
    [b!.default, b!.place, b!.defaultPlace],
    ['b', { file: 'b.yaml', line: 6 }, { file: 'a.yaml', line: 4 }],
  );
  assert.equal([contract.contexts, contract.contextsPlace], [['three'], { file: 'b.yaml', line: 7 }]);
  assert.equal(contract.files, ['a.yaml', 'b.yaml']);
});

merging('an empty list of contexts replaces an inherited one', () => {
  assert.equal(contractOf('contexts: [a]', 'contexts: []').contexts, []);
});

merging('null takes a rule away', () => {
  const [field] = contractOf(
    'configMaps: {c: {A: {default: x, format: json, pattern: ".", minLength: 1, oneOf: [x]}}}'.replace(
      'format: json, ',
      '',
    ),
    'configMaps: {c: {A: {default: null, pattern: null, minLength: null, oneOf: null}}}',
  ).fields;
  for (const rule of ['default', 'pattern', 'minLength', 'oneOf', 'format'])
    assert.not.ok(rule in field!, rule);
});

merging('objects without fields stay, ConfigMaps come first', () => {
  const contract = contractOf('secrets: {s: }\nconfigMaps: {c: {}, d: {K: }}\nexternal: [Secret/x]\n');
  assert.equal(
    contract.objects.map(({ kind, name }) => `${kind}/${name}`),
    ['ConfigMap/c', 'ConfigMap/d', 'Secret/s'],
  );
  assert.equal(contract.external, ['Secret/x']);
});

merging('anchors, aliases and merge keys are resolved, and places found through them', () => {
  const text = `
secrets:
  one: &shared
    A: &rules
      minLength: 3
    B: *rules
  two: *shared
  three:
    <<: *shared
    C: { <<: *rules, optional: true }
`;
  const { fields } = contractOf(text);
  assert.equal(
    fields.map(({ dataKey, minLength }) => `${dataKey}${minLength}`).join(' '),
    'A3 B3 A3 B3 A3 B3 C3',
  );
  assert.equal(
    fields.map(({ place }) => place.line),
    [4, 6, 4, 6, 4, 6, 10],
  );
});

merging('names of prototypes are ordinary names', () => {
  const contract = contractOf(
    'configMaps: {constructor: {toString: {default: x}}}',
    'configMaps: {constructor: {toString: }}',
  );
  assert.equal(
    contract.fields.map(({ dataKey, default: text }) => [dataKey, text]),
    [['toString', 'x']],
  );
});

const faults = suite('faults');

const inField = (rules: string): string => `configMaps:\n  c:\n    KEY: { ${rules} }\n`;
const inSecret = (rules: string): string => `secrets:\n  s:\n    KEY: { ${rules} }\n`;

for (const [name, text, ...messages] of [
  [
    'a tab',
    'configMaps:\n\tc:\n',
    'a.yaml:2 not valid YAML: a tab is used for indentation; YAML takes spaces only',
  ],
  [
    'a key twice',
    'secrets: {}\nsecrets: {}\n',
    'a.yaml:2 not valid YAML: the same key stands twice in this map',
  ],
  [
    'two documents',
    'secrets: {}\n---\nsecrets: {}\n',
    'a.yaml:2 not valid YAML: a second document begins here (---); the file has to be one document',
  ],
  ['a list', '- a\n', 'a.yaml:1 expected a map with configMaps, secrets, contexts, cluster, external'],
  ['a text', 'hello\n', 'a.yaml:1 expected a map with configMaps, secrets, contexts, cluster, external'],
  ['a section with a typo', '\nsecret: {}\n', 'a.yaml:2 unknown field, did you mean secrets?'],
  [
    'an unknown section',
    'services: {}\n',
    'a.yaml:1 unknown field; known here: configMaps, secrets, contexts, cluster, external',
  ],
  ['a rule with a typo', inField('defualt: x'), 'a.yaml:3 unknown field, did you mean default?'],
  [
    'a default of a secret',
    inSecret('default: x'),
    'a.yaml:3 a secret has no default: it would stand in a tracked file for everybody to read',
  ],
  [
    'a generated ConfigMap',
    inField('default: x, generate: true'),
    'a.yaml:3 only secrets are generated; a ConfigMap can be read by anybody',
  ],
  [
    'a placeholder in a ConfigMap',
    inField('default: x, placeholder: allow'),
    'a.yaml:3 only secrets are looked at for placeholders',
  ],
  ['a placeholder rule with a typo', inSecret('placeholder: alow'), 'a.yaml:3 expected allow or refuse'],
  [
    'a baked secret',
    inSecret('buildTime: true'),
    'a.yaml:3 a secret cannot be baked into an image: it would be readable by everybody who has the image',
  ],
  [
    'a number as default',
    inField('default: 8000'),
    'a.yaml:3 expected a text; numbers, true and false need quotes',
  ],
  [
    'a format with a typo',
    inField('format: http-ulr'),
    'a.yaml:3 expected one of http-url, origin-list, postgres-url, postgres-direct-url, port, integer, boolean, json, base64; did you mean http-url?',
  ],
  [
    'a value of a ConfigMap',
    'configMaps: {c: {KEY: x}}',
    'a.yaml:1 expected the rules of the field, like { default: "…" }, or nothing after the colon',
  ],
  [
    'a value of a secret',
    'secrets: {s: {KEY: x}}',
    'a.yaml:1 expected the rules of the field, or nothing after the colon; the value itself belongs in .env',
  ],
  ['an object that is a list', 'secrets: {s: [A]}', 'a.yaml:1 expected a map of data keys'],
  ['a section that is a list', 'secrets: [s]', 'a.yaml:1 expected a map of object names'],
  ['contexts as a text', 'contexts: minikube', 'a.yaml:1 expected a list of different context names'],
  [
    'default and optional',
    inField('default: x, optional: true'),
    'a.yaml:3 default and optional exclude each other: with a default it is never absent',
  ],
  ['an empty default', inField('default: ""'), 'a.yaml:3 an empty default says nothing'],
  [
    'a default out of oneOf',
    inField('default: x, oneOf: [y, z]'),
    "a.yaml:3 the default breaks the field's own rule: expected one of: y, z",
  ],
  [
    'a default of another format',
    inField('default: x, format: port'),
    "a.yaml:3 the default breaks the field's own rule: format port: expected a port: a whole number from 1 to 65535",
  ],
  [
    'a default that is too short',
    inField('default: x, minLength: 2'),
    "a.yaml:3 the default breaks the field's own rule: is too short: expected at least 2 characters, found 1",
  ],
  [
    'a pattern that is none',
    inField('default: x, pattern: "("'),
    'a.yaml:3 pattern is no regular expression of JavaScript (flag u)',
  ],
  [
    'generate with oneOf',
    inSecret('generate: true, oneOf: [x]'),
    'a.yaml:3 generate and oneOf exclude each other',
  ],
  [
    'generate with minLength 64',
    inSecret('generate: true, minLength: 64'),
    'a.yaml:3 generate makes 48 characters of A-Z, a-z, 0-9, - and _, fewer than minLength',
  ],
  [
    'generate with a format',
    inSecret('generate: true, format: base64'),
    'a.yaml:3 generate makes 48 characters of A-Z, a-z, 0-9, - and _, which is not of format base64',
  ],
  [
    'a data key that is no env key',
    'secrets: {s: {jwt-secret: }}',
    'a.yaml:1 this data key is no env key, so the field has to name one',
  ],
  [
    'a context that is all contexts',
    'contexts:\n  - a\n  - "**"\n',
    'a.yaml:3 this glob matches every cluster',
  ],
  [
    'a glob with ?',
    'contexts: ["a?"]',
    'a.yaml:1 only * stands for other characters; ? [ ] { } ! and white space are not allowed',
  ],
  [
    'several faults',
    'secrets:\n  S:\n  s:\n    K: { minLength: 0, x: 1 }\n',
    'a.yaml:2 is no object name: expected at most 242 of a-z, 0-9, - and ., with a letter or digit at both ends of each part',
    'a.yaml:4 expected a whole number from 1',
    'a.yaml:4 unknown field; known here: env, optional, format, oneOf, pattern, minLength, description, generate, placeholder',
  ],
] as [string, string, ...string[]][]) {
  faults(`tells ${name}`, () => assert.equal(told(text), messages));
}

faults('a rule with the name of a prototype is unknown', () => {
  assert.match(told(inField('constructor: x'))[0]!, /^a.yaml:3 unknown field/);
});

faults('an alias bomb is told, not expanded', () => {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let level = 1; level < 9; level++) {
    lines.push(
      `a${level}: &a${level} [${Array(10)
        .fill(`*a${level - 1}`)
        .join(', ')}]`,
    );
  }
  assert.match(told(lines.join('\n'))[0]!, /not valid YAML: Excessive alias count/);
});

for (const [name, text] of [
  ['contexts', 'contexts: [a, b, a]'],
  ['external objects', 'external: [Secret/a, Secret/b, Secret/a]'],
  ['one of', 'secrets: {s: {K: {oneOf: [a, b, a]}}}'],
] as const) {
  faults(`${name} with a text twice are told`, () => assert.match(told(text)[0]!, /a list of different/));
}

faults('a lone surrogate in a name is told', () => {
  assert.ok(told('secrets: {"\\uD800": {}}').length > 0);
});

faults('what is right beside a fault stays', () => {
  const { contract } = build(
    'configMaps: {c: {A: {default: 1}, B: 7, C: {oneOf: [1], minLength: 2}}}\nsecrets: [x]\n',
  );
  assert.equal(
    contract.fields.map(({ dataKey, minLength }) => [dataKey, minLength]),
    [
      ['A', undefined],
      ['C', 2],
    ],
  );
});

const shared = suite('an env key in several fields');

for (const [name, one, two, message] of [
  [
    'is secret in one and not in the other',
    'secrets: {s: {K: }}',
    'configMaps: {c: {K: {optional: true}}}',
    'b.yaml:1 K is a secret in s[K] (a.yaml:1), so it cannot go into a ConfigMap',
  ],
  [
    'is secret under another data key',
    'secrets: {s: {k: {env: K}}}',
    'configMaps: {c: {K: {optional: true}}}',
    'b.yaml:1 K is a secret in s[k] (a.yaml:1), so it cannot go into a ConfigMap',
  ],
  [
    'has two formats',
    'configMaps: {c: {K: {format: port}}}',
    'configMaps: {d: {K: {format: json}}}',
    'b.yaml:1 K also feeds c[K] (a.yaml:1), and the two formats differ',
  ],
  [
    'has two defaults',
    'configMaps: {c: {K: {default: a}}}',
    'configMaps: {d: {K: {default: b}}}',
    'b.yaml:1 K also feeds c[K] (a.yaml:1), and the two defaults differ',
  ],
  [
    'has no value that both take',
    'secrets: {c: {K: {oneOf: [a]}}}',
    'secrets: {d: {K: {oneOf: [b]}}}',
    'b.yaml:1 K also feeds c[K] (a.yaml:1), and no value is in both oneOf lists',
  ],
] as const) {
  shared(`that ${name} is told with both places`, () => assert.equal(told(one, two), [message]));
}

shared('may have different lengths, patterns and overlapping lists', () => {
  contractOf(
    'secrets: {a: {K: {minLength: 3, oneOf: [abcd, xyz]}}, b: {K: {minLength: 4, pattern: x, optional: true, oneOf: [xyz]}}}',
  );
});

const loading = suite('loadContract');

loading('merges base, then components, then the overlay', async () => {
  const files = {
    'overlays/dev/kustomization.yaml':
      'resources: [../../base]\ncomponents: [../../components/c]\nnamespace: n\n',
    'overlays/dev/strata.yaml': 'configMaps: {c: {C: {default: overlay}}}',
    'base/kustomization.yaml': '{}',
    'base/strata.yaml': 'configMaps: {c: {A: {default: base}, B: {default: base}, C: {default: base}}}',
    'components/c/kustomization.yaml': '{}',
    'components/c/strata.yaml': 'configMaps: {c: {B: {default: component}, C: {default: component}}}',
  };
  await withTree(files, async (root) => {
    const contract = await loadContract(root, 'dev');
    assert.equal(
      contract.fields.map((field) => field.default),
      ['base', 'component', 'overlay'],
    );
    assert.equal(contract.files, [
      'base/strata.yaml',
      'components/c/strata.yaml',
      'overlays/dev/strata.yaml',
    ]);
  });
});

loading('a tree without strata.yaml has an empty contract', async () => {
  await withTree({ 'overlays/dev/kustomization.yaml': '{}' }, async (root) => {
    const contract = await loadContract(root, 'dev');
    assert.equal([contract.fields, contract.objects, contract.contextsPlace], [[], [], undefined]);
  });
});

loading('throws every problem of every file at once, sorted', async () => {
  const files = {
    'overlays/dev/kustomization.yaml': 'resources: [../../base]',
    'overlays/dev/strata.yaml': 'x: 1\ny: 2\n',
    'base/kustomization.yaml': '{}',
    'base/strata.yaml': '\tz',
    'base/strata.yml': '',
  };
  await withTree(files, async (root) => {
    const error = await rejection(loadContract(root, 'dev'));
    assert.is(error.code, 'CONTRACT_INVALID');
    assert.equal(
      error.problems.map(({ file, line }) => `${file}:${line ?? ''}`),
      ['base/strata.yaml:1', 'base/strata.yml:', 'overlays/dev/strata.yaml:1', 'overlays/dev/strata.yaml:2'],
    );
  });
});

for (const overlay of ['minikube', 'dev']) {
  loading(`takes the contract of ${overlay} in this project`, async () => {
    const contract = await loadContract(projectFolder, overlay);
    assert.ok(contract.fields.length > 0);
  });
}

merging.run();
faults.run();
shared.run();
loading.run();
