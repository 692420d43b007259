import { applyEntry } from './inventory.ts';
import {
  at,
  groupOf,
  isRecord,
  type KubeObject,
  keyOf,
  numberAt,
  referenceOf,
  textAt,
  titleOf,
} from './manifest.ts';
import type { Manifest } from './render.ts';

/** What the HorizontalPodAutoscalers among these objects scale, by `keyOf`, with the title of the autoscaler. */
export function autoscaled(objects: readonly KubeObject[]): Map<string, string> {
  const scalers = objects.filter(
    ({ apiVersion, kind }) => kind === 'HorizontalPodAutoscaler' && groupOf(apiVersion) === 'autoscaling',
  );
  return new Map(
    scalers.map((scaler) => {
      const { namespace } = referenceOf(scaler);
      const [apiVersion = '', kind = '', name = ''] = ['apiVersion', 'kind', 'name'].map((field) =>
        textAt(scaler, 'spec', 'scaleTargetRef', field),
      );
      const key = keyOf({ group: groupOf(apiVersion), kind, namespace, name });
      return [key, titleOf(referenceOf(scaler))];
    }),
  );
}

/**
 * The manifests as they are applied. What comes under an autoscaler keeps the number of replicas that strata set
 * before, until somebody else sets it: a field that its only owner leaves out falls back to 1, and that many Pods would
 * serve until the autoscaler looks again (kubernetes.io, Migrating Deployments and StatefulSets to horizontal
 * autoscaling).
 */
export function keepReplicas(manifests: readonly Manifest[], live: readonly KubeObject[]): Manifest[] {
  const scaled = autoscaled(manifests.map(({ object }) => object));
  if (scaled.size === 0) return [...manifests];
  const held = new Map(
    live
      .filter((object) => at(applyEntry(object)?.fieldsV1, 'f:spec', 'f:replicas') !== undefined)
      .map((object) => [keyOf(referenceOf(object)), numberAt(object, 'spec', 'replicas')]),
  );
  return manifests.map((manifest) => {
    const { object } = manifest;
    const key = keyOf(referenceOf(object));
    const replicas = held.get(key);
    if (replicas === undefined || !scaled.has(key) || at(object, 'spec', 'replicas') !== undefined)
      return manifest;
    const kept = { ...object, spec: { ...(isRecord(object.spec) ? object.spec : {}), replicas } };
    return { ...manifest, object: kept, text: JSON.stringify(kept) };
  });
}
