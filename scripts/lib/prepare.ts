import path from 'node:path';
import { type Arguments, isSet, overlayOf, textsOf } from './command.ts';
import type { Contract } from './contract.ts';
import { formatProblem, type Problem, throwOnErrors } from './errors.ts';
import { type FileSet, pathToType, writeRunFolder } from './files.ts';
import {
  expandImageOverrides,
  type GeneratedObject,
  generateFiles,
  type ImageOverride,
  parseImageOverride,
} from './generate.ts';
import { type Inventory, inventoryOf } from './inventory.ts';
import { checkKubectlVersion, findKubectl, type Kubectl } from './kubectl.ts';
import { listAt, textAt } from './manifest.ts';
import { diskTreeFiles, findLine, readLayers, readNamespace, resolveOverlay } from './overlay.ts';
import { idlePatches } from './patches.ts';
import { type Rendered, render } from './render.ts';
import { readRunningSandbox, type SandboxInfo } from './sandbox.ts';
import type { Session } from './session.ts';
import { shellWord } from './shell.ts';
import { type EnvPath, type EnvValue, loadEnvValues, type PlaceholderRule } from './values.ts';
import { verify } from './verify.ts';

/** Where manifests go, and what takes them there. */
export interface Destination {
  overlay: string;
  namespace: string;
  inventory: Inventory;
  kubectl: Kubectl;
  sandbox: SandboxInfo | undefined;
}

/** Everything that is known before kubectl is asked anything. */
export interface Prepared extends Destination {
  overlayFolder: string;
  contract: Contract;
  values: readonly EnvValue[];
  envPaths: readonly EnvPath[];
  generated: readonly GeneratedObject[];
  images: readonly ImageOverride[];
}

/** The sandbox, when --sandbox asks for it. @throws StrataError SANDBOX_NOT_RUNNING */
export async function sandboxOf(session: Session, args: Arguments): Promise<SandboxInfo | undefined> {
  return isSet(args, 'sandbox') ? readRunningSandbox(session) : undefined;
}

export function sayWarnings(session: Session, problems: readonly Problem[]): void {
  for (const problem of problems) session.terminal.say(session.advise(formatProblem(problem)));
}

/** The throwaway env file is not the user's to mend. */
export function mendable(problems: readonly Problem[], sandbox: SandboxInfo | undefined): readonly Problem[] {
  if (sandbox === undefined) return problems;
  const throwaway = path.basename(sandbox.envFile);
  return problems.filter(({ severity, file }) => severity === 'error' || !file?.endsWith(throwaway));
}

/** What the env values make of the contract's objects; optional keys without a value are left out. */
export function objectsOf(contract: Contract, values: readonly EnvValue[]): GeneratedObject[] {
  return contract.objects.map(({ kind, name }) => {
    const own = values.filter(({ field }) => field.object.kind === kind && field.object.name === name);
    return {
      kind,
      name,
      data: new Map(own.flatMap(({ field, value }) => (value === undefined ? [] : [[field.dataKey, value]]))),
    };
  });
}

async function imageRenames(root: string, folder: string): Promise<Map<string, string>> {
  const renames = new Map<string, string>();
  for (const layer of await readLayers(diskTreeFiles(root), folder)) {
    for (const entry of listAt(layer.kustomization.data, 'images')) {
      const [name, newName] = [textAt(entry, 'name'), textAt(entry, 'newName')];
      if (name && newName) renames.set(name, newName);
    }
  }
  return renames;
}

export interface PrepareOptions {
  /** `tell` unless given. */
  placeholders?: PlaceholderRule;
  /** What is generated has every key of a secret, and no value of one. */
  withoutSecrets?: boolean;
}

const emptied = (value: EnvValue): EnvValue => (value.field.secret ? { ...value, value: '' } : value);

/**
 * Parse and check: nothing is written, no cluster is asked.
 * @throws StrataError with all problems of the env files and the contract
 */
export async function prepare(
  session: Session,
  args: Arguments,
  { placeholders = 'tell', withoutSecrets = false }: PrepareOptions = {},
): Promise<Prepared> {
  const overlay = overlayOf(args);
  const overrides = textsOf(args, 'image').map(parseImageOverride);
  const folder = await resolveOverlay(session.root, overlay, session.home);
  const sandbox = await sandboxOf(session, args);
  const { namespace } = await readNamespace(session.root, overlay);
  const { contract, values, paths, warnings } = await loadEnvValues(session, overlay, {
    envFiles: textsOf(args, 'env-file'),
    fromProcess: isSet(args, 'from-process'),
    ...(sandbox ? { sandboxEnvFile: sandbox.envFile } : {}),
    placeholders: sandbox ? 'ignore' : placeholders,
    withoutSecrets,
  });
  sayWarnings(session, mendable(warnings, sandbox));
  return {
    overlay,
    overlayFolder: path.join(session.root, folder),
    namespace,
    inventory: inventoryOf(overlay, namespace),
    contract,
    values,
    envPaths: paths,
    generated: objectsOf(contract, withoutSecrets ? values.map(emptied) : values),
    images:
      overrides.length > 0 ? expandImageOverrides(overrides, await imageRenames(session.root, folder)) : [],
    kubectl: findKubectl(session, sandbox),
    sandbox,
  };
}

export function filesFor(prepared: Prepared, folder: string): FileSet {
  const { overlayFolder, namespace, inventory, generated, images } = prepared;
  return generateFiles({
    folder,
    overlayFolder,
    namespace,
    inventoryId: inventory.id,
    objects: generated,
    images,
  });
}

/** Generate, render and verify: the manifests that will be shown, compared and applied. @throws StrataError VERIFY_FAILED */
export async function renderVerified(session: Session, prepared: Prepared): Promise<Rendered> {
  await checkKubectlVersion(session, prepared.kubectl);
  const folder = writeRunFolder(session, (target) => filesFor(prepared, target));
  const overlayFolder = path.relative(session.root, prepared.overlayFolder);
  const files = diskTreeFiles(session.root);
  // Read while kubectl is at work.
  const [rendered, layers] = await Promise.all([
    render(session, prepared.kubectl, folder, overlayFolder),
    readLayers(files, overlayFolder),
  ]);
  const findings = verify(rendered.manifests, {
    namespace: prepared.namespace,
    generated: prepared.generated,
    images: prepared.images,
    external: prepared.contract.external,
  });
  const idle = await idlePatches(
    files,
    layers,
    rendered.manifests.map(({ object }) => object),
  );
  const problems = await Promise.all(
    findings.map(async ({ words, ...problem }): Promise<Problem> => {
      const place = words && (await findLine(files, overlayFolder, words));
      return { ...problem, ...place };
    }),
  );
  const generated = pathToType(session.environment, path.join(session.root, '.strata', prepared.overlay));
  throwOnErrors(
    'VERIFY_FAILED',
    `what overlay ${prepared.overlay} renders is not what was meant`,
    [...problems, ...idle],
    `npm run generate -- ${prepared.overlay}, then kubectl kustomize ${shellWord(generated)} shows it`,
  );
  sayWarnings(session, idle);
  return rendered;
}
