import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Check, isSkewed, statusOf } from '../scripts/lib/doctor.ts';

const skew = suite('isSkewed');

for (const [client, server, expected] of [
  ['v1.33.0', 'v1.33.4', false],
  ['v1.32.4', 'v1.33.4', false],
  ['v1.34.0', 'v1.33.4-gke.1', false],
  ['v1.31.0', 'v1.33.0', true],
  ['v1.36.0', 'v1.33.0+k3s1', true],
  ['v1.33.0', 'unknown', false],
] as const) {
  skew(`kubectl ${client} and server ${server}: ${expected}`, () => {
    assert.is(isSkewed(client, server), expected);
  });
}

const status = suite('statusOf');

const check = (state: Check['state'], code: number): Check => ({
  name: 'x',
  state,
  message: '',
  status: code,
});

status('0 without a failure, else the highest', () => {
  assert.is(statusOf([]), 0);
  assert.is(statusOf([check('ok', 0), check('warning', 0), check('skipped', 0)]), 0);
  assert.is(statusOf([check('failed', 2), check('failed', 4), check('failed', 3)]), 4);
});

skew.run();
status.run();
