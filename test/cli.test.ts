import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { command as chart } from '../scripts/chart.ts';
import { command as diff } from '../scripts/diff.ts';
import { command as doctor } from '../scripts/doctor.ts';
import { command as down } from '../scripts/down.ts';
import { command as env } from '../scripts/env.ts';
import { command as generate } from '../scripts/generate.ts';
import { main } from '../scripts/lib/cli.ts';
import { helpText } from '../scripts/lib/command.ts';
import { runKubectl } from '../scripts/lib/kubectl.ts';
import { command as render } from '../scripts/render.ts';
import { command as sandbox } from '../scripts/sandbox.ts';
import { command as status } from '../scripts/status.ts';
import { command as try_ } from '../scripts/try.ts';
import { command as up } from '../scripts/up.ts';
import { concurrentSuite } from './support/deployment.ts';
import { isAlive, until } from './support/process.ts';
import { projectFolder, testSession } from './support/session.ts';

const canaries = {
  BETTER_AUTH_SECRET: 'canary/better+auth=0123456789-abcdefghij',
  JWT_SECRET: 'canary jwt "quoted" 0123456789-abcdefghij',
  DATABASE_URL: 'postgresql+asyncpg://todo:canary%2Fpassword@db.strata.test/todo?ssl=require',
};

const formsOf = (value: string): string[] => [
  value,
  encodeURIComponent(value),
  JSON.stringify(value).slice(1, -1),
  Buffer.from(value).toString('base64').replace(/=+$/, ''),
];

interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

interface RunOptions {
  /** undefined takes a variable away. */
  environment?: Record<string, string | undefined>;
  /** The checkout that is run. */
  home?: string;
  /** Flags of Node itself. */
  node?: string[];
  /** Stands before the whole line. */
  prefix?: string[];
  /** A file to write to, or a pipe that nobody reads any more. */
  stdout?: number | 'closed';
}

/** The root of a desk as a hint has to write it for a shell. */
const quotedRoot = /'\S+\/a \$tree of '\\''mine'\\'''/.source;

/** A tree with a `.env` full of canaries, a TMPDIR and a PATH of its own. */
class Desk {
  readonly folder: string;
  readonly root: string;
  readonly temporary: string;
  readonly bin: string;

  constructor(folder: string) {
    this.folder = folder;
    // Whatever breaks on blanks, quotes or dollars in a path breaks every test here.
    this.root = path.join(folder, "a $tree of 'mine'");
    this.temporary = path.join(folder, 'tmp dir');
    this.bin = path.join(folder, 'bin dir');
    for (const name of [this.root, this.temporary, this.bin]) mkdirSync(name);
    for (const name of ['base', 'components', 'overlays'])
      cpSync(path.join(projectFolder, name), path.join(this.root, name), { recursive: true });
    const lines = Object.entries(canaries).map(([key, value]) => `${key}='${value}'\n`);
    this.write('.env', lines.join(''));
  }

  write(file: string, text: string | Buffer): string {
    const target = path.join(this.root, file);
    writeFileSync(target, text);
    return target;
  }

  /** A kubectl that answers `version --client` like a real one, and does this with everything else. */
  fakeKubectl(script: string, version = 'v1.33.0'): void {
    const file = path.join(this.bin, 'kubectl');
    const answer = `{"clientVersion":{"gitVersion":"${version}"}}`;
    writeFileSync(file, `#!/bin/sh\nif [ "$1" = version ]; then echo '${answer}'; exit; fi\n${script}\n`);
    chmodSync(file, 0o755);
  }

  kubeconfig(name: string, content: string | object): string {
    const file = path.join(this.folder, name);
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
    return file;
  }

  environment(changes: Record<string, string | undefined> = {}): Record<string, string> {
    const all = {
      PATH: [this.bin, process.env.PATH ?? ''].join(path.delimiter),
      HOME: this.folder,
      TMPDIR: this.temporary,
      ...changes,
    };
    return Object.fromEntries(
      Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
  }

  /** Starts the line that npm starts, with npm's working folder. */
  start(
    words: readonly string[],
    options: RunOptions = {},
  ): { child: ChildProcess; ended: Promise<Outcome> } {
    const { home = projectFolder, node = [], prefix = [], stdout } = options;
    const root = home === projectFolder && words.length > 0 ? ['--root', this.root] : [];
    const line = [...prefix, process.execPath, ...node, '--', 'scripts/strata.js', ...words, ...root];
    return startLine(line, {
      cwd: home,
      env: this.environment(options.environment),
      stdio: ['ignore', typeof stdout === 'number' ? stdout : 'pipe', 'pipe'],
      closesStdout: stdout === 'closed',
    });
  }

  /** Runs a command to its end; what it may not say or leave behind fails the test. */
  async run(words: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return this.check(words, await this.start(words, options).ended);
  }

  /** The same without a process of its own, which takes a third of a second to start. */
  async runHere(
    words: readonly string[],
    environment: Record<string, string | undefined> = {},
  ): Promise<Outcome> {
    const all = words.length > 0 ? [...words, '--root', this.root] : words;
    return this.check(words, await mainHere(all, this.environment(environment)));
  }

  private check(words: readonly string[], outcome: Outcome): Outcome {
    this.assertDiscreet(outcome, words[0]);
    this.assertNothingLeft();
    return outcome;
  }

  async fail(expected: Failure, words: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const outcome = await this.run(words, options);
    assertFailure(outcome, expected);
    return outcome;
  }

  async failHere(
    expected: Failure,
    words: readonly string[],
    environment: Record<string, string | undefined> = {},
  ): Promise<Outcome> {
    const outcome = await this.runHere(words, environment);
    assertFailure(outcome, expected);
    return outcome;
  }

  /** Only `render` may print secrets, and on stdout alone. */
  assertDiscreet({ stdout, stderr }: Outcome, name?: string): void {
    const text = name === 'render' ? stderr : stdout + stderr;
    for (const value of Object.values(canaries)) {
      for (const form of formsOf(value)) assert.not.ok(text.includes(form), `a secret got out: ${text}`);
    }
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the start of every escape code
    assert.not.match(text, /\x1b/, 'no escape codes where there is no terminal');
  }

  assertNothingLeft(): void {
    assert.equal(readdirSync(this.temporary), [], 'TMPDIR is empty');
    assert.equal(runFolders(this.root), []);
  }
}

interface Failure {
  status: number;
  code: string;
  message: RegExp | string;
  next: RegExp | string;
}

/** No data, and at the end one message with its code and what is next. */
function assertFailure(outcome: Outcome, expected: Failure): void {
  const { stdout, stderr } = outcome;
  assert.is(outcome.status, expected.status, `status ${outcome.status}: ${stderr}`);
  assert.is(stdout, '');
  const codes = stderr.split('\n').filter((line) => /\[[A-Z_]+\]$/.test(line));
  assert.is(codes.length, 1, `one message with a code: ${stderr}`);
  const [, message = '', code, next = ''] =
    /(?:^|\n)error: (.*) \[([A-Z_]+)\]\n {2}next: (.*)\n$/.exec(stderr) ?? [];
  assert.is(code, expected.code, `ends with a message, its code and what is next: ${stderr}`);
  assert.match(message, expected.message);
  assert.match(next, expected.next);
  assert.not.match(stderr, /^ +at /m, 'no stack');
}

function startLine(
  line: readonly string[],
  options: SpawnOptions & { closesStdout?: boolean },
): { child: ChildProcess; ended: Promise<Outcome> } {
  const child = spawn(line[0]!, line.slice(1), options);
  const outcome: Outcome = { status: null, stdout: '', stderr: '' };
  if (options.closesStdout) child.stdout?.destroy();
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      outcome[name] += text;
    });
  }
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      outcome.status = code;
      resolve(outcome);
    });
  });
  return { child, ended };
}

/**
 * The command line up to the point where it ends the process. Only one at a time: it works on what a process has once.
 */
async function mainHere(words: readonly string[], environment: Record<string, string>): Promise<Outcome> {
  const { stdin, stdout, stderr, env: before, exit, exitCode } = process;
  const outcome: Outcome = { status: null, stdout: '', stderr: '' };
  const events = ['exit', 'SIGINT', 'SIGTERM', 'SIGHUP', 'uncaughtException'] as const;
  const known = events.map((event) => new Set(process.listeners(event as 'exit')));
  const streams = [stdin, stdout, stderr].map((stream) => [stream, stream.isTTY] as const);
  const listening = [stdout, stderr].map((stream) => [stream, new Set(stream.listeners('error'))] as const);
  const writes = [stdout.write, stderr.write] as const;
  const capture =
    (name: 'stdout' | 'stderr'): typeof stdout.write =>
    (text: unknown, ...rest: unknown[]) => {
      outcome[name] += text;
      const done = rest.at(-1);
      if (typeof done === 'function') setImmediate(done as () => void);
      return true;
    };
  try {
    for (const [stream] of streams) stream.isTTY = false;
    process.env = environment;
    stdout.write = capture('stdout');
    stderr.write = capture('stderr');
    outcome.status = await new Promise<number>((resolve, reject) => {
      process.exit = ((status: number) => resolve(status)) as typeof process.exit;
      main(words, projectFolder).catch(reject);
    });
  } finally {
    for (const [stream, isTerminal] of streams) stream.isTTY = isTerminal;
    [stdout.write, stderr.write] = writes;
    Object.assign(process, { env: before, exit, exitCode });
    for (const [index, event] of events.entries()) {
      for (const listener of process.listeners(event as 'exit'))
        if (!known[index]!.has(listener)) process.off(event, listener);
    }
    for (const [stream, before] of listening)
      for (const listener of stream.listeners('error'))
        if (!before.has(listener)) stream.off('error', listener as () => void);
  }
  return outcome;
}

function runFolders(root: string): string[] {
  const folder = path.join(root, '.strata');
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith('run-')) : [];
}

async function withDesk(work: (desk: Desk) => Promise<void>): Promise<void> {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'strata-cli-')));
  try {
    await work(new Desk(folder));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const usage = suite('arguments');

for (const [title, words, code, message, next] of [
  [
    'an unknown flag',
    ['diff', '--contxt', 'x'],
    'USAGE',
    /--contxt, did you mean --context\?$/,
    'diff -- --help',
  ],
  ['no command', [], 'USAGE', /^which command\?$/, /^npm run env \| /],
  ['a flag without its value', ['up', '--context'], 'USAGE', '--context needs a value', 'up -- --help'],
  ['a flag given twice', ['down', '--context=a', '--context=b'], 'USAGE', 'given twice', 'down -- --help'],
  ['one argument too many', ['status', 'dev', 'minikube'], 'USAGE', 'argument: minikube', 'status -- --help'],
  ['another output', ['env', '--output', 'yaml'], 'USAGE', '--output yaml is not known', '--output json'],
  [
    'another timeout',
    ['up', '--timeout', 'soon'],
    'USAGE',
    '--timeout soon is not a duration',
    '--timeout 90s',
  ],
  ['another image', ['generate', '--image', 'x'], 'USAGE', '--image x is not NAME=', 'write it like --image'],
  [
    'an unknown overlay',
    ['render', 'minicube'],
    'OVERLAY_NOT_FOUND',
    /^there is no overlay minicube in \/.*, did you mean minikube\?$/,
    'dev, minikube',
  ],
  [
    'a chart without a place',
    ['chart', 'dev'],
    'USAGE',
    'where should the chart go?',
    new RegExp(`^npm run chart -- dev --root ${quotedRoot} --out DIR$`),
  ],
  [
    'a sandbox that is not there',
    ['diff', '--sandbox'],
    'SANDBOX_NOT_RUNNING',
    'none-such is not',
    '--name none-such',
  ],
] as [string, string[], string, RegExp | string, RegExp | string][]) {
  usage(`refuses ${title}`, () =>
    withDesk(async (desk) => {
      // `--root`, which stands last, is no value of a flag.
      await desk.failHere({ status: 2, code, message, next }, words, { STRATA_SANDBOX: 'none-such' });
    }),
  );
}

for (const [typed, words, taken, next] of [
  ['npm run diff --sandbox', ['diff'], { npm_config_sandbox: 'true' }, /^npm run diff -- --sandbox$/],
  [
    'npm run chart dev --out x',
    ['chart', 'dev', 'x'],
    { npm_config_out: 'true' },
    /^npm run chart -- dev --out x$/,
  ],
  [
    'npm run diff dev --output json',
    ['diff', 'dev', 'json'],
    { npm_config_output: 'true' },
    /^npm run diff -- dev --output json$/,
  ],
] as [string, string[], Record<string, string>, RegExp][]) {
  usage(`${typed}: says ${next}`, () =>
    withDesk(async (desk) => {
      const environment = { npm_command: 'run', npm_lifecycle_event: words[0]!, ...taken };
      const outcome = await mainHere(words, desk.environment(environment));
      assertFailure(outcome, { status: 2, code: 'USAGE', message: /^npm took --/, next });
    }),
  );
}

usage('a --root without overlays: names those that are in it', () =>
  withDesk(async (desk) => {
    const refused = async (root: string, next: RegExp): Promise<void> =>
      assertFailure(await mainHere(['diff', '--root', root], desk.environment()), {
        status: 2,
        code: 'USAGE',
        message: /^--root .* has no overlays\/ in it$/,
        next,
      });
    await refused(desk.temporary, /^name a folder that has overlays\/ in it$/);
    await refused(desk.folder, new RegExp(`^name a .* in it, like --root ${quotedRoot}$`));
    for (const name of ['1', '2', '3', '4', '5', '6'])
      mkdirSync(path.join(desk.temporary, name, 'overlays'), { recursive: true });
    await refused(desk.temporary, /, like (--root '\S+\/tmp dir\/[1-5]'(, |$)){5}$/);
  }),
);

usage('--help prints usage and flags on stdout', () =>
  withDesk(async (desk) => {
    const outcome = await desk.runHere(['status', '--help']);
    assert.equal(outcome, { status: 0, stdout: helpText(status), stderr: '' });
  }),
);

usage.run();

const help = suite('help of each command');

for (const command of [env, generate, render, chart, diff, up, down, status, doctor, sandbox, try_]) {
  help(command.name, () => {
    const text = helpText(command);
    assert.match(text, new RegExp(`^usage: npm run ${command.name}( --|$)`, 'm'));
    for (const flag of [...command.flags, 'help']) assert.match(text, new RegExp(`^ {2}--${flag} `, 'm'));
    const told = text.split('OVERLAY is minikube unless given').length - 1;
    assert.is(told, command.usage.includes('[OVERLAY]') ? 1 : 0);
  });
}

help.run();

const envFiles = suite('env files');

for (const [title, prepare, expected] of [
  [
    'none',
    (file) => rmSync(file),
    { code: 'ENV_INVALID', message: 'env values for minikube', next: 'npm run env -- minikube' },
  ],
  [
    'a folder',
    (file) => {
      rmSync(file);
      mkdirSync(file);
    },
    { code: 'FILE_UNREADABLE', message: /^\.env cannot be read: it is a folder$/, next: /^ls -ld \.env$/ },
  ],
  [
    'links in a circle',
    (file) => {
      rmSync(file);
      symlinkSync('.env', file);
    },
    { code: 'FILE_UNREADABLE', message: /^\.env .* go in a circle$/, next: /^ls -ld \.env$/ },
  ],
  [
    'a link to nothing',
    (file) => {
      rmSync(file);
      symlinkSync('secrets/that-are-not-mounted', file);
    },
    {
      code: 'FILE_UNREADABLE',
      message: /^\.env cannot be read: it is a symbolic link to nothing$/,
      next: /^ls -ld \.env$/,
    },
  ],
  [
    'not UTF-8',
    (file) => writeFileSync(file, Buffer.from(`JWT_SECRET="\xff${canaries.BETTER_AUTH_SECRET}"\n`, 'latin1')),
    { code: 'ENV_INVALID', message: 'env values for minikube', next: 'npm run env -- minikube' },
  ],
] as [string, (file: string) => void, { code: string; message: RegExp | string; next: RegExp | string }][]) {
  envFiles(`${title}: says so`, () =>
    withDesk(async (desk) => {
      prepare(path.join(desk.root, '.env'));
      const { stderr } = await desk.failHere({ status: 2, ...expected }, ['render']);
      if (title === 'none')
        assert.match(
          stderr,
          new RegExp(`JWT_SECRET: is missing.*\\n  next: npm run env -- --root ${quotedRoot} --init\\n`),
        );
      if (title === 'not UTF-8') assert.match(stderr, /^error: \.env:1: this line is not UTF-8$/m);
    }),
  );
}

envFiles.run();

const contextTo = (name: string, server: string): object => ({
  'current-context': name,
  contexts: [{ name, context: { cluster: name, user: name } }],
  clusters: [{ name, cluster: { server } }],
  users: [{ name, user: { token: 'x' } }],
});

const placeholders = suite('secrets that are placeholders');

const halfFilled = [
  'BETTER_AUTH_SECRET=your-better-auth-secret-of-32-characters',
  `JWT_SECRET='${canaries.JWT_SECRET}'`,
  'DATABASE_URL=postgresql+asyncpg://user:password@ep-xxx.eu-central-1.aws.neon.tech/todo?ssl=require',
  'DEBUG=perhaps',
].join('\n');

placeholders('up refuses them before kubectl is called, together with all else that is wrong', () =>
  withDesk(async (desk) => {
    const trace = path.join(desk.folder, 'called');
    desk.fakeKubectl(`: >'${trace}'`);
    desk.write('.env', halfFilled);
    const KUBECONFIG = desk.kubeconfig('kubeconfig', contextTo('minikube', 'https://127.0.0.1:1'));
    const expected = {
      status: 2,
      code: 'ENV_INVALID',
      message: 'env values for minikube',
      next: 'npm run env',
    };
    const { stderr } = await desk.fail(expected, ['up'], { environment: { KUBECONFIG } });
    assert.match(stderr, /^error: \.env:1 {2}BETTER_AUTH_SECRET: is no secret: it is made of words/m);
    assert.match(stderr, /^error: \.env:3 {2}DATABASE_URL: is no secret: the credential in it is/m);
    assert.match(stderr, /^error: \.env:4 {2}DEBUG: format boolean/m);
    assert.not.match(stderr, /JWT_SECRET|your-better|user:password|ep-xxx/);
    assert.not.ok(existsSync(trace), 'kubectl was not called');
  }),
);

for (const command of ['diff', 'render', 'generate']) {
  placeholders(`${command} says so and goes on`, () =>
    withDesk(async (desk) => {
      desk.fakeKubectl('exit 7');
      desk.write('.env', halfFilled.replace('perhaps', 'true'));
      const KUBECONFIG = desk.kubeconfig('kubeconfig', contextTo('minikube', 'https://127.0.0.1:1'));
      const { status, stderr } = await desk.runHere([command], { KUBECONFIG });
      assert.is(status, command === 'generate' ? 0 : 3, stderr);
      assert.match(stderr, /^warning: \.env:1 {2}BETTER_AUTH_SECRET: is no secret: /m);
      assert.match(stderr, /^warning: \.env:3 {2}DATABASE_URL: is no secret: /m);
    }),
  );
}

const programs = suite('kubectl');

for (const [title, script, version, expected] of [
  [
    'is too old',
    'exit 9',
    'v1.26.15',
    {
      code: 'KUBECTL_FAILED',
      message: /^kubectl v1\.26\.15 is too old, strata needs 1\.27/,
      next: 'install a newer',
    },
  ],
  [
    'does not say its version',
    'exit 9',
    'rubbish',
    {
      code: 'KUBECTL_FAILED',
      message: 'does not say its version (exit status 0)',
      next: 'kubectl version --client',
    },
  ],
  [
    'prints rubbish',
    `echo '${canaries.BETTER_AUTH_SECRET}: {{{'`,
    undefined,
    { code: 'RENDER_FAILED', message: 'printed no manifests', next: 'is a real kubectl' },
  ],
  [
    'prints nothing',
    'exit 0',
    undefined,
    { code: 'VERIFY_FAILED', message: 'minikube', next: 'npm run generate -- minikube' },
  ],
  [
    'fails, with a secret in its message',
    `echo "error: bad value ${canaries.BETTER_AUTH_SECRET} $(printf %s '${canaries.JWT_SECRET}' | base64 -w0)" >&2; exit 7`,
    undefined,
    {
      code: 'RENDER_FAILED',
      message: /does not render: bad value \[BETTER_AUTH_SECRET\] \[JWT_SECRET\]$/,
      next: 'same command again',
    },
  ],
  [
    'fails without a word',
    'exit 7',
    undefined,
    { code: 'RENDER_FAILED', message: /without a word: exit status 7$/, next: '--verbose' },
  ],
  [
    'is killed',
    'kill -KILL $$',
    undefined,
    { code: 'RENDER_FAILED', message: /without a word: ended by SIGKILL$/, next: '--verbose' },
  ],
] as [
  string,
  string,
  string | undefined,
  { code: string; message: RegExp | string; next: RegExp | string },
][]) {
  programs(`${title}: says so`, () =>
    withDesk(async (desk) => {
      desk.fakeKubectl(script, version);
      await desk.failHere({ status: 3, ...expected }, ['render']);
    }),
  );
}

programs('is not called for a tree with a tab in it', () =>
  withDesk(async (desk) => {
    const file = 'overlays/dev/kustomization.yaml';
    desk.write(file, 'namespace: n\nresources:\n\t- ../../base\n');
    await desk.failHere(
      { status: 2, code: 'TREE_INVALID', message: 'cannot be read', next: `correct ${file}:3, then run` },
      ['diff', 'dev'],
    );
  }),
);

programs('passes over a patch whose target is nowhere: says so', () =>
  withDesk(async (desk) => {
    const file = 'overlays/dev/kustomization.yaml';
    const text = readFileSync(path.join(desk.root, file), 'utf8');
    const warnings = async (): Promise<string[]> => {
      const { status, stderr } = await desk.runHere(['render', 'dev']);
      assert.is(status, 0, stderr);
      return stderr.split('\n').filter((line) => line.includes('patches['));
    };
    assert.equal(await warnings(), []);
    desk.write(file, text.replace(/(kind: Ingress\n\s+name: )todo/, '$1tudo'));
    const line = text.split('\n').indexOf('  - path: ingress.hosts.yaml') + 1;
    assert.equal(await warnings(), [
      `warning: ${file}:${line}  patches[1]: no object matches Ingress/tudo, did you mean Ingress/todo?`,
    ]);
  }),
);

programs('is nowhere: says so', () =>
  withDesk(async (desk) => {
    await desk.failHere(
      { status: 3, code: 'KUBECTL_NOT_FOUND', message: /^kubectl is not on PATH$/, next: '--sandbox' },
      ['diff'],
      { PATH: desk.bin },
    );
  }),
);

placeholders.run();
programs.run();

const targets = suite('kubeconfig');

for (const [title, words, content, expected] of [
  [
    'none, nor the file that is named',
    ['up'],
    undefined,
    {
      code: 'CONTEXT_REFUSED',
      message: /^context minikube does not exist: KUBECONFIG names .*kubeconfig, which is not there$/,
      next: /^minikube start, or .* -- start, then npm run up -- minikube --root .* --sandbox$/,
    },
  ],
  [
    'broken YAML',
    ['diff'],
    'contexts:\n- name: [a\n',
    { code: 'KUBECONFIG_INVALID', message: /kubeconfig:\d is not valid YAML$/, next: 'kubectl config view' },
  ],
  [
    'empty',
    ['down'],
    '',
    { code: 'CONTEXT_REFUSED', message: 'does not exist in', next: /^minikube start, or/ },
  ],
  [
    'a context whose cluster is nowhere',
    ['diff'],
    { contexts: [{ name: 'minikube', context: { cluster: 'gone', user: 'gone' } }] },
    { code: 'KUBECONFIG_INVALID', message: /has no server: .* its cluster gone is$/, next: 'get-clusters' },
  ],
  ...['diff', 'up', 'down', 'status'].map((name) => [
    `the current context is not on the list, and ${name} names it`,
    [name, '--context', 'production'],
    contextTo('production', 'https://127.0.0.1:1'),
    {
      code: 'CONTEXT_REFUSED',
      message: /^context production is not on the list of overlay minikube \(minikube\)$/,
      next: 'overlays/minikube/strata.yaml',
    },
  ]),
  [
    'a list that is empty, as dev has it',
    ['up', 'dev', '--yes'],
    contextTo('production', 'https://127.0.0.1:1'),
    { code: 'CONTEXT_REFUSED', message: 'list of contexts is empty', next: 'overlays/dev/strata.yaml' },
  ],
  [
    'a server that is not local, and nobody to ask',
    ['down'],
    contextTo('minikube', 'https://k8s.strata.test'),
    {
      code: 'CONFIRMATION_NEEDED',
      message: 'no terminal to ask in',
      next: new RegExp(`^after a look at the diff: npm run down -- minikube --root ${quotedRoot} --yes$`),
    },
  ],
] as [
  string,
  string[],
  string | object | undefined,
  { code: string; message: RegExp | string; next: RegExp | string },
][]) {
  targets(`${title}: refused before anything is sent`, () =>
    withDesk(async (desk) => {
      const trace = path.join(desk.folder, 'called');
      desk.fakeKubectl(`: >'${trace}'`);
      const file = path.join(desk.folder, 'kubeconfig');
      if (content !== undefined) desk.kubeconfig('kubeconfig', content);
      await desk.failHere({ status: 2, ...expected }, words, { KUBECONFIG: file });
      assert.not.ok(existsSync(trace), 'kubectl was not called');
    }),
  );
}

targets('a folder: says so', () =>
  withDesk(async (desk) => {
    await desk.failHere(
      { status: 2, code: 'KUBECONFIG_INVALID', message: 'EISDIR', next: 'KUBECONFIG' },
      ['status'],
      { KUBECONFIG: desk.folder },
    );
  }),
);

targets('several files are one; an allowed name is used though another context is the current one', () =>
  withDesk(async (desk) => {
    const files = [
      desk.kubeconfig('first', contextTo('production', 'https://127.0.0.1:1')),
      path.join(desk.folder, 'that is not there'),
      desk.kubeconfig('second', contextTo('minikube', 'https://127.0.0.1:2')),
    ];
    const trace = path.join(desk.folder, 'called');
    desk.fakeKubectl(`echo "$@" >'${trace}'; echo 'error: no' >&2; exit 1`);
    await desk.failHere(
      {
        status: 3,
        code: 'KUBECTL_FAILED',
        message: /^kubectl proxy did not start: error: no$/,
        next: '--context minikube',
      },
      ['status'],
      { KUBECONFIG: files.join(path.delimiter) },
    );
    assert.match(readFileSync(trace, 'utf8'), /^proxy --context minikube /);
  }),
);

targets.run();

const examined = suite('doctor');

const lineOf = (name: string, { stdout }: Outcome): string =>
  stdout.split('\n').find((line) => line.split(/ +/)[1] === name) ?? '';

examined('says what is missing, and checks the rest all the same', () =>
  withDesk(async (desk) => {
    desk.write('.env', 'JWT_SECRET=short\n');
    const outcome = await desk.runHere(['doctor'], { PATH: desk.bin, KUBECONFIG: '/dev/null' });
    assert.is(outcome.status, 3, outcome.stdout);
    assert.match(lineOf('node', outcome), /^ok {7}node {8}v\d/);
    assert.is(lineOf('kubectl', outcome), 'failed   kubectl     kubectl is not on PATH');
    assert.match(lineOf('overlay', outcome), /^ok .* overlays\/minikube, namespace todo-minikube$/);
    assert.match(lineOf('env', outcome), /^failed {3}env .* things are not as the contract wants$/);
    assert.match(outcome.stdout, /\n {2}error: .*DATABASE_URL: is missing/);
    assert.match(lineOf('kubeconfig', outcome), /^failed .* context minikube does not exist/);
    for (const name of ['cluster', 'login', 'versions', 'identity', 'rights', 'deployment'])
      assert.is(lineOf(name, outcome), `skipped  ${name.padEnd(10)}  needs a context`);
    for (const name of ['rendering', 'images'])
      assert.is(lineOf(name, outcome), `skipped  ${name.padEnd(10)}  needs kubectl`);
    assert.is(outcome.stderr, '3 failed\n');
  }),
);

examined('without the sandbox that is wanted, checks what needs none', () =>
  withDesk(async (desk) => {
    desk.fakeKubectl('exit 1');
    const outcome = await desk.runHere(['doctor', '--sandbox'], { STRATA_SANDBOX: 'not-there' });
    assert.is(outcome.status, 2, outcome.stdout);
    assert.match(
      outcome.stdout,
      /\nfailed {3}sandbox {5}it is not running\n {2}next: npm run sandbox -- start --name not-there\n/,
    );
    assert.match(lineOf('kubectl', outcome), /^ok {7}kubectl {5}v1\.33\.0 \(/);
    assert.is(lineOf('env', outcome), 'skipped  env         needs the sandbox');
    assert.is(lineOf('kubeconfig', outcome), 'skipped  kubeconfig  needs the sandbox');
  }),
);

examined('what is rendered, and its images, without a cluster; nothing stays behind', () =>
  withDesk(async (desk) => {
    const objects = (image: string): string =>
      `apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{image: "${image}"}]}\n`;
    const doctorWith = async (script: string): Promise<Outcome> => {
      desk.fakeKubectl(`[ "$1" = kustomize ] || exit 1\n${script}`);
      const outcome = await desk.runHere(['doctor'], { KUBECONFIG: '/dev/null' });
      assert.is(outcome.status, 3, outcome.stdout);
      assert.equal(
        readdirSync(path.join(desk.root, '.strata')).filter((name) => !name.startsWith('run-')),
        [],
      );
      return outcome;
    };
    const broken = await doctorWith("echo 'Error: no such thing' >&2; exit 1");
    assert.match(
      lineOf('rendering', broken),
      /^failed .* the overlay does not render: Error: no such thing$/,
    );
    assert.is(lineOf('images', broken), 'skipped  images      needs the rendering');
    const other = await doctorWith(`cat <<'end'\n${objects('app:v1')}end`);
    assert.match(
      lineOf('rendering', other),
      /^failed .* what overlay minikube renders is not what was meant$/,
    );
    assert.match(other.stdout, /\n {2}error: Secret\/backend-secrets: has no hash suffix/);
  }),
);

examined('of an overlay that does not exist, as JSON too', () =>
  withDesk(async (desk) => {
    desk.fakeKubectl('exit 1');
    const outcome = await desk.runHere(['doctor', 'nowhere', '--output', 'json']);
    assert.is(outcome.status, 2, outcome.stdout);
    const { ok, checks } = JSON.parse(outcome.stdout) as {
      ok: boolean;
      checks: { name: string; state: string; message: string }[];
    };
    assert.is(ok, false);
    const states = Object.fromEntries(checks.map(({ name, state }) => [name, state]));
    assert.is(states.overlay, 'failed');
    assert.is(states.env, 'skipped');
    assert.is(states.kubeconfig, 'skipped');
    assert.is(states.node, 'ok');
  }),
);

const charts = suite('charts');

charts('needs no secrets and no cluster, and writes the same bytes each time', () =>
  withDesk(async (desk) => {
    rmSync(path.join(desk.root, '.env'));
    const KUBECONFIG = path.join(desk.folder, 'no such file');
    const out = path.join(desk.root, 'a chart');
    const { status, stdout, stderr } = await desk.runHere(['chart', 'dev', '--out', out], { KUBECONFIG });
    assert.equal([status, stdout], [0, `${out}\n`], stderr);
    assert.match(
      stderr,
      /^use it: helm install NAME '.*\/a chart' --namespace todo-dev --create-namespace$/m,
    );
    const bytes = (): string[] =>
      readdirSync(out, { recursive: true, encoding: 'utf8', withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => readFileSync(path.join(entry.parentPath ?? entry.path, entry.name), 'utf8'));
    const before = bytes();
    desk.write('.env', `JWT_SECRET='${canaries.JWT_SECRET}'\n`);
    assert.is((await desk.runHere(['chart', 'dev', '--out', out])).status, 0);
    assert.equal(bytes(), before);
    for (const value of Object.values(canaries).flatMap(formsOf))
      assert.not.ok(before.some((text) => text.includes(value)));
  }),
);

charts('a folder with files of somebody else stays as it is', () =>
  withDesk(async (desk) => {
    const expected = {
      status: 2,
      code: 'FILE_UNWRITABLE',
      message: /is not empty.*nothing was changed$/,
      next: 'new or empty',
    };
    await desk.failHere(expected, ['chart', '--out', path.join(desk.root, 'base')]);
    assert.not.ok(existsSync(path.join(desk.root, 'base/Chart.yaml')));
  }),
);

charts('a secret that stands in a manifest is refused', () =>
  withDesk(async (desk) => {
    const file = 'components/ingress/deployment.forwarded-headers.yaml';
    const text = readFileSync(path.join(desk.root, file), 'utf8');
    desk.write(file, text.replace('value: "*"', `value: ${JSON.stringify(canaries.JWT_SECRET)}`));
    const out = path.join(desk.root, 'chart');
    const expected = {
      status: 3,
      code: 'VERIFY_FAILED',
      message: 'what is secret here; nothing was written',
      next: 'take the value out',
    };
    const { stderr } = await desk.failHere(expected, ['chart', 'dev', '--out', out]);
    assert.match(stderr, /^error: JWT_SECRET: its value would stand in values\.yaml, line \d+$/m);
    assert.not.ok(existsSync(out));
  }),
);

charts.run();

const colours = suite('colours');

for (const [environment, isColoured] of [
  [{ FORCE_COLOR: '1' }, true],
  [{ FORCE_COLOR: '1', NO_COLOR: '1' }, false],
  [{ FORCE_COLOR: '0' }, false],
  [{ FORCE_COLOR: '1', TERM: 'dumb' }, true],
] as [Record<string, string>, boolean][]) {
  colours(`${JSON.stringify(environment)}: ${isColoured ? 'colour' : 'none'} in a pipe`, () =>
    withDesk(async (desk) => {
      const { stderr } = await mainHere(['rendr'], desk.environment(environment));
      assert.is(
        stderr.startsWith(isColoured ? '\x1b[31merror\x1b[39m: unknown' : 'error: unknown'),
        true,
        stderr,
      );
    }),
  );
}

examined.run();
colours.run();

const folders = suite('folders of runs');

folders('what a killed run left behind goes with the next one', () =>
  withDesk(async (desk) => {
    const gone = spawnSync('true').pid;
    for (const name of [`run-${gone}-abc`, `run-${process.pid}-abc`])
      mkdirSync(path.join(desk.root, '.strata', name), { recursive: true });
    const outcome = await mainHere(['generate', '--root', desk.root], desk.environment());
    assert.equal([outcome.status, runFolders(desk.root)], [0, [`run-${process.pid}-abc`]]);
    const folder = path.join(desk.root, '.strata');
    for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      const { mode } = statSync(path.join(folder, file));
      if (file.startsWith('minikube')) assert.is(mode & 0o077, 0, file);
    }
  }),
);

folders('the line to use it by hand names the context, from where the user is', () =>
  withDesk(async (desk) => {
    const lineOf = async (changes: Record<string, string> = {}): Promise<Outcome> => {
      const outcome = await mainHere(['generate', '--root', desk.root], desk.environment(changes));
      assert.is(outcome.status, 0, outcome.stderr);
      return outcome;
    };
    const { stdout, stderr } = await lineOf({ INIT_CWD: path.join(desk.root, 'base') });
    assert.is(stdout, '../.strata/minikube\n');
    assert.match(
      stderr,
      'kubectl --context minikube apply --server-side --field-manager strata -k ../.strata/minikube\n',
    );
    const above = await lineOf({ INIT_CWD: desk.folder });
    assert.is(above.stdout, `${path.basename(desk.root)}/.strata/minikube\n`);
    assert.match(above.stderr, / -k 'a \$tree of '\\''mine'\\''\/\.strata\/minikube'\n/);
  }),
);

folders.run();

const processes = concurrentSuite('as a process');

for (const [title, words, environment, expected] of [
  [
    'an unknown command',
    ['rendr'],
    {},
    {
      status: 2,
      code: 'USAGE',
      message: /^unknown command rendr, did you mean render\?$/,
      next: /^npm run env \| /,
    },
  ],
  [
    'a missing env file, and not `--env-file` of Node',
    ['render', '--env-file', 'x.env'],
    {},
    { status: 2, code: 'FILE_UNREADABLE', message: /^x\.env cannot be read/, next: 'correct the path' },
  ],
] as [string, string[], Record<string, string>, Failure][]) {
  processes(`refuses ${title}`, () =>
    withDesk(async (desk) => {
      await desk.fail(expected, words, { environment });
    }),
  );
}

processes('a flag that npm took is refused with the line that works', () =>
  withDesk(async (desk) => {
    const npm = startLine(['npm', 'run', '-s', 'up:minikube', '--context', 'x'], {
      cwd: projectFolder,
      env: desk.environment({ npm_config_update_notifier: 'false' }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const outcome = await npm.ended;
    const stderr = outcome.stderr.replace(/^npm warn .*\n/gim, '');
    assertFailure(
      { ...outcome, stderr },
      {
        status: 2,
        code: 'USAGE',
        message: /^npm took --context for itself/,
        next: /^npm run up:minikube -- --context x$/,
      },
    );
  }),
);

processes('needs no shell but sh, and no HOME', () =>
  withDesk(async (desk) => {
    for (const name of ['sh', 'kubectl']) {
      const found = spawnSync('/bin/sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim();
      symlinkSync(realpathSync(found), path.join(desk.bin, name));
    }
    const outcome = await desk.run(['render'], { environment: { PATH: desk.bin, HOME: undefined } });
    assert.equal([outcome.status, outcome.stderr], [0, '']);
    assert.match(outcome.stdout, /^kind: Deployment$/m);
    const value = Buffer.from(canaries.JWT_SECRET).toString('base64');
    assert.ok(outcome.stdout.includes(value.slice(0, 40)), 'render is exact in a pipe');
  }),
);

processes('hangs: is ended, also when it ignores SIGTERM', () =>
  withDesk(async (desk) => {
    const record = path.join(desk.folder, 'pid');
    desk.fakeKubectl(`trap '' TERM; echo $$ >'${record}'; sleep 60 & wait; wait`);
    const kubectl = { program: path.join(desk.bin, 'kubectl'), kubeconfig: undefined };
    const result = await runKubectl(testSession(), kubectl, ['kustomize'], {
      needsCluster: false,
      timeout: 300,
    });
    assert.equal([result.status, result.signal, result.timedOut], [null, 'SIGKILL', true]);
    await until(() => !isAlive(Number(readFileSync(record, 'utf8'))));
  }),
);

processes('stdout that nobody reads any more is no failure', () =>
  withDesk(async (desk) => {
    const outcome = await desk.run(['render'], { stdout: 'closed' });
    assert.equal([outcome.status, outcome.stderr], [0, '']);
  }),
);

processes('stdout that cannot be written is', () =>
  withDesk(async (desk) => {
    if (!existsSync('/dev/full')) return;
    const full = openSync('/dev/full', 'w');
    try {
      await desk.fail(
        { status: 2, code: 'FILE_UNWRITABLE', message: /^stdout .*ENOSPC/, next: 'free some space' },
        ['env'],
        {
          stdout: full,
        },
      );
    } finally {
      closeSync(full);
    }
  }),
);

/** A mount namespace of its own needs root; whatever is mounted in it is gone with the process. */
const canMount = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()]).status === 0;
const afterMounting = (script: string, ...words: string[]): string[] => [
  'unshare',
  '-m',
  'sh',
  '-ec',
  `${script}; shift ${words.length}; exec "$@"`,
  'sh',
  ...words,
];

if (canMount) {
  for (const [name, code] of [
    ['render', 0],
    ['generate', 2],
  ] as [string, number][]) {
    processes(`a checkout that cannot be written: ${name} ends with ${code}`, () =>
      withDesk(async (desk) => {
        const prefix = afterMounting('mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"', desk.root);
        if (code !== 0) {
          await desk.fail(
            {
              status: 2,
              code: 'FILE_UNWRITABLE',
              message: /\.strata\/minikube cannot be written: read-only$/,
              next: 'same command',
            },
            [name],
            { prefix },
          );
          return;
        }
        const outcome = await desk.run([name], { prefix });
        assert.equal([outcome.status, outcome.stderr], [0, '']);
      }),
    );
  }

  processes('a full disk: says so and leaves nothing', () =>
    withDesk(async (desk) => {
      const strata = path.join(desk.root, '.strata');
      mkdirSync(strata);
      const left = path.join(desk.folder, 'left');
      const script =
        'mount -t tmpfs -o size=16k tmpfs "$1"; (exec 3>&1; shift 2; "$@" >&3) || s=$?; ls -A "$1" >"$2"; exit $s';
      const prefix = ['unshare', '-m', 'sh', '-c', script, 'sh', strata, left];
      await desk.fail(
        {
          status: 2,
          code: 'FILE_UNWRITABLE',
          message: /cannot be written: no space left$/,
          next: /^free space/,
        },
        ['render'],
        { prefix },
      );
      assert.is(readFileSync(left, 'utf8'), '');
    }),
  );
} else {
  const mounting = suite('disks that are full or read-only');
  mounting.skip('`unshare -m mount` is not allowed here', () => {});
  mounting.run();
}

for (const [signal, said] of [
  ['SIGINT', /^interrupted: cleaning up/],
  ['SIGTERM', /^stopped by SIGTERM: cleaning up/],
] as [NodeJS.Signals, RegExp][]) {
  processes(`${signal} while kubectl renders: ends it, removes the folder of the run, 130`, () =>
    withDesk(async (desk) => {
      const record = path.join(desk.folder, 'pids');
      desk.fakeKubectl(`sleep 60 & echo "$$ $!" >'${record}.new'; mv '${record}.new' '${record}'; wait`);
      const { child, ended } = desk.start(['render']);
      await until(() => existsSync(record));
      assert.is(runFolders(desk.root).length, 1);
      child.kill(signal);
      const outcome = await ended;
      assert.match(outcome.stderr, said);
      assertFailure(outcome, {
        status: 130,
        code: 'INTERRUPTED',
        message: /^interrupted$/,
        next: 'same command',
      });
      desk.assertDiscreet(outcome);
      desk.assertNothingLeft();
      for (const pid of readFileSync(record, 'utf8').split(' ')) await until(() => !isAlive(Number(pid)));
    }),
  );
}

processes('the second one ends at once, though kubectl ignores the first', () =>
  withDesk(async (desk) => {
    const record = path.join(desk.folder, 'pids');
    desk.fakeKubectl(
      `trap '' TERM INT; sleep 60 & echo "$$ $!" >'${record}.new'; mv '${record}.new' '${record}'; wait; wait`,
    );
    const { child, ended } = desk.start(['render']);
    let said = '';
    child.stderr?.on('data', (text: string) => {
      said += text;
    });
    await until(() => existsSync(record));
    child.kill('SIGINT');
    await until(() => said.includes('again to end at once'));
    const started = performance.now();
    child.kill('SIGINT');
    const outcome = await ended;
    assert.is(outcome.status, 130);
    assert.ok(performance.now() - started < 2000);
    desk.assertNothingLeft();
    for (const pid of readFileSync(record, 'utf8').split(' ')) await until(() => !isAlive(Number(pid)));
  }),
);

processes('without the npm packages: says npm ci', () =>
  withDesk(async (desk) => {
    const home = path.join(desk.folder, 'checkout');
    cpSync(path.join(projectFolder, 'scripts'), path.join(home, 'scripts'), { recursive: true });
    cpSync(path.join(projectFolder, 'package.json'), path.join(home, 'package.json'));
    const outcome = await desk.run(['diff'], { home });
    const expected = 'error: the npm packages are not installed\n  next: npm ci\n';
    assert.equal(outcome, { status: 2, stdout: '', stderr: expected });
  }),
);

/** A checkout with the packages of this one, and a cache of its own. */
function checkoutIn(desk: Desk): string {
  const home = path.join(desk.folder, 'checkout');
  cpSync(path.join(projectFolder, 'scripts'), path.join(home, 'scripts'), { recursive: true });
  const packages = path.join(projectFolder, 'node_modules');
  mkdirSync(path.join(home, 'node_modules'));
  for (const name of readdirSync(packages))
    if (name !== '.cache') symlinkSync(path.join(packages, name), path.join(home, 'node_modules', name));
  return home;
}

processes('is put together once for each state of its sources', () =>
  withDesk(async (desk) => {
    const home = checkoutIn(desk);
    const cache = path.join(home, 'node_modules/.cache/strata');
    const bundles = (): string[] => readdirSync(cache).filter((name) => name !== 'compiled');
    const outcomes = await Promise.all([1, 2].map(() => desk.run(['render', '--help'], { home })));
    for (const { status, stderr } of outcomes) assert.equal([status, stderr], [0, '']);
    assert.is(bundles().length, 1);
    const source = path.join(home, 'scripts/render.ts');
    writeFileSync(source, readFileSync(source, 'utf8').replace(/summary: '.*'/, "summary: 'Something new.'"));
    const { stdout } = await desk.run(['render', '--help'], { home });
    assert.match(stdout, /^Something new\.$/m);
    assert.is(bundles().length, 2);
  }),
);

processes('where it may not write: puts itself together for this run', () =>
  withDesk(async (desk) => {
    const home = checkoutIn(desk);
    writeFileSync(path.join(home, 'node_modules/.cache'), '');
    const { status, stdout, stderr } = await desk.run(['render', '--help'], { home });
    assert.equal([status, stderr], [0, '']);
    assert.match(stdout, /^usage: /m);
    desk.assertNothingLeft();
  }),
);

processes('works through a symbolic link', () =>
  withDesk(async (desk) => {
    const link = path.join(desk.folder, 'a link');
    symlinkSync(projectFolder, link);
    const outcome = await desk.run(['render', '--env-file', path.join(desk.root, '.env')], { home: link });
    assert.equal([outcome.status, outcome.stderr], [0, '']);
    assert.match(outcome.stdout, /^kind: Deployment$/m);
  }),
);

const preload = (code: string): string[] => ['--import', `data:text/javascript,${encodeURIComponent(code)}`];

processes('on a Node that is too old: says which it takes', () =>
  withDesk(async (desk) => {
    const old = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.11.1' } })`;
    const outcome = await desk.run(['diff'], { node: preload(old) });
    assert.equal([outcome.status, outcome.stdout], [2, '']);
    assert.match(
      outcome.stderr,
      /^error: Node 20\.11\.1 is too old, strata needs 20\.12 or later\n {2}next: /,
    );
  }),
);

processes('a bug is 70 and shows its stack, without secrets', () =>
  withDesk(async (desk) => {
    const broken = `
      import fs from 'node:fs';
      import { syncBuiltinESMExports } from 'node:module';
      const { realpathSync } = fs;
      fs.realpathSync = (file, ...rest) => {
        if (String(file).endsWith('kubectl')) throw new TypeError(${JSON.stringify(`odd: ${canaries.BETTER_AUTH_SECRET}`)});
        return realpathSync(file, ...rest);
      };
      syncBuiltinESMExports();`;
    desk.fakeKubectl('exit 9');
    const outcome = await desk.run(['render'], { node: preload(broken) });
    assert.equal([outcome.status, outcome.stdout], [70, '']);
    assert.match(
      outcome.stderr,
      /^error: this is a bug in strata\nTypeError: odd: \[BETTER_AUTH_SECRET\]\n +at /,
    );
  }),
);

processes.run();
