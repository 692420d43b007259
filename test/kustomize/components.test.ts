import { readFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  generatedNameOf,
  isRecord,
  type KubeObject,
  referenceOf,
  titleOf,
} from '../../scripts/lib/manifest.ts';
import type { Manifest } from '../../scripts/lib/render.ts';
import { parseYaml } from '../../scripts/lib/yaml.ts';
import {
  components,
  componentsOf,
  editYaml,
  overlays,
  renderOverlay,
  withManifests,
  writeVariant,
} from '../support/components.ts';
import { projectFolder } from '../support/session.ts';

/** `Kind/name`, without the hash of what is generated. */
function titleIn({ object }: Manifest): string {
  const reference = referenceOf(object);
  return titleOf({ ...reference, name: generatedNameOf(reference) ?? reference.name });
}

/** Hashes of names and the inventory label differ without anybody meaning it. */
const withoutIdentity = (object: KubeObject): string =>
  JSON.stringify(object)
    .replace(/-[2456789bcdfghkmt]{10}"/g, '"')
    .replace(/applyset-[\w-]+-v1/, '');

/** `create Kind/name` and so on: what the second render has that the first has not. */
function differences(before: readonly Manifest[], after: readonly Manifest[]): string[] {
  const [old, fresh] = [before, after].map(
    (manifests) => new Map(manifests.map((manifest) => [titleIn(manifest), manifest.object])),
  ) as [Map<string, KubeObject>, Map<string, KubeObject>];
  return [...new Set([...old.keys(), ...fresh.keys()])]
    .flatMap((title) => {
      const [was, is] = [old.get(title), fresh.get(title)];
      if (was === undefined) return [`create ${title}`];
      if (is === undefined) return [`remove ${title}`];
      return withoutIdentity(was) === withoutIdentity(is) ? [] : [`change ${title}`];
    })
    .sort();
}

const tableOf = (component: string): string[] =>
  [
    ...readFileSync(path.join(projectFolder, 'components', component, 'README.md'), 'utf8').matchAll(
      /^\| (create|change) \| (\S+) \|/gm,
    ),
  ]
    .map(([, action, title]) => `${action} ${title}`)
    .sort();

const effects = suite('components, their effects');

for (const component of components) {
  effects(`${component} adds to every overlay what its README says, and nothing else`, () =>
    withManifests(async (root) => {
      for (const overlay of overlays) {
        const others = componentsOf(overlay).filter((other) => other !== component);
        writeVariant(root, overlay, 'without', others);
        writeVariant(root, overlay, 'with', [...others, component]);
        const renders = [await renderOverlay(root, 'without'), await renderOverlay(root, 'with')];
        assert.equal(differences(renders[0]!, renders[1]!), tableOf(component), overlay);
      }
    }),
  );
}

effects('all together are the same in any order', () =>
  withManifests(async (root) => {
    for (const overlay of overlays) {
      writeVariant(root, overlay, 'forwards', components);
      writeVariant(root, overlay, 'backwards', [...components].reverse());
      const renders = [await renderOverlay(root, 'forwards'), await renderOverlay(root, 'backwards')];
      assert.equal(differences(renders[0]!, renders[1]!), [], overlay);
    }
  }),
);

effects.run();

const patches = suite('patches');

const patchesOf = (folder: string): unknown[] => {
  const { value } = parseYaml(readFileSync(path.join(projectFolder, folder, 'kustomization.yaml'), 'utf8'));
  return isRecord(value) && Array.isArray(value.patches) ? value.patches : [];
};

/** A target that matches nothing is no error to Kustomize. */
const patched = [
  ...components.map((name) => `components/${name}`),
  ...overlays.map((name) => `overlays/${name}`),
];

for (const folder of patched.filter((name) => patchesOf(name).length > 0)) {
  patches(`of ${folder} each have an effect`, () =>
    withManifests(async (root) => {
      const name = path.basename(folder);
      const [source, listed] = folder.startsWith('components/')
        ? ['minikube', [name]]
        : [name, componentsOf(name)];
      writeVariant(root, source, 'whole', listed);
      const whole = await renderOverlay(root, 'whole');
      const place = folder.startsWith('components/') ? folder : 'overlays/whole';
      const file = path.join(root, place, 'kustomization.yaml');
      const all = patchesOf(folder);
      for (const one of all) {
        editYaml(file, (kustomization) => {
          kustomization.patches = all.filter((other) => other !== one);
        });
        const less = await renderOverlay(root, 'whole');
        assert.not.equal(differences(less, whole), [], JSON.stringify(one));
      }
    }),
  );
}

patches.run();
