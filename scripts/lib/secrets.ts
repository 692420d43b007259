import { isRecord, type KubeObject, lastAppliedAnnotation, listAt, stringsAt, textAt } from './manifest.ts';
import type { Scrubber } from './scrub.ts';

/** Others write it, and the server takes any text. */
function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

function learnSecret(scrubber: Scrubber, secret: unknown): void {
  const name = textAt(secret, 'metadata', 'name') ?? 'secret';
  for (const [key, value] of Object.entries(stringsAt(secret, 'data')))
    scrubber.add(`${name}/${key}`, Buffer.from(value, 'base64'), [key]);
  for (const [key, value] of Object.entries(stringsAt(secret, 'stringData')))
    scrubber.add(`${name}/${key}`, value, [key]);
  // Client-side apply leaves a copy behind, of values that may have been replaced since.
  const earlier = parsed(textAt(secret, 'metadata', 'annotations', lastAppliedAnnotation));
  if (earlier !== undefined) learnSecret(scrubber, earlier);
}

/** Makes the values of Secrets known that the server answered with: one object, or a list of them. */
export function learnSecrets(scrubber: Scrubber, answer: unknown): void {
  if (!isRecord(answer)) return;
  if (answer.kind === 'Secret' && answer.apiVersion === 'v1') learnSecret(scrubber, answer);
  const isList = answer.kind === 'SecretList';
  // Items of a list of one kind do not say it.
  for (const item of listAt(answer, 'items'))
    if (isList || (item as Partial<KubeObject>)?.kind === 'Secret') learnSecret(scrubber, item);
}
