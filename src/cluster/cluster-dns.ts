import type {
  ClusterRole,
  ClusterRoleBinding,
  ConfigMap,
  Deployment,
  Service,
  ServiceAccount,
} from '../api/generated/types.ts';
import type { ResourceKey, ResourceTypes } from '../api/resources.ts';
import { type ApiClient, ApiError } from '../client/types.ts';
import { familyOf } from '../net/ip.ts';
import { apiPortInside, upstreams } from './component-specs.ts';
import type { ClusterPlan } from './plan.ts';

/** Where cluster DNS is, and what its Pods are known by. */
export const dnsNamespace = 'kube-system';
export const dnsLabels = { 'k8s-app': 'kube-dns' };
const namespace = dnsNamespace;
const labels = dnsLabels;
const configDir = '/etc/signalbox';
const account = 'coredns';
const role = 'system:coredns';
const rbacGroup = 'rbac.authorization.k8s.io';

/** What the DNS Pods are made from. */
export interface ClusterDnsOptions {
  readonly plan: ClusterPlan;
  /** The command line that `dns --config …` is added to. */
  readonly program: readonly [string, ...string[]];
}

/**
 * Creates what is missing of cluster DNS, and brings what a previous start left up to date: the program's place may have
 * changed.
 */
export async function createClusterDns(client: ApiClient, options: ClusterDnsOptions): Promise<void> {
  const objects = clusterDnsObjects(options);
  await Promise.all([
    createOrReplace(client, 'services', objects.service),
    createOrReplace(client, 'serviceAccounts', objects.serviceAccount),
    createOrReplace(client, 'clusterRoles', objects.role),
    createOrReplace(client, 'clusterRoleBindings', objects.binding),
    createOrReplace(client, 'configMaps', objects.configMap),
  ]);
  await createOrReplace(client, 'deployments', objects.deployment);
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

/** Cluster DNS as objects of the cluster: a Deployment behind the Service `kube-dns`, with the right to read Services. */
function clusterDnsObjects(options: ClusterDnsOptions): {
  readonly serviceAccount: ServiceAccount;
  readonly role: ClusterRole;
  readonly binding: ClusterRoleBinding;
  readonly configMap: ConfigMap;
  readonly deployment: Deployment;
  readonly service: Service;
} {
  const { plan } = options;
  const families = plan.dnsServiceIps.map(familyOf);
  // Pages on `::` are for both families.
  const everywhere = families.includes('IPv6') ? '::' : '0.0.0.0';
  const config = {
    listen: families.map((family) => ({ address: family === 'IPv4' ? '0.0.0.0' : '::', port: 53 })),
    clusterDomain: plan.domain,
    upstreams: upstreams(plan),
    health: { address: everywhere, port: 8080 },
    ready: { address: everywhere, port: 8181 },
    metrics: { address: everywhere, port: 9153 },
  };
  return {
    serviceAccount: { metadata: { name: account, namespace, labels } },
    role: {
      metadata: { name: role, labels },
      rules: [
        { verbs: ['list', 'watch'], apiGroups: [''], resources: ['namespaces', 'services'] },
        { verbs: ['list', 'watch'], apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'] },
      ],
    },
    binding: {
      metadata: { name: role, labels },
      roleRef: { apiGroup: rbacGroup, kind: 'ClusterRole', name: role },
      subjects: [{ kind: 'ServiceAccount', namespace, name: account }],
    },
    configMap: { metadata: { name: 'cluster-dns', namespace, labels }, data: { 'dns.json': JSON.stringify(config) } },
    deployment: clusterDnsDeployment(options),
    service: {
      metadata: {
        name: 'kube-dns',
        namespace,
        labels: { ...labels, 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' },
      },
      spec: {
        clusterIP: plan.dnsServiceIps[0],
        clusterIPs: [...plan.dnsServiceIps],
        ipFamilyPolicy: plan.dnsServiceIps.length > 1 ? 'RequireDualStack' : 'SingleStack',
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

function clusterDnsDeployment({ program, plan }: ClusterDnsOptions): Deployment {
  const arguments_ = ['dns', '--config', `${configDir}/config/dns.json`];
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
          serviceAccountName: account,
          containers: [
            {
              name: 'dns',
              image: 'signalbox/dns',
              command: [...program, ...arguments_],
              // Straight to the API server: names come before the proxy has made the Service's address work.
              env: [
                { name: 'KUBERNETES_SERVICE_HOST', value: plan.apiServers[0] },
                { name: 'KUBERNETES_SERVICE_PORT', value: String(apiPortInside) },
              ],
              ports: [
                { name: 'dns', containerPort: 53, protocol: 'UDP' },
                { name: 'dns-tcp', containerPort: 53, protocol: 'TCP' },
                { name: 'metrics', containerPort: 9153, protocol: 'TCP' },
              ],
              readinessProbe: { httpGet: { path: '/ready', port: 8181 }, periodSeconds: 1 },
              livenessProbe: { httpGet: { path: '/health', port: 8080 }, periodSeconds: 10, failureThreshold: 5 },
              volumeMounts: [{ name: 'config', mountPath: `${configDir}/config`, readOnly: true }],
            },
          ],
          volumes: [{ name: 'config', configMap: { name: 'cluster-dns' } }],
        },
      },
    },
  };
}
