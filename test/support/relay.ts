import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { textAt } from '../../scripts/lib/manifest.ts';
import { parseYaml } from '../../scripts/lib/yaml.ts';
import { type Deployment, withDeployment } from './deployment.ts';

/**
 * `drop` closes the connection and `reset` breaks it off, `cut` breaks off in the middle of the answer and `short` ends
 * there as if that were all, `lose` does what was asked and says nothing, `stall` never answers; a number waits so many
 * milliseconds before it asks, `busy` answers in place of the server, as an API server or as a load balancer does.
 */
export type Fault =
  | 'drop'
  | 'reset'
  | 'cut'
  | 'short'
  | 'lose'
  | 'stall'
  | number
  | { busy: 429 | 500 | 503; retryAfter?: number; isPlain?: boolean }
  | undefined;

function refuse(
  response: http.ServerResponse,
  { busy, retryAfter, isPlain }: Exclude<Fault, string | number | undefined>,
): void {
  const status = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'the relay says so',
    code: busy,
  };
  response.writeHead(busy, {
    'Content-Type': isPlain ? 'text/plain' : 'application/json',
    ...(retryAfter === undefined ? {} : { 'Retry-After': String(retryAfter) }),
  });
  response.end(isPlain ? 'upstream connect error' : JSON.stringify(status));
}

/** How many requests came before, or the one that deletes the namespace: of those before it some only wait. */
export type Moment = number | 'last';

/** Stands between kubectl and the API server, as its administrator, and has its faults. */
export class Relay {
  /** How many requests came so far. */
  count = 0;
  /** What goes wrong with this request; `index` begins with 0. */
  fault: (request: http.IncomingMessage, index: number) => Fault = () => undefined;
  readonly deployment: Deployment;
  private readonly server: http.Server;
  private readonly agent = new https.Agent({ keepAlive: true });

  constructor(deployment: Deployment) {
    this.deployment = deployment;
    const { value } = parseYaml(readFileSync(deployment.sandbox.kubeconfig, 'utf8'));
    const token = textAt(value, 'users', 0, 'user', 'token');
    const ca = Buffer.from(
      textAt(value, 'clusters', 0, 'cluster', 'certificate-authority-data') ?? '',
      'base64',
    );
    this.server = http.createServer((request, response) => {
      const fault = this.fault(request, this.count++);
      if (fault === 'drop') {
        request.socket.destroy();
        return;
      }
      if (fault === 'reset') {
        request.socket.resetAndDestroy();
        return;
      }
      if (fault === 'stall') return;
      if (typeof fault === 'object') {
        refuse(response, fault);
        return;
      }
      const { authorization: _, host: __, ...headers } = request.headers;
      const forward = (): void => {
        const upstream = https.request(
          new URL(request.url ?? '/', deployment.sandbox.server),
          {
            agent: this.agent,
            ca,
            method: request.method,
            headers: { ...headers, authorization: `Bearer ${token}` },
          },
          (answer) => {
            if (fault === 'lose') {
              request.socket.destroy();
              return;
            }
            const { 'content-length': length, ...chunked } = answer.headers;
            response.writeHead(answer.statusCode ?? 502, fault === 'short' ? chunked : answer.headers);
            response.flushHeaders();
            if (fault !== 'cut' && fault !== 'short') {
              answer.pipe(response);
              return;
            }
            answer.once('data', (chunk: Buffer) => {
              const half = chunk.subarray(0, chunk.length / 2);
              if (fault === 'short') response.end(half);
              else response.write(half, () => request.socket.destroy());
            });
          },
        );
        upstream.on('error', () => request.socket.destroy());
        response.on('close', () => upstream.destroy());
        request.pipe(upstream);
      };
      if (typeof fault === 'number') setTimeout(forward, fault);
      else forward();
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    const { port } = this.server.address() as AddressInfo;
    this.deployment.writeKubeconfig(this.deployment.context, { server: `http://127.0.0.1:${port}` });
  }

  isAt(moment: Moment, { method, url }: http.IncomingMessage, index: number): boolean {
    if (typeof moment === 'number') return index === moment;
    return method === 'DELETE' && url === `/api/v1/namespaces/${this.deployment.namespace}`;
  }

  heal(): void {
    this.count = 0;
    this.fault = () => undefined;
  }

  /** From that moment on the server is gone, and so are the watches that are open. */
  dieAt(moment: Moment): void {
    this.count = 0;
    let isDead = false;
    this.fault = (request, index) => {
      isDead ||= this.isAt(moment, request, index);
      if (!isDead) return undefined;
      this.server.closeAllConnections();
      return 'drop';
    };
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
    this.agent.destroy();
  }
}

export const withRelay = (work: (deployment: Deployment, relay: Relay) => Promise<void>): Promise<void> =>
  withDeployment({}, async (deployment) => {
    const relay = new Relay(deployment);
    try {
      await relay.listen();
      await work(deployment, relay);
    } finally {
      relay.close();
    }
  });
