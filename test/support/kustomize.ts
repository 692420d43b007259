import { execFile } from 'node:child_process';

export interface Kustomized {
  status: number;
  stdout: string;
  stderr: string;
}

/** The real `kubectl kustomize`, which needs no cluster and gets none. */
export function kustomize(folder: string): Promise<Kustomized> {
  return new Promise((resolve) => {
    execFile(
      'kubectl',
      ['kustomize', folder],
      { env: { ...process.env, KUBECONFIG: '/dev/null' }, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => resolve({ status: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}
