import {
  absent,
  chart,
  container,
  endpoints,
  file,
  type Json,
  keys,
  none,
  of,
  type ReferenceDocument,
  secret,
  unlike,
  variable,
} from '../conformance.ts';

const frontend = of('Deployment/todo-frontend');
const backend = of('Deployment/todo-backend');
const frontendService = of('Service/frontend-service');
const backendService = of('Service/backend-service');
const config = of('ConfigMap/app-config');
const secrets = of('Secret/app-secrets');
const images = 'docs/images.md';
const envExample = 'examples/shared-config/.env.example';

const bothSources: Json = [{ configMapRef: { name: 'app-config' } }, { secretRef: { name: 'app-secrets' } }];
const fromConfig = (service: string, name: string) =>
  variable(
    `${name} is used by the ${service}`,
    `Deployment/todo-${service}`,
    name,
    `ConfigMap/app-config[${name}]`,
  );
const fromSecrets = (service: string, name: string) =>
  variable(
    `${name} is used by the ${service}`,
    `Deployment/todo-${service}`,
    name,
    `Secret/app-secrets[${name}]`,
  );
const resources = { requests: { cpu: '250m', memory: '256Mi' }, limits: { cpu: '500m', memory: '512Mi' } };

export const sharedConfig: ReferenceDocument = {
  example: 'shared-config',
  objects: [
    'ConfigMap/app-config',
    'Deployment/todo-backend',
    'Deployment/todo-frontend',
    'Namespace/todo-shared-config',
    'Secret/app-secrets',
    'Service/backend-service',
    'Service/frontend-service',
  ],
  sections: [
    {
      title: 'Deployments: frontend-deployment',
      facts: [
        frontend('apiVersion: apps/v1', 'apiVersion', 'apps/v1'),
        frontend('kind: Deployment', 'kind', 'Deployment'),
        frontend('name: {{ .Release.Name }}-frontend, released as todo', 'metadata.name', 'todo-frontend'),
        frontend('replicas: {{ .Values.frontend.replicaCount }}, 1 by default', 'spec.replicas', 1),
        frontend('all replicas are ready', 'status.readyReplicas', 1),
        frontend('matchLabels: app: todo-frontend, and nothing else', 'spec.selector.matchLabels', {
          app: 'todo-frontend',
        }),
        frontend('the Pods carry the label', 'spec.template.metadata.labels.app', 'todo-frontend'),
        frontend('container name: frontend', `${container}.name`, 'frontend'),
        frontend('image: todo-frontend:local', `${container}.image`, 'todo-frontend:local'),
        frontend('containerPort: 3000', `${container}.ports.0.containerPort`, 3000),
        frontend(
          'envFrom: configMapRef app-config, secretRef app-secrets',
          `${container}.envFrom`,
          bothSources,
        ),
        frontend('requests memory: 256Mi', `${container}.resources.requests.memory`, '256Mi'),
        frontend('requests cpu: 250m', `${container}.resources.requests.cpu`, '250m'),
        frontend('limits memory: 512Mi', `${container}.resources.limits.memory`, '512Mi'),
        frontend('limits cpu: 500m', `${container}.resources.limits.cpu`, '500m'),
      ],
    },
    {
      title: 'Deployments: backend-deployment',
      facts: [
        backend('apiVersion: apps/v1', 'apiVersion', 'apps/v1'),
        backend('kind: Deployment', 'kind', 'Deployment'),
        backend('name: {{ .Release.Name }}-backend, released as todo', 'metadata.name', 'todo-backend'),
        backend('replicas: {{ .Values.backend.replicaCount }}', 'spec.replicas', 1),
        backend('all replicas are ready', 'status.readyReplicas', 1),
        backend('matchLabels: app: todo-backend, and nothing else', 'spec.selector.matchLabels', {
          app: 'todo-backend',
        }),
        backend('the Pods carry the label', 'spec.template.metadata.labels.app', 'todo-backend'),
        backend('container name: backend', `${container}.name`, 'backend'),
        backend('image: todo-backend:local', `${container}.image`, 'todo-backend:local'),
        backend('containerPort: 8000', `${container}.ports.0.containerPort`, 8000),
        backend(
          'envFrom: configMapRef app-config, secretRef app-secrets',
          `${container}.envFrom`,
          bothSources,
        ),
        backend('requests memory: 256Mi', `${container}.resources.requests.memory`, '256Mi'),
        backend('requests cpu: 250m', `${container}.resources.requests.cpu`, '250m'),
        backend('limits memory: 512Mi', `${container}.resources.limits.memory`, '512Mi'),
        backend('limits cpu: 500m', `${container}.resources.limits.cpu`, '500m'),
      ],
    },
    {
      title: 'Services: frontend-service',
      facts: [
        frontendService('name: frontend-service', 'metadata.name', 'frontend-service'),
        frontendService('Type: NodePort', 'spec.type', 'NodePort'),
        frontendService('Port: 80', 'spec.ports.0.port', 80),
        frontendService('TargetPort: 3000', 'spec.ports.0.targetPort', 3000),
        frontendService('NodePort: 30080', 'spec.ports.0.nodePort', 30080),
        frontendService('Selector: app: todo-frontend', 'spec.selector', { app: 'todo-frontend' }),
      ],
    },
    {
      title: 'Services: backend-service',
      facts: [
        backendService('name: backend-service', 'metadata.name', 'backend-service'),
        backendService('Type: ClusterIP', 'spec.type', 'ClusterIP'),
        backendService('Port: 8000', 'spec.ports.0.port', 8000),
        backendService('TargetPort: 8000', 'spec.ports.0.targetPort', 8000),
        backendService('Selector: app: todo-backend', 'spec.selector', { app: 'todo-backend' }),
        absent('no NodePort', 'Service/backend-service', 'spec.ports.0.nodePort'),
      ],
    },
    {
      title: 'ConfigMap',
      facts: [
        config('Name: app-config', 'metadata.name', 'app-config'),
        config('ENVIRONMENT: development', 'data.ENVIRONMENT', 'development'),
        config('NEXT_PUBLIC_APP_NAME: Todo App (K8s)', 'data.NEXT_PUBLIC_APP_NAME', 'Todo App (K8s)'),
        config('CORS_ORIGINS: http://localhost:30080', 'data.CORS_ORIGINS', 'http://localhost:30080'),
        config(
          'BETTER_AUTH_URL: http://frontend-service:80',
          'data.BETTER_AUTH_URL',
          'http://frontend-service:80',
        ),
        config('BACKEND_URL: http://backend-service:8000', 'data.BACKEND_URL', 'http://backend-service:8000'),
        config(
          'OPENAI_CHATKIT_WORKFLOW_ID: (from config), that is from the env file',
          'data.OPENAI_CHATKIT_WORKFLOW_ID',
          'wf_0000',
        ),
        config('MCP_DEFAULT_USER_ID: (test user id)', 'data.MCP_DEFAULT_USER_ID', 'test-user'),
        keys(
          'the data has these keys and no other',
          'ConfigMap/app-config',
          'data',
          'ENVIRONMENT',
          'NEXT_PUBLIC_APP_NAME',
          'CORS_ORIGINS',
          'BETTER_AUTH_URL',
          'BACKEND_URL',
          'OPENAI_CHATKIT_WORKFLOW_ID',
          'MCP_DEFAULT_USER_ID',
        ),
        fromConfig('backend', 'ENVIRONMENT'),
        fromConfig('frontend', 'NEXT_PUBLIC_APP_NAME'),
        fromConfig('backend', 'CORS_ORIGINS'),
        fromConfig('backend', 'BETTER_AUTH_URL'),
        fromConfig('frontend', 'BACKEND_URL'),
        fromConfig('frontend', 'OPENAI_CHATKIT_WORKFLOW_ID'),
        fromConfig('backend', 'MCP_DEFAULT_USER_ID'),
      ],
    },
    {
      title: 'Secrets',
      facts: [
        secrets('Name: app-secrets', 'metadata.name', 'app-secrets'),
        secret('DATABASE_URL', 'Secret/app-secrets', 'DATABASE_URL'),
        secret('BETTER_AUTH_SECRET', 'Secret/app-secrets', 'BETTER_AUTH_SECRET'),
        secret('OPENAI_API_KEY', 'Secret/app-secrets', 'OPENAI_API_KEY'),
        secret('MCP_API_KEY', 'Secret/app-secrets', 'MCP_API_KEY'),
        secret('NEXT_PUBLIC_OPENAI_DOMAIN_KEY', 'Secret/app-secrets', 'NEXT_PUBLIC_OPENAI_DOMAIN_KEY'),
        keys(
          'the data has these keys and no other',
          'Secret/app-secrets',
          'data',
          'DATABASE_URL',
          'BETTER_AUTH_SECRET',
          'OPENAI_API_KEY',
          'MCP_API_KEY',
          'NEXT_PUBLIC_OPENAI_DOMAIN_KEY',
        ),
        fromSecrets('frontend', 'DATABASE_URL'),
        fromSecrets('backend', 'DATABASE_URL'),
        fromSecrets('frontend', 'BETTER_AUTH_SECRET'),
        fromSecrets('backend', 'BETTER_AUTH_SECRET'),
        fromSecrets('frontend', 'OPENAI_API_KEY'),
        fromSecrets('backend', 'OPENAI_API_KEY'),
        fromSecrets('backend', 'MCP_API_KEY'),
        fromSecrets('frontend', 'NEXT_PUBLIC_OPENAI_DOMAIN_KEY'),
        file('source of DATABASE_URL: a local file', envExample, '\nDATABASE_URL='),
        file('source of BETTER_AUTH_SECRET: a local file', envExample, '\nBETTER_AUTH_SECRET='),
        file('source of OPENAI_API_KEY: a local file', envExample, '\nOPENAI_API_KEY='),
        file('source of MCP_API_KEY: a local file', envExample, '\nMCP_API_KEY='),
        file(
          'source of NEXT_PUBLIC_OPENAI_DOMAIN_KEY: a local file',
          envExample,
          '\nNEXT_PUBLIC_OPENAI_DOMAIN_KEY=',
        ),
      ],
    },
    {
      title: 'Helm Values Structure, as deployed',
      facts: [
        config('global.environment: development', 'data.ENVIRONMENT', 'development'),
        file(
          'global.environment: development or production',
          'examples/shared-config/base/strata.yaml',
          'oneOf: [development, production]',
        ),
        frontend('global.imageTag: local by default', `${container}.image`, 'todo-frontend:local'),
        frontend(
          'global.imagePullPolicy: Never, IfNotPresent or Always: frontend',
          `${container}.imagePullPolicy`,
          'IfNotPresent',
        ),
        backend(
          'global.imagePullPolicy: Never, IfNotPresent or Always: backend',
          `${container}.imagePullPolicy`,
          'IfNotPresent',
        ),
        backend(
          'backend.runMigrations: true by default',
          'spec.template.spec.initContainers.migrate.command',
          ['/app/.venv/bin/alembic', 'upgrade', 'head'],
        ),
        backend(
          'backend.runMigrations: with the image of the backend',
          'spec.template.spec.initContainers.migrate.image',
          'todo-backend:local',
        ),
        none('ingress.enabled: false by default', 'Ingress'),
      ],
    },
    {
      title: 'Helm Values Structure',
      facts: [
        unlike(
          'global.environment',
          'empty leaves ENVIRONMENT of the config as it is',
          'values.yaml',
          'global.environment',
          '',
        ),
        chart('global.imageTag: local by default', 'values.yaml', 'global.imageTag', 'local'),
        chart('global.imagePullPolicy', 'values.yaml', 'global.imagePullPolicy'),
        chart('frontend.replicaCount: 1 by default', 'values.yaml', 'frontend.replicaCount', 1),
        chart(
          'frontend.image.repository: todo-frontend by default',
          'values.yaml',
          'frontend.image.repository',
          'todo-frontend',
        ),
        chart('frontend.image.tag: local by default', 'values.yaml', 'global.imageTag', 'local'),
        chart(
          'frontend.service.type: NodePort or LoadBalancer',
          'values.yaml',
          'frontend.service.type',
          'NodePort',
        ),
        chart('frontend.service.port: 80 by default', 'values.yaml', 'frontend.service.port', 80),
        chart(
          'frontend.service.nodePort: 30080 by default',
          'values.yaml',
          'frontend.service.nodePort',
          30080,
        ),
        chart('frontend.resources, by default as above', 'values.yaml', 'frontend.resources', resources),
        chart('backend.replicaCount', 'values.yaml', 'backend.replicaCount'),
        chart('backend.image.repository', 'values.yaml', 'backend.image.repository', 'todo-backend'),
        chart('backend.image.tag', 'values.yaml', 'global.imageTag', 'local'),
        chart('backend.service.type: ClusterIP', 'values.yaml', 'backend.service.type', 'ClusterIP'),
        chart('backend.service.port: 8000 by default', 'values.yaml', 'backend.service.port', 8000),
        chart(
          'backend.resources: requests and limits of memory and cpu',
          'values.yaml',
          'backend.resources',
          resources,
        ),
        chart('backend.runMigrations: true by default', 'values.yaml', 'backend.runMigrations', true),
        chart('ingress.enabled: false by default', 'values.yaml', 'ingress.enabled', false),
        chart('ingress.className: nginx', 'values.yaml', 'ingress.className', 'nginx'),
        chart(
          'ingress.hosts: host, and paths with path, pathType and service',
          'values.yaml',
          'ingress.hosts',
        ),
        chart('secrets.databaseUrl', 'values.yaml', 'secrets.DATABASE_URL', ''),
        chart('secrets.betterAuthSecret', 'values.yaml', 'secrets.BETTER_AUTH_SECRET', ''),
        chart('secrets.openaiApiKey', 'values.yaml', 'secrets.OPENAI_API_KEY', ''),
        chart('secrets.mcpApiKey', 'values.yaml', 'secrets.MCP_API_KEY', ''),
        chart('secrets.openaiDomainKey', 'values.yaml', 'secrets.NEXT_PUBLIC_OPENAI_DOMAIN_KEY', ''),
        unlike(
          'secrets are populated in values-local.yaml',
          'the user writes that file, the chart has none',
          'values.yaml',
          'secrets',
        ),
      ],
    },
    {
      title: 'Docker Image Structure',
      facts: [
        file(
          'frontend: /app/server.js, the Next.js standalone server',
          images,
          'COPY --from=build /app/.next/standalone ./',
        ),
        file('frontend: /app/.next/static', images, 'COPY --from=build /app/.next/static ./.next/static'),
        file('frontend: /app/public', images, 'COPY --from=build /app/public ./public'),
        file('frontend: node (runtime)', images, 'CMD ["node", "server.js"]'),
        backend(
          'backend: /app/.venv, the Python virtual environment',
          'spec.template.spec.initContainers.migrate.command.0',
          '/app/.venv/bin/alembic',
        ),
        file('backend: /app/app, the FastAPI application', images, 'COPY app ./app'),
        backend(
          'backend: /app/alembic and /app/alembic.ini, found from /app',
          'spec.template.spec.initContainers.migrate.workingDir',
          '/app',
        ),
        file('backend: python (runtime)', images, 'FROM python:'),
      ],
    },
    {
      title: 'Environment Variable Flow',
      facts: [
        file('the file with the secrets is ignored by git', '.gitignore', '.env\n'),
        secrets('it becomes a Secret', 'type', 'Opaque'),
        config('and a ConfigMap', 'kind', 'ConfigMap'),
        frontend('Frontend Pod: envFrom configMapRef and secretRef', `${container}.envFrom`, bothSources),
        backend('Backend Pod: envFrom configMapRef and secretRef', `${container}.envFrom`, bothSources),
        chart('the Helm chart has templates/ that make the Secret', 'templates/app-secrets-secret.yaml'),
        chart('the Helm chart has templates/ that make the ConfigMap', 'templates/app-config-configmap.yaml'),
      ],
    },
    {
      title: 'Network Topology',
      facts: [
        frontendService('localhost:30080 leads to frontend-service', 'spec.ports.0.nodePort', 30080),
        endpoints('frontend-service leads to port 3000 of the Frontend Pod', 'frontend-service', 3000, 1),
        config(
          'Frontend Pod: API calls go to backend-service',
          'data.BACKEND_URL',
          'http://backend-service:8000',
        ),
        endpoints('backend-service leads to port 8000 of the Backend Pod', 'backend-service', 8000, 1),
        file('Neon PostgreSQL is reached with SSL', envExample, 'neon.tech/todo?ssl=require'),
        none('Neon PostgreSQL is external', 'StatefulSet'),
      ],
    },
  ],
};
