// Plain JavaScript: it runs before anything can read TypeScript.
// Reading our files and those of the packages one by one takes longer than all that `render` does,
// so they are put together into a few files, once for each state of the sources.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const scripts = fileURLToPath(new URL('.', import.meta.url));
const cache = path.join(scripts, '../node_modules/.cache/strata');
const entry = 'cli.mjs';
/** Milliseconds; a bundle of other sources may still belong to a command that runs. */
const oldAge = 86_400_000;

const lookAt = (file) => statSync(file, { throwIfNoEntry: false });
const remove = (folder) => rmSync(folder, { recursive: true, force: true });

function stampOf() {
  const sources = ['.', 'lib'].flatMap((folder) =>
    readdirSync(path.join(scripts, folder))
      .filter((name) => /\.[jt]s$/.test(name))
      .map((name) => path.join(scripts, folder, name)),
  );
  const hash = createHash('sha256');
  for (const file of [...sources, path.join(scripts, '../package-lock.json')]) {
    const { size, mtimeMs } = lookAt(file) ?? {};
    hash.update(`${file} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex').slice(0, 16);
}

async function build(outdir) {
  const { buildSync } = await import('esbuild');
  buildSync({
    absWorkingDir: scripts,
    entryPoints: ['lib/cli.ts'],
    outdir,
    bundle: true,
    splitting: true,
    format: 'esm',
    outExtension: { '.js': '.mjs' },
    platform: 'node',
    target: 'node20.12',
    minifySyntax: true,
    minifyWhitespace: true,
    sourcemap: true,
    logLevel: 'silent',
    // The yaml package is CommonJS.
    banner: {
      js: "import{createRequire as requireOf}from'node:module';const require=requireOf(import.meta.url);",
    },
  });
}

/** For an install that is not ours to write to: made for this run alone. */
async function buildOnce() {
  const folder = mkdtempSync(path.join(tmpdir(), 'strata-bundle-'));
  process.once('exit', () => remove(folder));
  await build(folder);
  return folder;
}

function clean() {
  for (const name of readdirSync(cache).filter((one) => /^[0-9a-f]{16}\b/.test(one))) {
    const { mtimeMs } = lookAt(path.join(cache, name)) ?? {};
    if (Date.now() - mtimeMs > oldAge) remove(path.join(cache, name));
  }
}

async function folderOf() {
  const folder = path.join(cache, stampOf());
  if (existsSync(folder)) return folder;
  const made = `${folder}.${process.pid}`;
  try {
    mkdirSync(made, { recursive: true });
  } catch {
    return buildOnce();
  }
  try {
    await build(made);
    renameSync(made, folder);
    clean();
  } catch (error) {
    remove(made);
    // Another command may have been faster.
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

/** The file to import: `scripts/lib/cli.ts` with all that it needs. */
export const bundle = async () => path.join(await folderOf(), entry);
