import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  diskTreeFiles,
  findLine,
  listOverlays,
  readLayers,
  readNamespace,
  resolveOverlay,
} from '../scripts/lib/overlay.ts';
import { rejection } from './support/assertions.ts';
import { withTree } from './support/tree.ts';

const kustomization = (fields: Record<string, unknown> = {}): string =>
  JSON.stringify({ namespace: 'n', ...fields });

const overlays = suite('listOverlays');

overlays('lists folders with a kustomization under any of its names, sorted', async () => {
  const files = {
    'overlays/z/kustomization.yaml': '',
    'overlays/a/kustomization.yml': '',
    'overlays/m/Kustomization': '',
    'overlays/empty/readme.txt': '',
    'overlays/.hidden/kustomization.yaml': '',
    'overlays/file': '',
  };
  await withTree(files, async (root) => assert.equal(await listOverlays(root), ['a', 'm', 'z']));
});

overlays('is empty where there is no overlays folder', async () => {
  await withTree({}, async (root) => assert.equal(await listOverlays(root), []));
});

const resolving = suite('resolveOverlay');
const two = { 'overlays/minikube/kustomization.yaml': '', 'overlays/dev/kustomization.yaml': '' };

resolving('gives the folder', async () => {
  await withTree(two, async (root) => assert.is(await resolveOverlay(root, 'dev'), 'overlays/dev'));
});

for (const [name, message, hint] of [
  ['minikbe', 'there is no overlay minikbe, did you mean minikube?', 'one of: dev, minikube'],
  ['production', 'there is no overlay production', 'one of: dev, minikube'],
  ['overlays/dev', 'an overlay is named without a path, got overlays/dev', 'one of: dev, minikube'],
  ['../base', 'an overlay is named without a path, got ../base', 'one of: dev, minikube'],
  ['..', 'there is no overlay ..', 'one of: dev, minikube'],
  ['', 'there is no overlay ', 'one of: dev, minikube'],
  ['__proto__', 'there is no overlay __proto__', 'one of: dev, minikube'],
] as const) {
  resolving(`refuses ${JSON.stringify(name)}`, async () => {
    await withTree(two, async (root) => {
      const error = await rejection(resolveOverlay(root, name));
      assert.equal([error.code, error.message, error.hint], ['OVERLAY_NOT_FOUND', message, hint]);
    });
  });
}

resolving('says how to begin when there are none', async () => {
  await withTree({}, async (root) => {
    const error = await rejection(resolveOverlay(root, 'dev'));
    assert.is(error.hint, 'write overlays/dev/kustomization.yaml');
  });
});

resolving('names the root unless it is that of strata itself', async () => {
  const files = { 'trees/one/overlays/dev/kustomization.yaml': '', 'trees/none/overlays/x': '' };
  await withTree(files, async (home) => {
    const said = async (root: string, from: string) => {
      const { message, hint } = await rejection(resolveOverlay(root, 'minikube', from));
      return [message, hint];
    };
    const one = path.join(home, 'trees/one');
    assert.equal(await said(one, home), ['there is no overlay minikube in trees/one', 'one of: dev']);
    assert.equal(await said(one, one), ['there is no overlay minikube', 'one of: dev']);
    assert.equal(
      (await said(one, path.join(home, 'trees/none')))[0],
      `there is no overlay minikube in ${one}`,
    );
    assert.equal(await said(path.join(home, 'trees/none'), home), [
      'there is no overlay minikube in trees/none',
      'write trees/none/overlays/minikube/kustomization.yaml',
    ]);
  });
});

const namespaces = suite('readNamespace');
const read = (text: string) =>
  withTree({ 'overlays/dev/kustomization.yaml': text }, (root) => readNamespace(root, 'dev'));

namespaces('gives the namespace with its place', async () => {
  assert.equal(await read('resources: []\nnamespace: todo-dev\n'), {
    namespace: 'todo-dev',
    file: 'overlays/dev/kustomization.yaml',
    line: 2,
  });
});

for (const [name, text, message] of [
  ['none', 'resources: []', /sets no namespace/],
  ['an empty one', 'namespace:', /sets no namespace/],
  ['a number', '\nnamespace: 7', /line 2.*no text/],
  ['a capital letter', 'namespace: Todo', /"Todo"/],
  ['a dot', 'namespace: a.b', /"a.b"/],
  ['64 characters', `namespace: ${'a'.repeat(64)}`, /1 to 63/],
] as const) {
  namespaces(`refuses ${name}`, async () => {
    const error = await rejection(read(text));
    assert.is(error.code, 'TREE_INVALID');
    assert.match(error.message, message);
    assert.match(error.hint ?? '', /namespace: todo-dev/);
  });
}

namespaces('refuses two, with the line of the second', async () => {
  const error = await rejection(read('namespace: a\nnamespace: b\n'));
  assert.is(error.code, 'TREE_INVALID');
  assert.equal(
    error.problems.map(({ line }) => line),
    [2],
  );
});

const layers = suite('readLayers');
const foldersOf = (files: Record<string, string>, folder: string) =>
  withTree(files, async (root) =>
    (await readLayers(diskTreeFiles(root), folder)).map((layer) => layer.folder),
  );

layers('go depth-first through resources, then components, then the folder itself, each once', async () => {
  const files = {
    'overlays/o/kustomization.yaml': kustomization({
      components: ['../../components/c'],
      resources: ['../../mid', 'object.yaml', 'https://example.com/x', 'github.com/a/b?ref=v1'],
    }),
    'overlays/o/object.yaml': '',
    'mid/kustomization.yml': kustomization({ resources: ['../base/'], components: ['../components/d'] }),
    'base/Kustomization': kustomization({ bases: ['../deep'] }),
    'deep/kustomization.yaml': kustomization(),
    'components/c/kustomization.yaml': kustomization({ resources: ['../../base'] }),
    'components/d/kustomization.yaml': kustomization(),
  };
  assert.equal(await foldersOf(files, 'overlays/o'), [
    'deep',
    'base',
    'components/d',
    'mid',
    'components/c',
    'overlays/o',
  ]);
});

layers('findLine: in manifests, patches and kustomizations, wherever they are included from', async () => {
  const files = {
    'overlays/o/kustomization.yaml': `resources: [../../base]\npatches:\n  - path: job.yaml\n  - patch: |-\n      inline: 1\n`,
    'overlays/o/job.yaml': 'kind: Job\nannotations:\n  run: before\n',
    'base/kustomization.yaml': 'resources: [job.yaml, https://example.com/x]\n',
    'base/job.yaml': 'run: after\n\nrun: later\n',
  };
  await withTree(files, async (root) => {
    const find = (...words: string[]) => findLine(diskTreeFiles(root), 'overlays/o', words);
    assert.equal(await find('run:', 'before'), { file: 'overlays/o/job.yaml', line: 3 });
    assert.equal(await find('run:', 'later'), { file: 'base/job.yaml', line: 3 });
    assert.equal(await find('inline', '1'), { file: 'overlays/o/kustomization.yaml', line: 5 });
    assert.is(await find('run:', 'never'), undefined);
  });
});

layers('follow a folder outside of the tree', async () => {
  await withTree({ 'b/kustomization.yaml': '{}' }, async (outside) => {
    const files = {
      'o/kustomization.yaml': kustomization({
        resources: [path.join('../../', path.basename(outside), 'b')],
      }),
    };
    assert.is((await foldersOf(files, 'o')).length, 2);
  });
});

layers('tell every broken path with file and line', async () => {
  const files = {
    'o/kustomization.yaml':
      'resources:\n  - ../gone\n  - ../empty\n  - 7\ncomponents:\n  - file.yaml\n  - ../o\n',
    'o/file.yaml': '',
    'empty/readme': '',
  };
  const error = await rejection(foldersOf(files, 'o'));
  assert.is(error.code, 'TREE_INVALID');
  assert.equal(
    error.problems.map(({ file, line, message }) => [file, line, message]),
    [
      ['o/kustomization.yaml', 2, 'gone does not exist'],
      ['o/kustomization.yaml', 3, 'has no kustomization.yaml'],
      ['o/kustomization.yaml', 4, 'expected a path'],
      ['o/kustomization.yaml', 6, 'a component is a folder, this is a file'],
      ['o/kustomization.yaml', 7, 'the kustomizations include each other: o → o'],
    ],
  );
});

layers('tell a kustomization that is no map', async () => {
  const error = await rejection(foldersOf({ 'o/kustomization.yaml': '- a' }, 'o'));
  assert.match(error.problems[0]?.message ?? '', /expected a map/);
});

layers('tell a file that cannot be read', async () => {
  await withTree({}, async (root) => {
    mkdirSync(path.join(root, 'o/kustomization.yaml'), { recursive: true });
    assert.is((await rejection(readLayers(diskTreeFiles(root), 'o'))).code, 'FILE_UNREADABLE');
    mkdirSync(path.join(root, 'p'));
    symlinkSync('kustomization.yaml', path.join(root, 'p/kustomization.yaml'));
    const error = await rejection(readLayers(diskTreeFiles(root), 'p'));
    assert.match(error.message, /circle/);
    writeFileSync(path.join(root, 'q'), '');
  });
});

overlays.run();
resolving.run();
namespaces.run();
layers.run();
