import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Surroundings } from '../scripts/lib/diagnosis.ts';
import {
  diagnose,
  formatDiagnosis,
  type LogExcerpt,
  printable,
  problemsOf,
  speakersOf,
  type Trouble,
  witnessesOf,
} from '../scripts/lib/findings.ts';
import { readinessOf } from '../scripts/lib/kstatus.ts';
import type { KubeObject } from '../scripts/lib/manifest.ts';
import { deployment, owned, pod, progressing, replicaSet, waiting } from './support/objects.ts';
import { testSession } from './support/session.ts';

const set = replicaSet('backend-7d4b9c6f5d', '3');

const around = (pods: KubeObject[], events: KubeObject[] = []): Surroundings => ({
  pods,
  replicaSets: [set],
  events,
  setting: { context: 'minikube', namespace: 'todo', overlay: 'dev' },
});

const stuck = deployment({
  status: {
    observedGeneration: 3,
    replicas: 3,
    updatedReplicas: 3,
    conditions: [progressing('ReplicaSetUpdated')],
  },
});
const trouble: Trouble = { live: stuck, readiness: readinessOf(stuck) };

const crashing = (restartCount: number): Record<string, unknown> =>
  waiting('CrashLoopBackOff', 'back-off', {
    restartCount,
    lastState: { terminated: { exitCode: 1, reason: 'Error' } },
  });
const podOf = (name: string, status?: Record<string, unknown>): KubeObject =>
  pod(name, set.metadata.name, status);

const event = (name: string, seconds: number, more: Record<string, unknown> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { name: `${name}.${seconds}` },
  type: 'Warning',
  reason: 'BackOff',
  message: `Back-off restarting failed container backend in pod ${name}_todo(3f0c9f5a-9d3e-4c8e-8a55-0d6f6a3b1c2d)`,
  count: 2,
  lastTimestamp: new Date(Date.UTC(2026, 2, 1, 10, 0, seconds)).toISOString(),
  involvedObject: { kind: 'Pod', name, uid: `uid-of-pod-${name}` },
  ...more,
});

const log = (...lines: string[]): LogExcerpt => ({
  pod: 'a',
  container: 'backend',
  previous: true,
  lines,
  missing: undefined,
});

const text = (...args: Parameters<typeof diagnose>): string =>
  formatDiagnosis(diagnose(...args), {
    style: testSession().terminal.style,
    columns: 80,
    now: Date.UTC(2026, 2, 1, 10, 1, 0),
  }).join('\n');

const finding = suite('diagnose');

finding('ten equal Pods are one group, one finding and one log', () => {
  const pods = 'abcdefghij'.split('').map((name, index) => podOf(name, crashing(3 + index)));
  const { workloads, findings } = diagnose([trouble], around(pods), []);
  assert.is(workloads[0]!.groups.length, 1);
  assert.is(workloads[0]!.groups[0]!.pods.length, 10);
  assert.is(findings.length, 1);
  assert.is(problemsOf({ workloads, findings, events: [], logs: [] })[0]!.subject, 'Pod/a and 9 more');
  assert.is(speakersOf([trouble], around(pods)).length, 1);
});

finding('Pods that fail in two ways are two', () => {
  const pods = [podOf('a', crashing(3)), podOf('b', waiting('ErrImageNeverPull'))];
  const { workloads, findings } = diagnose([trouble], around(pods), []);
  assert.is(workloads[0]!.groups.length, 2);
  assert.is(findings.length, 2);
});

finding('what the program said before it ended is the cause', () => {
  const [found] = diagnose([trouble], around([podOf('a', crashing(3))]), [
    log('starting', 'Error: getaddrinfo ENOTFOUND db.test'),
  ]).findings;
  assert.is(
    found!.message,
    'container backend crashes again and again: 3 restarts, last with exit code 1: the name db.test does not resolve inside the cluster',
  );
  assert.match(found!.hint, /^npm run env -- dev/);
});

finding('the log of another container explains nothing', () => {
  const other = { ...log('Error: getaddrinfo ENOTFOUND db.test'), container: 'sidecar' };
  const [found] = diagnose([trouble], around([podOf('a', crashing(3))]), [other]).findings;
  assert.match(found!.hint, /logs a -c backend --previous$/);
});

finding('a workload without a Pod says what it says itself', () => {
  assert.equal(diagnose([trouble], around([]), []).findings, [
    { subject: 'Deployment/backend', pods: 0, message: trouble.readiness.message, hint: '' },
  ]);
});

finding('a claim that nothing is bound to', () => {
  const live = owned('v1', 'PersistentVolumeClaim', 'data', { status: { phase: 'Pending' } });
  const failed = event('data', 1, {
    reason: 'FailedBinding',
    message: 'no persistent volumes available for this claim and no storage class is set',
    involvedObject: { kind: 'PersistentVolumeClaim', name: 'data', uid: live.metadata.uid },
  });
  const { findings } = diagnose([{ live, readiness: readinessOf(live) }], around([], [failed]), []);
  assert.is(findings.length, 1);
  assert.match(findings[0]!.message, /^no volume is bound to it: it names no StorageClass/);
});

finding('a Job that was too slow, whose Pods are gone', () => {
  const live = owned('batch/v1', 'Job', 'migrate', {
    status: {
      conditions: [
        {
          type: 'Failed',
          status: 'True',
          reason: 'DeadlineExceeded',
          message: 'Job was active longer than specified deadline',
        },
      ],
    },
  });
  const [found] = diagnose([{ live, readiness: readinessOf(live) }], around([]), []).findings;
  assert.is(
    found!.message,
    'the Job failed: DeadlineExceeded (Job was active longer than specified deadline)',
  );
  assert.match(found!.hint, /activeDeadlineSeconds/);
});

const telling = suite('events');

telling('newest first, equal ones of equal Pods as one, of these objects only, warnings only', () => {
  const pods = [podOf('a', crashing(3)), podOf('b', crashing(4))];
  const { events } = diagnose(
    [trouble],
    around(pods, [
      event('a', 10),
      event('a', 30, { reason: 'Unhealthy', message: 'Liveness probe failed: x' }),
      event('a', 20),
      event('stranger', 40),
      event('a', 45, { type: 'Normal', reason: 'Pulled', message: 'there' }),
      event('a', 31, {
        type: 'Normal',
        reason: 'Killing',
        message: 'Container backend failed liveness probe',
      }),
    ]),
    [],
  );
  assert.equal(
    events.map(({ reason, count }) => [reason, count]),
    [
      ['Killing', 2],
      ['Unhealthy', 2],
      ['BackOff', 4],
    ],
  );
  assert.not.match(events[2]!.message, /3f0c9f5a/);
});

telling('no more than eight', () => {
  const many = Array.from({ length: 30 }, (_, index) => event('a', index, { message: `number ${index}` }));
  const { events } = diagnose([trouble], around([podOf('a', crashing(3))], many), []);
  assert.is(events.length, 8);
  assert.is(events[0]!.message, 'number 29');
});

telling('a twentieth workload is not asked about any more', () => {
  const troubles = Array.from({ length: 20 }, (_, index) => ({
    ...trouble,
    live: owned('v1', 'PersistentVolumeClaim', `data-${index}`),
  }));
  assert.is(witnessesOf(troubles, around([])).length, 12);
});

const formatting = suite('formatDiagnosis');

formatting('is short, and within 80 columns', () => {
  const pods = ['a', 'b', 'c'].map((name) => podOf(name, crashing(4)));
  const said = text([trouble], around(pods, [event('a', 48)]), [log(`x${'y'.repeat(300)}`, 'last')]);
  assert.is(
    said,
    [
      'Deployment/backend  InProgress: 0 of 2 available',
      '  ReplicaSet/backend-7d4b9c6f5d',
      '    Pod/a and 2 like it  Pending',
      '      backend  CrashLoopBackOff, 4 restarts, last with exit code 1',
      'events, newest first',
      '   12 s ago  BackOff ×2  Pod/a: Back-off restarting failed container backend in…',
      'log of backend in Pod/a, the one before this',
      `  | x${'y'.repeat(74)}…`,
      '  | last',
    ].join('\n'),
  );
});

formatting('says why there is no log', () => {
  const none = { ...log(), missing: 'not allowed: pods "a" is forbidden' };
  assert.match(
    text([trouble], around([podOf('a', crashing(3))]), [none]),
    /\nlog of backend in Pod\/a, the one before this: not allowed: pods "a" is forbidden$/,
  );
});

formatting('counts the Pods that are well', () => {
  assert.match(
    text([trouble], around([podOf('a'), podOf('b'), podOf('c', crashing(3))]), []),
    /available, 2 Pods ready\n/,
  );
});

const clean = suite('printable');

clean('neither colours nor titles nor bells of a program get to the terminal', () => {
  assert.is(printable('\x1b[31mred\x1b[0m \x1b]0;title\x07done\r\n\ttab\x00\x9b'), 'red done\n\ttab');
});

finding.run();
telling.run();
formatting.run();
clean.run();
