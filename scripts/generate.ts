import type { Command } from './lib/command.ts';
import { StrataError } from './lib/errors.ts';
import { pathToType, replaceFolder } from './lib/files.ts';
import { filesFor, prepare } from './lib/prepare.ts';
import { shellWord } from './lib/shell.ts';

export const command: Command = {
  name: 'generate',
  summary: 'Write the generated kustomization of an overlay to .strata/<overlay>, for use by hand.',
  usage: '[OVERLAY] [flags]',
  flags: ['root', 'env-file', 'from-process', 'image', 'sandbox', 'verbose'],
  positionals: 1,
  notes: 'The folder holds your secrets in clear: mode 0700, ignored by git.',
  async run(session, args) {
    const prepared = await prepare(session, args);
    const { overlay } = prepared;
    if (overlay === 'sandbox' || overlay.startsWith('run-')) {
      throw new StrataError(
        'USAGE',
        `.strata/${overlay} is taken: an overlay of that name cannot be generated`,
        {
          hint: 'rename the overlay',
        },
      );
    }
    const folder = replaceFolder(session, overlay, (target) => filesFor(prepared, target));
    const { sandbox, contract } = prepared;
    const shown = pathToType(session.environment, folder);
    const context = sandbox?.context ?? (contract.contexts.length === 1 ? contract.contexts[0]! : 'NAME');
    // `npm run sandbox` runs kubectl in the folder of the toolkit.
    const typed = shellWord(sandbox ? folder : shown);
    const line = `kubectl --context ${shellWord(context)} apply --server-side --field-manager strata -k ${typed}`;
    session.terminal.data(shown);
    session.terminal.say(session.advise(`use it by hand: ${line}`));
    return 0;
  },
};
