// Plain JavaScript without dependencies: it must run on any Node and before `npm ci`.
// Whatever goes wrong before the command itself may not end in Node's own status 1,
// which `diff` uses for "changed".
import { realpathSync } from 'node:fs';
import module from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { bundle } from './bundle.js';

const [major, minor] = process.versions.node.split('.').map(Number);

function fail(status, message) {
  process.stderr.write(`${message}\n`);
  process.exit(status);
}

if (major < 20 || (major === 20 && minor < 12)) {
  fail(
    2,
    `error: Node ${process.versions.node} is too old, strata needs 20.12 or later\n  next: nvm install --lts`,
  );
}
const home = realpathSync(fileURLToPath(new URL('..', import.meta.url)));
const file = await bundle().catch((error) => {
  const isMissing = /Cannot find package|Could not resolve/.test(error?.message);
  const why = isMissing
    ? 'the npm packages are not installed'
    : `strata could not be put together: ${error?.message}`;
  fail(2, `error: ${why}\n  next: npm ci`);
});
module.enableCompileCache?.(`${home}/node_modules/.cache/strata/compiled`);
// Reading source maps costs a tenth of the start; they only serve the stack of a bug.
process.setSourceMapsEnabled(process.argv.includes('--verbose'));
try {
  const { main } = await import(pathToFileURL(file).href);
  await main(process.argv.slice(2), home);
} catch (error) {
  fail(70, `error: strata could not start, this is a bug\n${error?.stack ?? error}`);
}
