import { statSync } from 'node:fs';
import path from 'node:path';
import { type Problem, sortProblems } from './errors.ts';
import { git } from './git.ts';
import type { Session } from './session.ts';
import type { EnvPath, EnvValue } from './values.ts';

/** Shorter values stand in files by accident. */
const shortest = 8;
function warning(
  file: string,
  line: number | undefined,
  subject: string,
  message: string,
  hint: string,
): Problem {
  return { severity: 'warning', file, ...(line ? { line } : {}), subject, message, hint };
}

/** Who else can read an env file. */
async function looseFiles(session: Session, files: readonly EnvPath[]): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const { absolute, file } of files) {
    const mode = statSync(absolute, { throwIfNoEntry: false })?.mode ?? 0;
    if (process.platform !== 'win32' && (mode & 0o077) !== 0)
      problems.push(
        warning(file, undefined, 'mode', 'others on this machine can read it', `chmod 600 ${file}`),
      );
  }
  const inside = files.filter(({ absolute }) => !path.relative(session.root, absolute).startsWith('..'));
  const names = inside.map(({ absolute }) => path.relative(session.root, absolute));
  if (names.length === 0 || (await git(session, ['rev-parse', '--is-inside-work-tree'])) === undefined)
    return problems;
  const [tracked = '', ignored = ''] = await Promise.all([
    git(session, ['ls-files', '-z', '--', ...names.map((name) => `:(literal)${name}`)]),
    git(session, ['check-ignore', '-z', '--stdin'], names.join('\0')),
  ]);
  for (const name of names) {
    if (tracked.split('\0').includes(name))
      problems.push(
        warning(
          name,
          undefined,
          'git',
          'is tracked: whoever has the repository has these secrets',
          `git rm --cached ${name}, ignore it, and replace the secrets`,
        ),
      );
    else if (!ignored.split('\0').includes(name))
      problems.push(
        warning(
          name,
          undefined,
          'git',
          'is not ignored, the next commit may take it',
          `echo ${name} >> .gitignore`,
        ),
      );
  }
  return problems;
}

/** One line of the value as it is, and the beginning of its base64, as manifests of Secrets have it. */
function patternsOf(value: string): string[] {
  const longest = value.split(/\r?\n/).reduce((best, line) => (line.length > best.length ? line : best), '');
  return [longest.trim(), Buffer.from(value).toString('base64').slice(0, 76)].filter(
    (pattern) => pattern.length >= shortest,
  );
}

/** Secrets that stand in files that git knows. */
async function committed(
  session: Session,
  values: readonly EnvValue[],
  files: readonly EnvPath[],
): Promise<Problem[]> {
  const patterns = new Map<string, string>();
  for (const { field, value, placeholder } of values)
    if (field.secret && value && value.length >= shortest && placeholder === undefined)
      for (const pattern of patternsOf(value)) patterns.set(pattern, field.envKey);
  if (patterns.size === 0) return [];
  // Told apart already: the env files themselves, and the example.
  const others = [...files.map(({ absolute }) => path.relative(session.root, absolute)), '.env.example']
    .filter((name) => !name.startsWith('..'))
    .map((name) => `:(exclude,literal)${name}`);
  const args = ['grep', '-I', '-z', '-n', '--no-color', '-F', '-f', '-', '--', ':/', ...others];
  const found = await git(session, args, `${[...patterns.keys()].join('\n')}\n`);
  const problems = new Map<string, Problem>();
  for (const record of (found ?? '').split('\n')) {
    const [file, line, text = ''] = record.split('\0');
    const key = [...patterns].find(([pattern]) => text.includes(pattern))?.[1];
    if (file === undefined || key === undefined) continue;
    problems.set(
      `${file}:${key}`,
      warning(
        file,
        Number(line),
        key,
        'the value of this secret stands in a file that git tracks',
        'take it out and replace the secret: the history keeps it',
      ),
    );
  }
  return [...problems.values()];
}

/** Warnings about secrets that others can read: in env files, and in what git tracks. */
export async function exposuresOf(
  session: Session,
  values: readonly EnvValue[],
  files: readonly EnvPath[],
): Promise<Problem[]> {
  const [loose, found] = await Promise.all([looseFiles(session, files), committed(session, values, files)]);
  return sortProblems([...loose, ...found]);
}
