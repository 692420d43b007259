// Plain JavaScript without dependencies: it must run on any Node and before `npm ci`.
// Whatever goes wrong before the command itself may not end in Node's own status 1,
// which `diff` uses for "changed".
import module from 'node:module';
import { fileURLToPath } from 'node:url';

const [major, minor] = process.versions.node.split('.').map(Number);

function fail(status, message) {
  process.stderr.write(`${message}\n`);
  process.exit(status);
}

/** tsx's hook for `require` starts five times as fast as its loader for `import`, which needs a thread of its own. */
function requireThroughTsx() {
  const require = module.createRequire(import.meta.url);
  // tsx would look through every file of every package as well; only ours are TypeScript.
  const { '.js': js, '.cjs': cjs } = require.extensions;
  require('tsx/cjs/api').register();
  Object.assign(require.extensions, { '.js': js, '.cjs': cjs });
  // Reading source maps costs a tenth of the start; they only serve the stack of a bug.
  process.setSourceMapsEnabled(process.argv.includes('--verbose'));
  return require;
}

function importNatively() {
  module.enableCompileCache?.(fileURLToPath(new URL('../node_modules/.cache/strata', import.meta.url)));
  return (file) => import(file);
}

/** Loads a TypeScript file of ours; the packages may not be there. */
async function load(file) {
  try {
    loader ??= process.features.typescript ? importNatively() : requireThroughTsx();
    return await loader(file);
  } catch (error) {
    const isMissing = error?.code === 'ERR_MODULE_NOT_FOUND' || error?.code === 'MODULE_NOT_FOUND';
    if (isMissing && /Cannot find (?:package|module) '(?:@?\w)/.test(error.message)) {
      fail(2, 'error: the npm packages are not installed\n  next: npm ci');
    }
    fail(70, `error: strata could not start, this is a bug\n${error?.stack ?? error}`);
  }
}

let loader;
if (major < 20 || (major === 20 && minor < 12)) {
  fail(
    2,
    `error: Node ${process.versions.node} is too old, strata needs 20.12 or later\n  next: nvm install --lts`,
  );
}
const { main } = await load('./lib/cli.ts');
await main(process.argv.slice(2), load);
