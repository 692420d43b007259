import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KubeObject } from '../scripts/lib/manifest.ts';
import { type Fact, type Found, type Place, rowOf, withoutSuffixes } from './support/conformance.ts';
import { documents } from './support/facts/documents.ts';
import { projectFolder } from './support/session.ts';

const readProject = (file: string): string | undefined => {
  const target = path.join(projectFolder, file);
  return existsSync(target) ? readFileSync(target, 'utf8') : undefined;
};

const facts = suite('facts of the reference documents');

facts('every example has its document, and every document its example', () => {
  const folders = readdirSync(path.join(projectFolder, 'examples')).sort();
  assert.equal(documents.map(({ example }) => example).sort(), folders);
});

facts('no section is empty, and none has a fact twice', () => {
  for (const { example, sections } of documents) {
    assert.ok(sections.length > 0, example);
    const titles = sections.map(({ title }) => title);
    assert.equal(titles, [...new Set(titles)], `${example} has a section twice`);
    for (const section of sections) {
      assert.ok(section.facts.length > 0, `${example}: ${section.title} is empty`);
      const said = section.facts.map(({ says }) => says);
      assert.equal(said, [...new Set(said)], `${example}: ${section.title} says something twice`);
    }
  }
});

facts('what a field is looked for in is among the objects of the example', () => {
  for (const { example, objects, sections } of documents) {
    assert.equal(objects, [...objects].sort(), `${example} is sorted`);
    for (const { place, says } of sections.flatMap((section) => section.facts)) {
      const named = place.in === 'field' || place.in === 'variable' ? place.object : undefined;
      const target = place.in === 'endpoints' ? `Service/${place.service}` : named;
      if (target !== undefined) assert.ok(objects.includes(target), `${example}: ${says}: no ${target}`);
    }
  }
});

facts('none of them holds where nothing is there, but that something is not', () => {
  const nothing: Found = { objects: [], read: () => undefined, chart: () => undefined };
  const held = documents
    .flatMap(({ sections }) => sections.flatMap((section) => section.facts))
    .filter(({ place }) => place.in !== 'no object')
    .filter((fact) => rowOf(fact, nothing).problem === undefined);
  assert.equal(held, []);
});

facts('what is met by a file of the project is in that file', () => {
  const found: Found = { objects: [], read: readProject, chart: () => undefined };
  const problems = documents
    .flatMap(({ sections }) => sections.flatMap((section) => section.facts))
    .filter(({ place }) => place.in === 'file')
    .flatMap((fact) => rowOf(fact, found).problem ?? []);
  assert.equal(problems, []);
});

facts(
  'docs/reference-systems.md has a row for each (UPDATE=1 npm run test:cluster -- examples writes it)',
  () => {
    const page = readProject('docs/reference-systems.md') ?? '';
    const cells = (page.match(/^\| .*$/gm) ?? []).filter((line) => !/^\| (fact|---)/.test(line));
    const expected = documents.flatMap(({ sections }) => sections.flatMap((section) => section.facts));
    assert.equal(
      cells.map((line) => line.split(/(?<!\\) \| /)[0]!.slice(2)),
      expected.map(({ says }) => says.replaceAll('|', '\\|')),
    );
  },
);

const rows = suite('rowOf');

const object = (kind: string, name: string, parts: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind,
  metadata: { name },
  ...parts,
});

const value = Buffer.from('of-a-secret').toString('base64');
const objects = withoutSuffixes([
  object('Deployment', 'web', {
    spec: {
      template: {
        spec: {
          containers: [
            {
              name: 'web',
              env: [
                { name: 'PLAIN', value: '1' },
                { name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'keys-5mt2h7c2bk', key: 'token' } } },
                { name: 'GONE', valueFrom: { secretKeyRef: { name: 'keys-5mt2h7c2bk', key: 'gone' } } },
              ],
              envFrom: [
                { configMapRef: { name: 'settings-9gc8bgf29d' } },
                { secretRef: { name: 'keys-5mt2h7c2bk' } },
              ],
            },
          ],
        },
      },
    },
  }),
  object('ConfigMap', 'settings-9gc8bgf29d', { data: { MODE: 'on', 'a.b': 'c', token: 'no secret' } }),
  object('Secret', 'keys-5mt2h7c2bk', { data: { token: value, empty: '' } }),
  object('EndpointSlice', 'web-x1', {
    metadata: { name: 'web-x1', labels: { 'kubernetes.io/service-name': 'web' } },
    ports: [{ port: 80 }],
    endpoints: [{ conditions: { ready: true } }, { conditions: { ready: false } }],
  }),
]);
const found: Found = {
  objects,
  read: (file) => (file === 'a.md' ? 'one two' : undefined),
  chart: (file) => (file === 'a.yaml' ? 'a: { b: 1, c: "" }' : undefined),
};
const row = (place: Place) => rowOf({ says: '', place } satisfies Fact, found);
const inSettings = (path: string, wanted: (Place & { in: 'field' })['wanted']) =>
  row({ in: 'field', object: 'ConfigMap/settings', path, wanted });

rows('compares a field', () => {
  assert.equal(inSettings('data.MODE', { is: 'on' }), { live: 'on' });
  assert.equal(inSettings('data."a.b"', { is: 'c' }), { live: 'c' });
  assert.equal(inSettings('data.MODE', { is: 'off' }), { live: 'on', problem: 'expected off' });
  assert.equal(inSettings('data.NONE', { is: 'on' }), { live: 'nothing', problem: 'expected on' });
  assert.equal(row({ in: 'field', object: 'ConfigMap/none', path: 'data', wanted: 'set' }), {
    live: 'not there',
    problem: 'there is no ConfigMap/none',
  });
});

rows('tells text from a number, and a list by its names', () => {
  const containers = 'spec.template.spec.containers';
  const inWeb = (path: string, wanted: (Place & { in: 'field' })['wanted']) =>
    row({ in: 'field', object: 'Deployment/web', path, wanted });
  assert.equal(inWeb(`${containers}.web.env.PLAIN.value`, { is: '1' }), { live: '1' });
  assert.ok(inWeb(`${containers}.0.env.PLAIN.value`, { is: 1 }).problem);
  assert.is(
    inWeb(`${containers}.0.env.TOKEN.valueFrom.secretKeyRef.name`, { is: 'keys' }).problem,
    undefined,
  );
  assert.equal(inWeb(containers, { items: 1 }), { live: '1' });
  assert.ok(inWeb(containers, { items: 2 }).problem);
});

rows('asks whether a field is there', () => {
  assert.equal(inSettings('data', 'set'), { live: 'MODE, a.b, token' });
  assert.equal(inSettings('data.MODE', 'set'), { live: 'on' });
  assert.ok(inSettings('spec', 'set').problem);
  assert.equal(inSettings('spec', 'absent'), { live: 'not there' });
  assert.ok(inSettings('data', 'absent').problem);
});

rows('wants all keys and no other', () => {
  assert.equal(inSettings('data', { keys: ['MODE', 'a.b', 'token'] }), { live: 'MODE, a.b, token' });
  assert.ok(inSettings('data', { keys: ['MODE'] }).problem);
  assert.ok(inSettings('data', { keys: ['MODE', 'a.b', 'more', 'token'] }).problem);
});

rows('tells a secret by its length', () => {
  const inKeys = (path: string) => row({ in: 'field', object: 'Secret/keys', path, wanted: 'secret' });
  assert.equal(inKeys('data.token'), { live: 'set, 11 characters' });
  assert.ok(inKeys('data.empty').problem);
  assert.ok(inKeys('data.none').problem);
});

rows('finds where a variable comes from', () => {
  const from = (name: string, origin: string) =>
    row({ in: 'variable', object: 'Deployment/web', name, from: origin });
  assert.equal(from('PLAIN', 'the manifest'), { live: 'from the manifest' });
  assert.equal(from('TOKEN', 'Secret/keys[token]'), { live: 'from Secret/keys[token]' });
  assert.equal(from('MODE', 'ConfigMap/settings[MODE]'), { live: 'from ConfigMap/settings[MODE]' });
  // The last source wins.
  assert.equal(from('token', 'Secret/keys[token]'), { live: 'from Secret/keys[token]' });
  assert.equal(from('GONE', 'Secret/keys[gone]'), {
    live: 'from nowhere',
    problem: 'expected it from Secret/keys[gone]',
  });
  assert.ok(from('MODE', 'Secret/keys[MODE]').problem);
});

rows('counts ready endpoints and objects that should not be', () => {
  const ready = (port: number, count: number) => row({ in: 'endpoints', service: 'web', port, ready: count });
  assert.equal(ready(80, 1), { live: '1 ready' });
  assert.ok(ready(80, 2).problem);
  assert.ok(ready(81, 1).problem);
  assert.equal(row({ in: 'no object', kind: 'Job' }), { live: 'none' });
  assert.equal(row({ in: 'no object', kind: 'Secret' }), {
    live: 'Secret/keys',
    problem: 'expected no Secret',
  });
});

rows('looks into files', () => {
  assert.is(row({ in: 'file', file: 'a.md', text: 'two' }).problem, undefined);
  assert.ok(row({ in: 'file', file: 'a.md', text: 'three' }).problem);
  assert.ok(row({ in: 'file', file: 'b.md', text: 'two' }).problem);
});

rows('looks into the chart', () => {
  const chart = (file: string, path?: string, is?: number | string, unlike?: string) =>
    row({
      in: 'chart',
      file,
      ...(path === undefined ? {} : { path }),
      ...(is === undefined ? {} : { is }),
      ...(unlike === undefined ? {} : { unlike }),
    });
  assert.equal(chart('a.yaml'), { live: 'there' });
  assert.ok(chart('b.yaml').problem);
  assert.equal(chart('a.yaml', 'a.b', 1), { live: '1' });
  assert.ok(chart('a.yaml', 'a.b', 2).problem);
  assert.equal(chart('a.yaml', 'a'), { live: 'b, c' });
  assert.equal(chart('a.yaml', 'a.c', '', 'for a reason'), { live: 'empty; for a reason' });
  assert.ok(chart('a.yaml', 'a.d', undefined, 'for a reason').problem);
});

facts.run();
rows.run();
