import {
  absent,
  chart,
  container,
  endpoints,
  file,
  keys,
  of,
  type ReferenceDocument,
  secret,
  unlike,
  variable,
} from '../conformance.ts';

const frontend = of('Deployment/todo-chatbot-frontend');
const backend = of('Deployment/todo-chatbot-backend');
const frontendService = of('Service/todo-chatbot-frontend-service');
const backendService = of('Service/todo-chatbot-backend-service');
const config = of('ConfigMap/todo-chatbot-config');
const databaseSecret = of('Secret/db-secret');
const authSecret = of('Secret/auth-secret');
const apiKeys = of('Secret/api-keys');
const images = 'docs/images.md';
const namespace = 'todo-value-from';
const frontendResources = {
  limits: { cpu: '500m', memory: '512Mi' },
  requests: { cpu: '100m', memory: '128Mi' },
};
const backendResources = {
  limits: { cpu: '500m', memory: '512Mi' },
  requests: { cpu: '100m', memory: '256Mi' },
};

export const valueFrom: ReferenceDocument = {
  example: 'value-from',
  objects: [
    'ConfigMap/todo-chatbot-config',
    'Deployment/todo-chatbot-backend',
    'Deployment/todo-chatbot-frontend',
    'Namespace/todo-value-from',
    'Secret/api-keys',
    'Secret/auth-secret',
    'Secret/db-secret',
    'Service/todo-chatbot-backend-service',
    'Service/todo-chatbot-frontend-service',
  ],
  sections: [
    {
      title: 'Frontend Deployment',
      facts: [
        frontend('apiVersion: apps/v1', 'apiVersion', 'apps/v1'),
        frontend('kind: Deployment', 'kind', 'Deployment'),
        frontend('metadata: name', 'metadata.name', 'todo-chatbot-frontend'),
        frontend('metadata: namespace', 'metadata.namespace', namespace),
        frontend('metadata: labels', 'metadata.labels.app', 'frontend'),
        frontend('replicas: 2 (minimum as per requirement)', 'spec.replicas', 2),
        frontend('replicas: 2, all of them ready', 'status.readyReplicas', 2),
        frontend('selector: matchLabels', 'spec.selector.matchLabels', { app: 'frontend' }),
        frontend('template: metadata: labels', 'spec.template.metadata.labels.app', 'frontend'),
        frontend('name: frontend', `${container}.name`, 'frontend'),
        frontend('image: todo-frontend:latest', `${container}.image`, 'todo-frontend:latest'),
        frontend('ports: [{containerPort: 3000}]', `${container}.ports.0.containerPort`, 3000),
        frontend(
          'env: [{name: NEXT_PUBLIC_API_URL, value: "http://todo-chatbot-backend-service:8000"}]',
          `${container}.env`,
          [{ name: 'NEXT_PUBLIC_API_URL', value: 'http://todo-chatbot-backend-service:8000' }],
        ),
        frontend('limits: {cpu: "500m"}', `${container}.resources.limits.cpu`, '500m'),
        frontend('limits: {memory: "512Mi"}', `${container}.resources.limits.memory`, '512Mi'),
        frontend('requests: {cpu: "100m"}', `${container}.resources.requests.cpu`, '100m'),
        frontend('requests: {memory: "128Mi"}', `${container}.resources.requests.memory`, '128Mi'),
        frontend('livenessProbe: path: "/"', `${container}.livenessProbe.httpGet.path`, '/'),
        frontend('livenessProbe: port: 3000', `${container}.livenessProbe.httpGet.port`, 3000),
        frontend(
          'livenessProbe: initialDelaySeconds: 30',
          `${container}.livenessProbe.initialDelaySeconds`,
          30,
        ),
        frontend('livenessProbe: periodSeconds: 10', `${container}.livenessProbe.periodSeconds`, 10),
        frontend('readinessProbe: path: "/"', `${container}.readinessProbe.httpGet.path`, '/'),
        frontend('readinessProbe: port: 3000', `${container}.readinessProbe.httpGet.port`, 3000),
        frontend(
          'readinessProbe: initialDelaySeconds: 5',
          `${container}.readinessProbe.initialDelaySeconds`,
          5,
        ),
        frontend('readinessProbe: periodSeconds: 5', `${container}.readinessProbe.periodSeconds`, 5),
        absent('no other probe', 'Deployment/todo-chatbot-frontend', `${container}.startupProbe`),
      ],
    },
    {
      title: 'Backend Deployment',
      facts: [
        backend('apiVersion: apps/v1', 'apiVersion', 'apps/v1'),
        backend('kind: Deployment', 'kind', 'Deployment'),
        backend('metadata: name', 'metadata.name', 'todo-chatbot-backend'),
        backend('metadata: namespace', 'metadata.namespace', namespace),
        backend('metadata: labels', 'metadata.labels.app', 'backend'),
        backend('replicas: 1 (default, can be scaled as needed)', 'spec.replicas', 1),
        backend('replicas: 1, ready', 'status.readyReplicas', 1),
        backend('selector: matchLabels', 'spec.selector.matchLabels', { app: 'backend' }),
        backend('template: metadata: labels', 'spec.template.metadata.labels.app', 'backend'),
        backend('name: backend', `${container}.name`, 'backend'),
        backend('image: todo-backend:latest', `${container}.image`, 'todo-backend:latest'),
        backend('ports: [{containerPort: 8000}]', `${container}.ports.0.containerPort`, 8000),
        backend(
          'env: {name: DATABASE_URL, valueFrom: {secretKeyRef: {name: db-secret, key: url}}}',
          `${container}.env.DATABASE_URL.valueFrom`,
          {
            secretKeyRef: { name: 'db-secret', key: 'url' },
          },
        ),
        backend(
          'env: {name: SECRET_KEY, valueFrom: {secretKeyRef: {name: auth-secret, key: secret}}}',
          `${container}.env.SECRET_KEY.valueFrom`,
          {
            secretKeyRef: { name: 'auth-secret', key: 'secret' },
          },
        ),
        variable(
          'DATABASE_URL reaches the backend',
          'Deployment/todo-chatbot-backend',
          'DATABASE_URL',
          'Secret/db-secret[url]',
        ),
        variable(
          'SECRET_KEY reaches the backend',
          'Deployment/todo-chatbot-backend',
          'SECRET_KEY',
          'Secret/auth-secret[secret]',
        ),
        backend('limits: {cpu: "500m"}', `${container}.resources.limits.cpu`, '500m'),
        backend('limits: {memory: "512Mi"}', `${container}.resources.limits.memory`, '512Mi'),
        backend('requests: {cpu: "100m"}', `${container}.resources.requests.cpu`, '100m'),
        backend('requests: {memory: "256Mi"}', `${container}.resources.requests.memory`, '256Mi'),
        backend('livenessProbe: path: "/health"', `${container}.livenessProbe.httpGet.path`, '/health'),
        backend('livenessProbe: port: 8000', `${container}.livenessProbe.httpGet.port`, 8000),
        backend(
          'livenessProbe: initialDelaySeconds: 30',
          `${container}.livenessProbe.initialDelaySeconds`,
          30,
        ),
        backend('livenessProbe: periodSeconds: 10', `${container}.livenessProbe.periodSeconds`, 10),
        backend('readinessProbe: path: "/ready"', `${container}.readinessProbe.httpGet.path`, '/ready'),
        backend('readinessProbe: port: 8000', `${container}.readinessProbe.httpGet.port`, 8000),
        backend(
          'readinessProbe: initialDelaySeconds: 5',
          `${container}.readinessProbe.initialDelaySeconds`,
          5,
        ),
        backend('readinessProbe: periodSeconds: 5', `${container}.readinessProbe.periodSeconds`, 5),
        absent('no other probe', 'Deployment/todo-chatbot-backend', `${container}.startupProbe`),
      ],
    },
    {
      title: 'Frontend Service',
      facts: [
        frontendService('apiVersion: v1', 'apiVersion', 'v1'),
        frontendService('kind: Service', 'kind', 'Service'),
        frontendService('metadata: name', 'metadata.name', 'todo-chatbot-frontend-service'),
        frontendService('metadata: namespace', 'metadata.namespace', namespace),
        frontendService('metadata: labels', 'metadata.labels.app', 'frontend'),
        frontendService('selector: {app: frontend}', 'spec.selector', { app: 'frontend' }),
        frontendService('protocol: TCP', 'spec.ports.0.protocol', 'TCP'),
        frontendService('port: 80', 'spec.ports.0.port', 80),
        frontendService('targetPort: 3000', 'spec.ports.0.targetPort', 3000),
        frontendService('nodePort: 30080', 'spec.ports.0.nodePort', 30080),
        frontendService('type: NodePort', 'spec.type', 'NodePort'),
        endpoints('the Service leads to both Pods', 'todo-chatbot-frontend-service', 3000, 2),
      ],
    },
    {
      title: 'Backend Service',
      facts: [
        backendService('apiVersion: v1', 'apiVersion', 'v1'),
        backendService('kind: Service', 'kind', 'Service'),
        backendService('metadata: name', 'metadata.name', 'todo-chatbot-backend-service'),
        backendService('metadata: namespace', 'metadata.namespace', namespace),
        backendService('metadata: labels', 'metadata.labels.app', 'backend'),
        backendService('selector: {app: backend}', 'spec.selector', { app: 'backend' }),
        backendService('protocol: TCP', 'spec.ports.0.protocol', 'TCP'),
        backendService('port: 8000', 'spec.ports.0.port', 8000),
        backendService('targetPort: 8000', 'spec.ports.0.targetPort', 8000),
        backendService('type: ClusterIP', 'spec.type', 'ClusterIP'),
        endpoints('the Service leads to the Pod', 'todo-chatbot-backend-service', 8000, 1),
      ],
    },
    {
      title: 'ConfigMap',
      facts: [
        config('apiVersion: v1', 'apiVersion', 'v1'),
        config('kind: ConfigMap', 'kind', 'ConfigMap'),
        config('metadata: name', 'metadata.name', 'todo-chatbot-config'),
        config('metadata: namespace', 'metadata.namespace', namespace),
        keys(
          'data: configuration properties for the application',
          'ConfigMap/todo-chatbot-config',
          'data',
          'CORS_ORIGINS',
          'ENVIRONMENT',
        ),
        variable(
          'they reach the application',
          'Deployment/todo-chatbot-backend',
          'CORS_ORIGINS',
          'ConfigMap/todo-chatbot-config[CORS_ORIGINS]',
        ),
      ],
    },
    {
      title: 'Secret',
      facts: [
        databaseSecret('apiVersion: v1', 'apiVersion', 'v1'),
        databaseSecret('kind: Secret', 'kind', 'Secret'),
        databaseSecret('metadata: name: db-secret', 'metadata.name', 'db-secret'),
        databaseSecret('metadata: namespace: of db-secret', 'metadata.namespace', namespace),
        secret('data: encoded database credentials', 'Secret/db-secret', 'url'),
        keys('db-secret has one key', 'Secret/db-secret', 'data', 'url'),
        authSecret('metadata: name: auth-secret', 'metadata.name', 'auth-secret'),
        authSecret('metadata: namespace: of auth-secret', 'metadata.namespace', namespace),
        secret('data: encoded key of auth-secret', 'Secret/auth-secret', 'secret'),
        keys('auth-secret has one key', 'Secret/auth-secret', 'data', 'secret'),
        keys('data: API keys', 'Secret/api-keys', 'data', 'openai'),
        apiKeys('metadata: namespace: of the API keys', 'metadata.namespace', namespace),
        variable(
          'an API key reaches the backend',
          'Deployment/todo-chatbot-backend',
          'OPENAI_API_KEY',
          'Secret/api-keys[openai]',
        ),
      ],
    },
    {
      title: 'Helm Chart: Chart.yaml',
      facts: [
        chart('apiVersion: v2', 'Chart.yaml', 'apiVersion', 'v2'),
        chart('name: todo-chatbot', 'Chart.yaml', 'name', 'todo-chatbot'),
        chart('version: 0.1.0', 'Chart.yaml', 'version', '0.1.0'),
        unlike('appVersion: "1.0.0"', 'the tag of the images', 'Chart.yaml', 'appVersion', 'latest'),
        unlike(
          'description: Helm chart for deploying the Todo Chatbot application',
          'says what it was made of',
          'Chart.yaml',
          'description',
        ),
      ],
    },
    {
      title: 'Helm Chart: values.yaml, as deployed',
      facts: [
        frontend('frontend.image.pullPolicy: "IfNotPresent"', `${container}.imagePullPolicy`, 'IfNotPresent'),
        backend('backend.image.pullPolicy: "IfNotPresent"', `${container}.imagePullPolicy`, 'IfNotPresent'),
      ],
    },
    {
      title: 'Helm Chart: values.yaml',
      facts: [
        chart('frontend.replicaCount: 2', 'values.yaml', 'frontend.replicaCount', 2),
        chart(
          'frontend.image.repository: "todo-frontend"',
          'values.yaml',
          'frontend.image.repository',
          'todo-frontend',
        ),
        chart('frontend.image.tag: "latest"', 'values.yaml', 'global.imageTag', 'latest'),
        chart(
          'frontend.image.pullPolicy: "IfNotPresent"',
          'values.yaml',
          'global.imagePullPolicy',
          'IfNotPresent',
        ),
        chart('frontend.service.type: "NodePort"', 'values.yaml', 'frontend.service.type', 'NodePort'),
        chart('frontend.service.port: 80', 'values.yaml', 'frontend.service.port', 80),
        chart('frontend.service.nodePort: 30080', 'values.yaml', 'frontend.service.nodePort', 30080),
        chart('frontend.resources', 'values.yaml', 'frontend.resources', frontendResources),
        chart(
          'frontend.env: {NEXT_PUBLIC_API_URL: "http://todo-chatbot-backend-service:8000"}',
          'values.yaml',
          'frontend.env.NEXT_PUBLIC_API_URL',
          'http://todo-chatbot-backend-service:8000',
        ),
        chart('backend.replicaCount: 1', 'values.yaml', 'backend.replicaCount', 1),
        chart(
          'backend.image.repository: "todo-backend"',
          'values.yaml',
          'backend.image.repository',
          'todo-backend',
        ),
        chart('backend.image.tag: "latest"', 'values.yaml', 'global.imageTag', 'latest'),
        chart(
          'backend.image.pullPolicy: "IfNotPresent"',
          'values.yaml',
          'global.imagePullPolicy',
          'IfNotPresent',
        ),
        chart('backend.service.type: "ClusterIP"', 'values.yaml', 'backend.service.type', 'ClusterIP'),
        chart('backend.service.port: 8000', 'values.yaml', 'backend.service.port', 8000),
        chart('backend.resources', 'values.yaml', 'backend.resources', backendResources),
      ],
    },
    {
      title: 'Helm Chart: Templates Structure',
      facts: [
        chart('backend-deployment.yaml', 'templates/todo-chatbot-backend-deployment.yaml'),
        chart('frontend-deployment.yaml', 'templates/todo-chatbot-frontend-deployment.yaml'),
        chart('backend-service.yaml', 'templates/todo-chatbot-backend-service-service.yaml'),
        chart('frontend-service.yaml', 'templates/todo-chatbot-frontend-service-service.yaml'),
        chart('_helpers.tpl', 'templates/_helpers.tpl'),
      ],
    },
    {
      title: 'Docker Images: Frontend Image',
      facts: [
        file('Base: node:18-alpine', images, '`node:18-alpine`'),
        file('Build: npm install', images, 'RUN npm ci'),
        file('Build: npm run build', images, 'RUN npx next build'),
        file('Runtime: serve built assets', images, 'CMD ["node", "server.js"]'),
        file('Port: 3000', images, 'EXPOSE 3000'),
      ],
    },
    {
      title: 'Docker Images: Backend Image',
      facts: [
        file('Base: python:3.11-slim', images, '`python:3.11-slim`'),
        file(
          'Dependencies: requirements.txt',
          images,
          'RUN pip install --no-cache-dir --requirement requirements.txt',
        ),
        file('Application: FastAPI app served with uvicorn', images, 'CMD ["uvicorn", "app.main:app"'),
        file('Port: 8000', images, 'EXPOSE 8000'),
      ],
    },
  ],
};
