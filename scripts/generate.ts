import path from 'node:path';
import type { Command } from './lib/command.ts';
import { StrataError } from './lib/errors.ts';
import { replaceFolder } from './lib/files.ts';
import { filesFor, prepare } from './lib/prepare.ts';

export const command: Command = {
  name: 'generate',
  summary: 'Write the generated kustomization of an overlay to .strata/<overlay>, for use by hand.',
  usage: '[OVERLAY] [flags]',
  flags: ['root', 'env-file', 'from-process', 'image', 'sandbox', 'verbose'],
  positionals: 1,
  notes:
    'The folder holds your secrets in clear: mode 0700, ignored by git. OVERLAY is minikube unless given.',
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
    const shown = path.relative(process.cwd(), folder) || '.';
    session.terminal.data(shown);
    session.terminal.say(`use it by hand: kubectl apply --server-side --field-manager strata -k ${shown}`);
    return 0;
  },
};
