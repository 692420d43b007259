import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { homedir } from 'node:os';
import path from 'node:path';
import { StrataError, systemCode } from './errors.ts';
import { parseYaml } from './yaml.ts';

/** Certificates as the kubeconfig gives them: in it, or in a file of their own (absolute path). */
export type Pem = { text: string } | { file: string };

export interface Context {
  name: string;
  cluster: string;
  /** URL of the API server; empty when the kubeconfig names a cluster it does not hold. */
  server: string;
  user: string;
  /** The user logs in through a program, which may have to ask something in the terminal. */
  usesExec: boolean;
  /** The program that logs in, as the kubeconfig names it. */
  login?: string;
  /** What the certificate of the server has to be signed by; absent when that is left to the system. */
  ca?: Pem;
  clientCertificate?: Pem;
  /** Why kubectl would stop and ask for a user name. */
  fault?: string;
}

export interface Kubeconfig {
  files: string[];
  /** What KUBECONFIG names and is not there, where none of its files is. */
  absent?: string[];
  contexts: ReadonlyMap<string, Context>;
  current: string | undefined;
}

interface NamedList {
  name?: unknown;
  [key: string]: unknown;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const namedLists = (value: unknown): NamedList[] => (Array.isArray(value) ? value.filter(isRecord) : []);

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** The files kubectl would read, in its order. */
export function kubeconfigFiles(
  environment: Readonly<Record<string, string | undefined>>,
  explicit?: string,
): string[] {
  if (explicit !== undefined) return [explicit];
  if (environment.KUBECONFIG)
    return [...new Set(environment.KUBECONFIG.split(path.delimiter).filter(Boolean))];
  const home = environment.HOME || homedir();
  return home ? [path.join(home, '.kube/config')] : [];
}

/** The data wins over the file, whose path is relative to that of the kubeconfig (client-go, clientcmd). */
function pemOf(entry: Record<string, unknown> | undefined, field: string, folder: string): Pem | undefined {
  const data = text(entry?.[`${field}-data`]);
  if (data) return { text: Buffer.from(data, 'base64').toString('utf8') };
  const file = text(entry?.[field]);
  return file ? { file: path.resolve(folder, file) } : undefined;
}

/** The certificates' text; undefined when their file cannot be read. */
export function readPem(pem: Pem): string | undefined {
  if ('text' in pem) return pem.text;
  try {
    return readFileSync(pem.file, 'utf8');
  } catch {
    return undefined;
  }
}

/** With one of these kubectl does not ask for a user name (client-go, tools/clientcmd: canIdentifyUser). */
const credentials = [
  'token',
  'tokenFile',
  'client-certificate',
  'client-certificate-data',
  'username',
  'exec',
  'auth-provider',
];

function faultOf(
  name: string,
  user: Record<string, unknown> | undefined,
  server: string,
): string | undefined {
  if (name !== '' && user === undefined) return `its user ${name} is not there`;
  // Over plain HTTP kubectl sends no credentials and asks for none.
  if (!/^https:/i.test(server) || credentials.some((field) => user?.[field])) return undefined;
  return name === '' ? 'it names no user' : `its user ${name} has no credentials`;
}

/** Merges by kubectl's rule: the first file that sets a name or the current context wins. */
export function mergeKubeconfigs(files: readonly { file: string; content: unknown }[]): Kubeconfig {
  const clusters = new Map<string, Record<string, unknown>>();
  const users = new Map<string, Record<string, unknown>>();
  const links = new Map<string, Record<string, unknown>>();
  const folders = new Map<Record<string, unknown>, string>();
  let current: string | undefined;
  for (const { file, content } of files) {
    if (!isRecord(content)) continue;
    current ??= text(content['current-context']) || undefined;
    for (const [list, field, target] of [
      ['clusters', 'cluster', clusters],
      ['users', 'user', users],
      ['contexts', 'context', links],
    ] as const) {
      for (const entry of namedLists(content[list])) {
        const name = text(entry.name);
        if (target.has(name)) continue;
        const value = isRecord(entry[field]) ? entry[field] : {};
        target.set(name, value);
        folders.set(value, path.dirname(file));
      }
    }
  }
  const contexts = new Map<string, Context>();
  for (const [name, link] of links) {
    const cluster = text(link.cluster);
    const user = text(link.user);
    const [place, account] = [clusters.get(cluster), users.get(user)];
    const server = text(place?.server);
    const login = isRecord(account?.exec) ? text(account.exec.command) : '';
    const ca = place && pemOf(place, 'certificate-authority', folders.get(place) ?? '');
    const clientCertificate = account && pemOf(account, 'client-certificate', folders.get(account) ?? '');
    const fault = faultOf(user, account, server);
    contexts.set(name, {
      name,
      cluster,
      server,
      user,
      usesExec: isRecord(account?.exec),
      ...(login ? { login } : {}),
      ...(ca ? { ca } : {}),
      ...(clientCertificate ? { clientCertificate } : {}),
      ...(fault ? { fault } : {}),
    });
  }
  return { files: files.map(({ file }) => file), contexts, current };
}

/** What kubectl would not take either; nothing of the content, which holds credentials. An empty file is fine. */
function shapeFault(content: unknown): string | undefined {
  if (content === null || content === undefined) return undefined;
  if (!isRecord(content)) return 'expected a map with contexts, clusters and users';
  const field = ['contexts', 'clusters', 'users'].find(
    (name) => content[name] !== null && content[name] !== undefined && !Array.isArray(content[name]),
  );
  return field && `${field} is no list`;
}

/** @throws StrataError KUBECONFIG_INVALID for a file that is there but cannot be read or is no kubeconfig */
export function readKubeconfig(
  environment: Readonly<Record<string, string | undefined>>,
  explicit?: string,
): Kubeconfig {
  const read: { file: string; content: unknown }[] = [];
  const files = kubeconfigFiles(environment, explicit);
  for (const file of files) {
    let content: string;
    try {
      content = readFileSync(file, 'utf8');
    } catch (error) {
      if (systemCode(error) === 'ENOENT') continue;
      throw new StrataError('KUBECONFIG_INVALID', `${file} cannot be read (${systemCode(error)})`, {
        hint: 'check the file and the KUBECONFIG variable',
      });
    }
    const parsed = parseYaml(content);
    if (parsed.error !== undefined) {
      throw new StrataError('KUBECONFIG_INVALID', `${file}:${parsed.line} is not valid YAML`, {
        hint: `kubectl config view --kubeconfig ${file}`,
      });
    }
    const fault = shapeFault(parsed.value);
    if (fault !== undefined) {
      throw new StrataError('KUBECONFIG_INVALID', `${file} is no kubeconfig: ${fault}`, {
        hint: `kubectl config view --kubeconfig ${file}`,
      });
    }
    read.push({ file, content: parsed.value });
  }
  const isAbsent = explicit === undefined && environment.KUBECONFIG && files.length > 0 && read.length === 0;
  return { ...mergeKubeconfigs(read), ...(isAbsent ? { absent: files } : {}) };
}

const localNames = [/^minikube$/, /^kind-./, /^k3d-./, /^docker-desktop$/, /^strata-sandbox(-.+)?$/];

function isPrivateHost(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '');
  if (isIP(bare) === 4) {
    const [a = 0, b = 0] = bare.split('.').map(Number);
    // k3d writes 0.0.0.0, the address it listens on; a client gets to this machine with it.
    return (
      bare === '0.0.0.0' ||
      a === 127 ||
      a === 10 ||
      (a === 172 && b >= 16 && b < 32) ||
      (a === 192 && b === 168)
    );
  }
  if (isIP(bare) === 6) return bare === '::1' || /^f[cd]/i.test(bare);
  return bare === 'localhost' || bare === 'kubernetes.docker.internal' || bare === 'host.docker.internal';
}

/** A known name and a loopback or private address (design): a name alone can be anybody's. */
export function isLocal(context: Context): boolean {
  if (!localNames.some((pattern) => pattern.test(context.name))) return false;
  try {
    return isPrivateHost(new URL(context.server).hostname);
  } catch {
    return false;
  }
}
