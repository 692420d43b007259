import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { startSandbox, stopSandbox } from './lib/boot.ts';
import { type Arguments, type Command, helpText, isSet, parseArguments, textOf } from './lib/command.ts';
import { StrataError } from './lib/errors.ts';
import { nearest } from './lib/nearest.ts';
import { readRunningSandbox, type SandboxInfo, sandboxStatus } from './lib/sandbox.ts';
import { restartHint, sandboxFolder } from './lib/sandbox-name.ts';
import type { Session } from './lib/session.ts';
import { formatTable } from './lib/terminal.ts';

function describe(info: SandboxInfo): string {
  const rows = [
    ['server', info.server],
    ['context', info.context],
    ['kubeconfig', info.kubeconfig],
    ['env file', info.envFile],
    ['since', info.startedAt],
    ['programs', info.source],
    ['nodes, pods', 'simulated'],
  ];
  return formatTable(rows).join('\n');
}

async function start(session: Session, folder: string): Promise<number> {
  const before = await sandboxStatus(session, { folder });
  const info = await startSandbox(session, { folder });
  if (before.state === 'running') session.terminal.say(`the sandbox ${info.name} already runs`);
  session.terminal.data(describe(info));
  return 0;
}

async function stop(session: Session, folder: string): Promise<number> {
  const wasThere = await stopSandbox(session, { folder });
  session.terminal.say(wasThere ? 'stopped, nothing of it is left' : 'there is no sandbox to stop');
  return 0;
}

async function status(session: Session, folder: string): Promise<number> {
  session.terminal.data(describe(await readRunningSandbox(session, { folder })));
  return 0;
}

async function kubectl(session: Session, folder: string, args: readonly string[]): Promise<number> {
  const info = await readRunningSandbox(session, { folder });
  // In our own process group, unlike other children: it may ask on the terminal, and Ctrl-C is meant for it.
  const child = spawn(info.kubectl, args, {
    stdio: 'inherit',
    env: { ...session.environment, KUBECONFIG: info.kubeconfig },
  });
  return new Promise((resolve, reject) => {
    child.once('error', (error) =>
      reject(
        new StrataError('KUBECTL_FAILED', `${info.kubectl} could not be started: ${error.message}`, {
          hint: restartHint(folder),
        }),
      ),
    );
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? 'SIGTERM']));
  });
}

const actions = { start, stop, status, kubectl } as const;

function isAction(word: string | undefined): word is keyof typeof actions {
  return word !== undefined && Object.hasOwn(actions, word);
}

function assertAction(word: string | undefined): asserts word is keyof typeof actions {
  if (isAction(word)) return;
  const meant = word && nearest(word, Object.keys(actions));
  throw new StrataError(
    'USAGE',
    `${word ? `unknown action ${word}` : 'what should the sandbox do?'}${meant ? `, did you mean ${meant}?` : ''}`,
    { hint: `npm run sandbox -- ${Object.keys(actions).join(' | ')}` },
  );
}

export const command: Command = {
  name: 'sandbox',
  summary: 'A throwaway cluster on this machine: a real Kubernetes API server, simulated nodes and pods.',
  usage: '[--name NAME] start | stop | status | kubectl ARGUMENTS...',
  flags: ['name', 'verbose'],
  notes: [
    'start    starts it, or finds it running; the first time its programs are built with Go',
    'stop     ends it and deletes everything it wrote',
    'status   where it is and how to reach it; exit 2 when it does not run',
    'kubectl  runs its kubectl against it; everything after the word goes through, exit status included',
    '',
    'A flag of ours stands before `kubectl`: npm run sandbox -- --name second kubectl get pods',
    'Programs are taken from STRATA_SANDBOX_BIN, KUBEBUILDER_ASSETS, PATH or the cache, else built.',
    'Pods choose how they fail by the annotation strata.dev/simulate: see docs/sandbox.md.',
    '',
    'exit status: 0 done, 2 usage or not running, 3 a program failed or is missing, 130 interrupted',
  ].join('\n'),
  positionals: Number.POSITIVE_INFINITY,
  async run(session: Session, args: Arguments): Promise<number> {
    const [action, ...rest] = args.positionals;
    assertAction(action);
    if (action === 'kubectl') return kubectl(session, sandboxFolder(session, textOf(args, 'name')), rest);
    // Unlike kubectl's, what stands after the other actions is ours.
    const own = parseArguments({ ...command, positionals: 0 }, rest);
    if (isSet(own, 'help')) {
      session.terminal.data(helpText(command));
      return 0;
    }
    return actions[action](session, sandboxFolder(session, textOf(own, 'name') ?? textOf(args, 'name')));
  },
};
