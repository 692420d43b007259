import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type KubeObject, stringsAt } from '../../scripts/lib/manifest.ts';
import { makeChart } from '../support/chart.ts';
import { eventually, type Outcome } from '../support/cluster.ts';
import {
  type Found,
  pageOf,
  type ReferenceDocument,
  rowOf,
  tableOf,
  withoutSuffixes,
} from '../support/conformance.ts';
import { clusterListing, type Deployment, listableKinds, withDeployment } from '../support/deployment.ts';
import { documents } from '../support/facts/documents.ts';
import { fixedNodePorts } from '../support/node-ports.ts';
import { projectFolder } from '../support/session.ts';

const examples = suite('examples');

const page = 'docs/reference-systems.md';
/** Of each example, as it was found. */
const tables = new Map<string, string>();

const readProject = (file: string): string | undefined => {
  const target = path.join(projectFolder, file);
  return existsSync(target) ? readFileSync(target, 'utf8') : undefined;
};

/** A copy of the example in a namespace of its own; all else is as it is checked in. */
function copyExample(deployment: Deployment, example: string): void {
  deployment.remove('.env');
  for (const name of ['base', 'overlays', '.env.example'])
    cpSync(path.join(projectFolder, 'examples', example, name), path.join(deployment.root, name), {
      recursive: true,
    });
  for (const file of ['kustomization.yaml', 'namespace.yaml'])
    deployment.edit(deployment.own(file), (text) => text.replaceAll(`todo-${example}`, deployment.namespace));
}

/** What the namespace holds, as if it had the name that the example gives it. */
async function objectsIn(deployment: Deployment, example: string): Promise<KubeObject[]> {
  const kinds = await listableKinds(deployment.sandbox, '--namespaced=true');
  const objects = await deployment.list(kinds);
  const namespace = await deployment.get('namespace', deployment.namespace);
  const text = JSON.stringify(withoutSuffixes([...objects, namespace!]));
  return JSON.parse(text.replaceAll(deployment.namespace, `todo-${example}`)) as KubeObject[];
}

/** Those that strata applied, not what controllers made of them. */
const appliedTitles = (objects: readonly KubeObject[]): string[] =>
  objects
    .filter(
      ({ metadata }) =>
        'applyset.kubernetes.io/part-of' in (metadata.labels ?? {}) &&
        metadata.ownerReferences === undefined &&
        metadata.managedFields?.some(
          ({ manager, operation }) => manager === 'strata' && operation === 'Apply',
        ),
    )
    .map(({ kind, metadata }) => `${kind}/${metadata.name}`)
    .sort();

/** Endpoints and the autoscaler need a moment. @throws with all that is never as the document says */
async function findAll(deployment: Deployment, { example, sections }: ReferenceDocument): Promise<Found> {
  const facts = sections.flatMap((section) => section.facts);
  const folder = await makeChart(deployment.root, deployment.overlay, [
    '--env-file',
    path.join(deployment.root, '.env.example'),
  ]);
  const chart = (file: string): string | undefined => {
    const target = path.join(folder, file);
    return existsSync(target) ? readFileSync(target, 'utf8') : undefined;
  };
  let found: Found = { objects: [], read: readProject, chart };
  await eventually(
    async () => {
      found = { ...found, objects: await objectsIn(deployment, example) };
      return facts.flatMap((fact) => {
        const { live, problem } = rowOf(fact, found);
        return problem === undefined ? [] : [`${fact.says}: ${problem}, found ${live}`];
      });
    },
    (problems) => problems.length === 0,
  );
  return found;
}

const secretValues = (objects: readonly KubeObject[]): string[] =>
  objects
    .filter(({ kind }) => kind === 'Secret')
    .flatMap((object) => Object.values(stringsAt(object, 'data')))
    .map((value) => Buffer.from(value, 'base64').toString())
    .filter((value) => value !== '');

/** Up, compared with its document, and down again. */
async function visit(deployment: Deployment, document: ReferenceDocument): Promise<void> {
  const outcomes: Outcome[] = [];
  const environment = { STRATA_SANDBOX: deployment.sandbox.name };
  const run = async (command: string): Promise<Outcome> => {
    const outcome = await deployment.expect(0, command, ['--sandbox'], { environment });
    outcomes.push(outcome);
    return outcome;
  };
  const before = await clusterListing(deployment);
  await run('up');
  const clean = await run('diff');
  assert.is(clean.stdout, `plan: clean (${document.objects.length} unchanged)\n`);
  const status = await run('status');
  assert.not.match(status.stdout, /InProgress|Failed|Unknown|NotFound/);

  const found = await findAll(deployment, document);
  assert.equal(appliedTitles(found.objects), document.objects);
  const table = tableOf(document, found);
  tables.set(document.example, table);

  if (document.objects.some((title) => title.startsWith('HorizontalPodAutoscaler/'))) {
    // What the autoscaler does is no conflict and no change.
    await deployment.kubectl(['scale', 'deployment/backend', '--replicas=2']);
    await run('diff');
    await run('up');
  }
  await run('down');
  assert.equal(await clusterListing(deployment), before);

  for (const value of secretValues(found.objects)) deployment.secrets.add(value);
  for (const outcome of outcomes) deployment.assertDiscreet(outcome);
  deployment.assertDiscreet(table);
}

for (const document of documents) {
  const { example } = document;
  examples(`${example} deploys, is what its document says, and goes without a trace`, () =>
    fixedNodePorts(() =>
      withDeployment({ overlay: 'none' }, async (deployment) => {
        copyExample(deployment, example);
        try {
          await visit(deployment, document);
        } catch (error) {
          // The next example may want the same node port.
          await deployment.tryKubectl(['delete', 'services', '--all']);
          throw error;
        }
      }),
    ),
  );
}

examples(`${page} is what was found (UPDATE=1 npm run test:cluster -- examples writes it)`, () => {
  assert.is(tables.size, documents.length, 'every example was compared');
  const text = pageOf(documents, tables);
  if (process.env.UPDATE) writeFileSync(path.join(projectFolder, page), text);
  const checkedIn = (readProject(page) ?? '').split('\n');
  const lines = text.split('\n');
  const stale = lines.flatMap((line, index) =>
    line === checkedIn[index] ? [] : [`line ${index + 1} says ${checkedIn[index]}, found ${line}`],
  );
  assert.equal(stale, []);
  assert.is(checkedIn.length, lines.length, 'as many lines');
});

examples.run();
