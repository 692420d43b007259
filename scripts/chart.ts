import { chartFiles } from './lib/chart.ts';
import { writeChart } from './lib/chart-folder.ts';
import { leaksIn, nameOf, secretsKnown, versionOf } from './lib/chart-source.ts';
import { type Command, overlayOf, textOf } from './lib/command.ts';
import { StrataError, throwOnErrors } from './lib/errors.ts';
import { typedPath } from './lib/files.ts';
import { prepare, renderVerified } from './lib/prepare.ts';
import { shellWord } from './lib/shell.ts';

export const command: Command = {
  name: 'chart',
  summary: 'Write a Helm chart that renders what the overlay renders.',
  usage: '[OVERLAY] --out DIR [flags]',
  flags: ['root', 'env-file', 'from-process', 'image', 'out', 'verbose'],
  positionals: 1,
  notes: [
    'No value of a secret is in the chart: its user names Secrets that exist, or fills them in. Config values are those',
    'of the env files; secrets may be missing there. Only a chart that this command wrote is replaced.',
    'docs/chart.md tells what differs from render, and why.',
  ].join('\n'),
  async run(session, args) {
    const out = textOf(args, 'out');
    if (out === undefined) {
      throw new StrataError('USAGE', 'where should the chart go?', {
        hint: `npm run chart -- ${overlayOf(args)} --out DIR`,
      });
    }
    const prepared = await prepare(session, args, { placeholders: 'ignore', withoutSecrets: true });
    const { manifests } = await renderVerified(session, prepared);
    const objects = manifests.map(({ object }) => object);
    const { overlay, namespace, contract } = prepared;
    const files = chartFiles({
      objects,
      contract,
      overlay,
      namespace,
      name: nameOf(session.root, objects, overlay),
      version: versionOf(session.root),
    });
    throwOnErrors(
      'VERIFY_FAILED',
      'the chart would hold what is secret here; nothing was written',
      leaksIn(files, secretsKnown(prepared.values, objects)),
      'take the value out of the tree, and replace it where it was in use',
    );
    writeChart(session, typedPath(session.environment, out), out, files);
    session.terminal.data(out);
    session.terminal.say(
      `use it: helm install NAME ${shellWord(out)} --namespace ${namespace} --create-namespace`,
    );
    return 0;
  },
};
