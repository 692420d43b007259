import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { holds, listPaths, pathsOf, type Step } from '../scripts/lib/fields.ts';

const object = {
  metadata: { labels: { 'app.kubernetes.io/name': 'web' }, finalizers: ['a/b', 'c/d'] },
  spec: {
    replicas: 3,
    selector: { app: 'web' },
    args: ['-a', '-b'],
    containers: [
      { name: 'proxy', image: 'p:1' },
      { name: 'web', image: 'w:1', ports: [{ containerPort: 80, protocol: 'TCP', name: 'http' }] },
    ],
  },
};

const set = {
  'f:metadata': {
    'f:labels': { '.': {}, 'f:app.kubernetes.io/name': {} },
    'f:finalizers': { 'v:"c/d"': {} },
  },
  'f:spec': {
    'f:replicas': {},
    'f:selector': {},
    'f:args': {},
    'f:containers': {
      'k:{"name":"web"}': {
        '.': {},
        'f:name': {},
        'f:ports': { 'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:name': {} } },
      },
    },
  },
};

const fields = suite('holds');

const rows: [Step[], boolean][] = [
  [['spec', 'replicas'], true],
  [['spec', 'paused'], false],
  [['metadata', 'labels', 'app.kubernetes.io/name'], true],
  [['metadata', 'labels', 'team'], false],
  [['metadata', 'finalizers', 0], false],
  [['metadata', 'finalizers', 1], true],
  [['spec', 'selector', 'app'], true],
  [['spec', 'args', 1], true],
  [['spec', 'containers', 0, 'image'], false],
  [['spec', 'containers', 1, 'name'], true],
  [['spec', 'containers', 1, 'image'], false],
  [['spec', 'containers', 1, 'ports', 0, 'name'], true],
  [['spec', 'containers', 2, 'name'], false],
];
for (const [steps, expected] of rows) {
  fields(`${steps.join('.')}: ${expected}`, () => assert.is(holds(set, object, steps), expected));
}

fields('of a list by index', () => {
  assert.is(holds({ 'f:list': { 'i:1': {} } }, { list: ['a', 'b'] }, ['list', 1]), true);
  assert.is(holds({ 'f:list': { 'i:1': {} } }, { list: ['a', 'b'] }, ['list', 0]), false);
});

const paths = suite('pathsOf');

paths('are written as people write them', () => {
  assert.equal(pathsOf(set), [
    'metadata.labels."app.kubernetes.io/name"',
    'metadata.finalizers[c/d]',
    'spec.replicas',
    'spec.selector',
    'spec.args',
    'spec.containers[web].name',
    'spec.containers[web].ports[80,TCP].name',
  ]);
  assert.equal([pathsOf({}), pathsOf(undefined)], [[], []]);
});

paths('are listed up to three', () => {
  assert.equal(
    [listPaths(['a', 'b', 'c']), listPaths(['a', 'b', 'c', 'd', 'e'])],
    ['a, b, c', 'a, b, c and 2 more'],
  );
});

fields.run();
paths.run();
