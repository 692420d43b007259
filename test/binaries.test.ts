import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { binaryNames, cacheFolder, cacheKey, isOldGo, resolveBinaries } from '../scripts/lib/binaries.ts';
import { StrataError } from '../scripts/lib/errors.ts';
import { processWithPid } from '../scripts/lib/process.ts';
import { systemClock } from '../scripts/lib/session.ts';
import { testSession } from './support/session.ts';

/** A machine with nothing on it but what a test puts there. */
interface Machine {
  home: string;
  bin: string;
  environment: Record<string, string>;
}

const withMachine = async (work: (machine: Machine) => Promise<void>): Promise<void> => {
  const home = mkdtempSync(path.join(tmpdir(), 'strata-binaries-'));
  const bin = path.join(home, 'bin');
  mkdirSync(bin);
  try {
    await work({ home, bin, environment: { HOME: home, PATH: bin } });
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
};

const install = (folder: string, name: string, script: string): void => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, name), `#!/bin/sh\n${script}\n`);
  chmodSync(path.join(folder, name), 0o755);
};

const installAll = (folder: string, version = '1.36.4'): void => {
  for (const name of binaryNames) install(folder, name, `echo "${name} v${version}"`);
};

/** Counts its builds and writes what `-o` names. */
const installGo = (machine: Machine, options: { version?: string; build?: string } = {}): void => {
  const {
    version = '1.26.3',
    build = 'while [ "$1" != -o ]; do shift; done; echo "#!/bin/sh" >"$2"; chmod 755 "$2" 2>/dev/null || /bin/chmod 755 "$2"',
  } = options;
  install(
    machine.bin,
    'go',
    `PATH=$PATH:/usr/bin:/bin
if [ "$1" = version ]; then echo "go version go${version} linux/amd64"; exit; fi
echo "$*" >>"${machine.home}/builds"
${build}`,
  );
};

const builds = (machine: Machine): number => {
  const file = path.join(machine.home, 'builds');
  return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n').length : 0;
};

const cached = (machine: Machine): string[] => {
  const cache = cacheFolder(machine.environment);
  return existsSync(cache) ? readdirSync(cache) : [];
};

const refusal = async (environment: Record<string, string>): Promise<StrataError> => {
  const error = await resolveBinaries(testSession({ environment })).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.instance(error, StrataError);
  return error as StrataError;
};

const caches = suite('cacheFolder');

for (const [environment, platform, expected] of [
  [{ HOME: '/home/a' }, 'linux', '/home/a/.cache/strata'],
  [{ HOME: '/Users/a' }, 'darwin', '/Users/a/Library/Caches/strata'],
  [{ HOME: '/home/a', XDG_CACHE_HOME: '/c' }, 'linux', '/c/strata'],
  [{ HOME: '/home/a', XDG_CACHE_HOME: 'relative' }, 'linux', '/home/a/.cache/strata'],
  [{}, 'linux', path.join(tmpdir(), `strata-${process.getuid?.()}`)],
] as const) {
  caches(`is ${expected} for ${JSON.stringify(environment)} on ${platform}`, () => {
    assert.is(cacheFolder(environment, platform), expected);
  });
}

caches.run();

const keys = suite('cacheKey');

const parts = { pins: ['a', 'b'], ldflags: ['-s'], platform: 'linux', architecture: 'x64' };

keys('is the same for the same parts', () => {
  assert.is(cacheKey(parts), cacheKey({ ...parts }));
});

for (const changed of [
  { pins: ['a', 'c'] },
  { pins: ['ab'] },
  { ldflags: ['-w'] },
  { platform: 'darwin' },
  { architecture: 'arm64' },
]) {
  keys(`changes with ${JSON.stringify(changed)}`, () => {
    assert.is.not(cacheKey(parts), cacheKey({ ...parts, ...changed }));
  });
}

keys.run();

const versions = suite('isOldGo');

for (const [version, expected] of [
  ['1.26.0', false],
  ['1.26', false],
  ['1.27.1', false],
  ['2.0', false],
  ['1.25.9', true],
  ['1.9.7', true],
  ['nonsense', true],
] as const) {
  versions(`${version} is ${expected ? 'too old' : 'new enough'}`, () => {
    assert.is(isOldGo(version), expected);
  });
}

versions.run();

const search = suite('resolveBinaries');

search('takes the explicit folder first', () =>
  withMachine(async ({ home, bin, environment }) => {
    installAll(bin);
    installAll(path.join(home, 'own'));
    const session = testSession({
      environment: { ...environment, STRATA_SANDBOX_BIN: path.join(home, 'own') },
    });
    const { paths } = await resolveBinaries(session);
    assert.is(paths.etcd, path.join(home, 'own', 'etcd'));
  }),
);

search('refuses an explicit folder that lacks something', () =>
  withMachine(async ({ home, bin, environment }) => {
    installAll(bin);
    install(path.join(home, 'own'), 'etcd', '');
    const error = await refusal({ ...environment, STRATA_SANDBOX_BIN: path.join(home, 'own') });
    assert.is(error.code, 'SANDBOX_FAILED');
    assert.match(
      error.message,
      /lacks kube-apiserver, kube-controller-manager, kube-scheduler, kubectl, kwok$/,
    );
  }),
);

search("takes envtest's folder when it is complete, with single programs replaced", () =>
  withMachine(async ({ home, environment }) => {
    installAll(path.join(home, 'assets'));
    install(path.join(home, 'other'), 'etcd', '');
    const { paths } = await resolveBinaries(
      testSession({
        environment: {
          ...environment,
          KUBEBUILDER_ASSETS: path.join(home, 'assets'),
          TEST_ASSET_ETCD: path.join(home, 'other', 'etcd'),
        },
      }),
    );
    assert.is(paths.etcd, path.join(home, 'other', 'etcd'));
    assert.is(paths.kwok, path.join(home, 'assets', 'kwok'));
  }),
);

search("passes over envtest's usual three programs", () =>
  withMachine(async ({ home, bin, environment }) => {
    installAll(bin);
    for (const name of ['etcd', 'kube-apiserver', 'kubectl']) install(path.join(home, 'assets'), name, '');
    const session = testSession({
      environment: { ...environment, KUBEBUILDER_ASSETS: path.join(home, 'assets') },
    });
    assert.is((await resolveBinaries(session)).source, 'PATH');
  }),
);

search('takes PATH only when everything is there in the right minor version', () =>
  withMachine(async ({ bin, environment }) => {
    installAll(bin);
    assert.is((await resolveBinaries(testSession({ environment }))).source, 'PATH');
    install(bin, 'kubectl', 'echo v1.32.4-vendor');
    assert.match((await refusal(environment)).message, /there is no go/);
    rmSync(path.join(bin, 'kubectl'));
    assert.match((await refusal(environment)).message, /there is no go/);
  }),
);

search('says what to install when there is no Go', () =>
  withMachine(async ({ environment }) => {
    const error = await refusal(environment);
    assert.is(error.code, 'SANDBOX_FAILED');
    assert.match(error.hint ?? '', /^install Go 1\.26 or later .*STRATA_SANDBOX_BIN/);
  }),
);

search('says so when Go is too old', () =>
  withMachine(async (machine) => {
    installGo(machine, { version: '1.25.9' });
    const error = await refusal(machine.environment);
    assert.is(error.code, 'SANDBOX_FAILED');
    assert.match(error.message, /needs Go 1\.26\.0 or later .* is 1\.25\.9$/);
    assert.is(builds(machine), 0);
  }),
);

search('refuses a cache that others can write to', () =>
  withMachine(async (machine) => {
    installGo(machine);
    const cache = cacheFolder(machine.environment);
    mkdirSync(cache, { recursive: true });
    chmodSync(cache, 0o777);
    assert.match((await refusal(machine.environment)).message, /can be changed by other users$/);
  }),
);

search.run();

const building = suite('building');

building('builds once, says how far it is, and then takes the cache', () =>
  withMachine(async (machine) => {
    installGo(machine);
    const session = testSession({ environment: machine.environment });
    const first = await resolveBinaries(session);
    assert.match(session.output.stderr, /built kwok \(6 of 6\) in /);
    assert.is(session.output.stdout, '');
    assert.is(builds(machine), 6);
    assert.equal(await resolveBinaries(testSession({ environment: machine.environment })), first);
    assert.is(builds(machine), 6);
    assert.is(cached(machine).length, 1);
    assert.equal(readdirSync(first.source).sort(), [...binaryNames].sort());
  }),
);

building('builds again with another Go, and takes any build when Go has gone', () =>
  withMachine(async (machine) => {
    const { environment } = machine;
    installGo(machine);
    const first = await resolveBinaries(testSession({ environment }));
    installGo(machine, { version: '1.27.0' });
    const second = await resolveBinaries(testSession({ environment }));
    assert.is.not(first.source, second.source);
    assert.is(builds(machine), 12);
    rmSync(path.join(machine.bin, 'go'));
    const third = await resolveBinaries(testSession({ environment }));
    assert.ok([first.source, second.source].includes(third.source));
  }),
);

building('is done by one of several that start at once', () =>
  withMachine(async (machine) => {
    installGo(machine);
    const { environment } = machine;
    const sessions = [testSession({ environment }), testSession({ environment })];
    const [one, other] = await Promise.all(sessions.map((session) => resolveBinaries(session)));
    assert.equal(one, other);
    assert.is(builds(machine), 6);
    const said = sessions.map(({ output }) => output.stderr).join('');
    assert.match(said, /waiting for another build .* \(pid \d+\)/);
  }),
);

building('shows what Go said when it fails, and leaves nothing', () =>
  withMachine(async (machine) => {
    installGo(machine, {
      build: 'echo "go: downloading x v1" >&2; echo "dial tcp: no such host" >&2; exit 1',
    });
    const error = await refusal(machine.environment);
    assert.is(error.code, 'SANDBOX_FAILED');
    assert.is(error.message, 'kube-apiserver could not be built:\ndial tcp: no such host');
    assert.equal(cached(machine), []);
  }),
);

building('is ended by an interruption, children included, and leaves nothing', () =>
  withMachine(async (machine) => {
    const marker = path.join(machine.home, 'child');
    installGo(machine, { build: `sleep 60 & echo $! >${marker}; wait` });
    const session = testSession({ environment: machine.environment });
    const result = resolveBinaries(session).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    while (!existsSync(marker) || readFileSync(marker, 'utf8') === '') await systemClock.sleep(10);
    session.interrupt(new StrataError('INTERRUPTED', 'interrupted'));
    const error = await result;
    assert.instance(error, StrataError);
    assert.is((error as StrataError).code, 'INTERRUPTED');
    assert.equal(cached(machine), []);
    while (processWithPid(Number(readFileSync(marker, 'utf8')))) await systemClock.sleep(10);
  }),
);

building('clears away what a killed build left', () =>
  withMachine(async (machine) => {
    installGo(machine);
    const { environment } = machine;
    const { source } = await resolveBinaries(testSession({ environment }));
    rmSync(source, { recursive: true });
    mkdirSync(`${source}.new`);
    writeFileSync(path.join(`${source}.new`, 'etcd'), 'half');
    assert.is((await resolveBinaries(testSession({ environment }))).source, source);
    assert.equal(cached(machine), [path.basename(source)]);
  }),
);

building.run();
