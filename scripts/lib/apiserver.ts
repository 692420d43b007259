import { existsSync, readFileSync } from 'node:fs';
import { request } from 'node:https';
import path from 'node:path';
import { messageOf } from './errors.ts';

export interface Api {
  port: number;
  certificate: string;
  token?: string;
}

export interface Answer {
  status: number;
  body: string;
}

const requestTimeout = 5000;

/** Asks the sandbox's API server directly; status 0 when there is no answer. */
export function ask(api: Api, url: string, body?: object): Promise<Answer> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port: api.port,
        path: url,
        method: text === undefined ? 'GET' : 'POST',
        ca: api.certificate,
        agent: false,
        timeout: requestTimeout,
        headers: {
          ...(api.token ? { authorization: `Bearer ${api.token}` } : {}),
          ...(text === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', () => resolve({ status: 0, body: '' }));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
        );
      },
    );
    sent.on('timeout', () => sent.destroy());
    sent.on('error', (error) => resolve({ status: 0, body: messageOf(error) }));
    sent.end(text);
  });
}

/** Below the sandbox's folder. */
export const certificateFile = 'certificates/apiserver.crt';

/** Whether the API server in this folder says that it is ready. */
export async function isServing(folder: string, server: string): Promise<boolean> {
  const certificate = path.join(folder, certificateFile);
  if (!existsSync(certificate)) return false;
  const api: Api = { port: Number(new URL(server).port), certificate: readFileSync(certificate, 'utf8') };
  return (await ask(api, '/readyz')).status === 200;
}
