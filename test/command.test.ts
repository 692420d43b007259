import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Arguments,
  type Command,
  flags,
  helpText,
  isSet,
  parseArguments,
  parseDuration,
  refuseSwallowedFlags,
  textOf,
  textsOf,
} from '../scripts/lib/command.ts';
import { thrown } from './support/assertions.ts';

const up: Command = {
  name: 'up',
  summary: 'Brings an overlay up.',
  usage: '[overlay] [flags]',
  flags: ['context', 'sandbox', 'env-file', 'image', 'yes', 'timeout', 'output', 'verbose'],
  notes: 'Exit status 0: done.',
  positionals: 1,
  run: async () => 0,
};

const sandbox: Command = {
  ...up,
  name: 'sandbox',
  flags: ['name', 'verbose'],
  positionals: Number.POSITIVE_INFINITY,
};

const parsing = suite('parseArguments');

for (const [name, command, argv, expected] of [
  ['nothing', up, [], { positionals: [], flags: {} }],
  ['an overlay', up, ['dev'], { positionals: ['dev'], flags: {} }],
  ['a switch', up, ['--yes'], { positionals: [], flags: { yes: true } }],
  [
    'flags before and after',
    up,
    ['--yes', 'dev', '--sandbox'],
    { positionals: ['dev'], flags: { yes: true, sandbox: true } },
  ],
  ['a value after a blank', up, ['--context', 'kind-x'], { positionals: [], flags: { context: 'kind-x' } }],
  ['a value after =', up, ['--context=kind-x'], { positionals: [], flags: { context: 'kind-x' } }],
  ['a value with = in it', up, ['--image=a=b:1'], { positionals: [], flags: { image: ['a=b:1'] } }],
  [
    'a value that begins with -, after =',
    up,
    ['--context=-x'],
    { positionals: [], flags: { context: '-x' } },
  ],
  [
    'a repeatable flag',
    up,
    ['--env-file', 'a', '--env-file=b'],
    { positionals: [], flags: { 'env-file': ['a', 'b'] } },
  ],
  [
    'the same value twice',
    up,
    ['--context', 'a', '--context', 'a'],
    { positionals: [], flags: { context: 'a' } },
  ],
  ['what stands after --', up, ['--yes', '--', '--dev'], { positionals: ['--dev'], flags: { yes: true } }],
  ['--help', up, ['--help'], { positionals: [], flags: { help: true } }],
  ['-h', up, ['-h'], { positionals: [], flags: { help: true } }],
  [
    'kubectl words as they are',
    sandbox,
    ['kubectl', 'get', 'pods', '-o', 'wide', '--', '--x'],
    { positionals: ['kubectl', 'get', 'pods', '-o', 'wide', '--', '--x'], flags: {} },
  ],
  [
    'own flags before them',
    sandbox,
    ['--verbose', 'kubectl', '--verbose'],
    { positionals: ['kubectl', '--verbose'], flags: { verbose: true } },
  ],
] as [string, Command, string[], Arguments][]) {
  parsing(`takes ${name}`, () => assert.equal(parseArguments(command, argv), expected));
}

for (const [name, argv, message] of [
  [
    'an unknown flag, with the one that was meant',
    ['--contxt', 'x'],
    'unknown flag --contxt, did you mean --context?',
  ],
  ['an unknown flag that is near to none', ['--prune-everything'], 'unknown flag --prune-everything'],
  ['a flag of another command', ['--exit-zero'], 'unknown flag --exit-zero'],
  ['an unknown letter', ['-y'], 'unknown flag -y'],
  ['a name of every object', ['--constructor'], 'unknown flag --constructor'],
  ['a value for a switch', ['--yes=true'], '--yes takes no value'],
  ['no value at the end', ['--context'], '--context needs a value: --context NAME'],
  ['an empty value', ['--context='], '--context needs a value: --context NAME'],
  ['another flag in place of a value', ['--context', '--yes'], '--context needs a value: --context NAME'],
  ['two values', ['--context', 'a', '--context', 'b'], '--context was given twice'],
  ['a second overlay', ['dev', 'minikube'], 'unexpected argument: minikube'],
] as [string, string[], string][]) {
  parsing(`refuses ${name}`, () => {
    const error = thrown(() => parseArguments(up, argv));
    assert.equal([error.code, error.message, error.hint], ['USAGE', message, 'npm run up -- --help']);
  });
}

parsing('flags are read by what they are', () => {
  const args = parseArguments(up, ['--yes', '--context', 'a', '--image', 'x=y:1']);
  assert.equal([isSet(args, 'yes'), isSet(args, 'sandbox'), isSet(args, 'context')], [true, false, false]);
  assert.equal(
    [textOf(args, 'context'), textOf(args, 'yes'), textOf(args, 'output')],
    ['a', undefined, undefined],
  );
  assert.equal([textsOf(args, 'image'), textsOf(args, 'env-file')], [['x=y:1'], []]);
});

const swallowed = suite('refuseSwallowedFlags');

const npm = (config: Record<string, string>): Record<string, string> => ({
  npm_lifecycle_event: 'up',
  npm_command: 'run',
  ...config,
});

// What npm 11 hands down for the line in front: a value after a blank becomes a positional.
for (const [line, argv, config, hint] of [
  ['npm run up --yes', [], { npm_config_yes: 'true' }, 'npm run up -- --yes'],
  ['npm run up dev --yes', ['dev'], { npm_config_yes: 'true' }, 'npm run up -- dev --yes'],
  ['npm run up --context=kind-x', [], { npm_config_context: 'kind-x' }, 'npm run up -- --context kind-x'],
  [
    'npm run up --context kind-x',
    ['kind-x'],
    { npm_config_context: 'true' },
    'npm run up -- --context kind-x',
  ],
  ['npm run up --context "a b"', ['a b'], { npm_config_context: 'true' }, "npm run up -- --context 'a b'"],
  ["npm run up --env-file='a b'", [], { npm_config_env_file: 'a b' }, "npm run up -- --env-file 'a b'"],
  ['npm run up --context', [], { npm_config_context: 'true' }, 'npm run up -- --context NAME'],
  [
    'npm run up --image=a=b:1 --image=c=d:1',
    [],
    { npm_config_image: 'a=b:1\n\nc=d:1' },
    'npm run up -- --image a=b:1 --image c=d:1',
  ],
  ['npm run up --env-file=x', [], { npm_config_env_file: 'x' }, 'npm run up -- --env-file x'],
  [
    'npm run up --context=a --yes',
    [],
    { npm_config_context: 'a', npm_config_yes: 'true' },
    'npm run up -- --context a --yes',
  ],
  [
    'npm run up --yes -- dev --context a',
    ['dev', '--context', 'a'],
    { npm_config_yes: 'true' },
    'npm run up -- dev --context a --yes',
  ],
  [
    'npm run up --yes -- --image a=b:1 --sandbox',
    ['--image', 'a=b:1', '--sandbox'],
    { npm_config_yes: 'true' },
    'npm run up -- --image a=b:1 --sandbox --yes',
  ],
] as [string, string[], Record<string, string>, string][]) {
  swallowed(`${line}: says ${hint}`, () => {
    const error = thrown(() => refuseSwallowedFlags(up, parseArguments(up, argv), npm(config)));
    assert.equal([error.code, error.hint], ['USAGE', hint]);
    assert.match(error.message, /^npm took --[\w-]+/);
  });
}

// cli.ts asks before it refuses the words that are too many: they are the values that npm left.
for (const [script, positionals, config, hint] of [
  ['up', ['dev', 'kind-x'], { npm_config_context: 'true' }, 'npm run up -- dev --context kind-x'],
  [
    'up',
    ['a=b:1', 'c=d:1'],
    { npm_config_image: 'true\n\ntrue' },
    'npm run up -- --image a=b:1 --image c=d:1',
  ],
  [
    'up',
    ['dev', 'kind-x', 'json'],
    { npm_config_context: 'true', npm_config_output: 'true' },
    'npm run up -- dev --context NAME --output FORMAT',
  ],
  ['up:dev', ['dev'], { npm_config_yes: 'true' }, 'npm run up:dev -- --yes'],
  ['up:dev', ['dev'], { npm_config_context: 'true' }, 'npm run up:dev -- --context NAME'],
  ['up:dev', ['dev', 'kind-x'], { npm_config_context: 'true' }, 'npm run up:dev -- --context kind-x'],
] as [string, string[], Record<string, string>, string][]) {
  swallowed(`${script} with ${positionals.join(', ')} left: says ${hint}`, () => {
    const environment = { ...npm(config), npm_lifecycle_event: script };
    const error = thrown(() => refuseSwallowedFlags(up, { positionals, flags: {} }, environment));
    assert.equal([error.code, error.hint], ['USAGE', hint]);
  });
}

// npm 11 knows a --name of its own and keeps its value; of npm 10 it is the second of each pair.
for (const [line, positionals, name, hint] of [
  ['status --name second', ['status'], 'second', 'status --name second'],
  ['status --name second', ['status', 'second'], 'true', 'status --name second'],
  ['stop --name=second', ['stop'], 'second', 'stop --name second'],
  ['--name second kubectl get po', ['kubectl', 'get', 'po'], 'second', '--name second kubectl ARGUMENTS...'],
  [
    '--name second kubectl get po',
    ['second', 'kubectl', 'get', 'po'],
    'true',
    '--name second kubectl ARGUMENTS...',
  ],
] as [string, string[], string, string][]) {
  swallowed(`npm run sandbox ${line} with ${positionals.join(', ')} left: says ${hint}`, () => {
    const environment = { ...npm({ npm_config_name: name }), npm_lifecycle_event: 'sandbox' };
    const error = thrown(() => refuseSwallowedFlags(sandbox, { positionals, flags: {} }, environment));
    assert.equal([error.code, error.hint], ['USAGE', `npm run sandbox -- ${hint}`]);
  });
}

// npm 11 hands nothing down for these two but the file.
for (const [line, script, positionals, hint] of [
  ['npm run diff --save plan.json', 'diff', ['plan.json'], 'npm run diff -- --save plan.json'],
  ['npm run diff dev --save plan.json', 'diff', ['dev', 'plan.json'], 'npm run diff -- dev --save plan.json'],
  ["npm run up --plan 'a b.json'", 'up', ['a b.json'], "npm run up -- --plan 'a b.json'"],
  ['npm run up --plan plan.json', 'up', ['plan.json'], 'npm run up -- --plan plan.json'],
] as [string, string, string[], string][]) {
  swallowed(`${line}: says ${hint}`, () => {
    const command: Command = { ...up, name: script, flags: [script === 'up' ? 'plan' : 'save', 'yes'] };
    const environment = { ...npm({}), npm_lifecycle_event: script };
    const error = thrown(() => refuseSwallowedFlags(command, { positionals, flags: {} }, environment));
    assert.equal([error.code, error.hint], ['USAGE', hint]);
  });
}

swallowed("does not take npm's own --save for ours", () => {
  const command: Command = { ...up, flags: ['save'] };
  for (const value of ['true', '', 'false'])
    refuseSwallowedFlags(command, parseArguments(command, ['dev']), npm({ npm_config_save: value }));
  refuseSwallowedFlags(
    command,
    parseArguments(command, ['--save', 'x.json']),
    npm({ npm_config_save: 'true' }),
  );
});

for (const [name, argv, environment] of [
  ['npm run without flags', [], npm({})],
  ['the empty npm_config_yes that npm 11 always sets', [], npm({ npm_config_yes: '' })],
  ['a flag that was given the right way too', ['--yes'], npm({ npm_config_yes: 'true' })],
  ['a flag that npm says is off', [], npm({ npm_config_yes: 'false' })],
  ["npm's own --verbose", [], npm({ npm_config_verbose: 'true' })],
  ['a flag of another command', [], npm({ npm_config_exit_zero: 'true' })],
  ['a command that npm did not start', [], { npm_config_yes: 'true' }],
  ['npm exec', [], { npm_command: 'exec', npm_lifecycle_event: 'npx', npm_config_yes: 'true' }],
] as [string, string[], Record<string, string>][]) {
  swallowed(`lets ${name} pass`, () => refuseSwallowedFlags(up, parseArguments(up, argv), environment));
}

const help = suite('helpText');

help('names the line, every flag with its placeholder, and the notes', () => {
  assert.is(
    helpText({ ...up, flags: ['context', 'yes'] }),
    `Brings an overlay up.

usage: npm run up -- [overlay] [flags]

  --context NAME  ${flags.context.help}
  --yes           ${flags.yes.help}
  --help          ${flags.help.help}

Exit status 0: done.
`,
  );
});

help('says once which overlay is meant when none is given', () => {
  const sentence = 'OVERLAY is minikube unless given.';
  assert.match(helpText({ ...up, usage: '[OVERLAY] [flags]' }), `[OVERLAY] [flags]\n\n${sentence}\n\n  --`);
  assert.not.match(helpText({ ...up, usage: 'start | stop' }), sentence);
});

help('a command without arguments has none in its usage', () => {
  assert.match(helpText({ ...up, usage: '' }), /^usage: npm run up$/m);
});

const durations = suite('parseDuration');

for (const [text, milliseconds] of [
  ['500ms', 500],
  ['90s', 90_000],
  ['90', 90_000],
  ['1.5m', 90_000],
  ['5m', 300_000],
  ['1h', 3_600_000],
  ['24h', 86_400_000],
] as const) {
  durations(`${text} is ${milliseconds} ms`, () => assert.is(parseDuration(text), milliseconds));
}

for (const text of [
  '',
  '0',
  '0s',
  '-1s',
  '5 m',
  '5min',
  '1d',
  '25h',
  'Infinity',
  '1e3',
  '0x10',
  ' 5m',
  '5m\n',
]) {
  durations(`refuses ${JSON.stringify(text)}`, () => {
    const error = thrown(() => parseDuration(text));
    assert.equal([error.code, error.hint], ['USAGE', 'write it like --timeout 90s or --timeout 5m']);
  });
}

parsing.run();
swallowed.run();
help.run();
durations.run();
