import type { ConfigMap, Deployment, Secret, Service } from '../api/generated/types.ts';
import type { ResourceKey, ResourceTypes } from '../api/resources.ts';
import { type ApiClient, ApiError } from '../client/types.ts';
import type { ClusterPlan } from './plan.ts';

const namespace = 'kube-system';
const labels = { 'k8s-app': 'kube-dns' };
const configDir = '/etc/signalbox';

/** What the DNS Pods are made from. */
export interface ClusterDnsOptions {
  readonly plan: ClusterPlan;
  /** A kubeconfig that may watch Services and EndpointSlices. */
  readonly kubeconfig: string;
  /** The command line that `dns --kubeconfig … --config …` is added to. */
  readonly program: readonly [string, ...string[]];
}

/**
 * Creates what is missing of cluster DNS, and brings what a previous start left up to date: the kubeconfig and the
 * program's place may have changed.
 */
export async function createClusterDns(client: ApiClient, options: ClusterDnsOptions): Promise<void> {
  const { secret, configMap, deployment, service } = clusterDnsObjects(options);
  await createOrReplace(client, 'services', service);
  await createOrReplace(client, 'secrets', secret);
  await createOrReplace(client, 'configMaps', configMap);
  await createOrReplace(client, 'deployments', deployment);
}

async function createOrReplace<K extends ResourceKey>(
  client: ApiClient,
  resource: K,
  object: ResourceTypes[K],
): Promise<void> {
  try {
    await client.create(resource, object);
  } catch (error) {
    if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') throw error;
    const { name = '', namespace } = object.metadata ?? {};
    await client.patch(resource, { name, namespace }, { type: 'merge', body: object });
  }
}

/** Cluster DNS as objects of the cluster: a Deployment behind the Service `kube-dns`, in the order to create them. */
function clusterDnsObjects(options: ClusterDnsOptions): {
  readonly secret: Secret;
  readonly configMap: ConfigMap;
  readonly deployment: Deployment;
  readonly service: Service;
} {
  const { plan } = options;
  const config = {
    listen: [{ address: '0.0.0.0', port: 53 }],
    clusterDomain: plan.domain,
    // The cluster's own router passes these on to the host's resolvers.
    upstreams: [`${plan.nodeGateway}:53`],
    health: { address: '0.0.0.0', port: 8080 },
    ready: { address: '0.0.0.0', port: 8181 },
    metrics: { address: '0.0.0.0', port: 9153 },
  };
  return {
    secret: {
      metadata: { name: 'cluster-dns-kubeconfig', namespace, labels },
      type: 'Opaque',
      data: { kubeconfig: Buffer.from(options.kubeconfig).toString('base64') },
    },
    configMap: { metadata: { name: 'cluster-dns', namespace, labels }, data: { 'dns.json': JSON.stringify(config) } },
    deployment: clusterDnsDeployment(options.program),
    service: {
      metadata: {
        name: 'kube-dns',
        namespace,
        labels: { ...labels, 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' },
      },
      spec: {
        clusterIP: plan.dnsServiceIp,
        selector: labels,
        ports: [
          { name: 'dns', port: 53, protocol: 'UDP', targetPort: 'dns' },
          { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 'dns-tcp' },
          { name: 'metrics', port: 9153, protocol: 'TCP', targetPort: 'metrics' },
        ],
      },
    },
  };
}

function clusterDnsDeployment(program: readonly string[]): Deployment {
  const arguments_ = [
    'dns',
    '--kubeconfig',
    `${configDir}/auth/kubeconfig`,
    '--config',
    `${configDir}/config/dns.json`,
  ];
  return {
    metadata: { name: 'cluster-dns', namespace, labels },
    spec: {
      replicas: 1,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          // Its own names must not lead back to itself.
          dnsPolicy: 'Default',
          enableServiceLinks: false,
          containers: [
            {
              name: 'dns',
              image: 'signalbox/dns',
              command: [...program, ...arguments_],
              ports: [
                { name: 'dns', containerPort: 53, protocol: 'UDP' },
                { name: 'dns-tcp', containerPort: 53, protocol: 'TCP' },
                { name: 'metrics', containerPort: 9153, protocol: 'TCP' },
              ],
              readinessProbe: { httpGet: { path: '/ready', port: 8181 }, periodSeconds: 1 },
              livenessProbe: { httpGet: { path: '/health', port: 8080 }, periodSeconds: 10, failureThreshold: 5 },
              volumeMounts: [
                { name: 'auth', mountPath: `${configDir}/auth`, readOnly: true },
                { name: 'config', mountPath: `${configDir}/config`, readOnly: true },
              ],
            },
          ],
          volumes: [
            { name: 'auth', secret: { secretName: 'cluster-dns-kubeconfig', defaultMode: 0o400 } },
            { name: 'config', configMap: { name: 'cluster-dns' } },
          ],
        },
      },
    },
  };
}
