import { secretNode } from './chart-data.ts';
import { type Draft, type Node, podOf, without } from './chart-draft.ts';
import { Guard, Lines, valueAt } from './chart-template.ts';
import { flag } from './chart-values.ts';
import { withSharedImages } from './chart-workload.ts';
import { at, type KubeObject, listAt, stableJson } from './manifest.ts';
import { applyWaveOf, isAhead, isJobAhead, runAnnotation } from './wave.ts';

/** What a hook needs is not there yet before the first install, and still the old one before an upgrade. */
function addCopy(
  draft: Draft,
  file: string,
  reference: string,
  changes: { name: string; annotations: Node },
  condition: string,
): void {
  const object = draft.objects.find(({ kind, metadata }) => `${kind}/${metadata.name}` === reference)!;
  const name = draft.plainName(object);
  if (object.kind === 'Secret') {
    const made = `and ${condition} (${draft.include(`makes.${name}`)})`;
    draft.write(file, secretNode(draft, object, changes), made);
    return;
  }
  const lines = `${draft.include(`config.${name}`)} | trim`;
  const data = object.kind === 'ConfigMap' ? { data: new Guard(`with (${lines})`, new Lines('.')) } : {};
  draft.write(
    file,
    {
      ...(draft.adapt(without(object, 'metadata', 'data')) as Node),
      metadata: draft.metadata(object, { ...changes, annotationsAt: draft.accountSteps(object) }),
      ...data,
    },
    condition,
  );
}

export function addHook(draft: Draft, object: KubeObject): void {
  const job = draft.plainName(object);
  const containers = listAt(podOf(object), 'containers');
  const mentioned = draft.neededBy(object);
  const owner = draft.ownerOfJob(object);
  const [section, key] = draft.switchOf(object);
  const settings = draft.settingsOf(section);
  settings[key] = {
    comment: `Runs the Job ${job} before each install and upgrade.`,
    value: true,
    schema: flag,
  };
  const condition = valueAt([section, key]);
  // A database of the same chart is not there before the install.
  const needsOthers = draft.objects.some((one) => !isJobAhead(one) && isAhead(applyWaveOf(one)));
  const hook = (weight: string): Node => ({
    'helm.sh/hook': needsOthers ? 'post-install,pre-upgrade' : 'pre-install,pre-upgrade',
    'helm.sh/hook-weight': weight,
    'helm.sh/hook-delete-policy': 'before-hook-creation,hook-succeeded',
  });
  const file = `${job}-job.yaml`;
  draft.copies = new Map(
    mentioned.map(({ kind, name }) => [`${kind}/${name}`, `${job}-${draft.names.get(`${kind}/${name}`)}`]),
  );
  const pod = { ...(draft.adapt(podOf(object)) as Record<string, unknown>) };
  pod.containers = withSharedImages(draft, containers);
  // What pulls the image of the section, and where it may run, holds for the Job too.
  for (const field of ['imagePullSecrets', 'nodeSelector', 'tolerations']) {
    const isShared =
      owner && stableJson(at(podOf(owner.object), field)) === stableJson(at(podOf(object), field));
    if (isShared) pod[field] = new Guard(`with ${valueAt([owner.section, field])}`, new Lines('toYaml .'));
  }
  const template = at(object, 'spec', 'template') as Node;
  const annotations = without(object.metadata.annotations ?? {}, runAnnotation);
  const plain = {
    ...object,
    metadata: { ...object.metadata, annotations: annotations as Record<string, string> },
  };
  draft.write(
    file,
    {
      apiVersion: object.apiVersion,
      kind: object.kind,
      metadata: draft.metadata(plain, { annotations: hook('0') }),
      spec: {
        ...(draft.adapt(without(object.spec as Node, 'template')) as Node),
        template: { ...(draft.adapt(template) as Node), spec: pod },
      },
    },
    condition,
  );
  const copies = draft.copies;
  draft.copies = new Map();
  for (const [reference, name] of copies)
    addCopy(draft, file, reference, { name, annotations: hook('-5') }, condition);
}
