const labels = (component: string): Record<string, string> => ({
  'app.kubernetes.io/name': `shop-${component}`,
  'app.kubernetes.io/component': component,
});

/** Texts that some reader on the way takes for more than text. */
export const awkward: Readonly<Record<string, string>> = {
  BRACES: '{{ .Values.x }} {{- end }} }} {{{',
  QUOTES: `'single' "double" \`back\` \\n`,
  COLON: 'a: b # no comment',
  ZEROS: '007',
  OCTAL: '0o17',
  YES: 'yes',
  NOTHING: 'null',
  TILDE: '~',
  EXPONENT: '1e3',
  TIME: '12:30:00',
  DATE: '2001-01-01',
  INFINITY: '.inf',
  UNDERSCORE: '1_000',
  LINES: 'first\n  second\n\nlast\n',
  TRAILING: 'blank at the end \nof a line',
  TAB: '\tfirst',
  CARRIAGE: 'a\r\nb',
  UNICODE: 'é 日本 🚀 \u200b e\u0301',
  DOLLAR: '$HOME ${HOME} $(HOME)',
  BLANK: ' ',
  STAR: '*a &b !c %d @e |f >g -h ?i',
  MERGE: '<<',
  EQUALS: '=',
  LONG: 'word '.repeat(60).trim(),
};

const pod = (name: string, more: object = {}, container: object = {}): object => ({
  ...more,
  containers: [{ name, image: `registry.example.com:5000/shop/${name}:1.2.3`, ...container }],
});

const deployment = (name: string, spec: object, template: object): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, labels: labels(name), annotations: { note: 'with {{ braces }}' } },
  spec: {
    selector: { matchLabels: labels(name) },
    ...spec,
    template: { metadata: { labels: labels(name), annotations: { port: '8080' } }, spec: template },
  },
});

const webApi = deployment(
  'web-api',
  {},
  {
    ...pod(
      'web-api',
      { serviceAccountName: 'web-api', imagePullSecrets: [{ name: 'registry' }] },
      {
        imagePullPolicy: 'IfNotPresent',
        command: ['sh', '-c', 'echo {{ "$X" }}; exec serve'],
        ports: [{ name: 'http', containerPort: 8080 }],
        env: [
          { name: 'ZULU', value: 'last letter, first entry' },
          { name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
          { name: 'KEY', valueFrom: { secretKeyRef: { name: 'web-secrets', key: 'jwt-secret' } } },
          { name: 'MODE', valueFrom: { configMapKeyRef: { name: 'web-config', key: 'ENVIRONMENT' } } },
          ...Object.entries(awkward).map(([name, value]) => ({ name, value })),
        ],
        envFrom: [{ configMapRef: { name: 'shared' } }, { secretRef: { name: 'web-secrets' } }],
        resources: { requests: { cpu: 1, memory: '128Mi' }, limits: { memory: '1Gi' } },
        volumeMounts: [{ name: 'files', mountPath: '/files' }],
      },
    ),
    initContainers: [
      {
        name: 'copy',
        image: 'busybox:1.36',
        command: ['cp', '/a', '/b'],
        env: [{ name: 'FROM', value: '/a' }],
      },
      { name: 'check', image: 'registry.example.com:5000/shop/web-api:1.2.3', args: ['check'] },
    ],
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: labels('web-api') },
      },
    ],
    volumes: [
      {
        name: 'files',
        projected: {
          sources: [
            { configMap: { name: 'nginx-files' } },
            { secret: { name: 'web-secrets', optional: true } },
          ],
        },
      },
    ],
  },
);

const store = {
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  metadata: { name: 'store', labels: labels('store') },
  spec: {
    serviceName: 'store',
    replicas: 2,
    selector: { matchLabels: labels('store') },
    template: {
      metadata: { labels: labels('store') },
      spec: pod(
        'store',
        {},
        {
          image: `docker.io/library/redis@sha256:${'a'.repeat(64)}`,
          envFrom: [{ configMapRef: { name: 'shared' } }],
          volumeMounts: [{ name: 'data', mountPath: '/data' }],
        },
      ),
    },
    volumeClaimTemplates: [
      {
        metadata: { name: 'data' },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
      },
    ],
  },
};

const migrate = {
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: 'migrate', labels: labels('migrate'), annotations: { 'strata.dev/run': 'before' } },
  spec: {
    backoffLimit: 2,
    template: {
      metadata: { labels: labels('migrate') },
      spec: {
        restartPolicy: 'Never',
        ...pod(
          'migrate',
          { serviceAccountName: 'web-api' },
          {
            image: 'registry.example.com:5000/shop/web-api:1.2.3',
            imagePullPolicy: 'IfNotPresent',
            args: ['migrate'],
            envFrom: [{ configMapRef: { name: 'shared' } }, { secretRef: { name: 'web-secrets' } }],
          },
        ),
      },
    },
  },
};

const objects: Record<string, object> = {
  'web-api.yaml': webApi,
  'store.yaml': store,
  'migrate.yaml': migrate,
  'services.yaml': {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web-api', annotations: { owner: 'team {{ a }}' } },
    spec: {
      type: 'LoadBalancer',
      selector: labels('web-api'),
      ports: [
        { name: 'http', port: 80, targetPort: 'http', nodePort: 30090 },
        { name: 'metrics', port: 9090, targetPort: 9090, nodePort: 30091 },
      ],
    },
  },
  'store-service.yaml': {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'store' },
    spec: { clusterIP: 'None', selector: labels('store'), ports: [{ port: 6379 }] },
  },
  'account.yaml': { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'web-api' } },
  'files.yaml': {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'nginx-files' },
    data: { 'nginx.conf': 'server {\n  listen 80;\n  # {{ not ours }}\n}\n', ...awkward },
  },
  'tls.yaml': {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'web-tls' },
    type: 'kubernetes.io/tls',
    stringData: { 'tls.crt': 'canary-certificate-in-the-tree', 'tls.key': 'canary-key-in-the-tree' },
  },
  'hpa.yaml': {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'web-api' },
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web-api' },
      minReplicas: 2,
      maxReplicas: 6,
      metrics: [
        {
          type: 'Resource',
          resource: { name: 'memory', target: { type: 'Utilization', averageUtilization: 75 } },
        },
        {
          type: 'Pods',
          pods: { metric: { name: 'rps' }, target: { type: 'AverageValue', averageValue: '10' } },
        },
      ],
      behavior: { scaleDown: { stabilizationWindowSeconds: 60 } },
    },
  },
  'pdb.yaml': {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: 'web-api' },
    spec: { minAvailable: 1, selector: { matchLabels: labels('web-api') } },
  },
  'policy.yaml': {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'store' },
    spec: {
      podSelector: { matchLabels: labels('store') },
      ingress: [{ from: [{ podSelector: { matchLabels: labels('web-api') } }] }],
    },
  },
  'role.yaml': {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: { name: 'reader' },
    rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }],
  },
  'binding.yaml': {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: 'reader' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
    subjects: [{ kind: 'ServiceAccount', name: 'web-api', namespace: 'shop' }],
  },
  'cron.yaml': {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name: 'tidy' },
    spec: {
      schedule: '*/5 * * * *',
      jobTemplate: {
        spec: {
          template: {
            spec: {
              restartPolicy: 'Never',
              ...pod('tidy', {}, { envFrom: [{ configMapRef: { name: 'shared' } }] }),
            },
          },
        },
      },
    },
  },
  'ingress.yaml': {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name: 'shop', annotations: { 'nginx.ingress.kubernetes.io/rewrite-target': '/$1' } },
    spec: {
      ingressClassName: 'nginx',
      tls: [{ hosts: ['shop.example.com'], secretName: 'web-tls' }],
      rules: [
        {
          host: 'shop.example.com',
          http: {
            paths: [
              {
                path: '/api/(.*)',
                pathType: 'ImplementationSpecific',
                backend: { service: { name: 'web-api', port: { name: 'http' } } },
              },
              {
                path: '/metrics',
                pathType: 'Exact',
                backend: { service: { name: 'web-api', port: { number: 9090 } } },
              },
              {
                path: '/store',
                pathType: 'Prefix',
                backend: { service: { name: 'store', port: { number: 6379 } } },
              },
            ],
          },
        },
      ],
    },
  },
  'namespace.yaml': { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } },
};

const contract = {
  configMaps: {
    'web-config': {
      ENVIRONMENT: { default: 'staging', oneOf: ['staging', 'production'] },
      STORE_URL: { default: 'http://store:6379', format: 'http-url' },
      LEVEL: { optional: true, pattern: '^[a-z]+$' },
      WORKERS: { default: '4', format: 'integer' },
      'data.key': { env: 'DATA_KEY', default: 'x' },
    },
    shared: Object.fromEntries(
      Object.entries(awkward).map(([key, value]) => [key, { env: `SHARED_${key}`, default: value }]),
    ),
    empty: {},
  },
  secrets: {
    'web-secrets': {
      'jwt-secret': {
        env: 'JWT_SECRET',
        minLength: 32,
        generate: true,
        description: 'Signs "tokens" {{ x }}',
      },
      API_KEY: { optional: true },
    },
    'only-optional': { OTHER_KEY: { optional: true } },
  },
};

/** An overlay `shop` with everything that a chart knows of and values that are hard to quote. */
export const richTree: Readonly<Record<string, string>> = {
  'overlays/shop/kustomization.yaml': JSON.stringify({ namespace: 'shop', resources: Object.keys(objects) }),
  'overlays/shop/strata.yaml': JSON.stringify(contract),
  ...Object.fromEntries(
    Object.entries(objects).map(([file, object]) => [`overlays/shop/${file}`, JSON.stringify(object)]),
  ),
};

export const richSecrets = {
  JWT_SECRET: "canary jwt 'quoted' {{ x }} 0123456789",
  API_KEY: 'canary-api-key: 日本',
};
