import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Session } from './session.ts';

/** The version in package.json, without `v`. */
export function readVersion(session: Session): string {
  const content = JSON.parse(readFileSync(path.join(session.home, 'package.json'), 'utf8')) as {
    version: string;
  };
  return content.version;
}
