import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { concurrentSuite, withDeployment } from '../support/deployment.ts';
import { projectFolder } from '../support/session.ts';

const doctor = concurrentSuite('doctor');

doctor('of a healthy deployment: every check is well, and nothing is changed', () =>
  withDeployment({}, async (deployment) => {
    const none = await deployment.expect(0, 'doctor');
    assert.match(
      none.stdout,
      `\nok       deployment  nothing is deployed\n  next: ${deployment.commandOf('up')}\n`,
    );

    await deployment.expect(0, 'up');
    const before = await deployment.snapshot();
    const { stdout, stderr } = await deployment.expect(0, 'doctor');
    for (const pattern of [
      /^ok {7}node {8}v\d+\.\d+\.\d+ \(\//,
      /\nok {7}kubectl {5}v1\.\d+\.\d+\S* \(\/\S*kubectl\)\n/,
      /\nok {7}overlay {5}overlays\/minikube, namespace strata-test-\w+\n/,
      /\n(ok|warning) +env {9}\d+ values as the contract wants them\n/,
      /\nok {7}kubeconfig {2}context minikube, https:\/\/127\.0\.0\.1:\d+\n/,
      /\nok {7}cluster {5}answers\n/,
      /\nok {7}login {7}accepted, as \S+\n/,
      /\nok {7}rendering {3}\d+ objects, every value and reference as meant\n/,
      /\nok {7}images {6}\S*todo-\w+:\S+, \S*todo-\w+:\S+\n/,
      /\n(ok|warning) +versions {4}kubectl v1\.\d+\S+, server v1\.\d+/,
      /\nok {7}identity {4}uid [0-9a-f-]{36}, CA sha256 [0-9a-f +]+, https:\S+; recorded on \d{4}-\d\d-\d\d\n/,
      /\nok {7}rights {6}\d+ that up takes\n/,
      /\nok {7}deployment {2}\d+ objects, all Current\n/,
    ])
      assert.match(stdout, pattern);
    assert.not.match(stdout, /failed|skipped/);
    assert.match(stderr, /all is well|warning/);
    assert.equal(await deployment.snapshot(), before);

    const { checks, ...rest } = JSON.parse(
      (await deployment.expect(0, 'doctor', ['--output', 'json'])).stdout,
    );
    assert.equal(rest, { schema: 'strata.dev/doctor/v1', overlay: 'minikube', ok: true, diagnosis: null });
    assert.equal(
      checks.map(({ name }: { name: string }) => name).join(' '),
      'node sandbox kubectl overlay env rendering images kubeconfig cluster login versions identity rights deployment',
    );
  }),
);

doctor('of one that is not: the report that up gives, and its status', () =>
  withDeployment({}, async (deployment) => {
    deployment.simulate('backend', 'crash-loop');
    await deployment.expect(4, 'up', ['--timeout', '2m']);
    const { stdout, stderr } = await deployment.expect(4, 'doctor');
    for (const pattern of [
      /\nfailed {3}deployment {2}1 of \d+ objects are not Current\n {2}error: Pod\/backend-\S+: container backend crashes again and again/,
      /\n +next: kubectl --context minikube -n strata-test-\w+ logs backend-\S+ -c backend --previous\n/,
      `\n  next: ${deployment.commandOf('status')}\n`,
      /\n {6}backend {2}CrashLoopBackOff, \d restarts, last with exit code 1\n/,
      /\nevents, newest first\n/,
      /\nlog of backend in Pod\/backend-\S+, the one before this\n {2}\| simulated: /,
    ])
      assert.match(stdout, pattern);
    assert.match(stderr, /^1 failed/m);
  }),
);

doctor('without any right: the login is accepted, what is not allowed is told', () =>
  withDeployment({}, async (deployment) => {
    await deployment.expect(0, 'up');
    deployment.writeKubeconfig('minikube', { from: deployment.sandbox.viewerKubeconfig });
    const { stdout, stderr } = await deployment.expect(3, 'doctor');
    assert.match(stdout, /\nok {7}login {7}accepted, as viewer\n/);
    assert.match(
      stdout,
      /\nfailed {3}rights {6}not allowed: User "viewer" cannot .* more rights are missing\n/,
    );
    assert.match(stdout, /\n {2}error: deployments\.apps in namespace \S+: not allowed: list, .*patch/);
    assert.match(stderr, /^# What overlay minikube needs in context minikube; an administrator/m);
    assert.match(stdout, /\nfailed {3}deployment {2}not allowed: .*\n {2}next: .*auth can-i --list/);
  }),
);

doctor('of another cluster than the one recorded: nothing of it is told, and the record stays', () =>
  withDeployment({ context: 'shared-dev' }, async (deployment) => {
    await deployment.expect(0, 'up', ['--yes']);
    const folder = path.join(deployment.root, '.strata');
    const file = path.join(folder, readdirSync(folder).find((name) => name.startsWith('cluster-'))!);
    const text = readFileSync(file, 'utf8').replace(/"uid": ".*"/, '"uid": "another"');
    writeFileSync(file, text);
    const { stdout } = await deployment.expect(3, 'doctor');
    assert.match(
      stdout,
      /\nfailed {3}identity {4}context shared-dev is another cluster than it was .* uid another, CA .* today: uid [0-9a-f-]{36}/,
    );
    assert.match(stdout, `; if it is meant, ${deployment.commandOf('diff', ' --trust-cluster')}\n`);
    for (const name of ['rights', 'deployment'])
      assert.match(stdout, new RegExp(`\\nskipped {2}${name} +needs the cluster that is meant\\n`));
    assert.is(readFileSync(file, 'utf8'), text);
  }),
);

doctor('of images that no node could pull, and of such that say no version', () =>
  withDeployment({}, async (deployment) => {
    const image = (name: string): void =>
      deployment.kustomize((kustomization) => {
        kustomization.images = [{ name: 'todo-backend', newName: name, newTag: 'latest' }];
      });
    image('todo-backend');
    const vague = await deployment.expect(0, 'doctor');
    assert.match(
      vague.stdout,
      /\nwarning {2}images .*\n {2}warning: todo-backend:latest: has the tag latest/,
    );
    image('Todo//backend');
    const wrong = await deployment.expect(3, 'doctor');
    assert.match(
      wrong.stdout,
      /\nfailed {3}images .*\n(?: .*\n)* {2}error: Todo\/\/backend:latest: is not the name/,
    );
    assert.match(wrong.stdout, /\nok {7}deployment /);
  }),
);

doctor('with --sandbox every next command names it', () =>
  withDeployment({}, async (deployment) => {
    const { name } = deployment.sandbox;
    const environment = { STRATA_SANDBOX: name };
    deployment.write('.env.example', readFileSync(path.join(projectFolder, '.env.example'), 'utf8'));
    const none = await deployment.expect(0, 'doctor', ['--sandbox'], { environment });
    assert.match(none.stdout, /\nok {7}identity {4}the sandbox is known by its processes/);
    assert.match(
      none.stdout,
      `\nok       deployment  nothing is deployed\n  next: ${deployment.commandOf('up', ' --sandbox')}\n`,
    );
    deployment.simulate('backend', 'crash-loop');
    const up = await deployment.expect(4, 'up', ['--sandbox', '--timeout', '2m'], { environment });
    assert.match(
      up.stderr,
      `next: ${deployment.commandOf('status', ' --sandbox')}; npm run sandbox -- --name ${name} kubectl`,
    );
    assert.not.match(up.stderr, /--context strata-sandbox/);
    deployment.write('bad.env', 'JWT_SECRET=short\n');
    const flags = ['--sandbox', '--env-file', path.join(deployment.root, 'bad.env')];
    const { stdout } = await deployment.expect(4, 'doctor', flags, { environment });
    assert.match(stdout, /\nfailed {3}env .*\n(?: .*\n)* {2}next: npm run env /);
    assert.match(stdout, `\n  next: ${deployment.commandOf('env', ` ${flags.join(' ')}`)}\n`);
    assert.match(stdout, `\n  next: ${deployment.commandOf('status', ' --sandbox')}\n`);
    assert.match(
      stdout,
      `npm run sandbox -- --name ${name} kubectl -n ${deployment.namespace} logs backend-`,
    );
    assert.not.match(stdout, /--context strata-sandbox/);
  }),
);

doctor('of a cluster that does not answer: the rest is checked all the same', () =>
  withDeployment({}, async (deployment) => {
    deployment.writeKubeconfig('minikube', { server: 'https://127.0.0.1:1' });
    deployment.setValues({ DATABASE_URL: '' });
    const { stdout } = await deployment.expect(3, 'doctor');
    assert.match(
      stdout,
      /\nfailed {3}env {9}1 thing is not as the contract wants\n {2}error: .*DATABASE_URL/,
    );
    assert.match(stdout, /\nfailed {3}cluster {5}the cluster of context minikube .* cannot be reached/);
    assert.match(stdout, /\nskipped {2}login {7}needs the cluster\n/);
    assert.match(stdout, /\nskipped {2}deployment {2}needs the cluster\n/);
  }),
);

doctor.run();
