import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createScrubber } from '../scripts/lib/scrub.ts';
import { learnSecrets } from '../scripts/lib/secrets.ts';

const learning = suite('learnSecrets');

const encoded = (text: string): string => Buffer.from(text).toString('base64');
const earlier = { kind: 'Secret', metadata: { name: 's' }, data: { A: encoded('earlier-value') } };
const secret = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: {
    name: 's',
    annotations: { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify(earlier) },
  },
  data: { A: encoded('current-value') },
  stringData: { B: 'plain-value' },
};
const item = { metadata: { name: 't' }, data: { C: encoded('listed-value') } };
const text = 'current-value plain-value earlier-value listed-value';

for (const [name, answer, expected] of [
  ['an object', secret, '[s/A] [s/B] [s/A] listed-value'],
  ['a list of them', { apiVersion: 'v1', kind: 'SecretList', items: [item] }, /value \[t\/C\]$/],
  ['a list of anything', { apiVersion: 'v1', kind: 'List', items: [secret, 3, null] }, /^\[s\/A\] \[s\/B\]/],
  ['another kind with data', { ...secret, kind: 'ConfigMap' }, text],
  ['another group', { ...secret, apiVersion: 'example.com/v1' }, text],
  ['no object', 'text', text],
] as [string, unknown, string | RegExp][]) {
  learning(`${name}`, () => {
    const scrubber = createScrubber();
    learnSecrets(scrubber, answer);
    const scrubbed = scrubber.scrub(text);
    if (typeof expected === 'string') assert.is(scrubbed, expected);
    else assert.match(scrubbed, expected);
  });
}

learning('an annotation that is no JSON is passed over', () => {
  const scrubber = createScrubber();
  const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': '{' };
  learnSecrets(scrubber, { ...secret, metadata: { name: 's', annotations } });
  assert.is(scrubber.scrub('current-value'), '[s/A]');
});

learning.run();
