import { type Arguments, textOf } from './command.ts';
import { StrataError } from './errors.ts';

/** @throws StrataError USAGE */
export function outputOf(args: Arguments): 'text' | 'json' {
  const output = textOf(args, 'output') ?? 'text';
  if (output === 'text' || output === 'json') return output;
  throw new StrataError('USAGE', `--output ${output} is not known`, {
    hint: '--output text or --output json',
  });
}
