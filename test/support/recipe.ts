import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import deepmerge from 'deepmerge';
import { formatYaml, parseYaml } from '../../scripts/lib/yaml.ts';

/** The part of a Markdown text from the line that begins with `head` to the next heading (not the title) or recipe. */
export function sectionOf(markdown: string, head: string): string {
  const start = markdown.indexOf(`\n${head}`);
  if (start < 0) throw new Error(`no section ${head}`);
  const rest = markdown.slice(start + 1 + head.length);
  const end = rest.search(/\n(?:##+ |\*\*Add )/);
  return end < 0 ? rest : rest.slice(0, end);
}

interface Block {
  language: string;
  /** From the comment in the first line. */
  file: string | undefined;
  text: string;
}

export function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = '', body = '']) => {
    const [head, file] = /^# (\S+)\n/.exec(body) ?? ['', undefined];
    return { language, file, text: body.slice(head.length) };
  });
}

/**
 * Does what a person does with the blocks of a recipe: what is said for a file is put into it or makes it, commands are
 * run in the tree.
 */
export function follow(root: string, markdown: string): void {
  for (const { language, file, text } of blocksOf(markdown)) {
    if (file === undefined) {
      if (language !== 'sh') throw new Error(`nobody can tell what to do with\n${text}`);
      // What a recipe ends with is for the test to run and to judge.
      const commands = text.replace(/^npm .*$/gm, '');
      execFileSync('sh', ['-e', '-c', commands], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
      continue;
    }
    const target = path.join(root, file);
    mkdirSync(path.dirname(target), { recursive: true });
    if (language === 'dotenv') appendFileSync(target, text, { mode: 0o600 });
    else if (!existsSync(target)) writeFileSync(target, text);
    else writeFileSync(target, formatYaml(merged(readFileSync(target, 'utf8'), text)));
  }
}

const merged = (present: string, more: string): unknown =>
  deepmerge(parseYaml(present).value as object, parseYaml(more).value as object);
