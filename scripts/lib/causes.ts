import { generatedNameOf, isRecord, listAt, textAt } from './manifest.ts';

/** What went wrong in plain words, and the next command. */
export interface Cause {
  message: string;
  hint: string;
}

/** Where the commands of a hint have to go. */
export interface Setting {
  context: string;
  namespace: string;
  overlay: string;
}

interface Rule<Subject> {
  pattern: RegExp;
  explain: (found: RegExpExecArray, subject: Subject) => Cause;
}

function firstCause<Subject>(
  rules: readonly Rule<Subject>[],
  text: string,
  subject: Subject,
): Cause | undefined {
  for (const { pattern, explain } of rules) {
    const found = pattern.exec(text);
    if (found) return explain(found, subject);
  }
  return undefined;
}

const longestQuote = 240;

/** The words of another program, on one line and not at any length. */
export function quoted(text: string, longest = longestQuote): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= longest ? line : `${line.slice(0, longest - 1)}…`;
}

export const kubectlFor = ({ context, namespace }: Setting): string =>
  `kubectl --context ${context} -n ${namespace}`;

/** A local cluster keeps its own store of images; only a registry gets one into any other. */
function loadCommand(image: string, { context, overlay }: Setting): string {
  const [, tool, cluster] = /^(kind|k3d)-(.+)$/.exec(context) ?? [];
  if (tool === 'kind') return `kind load docker-image ${image} --name ${cluster}`;
  if (tool === 'k3d') return `k3d image import ${image} -c ${cluster}`;
  if (context === 'docker-desktop') return `docker build -t ${image} .`;
  if (context === 'minikube') return `minikube image load ${image}`;
  return `docker push REGISTRY/${image}, then npm run up -- ${overlay} --image ${image.replace(/:.*/, '')}=REGISTRY/${image}`;
}

/** Without a slash it is either an official image of Docker Hub or one that was only built here. */
const hasNoRegistry = (image: string): boolean => !image.includes('/');

/** From the file of a login: a password on a command line is one that every process can read. */
const createPullSecret = (setting: Setting): string =>
  `${kubectlFor(setting)} create secret generic pull --type=kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson=$HOME/.docker/config.json`;

interface Pull {
  image: string;
  policy: string;
  setting: Setting;
}

const registryOf = (image: string): string => {
  const [host = ''] = image.split('/');
  return hasNoRegistry(image) || !/[.:]|^localhost$/.test(host) ? 'docker.io' : host;
};

const notHere = ({ image, policy, setting }: Pull): Cause =>
  policy === 'Always'
    ? {
        message: 'imagePullPolicy is Always, so a copy on the node is not used, and no registry has it',
        hint: `set imagePullPolicy: IfNotPresent, then ${loadCommand(image, setting)}`,
      }
    : {
        message: 'it is not on the node, and no registry has it under this name',
        hint: `${loadCommand(image, setting)}; or correct its name`,
      };

/** Words of containerd, CRI-O and Docker; each is quoted in test/causes.test.ts with its source. */
const pullRules: readonly Rule<Pull>[] = [
  {
    pattern: /toomanyrequests|rate limit/i,
    explain: (_, { setting }) => ({
      message: 'the registry limits how often it may be pulled without a login',
      hint: `wait; or docker login, then ${createPullSecret(setting)}, and name it in imagePullSecrets`,
    }),
  },
  {
    pattern: /no match(?:ing manifest)? for (?:platform|linux)/i,
    explain: (_, { image }) => ({
      message: 'it was not built for the CPU of the node',
      hint: `docker buildx build --platform linux/amd64,linux/arm64 -t ${image} --push .`,
    }),
  },
  {
    pattern: /unauthorized|authoriz|unauthenticated|denied|\b40[13]\b/i,
    explain: (_, pull) =>
      hasNoRegistry(pull.image)
        ? notHere(pull)
        : {
            message: `${registryOf(pull.image)} does not give it out: it is private, or its name is wrong`,
            hint: `correct the name; or docker login ${registryOf(pull.image)}, then ${createPullSecret(pull.setting)}, and name it in imagePullSecrets`,
          },
  },
  {
    pattern: /not found|manifest unknown|name unknown|does not exist/i,
    explain: (_, pull) =>
      hasNoRegistry(pull.image)
        ? notHere(pull)
        : {
            message: `${registryOf(pull.image)} has no such image: name or tag is misspelt, or it was never pushed`,
            hint: `docker manifest inspect ${pull.image}`,
          },
  },
  {
    pattern:
      /no such host|server misbehaving|dial tcp|timeout|deadline exceeded|connection refused|x509|registry is unavailable/i,
    explain: (_, { image }) => ({
      message: `the node does not reach ${registryOf(image)}`,
      hint: `check the name of the registry, and the network of the node: docker manifest inspect ${image}`,
    }),
  },
];

export function causeOfPull(said: string, pull: Pull): Cause | undefined {
  return firstCause(pullRules, said, pull);
}

export const causeOfNeverPull = (image: string, setting: Setting): Cause => ({
  message: `image ${image} is not on the node, and imagePullPolicy is Never`,
  hint: loadCommand(image, setting),
});

const titled = (word: string): 'Secret' | 'ConfigMap' =>
  word.toLowerCase().startsWith('secret') ? 'Secret' : 'ConfigMap';

/** The name as strata.yaml has it. */
const nameInTree = (kind: string, name: string): string | undefined =>
  generatedNameOf({ group: '', kind, namespace: '', name });

const configRules: readonly Rule<Setting>[] = [
  {
    pattern: /couldn't find key (\S+) in (Secret|ConfigMap) [^/\s]+\/(\S+)/,
    explain: ([, key = '', kind = '', name = ''], setting) => {
      const own = nameInTree(kind, name);
      return {
        message: `${kind} ${own ?? name} has no key ${key}`,
        hint: own
          ? `name ${key} under ${own} in strata.yaml, set it in .env, then npm run up -- ${setting.overlay}`
          : `${kubectlFor(setting)} describe ${kind.toLowerCase()} ${name}`,
      };
    },
  },
  {
    pattern: /(secrets?|configmaps?) "([^"]+)" not found/i,
    explain: ([, kind = '', name = ''], setting) => ({
      message: `${titled(kind)} ${name} does not exist in namespace ${setting.namespace}`,
      hint: nameInTree(titled(kind), name)
        ? `npm run up -- ${setting.overlay} writes it again`
        : `${kubectlFor(setting)} get ${titled(kind).toLowerCase()}s; create it, or correct the name`,
    }),
  },
  {
    pattern: /non-numeric user \(([^)]*)\)/,
    explain: ([, user = '']) => ({
      message: `runAsNonRoot is set, and the image names its user (${user}), so nobody can tell whether that is root`,
      hint: 'set runAsUser to the number of that user, or `USER 10001` in the Dockerfile: docs/images.md',
    }),
  },
  {
    pattern: /image will run as root|runAsUser breaks non-root policy/,
    explain: () => ({
      message: 'runAsNonRoot is set, and it would run as root',
      hint: 'set runAsUser to a number that is not 0, or `USER 10001` in the Dockerfile: docs/images.md',
    }),
  },
];

/** Of CreateContainerConfigError and FailedMount. */
export function causeOfConfig(said: string, setting: Setting): Cause | undefined {
  return firstCause(configRules, said, setting);
}

const startRules: readonly Rule<string>[] = [
  {
    pattern:
      /exec: \\?"([^"\\]*)\\?": (?:executable file not found|stat [^:]*: no such file|no such file)|executable file `([^`]*)` not found/,
    explain: ([, quotedName, tickedName], image) => ({
      message: `the program ${quotedName || tickedName || '""'} is not in the image`,
      hint: `correct \`command\` in the manifest, or CMD in the Dockerfile: docker run --rm -it --entrypoint sh ${image}`,
    }),
  },
  {
    pattern: /exec format error/i,
    explain: (_, image) => ({
      message: 'the image was built for another CPU than that of the node',
      hint: `docker buildx build --platform linux/amd64,linux/arm64 -t ${image} --push .`,
    }),
  },
  {
    pattern: /permission denied/i,
    explain: (_, image) => ({
      message: 'its program may not be executed by the user it runs as',
      hint: `\`RUN chmod +x\` in the Dockerfile: docker run --rm -it --entrypoint sh ${image}`,
    }),
  },
  {
    pattern: /no space left on device/i,
    explain: () => ({
      message: 'the disk of the node is full',
      hint: 'free space on the node: minikube ssh -- df -h, or kubectl describe nodes',
    }),
  },
];

/** Of RunContainerError, CreateContainerError and StartError. */
export function causeOfStart(said: string, image: string): Cause | undefined {
  return firstCause(startRules, said, image);
}

export interface Ending {
  exitCode: number;
  reason: string;
  /** What the container runtime or the program left as its last words. */
  message: string;
  image: string;
  /** `resources.limits.memory` */
  memoryLimit: string | undefined;
  /** The failed liveness or startup probe that had it killed. */
  failedProbe: Cause | undefined;
}

type EndingRule = (ending: Ending) => Cause;

const killed =
  (how: string): EndingRule =>
  ({ failedProbe }) =>
    failedProbe
      ? { message: `the kubelet ended it (${how}): ${failedProbe.message}`, hint: failedProbe.hint }
      : {
          message: `it was ended from outside (${how}); most often a failed liveness or startup probe does that`,
          hint: '',
        };

/** 128 + n is signal n: https://tldp.org/LDP/abs/html/exitcodes.html */
const endingRules: Readonly<Record<number, EndingRule>> = {
  0: () => ({
    message: 'it ended by itself without an error, and a container of this workload has to keep running',
    hint: '',
  }),
  126: ({ image }) => ({
    message: 'the command it starts may not be executed',
    hint: `\`RUN chmod +x\` in the Dockerfile: docker run --rm -it --entrypoint sh ${image}`,
  }),
  127: ({ image }) => ({
    message: 'the command it starts is not in the image',
    hint: `correct \`command\` in the manifest, or CMD in the Dockerfile: docker run --rm -it --entrypoint sh ${image}`,
  }),
  134: () => ({ message: 'it aborted itself (SIGABRT)', hint: '' }),
  137: killed('SIGKILL'),
  139: () => ({
    message: 'it crashed in native code (SIGSEGV): a library for another libc or CPU does that',
    hint: '',
  }),
  143: killed('SIGTERM'),
};

/** undefined where the exit code says nothing by itself, as 1 does. */
export function causeOfEnding(ending: Ending): Cause | undefined {
  const { exitCode, reason, message, image, memoryLimit } = ending;
  if (reason === 'OOMKilled') {
    return {
      message: `it needed more memory than its limit${memoryLimit ? ` of ${memoryLimit}` : ''}`,
      hint: 'raise resources.limits.memory, or find what takes it',
    };
  }
  if (reason === 'StartError' || reason === 'ContainerCannotRun')
    return causeOfStart(message, image) ?? { message: quoted(message), hint: '' };
  return endingRules[exitCode]?.(ending);
}

/** The pull of one host name or address out of a line of a log. */
const hostIn = (text: string): string | undefined =>
  /(?:ENOTFOUND|EAI_AGAIN) ([\w.-]+)|host ?(?:name)?:? ["']([^"']+)["']|resolve host(?:name)? ["']?([\w.-]+)|lookup ([\w.-]+)/
    .exec(text)
    ?.slice(1)
    .find(Boolean);

const envOf = ({ overlay }: Setting): string => `npm run env -- ${overlay}`;
const upOf = ({ overlay }: Setting): string => `npm run up -- ${overlay}`;

/**
 * What programs say before they end. Sources of the words stand in test/causes.test.ts. The first rule that matches
 * any line wins, so causes come before their consequences.
 */
const logRules: readonly Rule<Setting>[] = [
  {
    pattern: /EROFS[^\n]*|read-only file system[^\n]*/i,
    explain: ([line]) => {
      const place = /['"`]?(\/[^'"`\s:]+)/.exec(line)?.[1];
      return {
        message: `it writes to ${place ?? 'its image'}, and its file system is read-only (readOnlyRootFilesystem)`,
        hint: `mount an emptyDir volume at ${place ?? 'the folder'} as the patch of /tmp does, or write below /tmp`,
      };
    },
  },
  {
    pattern:
      /ENOTFOUND|EAI_AGAIN|could not translate host name|Temporary failure in name resolution|Name or service not known|nodename nor servname|no such host/,
    explain: ({ input }, setting) => ({
      message: `the name ${hostIn(input) ?? 'of a server'} does not resolve inside the cluster`,
      hint: `${envOf(setting)} tells where DATABASE_URL comes from; correct its host, then ${upOf(setting)}`,
    }),
  },
  {
    pattern: /unexpected keyword argument 'sslmode'/,
    explain: (_, setting) => ({
      message: 'asyncpg takes `ssl` in DATABASE_URL, not `sslmode`',
      hint: `write ?ssl=require in place of ?sslmode=require, then ${upOf(setting)}`,
    }),
  },
  {
    pattern:
      /connection is insecure \(try using|SSL connection is required|SSL\/TLS required|no pg_hba\.conf entry for [^\n]*(?:no encryption|SSL off)/,
    explain: (_, setting) => ({
      message: 'the database takes encrypted connections only',
      hint: `add ?sslmode=require to DATABASE_URL (asyncpg: ?ssl=require), then ${upOf(setting)}`,
    }),
  },
  {
    pattern: /Endpoint ID is not specified/,
    explain: (_, setting) => ({
      message: 'Neon cannot tell which database is meant: the client library sends no server name (SNI)',
      hint: `update the library, or add options=endpoint%3DENDPOINT-ID to DATABASE_URL, then ${upOf(setting)}`,
    }),
  },
  {
    pattern: /password authentication failed for user ["']?([^"'\s]+)|\b28P01\b/,
    explain: ([, user], setting) => ({
      message: `the database refuses the password${user ? ` of ${user}` : ''}`,
      hint: `copy the connection string once more (Neon: Connect) to DATABASE_URL, then ${upOf(setting)}`,
    }),
  },
  {
    pattern: /database "?([^"\s]+)"? does not exist/,
    explain: ([, name = ''], setting) => ({
      message: `the server has no database ${name}`,
      hint: `correct the name at the end of DATABASE_URL, then ${upOf(setting)}`,
    }),
  },
  {
    pattern:
      /server at "([^"]+)"[^\n]*port (\d+) failed: Connection refused|ECONNREFUSED ([\w.:]*?):(\d+)|Connect call failed \('([^']+)', (\d+)|dial tcp ([^\s]*):(\d+): connect: connection refused|()connection refused()/i,
    explain: (found, setting) => {
      const [host = '', port = ''] = found.slice(1).filter((part) => part !== undefined);
      const isSelf = /^(localhost|127\.|::1?$|0\.0\.0\.0)/.test(host);
      return {
        message: isSelf
          ? `it connects to ${host}${port && `:${port}`}, which inside a container is the container itself`
          : `nothing answers at ${host ? `${host}${port && `:${port}`}` : 'the address it connects to'} (connection refused)`,
        hint: `${envOf(setting)} tells where its addresses come from; correct the host, then ${upOf(setting)}`,
      };
    },
  },
  {
    pattern: /ModuleNotFoundError: No module named '([^']+)'|Cannot find module '([^']+)'/,
    explain: ([, python, node]) => ({
      message: `the image lacks the module ${python ?? node}`,
      hint: 'add it to the dependencies, build the image anew, then up with --image NAME=REPOSITORY:NEWTAG',
    }),
  },
  {
    pattern: /exec format error/i,
    explain: () => ({
      message: 'the image was built for another CPU than that of the node',
      hint: 'docker buildx build --platform linux/amd64,linux/arm64 …',
    }),
  },
  {
    pattern: /(?:EACCES: permission denied,? ?\w*|PermissionError: \[Errno 13\][^'\n]*)\s*'([^']+)'/,
    explain: ([, place = '']) => ({
      message: `the user it runs as may not write ${place}`,
      hint: `make ${place} writable for user 10001 in the Dockerfile, or mount a volume there: docs/images.md`,
    }),
  },
  {
    pattern: /EADDRINUSE[^\n]*?(\d+)|\[Errno 98\][^\n]*/,
    explain: ([, port]) => ({
      message: `port ${port ?? 'it listens on'} is taken already inside the Pod`,
      hint: 'two containers of the Pod, or two workers, listen on the same port: give one another',
    }),
  },
];

export function causeOfLog(lines: readonly string[], setting: Setting): Cause | undefined {
  return firstCause(logRules, lines.join('\n'), setting);
}

/** Ports that a container declares, as `8000 (http)`. */
function declaredPorts(container: unknown): { number: number; name: string | undefined }[] {
  return listAt(container, 'ports').flatMap((port) => {
    const number = isRecord(port) ? port.containerPort : undefined;
    return typeof number === 'number' ? [{ number, name: textAt(port, 'name') }] : [];
  });
}

/** Of the message of an event `Unhealthy`; `container` is its spec, `logs` the command that shows its log. */
export function causeOfProbe(said: string, container: unknown, logs: string): Cause | undefined {
  const [, kind = '', failure = ''] =
    /^(Readiness|Liveness|Startup) probe (?:failed|errored[^:]*): ([\s\S]*)/.exec(said) ?? [];
  if (kind === '') return undefined;
  const probe = `the ${kind.toLowerCase()} probe`;
  const port = /dial tcp \S*:(\d+): connect: connection refused/.exec(failure)?.[1];
  if (port !== undefined) {
    const declared = declaredPorts(container);
    const isDeclared = declared.length === 0 || declared.some(({ number }) => String(number) === port);
    const list = declared.map(({ number, name }) => (name ? `${number} (${name})` : `${number}`)).join(', ');
    return isDeclared
      ? { message: `${probe} asks port ${port}, and nothing listens there`, hint: logs }
      : {
          message: `${probe} asks port ${port}, where nothing listens; the container declares ${list}`,
          hint: `correct \`port\` of ${kind.toLowerCase()}Probe in the manifest`,
        };
  }
  const status = /statuscode: (\d+)/.exec(failure)?.[1];
  if (status === '404')
    return {
      message: `${probe} is answered with 404: its path does not exist in the program`,
      hint: `correct \`path\` of ${kind.toLowerCase()}Probe in the manifest`,
    };
  if (status !== undefined) return { message: `${probe} is answered with ${status}`, hint: logs };
  if (/deadline exceeded|Timeout|timed out/.test(failure))
    return { message: `${probe} gets no answer within its timeoutSeconds`, hint: logs };
  return { message: `${probe} fails: ${quoted(failure)}`, hint: logs };
}

const refusalRules: readonly Rule<Setting>[] = [
  {
    pattern: /exceeded quota: ([\w.-]+)/,
    explain: ({ 1: name = '', input }, setting) => ({
      message: quoted(input),
      hint: `${kubectlFor(setting)} describe resourcequota ${name}; lower requests or replicas, or raise the quota`,
    }),
  },
  {
    pattern: /failed quota: ([\w.-]+): must specify ([^\n]*)/,
    explain: ({ 1: name = '', 2: fields = '' }) => ({
      message: `quota ${name} wants ${fields} from every container`,
      hint: 'set resources in the manifest, or defaults in a LimitRange',
    }),
  },
  {
    pattern: /(?:maximum|minimum) \S+ (?:usage )?per (?:Container|Pod) is|max limit to request ratio/,
    explain: ({ input }, setting) => ({
      message: quoted(input),
      hint: `${kubectlFor(setting)} describe limitrange; bring resources of the manifest within it`,
    }),
  },
  {
    pattern: /violates PodSecurity "([^":]*)/,
    explain: ({ input }) => ({
      message: quoted(input),
      hint: 'correct the securityContext that the message names',
    }),
  },
  {
    pattern: /failed calling webhook "([^"]+)": ([\s\S]*)/,
    explain: ({ 1: name = '', 2: why = '' }, { context }) => {
      const service = /https:\/\/([\w-]+)\.([\w-]+)\.svc/.exec(why) ?? /service "([^"]+)"()/.exec(why);
      const where = service?.[2]
        ? `kubectl --context ${context} -n ${service[2]} get pods,endpointslices`
        : `kubectl --context ${context} get validatingwebhookconfigurations,mutatingwebhookconfigurations`;
      return {
        message: `admission webhook ${name} does not answer: ${quoted(why.replace(/^failed to call webhook: /, ''))}`,
        hint: `${where}; bring it back, or ask its owner`,
      };
    },
  },
  {
    pattern: /admission webhook "([^"]+)" denied the request/,
    explain: ({ input }, { context }) => ({
      message: quoted(input),
      hint: `kubectl --context ${context} get validatingwebhookconfigurations,mutatingwebhookconfigurations`,
    }),
  },
  {
    pattern: /serviceaccount "([^"]+)" not found/,
    explain: ({ 1: name = '' }, setting) => ({
      message: `ServiceAccount ${name} does not exist`,
      hint: `put it into the overlay, or correct serviceAccountName: ${kubectlFor(setting)} get serviceaccounts`,
    }),
  },
  {
    pattern: /no PriorityClass with name (\S+) was found/,
    explain: ({ 1: name = '' }, { context }) => ({
      message: `PriorityClass ${name} does not exist`,
      hint: `kubectl --context ${context} get priorityclasses`,
    }),
  },
];

/** Of the conditions ReplicaFailure and FailedCreate, and of the event FailedCreate. */
export function causeOfRefusal(said: string, setting: Setting): Cause {
  return (
    firstCause(refusalRules, said, setting) ?? {
      message: quoted(said),
      hint: `${kubectlFor(setting)} get events --sort-by=.lastTimestamp`,
    }
  );
}

interface Unschedulable {
  setting: Setting;
  claims: readonly string[];
}

/** Words of the scheduler's plugins: https://github.com/kubernetes/kubernetes/tree/v1.36.4/pkg/scheduler/framework/plugins */
const schedulingRules: readonly Rule<Unschedulable>[] = [
  {
    pattern: /persistentvolumeclaim "([^"]+)" not found/,
    explain: ({ 1: claim = '' }, { setting }) => ({
      message: `PersistentVolumeClaim ${claim} does not exist`,
      hint: `put it into the overlay: ${kubectlFor(setting)} get pvc`,
    }),
  },
  {
    pattern:
      /unbound immediate PersistentVolumeClaims|didn't find available persistent volumes|volume node affinity/,
    explain: (_, { setting, claims }) => ({
      message: `its volume is not there yet (PersistentVolumeClaim ${claims.join(', ')})`,
      hint: `${kubectlFor(setting)} describe pvc ${claims.join(' ')}; kubectl --context ${setting.context} get storageclass`,
    }),
  },
  {
    pattern: /Insufficient ([\w/-]+(?:\.[\w/-]+)*)/,
    explain: ({ 1: what = '' }, { setting }) => ({
      message: `no node has that much ${what} left`,
      hint: `lower resources.requests.${what}, or add nodes: kubectl --context ${setting.context} describe nodes`,
    }),
  },
  {
    pattern: /didn't match Pod's node affinity\/selector/,
    explain: (_, { setting }) => ({
      message: 'no node has the labels that its nodeSelector or affinity wants',
      hint: `kubectl --context ${setting.context} get nodes --show-labels`,
    }),
  },
  {
    pattern: /untolerated taint/,
    explain: (_, { setting }) => ({
      message: 'every node has a taint that it does not tolerate',
      hint: `add tolerations, or take the taint off: kubectl --context ${setting.context} get nodes -o custom-columns=NAME:.metadata.name,TAINTS:.spec.taints`,
    }),
  },
  {
    pattern: /anti-affinity|topology spread/,
    explain: () => ({
      message: 'its anti-affinity or topology spread leaves no node over',
      hint: 'lower replicas, or make the rule a preference (preferredDuringScheduling…, ScheduleAnyway)',
    }),
  },
  {
    pattern: /free ports/,
    explain: () => ({
      message: 'its hostPort is taken on every node',
      hint: 'take hostPort out of the manifest; a Service does not need it',
    }),
  },
  {
    pattern: /Too many pods/,
    explain: (_, { setting }) => ({
      message: 'every node is full of Pods',
      hint: `add nodes: kubectl --context ${setting.context} describe nodes`,
    }),
  },
];

/** Of the condition PodScheduled=False. */
export function causeOfScheduling(said: string, subject: Unschedulable): Cause {
  const words = quoted(said.replace(/\s*preemption: [\s\S]*$/, ''));
  const cause = firstCause(schedulingRules, said, subject);
  return {
    message: cause ? `${cause.message}: ${words}` : words,
    hint: cause?.hint ?? `kubectl --context ${subject.setting.context} describe nodes`,
  };
}

const claimRules: readonly Rule<string>[] = [
  {
    pattern: /no storage class is set/,
    explain: (_, context) => ({
      message: 'it names no StorageClass, the cluster has no default one, and no volume fits',
      hint: `kubectl --context ${context} get storageclass; name one in storageClassName`,
    }),
  },
  {
    pattern: /storageclass\.storage\.k8s\.io "([^"]+)" not found/,
    explain: ({ 1: name = '' }, context) => ({
      message: `StorageClass ${name} does not exist`,
      hint: `kubectl --context ${context} get storageclass; name one of these in storageClassName`,
    }),
  },
];

/** Of the events ProvisioningFailed and FailedBinding of a PersistentVolumeClaim. */
export function causeOfClaim(said: string, context: string): Cause | undefined {
  return firstCause(claimRules, said, context);
}
