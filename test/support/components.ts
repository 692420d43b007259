import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadContract } from '../../scripts/lib/contract.ts';
import { fillEmpty, generatedKeys } from '../../scripts/lib/init.ts';
import { isRecord } from '../../scripts/lib/manifest.ts';
import { prepare, renderVerified } from '../../scripts/lib/prepare.ts';
import type { Manifest } from '../../scripts/lib/render.ts';
import { formatYaml, parseYaml } from '../../scripts/lib/yaml.ts';
import { blocksOf, sectionOf } from './recipe.ts';
import { projectFolder, testSession } from './session.ts';
import { withTree } from './tree.ts';

const foldersIn = (folder: string): string[] =>
  readdirSync(path.join(projectFolder, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();

export const components = foldersIn('components');
export const overlays = foldersIn('overlays');

/** `## Use` of a component's README, for one overlay. */
export const useOf = (component: string, overlay: string): string =>
  sectionOf(
    readFileSync(path.join(projectFolder, 'components', component, 'README.md'), 'utf8'),
    '## Use',
  ).replaceAll('NAME', overlay);

/** A copy of the manifests of the project, without any env file; removed at the end. */
export const withManifests = <T>(work: (root: string) => Promise<T>): Promise<T> =>
  withTree({}, async (root) => {
    for (const folder of ['base', 'components', 'overlays'])
      cpSync(path.join(projectFolder, folder), path.join(root, folder), { recursive: true });
    cpSync(path.join(projectFolder, '.env.example'), path.join(root, '.env.example'));
    return work(root);
  });

export function editYaml(file: string, change: (content: Record<string, unknown>) => void): void {
  const { value } = parseYaml(readFileSync(file, 'utf8'));
  if (!isRecord(value)) throw new TypeError(`${file} is no map`);
  change(value);
  writeFileSync(file, formatYaml(value));
}

/** The components that an overlay of the project lists itself. */
export function componentsOf(overlay: string): string[] {
  const file = path.join(projectFolder, 'overlays', overlay, 'kustomization.yaml');
  const listed = (parseYaml(readFileSync(file, 'utf8')).value as { components?: string[] }).components ?? [];
  return listed.map((entry) => path.basename(entry));
}

/** An overlay of the tree like `source`, with these components in place of its own. */
export function writeVariant(root: string, source: string, name: string, listed: readonly string[]): void {
  const folder = path.join(root, 'overlays', name);
  cpSync(path.join(projectFolder, 'overlays', source), folder, { recursive: true });
  editYaml(path.join(folder, 'kustomization.yaml'), (kustomization) => {
    kustomization.components = listed.map((component) => `../../components/${component}`);
  });
}

/** What `.env.example`, the components' READMEs and `env --init` give together. */
async function envText(root: string, overlay: string): Promise<string> {
  const told = components.flatMap((component) =>
    blocksOf(useOf(component, overlay)).filter(({ language }) => language === 'dotenv'),
  );
  const text = [readFileSync(path.join(root, '.env.example'), 'utf8'), ...told.map((block) => block.text)];
  const keys = generatedKeys(await loadContract(root, overlay));
  return fillEmpty(text.join('\n'), keys, () => 'Kf7qTz4wLx9vBn2mRd8sGh3jPc6yQa5t').text;
}

/** Generate, render and verify, as every command does. @throws StrataError of any of these */
export async function renderOverlay(root: string, overlay: string): Promise<readonly Manifest[]> {
  const session = testSession({ root });
  try {
    writeFileSync(path.join(root, `.env.${overlay}`), await envText(root, overlay), { mode: 0o600 });
    const prepared = await prepare(session, { positionals: [overlay], flags: {} });
    return (await renderVerified(session, prepared)).manifests;
  } finally {
    session.end();
  }
}
