import {
  absent,
  container,
  endpoints,
  file,
  keys,
  none,
  of,
  type ReferenceDocument,
  secret,
  variable,
} from '../conformance.ts';

const frontend = of('Deployment/frontend');
const backend = of('Deployment/backend');
const frontendService = of('Service/frontend-service');
const backendService = of('Service/backend-service');
const frontendConfig = of('ConfigMap/frontend-config');
const backendConfig = of('ConfigMap/backend-config');
const backendSecrets = of('Secret/backend-secrets');

export const perServiceConfig: ReferenceDocument = {
  example: 'per-service-config',
  objects: [
    'ConfigMap/backend-config',
    'ConfigMap/frontend-config',
    'Deployment/backend',
    'Deployment/frontend',
    'Namespace/todo-per-service-config',
    'Secret/backend-secrets',
    'Service/backend-service',
    'Service/frontend-service',
  ],
  sections: [
    {
      title: 'Database Schema',
      facts: [
        none('no schema changes: nothing migrates', 'Job'),
        absent(
          'users, tasks, conversations and messages remain: no init container touches them',
          'Deployment/backend',
          'spec.template.spec.initContainers',
        ),
      ],
    },
    {
      title: 'Frontend Deployment',
      facts: [
        frontend('apiVersion: apps/v1', 'apiVersion', 'apps/v1'),
        frontend('kind: Deployment', 'kind', 'Deployment'),
        frontend('name: frontend', 'metadata.name', 'frontend'),
        frontend('labels: app: todo-frontend', 'metadata.labels.app', 'todo-frontend'),
        frontend('replicas: 2', 'spec.replicas', 2),
        frontend('replicas: 2, all of them ready', 'status.readyReplicas', 2),
        frontend('matchLabels: app: todo-frontend, and nothing else', 'spec.selector.matchLabels', {
          app: 'todo-frontend',
        }),
        frontend('template labels: app: todo-frontend', 'spec.template.metadata.labels.app', 'todo-frontend'),
        frontend('container name: frontend', `${container}.name`, 'frontend'),
        frontend('image: todo-frontend:latest', `${container}.image`, 'todo-frontend:latest'),
        frontend('containerPort: 3000', `${container}.ports.0.containerPort`, 3000),
      ],
    },
    {
      title: 'Backend Deployment',
      facts: [
        backend('apiVersion: apps/v1', 'apiVersion', 'apps/v1'),
        backend('kind: Deployment', 'kind', 'Deployment'),
        backend('name: backend', 'metadata.name', 'backend'),
        backend('labels: app: todo-backend', 'metadata.labels.app', 'todo-backend'),
        backend('replicas: 2', 'spec.replicas', 2),
        backend('replicas: 2, all of them ready', 'status.readyReplicas', 2),
        backend('matchLabels: app: todo-backend, and nothing else', 'spec.selector.matchLabels', {
          app: 'todo-backend',
        }),
        backend('template labels: app: todo-backend', 'spec.template.metadata.labels.app', 'todo-backend'),
        backend('container name: backend', `${container}.name`, 'backend'),
        backend('image: todo-backend:latest', `${container}.image`, 'todo-backend:latest'),
        backend('containerPort: 8000', `${container}.ports.0.containerPort`, 8000),
      ],
    },
    {
      title: 'Environment Variables: Frontend ConfigMap',
      facts: [
        frontendConfig('apiVersion: v1', 'apiVersion', 'v1'),
        frontendConfig('kind: ConfigMap', 'kind', 'ConfigMap'),
        frontendConfig('name: frontend-config', 'metadata.name', 'frontend-config'),
        frontendConfig('data: NEXT_PUBLIC_API_URL: "http://backend-service:8000", and nothing else', 'data', {
          NEXT_PUBLIC_API_URL: 'http://backend-service:8000',
        }),
        variable(
          'NEXT_PUBLIC_API_URL reaches the frontend',
          'Deployment/frontend',
          'NEXT_PUBLIC_API_URL',
          'ConfigMap/frontend-config[NEXT_PUBLIC_API_URL]',
        ),
      ],
    },
    {
      title: 'Environment Variables: Backend ConfigMap',
      facts: [
        backendConfig('apiVersion: v1', 'apiVersion', 'v1'),
        backendConfig('kind: ConfigMap', 'kind', 'ConfigMap'),
        backendConfig('name: backend-config', 'metadata.name', 'backend-config'),
        backendConfig(
          'CORS_ORIGINS: "http://localhost:3000,https://yourdomain.com"',
          'data.CORS_ORIGINS',
          'http://localhost:3000,https://yourdomain.com',
        ),
        backendConfig('APP_NAME: "Todo CRUD API"', 'data.APP_NAME', 'Todo CRUD API'),
        backendConfig('DEBUG: "false"', 'data.DEBUG', 'false'),
        keys(
          'the data has these keys and no other',
          'ConfigMap/backend-config',
          'data',
          'APP_NAME',
          'CORS_ORIGINS',
          'DEBUG',
        ),
        variable(
          'CORS_ORIGINS reaches the backend',
          'Deployment/backend',
          'CORS_ORIGINS',
          'ConfigMap/backend-config[CORS_ORIGINS]',
        ),
        variable(
          'APP_NAME reaches the backend',
          'Deployment/backend',
          'APP_NAME',
          'ConfigMap/backend-config[APP_NAME]',
        ),
        variable(
          'DEBUG reaches the backend',
          'Deployment/backend',
          'DEBUG',
          'ConfigMap/backend-config[DEBUG]',
        ),
      ],
    },
    {
      title: 'Secrets Model: Backend Secrets',
      facts: [
        backendSecrets('apiVersion: v1', 'apiVersion', 'v1'),
        backendSecrets('kind: Secret', 'kind', 'Secret'),
        backendSecrets('name: backend-secrets', 'metadata.name', 'backend-secrets'),
        backendSecrets('type: Opaque', 'type', 'Opaque'),
        secret('database-url', 'Secret/backend-secrets', 'database-url'),
        secret('jwt-secret', 'Secret/backend-secrets', 'jwt-secret'),
        secret('groq-api-key', 'Secret/backend-secrets', 'groq-api-key'),
        secret('gemini-api-key', 'Secret/backend-secrets', 'gemini-api-key'),
        keys(
          'the data has these keys and no other',
          'Secret/backend-secrets',
          'data',
          'database-url',
          'gemini-api-key',
          'groq-api-key',
          'jwt-secret',
        ),
        file(
          'database-url: a placeholder, to be replaced',
          'examples/per-service-config/.env.example',
          'DATABASE_URL="postgresql+asyncpg://user:pass@host/db"',
        ),
        file(
          'database-url is one of asyncpg',
          'examples/per-service-config/base/strata.yaml',
          'pattern: ^postgresql\\+asyncpg://',
        ),
        file(
          'groq-api-key begins with gsk_',
          'examples/per-service-config/base/strata.yaml',
          'pattern: ^gsk_',
        ),
        file(
          'gemini-api-key begins with AIzaSy',
          'examples/per-service-config/base/strata.yaml',
          'pattern: ^AIzaSy',
        ),
        file(
          'jwt-secret: a placeholder, replaced by a generated one',
          'examples/per-service-config/.env.example',
          'JWT_SECRET=\n',
        ),
        file(
          'groq-api-key: a placeholder, to be replaced',
          'examples/per-service-config/.env.example',
          'GROQ_API_KEY=gsk_xxx...',
        ),
        file(
          'gemini-api-key: a placeholder, to be replaced',
          'examples/per-service-config/.env.example',
          'GEMINI_API_KEY=AIzaSyxxx...',
        ),
        variable(
          'database-url reaches the backend',
          'Deployment/backend',
          'DATABASE_URL',
          'Secret/backend-secrets[database-url]',
        ),
        variable(
          'jwt-secret reaches the backend',
          'Deployment/backend',
          'JWT_SECRET',
          'Secret/backend-secrets[jwt-secret]',
        ),
        variable(
          'groq-api-key reaches the backend',
          'Deployment/backend',
          'GROQ_API_KEY',
          'Secret/backend-secrets[groq-api-key]',
        ),
        variable(
          'gemini-api-key reaches the backend',
          'Deployment/backend',
          'GEMINI_API_KEY',
          'Secret/backend-secrets[gemini-api-key]',
        ),
      ],
    },
    {
      title: 'Service Model: Frontend Service',
      facts: [
        frontendService('apiVersion: v1', 'apiVersion', 'v1'),
        frontendService('kind: Service', 'kind', 'Service'),
        frontendService('name: frontend-service', 'metadata.name', 'frontend-service'),
        frontendService('type: NodePort', 'spec.type', 'NodePort'),
        frontendService('selector: app: todo-frontend', 'spec.selector', { app: 'todo-frontend' }),
        frontendService('port: 3000', 'spec.ports.0.port', 3000),
        frontendService('targetPort: 3000', 'spec.ports.0.targetPort', 3000),
        frontendService('nodePort: 30001', 'spec.ports.0.nodePort', 30001),
        endpoints('the Service leads to both Pods', 'frontend-service', 3000, 2),
      ],
    },
    {
      title: 'Service Model: Backend Service',
      facts: [
        backendService('apiVersion: v1', 'apiVersion', 'v1'),
        backendService('kind: Service', 'kind', 'Service'),
        backendService('name: backend-service', 'metadata.name', 'backend-service'),
        backendService('type: NodePort', 'spec.type', 'NodePort'),
        backendService('selector: app: todo-backend', 'spec.selector', { app: 'todo-backend' }),
        backendService('port: 8000', 'spec.ports.0.port', 8000),
        backendService('targetPort: 8000', 'spec.ports.0.targetPort', 8000),
        backendService('nodePort: 30002', 'spec.ports.0.nodePort', 30002),
        endpoints('the Service leads to both Pods', 'backend-service', 8000, 2),
      ],
    },
    {
      title: 'Storage Model',
      facts: [
        absent('No Volumes Required: frontend', 'Deployment/frontend', 'spec.template.spec.volumes'),
        absent('No Volumes Required: backend', 'Deployment/backend', 'spec.template.spec.volumes'),
        none('No Local Storage: no PVCs required', 'PersistentVolumeClaim'),
        none('stateless', 'StatefulSet'),
        file(
          'External Database: Neon PostgreSQL, a URL in the env file',
          'examples/per-service-config/base/strata.yaml',
          'env: DATABASE_URL\n      format: postgres-url',
        ),
      ],
    },
    {
      title: 'Resource Model: Frontend',
      facts: [
        frontend('requests memory: "128Mi"', `${container}.resources.requests.memory`, '128Mi'),
        frontend('requests cpu: "100m"', `${container}.resources.requests.cpu`, '100m'),
        frontend('limits memory: "512Mi"', `${container}.resources.limits.memory`, '512Mi'),
        frontend('limits cpu: "500m"', `${container}.resources.limits.cpu`, '500m'),
      ],
    },
    {
      title: 'Resource Model: Backend',
      facts: [
        backend('requests memory: "256Mi"', `${container}.resources.requests.memory`, '256Mi'),
        backend('requests cpu: "200m"', `${container}.resources.requests.cpu`, '200m'),
        backend('limits memory: "1Gi"', `${container}.resources.limits.memory`, '1Gi'),
        // The server writes a quantity in its shortest form.
        backend('limits cpu: "1000m"', `${container}.resources.limits.cpu`, '1'),
      ],
    },
    {
      title: 'Health Check Model: Frontend',
      facts: [
        frontend('liveness path: /', `${container}.livenessProbe.httpGet.path`, '/'),
        frontend('liveness port: 3000', `${container}.livenessProbe.httpGet.port`, 3000),
        frontend('liveness initialDelaySeconds: 10', `${container}.livenessProbe.initialDelaySeconds`, 10),
        frontend('liveness periodSeconds: 10', `${container}.livenessProbe.periodSeconds`, 10),
        frontend('readiness path: /', `${container}.readinessProbe.httpGet.path`, '/'),
        frontend('readiness port: 3000', `${container}.readinessProbe.httpGet.port`, 3000),
        frontend('readiness initialDelaySeconds: 5', `${container}.readinessProbe.initialDelaySeconds`, 5),
        frontend('readiness periodSeconds: 5', `${container}.readinessProbe.periodSeconds`, 5),
        absent('no other probe', 'Deployment/frontend', `${container}.startupProbe`),
      ],
    },
    {
      title: 'Health Check Model: Backend',
      facts: [
        backend('liveness path: /health', `${container}.livenessProbe.httpGet.path`, '/health'),
        backend('liveness port: 8000', `${container}.livenessProbe.httpGet.port`, 8000),
        backend('liveness initialDelaySeconds: 15', `${container}.livenessProbe.initialDelaySeconds`, 15),
        backend('liveness periodSeconds: 10', `${container}.livenessProbe.periodSeconds`, 10),
        backend('readiness path: /health', `${container}.readinessProbe.httpGet.path`, '/health'),
        backend('readiness port: 8000', `${container}.readinessProbe.httpGet.port`, 8000),
        backend('readiness initialDelaySeconds: 5', `${container}.readinessProbe.initialDelaySeconds`, 5),
        backend('readiness periodSeconds: 5', `${container}.readinessProbe.periodSeconds`, 5),
        absent('no other probe', 'Deployment/backend', `${container}.startupProbe`),
      ],
    },
  ],
};
