import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  sandboxEnvFile,
  sandboxEnvText,
  throwawaySecret,
  writeSandboxEnv,
} from '../scripts/lib/sandbox-env.ts';
import { projectFolder, testSession } from './support/session.ts';

const secrets = suite('throwawaySecret');

secrets('is the same for the same sandbox and key, and for nothing else', () => {
  assert.is(throwawaySecret('seed', 'A'), throwawaySecret('seed', 'A'));
  assert.is.not(throwawaySecret('seed', 'A'), throwawaySecret('seed', 'B'));
  assert.is.not(throwawaySecret('seed', 'A'), throwawaySecret('other', 'A'));
});

secrets('has 48 characters that need no quotes', () => {
  assert.match(throwawaySecret('seed', 'A'), /^[\w-]{48}$/);
});

secrets.run();

const texts = suite('sandboxEnvText');

texts('fills what is empty or absent and keeps the rest', () => {
  const text = sandboxEnvText('# why\nA=\nB=kept\nC=""\n', ['A', 'B', 'C', 'D'], 'seed');
  assert.is(
    text,
    `# why\nA=${throwawaySecret('seed', 'A')}\nB=kept\nC=${throwawaySecret('seed', 'C')}\nD=${throwawaySecret('seed', 'D')}\n`,
  );
});

texts.run();

const files = suite('writeSandboxEnv');

files('writes a private file that stays the same', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'strata-env-'));
  try {
    const file = await writeSandboxEnv(testSession(), folder, 'seed');
    assert.is(statSync(file).mode & 0o777, 0o600);
    const first = readFileSync(file, 'utf8');
    assert.is(await writeSandboxEnv(testSession(), folder, 'seed'), file);
    assert.is(readFileSync(file, 'utf8'), first);
    assert.match(first, /^BETTER_AUTH_SECRET=[\w-]{48}$/m);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

files('works for a tree without .env.example and with a broken contract', async () => {
  const root = mkdtempSync(path.join(tmpdir(), 'strata-env-'));
  try {
    mkdirSync(path.join(root, 'overlays', 'broken'), { recursive: true });
    writeFileSync(path.join(root, 'overlays', 'broken', 'kustomization.yaml'), 'resources: [}');
    const file = await writeSandboxEnv(testSession({ root }), root, 'seed');
    assert.is(readFileSync(file, 'utf8'), '');
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

files('keeps the files of different trees apart', () => {
  const own = sandboxEnvFile({ home: projectFolder, root: projectFolder }, '/sandbox');
  const other = sandboxEnvFile({ home: projectFolder, root: '/elsewhere' }, '/sandbox');
  assert.is(own, '/sandbox/sandbox.env');
  assert.match(other, /^\/sandbox\/sandbox-[0-9a-f]{8}\.env$/);
});

files.run();
