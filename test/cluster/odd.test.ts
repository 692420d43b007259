import * as assert from 'uvu/assert';
import { stringsAt } from '../../scripts/lib/manifest.ts';
import { formatYaml } from '../../scripts/lib/yaml.ts';
import { concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';

const odd = concurrentSuite('huge and odd input');

interface Tree {
  resources?: Record<string, string | object>;
  contract?: object;
  env?: Record<string, string>;
}

/** A tree of nothing but this. */
function write(deployment: Deployment, { resources = {}, contract = {}, env = {} }: Tree): void {
  for (const [file, content] of Object.entries(resources))
    deployment.write(deployment.own(file), typeof content === 'string' ? content : formatYaml(content));
  const kustomization = { namespace: deployment.namespace, resources: Object.keys(resources) };
  deployment.write(deployment.own('kustomization.yaml'), formatYaml(kustomization));
  deployment.write(
    deployment.own('strata.yaml'),
    formatYaml({ contexts: [deployment.context], ...contract }),
  );
  deployment.values.clear();
  deployment.setValues(env);
}

const configMap = (name: string, data: Record<string, string> = { a: 'b' }): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
});

/** Deployed, clean, and gone again. */
async function assertRoundTrip(
  deployment: Deployment,
  look: () => Promise<void> = async () => {},
): Promise<void> {
  await deployment.expect(0, 'up');
  await look();
  await deployment.expect(0, 'diff');
  await deployment.expect(0, 'down');
  assert.is(await deployment.get('namespace', deployment.namespace), undefined);
}

/** Data of the one generated ConfigMap of this name. */
async function heldBy(deployment: Deployment, name: string): Promise<Record<string, string>> {
  const [generated] = await deployment.generated('ConfigMap', name);
  return { ...stringsAt(await deployment.get('configmap', generated!), 'data') };
}

// What the API server takes in one object (validation.go of Kubernetes: MaxSecretSize), in the largest variables
// that Linux takes (MAX_ARG_STRLEN with the key, `=` and a NUL).
const objectLimit = 1_048_576;
const variableLimit = 131_072;

odd('values that fill an object to its last byte arrive; one byte more is told before anything is sent', () =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    const largest = variableLimit - 'K0='.length - 1;
    const env = Object.fromEntries(
      Array.from({ length: 8 }, (_, index) => [`K${index}`, String(index).repeat(largest)]),
    );
    env.K8 = 'x'.repeat(objectLimit - 8 * largest);
    const fields = Object.fromEntries(Object.keys(env).map((key) => [key, {}]));
    write(deployment, { contract: { configMaps: { large: fields } }, env });
    await assertRoundTrip(deployment, async () => assert.equal(await heldBy(deployment, 'large'), env));

    deployment.setValues({ K8: `${env.K8}x` });
    const object = await deployment.expect(2, 'up');
    assert.match(object.stderr, /large: its values are 1048577 bytes together; .* at most 1 MiB/);
    deployment.setValues({ K8: '', K0: `${env.K0}x` });
    const variable = await deployment.expect(2, 'up');
    assert.match(variable.stderr, /^error: \.env:1 {2}K0: /m);
    assert.is(await deployment.get('namespace', deployment.namespace), undefined);
  }),
);

odd('5,000 keys', () =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    const names = Array.from({ length: 10 }, (_, index) => `config-${index}`);
    const keysOf = (name: string): string[] =>
      Array.from({ length: 500 }, (_, index) => `${name.toUpperCase().replace('-', '_')}_${index}`);
    const configMaps = Object.fromEntries(
      names.map((name) => [name, Object.fromEntries(keysOf(name).map((key) => [key, {}]))]),
    );
    const env = Object.fromEntries(names.flatMap(keysOf).map((key) => [key, `value of ${key}`]));
    write(deployment, { contract: { configMaps }, env });
    await assertRoundTrip(deployment, async () => {
      for (const name of names)
        assert.equal(
          await heldBy(deployment, name),
          Object.fromEntries(keysOf(name).map((key) => [key, env[key]])),
        );
    });
  }),
);

odd('1,000 objects', () =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    const names = Array.from({ length: 1000 }, (_, index) => `object-${index}`);
    const all = names.map((name) => formatYaml(configMap(name))).join('---\n');
    write(deployment, { resources: { 'all.yaml': all } });
    await assertRoundTrip(deployment, async () => {
      const held = await deployment.list('configmaps');
      assert.is(held.filter(({ metadata }) => metadata.name.startsWith('object-')).length, 1000);
    });
  }),
);

odd('lists of objects in one document', () =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    const list = (kind: string, ...items: object[]): object => ({ apiVersion: 'v1', kind, items });
    write(deployment, {
      resources: {
        'list.yaml': list('List', configMap('one'), configMap('two')),
        'config-maps.yaml': list('ConfigMapList', configMap('three')),
      },
    });
    await assertRoundTrip(deployment, async () => {
      const held = new Set((await deployment.list('configmaps')).map(({ metadata }) => metadata.name));
      for (const name of ['one', 'two', 'three']) assert.ok(held.has(name), name);
    });
  }),
);

odd('an object without a name is told', () =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    const job = {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { generateName: 'job-' },
      spec: {
        template: { spec: { restartPolicy: 'Never', containers: [{ name: 'job', image: 'job:1' }] } },
      },
    };
    write(deployment, { resources: { 'job.yaml': job } });
    const { stderr } = await deployment.expect(3, 'up');
    assert.match(stderr, /a Job in job\.yaml has no metadata\.name/);
    assert.is(await deployment.get('namespace', deployment.namespace), undefined);
  }),
);

odd('an object without a namespace, of a kind that has none, comes and goes with the rest', () =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    const name = `${deployment.namespace}-reader`;
    const rules = [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }];
    const role = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name },
      rules,
    };
    write(deployment, { resources: { 'role.yaml': role, 'config.yaml': configMap('one') } });
    await assertRoundTrip(deployment, async () => {
      assert.is((await deployment.get('clusterrole', name))?.metadata.name, name);
    });
    assert.is(await deployment.get('clusterrole', name), undefined);
  }),
);

odd('Unicode and Windows line ends, in every file', () =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    const text = 'Zażółć 😀 \u202e عربى 𝄞';
    write(deployment, {
      resources: {
        'größe.yaml': configMap('one', { text, lines: 'a\nb\n' }),
      },
      contract: { configMaps: { generated: { TEXT: { description: text } } } },
      env: { TEXT: text },
    });
    for (const file of [
      deployment.own('größe.yaml'),
      deployment.own('kustomization.yaml'),
      deployment.own('strata.yaml'),
      '.env',
    ])
      deployment.edit(file, (content) => content.replaceAll('\n', '\r\n'));
    await assertRoundTrip(deployment, async () => {
      assert.equal(await heldBy(deployment, 'generated'), { TEXT: text });
      const { text: shown, lines } = stringsAt(await deployment.get('configmap', 'one'), 'data');
      assert.equal([shown, lines], [text, 'a\nb\n']);
    });
  }),
);

odd.run();
