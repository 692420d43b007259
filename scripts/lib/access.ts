import { at, groupKindOf, type KubeObject, listAt, numberAt, referenceOf, textAt } from './manifest.ts';
import type { Place } from './report.ts';

/** How a person reaches what was deployed, one line each; from Services and Ingresses as the server holds them. */
export function accessLines(objects: readonly KubeObject[], place: Place): string[] {
  const flags = `--context ${place.context} -n ${place.namespace}`;
  return objects.flatMap((object) => {
    const kind = groupKindOf(referenceOf(object));
    if (kind === 'Service') return serviceLines(object, place, flags);
    return kind === 'Ingress.networking.k8s.io' ? ingressLines(object) : [];
  });
}

function serviceLines(service: KubeObject, place: Place, flags: string): string[] {
  const { name } = service.metadata;
  const type = textAt(service, 'spec', 'type') ?? 'ClusterIP';
  if (type === 'ExternalName' || at(service, 'spec', 'clusterIP') === 'None') return [];
  return listAt(service, 'spec', 'ports').flatMap((port) => {
    const number = numberAt(port, 'port');
    const nodePort = numberAt(port, 'nodePort');
    const local = nodePort ?? (number !== undefined && number < 1024 ? number + 8000 : number);
    // kubectl forwards TCP alone.
    const isForwarded = (textAt(port, 'protocol') ?? 'TCP') === 'TCP';
    const lines = isForwarded
      ? [
          `${name}: kubectl ${flags} port-forward service/${name} ${local}:${number}, then http://localhost:${local}`,
        ]
      : [];
    if (nodePort !== undefined) {
      lines.unshift(
        place.context.startsWith('minikube')
          ? `${name}: minikube service ${name} -p ${place.context} -n ${place.namespace} --url (node port ${nodePort})`
          : `${name}: node port ${nodePort} on every node`,
      );
    }
    return lines;
  });
}

function ingressLines(ingress: KubeObject): string[] {
  const secure = new Set(listAt(ingress, 'spec', 'tls').flatMap((entry) => listAt(entry, 'hosts')));
  return listAt(ingress, 'spec', 'rules').flatMap((rule) => {
    const host = textAt(rule, 'host');
    return host ? [`${ingress.metadata.name}: ${secure.has(host) ? 'https' : 'http'}://${host}`] : [];
  });
}
