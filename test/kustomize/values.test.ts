import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildContract, type Contract } from '../../scripts/lib/contract.ts';
import { parseEnvFile } from '../../scripts/lib/envfile.ts';
import { writeRunFolder } from '../../scripts/lib/files.ts';
import { type GeneratedObject, generateFiles } from '../../scripts/lib/generate.ts';
import { inventoryOf } from '../../scripts/lib/inventory.ts';
import { findKubectl } from '../../scripts/lib/kubectl.ts';
import { generatedNameOf, referenceOf, stringsAt } from '../../scripts/lib/manifest.ts';
import { objectsOf } from '../../scripts/lib/prepare.ts';
import { type Rendered, render } from '../../scripts/lib/render.ts';
import { checkValues, type EnvValue } from '../../scripts/lib/values.ts';
import { verify } from '../../scripts/lib/verify.ts';
import { testSession } from '../support/session.ts';
import { anyText } from '../support/text.ts';
import { withTree } from '../support/tree.ts';

const batch = 64;
const numbers = Array.from({ length: batch }, (_, index) => index);

/** Each value goes to a ConfigMap under one key and to a Secret under another. */
const contract: Contract = (() => {
  const fields = (prefix: string): unknown =>
    Object.fromEntries(numbers.map((number) => [`${prefix}_${number}`, { optional: true }]));
  const text = JSON.stringify({ configMaps: { config: fields('C') }, secrets: { secrets: fields('S') } });
  const { contract: built, problems } = buildContract([{ file: 'strata.yaml', text }]);
  assert.equal(problems, []);
  return built;
})();

const tree = {
  'overlays/x/kustomization.yaml': 'namespace: todo\nresources: [account.yaml]\n',
  'overlays/x/account.yaml': 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x}\n',
};

/** Generate and render as every command does. */
const renderOf = (objects: readonly GeneratedObject[]): Promise<Rendered> =>
  withTree(tree, async (root) => {
    const session = testSession({ root });
    try {
      const folder = writeRunFolder(session, (target) =>
        generateFiles({
          folder: target,
          overlayFolder: `${root}/overlays/x`,
          namespace: 'todo',
          inventoryId: inventoryOf('x', 'todo').id,
          objects,
          images: [],
        }),
      );
      return await render(session, findKubectl(session), folder);
    } finally {
      session.end();
    }
  });

/** Every value that the checks let pass has to arrive as it was; returns how many did. */
async function roundTrip({ values, problems }: ReturnType<typeof checkValues>): Promise<number> {
  const refused = new Set(
    problems.filter(({ severity }) => severity === 'error').map(({ subject }) => subject),
  );
  const passed: EnvValue[] = values.filter(({ field }) => !refused.has(field.envKey));
  const generated = objectsOf(contract, passed);
  const { manifests } = await renderOf(generated);
  assert.equal(verify(manifests, { namespace: 'todo', generated, images: [], external: [] }), []);
  let count = 0;
  for (const { kind, name, data } of generated) {
    const found = manifests.find(
      ({ object }) => object.kind === kind && generatedNameOf(referenceOf(object)) === name,
    );
    const rendered = stringsAt(found?.object, 'data');
    assert.equal(Object.keys(rendered).sort(), [...data.keys()].sort());
    for (const [key, value] of data) {
      const bytes = Buffer.from(rendered[key]!, kind === 'Secret' ? 'base64' : 'utf8');
      assert.ok(
        bytes.equals(Buffer.from(value)),
        `${key}: ${JSON.stringify(value)} became ${bytes.toString()}`,
      );
      count++;
    }
  }
  return count;
}

// What one of the readers between an env file and an object is known to take for more than text.
const pieces = [
  '---',
  '\n---\n',
  '...',
  '%YAML',
  '# ',
  ' #',
  ': ',
  '- ',
  '? ',
  '|',
  '>',
  '|-\n',
  '&a',
  '*a',
  '!!str ',
  '<<',
  '=',
  '==',
  '"',
  "'",
  '`',
  '\\',
  '\\n',
  '\\u0041',
  '$',
  '$$',
  '${X}',
  '$(X)',
  '{{ x }}',
  '[',
  ']',
  '{',
  '}',
  ',',
  '@',
  '%',
  '\n',
  '\n\n',
  '\r',
  '\r\n',
  '\t',
  '\n\t',
  ' ',
  '  ',
  '\n ',
  '\u00a0',
  '\ufeff',
  '\u0001',
  '\u001b[31m',
  '\u0085',
  '\u007f',
  '\u2028',
  '\u2029',
  '\uffff',
  'é',
  'e\u0301',
  'ß',
  '日本',
  '🚀',
  '👩‍👩‍👧',
  'null',
  '~',
  'true',
  'Yes',
  'on',
  'n',
  '0x1F',
  '0o7',
  '010',
  '1_000',
  '1e3',
  '.inf',
  '-.INF',
  '.NaN',
  '12:30:00',
  '2001-01-01',
  'KEY=',
  'export ',
  'a'.repeat(70),
  'x'.repeat(1000),
];

const piece = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...pieces) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 10 }) },
);
const value = fc.oneof(
  fc.array(piece, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('')),
  fc.constantFrom(...pieces),
  anyText({ minLength: 1, maxLength: 30 }),
);
const manyValues = fc.array(value, { minLength: batch, maxLength: batch });

const arriving = suite('values through kustomize');

arriving('what dotenv reads from an env file arrives byte for byte, unless it was refused', async () => {
  let count = 0;
  const quoted = fc
    .tuple(value, fc.constantFrom('"', "'", '`', ''))
    .map(([text, quote]) => quote + text + quote);
  await fc.assert(
    fc.asyncProperty(fc.array(quoted, { minLength: batch, maxLength: batch }), async (texts) => {
      const layers = texts.flatMap((text, number) =>
        // One file each: a quote that is never closed would swallow the next key.
        ['C', 'S'].map((prefix) =>
          parseEnvFile(
            Buffer.from(`${prefix}_${number}=${text}\n`),
            '.env',
            new Set([`${prefix}_${number}`]),
          ),
        ),
      );
      count += await roundTrip(checkValues(contract, layers));
    }),
    { numRuns: 5 },
  );
  assert.ok(count >= 500, `${count} values`);
});

arriving('what the process environment holds arrives byte for byte, unless it was refused', async () => {
  let count = 0;
  await fc.assert(
    fc.asyncProperty(manyValues, async (texts) => {
      const process = Object.fromEntries(
        texts.flatMap((text, number) =>
          ['C', 'S'].map((prefix) => [`${prefix}_${number}`, Buffer.from(text).toString()]),
        ),
      );
      count += await roundTrip(checkValues(contract, [], { process }));
    }),
    { numRuns: 5 },
  );
  assert.ok(count >= 500, `${count} values`);
});

arriving('a value as long as an environment can hold arrives, in a Secret broken into lines', async () => {
  const text = `${'ä'.repeat(65_500)}`;
  const process = { C_0: text, S_0: text, C_1: '', S_1: '' };
  assert.is(await roundTrip(checkValues(contract, [], { process })), 4);
});

arriving('objects without any value are there, and empty', async () => {
  assert.is(await roundTrip(checkValues(contract, [])), 0);
});

arriving.run();
