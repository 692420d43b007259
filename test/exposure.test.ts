import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { exposuresOf } from '../scripts/lib/exposure.ts';
import { readEnvValues } from '../scripts/lib/values.ts';
import { testSession } from './support/session.ts';
import { withTree } from './support/tree.ts';

const secret = 'tide-of-glass-7b41c0e9d2aa';
const key = `-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nEFAASC\n-----END KEY-----\n`;
const base64 = (text: string): string => Buffer.from(text).toString('base64');

const tree = {
  'overlays/minikube/kustomization.yaml': 'namespace: a\n',
  'overlays/minikube/strata.yaml':
    'configMaps: { c: { NAME: { optional: true } } }\nsecrets: { s: { TOKEN: { optional: true }, PEM: { optional: true } } }\n',
  '.env': `TOKEN=${secret}\nPEM="${key}"\nNAME=a-name-that-is-no-secret\n`,
  '.gitignore': '.env\n',
};

const git = (root: string, ...args: string[]): unknown =>
  execFileSync('git', ['-c', 'core.excludesFile=/dev/null', ...args], { cwd: root, stdio: 'pipe' });

/** What is told of this tree: `file:line subject`. */
async function told(root: string, overrides: Parameters<typeof testSession>[0] = {}): Promise<string[]> {
  const session = testSession({ root, ...overrides });
  const { values, paths } = await readEnvValues(session, 'minikube');
  const problems = await exposuresOf(session, values, paths);
  for (const { severity, hint, message } of problems) {
    assert.ok(severity === 'warning' && hint);
    assert.not.ok(`${hint} ${message}`.includes(secret));
  }
  return problems.map(({ file, line, subject }) => `${file}${line ? `:${line}` : ''} ${subject}`);
}

/** A repository with the tree and further files, all of them added. */
const withRepository = (
  files: Record<string, string>,
  work: (root: string) => Promise<void>,
): Promise<void> =>
  withTree({ ...tree, ...files }, async (root) => {
    chmodSync(path.join(root, '.env'), 0o600);
    git(root, 'init', '--quiet');
    git(root, 'add', '.');
    await work(root);
  });

const exposure = suite('exposuresOf');

exposure('nothing where all is as it should be', () =>
  withRepository({ 'README.md': 'a-name-that-is-no-secret' }, async (root) => {
    assert.equal(await told(root), []);
  }),
);

exposure('an env file that others can read', () =>
  withRepository({}, async (root) => {
    chmodSync(path.join(root, '.env'), 0o640);
    assert.equal(await told(root), ['.env mode']);
  }),
);

exposure('an env file that git does not ignore, or has already', () =>
  withRepository({ '.gitignore': '', '.env.minikube': '' }, async (root) => {
    chmodSync(path.join(root, '.env.minikube'), 0o600);
    git(root, 'rm', '--cached', '--quiet', '.env.minikube');
    assert.equal(await told(root), ['.env git', '.env.minikube git']);
  }),
);

exposure('a secret in a tracked file, as it is, in base64, and by one line of several', () =>
  withRepository(
    {
      'a file.md': `# x\n\nuse ${secret} there, ${secret}\n`,
      'secret.yaml': `data:\n  TOKEN: ${base64(secret)}\n  other: x\n`,
      'key.pem': `x\n${key}`,
      '.env.example': `TOKEN=something-else\n`,
    },
    async (root) => {
      writeFileSync(path.join(root, 'untracked.md'), secret);
      assert.equal(await told(root), ['a file.md:3 TOKEN', 'key.pem:3 PEM', 'secret.yaml:2 TOKEN']);
    },
  ),
);

exposure('the whole repository, seen from a tree below its top', () =>
  withTree({ 'x.md': secret }, (top) =>
    withTree(tree, async (elsewhere) => {
      const root = path.join(top, 'apps/todo');
      execFileSync('mkdir', ['-p', path.dirname(root)]);
      execFileSync('cp', ['-r', elsewhere, root]);
      chmodSync(path.join(root, '.env'), 0o600);
      writeFileSync(path.join(root, 'b.md'), secret);
      git(top, 'init', '--quiet');
      git(top, 'add', '.');
      assert.equal(await told(root), ['../../x.md:1 TOKEN', 'b.md:1 TOKEN']);
    }),
  ),
);

exposure('without a repository or without git: the mode alone', () =>
  withTree(tree, async (root) => {
    chmodSync(path.join(root, '.env'), 0o644);
    assert.equal(await told(root), ['.env mode']);
    git(root, 'init', '--quiet');
    assert.equal(await told(root, { environment: { PATH: '/nowhere' } }), ['.env mode']);
  }),
);

exposure.run();
