import { type Command, isSet } from './lib/command.ts';
import { prepare, renderVerified } from './lib/prepare.ts';

export const command: Command = {
  name: 'render',
  summary: 'Print exactly what would be applied, verified.',
  usage: '[OVERLAY] [flags]',
  flags: ['root', 'env-file', 'from-process', 'image', 'sandbox', 'show-secrets', 'verbose'],
  positionals: 1,
  notes: [
    'Exact in a pipe: npm run -s render > manifests.yaml. On a terminal secrets are masked',
    'unless --show-secrets.',
  ].join('\n'),
  async run(session, args) {
    const prepared = await prepare(session, args);
    const { text, manifests } = await renderVerified(session, prepared);
    if (session.terminal.outIsTerminal && !isSet(args, 'show-secrets')) {
      session.terminal.data(
        manifests.map((manifest) => maskSecret(manifest.text, manifest.object.kind)).join('---\n'),
      );
      return 0;
    }
    session.terminal.exact(text);
    return 0;
  },
};

/** A Secret's values are its only indented base64; whole lines of it go. */
function maskSecret(text: string, kind: string): string {
  if (kind !== 'Secret') return text;
  return text.replace(/^data:\n(?:[ \t]+.*\n)+/m, (block) =>
    block.replace(/^( {2}[-._a-zA-Z0-9]+:).*\n(?: {3,}.*\n)*/gm, '$1 "***"\n'),
  );
}
