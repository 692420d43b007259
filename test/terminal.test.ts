import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StrataError } from '../scripts/lib/errors.ts';
import { createScrubber } from '../scripts/lib/scrub.ts';
import {
  clip,
  createTerminal,
  formatTable,
  type Streams,
  type Terminal,
  wantsColour,
} from '../scripts/lib/terminal.ts';
import { rejection, thrown } from './support/assertions.ts';

const colour = suite('wantsColour');

for (const [environment, isTerminal, expected] of [
  [{}, true, true],
  [{}, false, false],
  [{ TERM: 'dumb' }, true, false],
  [{ NO_COLOR: '1' }, true, false],
  [{ NO_COLOR: '' }, true, true],
  [{ FORCE_COLOR: '1' }, false, true],
  [{ FORCE_COLOR: '0' }, true, false],
  [{ FORCE_COLOR: '' }, false, false],
  [{ FORCE_COLOR: '1', TERM: 'dumb' }, true, true],
  [{ NO_COLOR: '1', FORCE_COLOR: '1' }, true, false],
] as const) {
  colour(`${JSON.stringify(environment)} ${isTerminal ? 'in' : 'outside'} a terminal: ${expected}`, () => {
    assert.is(wantsColour(environment, isTerminal), expected);
  });
}

const clipping = suite('clip');

const red = (text: string): string => `\x1b[31m${text}\x1b[39m`;

for (const [line, columns, expected] of [
  ['short', 10, 'short'],
  ['exactly10!', 10, 'exactly10!'],
  ['eleven char', 10, 'eleven ch…'],
  ['ab', 1, '…'],
  ['', 0, ''],
  [red('eleven char'), 10, red('eleven ch…')],
  [`${red('red')} and plain`, 8, `${red('red')} and…`],
  [`${red('red')}plain`, 4, `${red('red')}…`],
  [red('fits'), 4, red('fits')],
] as [string, number, string][]) {
  clipping(`${JSON.stringify(line)} in ${columns} columns`, () => assert.is(clip(line, columns), expected));
}

clipping('never leaves more than the columns visible, and every colour code stays', () => {
  const piece = fc.oneof(
    fc.stringMatching(/^[ -~]{0,12}$/),
    fc.constantFrom('\x1b[31m', '\x1b[39m', '\x1b[2m'),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), fc.integer({ min: 1, max: 30 }), (pieces, columns) => {
      const line = pieces.join('');
      const clipped = clip(line, columns);
      assert.ok(stripVTControlCharacters(clipped).length <= columns);
      assert.is(clipped.split('\x1b[').length, line.split('\x1b[').length);
    }),
  );
});

const table = suite('formatTable');

table('aligns columns by what is visible, without blanks at the end', () => {
  assert.equal(
    formatTable([
      ['KEY', 'from', 'state'],
      [red('DATABASE_URL'), '.env:3', 'set'],
      ['X', '', ''],
    ]),
    ['KEY           from    state', `${red('DATABASE_URL')}  .env:3  set`, 'X'],
  );
});

table('rows may be of different length; no rows are no lines', () => {
  assert.equal(formatTable([['a'], ['bb', 'c']]), ['a', 'bb  c']);
  assert.equal(formatTable([]), []);
});

interface Fake {
  terminal: Terminal;
  out: () => string;
  err: () => string;
  input: PassThrough;
  streams: { stdout: PassThrough; stderr: PassThrough };
}

function fake(
  options: { tty?: boolean; columns?: number; rows?: number; verbose?: boolean; TERM?: string } = {},
  secret?: string,
): Fake {
  const { tty = false, columns = 40, rows = 10, verbose = false, TERM = 'xterm' } = options;
  const make = (): PassThrough => Object.assign(new PassThrough(), tty ? { isTTY: true, columns, rows } : {});
  const [stdin, stdout, stderr] = [make(), make(), make()];
  const written = { out: '', err: '' };
  stdout.on('data', (chunk) => {
    written.out += chunk;
  });
  stderr.on('data', (chunk) => {
    written.err += chunk;
  });
  const scrubber = createScrubber();
  if (secret) scrubber.add('KEY', secret);
  const streams = { stdin, stdout, stderr } as unknown as Streams;
  return {
    terminal: createTerminal(streams, { TERM, NO_COLOR: '1' }, scrubber, { verbose }),
    out: () => written.out,
    err: () => written.err,
    input: stdin,
    streams: { stdout, stderr },
  };
}

const writing = suite('terminal');

writing('data goes to stdout, say to stderr, each with one line end', () => {
  const { terminal, out, err } = fake();
  terminal.data('one');
  terminal.data('two\n');
  terminal.say('three');
  assert.equal([out(), err()], ['one\ntwo\n', 'three\n']);
});

writing('everything is scrubbed but exact', () => {
  const { terminal, out, err } = fake({ tty: true, columns: 200, verbose: true }, 'correct-horse');
  terminal.data('correct-horse');
  terminal.exact('correct-horse');
  terminal.say('correct-horse');
  terminal.detail('correct-horse');
  terminal.live(['correct-horse']);
  assert.is(out(), '[KEY]\ncorrect-horse');
  assert.not.ok(err().includes('correct-horse'));
});

writing('JSON stays JSON, however the secret is written in it', () => {
  const { terminal, out } = fake({}, 'a"b\\c-horse');
  terminal.json({ said: 'it is a"b\\c-horse', 'a"b\\c-horse': 1 });
  assert.equal(JSON.parse(out()), { said: 'it is [KEY]', '[KEY]': 1 });
});

writing('details are told with --verbose only', () => {
  const quiet = fake();
  quiet.terminal.detail('GET /version 200');
  const verbose = fake({ verbose: true });
  verbose.terminal.detail('GET /version 200');
  assert.equal([quiet.err(), verbose.err()], ['', 'GET /version 200\n']);
});

writing('live lines are replaced by the next ones and removed before anything is said', () => {
  const { terminal, err } = fake({ tty: true });
  terminal.live(['a', 'b']);
  terminal.live(['c']);
  terminal.say('done');
  terminal.live([]);
  assert.is(err(), 'a\nb\n\x1b[2A\x1b[0Jc\n\x1b[1A\x1b[0Jdone\n');
});

writing('data removes live lines as well, for a terminal shows both streams', () => {
  const { terminal, err } = fake({ tty: true });
  terminal.live(['a']);
  terminal.data('x');
  assert.is(err(), 'a\n\x1b[1A\x1b[0J');
});

writing('live lines are clipped to the terminal, in width and in height', () => {
  const { terminal, err } = fake({ tty: true, columns: 10, rows: 4 });
  terminal.live(['a line that is too long', 'b', 'c', 'd', 'e']);
  assert.is(err(), 'a line t…\nb\nc\n');
});

writing('a message of several lines stays one live line, or too little would be erased', () => {
  const { terminal, err } = fake({ tty: true });
  terminal.live(['Certificate/x  InProgress: first\n  second']);
  terminal.live([]);
  assert.is(err(), 'Certificate/x  InProgress: first second\n\x1b[1A\x1b[0J');
});

for (const [name, options] of [
  ['no terminal', { tty: false }],
  ['a dumb terminal', { tty: true, TERM: 'dumb' }],
] as const) {
  writing(`${name} gets no live lines`, () => {
    const { terminal, err } = fake(options);
    terminal.live(['a']);
    assert.is(err(), '');
  });
}

writing('knows whether questions can be asked and where stdout goes', () => {
  assert.equal([fake({ tty: true }).terminal.interactive, fake().terminal.interactive], [true, false]);
  assert.equal([fake({ tty: true }).terminal.outIsTerminal, fake().terminal.outIsTerminal], [true, false]);
  assert.equal([fake({ tty: true, columns: 123 }).terminal.columns, fake().terminal.columns], [123, 80]);
});

writing('a reader of stdout that has gone is no error', () => {
  const { terminal, streams } = fake();
  streams.stdout.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
  terminal.assertWritten();
});

writing('a full disk behind stdout is one', () => {
  const { terminal, streams } = fake();
  streams.stdout.emit('error', Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' }));
  const error = thrown(() => terminal.assertWritten());
  assert.is(error.code, 'FILE_UNWRITABLE');
  assert.match(error.message, 'ENOSPC');
});

writing('a stderr that cannot be written is dropped', () => {
  const { terminal, streams } = fake();
  streams.stderr.emit('error', Object.assign(new Error('EIO'), { code: 'EIO' }));
  terminal.assertWritten();
});

const asking = suite('ask');

const never = new AbortController().signal;

asking('returns the line, and asks on stderr', async () => {
  const { terminal, input, out, err } = fake();
  const answer = terminal.ask('overlay? ', never);
  input.write('minikube\nmore\n');
  assert.equal([await answer, out(), err()], ['minikube', '', 'overlay? ']);
});

asking('a line that was begun and not ended is no answer', async () => {
  const { terminal, input } = fake();
  const answer = terminal.ask('? ', never);
  input.end('minikube');
  assert.is(await answer, undefined);
});

asking('the end of input is no answer', async () => {
  const { terminal, input } = fake();
  const answer = terminal.ask('? ', never);
  input.end();
  assert.is(await answer, undefined);
});

asking('an interruption rejects with its reason', async () => {
  const interruption = new AbortController();
  const { terminal } = fake();
  const answer = terminal.ask('? ', interruption.signal);
  const reason = new StrataError('INTERRUPTED', 'interrupted');
  interruption.abort(reason);
  assert.is(await rejection(answer), reason);
});

asking('Ctrl-C in raw mode is an interruption before anything was changed', async () => {
  const { terminal, input } = fake({ tty: true });
  const answer = terminal.ask('? ', never);
  input.write('\x03');
  const error = await rejection(answer);
  assert.equal([error.code, error.exitStatus], ['INTERRUPTED', 130]);
});

colour.run();
clipping.run();
table.run();
writing.run();
asking.run();
