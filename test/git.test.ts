import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseStatus, readCommit } from '../scripts/lib/git.ts';
import { testSession } from './support/session.ts';

const statuses = suite('parseStatus');

const oid = 'a1'.repeat(20);

statuses('takes the commit, and anything that is not committed for dirty', () => {
  const head = `# branch.oid ${oid}\n# branch.head main\n`;
  assert.equal(parseStatus(head), { commit: oid, isDirty: false });
  for (const line of ['1 .M N... 100644 100644 100644 x x a', '? new'])
    assert.equal(parseStatus(`${head}${line}\n`), { commit: oid, isDirty: true }, line);
});

statuses('knows no commit before the first one', () => {
  assert.is(parseStatus('# branch.oid (initial)\n# branch.head main\n'), undefined);
  assert.is(parseStatus(''), undefined);
});

statuses.run();

const reading = suite('readCommit');

reading('asks git in the tree, and does without it', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'strata-test-'));
  const environment = { PATH: process.env.PATH, HOME: folder };
  const git = (...args: string[]): string =>
    execFileSync('git', ['-c', 'user.name=x', '-c', 'user.email=x@strata.test', ...args], {
      cwd: folder,
      env: environment,
      encoding: 'utf8',
      stdio: 'pipe',
    });
  try {
    const root = path.join(folder, 'tree');
    mkdirSync(root);
    const session = testSession({ root, environment });
    assert.is(await readCommit(session), undefined, 'no repository');
    git('init', '-q');
    writeFileSync(path.join(root, 'a'), 'a');
    git('add', '.');
    git('commit', '-qm', 'x');
    const commit = git('rev-parse', 'HEAD').trim();
    assert.equal(await readCommit(session), { commit, isDirty: false });
    writeFileSync(path.join(folder, 'beside'), 'b');
    assert.is((await readCommit(session))?.isDirty, false, 'what is beside the tree does not count');
    writeFileSync(path.join(root, 'a'), 'b');
    assert.equal(await readCommit(session), { commit, isDirty: true });
    assert.is(await readCommit(testSession({ root, environment: { PATH: '', HOME: folder } })), undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

reading.run();
