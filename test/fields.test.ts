import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type FieldSet,
  holds,
  listPaths,
  meets,
  pathsOf,
  remainder,
  type Step,
  unite,
} from '../scripts/lib/fields.ts';

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

const sets = suite('field sets');

const port = (number: number): string => `k:{"containerPort":${number},"protocol":"TCP"}`;

const united: [FieldSet, FieldSet, FieldSet][] = [
  [{ 'f:a': {} }, { 'f:b': {} }, { 'f:a': {}, 'f:b': {} }],
  [{ 'f:a': {} }, { 'f:a': { 'f:b': {} } }, { 'f:a': { '.': {}, 'f:b': {} } }],
  [{ 'f:a': { '.': {}, 'f:b': {} } }, { 'f:a': { 'f:c': {} } }, { 'f:a': { '.': {}, 'f:b': {}, 'f:c': {} } }],
  [{ 'f:a': { 'f:b': {} } }, { 'f:a': { 'f:c': {} } }, { 'f:a': { 'f:b': {}, 'f:c': {} } }],
  [{ 'f:a': {} }, { 'f:a': {} }, { 'f:a': {} }],
];
for (const [a, b, both] of united) {
  sets(`unite: ${JSON.stringify(a)} and ${JSON.stringify(b)}`, () => {
    assert.equal(unite(a, b), both);
    assert.equal(unite(b, a), both);
  });
}

const meeting: [FieldSet, FieldSet, boolean][] = [
  [{ 'f:a': { 'f:b': {} } }, { 'f:a': { 'f:b': {} } }, true],
  [{ 'f:a': { 'f:b': {} } }, { 'f:a': { 'f:c': {} } }, false],
  [{ 'f:a': {} }, { 'f:a': { 'f:c': {} } }, true],
  [{ 'f:a': { '.': {}, 'f:b': {} } }, { 'f:a': { '.': {}, 'f:c': {} } }, false],
  [
    { 'f:l': { [port(80)]: { '.': {}, 'f:x': {} } } },
    { 'f:l': { [port(80)]: { '.': {}, 'f:y': {} } } },
    false,
  ],
  [{}, { 'f:a': {} }, false],
];
for (const [a, b, expected] of meeting) {
  sets(`meet: ${JSON.stringify(a)} and ${JSON.stringify(b)}: ${expected}`, () => {
    assert.is(meets(a, b), expected);
    assert.is(meets(b, a), expected);
  });
}

const remains: [string, unknown, FieldSet, FieldSet[], unknown][] = [
  ['a field', { a: 1, b: 2 }, { 'f:a': {} }, [], { b: 2 }],
  ['not what another holds too', { a: 1 }, { 'f:a': {} }, [{ 'f:a': {} }], { a: 1 }],
  ['not what is no more', { b: 2 }, { 'f:a': {} }, [], { b: 2 }],
  [
    'not what nobody holds',
    { a: { b: 1, c: 2 } },
    { 'f:a': { 'f:b': {} } },
    [{ 'f:a': { 'f:d': {} } }],
    { a: { c: 2 } },
  ],
  ['a struct with the last of its fields', { a: { b: 1, c: 2 } }, { 'f:a': { 'f:b': {} } }, [], {}],
  [
    'a part of what another holds',
    { a: { b: 1, c: 2 } },
    { 'f:a': { '.': {}, 'f:b': {} } },
    [{ 'f:a': { 'f:c': {} } }],
    { a: { c: 2 } },
  ],
  [
    'nothing of what another holds as a whole',
    { a: { b: 1 } },
    { 'f:a': { 'f:b': {} } },
    [{ 'f:a': {} }],
    { a: { b: 1 } },
  ],
  [
    'an item by its keys',
    {
      ports: [
        { containerPort: 80, protocol: 'TCP' },
        { containerPort: 81, protocol: 'TCP', name: 'x' },
      ],
    },
    { 'f:ports': { [port(81)]: { '.': {}, 'f:name': {} } } },
    [{ 'f:ports': { [port(80)]: { '.': {} } } }],
    { ports: [{ containerPort: 80, protocol: 'TCP' }] },
  ],
  [
    'a field of an item that others hold',
    { ports: [{ containerPort: 80, protocol: 'TCP', name: 'x' }] },
    { 'f:ports': { [port(80)]: { '.': {}, 'f:name': {} } } },
    [{ 'f:ports': { [port(80)]: { '.': {} } } }],
    { ports: [{ containerPort: 80, protocol: 'TCP' }] },
  ],
  [
    'not an item that is held by no one',
    {
      ports: [
        { containerPort: 80, protocol: 'TCP', name: 'x' },
        { containerPort: 81, protocol: 'TCP' },
      ],
    },
    { 'f:ports': { [port(80)]: { 'f:name': {} } } },
    [{ 'f:ports': { [port(81)]: {} } }],
    {
      ports: [
        { containerPort: 80, protocol: 'TCP' },
        { containerPort: 81, protocol: 'TCP' },
      ],
    },
  ],
  [
    'an item by its value',
    { f: ['a', 'b'] },
    { 'f:f': { 'v:"a"': {} } },
    [{ 'f:f': { 'v:"b"': {} } }],
    { f: ['b'] },
  ],
];
for (const [what, value, given, kept, left] of remains) {
  sets(`given up: ${what}`, () => assert.equal(remainder(value, given, kept), left));
}

fields.run();
paths.run();
sets.run();
