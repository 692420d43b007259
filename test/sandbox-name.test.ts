import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StrataError } from '../scripts/lib/errors.ts';
import { restartHint, sandboxContext, sandboxFolder, sandboxOfContext } from '../scripts/lib/sandbox-name.ts';

const names = suite('sandboxFolder');

const project = { home: '/home/a/strata', environment: {} };

for (const [given, environment, expected] of [
  [undefined, {}, 'default'],
  ['second', {}, 'second'],
  [undefined, { STRATA_SANDBOX: 'third' }, 'third'],
  ['second', { STRATA_SANDBOX: 'third' }, 'second'],
] as const) {
  names(`is .strata/sandbox/${expected} for ${given} and ${JSON.stringify(environment)}`, () => {
    assert.is(
      sandboxFolder({ ...project, environment }, given),
      `/home/a/strata/.strata/sandbox/${expected}`,
    );
  });
}

for (const name of ['../up', 'A', '-a', 'a.b', 'a/b', 'a'.repeat(41), '']) {
  names(`refuses ${JSON.stringify(name)}`, () => {
    assert.throws(
      () => sandboxFolder(project, name),
      (error: unknown) => error instanceof StrataError && error.code === 'USAGE',
    );
  });
}

names.run();

const contexts = suite('sandboxContext');

contexts('has the name in it unless it is the default one', () => {
  assert.is(sandboxContext('default'), 'strata-sandbox');
  assert.is(sandboxContext('second'), 'strata-sandbox-second');
  for (const name of ['default', 'second', 'a-b']) assert.is(sandboxOfContext(sandboxContext(name)), name);
  for (const context of ['strata-sandboxes', 'minikube', 'my-strata-sandbox'])
    assert.is(sandboxOfContext(context), undefined);
});

contexts('is stopped and started by its name', () => {
  assert.is(restartHint('/x/default'), 'npm run sandbox -- stop, then npm run sandbox -- start');
  assert.is(
    restartHint('/x/second'),
    'npm run sandbox -- stop --name second, then npm run sandbox -- start --name second',
  );
});

contexts.run();
