import type { Context } from './kubeconfig.ts';

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
