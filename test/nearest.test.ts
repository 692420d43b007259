import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { nearest } from '../scripts/lib/nearest.ts';
import { processorTime } from './support/time.ts';

const suggestions = suite('nearest');

const commands = ['env', 'generate', 'render', 'diff', 'up', 'down', 'status', 'sandbox', 'try'];

for (const [word, candidates, expected] of [
  ['redner', commands, 'render'],
  ['genrate', commands, 'generate'],
  ['stauts', commands, 'status'],
  ['minikub', ['dev', 'minikube'], 'minikube'],
  ['MINIKUBE', ['dev', 'minikube'], 'minikube'],
  ['DATABASE_URI', ['DATABASE_URL', 'BACKEND_URL'], 'DATABASE_URL'],
  ['defualt', ['default', 'optional', 'format'], 'default'],
  ['deploy', commands, undefined],
  ['production', ['dev', 'minikube'], undefined],
  ['anything', [], undefined],
] as [string, string[], string | undefined][]) {
  suggestions(`${word} means ${expected}`, () => assert.is(nearest(word, candidates), expected));
}

suggestions('a candidate is nearest to itself', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 30 }), fc.array(fc.string()), (word, others) => {
      const found = nearest(word, [...others, word]);
      assert.is(found?.toLowerCase(), word.toLowerCase());
    }),
  );
});

suggestions('of two equally near the first is taken', () => {
  assert.is(nearest('cat', ['bat', 'hat']), 'bat');
});

suggestions('a very long word costs no time', () => {
  const [word, candidate] = ['x', 'y'].map((letter) => letter.repeat(1_000_000)) as [string, string];
  assert.ok(processorTime(() => nearest(word, [candidate])) < 500);
});

suggestions.run();
