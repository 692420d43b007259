import { StrataError } from './errors.ts';
import { endingOf, type Kubectl, runKubectl } from './kubectl.ts';
import { type KubeObject, parseManifests } from './manifest.ts';
import { diskTreeFiles } from './overlay.ts';
import { placeOfPatch } from './patches.ts';
import type { Session } from './session.ts';
import { ManifestError } from './yaml.ts';

/** One object with the very text it came as: what was verified and shown is what is applied. */
export interface Manifest {
  object: KubeObject;
  text: string;
  /** The live object stays as it is, if there is one. */
  isLeftAlone?: true;
}

export interface Rendered {
  /** Exactly what `kubectl kustomize` printed. */
  text: string;
  manifests: Manifest[];
}

/** Kustomize indents every block scalar, so a line of `---` is always a border. */
export function splitManifests(text: string): Manifest[] {
  return text.split(/^---[ \t]*\n/m).flatMap((document, index) => {
    const objects = parseManifests(document, index + 1);
    return objects.length === 1
      ? [{ object: objects[0]!, text: document }]
      : objects.map((object) => ({ object, text: JSON.stringify(object) }));
  });
}

interface Explained {
  message: string;
  hint: string;
  /** What the patch to blame names. */
  patched?: { kind: string; name: string };
}

interface Explanation {
  pattern: RegExp;
  explain: (match: RegExpExecArray) => Explained;
}

const explanations: readonly Explanation[] = [
  {
    pattern: /unable to find one of 'kustomization\.yaml'.* in directory '([^']+)'/,
    explain: ([, folder]) => ({
      message: `${folder} has no kustomization.yaml`,
      hint: 'create it, or correct the entry that names this folder',
    }),
  },
  {
    pattern: /(?:open|lstat|stat) ([^\s:']+): no such file or directory/,
    explain: ([, file]) => ({
      message: `${file} does not exist`,
      hint: 'create it, or correct the entry that names it',
    }),
  },
  {
    pattern:
      /(?:target for path '([^']+)': )?invalid Kustomization: (?:json: |error unmarshaling JSON: while decoding JSON: json: )?unknown field "([^"]+)"/,
    explain: ([, folder, field]) => ({
      message: `${folder ? `the kustomization of ${folder}` : 'a kustomization'} has the unknown field ${field}`,
      hint: 'https://kubectl.docs.kubernetes.io/references/kustomize/',
    }),
  },
  {
    pattern: /target for path '([^']+)': invalid Kustomization: (.+)/,
    explain: ([, folder, why]) => ({
      message: `the kustomization of ${folder} is not valid: ${why}`,
      hint: 'https://kubectl.docs.kubernetes.io/references/kustomize/',
    }),
  },
  {
    pattern: /(?:.*accumulation of path '([^']+)': .*)?MalformedYAMLError: (?:yaml: )?(.+) in File: (\S+)/,
    explain: ([, folder, why, file]) => ({
      message: `${folder ? `${folder}/` : ''}${file} is not valid YAML: ${why}`,
      hint: 'correct the file, then run the same command again',
    }),
  },
  {
    pattern: /resid\.ResId\{.*Kind:"(\w+)".*Name:"([^"]+)".* exists; behavior must be merge or replace/,
    explain: ([, kind, name]) => ({
      message: `${kind}/${name} is made twice: the tree has it, and strata.yaml names it too`,
      hint: 'remove it from the tree, or from strata.yaml',
    }),
  },
  {
    pattern: /accumulating resources from '([^']+)': missing metadata\.name in object \{\{\S* (\w+)\}/,
    explain: ([, file, kind]) => ({
      message: `a ${kind} in ${file} has no metadata.name`,
      hint: 'give it a name: what has generateName alone could never be found again',
    }),
  },
  {
    pattern: /security; file '([^']+)' is not in or below '([^']+)'/,
    explain: ([, file, folder]) => ({
      message: `${file} is outside of ${folder}`,
      hint: 'move it into the folder of the kustomization that names it',
    }),
  },
  {
    pattern: /no (?:matches for|resource matches strategic merge patch) "?([^";]+)"?/,
    explain: ([, target = '']) => {
      const [, kind, name] = /^(\w+)\.[^/]*\/(.+)\.[^.]+$/.exec(target) ?? [];
      return {
        message: `a patch has no object to change: ${target}`,
        hint: 'correct kind and name in the patch',
        ...(kind && name ? { patched: { kind, name } } : {}),
      };
    },
  },
  {
    pattern: /may not add resource with an already registered id: ([^\s']+)/,
    explain: ([, id]) => ({
      message: `the same object is there twice: ${id}`,
      hint: 'remove one of the two',
    }),
  },
];

/** Errors of `kubectl kustomize` wrap each other; the innermost says what is wrong. */
export function explainKustomizeError(stderr: string, root: string): Explained {
  const plain = stderr
    .split('\n')
    .filter((line) => !line.startsWith('# Warning') && line.trim() !== '')
    .map((line) => line.replace(/^[EFIW]\d{4} [\d:.]+\s+\d+ \S+\] /, '').replace(/^error: /, ''))
    .map((line) => /^"command failed" err="(.*)"$/.exec(line)?.[1]?.replaceAll('\\"', '"') ?? line)
    // klog puts a message of several lines between these two.
    .filter((line) => line !== '"command failed" err=<' && line !== ' >')
    .join('\n')
    .replaceAll(`${root}/`, '')
    .trim();
  for (const { pattern, explain } of explanations) {
    const match = pattern.exec(plain);
    if (match) return explain(match);
  }
  const wrappers = plain.split(': ');
  const innermost = wrappers.length > 6 ? wrappers.slice(-3).join(': ') : plain;
  return {
    message: innermost || 'kubectl kustomize failed without a message',
    hint: 'correct the tree, then run the same command again',
  };
}

/** Kustomize repeats some warnings up to four times. */
export function warningsOf(stderr: string): string[] {
  const lines = stderr.split('\n').filter((line) => line.startsWith('# Warning'));
  return [...new Set(lines.map((line) => line.replace(/^# Warning:? ?/, '').trim()))];
}

/**
 * @param source the folder of the overlay, relative to the root: an error names the place in its tree
 * @throws StrataError RENDER_FAILED
 */
export async function render(
  session: Session,
  kubectl: Kubectl,
  folder: string,
  source?: string,
): Promise<Rendered> {
  const result = await runKubectl(session, kubectl, ['kustomize', folder], {
    needsCluster: false,
    timeout: 600_000,
  });
  if (result.timedOut) {
    throw new StrataError('RENDER_FAILED', 'kubectl kustomize did not end within 10 minutes', {
      hint: 'look for a remote base that does not answer in `resources`',
    });
  }
  if (result.status !== 0 && result.stderr.trim() === '') {
    throw new StrataError('RENDER_FAILED', `kubectl kustomize failed without a word: ${endingOf(result)}`, {
      hint: 'the same command again; --verbose shows the lines that were run',
    });
  }
  if (result.status !== 0) {
    const { message, hint, patched } = explainKustomizeError(result.stderr, session.root);
    const place =
      source && patched ? await placeOfPatch(diskTreeFiles(session.root), source, patched) : undefined;
    const where = place ? `${place.file}:${place.line}: ` : '';
    throw new StrataError('RENDER_FAILED', `the overlay does not render: ${where}${message}`, { hint });
  }
  for (const warning of warningsOf(result.stderr)) {
    session.terminal.say(`${session.terminal.style.yellow('warning')}: kustomize: ${warning}`);
  }
  try {
    return { text: result.stdout, manifests: splitManifests(result.stdout) };
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    throw new StrataError('RENDER_FAILED', `kubectl kustomize printed no manifests: ${error.message}`, {
      hint: `check that ${kubectl.program} is a real kubectl`,
    });
  }
}
