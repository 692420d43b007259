import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { commandNames } from '../scripts/lib/cli.ts';
import type { Arguments, Command, FlagName } from '../scripts/lib/command.ts';
import { advise as adviseAfter, placeFlags } from '../scripts/lib/hint.ts';

const typed = (flags: Arguments['flags'], overlay = 'dev'): Arguments => ({ positionals: [overlay], flags });

/** After a command that no hint repeats. */
const advise = (text: string, args: Arguments): string => adviseAfter(text, 'doctor', args);

const hints = suite('advise');

for (const [hint, expected] of [
  ['npm run up -- dev', 'npm run up -- dev --sandbox'],
  ['npm run up:dev', 'npm run up:dev -- --sandbox'],
  ['npm run up:dev -- --yes', 'npm run up:dev -- --sandbox --yes'],
  ['correct it, then: npm run env -- dev', 'correct it, then: npm run env -- dev --sandbox'],
  ['npm run up -- dev --steal-lock', 'npm run up -- dev --sandbox --steal-lock'],
  ['npm run up -- dev --yes --sandbox', 'npm run up -- dev --yes --sandbox'],
  [
    'npm run up -- dev, npm run diff -- dev --sandbox',
    'npm run up -- dev --sandbox, npm run diff -- dev --sandbox',
  ],
  ['npm run up -- develop', 'npm run up -- develop'],
  ['npm run up -- --plan dev', 'npm run up -- --plan dev'],
  ['npm run chart -- dev --out DIR', 'npm run chart -- dev --out DIR'],
  ['npm run sandbox -- dev', 'npm run sandbox -- dev'],
  ['kubectl --context strata-sandbox -n a get pods', 'npm run sandbox -- kubectl -n a get pods'],
  [
    'npm run status -- dev; kubectl --context strata-sandbox-my-own -n a get pods',
    'npm run status -- dev --sandbox; npm run sandbox -- --name my-own kubectl -n a get pods',
  ],
  ['kubectl --context minikube get pods', 'kubectl --context minikube get pods'],
] as const) {
  hints(`after --sandbox: ${hint} → ${expected}`, () =>
    assert.is(advise(hint, typed({ sandbox: true })), expected),
  );
}

for (const [hint, expected] of [
  ['npm run env -- --init', 'npm run env -- dev --root a/b --init'],
  ['npm run env', 'npm run env -- dev --root a/b'],
  ['npm run up -- dev', 'npm run up -- dev --root a/b'],
  ['npm run up -- other', 'npm run up -- other --root a/b'],
  ['npm run up:minikube', 'npm run up:minikube -- --root a/b'],
  ['npm run up -- --plan p.json applies it', 'npm run up -- --root a/b --plan p.json applies it'],
  ['npm run diff -- dev --root a/b --yes', 'npm run diff -- dev --root a/b --yes'],
  ['npm run diff -- dev --rootless', 'npm run diff -- dev --root a/b --rootless'],
  ['npm run generate -- dev, then look', 'npm run generate -- dev --root a/b, then look'],
  ['npm run try', 'npm run try'],
  [
    'npm run sandbox -- start, then npm run up -- dev --sandbox',
    'npm run sandbox -- start, then npm run up -- dev --root a/b --sandbox',
  ],
  ['npm run sandbox -- start', 'npm run sandbox -- start'],
  ['kubectl --context strata-sandbox get pods', 'kubectl --context strata-sandbox get pods'],
] as const) {
  hints(`after --root a/b: ${hint} → ${expected}`, () =>
    assert.is(advise(hint, typed({ root: 'a/b' })), expected),
  );
}

hints('carries everything that says where, and to each command only what it takes', () => {
  const args = typed({
    root: '.',
    context: 'staging',
    'env-file': ['a.env', 'b.env'],
    'from-process': true,
    image: ['backend=r/b:1'],
    yes: true,
    timeout: '9m',
  });
  const values = '--env-file a.env --env-file b.env --from-process';
  assert.is(
    advise('npm run up -- dev; npm run status -- dev; npm run env -- dev', args),
    `npm run up -- dev --root . --context staging ${values} --image backend=r/b:1; ` +
      `npm run status -- dev --root . --context staging; npm run env -- dev --root . ${values}`,
  );
  assert.is(
    advise('npm run up -- dev --image backend=r/b:2', typed({ image: ['backend=r/b:1'] })),
    'npm run up -- dev --image backend=r/b:2',
  );
});

hints('names the default overlay where none was typed', () => {
  const args = { positionals: [], flags: { context: 'kind' } };
  assert.is(advise('npm run up -- minikube', args), 'npm run up -- minikube --context kind');
  assert.is(advise('npm run up -- dev', args), 'npm run up -- dev');
});

hints('the same command again has all flags but those that were meant once', () => {
  const flags = {
    to: '1',
    yes: true,
    'steal-lock': true,
    'trust-cluster': true,
    root: 'r',
    verbose: true,
  } as const;
  const after = (text: string): string => adviseAfter(text, 'rollback', typed(flags));
  assert.is(after('npm run rollback -- dev'), 'npm run rollback -- dev --root r --to 1 --yes');
  assert.is(
    after('npm run rollback -- dev --steal-lock'),
    'npm run rollback -- dev --root r --to 1 --yes --steal-lock',
  );
  assert.is(after('npm run rollback -- other'), 'npm run rollback -- other --root r');
  assert.is(after('npm run up -- dev'), 'npm run up -- dev --root r');
});

hints('a plan brings its own overlay, cluster and values', () => {
  const args = typed({ plan: 'p.json', context: 'c', image: ['a=b:1'], timeout: '9m' });
  assert.is(
    adviseAfter('npm run up -- --plan p.json --yes; npm run status -- dev', 'up', args),
    'npm run up -- --timeout 9m --plan p.json --yes; npm run status -- dev --context c',
  );
});

hints('a command without overlay gets the one that was typed', () => {
  assert.is(advise('npm run env -- --init', typed({})), 'npm run env -- dev --init');
  assert.is(
    advise('npm run diff -- --save p.json', typed({ context: 'c' })),
    'npm run diff -- dev --save p.json',
  );
  assert.is(advise('npm run env', { positionals: [], flags: {} }), 'npm run env');
});

hints('quotes for a shell', () => {
  const [command] = advise('npm run up -- dev', typed({ root: "it's $HOME/a b" })).match(/npm.*/) ?? [];
  assert.is(command, `npm run up -- dev --root 'it'\\''s $HOME/a b'`);
});

hints('an overlay name is no pattern', () => {
  const args = typed({ sandbox: true }, '(a');
  assert.is(advise('npm run up -- (a', args), 'npm run up -- (a --sandbox');
  assert.is(advise('npm run up -- axb', typed({ sandbox: true }, 'a.b')), 'npm run up -- axb');
});

hints('knows which command takes which of these flags', async () => {
  const loaded = await Promise.all(
    commandNames.map(
      async (name) => ((await import(`../scripts/${name}.ts`)) as { command: Command }).command,
    ),
  );
  for (const [flag, names] of Object.entries(placeFlags)) {
    const takers = loaded.filter((command) => command.flags.includes(flag as FlagName));
    assert.equal([...names].sort(), takers.map(({ name }) => name).sort(), flag);
  }
});

hints.run();
