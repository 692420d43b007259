import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { at, type KubeObject, listAt, numberAt, textAt } from '../../scripts/lib/manifest.ts';
import { makeChart } from '../support/chart.ts';
import { eventually, kubectlIn, useSandbox } from '../support/cluster.ts';
import { testMark } from '../support/deployment.ts';
import { helm } from '../support/helm.ts';
import { projectFolder } from '../support/session.ts';

const canary = 'canary-of-the-chart-0123456789-abcdefghij';

const secrets = {
  DATABASE_URL: 'postgresql+asyncpg://todo:canary%2Fword@db.strata.test/todo?ssl=require',
  DIRECT_DATABASE_URL: 'postgresql+asyncpg://todo:canary%2Fword@db.strata.test/todo?ssl=require',
  BETTER_AUTH_SECRET: `${canary}-better`,
  JWT_SECRET: `${canary}-jwt`,
};

/** A chart of the minikube overlay with migrations. */
async function withChart(
  work: (chart: string, valuesFile: (values: object) => string) => Promise<void>,
): Promise<void> {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'strata-chart-')));
  try {
    const root = path.join(folder, 'tree');
    mkdirSync(root);
    for (const name of ['base', 'components', 'overlays'])
      cpSync(path.join(projectFolder, name), path.join(root, name), { recursive: true });
    const kustomization = path.join(root, 'overlays/minikube/kustomization.yaml');
    writeFileSync(
      kustomization,
      JSON.stringify({
        namespace: 'todo-minikube',
        resources: ['../../base'],
        components: ['../../components/migrations'],
        images: ['todo-backend', 'todo-frontend'].map((name) => ({ name, newTag: 'dev' })),
      }),
    );
    let files = 0;
    await work(await makeChart(root, 'minikube'), (values) => {
      const file = path.join(folder, `values-${files++}.json`);
      writeFileSync(file, JSON.stringify(values), { mode: 0o600 });
      return file;
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const charts = suite('a chart on the cluster');

charts('installs, upgrades, rolls back and uninstalls; another release fits beside it', async () => {
  const sandbox = await useSandbox();
  const namespace = `${testMark}chart-${process.pid}`;
  const objects = async (kinds: string): Promise<KubeObject[]> => {
    const { stdout } = await kubectlIn(sandbox, ['-n', namespace, 'get', kinds, '-o', 'json']);
    return JSON.parse(stdout).items;
  };
  const run = async (...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await helm([...args, '--namespace', namespace], sandbox.kubeconfig);
    assert.is(status, 0, `helm ${args.join(' ')}\n${stdout}${stderr}`);
    return stdout + stderr;
  };
  const ready = async (): Promise<Record<string, unknown>> =>
    Object.fromEntries(
      (await objects('deployments')).map((object) => [
        object.metadata.name,
        numberAt(object, 'status', 'readyReplicas'),
      ]),
    );
  const configOf = (data: KubeObject[], name: string): unknown =>
    at(
      data.find(({ metadata }) => metadata.name === name),
      'data',
    );

  await withChart(async (chart, valuesFile) => {
    try {
      const wait = ['--wait', '--timeout', '60s'];
      const first = valuesFile({ secrets });
      const said = await run('install', 'todo', chart, '--create-namespace', '-f', first, ...wait);
      assert.match(said, /port-forward service\/frontend 8080:80/);
      assert.not.match(said, /canary|Pods wait/);
      assert.equal(await ready(), { backend: 1, frontend: 1 });
      const made = await objects('secrets,configmaps,jobs,serviceaccounts');
      const titles = made.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
      assert.equal(
        titles.filter((title) => title.includes('migrate')),
        [],
        'the hook took its copies away',
      );
      const jwt = textAt(configOf(made, 'backend-secrets'), 'JWT_SECRET') ?? '';
      assert.is(Buffer.from(jwt, 'base64').toString(), secrets.JWT_SECRET);

      const pods = async (): Promise<string[]> =>
        (await objects('replicasets')).map(({ metadata }) => metadata.name);
      const before = await pods();
      const second = valuesFile({
        secrets: { ...secrets, JWT_SECRET: `${canary}-other` },
        frontend: { replicaCount: 2 },
      });
      await run('upgrade', 'todo', chart, '-f', second, ...wait);
      assert.equal(await ready(), { backend: 1, frontend: 2 });
      const after = await pods();
      const fresh = after.filter((name) => !before.includes(name));
      assert.equal(
        fresh.map((name) => name.replace(/-[^-]+$/, '')),
        ['backend'],
        'the Secret of the backend changed, so its Pods alone are new',
      );

      const scale = ['--set', 'frontend.replicaCount=1'];
      const forgotten = await helm(
        ['upgrade', 'todo', chart, '--namespace', namespace, ...scale],
        sandbox.kubeconfig,
      );
      assert.is(forgotten.status, 1);
      assert.match(
        forgotten.stderr,
        /the Secret (backend|frontend|migrations)-secrets is of this release, and the upgrade would delete it: give/,
      );
      await run('upgrade', 'todo', chart, '--reuse-values', ...scale, ...wait);

      await run('rollback', 'todo', '1', ...wait);
      await eventually(ready, (found) => found.frontend === 1 && found.backend === 1);
      const back = textAt(configOf(await objects('secrets'), 'backend-secrets'), 'JWT_SECRET') ?? '';
      assert.is(Buffer.from(back, 'base64').toString(), secrets.JWT_SECRET);

      const beside = valuesFile({
        fullnameOverride: 'blue',
        existingSecrets: { 'backend-secrets': 'backend-secrets', 'frontend-secrets': 'frontend-secrets' },
        backend: { runMigrations: false },
        frontend: { config: { BACKEND_URL: 'http://blue-backend:8000' } },
      });
      await run('install', 'blue', chart, '-f', beside, ...wait);
      assert.equal(await ready(), { backend: 1, frontend: 1, 'blue-backend': 1, 'blue-frontend': 1 });
      const slices = await eventually(
        () => objects('endpointslices'),
        (found) => found.length === 4 && found.every((slice) => listAt(slice, 'endpoints').length > 0),
      );
      for (const slice of slices) {
        const [endpoint, ...others] = listAt(slice, 'endpoints');
        assert.is(others.length, 0, 'each Service reaches its own Pods');
        const service = slice.metadata.labels?.['kubernetes.io/service-name'] ?? '';
        assert.ok(textAt(endpoint, 'targetRef', 'name')?.startsWith(`${service}-`), service);
      }

      await run('uninstall', 'blue', ...wait);
      await run('uninstall', 'todo', ...wait);
      const left = await objects(
        'deployments,services,secrets,configmaps,jobs,serviceaccounts,ingresses,hpa',
      );
      assert.equal(
        left
          .map(({ metadata }) => metadata.name)
          .filter((name) => !/^(default|kube-root-ca\.crt)$/.test(name)),
        [],
      );
    } finally {
      await kubectlIn(sandbox, ['delete', 'namespace', namespace, '--wait=false']);
    }
  });
});

charts.run();
