/** How elements of two lists are the same one: by their key fields, or by their value. Lists without a rule are one value as a whole. */
export type ListRule =
  | { readonly type: 'set' }
  | {
      readonly type: 'map';
      /** In alphabetical order, as they are written in paths. */
      readonly keys: readonly string[];
      /** What a key field left out counts as. */
      readonly defaults?: { readonly [key: string]: string };
    };

const byName: ListRule = { type: 'map', keys: ['name'] };
const byType: ListRule = { type: 'map', keys: ['type'] };
const byIp: ListRule = { type: 'map', keys: ['ip'] };
const byContainerPort: ListRule = {
  type: 'map',
  keys: ['containerPort', 'protocol'],
  defaults: { protocol: 'TCP' },
};
const set: ListRule = { type: 'set' };

/**
 * Lists whose elements have owners of their own, by `Type.field`: the `x-kubernetes-list-type` and
 * `x-kubernetes-list-map-keys` of the Kubernetes types. Server-side apply goes by these, and not by the merge keys of
 * strategic merge patches.
 */
export const listRules: { readonly [field: string]: ListRule } = {
  'ObjectMeta.finalizers': set,
  'ObjectMeta.ownerReferences': { type: 'map', keys: ['uid'] },
  'PodSpec.containers': byName,
  'PodSpec.initContainers': byName,
  'PodSpec.ephemeralContainers': byName,
  'PodSpec.hostAliases': byIp,
  'PodSpec.imagePullSecrets': byName,
  'PodSpec.resourceClaims': byName,
  'PodSpec.schedulingGates': byName,
  'PodSpec.topologySpreadConstraints': { type: 'map', keys: ['topologyKey', 'whenUnsatisfiable'] },
  'PodSpec.volumes': byName,
  'PodStatus.conditions': byType,
  'PodStatus.podIPs': byIp,
  'PodStatus.resourceClaimStatuses': byName,
  'Container.env': byName,
  'Container.ports': byContainerPort,
  'Container.volumeDevices': { type: 'map', keys: ['devicePath'] },
  'Container.volumeMounts': { type: 'map', keys: ['mountPath'] },
  'EphemeralContainer.env': byName,
  'EphemeralContainer.ports': byContainerPort,
  'EphemeralContainer.volumeDevices': { type: 'map', keys: ['devicePath'] },
  'EphemeralContainer.volumeMounts': { type: 'map', keys: ['mountPath'] },
  'ResourceRequirements.claims': byName,
  'ServiceSpec.ports': { type: 'map', keys: ['port', 'protocol'], defaults: { protocol: 'TCP' } },
  'ServiceStatus.conditions': byType,
  'ServiceAccount.secrets': byName,
  'NamespaceStatus.conditions': byType,
  'NodeSpec.podCIDRs': set,
  'NodeStatus.addresses': byType,
  'NodeStatus.conditions': byType,
  'ReplicaSetStatus.conditions': byType,
  'DeploymentStatus.conditions': byType,
  'DaemonSetStatus.conditions': byType,
  'StatefulSetStatus.conditions': byType,
  'PersistentVolumeClaimStatus.conditions': byType,
  'ServiceCIDRStatus.conditions': byType,
};

/** Types whose fields have one owner together (`x-kubernetes-map-type: atomic`). */
export const atomicTypes: ReadonlySet<string> = new Set([
  'ConfigMapKeySelector',
  'CoreEndpointPort',
  'EndpointAddress',
  'EndpointPort',
  'FileKeySelector',
  'LabelSelector',
  'LocalObjectReference',
  'NodeSelector',
  'NodeSelectorTerm',
  'ObjectFieldSelector',
  'ObjectReference',
  'OwnerReference',
  'ResourceFieldSelector',
  'RoleRef',
  'SecretKeySelector',
  'SecretReference',
  'Subject',
  'TypedLocalObjectReference',
]);

/** Maps whose entries have one owner together. */
export const atomicMaps: ReadonlySet<string> = new Set(['ServiceSpec.selector', 'PodSpec.nodeSelector']);

/**
 * Fields that an object always has, be they empty: structures that are no pointers in the Go types. Nobody can add
 * them, and so nobody owns them but by what is in them.
 */
export const alwaysPresent: ReadonlySet<string> = new Set([
  'PodTemplateSpec.metadata',
  'PodTemplateSpec.spec',
  'PodSpec.containers',
  'Container.resources',
  'ReplicaSetSpec.template',
  'DeploymentSpec.template',
  'DeploymentSpec.strategy',
  'DaemonSetSpec.template',
  'DaemonSetSpec.updateStrategy',
  'StatefulSetSpec.template',
  'StatefulSetSpec.updateStrategy',
  'ServiceStatus.loadBalancer',
  'CoreEvent.involvedObject',
  'CoreEvent.source',
  'NodeStatus.daemonEndpoints',
  'NodeStatus.nodeInfo',
  'Role.rules',
  'ClusterRole.rules',
  'EndpointSlice.endpoints',
  'EndpointSlice.ports',
]);
