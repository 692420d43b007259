import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Kubeconfig } from '../scripts/lib/kubeconfig.ts';
import { chooseContext, matchesContext } from '../scripts/lib/target.ts';
import { thrown } from './support/assertions.ts';
import { processorTime } from './support/time.ts';

const matching = suite('matchesContext');

for (const [pattern, name, expected] of [
  ['minikube', 'minikube', true],
  ['minikube', 'minikube-2', false],
  ['minikube', 'my-minikube', false],
  ['minikube', 'MINIKUBE', false],
  ['team-*', 'team-dev', true],
  ['team-*', 'team-', true],
  ['team-*', 'my-team-dev', false],
  ['*-dev', 'team-dev', true],
  ['*-dev', 'team-dev-2', false],
  ['*', '', true],
  ['*', 'anything', true],
  ['**', 'anything', true],
  ['a*a', 'a', false],
  ['a*a', 'aa', true],
  ['a*b*c', 'a-b-b-c', true],
  ['a*b*c', 'a-c-b', false],
  ['a*bc*c', 'abc', false],
  ['arn:aws:eks:*:123:cluster/dev', 'arn:aws:eks:eu-west-1:123:cluster/dev', true],
  ['team.dev', 'teamxdev', false],
  ['team-?', 'team-1', false],
  ['[ab]', 'a', false],
  ['$&', '$&', true],
  ['', '', true],
  ['', 'x', false],
] as [string, string, boolean][]) {
  matching(`${pattern || 'nothing'} and ${name || 'nothing'}: ${expected}`, () => {
    assert.is(matchesContext(pattern, name), expected);
  });
}

matching('says what an anchored regular expression says', () => {
  const oracle = (pattern: string, name: string): boolean =>
    new RegExp(`^${pattern.replace(/[\\^$.+?()[\]{}|]/g, '\\$&').replaceAll('*', '[^]*')}$`).test(name);
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '.', '-', '\n'), maxLength: 10 });
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '.', '-', '\n'), maxLength: 14 });
  fc.assert(
    fc.property(pattern, name, (left, right) => {
      assert.is(matchesContext(left, right), oracle(left, right));
    }),
    { numRuns: 3000 },
  );
});

matching('needs no more than linear time, where a regular expression would never end', () => {
  const taken = processorTime(() => {
    assert.not.ok(matchesContext(`${'*a'.repeat(2000)}*b`, 'a'.repeat(100_000)));
    assert.ok(matchesContext(`${'*a'.repeat(2000)}*`, 'a'.repeat(100_000)));
  });
  assert.ok(taken < 200, `${taken} ms`);
});

const kubeconfig = (current: string | undefined, ...names: string[]): Kubeconfig => ({
  files: ['/home/u/.kube/config'],
  current,
  contexts: new Map(
    names.map((name) => [
      name,
      { name, cluster: name, server: 'https://127.0.0.1:6443', user: name, usesExec: false },
    ]),
  ),
});

const request = (allowed: string[], wanted?: string): Parameters<typeof chooseContext>[1] => ({
  overlay: 'dev',
  allowed,
  allowedFile: 'overlays/dev/strata.yaml',
  wanted,
});

const choosing = suite('chooseContext');

for (const [name, current, allowed, wanted, expected] of [
  ['the current context when it is on the list', 'team-a', ['team-*', 'minikube'], undefined, 'team-a'],
  ['the one exact name when the current context is not', 'prod', ['minikube'], undefined, 'minikube'],
  ['the one exact name beside patterns', 'prod', ['kind-*', 'minikube'], undefined, 'minikube'],
  ['the one exact name without a current context', undefined, ['minikube'], undefined, 'minikube'],
  ['--context before the current context', 'minikube', ['minikube', 'team-*'], 'team-a', 'team-a'],
] as [string, string | undefined, string[], string | undefined, string][]) {
  choosing(`takes ${name}`, () => {
    const chosen = chooseContext(kubeconfig(current, 'minikube', 'team-a', 'prod'), request(allowed, wanted));
    assert.is(chosen.name, expected);
  });
}

for (const [name, current, allowed, wanted, message, hint] of [
  [
    'everything while the list is empty, and says where to put which name',
    'minikube',
    [],
    'minikube',
    'overlay dev may not go to any cluster yet: its list of contexts is empty',
    'put the name of the context on the list in overlays/dev/strata.yaml, like `contexts: [my-cluster]`; the names you have: minikube, team-a, prod',
  ],
  [
    'a current context that is not on a list of patterns',
    'prod',
    ['team-*'],
    undefined,
    'the current context prod is not on the list of overlay dev (team-*)',
    'say which one with --context NAME',
  ],
  [
    'to guess between two names',
    'prod',
    ['minikube', 'team-a'],
    undefined,
    'the current context prod is not on the list of overlay dev (minikube, team-a)',
    'say which one with --context NAME',
  ],
  [
    'a list of patterns without a current context',
    undefined,
    ['team-*'],
    undefined,
    'there is no current context, and no single name on the list of overlay dev (team-*)',
    'say which one with --context NAME',
  ],
  [
    'a --context that is not on the list, current or not',
    'prod',
    ['minikube'],
    'prod',
    'context prod is not on the list of overlay dev (minikube)',
    '--context with a name of the list, or change the list in overlays/dev/strata.yaml',
  ],
  [
    'a --context that is a pattern of the list',
    'prod',
    ['team-*'],
    'team-*',
    'context team-* does not exist in /home/u/.kube/config, did you mean team-a?',
    'kubectl config get-contexts',
  ],
  [
    'a name of the list that no kubeconfig has',
    undefined,
    ['team-b'],
    undefined,
    'context team-b does not exist in /home/u/.kube/config, did you mean team-a?',
    'kubectl config get-contexts, or try it without a cluster: npm run sandbox -- start, then npm run up -- dev --sandbox',
  ],
] as [string, string | undefined, string[], string | undefined, string, string][]) {
  choosing(`refuses ${name}`, () => {
    const error = thrown(() =>
      chooseContext(kubeconfig(current, 'minikube', 'team-a', 'prod'), request(allowed, wanted)),
    );
    assert.equal(
      [error.code, error.exitStatus, error.message, error.hint],
      ['CONTEXT_REFUSED', 2, message, hint],
    );
  });
}

choosing('a minikube that was never started is told how to start', () => {
  const none: Kubeconfig = { files: [], current: undefined, contexts: new Map() };
  const error = thrown(() => chooseContext(none, request(['minikube'])));
  assert.equal(
    [error.message, error.hint],
    [
      'context minikube does not exist in any kubeconfig file',
      'minikube start, or try it without a cluster: npm run sandbox -- start, then npm run up -- dev --sandbox',
    ],
  );
});

for (const [absent, message] of [
  [['/nonexist'], 'context minikube does not exist: KUBECONFIG names /nonexist, which is not there'],
  [['/a', '/b'], 'context minikube does not exist: KUBECONFIG names /a, /b, which are not there'],
] as const) {
  choosing(`says that nothing of KUBECONFIG is there: ${absent.join(', ')}`, () => {
    const none: Kubeconfig = { files: [], current: undefined, contexts: new Map(), absent: [...absent] };
    assert.is(thrown(() => chooseContext(none, request(['minikube']))).message, message);
  });
}

choosing('an empty list and no context at all says so', () => {
  const none: Kubeconfig = { files: [], current: undefined, contexts: new Map() };
  assert.match(thrown(() => chooseContext(none, request([]))).hint ?? '', /the names you have: none$/);
});

choosing('a context without a server is refused: kubectl would take whoever listens on localhost', () => {
  const broken = kubeconfig('minikube', 'minikube');
  const contexts = new Map([['minikube', { ...broken.contexts.get('minikube')!, server: '' }]]);
  const error = thrown(() => chooseContext({ ...broken, contexts }, request(['minikube'])));
  assert.is(error.code, 'KUBECONFIG_INVALID');
  assert.match(error.message, 'context minikube has no server');
});

choosing('a context that cannot log in is refused: kubectl would ask for a user name', () => {
  const broken = kubeconfig('minikube', 'minikube');
  const context = { ...broken.contexts.get('minikube')!, fault: 'its user u is not there' };
  const error = thrown(() =>
    chooseContext({ ...broken, contexts: new Map([['minikube', context]]) }, request(['minikube'])),
  );
  assert.equal([error.code, error.exitStatus], ['KUBECONFIG_INVALID', 2]);
  assert.match(error.message, /^context minikube cannot log in: its user u is not there \(\//);
  assert.match(error.hint ?? '', /get-users; then minikube update-context$/);
});

matching.run();
choosing.run();
