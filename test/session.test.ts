import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StrataError } from '../scripts/lib/errors.ts';
import { formatDuration, systemClock } from '../scripts/lib/session.ts';
import { rejection } from './support/assertions.ts';

const durations = suite('formatDuration');

for (const [milliseconds, expected] of [
  [0, '0 ms'],
  [340.4, '340 ms'],
  [999.4, '999 ms'],
  [999.6, '1.0 s'],
  [1234, '1.2 s'],
  [59_949, '59.9 s'],
  [59_950, '1 min 0 s'],
  [119_700, '2 min 0 s'],
  [125_000, '2 min 5 s'],
  [3_600_000, '60 min 0 s'],
] as const) {
  durations(`${milliseconds} ms is ${expected}`, () => assert.is(formatDuration(milliseconds), expected));
}

const clock = suite('systemClock');

clock('sleeps as long as it is told, by its own measure', async () => {
  const started = systemClock.now();
  await systemClock.sleep(20);
  assert.ok(systemClock.now() - started >= 19);
});

clock('an abort ends the sleep at once, with its reason', async () => {
  const interruption = new AbortController();
  const reason = new StrataError('INTERRUPTED', 'interrupted');
  const sleeping = systemClock.sleep(60_000, interruption.signal);
  interruption.abort(reason);
  assert.is(await rejection(sleeping), reason);
  assert.is(await rejection(systemClock.sleep(0, interruption.signal)), reason);
});

clock('many may sleep at a time without a warning of Node', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): number => warnings.push(warning);
  process.on('warning', onWarning);
  const { signal } = new AbortController();
  await Promise.all(Array.from({ length: 20 }, () => systemClock.sleep(1, signal)));
  process.off('warning', onWarning);
  assert.equal(warnings, []);
});

durations.run();
clock.run();
