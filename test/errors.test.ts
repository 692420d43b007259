import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type ErrorCode,
  exitStatuses,
  exitStatusOfBug,
  formatProblem,
  messageOf,
  type Problem,
  StrataError,
  sortProblems,
  systemCode,
  throwOnErrors,
} from '../scripts/lib/errors.ts';
import { thrown } from './support/assertions.ts';

const problem = (parts: Partial<Problem> = {}): Problem => ({ severity: 'error', message: 'm', ...parts });

const strataError = suite('StrataError');

for (const [code, status] of Object.entries(exitStatuses)) {
  strataError(`${code} ends the process with a status that the design knows`, () => {
    assert.ok([2, 3, 4, 130].includes(status));
    assert.is(new StrataError(code as ErrorCode, 'x').exitStatus, status);
  });
}

strataError('no code shares its status with "changed", success or a bug', () => {
  const taken = new Set<number>(Object.values(exitStatuses));
  for (const status of [0, 1, exitStatusOfBug]) assert.not.ok(taken.has(status), String(status));
});

strataError('carries message, hint, problems and cause', () => {
  const cause = new Error('below');
  const error = new StrataError('CONFLICT', 'above', { hint: 'do this', problems: [problem()], cause });
  assert.equal(
    [error.name, error.message, error.hint, error.problems.length, error.cause],
    ['StrataError', 'above', 'do this', 1, cause],
  );
});

strataError('without options it has no hint, no problems and no cause', () => {
  const error = new StrataError('USAGE', 'x');
  assert.equal([error.hint, error.problems, 'cause' in error], [undefined, [], false]);
});

const sorting = suite('sortProblems');

sorting('orders by file, then line, then subject; without a file comes last', () => {
  const last = problem();
  const rows: Problem[] = [
    last,
    problem({ file: 'overlays/dev/strata.yaml', line: 1 }),
    problem({ file: '.env', line: 10 }),
    problem({ file: '.env', line: 9, subject: 'B' }),
    problem({ file: '.env', line: 9, subject: 'A' }),
    problem({ file: 'zürich/日本.yaml', line: 1 }),
    problem({ file: '.env' }),
  ];
  assert.equal(
    sortProblems(rows).map(({ file, line, subject }) => [file, line, subject].filter(Boolean).join(' ')),
    ['.env', '.env 9 A', '.env 9 B', '.env 10', 'overlays/dev/strata.yaml 1', 'zürich/日本.yaml 1', ''],
  );
  assert.is(rows[0], last, 'the list given stays as it was');
});

sorting('numbers in names count as numbers, equal places keep their order', () => {
  const names = ['env-10', 'env-9'].map((file) => problem({ file }));
  assert.equal(
    sortProblems(names).map(({ file }) => file),
    ['env-9', 'env-10'],
  );
  const same = ['first', 'second'].map((message) =>
    problem({ file: '.env', line: 1, subject: 'A', message }),
  );
  assert.equal(sortProblems(same), same);
});

const formatting = suite('formatProblem');

for (const [name, input, expected] of [
  ['place, subject and message', problem({ file: '.env', line: 3, subject: 'KEY' }), 'error: .env:3  KEY: m'],
  ['a file without a line', problem({ file: '.env' }), 'error: .env: m'],
  ['a subject alone', problem({ subject: 'Deployment/backend' }), 'error: Deployment/backend: m'],
  ['a message alone', problem(), 'error: m'],
  ['a warning', problem({ severity: 'warning', subject: 'KEY' }), 'warning: KEY: m'],
  ['the hint on a line of its own', problem({ hint: 'npm ci' }), 'error: m\n  next: npm ci'],
] as [string, Problem, string][]) {
  formatting(`shows ${name}`, () => assert.is(formatProblem(input), expected));
}

const throwing = suite('throwOnErrors');

throwing('warnings alone do not throw', () => {
  throwOnErrors('ENV_INVALID', 'x', []);
  throwOnErrors('ENV_INVALID', 'x', [problem({ severity: 'warning' })]);
});

throwing('one error throws every problem, sorted, warnings too', () => {
  const error = thrown(() =>
    throwOnErrors(
      'ENV_INVALID',
      'not valid',
      [problem({ file: '.env', line: 2 }), problem({ file: '.env', line: 1, severity: 'warning' })],
      'do this',
    ),
  );
  assert.equal([error.code, error.message, error.hint], ['ENV_INVALID', 'not valid', 'do this']);
  assert.equal(
    error.problems.map(({ line }) => line),
    [1, 2],
  );
});

for (const [problems, what] of [
  [[problem({ file: 'a', line: 3 })], 'a:3'],
  [[problem({ file: 'b' }), problem({ file: 'a', line: 3, severity: 'warning' })], 'b'],
  [
    [problem({ file: 'b', line: 2 }), problem({ file: 'a', line: 9 }), problem({ file: 'b', line: 2 })],
    'a:9, b:2',
  ],
  [[1, 2, 3, 4].map((line) => problem({ file: 'a', line })), 'what is named above'],
  [[problem()], 'what is named above'],
] as const) {
  throwing(`without a hint the next thing is to correct ${what}`, () => {
    const { hint } = thrown(() => throwOnErrors('TREE_INVALID', 'x', problems));
    assert.is(hint, `correct ${what}, then run the same command again`);
  });
}

const reading = suite('what was thrown');

for (const [input, expected] of [
  [new Error('text'), 'text'],
  ['text', 'text'],
  [undefined, 'undefined'],
  [42, '42'],
] as const) {
  reading(`messageOf ${String(input)}`, () => assert.is(messageOf(input), expected));
}

for (const [name, input, expected] of [
  ['a system error', Object.assign(new Error('x'), { code: 'ENOENT' }), 'ENOENT'],
  ['an error without a code', new Error('x'), undefined],
  ['an error whose code is a number', Object.assign(new Error('x'), { code: 1 }), undefined],
  ['an object that is no error', { code: 'ENOENT' }, undefined],
  ['nothing', undefined, undefined],
] as const) {
  reading(`systemCode of ${name}`, () => assert.is(systemCode(input), expected));
}

strataError.run();
sorting.run();
formatting.run();
throwing.run();
reading.run();
