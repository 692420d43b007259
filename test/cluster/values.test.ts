import { parse } from 'dotenv';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KubeObject } from '../../scripts/lib/manifest.ts';
import { seed } from '../support/chaos.ts';
import { assertStatus, type Deployment, withDeployment } from '../support/deployment.ts';

const values = suite('values');

const keyCount = 60;
const rounds = 4;
const keys = Array.from({ length: keyCount }, (_, index) => `KEY_${index}`);

/** A value in quotes of a kind that is not in it; undefined when that cannot be written down for dotenv. */
function quote(value: string): string | undefined {
  const marks = ["'", '`', '"', ...(/["'`]/.test(value) ? [] : [''])];
  const fitting = marks.filter((mark) => mark === '' || !value.includes(mark));
  const written = fitting.map((mark) => `${mark}${value}${mark}`);
  return written.find((text) => {
    const parsed = parse(`A=1\nKEY=${text}\nB=2\n`);
    return Object.keys(parsed).join() === 'A,KEY,B' && parsed.KEY === value;
  });
}

/** What tools on the way are known to read in their own manner. */
const awkward = [
  '"',
  "'",
  '`',
  '$',
  '${HOME}',
  '$(date)',
  '#',
  ' # ',
  '=',
  '\n',
  '\t',
  '\\',
  '\\n',
  ' ',
  '{{ .Values }}',
  '---\n',
  ': ',
  '- ',
  '|',
  '>',
  '%',
  '&a',
  '*a',
  '!!str ',
  '@',
  '0x1F',
  '1e3',
  '012',
  'yes',
  'null',
  '~',
  '<<',
  'ü',
  '💥',
  'e\u0301',
  '\u200b',
  '\ufeff',
  '\u00a0',
  '\u0001',
  '\u001b[31m',
];

const value = fc
  .array(
    fc.oneof(
      fc.constantFrom(...awkward),
      fc.string({ maxLength: 6, unit: 'grapheme' }),
      fc.string({ maxLength: 6, unit: 'grapheme-ascii' }),
    ),
    { minLength: 1, maxLength: 12 },
  )
  .map((parts) => parts.join(''))
  .filter((text) => text !== '' && !text.includes('\0') && quote(text) !== undefined);

/** What a ConfigMap can carry; strata refuses the rest, and Secrets carry all of it. */
const isForConfigMap = (text: string): boolean =>
  !/[\u007f-\u009f\u2028\u2029\ufffe\uffff]/.test(text) && !(text.startsWith('\t') && text.includes('\n'));

const yaml = (lines: string[]): string => `${lines.join('\n')}\n`;

function treeFor(deployment: Deployment, config: readonly string[]): void {
  deployment.write(
    deployment.own('kustomization.yaml'),
    yaml([
      'apiVersion: kustomize.config.k8s.io/v1beta1',
      'kind: Kustomization',
      `namespace: ${deployment.namespace}`,
      'resources: [namespace.yaml]',
    ]),
  );
  deployment.write(
    deployment.own('namespace.yaml'),
    yaml(['apiVersion: v1', 'kind: Namespace', 'metadata:', `  name: ${deployment.namespace}`]),
  );
  deployment.write(
    deployment.own('strata.yaml'),
    yaml([
      'contexts: [minikube]',
      'configMaps:',
      '  config:',
      ...config.map((key) => `    ${key}: {}`),
      'secrets:',
      '  secrets:',
      // Anything may come up at random, also `${HOME}`.
      ...keys.filter((key) => !config.includes(key)).map((key) => `    ${key}: { placeholder: allow }`),
    ]),
  );
}

function dataOf(object: KubeObject): [string, Buffer][] {
  const data = Object.entries((object.data ?? {}) as Record<string, string>);
  return data.map(([key, text]) => [key, Buffer.from(text, object.kind === 'Secret' ? 'base64' : 'utf8')]);
}

/** Sets every key in `.env`, deploys, and compares what the server holds with what dotenv parsed. */
async function assertArrive(texts: readonly string[], seed: number): Promise<void> {
  await withDeployment({ overlay: 'none' }, async (deployment) => {
    const config = keys.filter((_, index) => index % 2 === 0 && isForConfigMap(texts[index]!));
    treeFor(deployment, config);
    const env = keys.map((key, index) => `${key}=${quote(texts[index]!)}\n`).join('');
    deployment.write('.env', env);
    const outcome = await deployment.strata('up');
    assertStatus(outcome, 0, `seed ${seed}: up`);
    await deployment.expect(0, 'diff');
    const expected = parse(env);
    const arrived = new Map((await deployment.list('configmaps,secrets')).flatMap(dataOf));
    for (const key of keys) {
      const value = JSON.stringify(expected[key]);
      assert.ok(arrived.get(key)?.equals(Buffer.from(expected[key]!)), `seed ${seed}: ${key} ${value}`);
    }
  });
}

values('that dotenv parses arrive byte for byte in the cluster', async () => {
  const texts = fc.sample(value, { seed, numRuns: rounds * keyCount });
  const batches = Array.from({ length: rounds }, (_, round) =>
    texts.slice(round * keyCount, (round + 1) * keyCount),
  );
  await Promise.all(batches.map((batch) => assertArrive(batch, seed)));
});

values.run();
