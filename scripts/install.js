// Plain JavaScript without dependencies: it runs before there are any.
// `npm ci` only when the lock file is newer than what is installed: these commands are typed all day.
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const changed = (file) =>
  statSync(new URL(`../${file}`, import.meta.url), { throwIfNoEntry: false })?.mtimeMs ?? 0;

if (changed('node_modules/.package-lock.json') < changed('package-lock.json')) {
  process.stderr.write('installing npm packages\n');
  const { status, error } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (error || status !== 0) {
    process.stderr.write(
      `error: the npm packages could not be installed${error ? `: ${error.message}` : ''}\n  next: npm ci\n`,
    );
    process.exit(2);
  }
}
