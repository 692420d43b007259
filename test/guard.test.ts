import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { expectedOf } from '../scripts/lib/digest.ts';
import { guardedText, type Target } from '../scripts/lib/guard.ts';
import { parseManifests } from '../scripts/lib/manifest.ts';
import { splitManifests } from '../scripts/lib/render.ts';
import { owned } from './support/objects.ts';

const text = `apiVersion: v1
data:
  script: |
    metadata:
      name: inner
kind: ConfigMap
metadata:
  labels:
    app: web
  name: settings
  namespace: todo
`;
const [manifest] = splitManifests(text);
const expected = expectedOf(owned('v1', 'ConfigMap', 'settings', { metadata: { uid: 'u-1' } }));
const targetOf = (parts: Partial<Target> = {}): Target => ({
  manifest: manifest!,
  expected,
  resourceVersion: '42',
  ...parts,
});

const guarded = suite('guardedText');

guarded('adds two lines to the bytes that were verified, and nothing else', () => {
  assert.is(
    guardedText(targetOf()),
    text.replace(
      'kind: ConfigMap\nmetadata:\n',
      'kind: ConfigMap\nmetadata:\n  resourceVersion: "42"\n  uid: u-1\n',
    ),
  );
});

guarded('lets nothing pass where there was nothing', () => {
  const [object] = parseManifests(guardedText(targetOf({ expected: undefined, resourceVersion: undefined })));
  assert.equal([object!.metadata.resourceVersion, object!.metadata.uid], ['1', undefined]);
});

guarded('writes JSON where the text is not in block style, or has a version of its own', () => {
  const items = splitManifests(
    `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","resourceVersion":"7"}}`,
  );
  const own = splitManifests(text.replace('  name: settings', '  name: settings\n  resourceVersion: "7"'));
  for (const [given] of [items, own]) {
    const [object] = parseManifests(guardedText(targetOf({ manifest: given! })));
    assert.equal([object!.metadata.resourceVersion, object!.metadata.uid], ['42', 'u-1']);
  }
});

guarded('leaves what may be written over as it is', () => {
  assert.is(guardedText(targetOf({ isUnguarded: true })), text);
});

guarded.run();
