import {
  absent,
  chart,
  container,
  endpoints,
  type Fact,
  file,
  type Json,
  keys,
  none,
  of,
  type ReferenceDocument,
  type Section,
  secret,
  unlike,
  variable,
} from '../conformance.ts';

const images = 'docs/images.md';
const namespace = 'todo-config-volumes';
const ports = { frontend: 3000, backend: 8000 };
const resources = {
  frontend: { requests: { cpu: '100m', memory: '192Mi' }, limits: { cpu: '1', memory: '512Mi' } },
  backend: { requests: { cpu: '100m', memory: '256Mi' }, limits: { cpu: '1', memory: '768Mi' } },
};
const labels = (role: string) => ({
  'app.kubernetes.io/name': `todo-${role}`,
  'app.kubernetes.io/component': role,
});

function deployment(role: 'frontend' | 'backend', sources: Json): Section {
  const title = `Deployment/${role}`;
  const fact = of(title);
  const pod = 'spec.template.spec';
  return {
    title: `Kubernetes Resources: Deployment, ${role}`,
    facts: [
      fact('apiVersion: apps/v1', 'apiVersion', 'apps/v1'),
      fact('kind: Deployment', 'kind', 'Deployment'),
      fact('metadata: name', 'metadata.name', role),
      fact('metadata: namespace', 'metadata.namespace', namespace),
      fact('metadata: labels', 'metadata.labels."app.kubernetes.io/component"', role),
      fact('replicas (integer)', 'spec.replicas', 1),
      fact('all replicas are ready', 'status.readyReplicas', 1),
      fact('selector (matchLabels)', 'spec.selector.matchLabels', labels(role)),
      fact(
        'template: metadata (labels)',
        'spec.template.metadata.labels."app.kubernetes.io/component"',
        role,
      ),
      fact('containers: name', `${container}.name`, role),
      fact('containers: image', `${container}.image`, `todo-${role}:dev`),
      fact('containers: ports', `${container}.ports.0.containerPort`, ports[role]),
      fact('containers: resources, requests', `${container}.resources.requests`, resources[role].requests),
      fact('containers: resources, limits', `${container}.resources.limits`, resources[role].limits),
      fact('containers: envFrom', `${container}.envFrom`, sources),
      fact('volumes (for configuration)', `${pod}.volumes.config.configMap.name`, `${role}-config`),
      fact('volumes: the container reads them', `${container}.volumeMounts.config.mountPath`, '/etc/todo'),
    ],
  };
}

function service(role: 'frontend' | 'backend', more: Fact[]): Section {
  const fact = of(`Service/${role}`);
  return {
    title: `Kubernetes Resources: Service, ${role}`,
    facts: [
      fact('apiVersion: v1', 'apiVersion', 'v1'),
      fact('kind: Service', 'kind', 'Service'),
      fact('metadata: name', 'metadata.name', role),
      fact('metadata: namespace', 'metadata.namespace', namespace),
      fact('metadata: labels', 'metadata.labels."app.kubernetes.io/component"', role),
      fact('selector (to match pods)', 'spec.selector', labels(role)),
      endpoints('the selector matches the Pod', role, ports[role], 1),
      ...more,
    ],
  };
}

const frontendService = of('Service/frontend');
const backendService = of('Service/backend');
const secrets = of('Secret/backend-secrets');
const space = of(`Namespace/${namespace}`);

const configMap = (role: string): Fact[] => {
  const fact = of(`ConfigMap/${role}-config`);
  return [
    fact(`apiVersion: v1 (${role})`, 'apiVersion', 'v1'),
    fact(`kind: ConfigMap (${role})`, 'kind', 'ConfigMap'),
    fact(`metadata: name (${role})`, 'metadata.name', `${role}-config`),
    fact(`metadata: namespace (${role})`, 'metadata.namespace', namespace),
  ];
};

const chartFacts = (role: 'frontend' | 'backend'): Section => ({
  title: `Helm Chart Structure, ${role}`,
  facts: [
    unlike(
      'Chart.yaml: name (frontend or backend)',
      'one chart has both, a section each',
      'values.yaml',
      role,
    ),
    chart('Chart.yaml: version, semantic', 'Chart.yaml', 'version'),
    chart('Chart.yaml: apiVersion', 'Chart.yaml', 'apiVersion', 'v2'),
    chart('Chart.yaml: description', 'Chart.yaml', 'description'),
    chart('values.yaml: image.repository', 'values.yaml', `${role}.image.repository`, `todo-${role}`),
    chart('values.yaml: image.tag', 'values.yaml', 'global.imageTag', 'dev'),
    chart('values.yaml: image.pullPolicy', 'values.yaml', 'global.imagePullPolicy', 'IfNotPresent'),
    chart(
      'values.yaml: service.type (NodePort/ClusterIP)',
      'values.yaml',
      `${role}.service.type`,
      role === 'frontend' ? 'NodePort' : 'ClusterIP',
    ),
    chart(
      'values.yaml: service.port',
      'values.yaml',
      `${role}.service.port`,
      role === 'frontend' ? 80 : 8000,
    ),
    chart('values.yaml: resources.requests (cpu, memory)', 'values.yaml', `${role}.resources.requests`),
    chart('values.yaml: resources.limits (cpu, memory)', 'values.yaml', `${role}.resources.limits`),
    chart('values.yaml: replicaCount', 'values.yaml', `${role}.replicaCount`, 1),
    chart('values.yaml: env', 'values.yaml', `${role}.env`),
    chart('values.yaml: config', 'values.yaml', `${role}.config`),
  ],
});

export const configVolumes: ReferenceDocument = {
  example: 'config-volumes',
  objects: [
    'ConfigMap/backend-config',
    'ConfigMap/frontend-config',
    'Deployment/backend',
    'Deployment/frontend',
    'Namespace/todo-config-volumes',
    'Secret/backend-secrets',
    'Service/backend',
    'Service/frontend',
  ],
  sections: [
    deployment('frontend', [{ configMapRef: { name: 'frontend-config' } }]),
    deployment('backend', [
      { configMapRef: { name: 'backend-config' } },
      { secretRef: { name: 'backend-secrets' } },
    ]),
    service('frontend', [
      frontendService('type (NodePort)', 'spec.type', 'NodePort'),
      frontendService('port', 'spec.ports.0.port', 80),
      frontendService('targetPort', 'spec.ports.0.targetPort', 'http'),
      frontendService('nodePort (for NodePort services)', 'spec.ports.0.nodePort', 30081),
    ]),
    service('backend', [
      backendService('type (ClusterIP)', 'spec.type', 'ClusterIP'),
      backendService('port', 'spec.ports.0.port', 8000),
      backendService('targetPort', 'spec.ports.0.targetPort', 'http'),
      absent('nodePort for NodePort services only', 'Service/backend', 'spec.ports.0.nodePort'),
    ]),
    {
      title: 'Kubernetes Resources: ConfigMap',
      facts: [
        ...configMap('frontend'),
        ...configMap('backend'),
        keys(
          'data: key-value pairs for non-sensitive configuration (frontend)',
          'ConfigMap/frontend-config',
          'data',
          'NEXT_PUBLIC_API_URL',
          'NEXT_PUBLIC_APP_ENV',
        ),
        keys(
          'data: key-value pairs for non-sensitive configuration (backend)',
          'ConfigMap/backend-config',
          'data',
          'ENVIRONMENT',
        ),
      ],
    },
    {
      title: 'Kubernetes Resources: Secret',
      facts: [
        secrets('apiVersion: v1', 'apiVersion', 'v1'),
        secrets('kind: Secret', 'kind', 'Secret'),
        secrets('metadata: name', 'metadata.name', 'backend-secrets'),
        secrets('metadata: namespace', 'metadata.namespace', namespace),
        keys(
          'data: base64 encoded sensitive data',
          'Secret/backend-secrets',
          'data',
          'DATABASE_URL',
          'JWT_SECRET',
          'BETTER_AUTH_SECRET',
        ),
        secrets('type: Opaque', 'type', 'Opaque'),
      ],
    },
    {
      title: 'Kubernetes Resources: Namespace',
      facts: [
        space('apiVersion: v1', 'apiVersion', 'v1'),
        space('kind: Namespace', 'kind', 'Namespace'),
        space('metadata: name', 'metadata.name', namespace),
      ],
    },
    chartFacts('frontend'),
    chartFacts('backend'),
    {
      title: 'Docker Configuration: Dockerfile (Frontend)',
      facts: [
        file('Base Image: node:18-alpine', images, '`node:18-alpine`'),
        file('Copy package files', images, 'COPY package.json package-lock.json ./'),
        file('Install dependencies', images, 'RUN npm ci'),
        file('Copy source code', images, 'COPY . .'),
        file('Build application', images, 'RUN npx next build'),
        file('Expose port 3000', images, 'EXPOSE 3000'),
        file('Start application', images, 'CMD ["node", "server.js"]'),
      ],
    },
    {
      title: 'Docker Configuration: Dockerfile (Backend)',
      facts: [
        file('Base Image: python:3.11-slim', images, '`python:3.11-slim`'),
        file('Copy requirements', images, 'COPY requirements.txt ./'),
        file('Install dependencies', images, 'RUN pip install --no-cache-dir --requirement requirements.txt'),
        file('Copy source code', images, 'COPY app ./app'),
        file('Expose port 8000', images, 'EXPOSE 8000'),
        file('Start application', images, 'CMD ["uvicorn", "app.main:app"'),
      ],
    },
    {
      title: 'Environment Configuration: Frontend',
      facts: [
        variable(
          'NEXT_PUBLIC_API_URL',
          'Deployment/frontend',
          'NEXT_PUBLIC_API_URL',
          'ConfigMap/frontend-config[NEXT_PUBLIC_API_URL]',
        ),
        of('ConfigMap/frontend-config')(
          'NEXT_PUBLIC_API_URL (backend API endpoint)',
          'data.NEXT_PUBLIC_API_URL',
          'http://localhost:8000',
        ),
        variable(
          'NEXT_PUBLIC_APP_ENV',
          'Deployment/frontend',
          'NEXT_PUBLIC_APP_ENV',
          'ConfigMap/frontend-config[NEXT_PUBLIC_APP_ENV]',
        ),
        of('ConfigMap/frontend-config')(
          'NEXT_PUBLIC_APP_ENV (application environment)',
          'data.NEXT_PUBLIC_APP_ENV',
          'development',
        ),
      ],
    },
    {
      title: 'Environment Configuration: Backend',
      facts: [
        variable(
          'DATABASE_URL',
          'Deployment/backend',
          'DATABASE_URL',
          'Secret/backend-secrets[DATABASE_URL]',
        ),
        secret('DATABASE_URL (Neon PostgreSQL connection string)', 'Secret/backend-secrets', 'DATABASE_URL'),
        none('Neon PostgreSQL is not in the cluster', 'StatefulSet'),
        variable('JWT_SECRET', 'Deployment/backend', 'JWT_SECRET', 'Secret/backend-secrets[JWT_SECRET]'),
        secret('JWT_SECRET (authentication secret)', 'Secret/backend-secrets', 'JWT_SECRET'),
        variable(
          'BETTER_AUTH_SECRET',
          'Deployment/backend',
          'BETTER_AUTH_SECRET',
          'Secret/backend-secrets[BETTER_AUTH_SECRET]',
        ),
        secret('BETTER_AUTH_SECRET (better-auth secret)', 'Secret/backend-secrets', 'BETTER_AUTH_SECRET'),
        variable('ENVIRONMENT', 'Deployment/backend', 'ENVIRONMENT', 'ConfigMap/backend-config[ENVIRONMENT]'),
        of('ConfigMap/backend-config')('ENVIRONMENT: development', 'data.ENVIRONMENT', 'development'),
        file(
          'ENVIRONMENT (development/staging/production)',
          'examples/config-volumes/base/strata.yaml',
          'ENVIRONMENT:\n      default: development\n      oneOf: [development, staging, production]',
        ),
      ],
    },
  ],
};
