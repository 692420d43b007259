import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { command } from '../scripts/env.ts';
import { parseArguments } from '../scripts/lib/command.ts';
import { parseEnvFile } from '../scripts/lib/envfile.ts';
import { fillEmpty, writeNewFile } from '../scripts/lib/init.ts';
import { rejection } from './support/assertions.ts';
import { projectFolder, testSession } from './support/session.ts';
import { withTree } from './support/tree.ts';

const tree = {
  'overlays/minikube/kustomization.yaml': 'resources: [../../base]\nnamespace: n\n',
  'overlays/minikube/strata.yaml': 'configMaps: {c: {MODE: {default: dev, oneOf: [dev, prod]}}}\n',
  'base/kustomization.yaml': '{}',
  'base/strata.yaml':
    'configMaps: {c: {NAME: {optional: true}}}\nsecrets: {s: {TOKEN: , jwt: {env: SALT, generate: true}, EXTRA: {optional: true}}, t: {TOKEN: }}\n',
  '.env.example': '# The token\nTOKEN=\nSALT=   # generated\nEXTRA=\n',
};

function strata(root: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { npm_command: _, npm_lifecycle_event: __, ...environment } = process.env;
  // Node looks for an --env-file of its own in everything that follows, unless -- stands before the script
  // (nodejs/node#54232), and ends with 9 when there is no such file.
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--', 'scripts/strata.js', 'env', '--root', root, ...args],
    {
      cwd: projectFolder,
      encoding: 'utf8',
      env: { ...environment, NO_COLOR: '1', INIT_CWD: root, NAME: 'from process' },
    },
  );
  return { status, stdout, stderr };
}

const table = suite('npm run env');

table('shows key, source, destination and state, and no secret', async () => {
  await withTree({ ...tree, '.env': 'TOKEN=0rchid-t0ads\nSALT=pepper\nEXTRA=\n' }, (root) => {
    const { status, stdout, stderr } = strata(root);
    const rows = [
      ['KEY  ', 'STATE              ', 'SOURCE                                 ', 'GOES TO'],
      ['NAME ', 'not set            ', '–                                      ', 'ConfigMap/c'],
      ['MODE ', 'dev                ', 'default overlays/minikube/strata.yaml:1', 'ConfigMap/c'],
      ['TOKEN', 'set (12 characters)', '.env:1                                 ', 'Secret/s, Secret/t'],
      ['SALT ', 'set (6 characters) ', '.env:2                                 ', 'Secret/s[jwt]'],
      ['EXTRA', 'empty              ', '.env:3                                 ', 'Secret/s'],
    ];
    assert.is(stdout, rows.map((row) => `${row.join('  ')}\n`).join(''));
    assert.equal([status, stderr], [0, '']);
  });
});

table('shows all of it on a terminal that is too narrow for one line', async () => {
  await withTree({ ...tree, '.env': 'TOKEN=0rchid-t0ads\nSALT=pepper\n' }, async (root) => {
    const shown = async (columns: number, outIsTerminal = true): Promise<string[]> => {
      const session = testSession({ root, environment: {}, terminal: { outIsTerminal, columns } });
      assert.is(await command.run(session, parseArguments(command, [])), 0);
      return session.output.stdout.split('\n');
    };
    const wide = await shown(300);
    assert.equal(await shown(87), wide);
    assert.equal(await shown(40, false), wide);
    const narrow = await shown(86);
    assert.equal(narrow.slice(0, 8), [
      'KEY    STATE',
      '  SOURCE → GOES TO',
      'NAME   not set',
      '  – → ConfigMap/c',
      'MODE   dev',
      '  default overlays/minikube/strata.yaml:1 → ConfigMap/c',
      'TOKEN  set (12 characters)',
      '  .env:1 → Secret/s, Secret/t',
    ]);
    const narrower = await shown(45);
    assert.equal(narrower.slice(5, 7), ['  default overlays/minikube/strata.yaml:1', '  → ConfigMap/c']);
  });
});

table('is printed although something is wrong, with the report and exit 2', async () => {
  await withTree(
    { ...tree, '.env': 'TOKEN=0rchid-t0ads\nMODE=0rchid-t0ads\nNAMES=x\nbroken 0rchid-t0ads\n' },
    (root) => {
      const { status, stdout, stderr } = strata(root);
      assert.is(status, 2);
      assert.match(stdout, /^SALT {2,}missing {2}/m);
      assert.match(stdout, /^MODE {2,}\[TOKEN\] {2}/m);
      assert.match(stderr, /^error: \.env:2 {2}MODE: expected one of: dev, prod$/m);
      assert.match(stderr, /^warning: \.env:3 {2}NAMES: .*did you mean NAME\?$/m);
      assert.match(stderr, /^error: \.env:4: dotenv cannot read this line/m);
      assert.match(stderr, /^error: base\/strata\.yaml:2 {2}SALT: is missing/m);
      assert.match(stderr, /^error: the env values for minikube are not valid \[ENV_INVALID\]$/m);
      assert.not.match(stdout + stderr, /0rchid/);
    },
  );
});

table('hides a secret that the contract puts into a ConfigMap as well', async () => {
  const long = 'postgres://owner:s3cr3t-pass@db/app';
  const contract = 'configMaps: {c: {TOKEN: }}\nsecrets: {s: {TOKEN: }}\n';
  await withTree({ ...tree, 'base/strata.yaml': contract, '.env': `TOKEN=${long}\n` }, (root) => {
    for (const flags of [[], ['--output', 'json']]) {
      const { status, stdout, stderr } = strata(root, ...flags);
      assert.is(status, 2);
      assert.match(stderr, /TOKEN/);
      assert.not.match(stdout + stderr, /postgres:|s3cr3t/);
    }
  });
});

table('is JSON with --output json, with lengths of secrets and values of the rest', async () => {
  await withTree({ ...tree, env: 'TOKEN=0rchid-t0ads\nSALT=pepper\nOTHER=x' }, (root) => {
    const { status, stdout, stderr } = strata(
      root,
      'minikube',
      '--output',
      'json',
      '--env-file',
      'env',
      '--from-process',
    );
    assert.is(status, 0);
    const { schema, overlay, values, problems } = JSON.parse(stdout);
    assert.equal([schema, overlay, problems.length], ['strata.dev/env/v1', 'minikube', 1]);
    assert.match(stderr, /OTHER/);
    assert.equal(values.slice(0, 3), [
      {
        key: 'NAME',
        object: { kind: 'ConfigMap', name: 'c' },
        dataKey: 'NAME',
        secret: false,
        state: 'set',
        source: { kind: 'process' },
        value: 'from process',
      },
      {
        key: 'MODE',
        object: { kind: 'ConfigMap', name: 'c' },
        dataKey: 'MODE',
        secret: false,
        state: 'default',
        source: { kind: 'default', file: 'overlays/minikube/strata.yaml', line: 1 },
        value: 'dev',
      },
      {
        key: 'TOKEN',
        object: { kind: 'Secret', name: 's' },
        dataKey: 'TOKEN',
        secret: true,
        state: 'set',
        source: { kind: 'file', file: 'env', line: 1 },
        length: 12,
      },
    ]);
    assert.not.match(stdout, /0rchid|pepper/);
  });
});

table('says which secrets are still placeholders, as up would', async () => {
  await withTree({ ...tree, '.env': 'TOKEN=changeme\nSALT=pepper\n' }, (root) => {
    const { status, stdout, stderr } = strata(root);
    assert.is(status, 0);
    assert.match(stdout, /^TOKEN {2,}placeholder \(8 characters\) {2}\.env:1 /m);
    assert.match(stdout, /^SALT {2,}set \(6 characters\) /m);
    assert.match(stderr, /^warning: \.env:1 {2}TOKEN: is no secret: it is made of words/m);
    assert.match(
      stderr,
      /`placeholder: allow` for s\[TOKEN\] \(base\/strata\.yaml:2\) and t\[TOKEN\] \(base/,
    );
    const { values } = JSON.parse(strata(root, '--output', 'json').stdout);
    assert.is(values.find(({ key }: { key: string }) => key === 'TOKEN').state, 'placeholder');
    assert.not.match(stdout + stderr, /changeme/);
  });
});

for (const [name, changes, args, code, message] of [
  ['an unknown overlay', {}, ['minikub'], 'OVERLAY_NOT_FOUND', /did you mean minikube/],
  ['an unknown output', {}, ['--output', 'yaml'], 'USAGE', /--output yaml is not known/],
  [
    'no such env file',
    {},
    ['--env-file', 'nope'],
    'FILE_UNREADABLE',
    /nope cannot be read: there is no such file/,
  ],
  ['a broken contract', { 'base/strata.yaml': 'secret: {}' }, [], 'CONTRACT_INVALID', /not valid/],
  ['a broken tree', { 'base/kustomization.yaml': 'resources: [gone]' }, [], 'TREE_INVALID', /hang together/],
  [
    'no .env.example',
    { '.env.example': undefined },
    ['--init'],
    'FILE_UNREADABLE',
    /\.env\.example cannot be read/,
  ],
  [
    '--init of another file',
    {},
    ['--init', '--env-file', 'x'],
    'USAGE',
    /writes \.env and takes no --env-file$/,
  ],
] as [string, Record<string, string | undefined>, string[], string, RegExp][]) {
  table(`ends with 2 for ${name}`, async () => {
    const files = Object.entries({ ...tree, ...changes }).flatMap(([file, text]) =>
      text === undefined ? [] : [[file, text]],
    );
    await withTree(Object.fromEntries(files), async (root) => {
      const session = testSession({ root, environment: { INIT_CWD: root } });
      const error = await rejection(command.run(session, parseArguments(command, args)));
      assert.equal([error.code, error.exitStatus], [code, 2]);
      assert.match(error.message, message);
      assert.not(existsSync(path.join(root, '.env')));
    });
  });
}

const init = suite('npm run env -- --init');

init('writes .env for the owner alone, with generated keys, and says what is next', async () => {
  await withTree(tree, (root) => {
    const { status, stdout, stderr } = strata(root, '--init');
    const text = readFileSync(path.join(root, '.env'), 'utf8');
    const salt = /^SALT=([A-Za-z0-9_-]{48}) # generated$/m.exec(text)?.[1] ?? '';
    assert.is(text, tree['.env.example'].replace('SALT=  ', `SALT=${salt}`));
    assert.is(lstatSync(path.join(root, '.env')).mode & 0o777, 0o600);
    assert.equal([status, stdout], [0, '']);
    assert.match(stderr, /^generated: SALT$/m);
    assert.match(stderr, /^to do: base\/strata\.yaml:2 {2}TOKEN: is missing/m);
    assert.not(stderr.includes(salt));
    assert.equal(readdirSync(root).sort(), ['.env', '.env.example', 'base', 'overlays']);
  });
});

init('names what .env.example leaves as a placeholder among what is to do', async () => {
  await withTree({ ...tree, '.env.example': 'TOKEN="mallard-7Qe"\nSALT=\n' }, (root) => {
    const { status, stderr } = strata(root, '--init');
    assert.is(status, 0);
    assert.match(stderr, /^to do: \.env:1 {2}TOKEN: is no secret: it is what \.env\.example says/m);
  });
});

init('changes nothing where .env exists, and names the generated keys that are empty', async () => {
  await withTree({ ...tree, '.env': 'TOKEN=0rchid-t0ads\nSALT=\n' }, (root) => {
    const { status, stderr } = strata(root, '--init');
    assert.is(status, 2);
    assert.match(stderr, /^error: \.env:2 {2}SALT: is empty$/m);
    assert.match(stderr, /\.env exists already; nothing was changed \[FILE_UNWRITABLE\]/);
    assert.is(readFileSync(path.join(root, '.env'), 'utf8'), 'TOKEN=0rchid-t0ads\nSALT=\n');
  });
});

const filling = suite('fillEmpty');

for (const [name, text, expected] of [
  ['an empty value', 'A=1\nK=\nB=\n', 'A=1\nK=new\nB=\n'],
  ['quotes with nothing in them', 'K=""\n', 'K=new\n'],
  ['a comment behind it', 'export K =  # note', 'export K =new # note'],
  ['CRLF', 'K=\r\nB=1\r\n', 'K=new\r\nB=1\r\n'],
  ['no such line', 'A=1\n# K=old\n', 'A=1\n# K=old\nK=new\n'],
  ['no line feed at the end', 'A=1', 'A=1\nK=new'],
  ['a value that is there', 'K=old\n', 'K=old\n'],
  ['the name inside another one', 'MY_K=\nK=\n', 'MY_K=\nK=new\n'],
] as const) {
  filling(name, () => {
    const { text: result } = fillEmpty(text, ['K'], () => 'new');
    assert.is(result, expected);
    assert.match(parseEnvFile(result, 'f').values.get('K')?.value ?? '', /^(new|old)$/);
  });
}

const writing = suite('writeNewFile');

writing('never overwrites, not even a link that leads nowhere', async () => {
  await withTree({ there: 'old' }, (root) => {
    symlinkSync('nowhere', path.join(root, 'link'));
    assert.is(writeNewFile(path.join(root, 'there'), 'new', 'there'), false);
    assert.is(writeNewFile(path.join(root, 'link'), 'new', 'link'), false);
    assert.is(readFileSync(path.join(root, 'there'), 'utf8'), 'old');
    assert.equal(readdirSync(root).sort(), ['link', 'there']);
  });
});

table.run();
init.run();
filling.run();
writing.run();
