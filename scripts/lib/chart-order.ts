import { Expression, Guard, Lines } from './chart-template.ts';
import { isRecord } from './manifest.ts';

/** The order of base/, as far as fields are known; the rest follows as it came. */
const fieldOrder = `apiVersion kind metadata name host http path pathType labels annotations immutable type
  spec revisionHistoryLimit progressDeadlineSeconds scaleTargetRef minReplicas maxReplicas metrics behavior
  replicas ingressClassName tls rules backoffLimit selector matchLabels strategy updateStrategy template
  serviceAccountName automountServiceAccountToken enableServiceLinks restartPolicy terminationGracePeriodSeconds
  image imagePullPolicy command args ports port targetPort containerPort nodePort env value valueFrom envFrom
  startupProbe readinessProbe livenessProbe httpGet periodSeconds timeoutSeconds failureThreshold lifecycle
  resources requests limits cpu memory securityContext volumeMounts initContainers containers volumes
  data stringData binaryData`.split(/\s+/);
const rankOf = new Map(fieldOrder.map((field, index) => [field, index]));

/** The fields of every record in that order. */
export function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (value instanceof Guard) return new Guard(value.head, inOrder(value.value));
  if (!isRecord(value) || value instanceof Expression || value instanceof Lines) return value;
  const rank = (key: string): number => rankOf.get(key) ?? (key === '' ? Number.MAX_SAFE_INTEGER : 1000);
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => rank(a) - rank(b))
      .map(([key, entry]) => [key, inOrder(entry)]),
  );
}
