import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { commandNames } from '../../scripts/lib/cli.ts';
import { type ErrorCode, exitStatuses } from '../../scripts/lib/errors.ts';
import { assertStatus, concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';
import { wrapKubectl } from '../support/fake-kubectl.ts';

// Every command × every way in which it ends, with secrets that may be in nothing it says or leaves: `Deployment` looks
// for each value as it is, in base64 at three offsets, URL-encoded and JSON-escaped, after each run.

interface Run {
  commands: readonly string[];
  /** The code that is told, which has its exit status; or the status alone. */
  ends: ErrorCode | number;
  flags?: readonly string[] | ((deployment: Deployment) => string[]);
  /** Instead of the overlay and --root. */
  words?: readonly string[];
  overlay?: string;
  environment?: (deployment: Deployment) => Record<string, string>;
}

interface Case {
  name: string;
  arrange?: (deployment: Deployment) => unknown;
  runs: readonly Run[];
  restore?: (deployment: Deployment) => unknown;
}

const ofEnv = ['env', 'generate', 'render', 'diff', 'up'];
const ofCluster = ['diff', 'up', 'down', 'status', 'history', 'rollback'];
const ofKubectl = ['render', ...ofCluster];
const withOutput = ['env', 'diff', 'status', 'history', 'doctor'];

/** The failures of doctor are in its table, whose checks have no code but its status. */
const andDoctor = (commands: readonly string[], code: ErrorCode, more: Partial<Run> = {}): Run[] => [
  { commands, ends: code, ...more },
  { commands: ['doctor'], ends: exitStatuses[code], ...more },
];

/** Of no env file: the cluster alone holds it. */
const live = 'canary/of+the=cluster 0123456789';
/** What somebody wrote over a value. */
const edited = 'canary-by-hand/0123456789+abcdef';

/** Another text of a file of the overlay for one case. */
function withText(file: string, change: (text: string) => string): Pick<Case, 'arrange' | 'restore'> {
  let before = '';
  return {
    arrange: (deployment) =>
      deployment.edit(deployment.own(file), (text) => {
        before = text;
        return change(text);
      }),
    restore: (deployment) => deployment.write(deployment.own(file), before),
  };
}

const kubeconfigOf = (change: (deployment: Deployment) => void): Pick<Case, 'arrange' | 'restore'> => ({
  arrange: change,
  restore: (deployment) => deployment.writeKubeconfig(deployment.context),
});

const withoutSandbox = { STRATA_SANDBOX: 'not-there', STRATA_SANDBOX_BIN: '/nowhere' };

const ofTree: Case[] = [
  {
    name: 'a flag that is none',
    runs: [{ commands: commandNames, ends: 'USAGE', flags: ['--no-such-flag'] }],
  },
  {
    name: 'no such overlay',
    runs: andDoctor([...ofEnv, ...ofCluster.slice(2)], 'OVERLAY_NOT_FOUND', { overlay: 'nowhere' }),
  },
  {
    name: 'a contract that is not valid',
    ...withText('strata.yaml', (text) => `${text}\nnonsense: true\n`),
    runs: andDoctor(ofEnv, 'CONTRACT_INVALID'),
  },
  {
    name: 'a value that is too short',
    arrange: (deployment) => deployment.setSecret('JWT_SECRET', 'too-short-canary'),
    runs: andDoctor(ofEnv, 'ENV_INVALID'),
    restore: (deployment) => deployment.setSecret('JWT_SECRET', 'long-enough-canary-'.repeat(3)),
  },
  {
    name: 'an env file that is not there',
    runs: andDoctor(ofEnv, 'FILE_UNREADABLE', { flags: ['--env-file', '/nowhere/.env'] }),
  },
  {
    name: 'a kustomization without a namespace',
    ...withText('kustomization.yaml', (text) => text.replace(/^namespace: .*$/m, '')),
    runs: andDoctor(['generate', 'render', 'diff', 'up'], 'TREE_INVALID'),
  },
  {
    name: 'a manifest that is no YAML, with a secret in it',
    arrange(deployment) {
      const file = 'secret.wrong.yaml';
      deployment.add({ [file]: {} });
      const [secret] = deployment.secrets;
      deployment.write(deployment.own(file), `kind: Secret\nstringData: {password: "${secret}"\n`);
    },
    runs: andDoctor(['render', 'diff', 'up'], 'RENDER_FAILED'),
    restore: (deployment) => deployment.drop('secret.wrong.yaml'),
  },
  {
    name: 'an image that nothing uses',
    runs: [
      { commands: ['render', 'diff', 'up'], ends: 'VERIFY_FAILED', flags: ['--image', 'none=none:1'] },
      { commands: ['chart'], ends: 'VERIFY_FAILED', flags: ['--image', 'none=none:1', '--out', 'chart'] },
    ],
  },
  {
    name: 'an env file where a plan should be',
    runs: [
      { commands: ['up'], ends: 'PLAN_INVALID', flags: ({ root }) => ['--plan', path.join(root, '.env')] },
    ],
  },
];

const ofTarget: Case[] = [
  {
    name: 'a context that is not on the list',
    runs: andDoctor(ofCluster, 'CONTEXT_REFUSED', { flags: ['--context', 'production'] }),
  },
  {
    name: 'a kubeconfig that is none',
    ...kubeconfigOf(({ kubeconfig }) => writeFileSync(kubeconfig, `clusters: ["${live}"`)),
    runs: andDoctor(ofCluster, 'KUBECONFIG_INVALID'),
  },
  {
    name: 'no sandbox',
    runs: [
      ...andDoctor([...ofEnv, ...ofCluster.slice(2)], 'SANDBOX_NOT_RUNNING', {
        flags: ['--sandbox'],
        environment: () => withoutSandbox,
      }),
      {
        commands: ['sandbox'],
        ends: 'SANDBOX_NOT_RUNNING',
        words: ['status'],
        environment: () => withoutSandbox,
      },
      { commands: ['sandbox'], ends: 'SANDBOX_FAILED', words: ['start'], environment: () => withoutSandbox },
      { commands: ['try'], ends: 'SANDBOX_FAILED', words: [], environment: () => withoutSandbox },
    ],
  },
  {
    name: 'no kubectl',
    runs: andDoctor(ofKubectl, 'KUBECTL_NOT_FOUND', { environment: () => ({ PATH: '/nowhere' }) }),
  },
  {
    name: 'a kubectl that says all that it was given, and fails',
    runs: [
      ...andDoctor(ofCluster, 'KUBECTL_FAILED', {
        environment: (deployment) => wrapKubectl(deployment, '[ "$1" = proxy ] && { env >&2; exit 1; }'),
      }),
      {
        commands: ['render', 'diff', 'up'],
        ends: 'RENDER_FAILED',
        environment: (deployment) =>
          wrapKubectl(deployment, '[ "$1" = kustomize ] && { cat "$2"/values/* >&2; exit 1; }'),
      },
    ],
  },
  {
    name: 'a server that does not answer',
    ...kubeconfigOf((deployment) =>
      deployment.writeKubeconfig(deployment.context, { server: 'https://127.0.0.1:1' }),
    ),
    runs: andDoctor(ofCluster, 'CLUSTER_UNREACHABLE'),
  },
  {
    name: 'a user without rights',
    ...kubeconfigOf((deployment) =>
      deployment.writeKubeconfig(deployment.context, { from: deployment.sandbox.viewerKubeconfig }),
    ),
    runs: andDoctor(ofCluster, 'CLUSTER_REFUSED'),
  },
  {
    name: 'nothing is deployed',
    runs: [
      { commands: ['rollback'], ends: 'ROLLBACK_IMPOSSIBLE' },
      { commands: ['down', 'status', 'history'], ends: 0 },
    ],
  },
];

const lease = ({ namespace, overlay }: Deployment): object => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name: `strata-${overlay}`, namespace },
  spec: { holderIdentity: 'carol', leaseDurationSeconds: 3600 },
});

const extra = (index: number): Record<string, object> => ({
  [`configmap.extra-${index}.yaml`]: {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: `extra-${index}` },
    data: { greeting: 'hello' },
  },
});
const extras = Object.assign({}, ...Array.from({ length: 14 }, (_, index) => extra(index))) as Record<
  string,
  object
>;

const secretOf = async (deployment: Deployment): Promise<string> =>
  (await deployment.generated('Secret', 'backend-secrets')).at(-1)!;

const finalizers = (list: string[]): string[] => [
  'patch',
  'service/backend',
  '--type=merge',
  '-p',
  JSON.stringify({ metadata: { finalizers: list } }),
];

const ofDeployment: Case[] = [
  {
    name: 'all is well',
    arrange: async (deployment) => {
      deployment.secrets.add(live).add(edited);
      deployment.setSecret('OPENAI_API_KEY', 'sk-"canary"-1 & <more> % ünïcode');
      await deployment.expect(0, 'up', ['--verbose']);
      const more = JSON.stringify({ stringData: { EXTRA: live } });
      await deployment.kubectl(['patch', 'secret', await secretOf(deployment), '-p', more]);
      await deployment.kubectl(['create', 'secret', 'generic', 'bystander', `--from-literal=a=${live}`]);
      deployment.setSecret('JWT_SECRET', 'the-next-canary-'.repeat(3));
    },
    runs: [
      { commands: ['diff'], ends: 1 },
      { commands: ['env', 'render', 'up', 'diff', 'status', 'history', 'doctor', 'rollback', 'up'], ends: 0 },
      // Its files are searched with the tree.
      { commands: ['chart'], ends: 0, flags: ({ root }) => ['--out', path.join(root, 'chart')] },
    ],
  },
  {
    name: 'a plan that something has moved under',
    async arrange(deployment) {
      deployment.setSecret('JWT_SECRET', 'a-planned-canary-'.repeat(3));
      await deployment.expect(1, 'diff', ['--save', path.join(deployment.root, 'plan.json'), '--verbose']);
      await deployment.kubectl(['label', 'service/backend', 'moved=yes']);
      deployment.setValues({ APP_NAME: 'moved too' });
    },
    runs: [
      {
        commands: ['up'],
        ends: 'PLAN_STALE',
        words: [],
        flags: ({ root }) => ['--root', root, '--plan', path.join(root, 'plan.json')],
      },
      { commands: ['up'], ends: 0 },
    ],
  },
  {
    name: 'a value that somebody edited',
    async arrange(deployment) {
      const change = JSON.stringify({ stringData: { JWT_SECRET: edited } });
      await deployment.kubectl(['patch', 'secret', await secretOf(deployment), '-p', change]);
    },
    runs: [
      { commands: ['diff', 'up'], ends: 'CONFLICT' },
      { commands: ['diff'], ends: 1, flags: ['--force-conflicts'] },
      { commands: ['up'], ends: 0, flags: ['--force-conflicts'] },
    ],
  },
  {
    name: 'a Secret of the same name that others made',
    arrange: (deployment) =>
      deployment.add({
        'secret.bystander.yaml': {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: 'bystander' },
          stringData: { a: edited },
        },
      }),
    runs: [{ commands: ['diff', 'up'], ends: 'NOT_OWNED' }],
    restore: (deployment) => deployment.drop('secret.bystander.yaml'),
  },
  {
    name: 'a Secret that the server refuses',
    arrange: (deployment) =>
      deployment.add({
        'secret.wrong.yaml': {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: 'wrong' },
          type: 'kubernetes.io/tls',
          stringData: { password: edited },
        },
      }),
    runs: [{ commands: ['diff', 'up'], ends: 'CLUSTER_REFUSED' }],
    restore: (deployment) => deployment.drop('secret.wrong.yaml'),
  },
  {
    name: 'a folder for the plan that is not there',
    runs: [{ commands: ['diff'], ends: 'FILE_UNWRITABLE', flags: ['--save', '/nowhere/plan.json'] }],
  },
  {
    name: 'more deletions than nobody would miss',
    async arrange(deployment) {
      deployment.add(extras);
      await deployment.expect(0, 'up');
      deployment.drop(...Object.keys(extras));
    },
    runs: [
      { commands: ['up', 'rollback'], ends: 'DELETE_GUARDED' },
      { commands: ['up'], ends: 0, flags: ['--allow-delete', 'most'] },
    ],
  },
  {
    name: 'somebody else at work',
    async arrange(deployment) {
      deployment.setSecret('JWT_SECRET', 'a-canary-that-waits-'.repeat(3));
      await deployment.kubectl(['create', '-f', '-'], lease(deployment));
    },
    runs: [
      {
        commands: ['up', 'down', 'rollback'],
        ends: 'LOCKED',
        flags: ['--timeout', '1s', '--allow-delete', 'most'],
      },
    ],
    restore: (deployment) => deployment.kubectl(['delete', 'leases', '--all']),
  },
  {
    name: 'a kubectl that repeats what it should apply',
    runs: [
      {
        commands: ['up'],
        ends: 'APPLY_FAILED',
        environment: (deployment) =>
          wrapKubectl(deployment, 'case " $* " in *" apply "*) cat >&2; exit 1 ;; esac'),
      },
    ],
  },
  {
    name: 'containers that crash',
    arrange: (deployment) => deployment.simulate('backend', 'crash-loop'),
    runs: [
      { commands: ['up'], ends: 'NOT_HEALTHY' },
      { commands: ['status', 'doctor'], ends: 4 },
      { commands: ['up'], ends: 'NOT_HEALTHY', flags: ['--rollback-on-failure'] },
    ],
    restore: (deployment) => deployment.simulate('backend', undefined),
  },
  {
    name: 'what does not go',
    arrange: (deployment) => deployment.kubectl(finalizers(['example.com/hold'])),
    runs: [{ commands: ['down'], ends: 'DELETE_FAILED', flags: ['--timeout', '2s'] }],
    restore: (deployment) => deployment.kubectl(finalizers([])),
  },
];

/** A context that is not local. */
const ofShared: Case[] = [
  {
    name: 'nobody to ask',
    runs: [{ commands: ['up', 'down', 'rollback'], ends: 'CONFIRMATION_NEEDED' }],
  },
  {
    name: 'another cluster',
    async arrange(deployment) {
      await deployment.expect(0, 'up', ['--yes', '--verbose']);
      const folder = path.join(deployment.root, '.strata');
      const file = path.join(folder, readdirSync(folder).find((name) => name.startsWith('cluster-'))!);
      writeFileSync(file, readFileSync(file, 'utf8').replace(/"uid": ".*"/, '"uid": "another"'));
    },
    runs: [
      ...['diff', 'status', 'history'].map((name): Run => ({ commands: [name], ends: 'CLUSTER_CHANGED' })),
      { commands: ['up', 'down', 'rollback'], ends: 'CLUSTER_CHANGED', flags: ['--yes'] },
      { commands: ['doctor'], ends: 3 },
    ],
  },
];

/** In the middle: the run is interrupted as soon as it says this. */
const ofInterruption: readonly [command: string, said: string][] = [
  ['diff', '$ kubectl proxy'],
  ['up', 'waiting until everything is Current'],
  ['rollback', '$ kubectl proxy'],
  ['status', '$ kubectl proxy'],
  ['history', '$ kubectl proxy'],
  ['down', '$ kubectl proxy'],
];

const stages: Record<string, readonly Case[]> = { ofTree, ofTarget, ofDeployment, ofShared };

/** Codes that no row reaches, and where they are instead. */
const elsewhere: Partial<Record<ErrorCode, string>> = {
  CLUSTER_TOO_OLD:
    'there is no server of that age; it says its version and nothing more: test/connection.test.ts',
  DECLINED: 'asked on a terminal alone: test/cluster/faults.test.ts, which searches what a terminal shows',
  INTERRUPTED: 'a table of its own, below',
};

const table = suite('the table');

const runs = Object.values(stages)
  .flat()
  .flatMap((entry) => entry.runs);

table('has every command, with a run that fails', () => {
  for (const name of commandNames)
    assert.ok(
      runs.some(({ commands, ends }) => commands.includes(name) && ends !== 0 && ends !== 'USAGE'),
      `${name} has no row but that of a wrong flag`,
    );
  for (const name of runs.flatMap(({ commands }) => commands)) assert.ok(commandNames.includes(name), name);
});

table('has every error code, or the reason why not', () => {
  const reached = new Set(runs.map(({ ends }) => ends));
  for (const code of Object.keys(exitStatuses) as ErrorCode[]) {
    assert.ok(reached.has(code) || elsewhere[code], `no row ends with ${code}`);
    assert.not.ok(reached.has(code) && elsewhere[code], `${code} is reached: no reason is needed`);
  }
});

table.run();

const canaries = concurrentSuite('canaries');

/** Every file of the tree but the env files and what is there to be read. */
function assertTreeDiscreet(deployment: Deployment): void {
  const names = readdirSync(deployment.root, { recursive: true, encoding: 'utf8' });
  for (const name of names.filter((file) => !/^\.env|secret\.\w+\.yaml$/.test(file))) {
    const file = path.join(deployment.root, name);
    if (statSync(file).isFile()) deployment.assertDiscreet(readFileSync(file, 'utf8'));
  }
}

async function perform(deployment: Deployment, title: string, run: Run): Promise<void> {
  const { ends, words, overlay, environment, flags = [] } = run;
  const status = typeof ends === 'number' ? ends : exitStatuses[ends];
  const given = typeof flags === 'function' ? flags(deployment) : flags;
  for (const command of run.commands) {
    const more = command === 'sandbox' ? [] : ['--verbose'];
    // Only what ends well has data.
    const outputs =
      withOutput.includes(command) && typeof ends === 'number' ? [[], ['--output', 'json']] : [[]];
    for (const output of outputs) {
      const all = [...given, ...more, ...output];
      const outcome = await deployment.strata(command, all, {
        ...(words ? { words } : {}),
        ...(overlay ? { overlay } : {}),
        ...(environment ? { environment: environment(deployment) } : {}),
        ...(command === 'render' ? { mayPrintSecrets: true as const } : {}),
      });
      assertStatus(outcome, status, `${title}: ${command} ${all.join(' ')}`);
      if (typeof ends === 'string') assert.match(outcome.stderr, ` [${ends}]\n`, `${title}: ${command}`);
    }
  }
  assertTreeDiscreet(deployment);
}

const performAll = async (deployment: Deployment, cases: readonly Case[]): Promise<void> => {
  for (const { name, arrange, runs: own, restore } of cases) {
    await arrange?.(deployment);
    for (const run of own) await perform(deployment, name, run);
    await restore?.(deployment);
  }
};

for (const [title, cases, options] of [
  ['of a tree that is not well', ofTree, {}],
  ['of a target that is not well', ofTarget, {}],
  ['of a deployment', ofDeployment, {}],
  ['of a cluster that is not local', ofShared, { context: 'shared-dev' }],
] as const) {
  canaries(title, () =>
    withDeployment(options, async (deployment) => {
      await performAll(deployment, cases);
      if (cases === ofDeployment) {
        assert.ok(existsSync(path.join(deployment.root, 'plan.json')));
        await deployment.assertClusterDiscreet();
      }
    }),
  );
}

canaries('of what is interrupted', () =>
  withDeployment({}, async (deployment) => {
    for (const [command, said] of ofInterruption) {
      const running = deployment.start(command, ['--verbose']);
      await running.said(said);
      running.child.kill('SIGINT');
      const outcome = await running.ended;
      assertStatus(outcome, exitStatuses.INTERRUPTED, command);
      assert.match(outcome.stderr, ' [INTERRUPTED]\n');
      deployment.assertDiscreet(outcome);
      deployment.assertNothingLeft();
    }
    await deployment.assertClusterDiscreet();
  }),
);

canaries.run();
