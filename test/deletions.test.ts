import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Arguments } from '../scripts/lib/command.ts';
import { type Guard, guardsOf, guardsOfPlan, requireAllowed } from '../scripts/lib/deletions.ts';
import { StrataError } from '../scripts/lib/errors.ts';
import { groupOf } from '../scripts/lib/manifest.ts';
import { type Action, type Plan, type PlannedObject, plainly } from '../scripts/lib/plan.ts';

/** `prune Service/a`, with further parts of the planned object. */
function planned(text: string, parts: Partial<PlannedObject> = {}): PlannedObject {
  const [action, title = ''] = text.split(' ') as [Action, string];
  const [kind = '', name = ''] = title.split('/');
  return {
    ...plainly,
    action,
    reference: { group: '', kind, namespace: 'todo', name },
    before: undefined,
    after: undefined,
    manifest: undefined,
    uid: action === 'create' ? undefined : title,
    ...parts,
  };
}

const planOf = (...objects: PlannedObject[]): Plan => ({
  objects,
  inventoryIsMissing: false,
  isChanged: true,
});

const allowances = (guards: readonly Guard[]): string[] => guards.map(({ allowance }) => allowance);

const plans = suite('guardsOfPlan');

plans('more than half of what is there needs a word, half does not', () => {
  const kept = [planned('unchanged Service/a'), planned('change Service/b')];
  const gone = [planned('prune Service/c'), planned('prune Service/d')];
  assert.equal(guardsOfPlan(planOf(...kept, ...gone)), []);
  assert.equal(guardsOfPlan(planOf(...kept.slice(1), ...gone)), [
    { allowance: 'most', message: '2 of the 3 objects that are there would be deleted' },
  ]);
});

plans('what is created does not make up for what is deleted, nor does the namespace', () => {
  const made = ['create Service/x', 'create Service/y', 'unchanged Namespace/todo'].map((text) =>
    planned(text),
  );
  assert.equal(allowances(guardsOfPlan(planOf(...made, planned('prune Service/a')))), ['most']);
});

plans('superseded generated objects and protected ones do not count', () => {
  const superseded = { isSuperseded: true };
  assert.equal(
    guardsOfPlan(
      planOf(
        planned('unchanged Service/a'),
        planned('prune ConfigMap/a', superseded),
        planned('keep Secret/b', superseded),
        planned('keep PersistentVolumeClaim/c', { stays: 'it is protected' }),
      ),
    ),
    [],
  );
});

plans('a claim needs its own word, also while a Pod still uses it', () => {
  const rest = ['a', 'b', 'c', 'd'].map((name) => planned(`unchanged Service/${name}`));
  const claim = planned('keep PersistentVolumeClaim/data', { usedBy: ['Pod/x'] });
  assert.equal(guardsOfPlan(planOf(...rest, claim)), [
    { allowance: 'PersistentVolumeClaim/data', message: 'would be deleted; its data may go with it' },
  ]);
});

plans.run();

const kinds = suite('guardsOf');

kinds('names the kinds that take something along, and no others of the same name', () => {
  const reference = (apiVersion: string, kind: string) => ({
    group: groupOf(apiVersion),
    kind,
    namespace: '',
    name: 'x',
  });
  const found = guardsOf([
    reference('v1', 'PersistentVolumeClaim'),
    reference('v1', 'PersistentVolume'),
    reference('v1', 'Namespace'),
    reference('apiextensions.k8s.io/v1', 'CustomResourceDefinition'),
    reference('example.com/v1', 'PersistentVolumeClaim'),
    reference('v1', 'Secret'),
  ]);
  assert.equal(allowances(found), [
    'PersistentVolumeClaim/x',
    'PersistentVolume/x',
    'Namespace/x',
    'CustomResourceDefinition/x',
  ]);
});

kinds.run();

const allowing = suite('requireAllowed');

const guards: Guard[] = [
  { allowance: 'most', message: '3 of the 4 objects that are there would be deleted' },
  { allowance: 'PersistentVolumeClaim/data', message: 'would be deleted; its data may go with it' },
];

function refusalOf(args: Arguments): StrataError | undefined {
  try {
    requireAllowed('up', args, guards);
    return undefined;
  } catch (error) {
    if (error instanceof StrataError) return error;
    throw error;
  }
}

const given = (...what: string[]): Arguments => ({ positionals: ['dev'], flags: { 'allow-delete': what } });

allowing(
  'the error has every open guard, and the command to type next with the flags that were given',
  () => {
    const error = refusalOf({ positionals: ['dev'], flags: { sandbox: true, timeout: '3s' } });
    assert.is(error?.code, 'DELETE_GUARDED');
    assert.is(error?.problems.length, 2);
    assert.is(
      error?.hint,
      'npm run up -- dev --sandbox --timeout 3s --allow-delete most --allow-delete PersistentVolumeClaim/data',
    );
    const left = refusalOf(given('most'));
    assert.equal(
      left?.problems.map(({ subject }) => subject),
      ['PersistentVolumeClaim/data'],
    );
    assert.is(left?.hint, 'npm run up -- dev --allow-delete most --allow-delete PersistentVolumeClaim/data');
  },
);

allowing('each guard is answered by its own word, all of them by `all`', () => {
  assert.is(refusalOf(given('most', 'PersistentVolumeClaim/data')), undefined);
  assert.is(refusalOf(given('all')), undefined);
  assert.is(refusalOf(given('PersistentVolumeClaim/other'))?.problems.length, 2);
});

allowing('a word that is none of these is a mistake', () => {
  for (const word of ['everything', 'pvc/data', 'PersistentVolumeClaim', 'PersistentVolumeClaim/'])
    assert.is(refusalOf(given(word))?.code, 'USAGE', word);
});

allowing.run();
