import type {
  ClusterRoleBinding,
  Container,
  CoreEvent,
  DaemonSet,
  Deployment,
  EndpointSlice,
  Endpoints,
  IPAddress,
  Node,
  ReplicaSet,
  RoleBinding,
  Service,
  StatefulSet,
} from '../api/generated/types.ts';
import { formatLabelSelector } from '../api/label-selector.ts';
import type { KubernetesObject } from '../api/object.ts';
import type { ResourceKey, ResourceTypes } from '../api/resources.ts';
import { age } from '../component/duration.ts';
import { podColumns } from './pod-columns.ts';
import type { Column } from './strategy.ts';

type Value<T> = Column<T>['value'];

function column<T>(name: string, value: Value<T>, rest: Partial<Column<T>> = {}): Column<T> {
  return { name, type: 'string', description: name, priority: 0, value, ...rest };
}

const wide = { priority: 1 } as const;
const integer = { type: 'integer' } as const;

const nameColumn: Column<KubernetesObject> = column('Name', (o) => o.metadata?.name ?? '', { format: 'name' });
const ageColumn: Column<KubernetesObject> = column('Age', (o) => age(o.metadata?.creationTimestamp));
/** Roles show when they were made, not how long ago. */
const createdAtColumn: Column<KubernetesObject> = column('Created At', (o) => o.metadata?.creationTimestamp ?? '', {
  type: 'date',
});

/** The columns that kubectl's users know, by resource. */
export const columns: { readonly [K in ResourceKey]: readonly Column<ResourceTypes[K]>[] } = {
  namespaces: [nameColumn, column('Status', (o) => o.status?.phase ?? ''), ageColumn],
  nodes: [
    nameColumn,
    column('Status', nodeStatus),
    column('Roles', nodeRoles),
    ageColumn,
    column('Version', (o) => o.status?.nodeInfo?.kubeletVersion ?? ''),
    column('Internal-IP', (o) => nodeAddress(o, 'InternalIP'), wide),
    column('External-IP', (o) => nodeAddress(o, 'ExternalIP'), wide),
    column('OS-Image', (o) => o.status?.nodeInfo?.osImage || '<unknown>', wide),
    column('Kernel-Version', (o) => o.status?.nodeInfo?.kernelVersion || '<unknown>', wide),
    column('Container-Runtime', (o) => o.status?.nodeInfo?.containerRuntimeVersion || '<unknown>', wide),
  ],
  pods: podColumns(nameColumn, ageColumn),
  services: [
    nameColumn,
    column('Type', (o) => o.spec?.type ?? ''),
    column('Cluster-IP', (o) => o.spec?.clusterIP || '<none>'),
    column('External-IP', serviceExternalIp),
    column('Port(s)', servicePorts),
    ageColumn,
    column('Selector', (o) => formatLabels(o.spec?.selector), wide),
  ],
  endpoints: [nameColumn, column('Endpoints', formatEndpoints), ageColumn],
  configMaps: [
    nameColumn,
    column('Data', (o) => Object.keys(o.data ?? {}).length + Object.keys(o.binaryData ?? {}).length),
    ageColumn,
  ],
  secrets: [
    nameColumn,
    column('Type', (o) => o.type ?? ''),
    column('Data', (o) => Object.keys(o.data ?? {}).length),
    ageColumn,
  ],
  serviceAccounts: [nameColumn, column('Secrets', (o) => (o.secrets ?? []).length), ageColumn],
  events: [
    column('Last Seen', (o) => age(lastSeen(o))),
    column('Type', (o) => o.type ?? ''),
    column('Reason', (o) => o.reason ?? ''),
    column('Object', (o) => `${o.involvedObject?.kind?.toLowerCase() ?? ''}/${o.involvedObject?.name ?? ''}`),
    column('Subobject', (o) => o.involvedObject?.fieldPath ?? '', wide),
    column('Source', eventSource, wide),
    column('Message', (o) => (o.message ?? '').trim()),
    column('First Seen', (o) => age(o.firstTimestamp ?? o.eventTime), wide),
    column('Count', (o) => o.series?.count ?? o.count ?? 1, wide),
    { ...nameColumn, priority: 1 },
  ],
  endpointSlices: [
    nameColumn,
    column('AddressType', (o) => o.addressType),
    column('Ports', slicePorts),
    column('Endpoints', sliceEndpoints),
    ageColumn,
  ],
  serviceCidrs: [nameColumn, column('CIDRs', (o) => (o.spec?.cidrs ?? []).join(',')), ageColumn],
  ipAddresses: [nameColumn, column('ParentRef', parentReference), ageColumn],
  leases: [nameColumn, column('Holder', (o) => o.spec?.holderIdentity ?? ''), ageColumn],
  replicaSets: [
    nameColumn,
    column('Desired', (o) => o.spec?.replicas ?? 0, integer),
    column('Current', (o) => o.status?.replicas ?? 0, integer),
    column('Ready', (o) => o.status?.readyReplicas ?? 0, integer),
    ageColumn,
    ...workloadColumns<ReplicaSet>(),
  ],
  deployments: [
    nameColumn,
    column('Ready', (o) => `${o.status?.readyReplicas ?? 0}/${o.spec?.replicas ?? 0}`),
    column('Up-to-date', (o) => o.status?.updatedReplicas ?? 0),
    column('Available', (o) => o.status?.availableReplicas ?? 0),
    ageColumn,
    ...workloadColumns<Deployment>(),
  ],
  roles: [nameColumn, createdAtColumn],
  roleBindings: bindingColumns(),
  clusterRoles: [nameColumn, createdAtColumn],
  clusterRoleBindings: bindingColumns(),
  statefulSets: [
    nameColumn,
    column('Ready', (o) => `${o.status?.readyReplicas ?? 0}/${o.spec?.replicas ?? 0}`),
    ageColumn,
    ...workloadColumns<StatefulSet>().slice(0, 2),
  ],
  daemonSets: [
    nameColumn,
    column('Desired', (o) => o.status?.desiredNumberScheduled ?? 0, integer),
    column('Current', (o) => o.status?.currentNumberScheduled ?? 0, integer),
    column('Ready', (o) => o.status?.numberReady ?? 0, integer),
    column('Up-to-date', (o) => o.status?.updatedNumberScheduled ?? 0, integer),
    column('Available', (o) => o.status?.numberAvailable ?? 0, integer),
    column('Node Selector', (o) => formatLabels(o.spec?.template?.spec?.nodeSelector)),
    ageColumn,
    ...workloadColumns<DaemonSet>(),
  ],
  controllerRevisions: [
    nameColumn,
    column('Controller', (o) => controllerOf(o)),
    column('Revision', (o) => o.revision),
    ageColumn,
  ],
};

function bindingColumns<T extends RoleBinding | ClusterRoleBinding>(): readonly Column<T>[] {
  const subjects = (kind: string) => (o: T) =>
    (o.subjects ?? [])
      .filter((subject) => subject.kind === kind)
      .map(({ namespace, name }) => (namespace === undefined ? name : `${namespace}/${name}`))
      .join(', ');
  return [
    nameColumn,
    column('Role', (o) => `${o.roleRef.kind}/${o.roleRef.name}`),
    ageColumn,
    column('Users', subjects('User'), wide),
    column('Groups', subjects('Group'), wide),
    column('ServiceAccounts', subjects('ServiceAccount'), wide),
  ];
}

/** `statefulset.apps/web`, or `<none>`. */
function controllerOf({ metadata }: KubernetesObject): string {
  const owner = metadata?.ownerReferences?.find(({ controller }) => controller === true);
  if (owner === undefined) return '<none>';
  const [, group] = owner.apiVersion.split('/').reverse();
  return `${owner.kind.toLowerCase()}${group === undefined ? '' : `.${group}`}/${owner.name}`;
}

function workloadColumns<T extends ReplicaSet | Deployment | StatefulSet | DaemonSet>(): readonly Column<T>[] {
  const containers = (o: T): readonly Container[] => o.spec?.template?.spec?.containers ?? [];
  return [
    column(
      'Containers',
      (o) =>
        containers(o)
          .map((c) => c.name)
          .join(','),
      wide,
    ),
    column(
      'Images',
      (o) =>
        containers(o)
          .map((c) => c.image)
          .join(','),
      wide,
    ),
    column('Selector', (o) => formatLabelSelector(o.spec?.selector), wide),
  ];
}

/** `a=b,c=d`, or `<none>`. */
function formatLabels(labels: { readonly [key: string]: string } | undefined): string {
  const pairs = Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? '<none>' : pairs.sort().join(',');
}

/** `services/default/kubernetes`; with a group, `gateways.gateway.networking.k8s.io/default/outside`. */
function parentReference({ spec }: IPAddress): string {
  const { group, resource, namespace, name } = spec.parentRef;
  return [group ? `${resource}.${group}` : resource, ...(namespace ? [namespace] : []), name].join('/');
}

function nodeStatus(node: Node): string {
  const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready');
  const status = ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady';
  return node.spec?.unschedulable === true ? `${status},SchedulingDisabled` : status;
}

const rolePrefix = 'node-role.kubernetes.io/';

function nodeRoles(node: Node): string {
  const roles = Object.entries(node.metadata?.labels ?? {}).flatMap(([key, value]) => {
    if (key.startsWith(rolePrefix)) return key.slice(rolePrefix.length) || [];
    return key === 'kubernetes.io/role' && value !== '' ? value : [];
  });
  return roles.length === 0 ? '<none>' : [...new Set(roles)].sort().join(',');
}

function nodeAddress(node: Node, type: string): string {
  return node.status?.addresses?.find((address) => address.type === type)?.address ?? '<none>';
}

function serviceExternalIp(service: Service): string {
  const { type, externalIPs = [], externalName } = service.spec ?? {};
  if (type === 'ExternalName') return externalName ?? '<none>';
  const ingress = (service.status?.loadBalancer?.ingress ?? []).map((i) => i.ip ?? i.hostname ?? '');
  const all = type === 'LoadBalancer' ? [...ingress, ...externalIPs] : externalIPs;
  if (all.length > 0) return all.join(',');
  return type === 'LoadBalancer' ? '<pending>' : '<none>';
}

function servicePorts(service: Service): string {
  const ports = (service.spec?.ports ?? []).map(
    ({ port, nodePort, protocol }) => `${port}${nodePort ? `:${nodePort}` : ''}/${protocol}`,
  );
  return ports.length === 0 ? '<none>' : ports.join(',');
}

const maxShown = 3;

function shorten(items: readonly string[], none: string): string {
  if (items.length === 0) return none;
  const more = items.length - maxShown;
  return more > 0 ? `${items.slice(0, maxShown).join(',')} + ${more} more...` : items.join(',');
}

function formatEndpoints(endpoints: Endpoints): string {
  const pairs = (endpoints.subsets ?? []).flatMap(({ addresses = [], ports = [] }) =>
    ports.length === 0
      ? addresses.map(({ ip }) => ip)
      : ports.flatMap(({ port }) =>
          addresses.map(({ ip }) => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)),
        ),
  );
  return shorten(pairs, '<none>');
}

function slicePorts(slice: EndpointSlice): string {
  return shorten(
    (slice.ports ?? []).map((port) => (port.port === undefined ? '*' : String(port.port))),
    '<unset>',
  );
}

function sliceEndpoints(slice: EndpointSlice): string {
  return shorten(
    (slice.endpoints ?? []).flatMap((endpoint) => endpoint.addresses),
    '<unset>',
  );
}

function lastSeen(event: CoreEvent): string | undefined {
  return event.series?.lastObservedTime ?? event.lastTimestamp ?? event.firstTimestamp ?? event.eventTime;
}

function eventSource(event: CoreEvent): string {
  const component = event.source?.component ?? event.reportingComponent ?? '';
  const host = event.source?.host ?? event.reportingInstance ?? '';
  return host === '' ? component : `${component}, ${host}`;
}
