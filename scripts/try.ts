import { startSandbox } from './lib/boot.ts';
import type { Command } from './lib/command.ts';
import { sandboxFolder } from './lib/sandbox-name.ts';
import { command as status } from './status.ts';
import { command as up } from './up.ts';

export const command: Command = {
  name: 'try',
  summary: 'Start a throwaway cluster, deploy the app to it, and show it.',
  usage: '',
  flags: ['verbose'],
  notes:
    'Needs no Docker and no cluster: a real control plane with simulated nodes and Pods. Twice in a row is fine.',
  positionals: 0,
  async run(session) {
    const { terminal } = session;
    await startSandbox(session, { folder: sandboxFolder(session) });
    const args = { positionals: ['minikube'], flags: { sandbox: true as const } };
    terminal.say(terminal.style.bold('$ npm run up:minikube -- --sandbox'));
    await up.run(session, args);
    terminal.say(terminal.style.bold('$ npm run status -- --sandbox'));
    const health = await status.run(session, args);
    terminal.say(
      [
        '',
        'That was a real API server with simulated nodes and Pods. Next:',
        '  npm run diff -- --sandbox               what would change now: nothing',
        '  npm run sandbox -- kubectl get pods -A  look around',
        '  npm run down -- --sandbox               take the app down again',
        '  npm run sandbox -- stop                 end the throwaway cluster',
        '  npm run env -- --init                   write .env for a cluster of your own',
        '  npm run up:minikube                     deploy to it',
      ].join('\n'),
    );
    return health;
  },
};
