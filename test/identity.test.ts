import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Answer, Connection } from '../scripts/lib/connection.ts';
import type { StrataError } from '../scripts/lib/errors.ts';
import {
  compareCluster,
  compareIdentities,
  type Expectation,
  expectCluster,
  fingerprintsOf,
  formatIdentity,
  type Identity,
  meetsPin,
  normalFingerprint,
  recognize,
} from '../scripts/lib/identity.ts';
import { certificate } from './support/certificate.ts';
import { testSession } from './support/session.ts';

const identity = (uid: string | undefined, ca: string, server = 'https://a'): Identity => ({
  uid,
  ca: ca.split(' ').filter(Boolean),
  server,
});

const comparing = suite('compareIdentities');

for (const [known, found, verdict] of [
  [identity('1', 'a'), identity('1', 'a'), 'same'],
  [identity('1', 'a'), identity('1', 'a', 'https://b'), 'same'],
  [identity('1', ''), identity('1', 'a'), 'same'],
  [identity('1', 'a b'), identity('1', 'b c'), 'same'],
  [identity('1', 'a'), identity('1', 'b'), 'another CA'],
  [identity('1', 'a'), identity('2', 'a'), 'another cluster'],
  [identity('1', 'a'), identity('2', ''), 'another cluster'],
  [identity('1', 'a'), identity(undefined, 'a'), 'same by its CA alone'],
  [identity(undefined, 'a'), identity('1', 'a'), 'same by its CA alone'],
  [identity('1', 'a'), identity(undefined, 'a', 'https://b'), 'unknown'],
  [identity('1', 'a'), identity(undefined, 'b'), 'another cluster'],
  [identity('1', 'a'), identity(undefined, ''), 'unknown'],
  [identity('1', ''), identity(undefined, 'a'), 'unknown'],
  [identity(undefined, 'a'), identity('1', ''), 'unknown'],
] as const) {
  comparing(`${formatIdentity(known)} | ${formatIdentity(found)}: ${verdict}`, () => {
    assert.is(compareIdentities(known, found), verdict);
  });
}

const pinning = suite('meetsPin');

for (const [pin, found, expected] of [
  [{ uid: '1' }, identity('1', 'a'), true],
  [{ uid: '1' }, identity('2', 'a'), false],
  [{ uid: '1' }, identity(undefined, 'a'), undefined],
  [{ ca: 'a' }, identity(undefined, 'b a'), true],
  [{ ca: 'a' }, identity('1', 'b'), false],
  [{ ca: 'a' }, identity('1', ''), undefined],
  [{ uid: '1', ca: 'a' }, identity('1', 'b'), false],
  [{ uid: '1', ca: 'a' }, identity('2', 'a'), false],
  [{ uid: '1', ca: 'a' }, identity(undefined, 'a'), true],
  [{ uid: '1', ca: 'a' }, identity('1', ''), true],
] as const) {
  pinning(`${JSON.stringify(pin)} | ${formatIdentity(found)}: ${expected}`, () => {
    assert.is(meetsPin(pin, found), expected);
  });
}

const prints = suite('fingerprintsOf');

const fingerprint =
  '65:2B:E2:15:8F:C3:08:1C:89:B7:3C:6F:35:44:70:30:B8:8B:74:25:6D:7F:96:8C:B7:E5:07:22:16:6D:10:7F';

prints('are those that openssl prints', () => {
  assert.equal(fingerprintsOf(certificate), [normalFingerprint(fingerprint)]);
});

prints('of a bundle count each certificate once; what is none does not count', () => {
  const broken = '-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----';
  assert.equal(fingerprintsOf(`# comment\n${certificate}\n${broken}\n${certificate}`), [
    normalFingerprint(fingerprint),
  ]);
  assert.equal(fingerprintsOf('plain text'), []);
});

const recording = suite('recognize');

const context = { name: 'prod', cluster: 'c', server: 'https://a', user: 'u', usesExec: false };

const answering = (answer: Answer): Connection => ({
  context,
  request: async () => answer,
  get: async () => undefined,
  getText: async () => ({ status: 404, text: '' }),
  now: () => 0,
  watch: async () => {},
  close() {},
});

const nothingKnown: Expectation = {
  context,
  cluster: undefined,
  record: undefined,
  file: '/dev/null/.strata/x.json',
  isTrusted: false,
  trusting: 'the same command with --trust-cluster',
  sandbox: undefined,
};

recording('where nothing can be written: a note, and the work goes on', async () => {
  const session = testSession({ root: '/dev/null' });
  const connection = answering({ status: 200, body: { metadata: { uid: '1' } } });
  const { identity: found, record } = await recognize(session, connection, nothingKnown);
  assert.equal(found, { uid: '1', ca: [], server: 'https://a' });
  record();
  assert.match(
    session.output.stderr,
    /^note: \.strata\/x\.json cannot be written \(ENOTDIR\), so .*`cluster:`/,
  );
});

recording('compareCluster compares, and leaves what is recorded as it is', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'strata-identity-'));
  try {
    const session = testSession({ root: folder });
    const file = path.join(folder, '.strata/x.json');
    const record = { uid: '1', ca: [], server: 'https://old', context: 'prod', recordedAt: '2026-01-01' };
    const expectation = { ...nothingKnown, file, record };
    const connection = answering({ status: 200, body: { metadata: { uid: '1' } } });
    const { found, next } = await compareCluster(session, connection, expectation);
    assert.equal([found.server, next], ['https://a', { uid: '1', ca: [], server: 'https://a' }]);
    assert.equal(readdirSync(folder), []);
    await recognize(session, connection, expectation);
    assert.match(readFileSync(file, 'utf8'), '"server": "https://a"');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

recording('who cannot log in is told that, not that the cluster may be another one', async () => {
  const record = { uid: '1', ca: ['a'], server: 'https://a', context: 'prod', recordedAt: '2026-01-01' };
  for (const [status, message] of [
    [401, 'Unauthorized'],
    [403, 'namespaces "kube-system" is forbidden: User "system:anonymous" cannot get resource'],
  ] as const) {
    const error = await recognize(
      testSession({ root: '/dev/null' }),
      answering({ status, body: { message } }),
      { ...nothingKnown, record },
    ).then(
      () => undefined,
      (reason: unknown) => reason as StrataError,
    );
    assert.is(error?.code, 'CLUSTER_REFUSED');
    assert.match(error?.message ?? '', `does not accept the login: ${message}`);
  }
});

recording('the sandbox is neither asked nor recorded', async () => {
  const session = testSession({ root: '/dev/null' });
  const expectation = expectCluster(
    session,
    { positionals: [], flags: {} },
    { ...context, name: 'strata-sandbox' },
    { cluster: { pin: { uid: '2' }, place: { file: 'strata.yaml', line: 1 } }, sandbox: {} },
  );
  const { identity: found, record } = await recognize(session, {} as Connection, expectation);
  record();
  assert.equal([found, session.output.stderr], [undefined, '']);
});

recording.run();
comparing.run();
pinning.run();
prints.run();
