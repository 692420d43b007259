import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { sha256 } from '../../scripts/lib/digest.ts';
import { at, type KubeObject, stableJson } from '../../scripts/lib/manifest.ts';
import { assertStatus, concurrentSuite, type Deployment, withDeployment } from '../support/deployment.ts';
import { settings, webDeployment, writeSmallTree } from '../support/small-tree.ts';

const saved = concurrentSuite('saved plans');

const withSmall = (work: (deployment: Deployment) => Promise<void>): Promise<void> =>
  withDeployment({ overlay: 'none' }, async (deployment) => {
    writeSmallTree(deployment);
    await work(deployment);
  });

const fileOf = (deployment: Deployment): string => path.join(path.dirname(deployment.root), 'plan.json');

async function save(deployment: Deployment, flags: string[] = [], status = 1): Promise<string> {
  const file = fileOf(deployment);
  const { stderr } = await deployment.expect(status, 'diff', ['--save', file, ...flags]);
  assert.match(stderr, `npm run up -- --root ${deployment.root} --plan ${file} applies exactly this`);
  return file;
}

const applyPlan = (deployment: Deployment, status: number, flags: string[] = []) =>
  deployment.expect(status, 'up', ['--plan', fileOf(deployment), ...flags]);

/** Refuses with these problems, and writes nothing. */
async function assertStale(deployment: Deployment, problems: RegExp[], flags: string[] = []): Promise<void> {
  const before = await deployment.snapshot();
  const { stderr } = await applyPlan(deployment, 3, flags);
  assert.match(stderr, `nothing was changed [PLAN_STALE]\n  next: ${deployment.commandOf('diff')} `);
  const told = stderr.match(/^error: .*\n/gm) ?? [];
  assert.is(told.length, problems.length + 1, stderr);
  for (const [index, problem] of problems.entries()) assert.match(told[index]!, problem, stderr);
  assert.equal(await deployment.snapshot(), before);
}

const time = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/.source;

const deployedBlue = async (deployment: Deployment): Promise<void> => {
  await deployment.expect(0, 'up');
  deployment.add({ 'settings.yaml': settings({ colour: 'blue' }) });
};

const colourOf = async (deployment: Deployment): Promise<unknown> =>
  at(await deployment.get('configmap', 'settings'), 'data', 'colour');

saved('a first deployment is applied from its plan, with the flags of the plan, and once more', () =>
  withSmall(async (deployment) => {
    await save(deployment, ['--image', 'web=web:2']);
    const { stderr } = await applyPlan(deployment, 0);
    assert.match(stderr, 'applied 1 object (workloads)');
    const image = at(
      await deployment.get('deployment', 'web'),
      'spec',
      'template',
      'spec',
      'containers',
      0,
      'image',
    );
    assert.is(image, 'web:2');
    const again = await applyPlan(deployment, 0);
    assert.match(again.stderr, 'plan: clean');
  }),
);

saved('changes, replaces and prunes what the plan says', () =>
  withSmall(async (deployment) => {
    deployment.add({ 'extra.yaml': { ...settings(), metadata: { name: 'extra' } } });
    await deployment.expect(0, 'up');
    deployment.drop('extra.yaml');
    deployment.setSecret('WEB_TOKEN', 'another-token-of-the-tree');
    deployment.add({ 'settings.yaml': settings({ colour: 'blue' }) });
    await save(deployment);
    const { stderr } = await applyPlan(deployment, 0);
    assert.match(stderr, 'pruned ConfigMap/extra');
    assert.is(await colourOf(deployment), 'blue');
    assert.is(await deployment.get('configmap', 'extra'), undefined);
  }),
);

saved('the file is private, and nothing in it comes from a secret', () =>
  withSmall(async (deployment) => {
    await deployment.expect(0, 'up');
    deployment.setSecret('WEB_TOKEN', 'another-token-of-the-tree');
    const file = fileOf(deployment);
    writeFileSync(file, 'older', { mode: 0o644 });
    await save(deployment);
    const text = readFileSync(file, 'utf8');
    deployment.assertDiscreet(text);
    assert.is((statSync(file).mode & 0o777).toString(8), '600');
    // The hash of a name, and a plain digest of what holds that name, would tell a guessed value from others.
    const names = [...(await deployment.generated('Secret', 'web'))];
    assert.is(names.length, 1);
    for (const name of names) assert.not.match(text, name);
    assert.match(text, '"name": "web-*"');
    const again = await save(deployment).then((name) => readFileSync(name, 'utf8'));
    const digestsIn = (content: string): Set<string> =>
      new Set([...content.matchAll(/"(?:digest|outcome|salt)": "([^"]+)"/g)].map(([, digest]) => digest!));
    const first = digestsIn(text);
    assert.ok(first.size >= 5, text);
    for (const digest of digestsIn(again)) assert.not.ok(first.has(digest), 'no digest without the salt');
  }),
);

const another = { ...settings({ shape: 'round' }), metadata: { name: 'another' } };
const extra = { ...settings(), metadata: { name: 'extra' } };
const edit = ['--field-manager=editor', 'configmap'];

for (const [what, move, problems] of [
  [
    'the tree and the env files, with an object besides',
    async (deployment) => {
      deployment.setValues({ MODE: 'fast' });
      deployment.kustomize((kustomization) => {
        kustomization.images = [{ name: 'web', newTag: '2' }];
      });
      deployment.add({ 'fresh.yaml': { ...settings({ size: 'big' }), metadata: { name: 'fresh' } } });
      deployment.drop('another.yaml');
      await deployment.kubectl(['label', ...edit, 'settings', 'a=b']);
    },
    [
      /error: ConfigMap\/another: is not rendered any more/,
      /error: ConfigMap\/fresh: renders differently/,
      /error: ConfigMap\/mode-\*: renders differently/,
      new RegExp(`error: ConfigMap/settings: was changed by editor at ${time}`),
      /error: Deployment\/web: renders differently/,
    ],
  ],
  [
    'the value of a Secret in .env',
    (deployment) => deployment.setSecret('WEB_TOKEN', 'another-token-of-the-tree'),
    [/error: rendered bytes: differ, in the value of a secret/],
  ],
  [
    'what the plan changes, creates, prunes and leaves, before a conflict is told',
    async (deployment) => {
      const green = '{"data":{"colour":"green"}}';
      await deployment.kubectl(['patch', ...edit, 'settings', '--type=merge', '-p', green]);
      await deployment.kubectl(['create', 'configmap', 'fresh', '--from-literal=colour=red']);
      await deployment.kubectl(['label', ...edit, 'extra', 'keep=me']);
      await deployment.kubectl(['scale', 'deployment', 'web', '--replicas=3']);
      await deployment.kubectl(['delete', 'configmap', 'another']);
    },
    [
      /error: ConfigMap\/another: was deleted\n/,
      new RegExp(`error: ConfigMap/extra: was changed by editor at ${time}`),
      /error: ConfigMap\/fresh: was created by kubectl-create at /,
      new RegExp(`error: ConfigMap/settings: was changed by editor at ${time}, who holds data.colour`),
      /error: Deployment\/web: was changed by kubectl, who holds spec.replicas\n/,
    ],
  ],
  [
    'what was made anew, would be pruned besides, or is lost',
    async (deployment) => {
      await deployment.kubectl(['delete', 'configmap', 'settings', 'strata-minikube']);
      await deployment.kubectl(['create', 'configmap', 'settings', '--from-literal=colour=red']);
      const { metadata } = (await deployment.get('configmap', 'extra')) as KubeObject;
      await deployment.kubectl(['apply', '--server-side', '--field-manager=strata', '-f', '-'], {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'later', labels: metadata.labels },
      });
    },
    [
      /error: ConfigMap\/later: would be pruned now, and that is not in the plan/,
      /error: ConfigMap\/settings: was deleted and created again by kubectl-create at /,
      /error: inventory: is missing, and was not/,
    ],
  ],
] as [string, (deployment: Deployment) => unknown, RegExp[]][]) {
  saved(`refuses what moved, says what and by whom: ${what}`, () =>
    withSmall(async (deployment) => {
      deployment.write(
        deployment.own('strata.yaml'),
        'contexts: [minikube]\nconfigMaps: { mode: { MODE: {} } }\nsecrets: { web: { WEB_TOKEN: {} } }\n',
      );
      deployment.setValues({ MODE: 'slow' });
      deployment.add({ 'extra.yaml': extra, 'another.yaml': another });
      await deployedBlue(deployment);
      deployment.drop('extra.yaml');
      deployment.add({ 'fresh.yaml': { ...settings({ shape: 'round' }), metadata: { name: 'fresh' } } });
      await save(deployment);
      await move(deployment);
      await assertStale(deployment, problems);
    }),
  );
}

saved('neither a status nor somebody who scales what the plan leaves alone makes it stale', () =>
  withSmall(async (deployment) => {
    const { replicas: _, ...spec } = webDeployment().spec as Record<string, unknown>;
    deployment.add({ 'web.yaml': { ...webDeployment(), spec } });
    await deployedBlue(deployment);
    await save(deployment);
    const report = '{"status":{"observedGeneration":0}}';
    await deployment.kubectl([
      'patch',
      'deployment',
      'web',
      '--subresource=status',
      '--type=merge',
      '-p',
      report,
    ]);
    await deployment.kubectl(['scale', 'deployment', 'web', '--replicas=2']);
    await applyPlan(deployment, 0);
    assert.is(await colourOf(deployment), 'blue');
    assert.is(at(await deployment.get('deployment', 'web'), 'spec', 'replicas'), 2);
  }),
);

saved('goes on where an interrupted run of the same plan ended', () =>
  withSmall(async (deployment) => {
    await deployedBlue(deployment);
    deployment.add({ 'web.yaml': webDeployment({ minReadySeconds: 1 }) });
    await save(deployment);
    const running = deployment.start('up', ['--plan', fileOf(deployment)]);
    await running.said('(accounts and config)');
    running.child.kill('SIGKILL');
    await running.ended;
    await applyPlan(deployment, 0);
    assert.is(at(await deployment.get('deployment', 'web'), 'spec', 'minReadySeconds'), 1);
  }),
);

saved('refuses what another run changed while it waited for the lock', () =>
  withSmall(async (deployment) => {
    await deployedBlue(deployment);
    await save(deployment);
    const now = new Date().toISOString().replace('Z', '000Z');
    await deployment.kubectl(['create', '-f', '-'], {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'strata-minikube' },
      spec: {
        holderIdentity: 'carol@elsewhere',
        leaseDurationSeconds: 120,
        acquireTime: now,
        renewTime: now,
      },
    });
    const running = deployment.start('up', ['--plan', fileOf(deployment)]);
    await running.said('waiting for carol@elsewhere');
    // No conflict: without the plan it would be applied.
    await deployment.kubectl(['label', ...edit, 'settings', 'a=b']);
    await deployment.kubectl(['annotate', 'configmap', 'strata-minikube', 'touched=yes']);
    await deployment.kubectl(['delete', 'lease', 'strata-minikube']);
    const outcome = await running.ended;
    assertStatus(outcome, 3);
    assert.match(outcome.stderr, /error: ConfigMap\/settings: was changed by editor at .*\n.*\[PLAN_STALE\]/);
    assert.is(await colourOf(deployment), 'red');
  }),
);

/** As whoever edits a plan and mends its checksum would. */
function rewrite(deployment: Deployment, change: Record<string, unknown>): void {
  const { checksum: _, ...plan } = JSON.parse(readFileSync(fileOf(deployment), 'utf8'));
  const edited = { ...plan, ...change };
  writeFileSync(fileOf(deployment), JSON.stringify({ ...edited, checksum: sha256(stableJson(edited)) }));
}

saved('refuses a plan of another cluster of the same name', () =>
  withSmall(async (deployment) => {
    await deployedBlue(deployment);
    await save(deployment);
    const { cluster } = JSON.parse(readFileSync(fileOf(deployment), 'utf8'));
    rewrite(deployment, { cluster: { ...cluster, uid: '00000000-0000-4000-8000-000000000000' } });
    await assertStale(deployment, [/error: cluster: was uid 0{8}-.*; is uid /]);
    // Neither uid nor CA: it cannot be known.
    rewrite(deployment, { cluster: { ca: [], server: cluster.server } });
    await assertStale(deployment, [/error: cluster: cannot be shown to be the one of the plan/]);
  }),
);

saved('refuses flags that make another plan, before anything is sent, and takes the same ones', () =>
  withSmall(async (deployment) => {
    await deployedBlue(deployment);
    await save(deployment, ['--force-conflicts']);
    const { stderr } = await applyPlan(deployment, 2, [
      '--image',
      'web=web:2',
      '--context',
      'other',
      '--verbose',
    ]);
    assert.match(stderr, '--image, --context other would make another one [USAGE]');
    assert.not.match(stderr, /^GET /m);
    await applyPlan(deployment, 0, ['--force-conflicts', '--context', 'minikube']);
    assert.is(await colourOf(deployment), 'blue');
  }),
);

saved('the next commands go to the cluster of the plan, with the flags that were typed', () =>
  withDeployment({ context: 'prod' }, async (deployment) => {
    deployment.simulate('backend', 'never-ready');
    const file = await save(deployment, ['--context', 'prod', '--adopt']);
    const flags = ['--timeout', '2s'];
    const unasked = await applyPlan(deployment, 2, flags);
    const again = `npm run up -- --root ${deployment.root} --timeout 2s --adopt --plan ${file} --yes`;
    assert.match(unasked.stderr, `[CONFIRMATION_NEEDED]\n  next: after a look at the diff: ${again}\n`);
    const failed = await applyPlan(deployment, 4, [...flags, '--yes']);
    assert.match(failed.stderr, `next: ${deployment.commandOf('status', ' --context prod')};`);
  }),
);

saved('refuses a file that was edited or cut off, and changes nothing', () =>
  withSmall(async (deployment) => {
    await deployedBlue(deployment);
    const text = readFileSync(await save(deployment), 'utf8');
    const before = await deployment.snapshot();
    for (const [content, why] of [
      [text.replace('"force-conflicts": false', '"force-conflicts": true'), 'was edited or damaged'],
      [text.slice(0, -30), 'was cut off'],
      ['{}', 'is no plan'],
    ] as const) {
      writeFileSync(fileOf(deployment), content);
      const { stderr } = await applyPlan(deployment, 2, ['--verbose']);
      assert.match(stderr, why);
      assert.match(stderr, '[PLAN_INVALID]');
      assert.not.match(stderr, /^GET /m);
    }
    assert.equal(await deployment.snapshot(), before);
  }),
);

saved.run();
