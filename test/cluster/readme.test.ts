import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { npm, withCheckout } from '../support/checkout.ts';
import { kubectlIn, type Outcome, useSandbox } from '../support/cluster.ts';
import { fixedNodePorts } from '../support/node-ports.ts';
import { follow, sectionOf } from '../support/recipe.ts';
import { projectFolder } from '../support/session.ts';

/** Ends with the words of both streams when the status is another. */
function ended(outcome: Outcome, status: number, line: string): void {
  assert.is(outcome.status, status, `npm ${line}\n${outcome.stdout}${outcome.stderr}`);
}

const readme = suite('the lines of the README, literally');

readme('npm run try, diff and down against the sandbox it starts', async () => {
  await withCheckout(async (folder) => {
    const run = (line: string): Promise<Outcome> => npm(folder, line);
    try {
      const first = await run('run try');
      ended(first, 0, 'run try');
      assert.match(first.stdout, /^Deployment\/frontend +Current +todo-frontend:dev$/m);
      assert.match(first.stdout, /^Deployment\/backend +Current +todo-backend:dev$/m);
      assert.match(first.stderr, /simulated/);
      ended(await run('run try'), 0, 'run try, twice in a row');

      const diff = await run('run -s diff -- --sandbox');
      ended(diff, 0, 'run -s diff -- --sandbox');
      assert.match(diff.stdout, /^plan: clean \(11 unchanged\)$/m);

      const values = await run('run -s env -- --sandbox --output json');
      ended(values, 0, 'run -s env');
      const list = await run('run -s sandbox -- kubectl -n todo-minikube get secrets,configmaps -o json');
      ended(list, 0, 'run -s sandbox -- kubectl');
      const held = new Map<string, string>();
      for (const { kind, metadata, data = {} } of JSON.parse(list.stdout).items) {
        const name = metadata.name.replace(/-[^-]+$/, '');
        for (const [key, value] of Object.entries<string>(data)) {
          held.set(`${name}/${key}`, kind === 'Secret' ? Buffer.from(value, 'base64').toString() : value);
        }
      }
      const envFile = readFileSync(path.join(folder, '.strata/sandbox/default/sandbox.env'), 'utf8');
      const jwt = /^JWT_SECRET=(\S{32,})$/m.exec(envFile)?.[1];
      assert.ok(jwt, 'the throwaway env file has a JWT_SECRET');
      // The sandbox takes what up refuses elsewhere.
      assert.match(envFile, /^DATABASE_URL="postgresql\+asyncpg:\/\/user:password@/m);
      assert.is(held.get('backend-secrets/JWT_SECRET'), jwt);
      assert.is(held.get('backend-config/APP_NAME'), 'Todo API');
      assert.is(held.get('frontend-config/BACKEND_URL'), 'http://backend:8000');

      ended(await run('run down -- --sandbox'), 0, 'run down -- --sandbox');
      const left = await run('run -s sandbox -- kubectl get namespaces -o name');
      assert.not.match(left.stdout, /todo/);
    } finally {
      ended(await run('run sandbox -- stop'), 0, 'run sandbox -- stop');
    }
  });
});

readme('env --init, diff, up:minikube, diff and down against a context called minikube', async () => {
  const sandbox = await useSandbox();
  await fixedNodePorts(() =>
    withCheckout(async (folder) => {
      const kubeconfig = path.join(folder, '..', 'kubeconfig');
      const text = readFileSync(sandbox.kubeconfig, 'utf8').replaceAll(sandbox.context, 'minikube');
      writeFileSync(kubeconfig, text, { mode: 0o600 });
      const run = (line: string): Promise<Outcome> => npm(folder, line, { KUBECONFIG: kubeconfig });

      ended(await run('run env -- --init'), 0, 'run env -- --init');
      const envFile = path.join(folder, '.env');
      const url =
        'postgresql+asyncpg://todo:Kf7%40qTz4@ep-cool-1.eu-central-1.aws.neon.tech/todo?ssl=require';
      writeFileSync(
        envFile,
        readFileSync(envFile, 'utf8').replace(/^DATABASE_URL=.*$/m, `DATABASE_URL="${url}"`),
      );

      const before = await run('run diff');
      ended(before, 1, 'run diff');
      assert.match(before.stdout, /^plan: changed \(11 to create\)$/m);
      try {
        const up = await run('run up:minikube');
        ended(up, 0, 'run up:minikube');
        assert.match(
          up.stderr,
          /minikube service frontend -p minikube -n todo-minikube --url \(node port 30080\)/,
        );
        assert.match(up.stderr, /port-forward service\/frontend 30080:80/);
        const clean = await run('run diff');
        ended(clean, 0, 'run diff');
        const status = await run('run status');
        ended(status, 0, 'run status');
        const read = ['-n', 'todo-minikube', 'get', 'secret', '-o', 'json'];
        const { items } = JSON.parse((await kubectlIn(sandbox, read)).stdout);
        const backend = items.find(({ metadata }: { metadata: { name: string } }) =>
          metadata.name.startsWith('backend-secrets-'),
        );
        assert.is(Buffer.from(backend.data.DATABASE_URL, 'base64').toString(), url);
        for (const { stdout, stderr } of [before, up, clean, status]) {
          assert.not.match(stdout + stderr, /Kf7%40qTz4/);
        }
      } finally {
        ended(await run('run down'), 0, 'run down');
      }
      const again = await run('run down');
      ended(again, 0, 'run down, a second time');
      assert.match(again.stderr, /nothing of overlay minikube/);
    }),
  );
});

/** After the recipe: what `diff` says, and what is rendered for which overlay. */
interface Recipe {
  overlay: string;
  says: RegExp[];
  renders: RegExp[];
}

const recipes: Record<string, Recipe> = {
  'Add an env key': {
    overlay: 'minikube',
    says: [/^\+ create ConfigMap\/backend-config-\w+\n +with .*\bGREETING\b/m],
    renders: [/^ {2}GREETING: Servus$/m],
  },
  'Add a component': {
    overlay: 'minikube',
    says: [/^plan: changed \(11 to create\)$/m],
    renders: [/failureThreshold: 90\n/],
  },
  'Add a service': {
    overlay: 'minikube',
    says: [
      /^\+ create ConfigMap\/worker-config-\w+$/m,
      /^\+ create Secret\/worker-secrets-\w+$/m,
      /^\+ create Deployment\/worker$/m,
      /^\+ create Service\/worker$/m,
      /^\+ create ServiceAccount\/worker$/m,
      /^plan: changed \(16 to create\)$/m,
    ],
    renders: [/ image: todo-worker:dev\n/, /name: worker-secrets-\w+\n/],
  },
  'Add an overlay': {
    overlay: 'staging',
    says: [/^\+ create Namespace\/todo-staging$/m, /^\+ create Ingress\/todo$/m],
    renders: [
      /^ {2}namespace: todo-staging$/m,
      /^ {2}ENVIRONMENT: staging$/m,
      / host: todo-api\.staging\.example\.com\n/,
      /^ {2}BETTER_AUTH_URL: https:\/\/todo\.staging\.example\.com$/m,
    ],
  },
};

const manual = readFileSync(path.join(projectFolder, 'README.md'), 'utf8');

readme('every recipe is tried', () => {
  const titles = [...manual.matchAll(/^\*\*(Add [^*]+)\.\*\*/gm)].map(([, title]) => title);
  assert.equal(titles, Object.keys(recipes));
});

for (const [title, { overlay, says, renders }] of Object.entries(recipes)) {
  readme(`${title}: done as the recipe says, diff shows it`, async () => {
    const sandbox = await useSandbox();
    await fixedNodePorts(() =>
      withCheckout(async (folder) => {
        const kubeconfig = path.join(folder, '..', 'kubeconfig');
        const context = readFileSync(sandbox.kubeconfig, 'utf8').replaceAll(sandbox.context, overlay);
        writeFileSync(kubeconfig, context, { mode: 0o600 });
        const run = (line: string): Promise<Outcome> => npm(folder, line, { KUBECONFIG: kubeconfig });
        ended(await run('run env -- --init'), 0, 'run env -- --init');
        const recipe = sectionOf(manual, `**${title}.**`);
        follow(folder, recipe);
        const [, line = ''] = /^npm (run diff.*)$/m.exec(recipe) ?? [];
        const diff = await run(line);
        ended(diff, 1, line);
        for (const pattern of says) assert.match(diff.stdout, pattern);
        const rendered = await run(`run -s render -- ${overlay}`);
        assert.is(rendered.status, 0, rendered.stderr);
        for (const pattern of renders) assert.match(rendered.stdout, pattern);
      }),
    );
  });
}

readme.run();
