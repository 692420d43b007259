import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StrataError } from '../scripts/lib/errors.ts';
import {
  makeFolders,
  replaceFolder,
  strataFolder,
  temporaryFolder,
  temporaryPath,
  writePrivate,
  writeRunFolder,
} from '../scripts/lib/files.ts';
import { thrown } from './support/assertions.ts';
import { testSession } from './support/session.ts';
import { withTree } from './support/tree.ts';

const mode = (file: string): string => (statSync(file).mode & 0o777).toString(8);
const files = new Map([
  ['kustomization.yaml', '{}\n'],
  ['values/secret.s/0.KEY', 'a\r\n\u0000🚀'],
]);

/** The pid of a process that is certainly gone. */
const deadPid = (): number => spawnSync('true').pid;

const privately = suite('writePrivate');

privately('replaces what is there, also what a killed run left, and what others may read', () =>
  withTree({ 'plan.json': 'old', 'elsewhere.txt': 'not ours' }, (root) => {
    const file = path.join(root, 'plan.json');
    chmodSync(file, 0o666);
    symlinkSync(path.join(root, 'elsewhere.txt'), `${file}.new`);
    writePrivate(file, 'new');
    assert.equal([readFileSync(file, 'utf8'), mode(file)], ['new', '600']);
    assert.is(readFileSync(path.join(root, 'elsewhere.txt'), 'utf8'), 'not ours');
    assert.equal(readdirSync(root).sort(), ['elsewhere.txt', 'plan.json']);
  }),
);

privately('leaves nothing behind when it cannot', () =>
  withTree({ 'plan.json/in': 'the way' }, (root) => {
    assert.throws(() => writePrivate(path.join(root, 'plan.json'), 'new'));
    assert.equal(readdirSync(root), ['plan.json']);
  }),
);

const own = suite('strataFolder');

own('is private, also where it was not before', () =>
  withTree({}, (root) => {
    const folder = strataFolder(root);
    assert.equal([path.relative(root, folder), mode(folder)], ['.strata', '700']);
    chmodSync(folder, 0o777);
    assert.is(mode(strataFolder(root)), '700');
  }),
);

own('a file of that name is told, and stays as it is', () =>
  withTree({ '.strata': 'mine' }, (root) => {
    const file = path.join(root, '.strata');
    chmodSync(file, 0o644);
    for (const work of [
      () => strataFolder(root),
      () => writeRunFolder(testSession({ root }), () => files),
      () => replaceFolder(testSession({ root }), 'minikube', () => files),
    ]) {
      const error = thrown(work);
      assert.equal([error.code, error.hint], ['FILE_UNWRITABLE', `mv ${file} ${file}.old`]);
    }
    assert.equal([readFileSync(file, 'utf8'), mode(file)], ['mine', '644']);
  }),
);

const folders = suite('makeFolders and temporaryFolder');

folders('parents too, and what is there already', () =>
  withTree({}, (root) => {
    const folder = path.join(root, 'a/b/c');
    for (let round = 0; round < 2; round++) makeFolders(folder);
    assert.is(mode(folder), '700');
  }),
);

folders('a file in the way is told by its own code', () =>
  withTree({ a: '' }, (root) => {
    for (const [name, code] of [
      ['a', 'EEXIST'],
      ['a/b', 'ENOTDIR'],
    ] as const)
      assert.throws(() => makeFolders(path.join(root, name)), new RegExp(`^${code}`));
  }),
);

folders('a TMPDIR that is not there is told with what to do', () => {
  for (const make of [temporaryFolder, temporaryPath]) {
    const error = thrown(() => make('x-', '/does/not/exist'));
    assert.equal(
      [error.code, error.hint],
      ['FILE_UNWRITABLE', 'set TMPDIR to a folder that you can write to'],
    );
    assert.match(error.message, '/does/not/exist, cannot be written: ENOENT');
  }
});

const running = suite('writeRunFolder');

running('writes every file as it is, private, and removes all at the end', () =>
  withTree({}, (root) => {
    const session = testSession({ root });
    const folder = writeRunFolder(session, () => files);
    assert.match(path.relative(root, folder), new RegExp(`^\\.strata/run-${process.pid}-`));
    for (const [name, content] of files) assert.is(readFileSync(path.join(folder, name), 'utf8'), content);
    assert.equal(
      ['.', 'values', 'values/secret.s', 'values/secret.s/0.KEY', 'kustomization.yaml'].map((name) =>
        mode(path.join(folder, name)),
      ),
      ['700', '700', '700', '600', '600'],
    );
    session.end();
    assert.equal(readdirSync(path.join(root, '.strata')), []);
  }),
);

running('the files may depend on the folder they will stand in', () =>
  withTree({}, (root) => {
    const folder = writeRunFolder(testSession({ root }), (target) => new Map([['where', target]]));
    assert.is(readFileSync(path.join(folder, 'where'), 'utf8'), folder);
  }),
);

running('two at a time do not meet', () =>
  withTree({}, (root) => {
    const session = testSession({ root });
    assert.is.not(
      writeRunFolder(session, () => files),
      writeRunFolder(session, () => files),
    );
  }),
);

running('removes what a killed run left behind, and nothing else', () =>
  withTree({ '.strata/minikube/kustomization.yaml': '{}' }, (root) => {
    const strata = path.join(root, '.strata');
    const dead = deadPid();
    const kept = [`run-${process.pid}-other`, `run-${process.ppid}`, 'minikube', 'sandbox-default', 'run-x'];
    for (const name of [`run-${dead}-abc`, `run-${dead}`, ...kept])
      mkdirSync(path.join(strata, name, 'values'), { recursive: true });
    const session = testSession({ root });
    writeRunFolder(session, () => files);
    session.end();
    assert.equal(readdirSync(strata).sort(), [...kept].sort());
  }),
);

running('a folder is stale when another process has its pid by now', () =>
  withTree({}, (root) => {
    const first = testSession({ root });
    const folder = path.basename(writeRunFolder(first, () => files));
    const [, birth] = /^run-\d+-([0-9a-f]{12})-/.exec(folder)!;
    const strata = path.join(root, '.strata');
    for (const pid of [process.pid, process.ppid])
      mkdirSync(path.join(strata, `run-${pid}-0123456789ab-abc`));
    const second = testSession({ root });
    const other = path.basename(writeRunFolder(second, () => files));
    assert.equal(readdirSync(strata).sort(), [folder, other].sort());
    assert.ok(other.startsWith(`run-${process.pid}-${birth}-`));
    for (const session of [first, second]) session.end();
  }),
);

running('what fails half-way leaves nothing behind', () =>
  withTree({}, (root) => {
    const session = testSession({ root });
    const error = thrown(() =>
      writeRunFolder(
        session,
        () =>
          new Map([
            ['a', 'x'],
            ['a/b', 'y'],
          ]),
      ),
    );
    assert.is(error.code, 'FILE_UNWRITABLE');
    session.end();
    assert.equal(readdirSync(path.join(root, '.strata')), []);
  }),
);

running('an error of the one who says what to write is passed on as it is', () =>
  withTree({}, (root) => {
    const refused = new StrataError('ENV_INVALID', 'no');
    const refuse = (): never => {
      throw refused;
    };
    assert.is(
      thrown(() => writeRunFolder(testSession({ root }), refuse)),
      refused,
    );
  }),
);

running('a file in the way of .strata is told, with what to do', () =>
  withTree({ '.strata': 'a file' }, (root) => {
    const error = thrown(() => writeRunFolder(testSession({ root }), () => files));
    assert.equal([error.code, error.exitStatus], ['FILE_UNWRITABLE', 2]);
    assert.match(error.message, /\.strata cannot be written: (EEXIST|ENOTDIR)$/);
    assert.ok(error.hint);
  }),
);

// Not even root may create a folder there.
if (process.platform === 'linux') {
  running('a tree that cannot be written gets a private folder elsewhere, by its real path', () =>
    withTree({}, (root) => {
      const { TMPDIR } = process.env;
      mkdirSync(path.join(root, 'real'));
      symlinkSync(path.join(root, 'real'), path.join(root, 'link'));
      process.env.TMPDIR = path.join(root, 'link');
      const session = testSession({ root: '/sys' });
      try {
        const folder = writeRunFolder(session, () => files);
        // Kustomize follows links before it follows `..`.
        assert.is(path.dirname(folder), path.join(root, 'real'));
        assert.is(mode(folder), '700');
        session.end();
        assert.not.ok(existsSync(folder));
      } finally {
        if (TMPDIR === undefined) delete process.env.TMPDIR;
        else process.env.TMPDIR = TMPDIR;
      }
    }),
  );
}

const replacing = suite('replaceFolder');

replacing('writes the folder, which stays after the end', () =>
  withTree({}, (root) => {
    const session = testSession({ root });
    const folder = replaceFolder(session, 'minikube', (target) => new Map([...files, ['where', target]]));
    session.end();
    assert.is(folder, path.join(root, '.strata/minikube'));
    assert.is(readFileSync(path.join(folder, 'where'), 'utf8'), folder);
    assert.equal([mode(folder), mode(path.join(folder, 'values/secret.s/0.KEY'))], ['700', '600']);
  }),
);

replacing('nothing of the folder before is left in it, or beside it', () =>
  withTree(
    { '.strata/minikube/values/secret.s/0.OLD': 'x', '.strata/dev/kustomization.yaml': '{}' },
    (root) => {
      const session = testSession({ root });
      const folder = replaceFolder(session, 'minikube', () => files);
      assert.equal(readdirSync(path.join(folder, 'values/secret.s')), ['0.KEY']);
      session.end();
      assert.equal(readdirSync(path.join(root, '.strata')).sort(), ['dev', 'minikube']);
    },
  ),
);

replacing('a failure leaves the folder before as it was', () =>
  withTree({ '.strata/minikube/kustomization.yaml': 'old' }, (root) => {
    const session = testSession({ root });
    const error = thrown(() =>
      replaceFolder(
        session,
        'minikube',
        () =>
          new Map([
            ['a', ''],
            ['a/b', ''],
          ]),
      ),
    );
    assert.is(error.code, 'FILE_UNWRITABLE');
    session.end();
    assert.is(readFileSync(path.join(root, '.strata/minikube/kustomization.yaml'), 'utf8'), 'old');
    assert.equal(readdirSync(path.join(root, '.strata')), ['minikube']);
  }),
);

replacing('removes what a killed run left behind', () =>
  withTree({}, (root) => {
    const strata = path.join(root, '.strata');
    mkdirSync(path.join(strata, `run-${deadPid()}-abc-old`), { recursive: true });
    writeFileSync(path.join(strata, 'note'), '');
    const session = testSession({ root });
    replaceFolder(session, 'minikube', () => files);
    session.end();
    assert.equal(readdirSync(strata).sort(), ['minikube', 'note']);
    rmSync(strata, { recursive: true });
  }),
);

privately.run();
own.run();
folders.run();
running.run();
replacing.run();
