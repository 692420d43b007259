import { X509Certificate } from 'node:crypto';
import path from 'node:path';
import { type Context, readPem } from './kubeconfig.ts';

/** The command that logs a person in anew, by the program the kubeconfig names for it; from the vendors' manuals. */
const logins: Record<string, string> = {
  // https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-sso.html
  aws: 'aws sso login',
  'aws-iam-authenticator': 'aws sso login',
  // https://cloud.google.com/kubernetes-engine/docs/how-to/cluster-access-for-kubectl
  'gke-gcloud-auth-plugin': 'gcloud auth login',
  // https://docs.digitalocean.com/reference/doctl/reference/auth/init/
  doctl: 'doctl auth init',
  // https://goteleport.com/docs/connect-your-client/teleport-clients/tsh/
  tsh: 'tsh login',
};

const programOf = ({ login }: Context): string | undefined => login && path.basename(login);

/** How to log in again, as a command where it is known. */
export function loginCommand(context: Context): string {
  const program = programOf(context);
  return (program && logins[program]) ?? (context.name === 'minikube' ? 'minikube start' : 'log in again');
}

/** How to get the kubeconfig entry of a context again. */
export function renewal({ name }: Context): string {
  const [, gkeProject, gkeLocation, gkeCluster] = /^gke_([^_]+)_([^_]+)_(.+)$/.exec(name) ?? [];
  const [, eksRegion, eksCluster] = /^arn:aws[\w-]*:eks:([^:]+):\d+:cluster\/(.+)$/.exec(name) ?? [];
  const [, tool, local] = /^(kind|k3d)-(.+)$/.exec(name) ?? [];
  if (name === 'minikube') return 'minikube update-context';
  if (gkeCluster)
    return `gcloud container clusters get-credentials ${gkeCluster} --location ${gkeLocation} --project ${gkeProject}`;
  if (eksCluster) return `aws eks update-kubeconfig --region ${eksRegion} --name ${eksCluster}`;
  if (tool === 'kind') return `kind export kubeconfig --name ${local}`;
  if (tool === 'k3d') return `k3d kubeconfig merge ${local}`;
  return 'get its kubeconfig anew from whoever runs the cluster';
}

/** When the client certificate of the context ended, if it has; the server only says that it takes no login. */
export function expiredSince(context: Context, now: Date): string | undefined {
  const pem = context.clientCertificate && readPem(context.clientCertificate);
  if (!pem) return undefined;
  try {
    const end = new Date(new X509Certificate(pem).validTo);
    return end < now ? end.toISOString() : undefined;
  } catch {
    return undefined;
  }
}

/** What the words of kubectl's connection mean, and what to type next. */
export interface Trouble {
  /** Undefined: the words stand for themselves. */
  means?: string;
  hint?: string;
  /** Asking again will not help. */
  isFinal: boolean;
  /** The login failed before the server was asked. */
  isLogin: boolean;
}

const transient: Trouble = { isFinal: false, isLogin: false };

/** Reads what kubectl (Go's crypto/x509, net and client-go) says of a connection that failed. */
export function troubleOf(context: Context, words: string): Trouble {
  const address = `kubectl config view --minify --context ${context.name} shows the address`;
  if (words.startsWith('getting credentials: ')) {
    const program = programOf(context) ?? 'the login program';
    const isMissing = /executable \S+ not found/.test(words);
    return {
      isFinal: true,
      isLogin: true,
      hint: isMissing
        ? `install ${program}, which the kubeconfig names for this user, then: kubectl --context ${context.name} auth whoami`
        : `${loginCommand(context)}, then check with: kubectl --context ${context.name} auth whoami`,
    };
  }
  if (words.includes('x509: certificate signed by unknown authority'))
    return {
      isFinal: true,
      isLogin: false,
      means:
        'its certificate is not signed by the CA of the kubeconfig: it has been made anew, or another server answers at this address',
      hint: renewal(context),
    };
  if (words.includes('x509: certificate has expired or is not yet valid'))
    return {
      isFinal: true,
      isLogin: false,
      means: 'the certificate of the server has expired, or the clock of this machine is wrong',
      hint:
        context.name === 'minikube'
          ? 'date; minikube start'
          : `date; kubectl --context ${context.name} cluster-info`,
    };
  if (
    /x509: (certificate is valid for|cannot validate certificate for|certificate is not valid for)/.test(
      words,
    )
  )
    return {
      isFinal: true,
      isLogin: false,
      means: 'the certificate of the server is for another name',
      hint: `${address}; ${renewal(context)}`,
    };
  if (words.includes('no such host'))
    return {
      ...transient,
      means: 'the name of the server is not known here, or a VPN is off',
      hint: address,
    };
  return transient;
}
