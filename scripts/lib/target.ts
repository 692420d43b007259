import { StrataError } from './errors.ts';
import type { Context, Kubeconfig } from './kubeconfig.ts';
import { renewal } from './login.ts';
import { nearest } from './nearest.ts';

/** `*` stands for any characters, nothing else is special, and the whole name must match. */
export function matchesContext(pattern: string, name: string): boolean {
  const parts = pattern.split('*');
  if (parts.length === 1) return pattern === name;
  const [head = '', ...rest] = parts;
  const tail = rest.pop() ?? '';
  if (!name.startsWith(head) || name.length < head.length + tail.length || !name.endsWith(tail)) return false;
  let position = head.length;
  const end = name.length - tail.length;
  for (const part of rest) {
    const found = name.indexOf(part, position);
    if (found < 0 || found + part.length > end) return false;
    position = found + part.length;
  }
  return true;
}

export interface TargetRequest {
  overlay: string;
  /** The `contexts` list of the overlay's strata.yaml. */
  allowed: readonly string[];
  /** Where that list stands, or should stand. */
  allowedFile: string;
  /** --context */
  wanted: string | undefined;
}

/**
 * Decides from the kubeconfig files alone, before a byte is sent anywhere (design, rule 4).
 * @throws StrataError CONTEXT_REFUSED, KUBECONFIG_INVALID
 */
export function chooseContext(kubeconfig: Kubeconfig, request: TargetRequest): Context {
  const { overlay, allowed, allowedFile, wanted } = request;
  const isAllowed = (name: string): boolean => allowed.some((pattern) => matchesContext(pattern, name));
  if (allowed.length === 0) {
    throw new StrataError(
      'CONTEXT_REFUSED',
      `overlay ${overlay} may not go to any cluster yet: its list of contexts is empty`,
      {
        hint: `put the name of the context on the list in ${allowedFile}, like \`contexts: [my-cluster]\`; the names you have: ${knownNames(kubeconfig)}`,
      },
    );
  }
  const exact = allowed.filter((pattern) => !pattern.includes('*'));
  const fallback = exact.length === 1 ? exact[0] : undefined;
  const currentAllowed = kubeconfig.current !== undefined && isAllowed(kubeconfig.current);
  const name = wanted ?? (currentAllowed ? kubeconfig.current : fallback);
  if (name === undefined) {
    throw new StrataError(
      'CONTEXT_REFUSED',
      `${described(kubeconfig.current)} on the list of overlay ${overlay} (${allowed.join(', ')})`,
      {
        hint: 'say which one with --context NAME',
      },
    );
  }
  if (!isAllowed(name)) {
    throw new StrataError(
      'CONTEXT_REFUSED',
      `context ${name} is not on the list of overlay ${overlay} (${allowed.join(', ')})`,
      {
        hint: `--context with a name of the list, or change the list in ${allowedFile}`,
      },
    );
  }
  const context = kubeconfig.contexts.get(name);
  if (context === undefined) throw missingContext(kubeconfig, name, request);
  // Without a server kubectl takes localhost:8080, whoever listens there.
  if (context.server === '') {
    throw new StrataError(
      'KUBECONFIG_INVALID',
      `context ${name} has no server: ${kubeconfig.files.join(', ')} ${kubeconfig.files.length === 1 ? 'does' : 'do'} not say where its cluster ${context.cluster} is`,
      { hint: `kubectl config get-contexts ${name}; kubectl config get-clusters` },
    );
  }
  if (context.fault !== undefined) {
    throw new StrataError(
      'KUBECONFIG_INVALID',
      `context ${name} cannot log in: ${context.fault} (${kubeconfig.files.join(', ')})`,
      { hint: `kubectl config get-contexts ${name}; kubectl config get-users; then ${renewal(context)}` },
    );
  }
  return context;
}

function described(current: string | undefined): string {
  return current === undefined
    ? 'there is no current context, and no single name'
    : `the current context ${current} is not`;
}

function knownNames(kubeconfig: Kubeconfig): string {
  return [...kubeconfig.contexts.keys()].join(', ') || 'none';
}

function missingContext(kubeconfig: Kubeconfig, name: string, request: TargetRequest): StrataError {
  const { files, absent } = kubeconfig;
  const meant = nearest(name, kubeconfig.contexts.keys());
  const where = absent
    ? `: KUBECONFIG names ${absent.join(', ')}, which ${absent.length === 1 ? 'is' : 'are'} not there`
    : ` in ${files.length > 0 ? files.join(', ') : 'any kubeconfig file'}`;
  const found = name === 'minikube' ? 'minikube start' : 'kubectl config get-contexts';
  const trial = `, or try it without a cluster: npm run sandbox -- start, then npm run up -- ${request.overlay} --sandbox`;
  return new StrataError(
    'CONTEXT_REFUSED',
    `context ${name} does not exist${where}${meant && meant !== name ? `, did you mean ${meant}?` : ''}`,
    // Of --context and --sandbox only one can be given.
    { hint: request.wanted === undefined ? found + trial : found },
  );
}
