import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { generatedNameOf, parseManifests, referenceOf } from '../scripts/lib/manifest.ts';
import { explainKustomizeError, render, splitManifests, warningsOf } from '../scripts/lib/render.ts';
import { createScrubber } from '../scripts/lib/scrub.ts';
import { rejection } from './support/assertions.ts';
import { withKubectl } from './support/fake-kubectl.ts';
import { kustomize } from './support/kustomize.ts';
import { testSession } from './support/session.ts';
import { withTree } from './support/tree.ts';

const splitting = suite('splitManifests');

const object = (name: string, rest = ''): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n${rest}`;

for (const [name, text, expected] of [
  ['nothing', '', []],
  ['one object', object('a'), ['a']],
  ['a border in front and behind', `---\n${object('a')}---\n`, ['a']],
  ['borders with blanks', `${object('a')}--- \t\n${object('b')}`, ['a', 'b']],
  ['dashes in a block', `${object('a', 'data:\n  K: |\n    ---\n    x\n')}---\n${object('b')}`, ['a', 'b']],
  ['dashes that are no border', `${object('a', 'data:\n  K: "---"\n')}---\n${object('----')}`, ['a', '----']],
] as [string, string, string[]][]) {
  splitting(`takes ${name}`, () => {
    assert.equal(
      splitManifests(text).map((manifest) => manifest.object.metadata.name),
      expected,
    );
  });
}

splitting('each object keeps the very text it came as', () => {
  const [a, b] = [object('a', '# comment\n'), object('b')];
  assert.equal(
    splitManifests(`${a}---\n${b}`).map(({ text }) => text),
    [a, b],
  );
});

splitting('what is no object is told by the number of its document', () => {
  assert.throws(
    () => splitManifests(`${object('a')}---\n${object('b')}---\na: 1\n`),
    /^document 3 is no Kubernetes/,
  );
  assert.throws(() => splitManifests(`${object('a')}---\na: *b\n`), /^document 2 is not valid YAML/);
});

splitting('the objects of a List get a text of their own', () => {
  const items = ['a', 'b'].map((name) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }));
  const manifests = splitManifests(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  assert.equal(
    manifests.map(({ text }) => JSON.parse(text)),
    items,
  );
});

// Everything that looks like a border or begins a document, as values that a ConfigMap carries.
const awkward = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '---',
        '--- ',
        '---\t',
        '...',
        '--- # x',
        '%YAML 1.2',
        '\n',
        '\n\n',
        '\r\n',
        '\r',
        '\t',
        ' ',
        'a: b',
        '- x',
        '# x',
        '|',
        '>-',
        '"',
        "'",
        '🚀',
        'é',
        '\u00a0',
        '\ufeff',
        '~',
        'null',
        '0x1F',
        '1_000',
        '1e3',
        'yes',
        '=',
        '<<',
        '*a',
        '&a',
        '!x',
        '{{',
        '@',
        '`',
      ),
      fc.string({ unit: 'grapheme', maxLength: 12 }),
    ),
    { maxLength: 8 },
  )
  .map((pieces) => pieces.join(''))
  .filter((value) => !/[\u007f-\u009f\u2028\u2029\ufffe\uffff\0]/.test(value) && value.isWellFormed())
  .filter((value) => !(value.startsWith('\t') && value.includes('\n')));

splitting('finds every object, its bytes and its values in what kustomize really prints', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(awkward, { minLength: 120, maxLength: 120 }), (values) => {
      const files: Record<string, string> = {};
      const configMapGenerator = Array.from({ length: 12 }, (_, index) => ({
        name: `config-${index}`,
        files: values.slice(index * 10, index * 10 + 10).map((value, key) => {
          files[`v/${index}.${key}`] = value;
          return `K${key}=v/${index}.${key}`;
        }),
      }));
      files['kustomization.yaml'] = JSON.stringify({ configMapGenerator });
      return withTree(files, async (root) => {
        const { stdout, stderr } = await kustomize(root);
        assert.is(stderr, '');
        const manifests = splitManifests(stdout);
        assert.is(manifests.map(({ text }) => text).join('---\n'), stdout);
        assert.equal(
          manifests.map((manifest) => manifest.object),
          parseManifests(stdout),
        );
        const found = new Map(
          manifests.map((manifest) => [generatedNameOf(referenceOf(manifest.object)), manifest.object.data]),
        );
        for (const [index] of configMapGenerator.entries()) {
          const expected = values.slice(index * 10, index * 10 + 10).map((value, key) => [`K${key}`, value]);
          assert.equal(found.get(`config-${index}`), Object.fromEntries(expected));
        }
      });
    }),
    { numRuns: 2 },
  );
});

const explaining = suite('explainKustomizeError');

const broken: readonly {
  name: string;
  files: Record<string, string>;
  message: string;
  hint: string;
  patched?: object;
}[] = [
  {
    name: 'a resource that is not there',
    files: {
      'kustomization.yaml': 'resources: [base]\n',
      'base/kustomization.yaml': 'resources: [gone.yaml]\n',
    },
    message: 'base/gone.yaml does not exist',
    hint: 'create it, or correct the entry that names it',
  },
  {
    name: 'a folder without a kustomization',
    files: { 'kustomization.yaml': 'resources: [base]\n', 'base/readme': '' },
    message: 'base has no kustomization.yaml',
    hint: 'create it, or correct the entry that names this folder',
  },
  {
    name: 'a patch file that is not there, which klog tells in several lines',
    files: {
      'kustomization.yaml': 'resources: [a.yaml]\npatches: [{path: gone.yaml}]\n',
      'a.yaml': object('a'),
    },
    message: 'gone.yaml does not exist',
    hint: 'create it, or correct the entry that names it',
  },
  {
    name: 'a field that kustomize does not know',
    files: {
      'kustomization.yaml': 'resources: [base]\n',
      'base/kustomization.yaml': 'configMapGenerators: []\n',
    },
    message: 'the kustomization of base has the unknown field configMapGenerators',
    hint: 'https://kubectl.docs.kubernetes.io/references/kustomize/',
  },
  {
    name: 'a kustomization that is no YAML',
    files: { 'kustomization.yaml': 'resources: [base]\n', 'base/kustomization.yaml': 'a: [\n' },
    message: 'the kustomization of base is not valid: yaml: line 1: did not find expected node content',
    hint: 'https://kubectl.docs.kubernetes.io/references/kustomize/',
  },
  {
    name: 'a manifest that is no YAML',
    files: {
      'kustomization.yaml': 'resources: [base]\n',
      'base/kustomization.yaml': 'resources: [deep]\n',
      'base/deep/kustomization.yaml': 'resources: [a.yaml]\n',
      'base/deep/a.yaml': 'kind: b: c\n',
    },
    message: 'base/deep/a.yaml is not valid YAML: mapping values are not allowed in this context',
    hint: 'correct the file, then run the same command again',
  },
  {
    name: 'a file outside of the kustomization',
    files: {
      'kustomization.yaml': 'resources: [base]\n',
      'base/kustomization.yaml': 'secretGenerator: [{name: s, files: [k=../secret]}]\n',
      secret: 'x',
    },
    message: 'secret is outside of base',
    hint: 'move it into the folder of the kustomization that names it',
  },
  {
    name: 'an object without a name',
    files: {
      'kustomization.yaml': 'resources: [base]\n',
      'base/kustomization.yaml': 'resources: [job.yaml]\n',
      'base/job.yaml': 'apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: job-}\n',
    },
    message: 'a Job in job.yaml has no metadata.name',
    hint: 'give it a name: what has generateName alone could never be found again',
  },
  {
    name: 'a patch for an object that is not there',
    files: {
      'kustomization.yaml':
        'patches: [{patch: "{apiVersion: apps/v1, kind: Deployment, metadata: {name: gone}}"}]\n',
    },
    message: 'a patch has no object to change: Deployment.v1.apps/gone.[noNs]',
    hint: 'correct kind and name in the patch',
    patched: { kind: 'Deployment', name: 'gone' },
  },
  {
    name: 'the same object in two files',
    files: {
      'kustomization.yaml': 'resources: [a.yaml, b.yaml]\n',
      'a.yaml': object('a'),
      'b.yaml': object('a'),
    },
    message: 'the same object is there twice: ConfigMap.v1.[noGrp]/a.[noNs]',
    hint: 'remove one of the two',
  },
  {
    name: 'an object that the tree and the env contract both make',
    files: {
      'kustomization.yaml': 'resources: [base]\nsecretGenerator: [{name: s}]\n',
      'base/kustomization.yaml': 'secretGenerator: [{name: s}]\n',
    },
    message: 'Secret/s is made twice: the tree has it, and strata.yaml names it too',
    hint: 'remove it from the tree, or from strata.yaml',
  },
];

// All at once: each of them is one short process.
const outcomes = broken.map(({ files }) =>
  withTree(files, async (root) => {
    const { status, stderr } = await kustomize(root);
    return { status, explained: explainKustomizeError(stderr, root), root };
  }),
);

for (const [index, { name, files: _, ...expected }] of broken.entries()) {
  explaining(`${name}, as the real kubectl tells it`, async () => {
    const { status, explained } = await outcomes[index]!;
    assert.is(status, 1);
    assert.equal(explained, expected);
  });
}

const otherwise = 'correct the tree, then run the same command again';

for (const [name, stderr, message] of [
  ['the prefix of kubectl', 'error: something odd\n', 'something odd'],
  [
    'the prefix of klog',
    'E1121 10:04:10.471426    4748 run.go:72] "command failed" err="say \\"please\\""\n',
    'say "please"',
  ],
  [
    'a klog message of several lines',
    'E1121 10:04:11.1    48 run.go:72] "command failed" err=<\n\ttrouble configuring X\n\tfor a reason\n >\n',
    'trouble configuring X\n\tfor a reason',
  ],
  ['warnings before it', "# Warning: 'vars' is deprecated.\nerror: something odd\n", 'something odd'],
  ['the folder of the tree', 'error: /tree/overlays/dev is odd\n', 'overlays/dev is odd'],
  ['many wrappers, down to the innermost', 'error: a: b: c: d: e: f: why: it is so\n', 'f: why: it is so'],
  [
    'few wrappers, as they are',
    'error: accumulating resources: why: it is so\n',
    'accumulating resources: why: it is so',
  ],
  ['nothing at all', '\n', 'kubectl kustomize failed without a message'],
] as [string, string, string][]) {
  explaining(`takes ${name}`, () => {
    assert.equal(explainKustomizeError(stderr, '/tree'), { message, hint: otherwise });
  });
}

const warnings = suite('warningsOf');

warnings('says each once, without its mark, and nothing else', () => {
  const stderr =
    "# Warning: 'vars' is deprecated.\n# Warning: 'vars' is deprecated.\nE1121 x\n# Warning 'bases' too\n";
  assert.equal(warningsOf(stderr), ["'vars' is deprecated.", "'bases' too"]);
  assert.equal(warningsOf(''), []);
});

const rendering = suite('render');
const gone = 'kind: Deployment\nmetadata: {name: gone}\n';

rendering('returns the very bytes, asks for nothing but the folder, and without a kubeconfig', () =>
  withKubectl(
    `printf '%s' '${object('ä')}'; echo "# Warning: old" >&2; echo "# Warning: old" >&2`,
    async (kubectl) => {
      const session = testSession();
      const rendered = await render(session, kubectl, '/tree/.strata/run-1');
      assert.is(rendered.text, object('ä'));
      assert.is(rendered.manifests.length, 1);
      assert.equal(kubectl.calls(), ['/dev/null|kustomize /tree/.strata/run-1']);
      assert.equal(session.output, { stdout: '', stderr: 'warning: kustomize: old\n' });
    },
  ),
);

rendering('a failure is explained, without the value that kustomize prints', () =>
  withKubectl('echo "error: invalid literal source password=correct-horse" >&2; exit 1', async (kubectl) => {
    const scrubber = createScrubber();
    scrubber.add('PASSWORD', 'correct-horse');
    const error = await rejection(render(testSession({ scrubber }), kubectl, '/x'));
    assert.equal(
      [error.code, error.exitStatus, error.message],
      ['RENDER_FAILED', 3, 'the overlay does not render: invalid literal source password=[PASSWORD]'],
    );
  }),
);

rendering('a patch without its object is told with its place in the tree', () =>
  withKubectl(
    `echo 'error: no resource matches strategic merge patch "Deployment.v1.apps/gone.[noNs]": no matches' >&2; exit 1`,
    (kubectl) =>
      withTree(
        { 'overlays/dev/kustomization.yaml': 'patches:\n  - path: p.yaml\n', 'overlays/dev/p.yaml': gone },
        async (root) => {
          const { message } = await rejection(render(testSession({ root }), kubectl, '/x', 'overlays/dev'));
          assert.is(
            message,
            'the overlay does not render: overlays/dev/kustomization.yaml:2: a patch has no object to change: Deployment.v1.apps/gone.[noNs]',
          );
        },
      ),
  ),
);

rendering('what is no manifest is told, not shown', () =>
  withKubectl('echo "password: correct-horse"', async (kubectl) => {
    const error = await rejection(render(testSession(), kubectl, '/x'));
    assert.is(error.code, 'RENDER_FAILED');
    assert.match(error.message, 'document 1 is no Kubernetes object');
    assert.not.match(`${error.message}${error.hint}`, 'correct-horse');
  }),
);

splitting.run();
explaining.run();
warnings.run();
rendering.run();
