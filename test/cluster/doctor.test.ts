import * as assert from 'uvu/assert';
import { concurrentSuite, withDeployment } from '../support/deployment.ts';

const doctor = concurrentSuite('doctor');

doctor('of a healthy deployment: every check is well, and nothing is changed', () =>
  withDeployment({}, async (deployment) => {
    const none = await deployment.expect(0, 'doctor');
    assert.match(
      none.stdout,
      /\nok {7}deployment {2}nothing is deployed\n {2}next: npm run up -- minikube\n/,
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
      /\n(ok|warning) +versions {4}kubectl v1\.\d+\S+, server v1\.\d+/,
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
      'node sandbox kubectl overlay env kubeconfig cluster login versions deployment',
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
      /\n {2}next: npm run status -- minikube\n/,
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
    const { stdout } = await deployment.expect(3, 'doctor');
    assert.match(stdout, /\nok {7}login {7}accepted, as viewer\n/);
    assert.match(stdout, /\nfailed {3}deployment {2}not allowed: .*\n {2}next: .*auth can-i --list/);
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
