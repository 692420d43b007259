import {
  absent,
  chart,
  container,
  endpoints,
  type Fact,
  file,
  items,
  keys,
  none,
  of,
  type ReferenceDocument,
  type Section,
  secret,
  set,
  variable,
} from '../conformance.ts';

const images = 'docs/images.md';
const readme = 'examples/autoscaling/README.md';
const resources = {
  frontend: { requests: { cpu: '100m', memory: '192Mi' }, limits: { cpu: '1', memory: '512Mi' } },
  backend: { requests: { cpu: '100m', memory: '256Mi' }, limits: { cpu: '1', memory: '768Mi' } },
};
const labels = (role: string) => ({
  'app.kubernetes.io/name': `todo-${role}`,
  'app.kubernetes.io/component': role,
});

function deployment(role: 'frontend' | 'backend'): Section {
  const title = `Deployment/${role}`;
  const fact = of(title);
  return {
    title: `Kubernetes Resources: Deployment, ${role}`,
    facts: [
      fact('apiVersion: apps/v1', 'apiVersion', 'apps/v1'),
      fact('kind: Deployment', 'kind', 'Deployment'),
      fact('metadata: name', 'metadata.name', role),
      fact('metadata: labels', 'metadata.labels."app.kubernetes.io/component"', role),
      set('metadata: annotations', title, 'metadata.annotations."kubernetes.io/description"'),
      fact('spec: replicas', 'spec.replicas', 1),
      fact('all replicas are ready', 'status.readyReplicas', 1),
      fact('spec: selector', 'spec.selector.matchLabels', labels(role)),
      fact('spec: template', 'spec.template.metadata.labels."app.kubernetes.io/component"', role),
      fact('spec: containers', `${container}.name`, role),
      fact('spec: resources, requests', `${container}.resources.requests`, resources[role].requests),
      fact('spec: resources, limits', `${container}.resources.limits`, resources[role].limits),
      set('spec: env', title, `${container}.env`),
      set('spec: volumes', title, 'spec.template.spec.volumes'),
      set('spec: volumes, mounted', title, `${container}.volumeMounts`),
      set('spec: probes, startup', title, `${container}.startupProbe.httpGet`),
      set('spec: probes, readiness', title, `${container}.readinessProbe.httpGet`),
      set('spec: probes, liveness', title, `${container}.livenessProbe.httpGet`),
      endpoints('associated with Service via label selectors', role, role === 'frontend' ? 3000 : 8000, 1),
    ],
  };
}

function service(role: 'frontend' | 'backend', type: string, port: number): Section {
  const fact = of(`Service/${role}`);
  return {
    title: `Kubernetes Resources: Service, ${role}`,
    facts: [
      fact('apiVersion: v1', 'apiVersion', 'v1'),
      fact('kind: Service', 'kind', 'Service'),
      fact('metadata: name', 'metadata.name', role),
      fact('metadata: labels', 'metadata.labels."app.kubernetes.io/component"', role),
      fact('spec: selector', 'spec.selector', labels(role)),
      fact('spec: ports', 'spec.ports.0.port', port),
      fact('spec: type (ClusterIP, NodePort, LoadBalancer)', 'spec.type', type),
    ],
  };
}

const config = of('ConfigMap/frontend-config');
const autoscaler = of('HorizontalPodAutoscaler/backend');

const secretObject = (role: string): Fact[] => {
  const fact = of(`Secret/${role}-secrets`);
  return [
    fact(`apiVersion: v1 (${role})`, 'apiVersion', 'v1'),
    fact(`kind: Secret (${role})`, 'kind', 'Secret'),
    fact(`metadata: name (${role})`, 'metadata.name', `${role}-secrets`),
    set(`metadata: labels (${role})`, `Secret/${role}-secrets`, 'metadata.labels'),
    fact(`type: Opaque (${role})`, 'type', 'Opaque'),
  ];
};

const reaches = (role: string, name: string): Fact =>
  variable(`${name} reaches the ${role}`, `Deployment/${role}`, name, `Secret/${role}-secrets[${name}]`);

export const autoscaling: ReferenceDocument = {
  example: 'autoscaling',
  objects: [
    'ConfigMap/frontend-config',
    'Deployment/backend',
    'Deployment/frontend',
    'HorizontalPodAutoscaler/backend',
    'Namespace/todo-autoscaling',
    'Secret/backend-secrets',
    'Secret/frontend-secrets',
    'Service/backend',
    'Service/frontend',
  ],
  sections: [
    deployment('frontend'),
    deployment('backend'),
    service('frontend', 'NodePort', 80),
    service('backend', 'ClusterIP', 8000),
    {
      title: 'Kubernetes Resources: ConfigMap',
      facts: [
        config('apiVersion: v1', 'apiVersion', 'v1'),
        config('kind: ConfigMap', 'kind', 'ConfigMap'),
        config('metadata: name', 'metadata.name', 'frontend-config'),
        set('metadata: labels', 'ConfigMap/frontend-config', 'metadata.labels'),
        keys(
          'data: key-value pairs for non-sensitive configuration',
          'ConfigMap/frontend-config',
          'data',
          'NEXT_PUBLIC_BACKEND_URL',
        ),
        variable(
          'referenced by Pods via environment variables',
          'Deployment/frontend',
          'NEXT_PUBLIC_BACKEND_URL',
          'ConfigMap/frontend-config[NEXT_PUBLIC_BACKEND_URL]',
        ),
      ],
    },
    {
      title: 'Kubernetes Resources: Secret',
      facts: [
        ...secretObject('frontend'),
        ...secretObject('backend'),
        keys(
          'data: base64 encoded sensitive configuration (frontend)',
          'Secret/frontend-secrets',
          'data',
          'BETTER_AUTH_SECRET',
          'DATABASE_URL',
        ),
        keys(
          'data: base64 encoded sensitive configuration (backend)',
          'Secret/backend-secrets',
          'data',
          'BETTER_AUTH_SECRET',
          'DATABASE_URL',
          'JWT_SECRET',
          'OPENAI_API_KEY',
        ),
      ],
    },
    {
      title: 'Kubernetes Resources: HorizontalPodAutoscaler',
      facts: [
        autoscaler('apiVersion: autoscaling/v2', 'apiVersion', 'autoscaling/v2'),
        autoscaler('kind: HorizontalPodAutoscaler', 'kind', 'HorizontalPodAutoscaler'),
        autoscaler('metadata: name', 'metadata.name', 'backend'),
        autoscaler('metadata: labels', 'metadata.labels."app.kubernetes.io/component"', 'backend'),
        autoscaler('spec: scaleTargetRef', 'spec.scaleTargetRef', {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          name: 'backend',
        }),
        autoscaler('spec: minReplicas', 'spec.minReplicas', 1),
        autoscaler('spec: maxReplicas', 'spec.maxReplicas', 3),
        autoscaler('spec: metrics', 'spec.metrics', [
          {
            type: 'Resource',
            resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } },
          },
        ]),
        autoscaler(
          'controls scaling of Deployments: it knows how many there are',
          'status.currentReplicas',
          1,
        ),
      ],
    },
    {
      title: 'Helm Chart Components: Chart.yaml',
      facts: [
        chart('apiVersion: v2', 'Chart.yaml', 'apiVersion', 'v2'),
        chart('name', 'Chart.yaml', 'name'),
        chart('description', 'Chart.yaml', 'description'),
        chart('type: application', 'Chart.yaml', 'type', 'application'),
        chart('version', 'Chart.yaml', 'version'),
        chart('appVersion', 'Chart.yaml', 'appVersion'),
      ],
    },
    {
      title: 'Helm Chart Components: values.yaml',
      facts: [
        chart('replicaCount', 'values.yaml', 'frontend.replicaCount', 1),
        chart('image: repository', 'values.yaml', 'backend.image.repository', 'todo-backend'),
        chart('image: pullPolicy', 'values.yaml', 'global.imagePullPolicy', 'IfNotPresent'),
        chart('image: tag', 'values.yaml', 'global.imageTag', 'dev'),
        chart('service: type', 'values.yaml', 'frontend.service.type', 'NodePort'),
        chart('service: port', 'values.yaml', 'frontend.service.port', 80),
        chart('resources: requests and limits for CPU/memory', 'values.yaml', 'backend.resources'),
        chart('secrets', 'values.yaml', 'secrets'),
        chart('config', 'values.yaml', 'frontend.config'),
        chart('autoscaling: enable/disable with parameters', 'values.yaml', 'backend.autoscaling'),
      ],
    },
    {
      title: 'Helm Chart Components: Templates Structure',
      facts: [
        chart('deployment.yaml', 'templates/backend-deployment.yaml'),
        chart('service.yaml', 'templates/backend-service.yaml'),
        chart('secrets.yaml', 'templates/backend-secrets-secret.yaml'),
        chart('_helpers.tpl', 'templates/_helpers.tpl'),
        chart('autoscaling.yaml (optional)', 'templates/backend-hpa.yaml'),
      ],
    },
    {
      title: 'Docker Image Configuration: Environment Variables',
      facts: [
        secret(
          'DATABASE_URL: connection string for PostgreSQL database',
          'Secret/backend-secrets',
          'DATABASE_URL',
        ),
        reaches('backend', 'DATABASE_URL'),
        reaches('frontend', 'DATABASE_URL'),
        secret(
          'BETTER_AUTH_SECRET: secret key for Better Auth JWT signing',
          'Secret/backend-secrets',
          'BETTER_AUTH_SECRET',
        ),
        reaches('backend', 'BETTER_AUTH_SECRET'),
        reaches('frontend', 'BETTER_AUTH_SECRET'),
        secret('OPENAI_API_KEY: API key for OpenAI services', 'Secret/backend-secrets', 'OPENAI_API_KEY'),
        reaches('backend', 'OPENAI_API_KEY'),
        secret('JWT_SECRET: secret for JWT token verification', 'Secret/backend-secrets', 'JWT_SECRET'),
        reaches('backend', 'JWT_SECRET'),
        config(
          'NEXT_PUBLIC_BACKEND_URL: backend service URL for frontend',
          'data.NEXT_PUBLIC_BACKEND_URL',
          'http://backend:8000',
        ),
      ],
    },
    {
      title: 'Docker Image Configuration: Dockerfile Layers',
      facts: [
        file('Base stage: minimal OS with dependencies', images, 'FROM node:22-slim AS build'),
        file('Dependencies stage: language-specific package installation', images, 'RUN npm ci'),
        file('Build stage: application compilation/build', images, 'RUN npx next build'),
        file(
          'Production stage: runtime environment with application',
          images,
          'FROM node:22-slim\nWORKDIR /app\nENV NODE_ENV=production',
        ),
      ],
    },
    {
      title: 'Service Communication Model: Internal',
      facts: [
        config(
          'Frontend to Backend via Kubernetes service DNS: the name of the Service',
          'data.NEXT_PUBLIC_BACKEND_URL',
          'http://backend:8000',
        ),
        of('Service/backend')(
          'service discovery through DNS resolution: that Service and its port',
          'spec.ports.0.port',
          8000,
        ),
        variable(
          'environment variable configuration for service endpoints',
          'Deployment/frontend',
          'NEXT_PUBLIC_BACKEND_URL',
          'ConfigMap/frontend-config[NEXT_PUBLIC_BACKEND_URL]',
        ),
      ],
    },
    {
      title: 'Service Communication Model: External Access',
      facts: [
        of('Service/frontend')('Frontend service exposed via NodePort', 'spec.ports.0.nodePort', 30082),
        of('Service/backend')('Backend service ClusterIP (internal only)', 'spec.type', 'ClusterIP'),
        absent('no node port of the backend', 'Service/backend', 'spec.ports.0.nodePort'),
        file('load balancer configuration possible for production scenarios', readme, 'type: LoadBalancer'),
      ],
    },
    {
      title: 'Security Configuration',
      facts: [
        of('Service/backend')(
          'Pod-to-pod communication via internal services',
          'spec.selector',
          labels('backend'),
        ),
        items(
          'service mesh not required: no sidecar in the frontend',
          'Deployment/frontend',
          'spec.template.spec.containers',
          1,
        ),
        items(
          'service mesh not required: no sidecar in the backend',
          'Deployment/backend',
          'spec.template.spec.containers',
          1,
        ),
        none('network policies not mandatory', 'NetworkPolicy'),
        of('Secret/backend-secrets')('Kubernetes Secrets for sensitive data', 'kind', 'Secret'),
        of('Deployment/backend')(
          'environment variable injection from secrets',
          `${container}.env.JWT_SECRET.valueFrom.secretKeyRef`,
          { name: 'backend-secrets', key: 'JWT_SECRET' },
        ),
        secret('base64 encoding for secret values', 'Secret/backend-secrets', 'JWT_SECRET'),
      ],
    },
  ],
};
