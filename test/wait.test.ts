import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Symptom } from '../scripts/lib/diagnosis.ts';
import { createPatience } from '../scripts/lib/wait.ts';

const began = Date.parse('2026-03-01T10:00:00Z');

const symptom = (more: Partial<Symptom> = {}): Symptom => ({
  id: 'Pod/a/backend/crash',
  subject: 'Pod/a',
  message: 'crashes',
  hint: '',
  patience: 10_000,
  ...more,
});

const ago = (seconds: number): string => new Date(began - seconds * 1000).toISOString();

/** Whether the symptom counts at each of these seconds of the wait. */
function believedAt(looks: readonly [number, Symptom][]): { believed: boolean[]; told: number[] } {
  let now = 0;
  const told: number[] = [];
  const ripe = createPatience(
    () => now,
    began,
    (_, milliseconds) => told.push(milliseconds),
  );
  const believed = looks.map(([second, seen]) => {
    now = second * 1000;
    return ripe([seen]).length > 0;
  });
  return { believed, told };
}

const patience = suite('createPatience');

patience('a fresh symptom counts after its own patience', () => {
  for (const since of [{}, { since: ago(-5) }, { since: ago(1) }]) {
    const fresh = symptom(since);
    assert.equal(
      believedAt([
        [0, fresh],
        [9, fresh],
        [10, fresh],
      ]),
      { believed: [false, false, true], told: [] },
    );
  }
});

patience('one that went away in between starts anew', () => {
  let now = 0;
  const ripe = createPatience(
    () => now,
    began,
    () => {},
  );
  ripe([symptom()]);
  ripe([]);
  now = 10_000;
  assert.equal(ripe([symptom()]), []);
});

patience('an old one gets as long as it has failed already, for its next attempt', () => {
  const old = symptom({ since: ago(40), attempt: '3' });
  assert.equal(
    believedAt([
      [0, old],
      [39, old],
      [40, old],
    ]),
    { believed: [false, false, true], told: [40_000] },
  );
});

patience('and at least until whoever failed comes back to it', () => {
  const old = symptom({ since: ago(3), attempt: '3', patience: 0 });
  assert.equal(
    believedAt([
      [0, old],
      [14, old],
      [15, old],
    ]),
    { believed: [false, false, true], told: [15_000] },
  );
});

patience('what is known to be old is so by a clock that is behind, too', () => {
  const failed = symptom({ since: ago(-600), isOld: true, patience: 0 });
  assert.equal(
    believedAt([
      [0, failed],
      [14, failed],
      [15, failed],
    ]).believed,
    [false, false, true],
  );
});

patience('but never more than the kubelet waits at most, and controllers less', () => {
  const ofPod = symptom({ since: ago(86_400), attempt: '3' });
  const ofController = symptom({ since: ago(86_400) });
  assert.equal(believedAt([[299, ofPod]]).told, [300_000]);
  assert.equal(believedAt([[59, ofController]]).told, [60_000]);
  assert.equal(
    believedAt([
      [0, ofController],
      [59, ofController],
      [60, ofController],
    ]).believed,
    [false, false, true],
  );
});

patience('an attempt that fails again ends the waiting for it', () => {
  const before = symptom({ since: ago(300), attempt: '3', patience: 0 });
  assert.equal(
    believedAt([
      [0, before],
      [20, before],
      [21, { ...before, attempt: '4' }],
    ]).believed,
    [false, false, true],
  );
});

patience('without age nothing is old', () => {
  assert.equal(believedAt([[0, symptom({ patience: 0 })]]), { believed: [true], told: [] });
  assert.equal(believedAt([[0, symptom({ patience: 0, since: 'rubbish' })]]).believed, [true]);
});

patience.run();
