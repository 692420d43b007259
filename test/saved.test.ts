import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sha256 } from '../scripts/lib/digest.ts';
import { stableJson } from '../scripts/lib/manifest.ts';
import { argumentsOfPlan, parsePlan, type SavedPlan } from '../scripts/lib/saved.ts';
import { thrown } from './support/assertions.ts';

const version = '1.2.3';

const content = {
  schema: 'strata.dev/saved-plan/v1',
  strata: version,
  createdAt: '2026-03-01T10:00:00.000Z',
  overlay: 'dev',
  context: 'shared-dev',
  flags: {
    image: ['web=web:2'],
    'env-file': [],
    'from-process': false,
    'force-conflicts': true,
    adopt: true,
    sandbox: false,
  },
  cluster: { uid: 'u-1', ca: [], server: 'https://example.test' },
  namespace: 'todo',
  inventoryMissing: false,
  rendered: { salt: 'c2FsdA', digest: 'ZGlnZXN0', manifests: { 'ConfigMap/todo/settings': 'YQ' } },
  targets: [
    {
      action: 'change',
      group: '',
      kind: 'ConfigMap',
      namespace: 'todo',
      name: 'settings',
      expected: {
        uid: 'u-2',
        digest: 'ZA',
        writers: [{ manager: 'strata', operation: 'Apply', time: '2026-03-01T10:00:00Z' }],
      },
      outcome: 'bw',
    },
  ],
};

const textOf = (parts: Record<string, unknown> = {}): string => {
  const plan = { ...content, ...parts };
  return JSON.stringify({ ...plan, checksum: sha256(stableJson(plan)) });
};

const parsing = suite('parsePlan');

parsing('takes what was written, in whatever order and layout', () => {
  const plan = parsePlan(textOf(), 'plan.json', version);
  assert.equal([plan.overlay, plan.targets.length], ['dev', 1]);
  const turned = Object.fromEntries(Object.entries(JSON.parse(textOf())).reverse());
  assert.is(parsePlan(JSON.stringify(turned, null, 4), 'plan.json', version).overlay, 'dev');
});

const target = content.targets[0]!;
for (const [what, text, why] of [
  ['nothing', '', /cut off, or is no plan/],
  ['no JSON', 'plan', /cut off, or is no plan/],
  ['the first half', textOf().slice(0, 300), /cut off/],
  ['a list', '[]', /is no plan/],
  ['null', 'null', /is no plan/],
  ['JSON of something else', '{"schema":"x"}', /is no plan/],
  ['what --output json writes', '{"schema":"strata.dev/plan/v1"}', /--save writes what can be applied/],
  [
    'a later schema',
    textOf({ schema: 'strata.dev/saved-plan/v2' }),
    /has the schema .*v2; this version reads/,
  ],
  ['another version', textOf({ strata: '1.2.4' }), /was made by strata 1\.2\.4, this is 1\.2\.3/],
  ['an edit', textOf().replace('"sandbox":false', '"sandbox":true'), /edited or damaged: its checksum/],
  ['an edit of a list', textOf().replace('web:2', 'web:3'), /edited or damaged: its checksum/],
  ['no checksum', JSON.stringify(content), /its checksum/],
  ['no targets', textOf({ targets: undefined }), /fields are missing/],
  ['a target that is none', textOf({ targets: [null] }), /fields are missing/],
  ['a deed that is none', textOf({ targets: [{ ...target, action: 'delete' }] }), /of another type/],
  ['half a target', textOf({ targets: [{ ...target, expected: { uid: 'u' } }] }), /fields are missing/],
  ['flags of another type', textOf({ flags: { ...content.flags, image: 'a' } }), /of another type/],
  ['a cluster without CAs', textOf({ cluster: { server: 'x' } }), /fields are missing/],
  [
    'digests that are none',
    textOf({ rendered: { ...content.rendered, manifests: { a: 1 } } }),
    /another type/,
  ],
] as [string, string, RegExp][]) {
  parsing(`refuses ${what}`, () => {
    const error = thrown(() => parsePlan(text, 'plan.json', version));
    assert.equal([error.code, error.exitStatus], ['PLAN_INVALID', 2]);
    assert.match(error.message, why);
    assert.is(error.hint, 'npm run diff -- --save plan.json');
  });
}

const plan = content as unknown as SavedPlan;
const merging = suite('argumentsOfPlan');

merging('takes overlay, context and flags from the plan, and keeps those that change no plan', () => {
  const { positionals, flags } = argumentsOfPlan(
    { positionals: [], flags: { yes: true, timeout: '90s', plan: 'plan.json' } },
    plan,
    'plan.json',
  );
  assert.equal(positionals, ['dev']);
  assert.equal(flags, {
    yes: true,
    timeout: '90s',
    plan: 'plan.json',
    image: ['web=web:2'],
    'force-conflicts': true,
    adopt: true,
    context: 'shared-dev',
  });
});

merging('for the sandbox no context is named, for --sandbox finds it', () => {
  const sandbox = { ...plan, flags: { ...plan.flags, sandbox: true } };
  const { flags } = argumentsOfPlan({ positionals: [], flags: {} }, sandbox, 'plan.json');
  assert.equal([flags.sandbox, flags.context], [true, undefined]);
});

merging('takes the same once more', () => {
  const given = {
    image: ['web=web:2'],
    'force-conflicts': true as const,
    adopt: true as const,
    context: 'shared-dev',
  };
  assert.equal(argumentsOfPlan({ positionals: ['dev'], flags: given }, plan, 'plan.json').flags, given);
});

merging('refuses all that would make another plan, at once', () => {
  const flags = { image: ['web=web:3'], 'env-file': ['x'], sandbox: true as const, context: 'minikube' };
  const error = thrown(() => argumentsOfPlan({ positionals: ['prod'], flags }, plan, 'plan.json'));
  assert.is(error.code, 'USAGE');
  assert.match(
    error.message,
    '--image, --env-file, --sandbox, --context minikube, overlay prod would make another',
  );
  assert.is(error.hint, 'npm run up -- --plan plan.json');
});

parsing.run();
merging.run();
