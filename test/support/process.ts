import * as assert from 'uvu/assert';
import { processWithPid } from '../../scripts/lib/process.ts';
import { systemClock } from '../../scripts/lib/session.ts';

export const isAlive = (pid: number): boolean => processWithPid(pid) !== undefined;

/** Waits for what happens soon; `what` is said when it does not within 20 seconds. */
export async function until(isTrue: () => boolean, what = `never true: ${isTrue}`): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!isTrue()) {
    assert.ok(performance.now() < deadline, what);
    await systemClock.sleep(10);
  }
}
