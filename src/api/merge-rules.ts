/** How a strategic merge patch treats a list or object field. */
export interface MergeRule {
  /** Field by which elements of two lists are the same; absent for lists of plain values, and for objects. */
  readonly key?: string;
  /** Fields that the patch does not retain by name are dropped: for unions, of which only one member may be set. */
  readonly retainKeys?: boolean;
}

const byName: MergeRule = { key: 'name' };
const byType: MergeRule = { key: 'type' };
const union: MergeRule = { key: 'name', retainKeys: true };
const values: MergeRule = {};

/**
 * Lists that are merged instead of replaced, by `Type.field`: the `patchStrategy` and `patchMergeKey` tags of the
 * Kubernetes types.
 */
export const mergeRules: { readonly [field: string]: MergeRule } = {
  'ObjectMeta.ownerReferences': { key: 'uid' },
  'ObjectMeta.finalizers': values,
  'PodSpec.volumes': union,
  'PodSpec.initContainers': byName,
  'PodSpec.containers': byName,
  'PodSpec.ephemeralContainers': byName,
  'PodSpec.imagePullSecrets': byName,
  'PodSpec.hostAliases': { key: 'ip' },
  'PodSpec.topologySpreadConstraints': { key: 'topologyKey' },
  'PodSpec.resourceClaims': union,
  'PodSpec.schedulingGates': byName,
  'PodStatus.conditions': byType,
  'PodStatus.podIPs': { key: 'ip' },
  'PodStatus.hostIPs': { key: 'ip' },
  'PodStatus.resourceClaimStatuses': union,
  'Container.ports': { key: 'containerPort' },
  'Container.env': byName,
  'Container.volumeMounts': { key: 'mountPath' },
  'Container.volumeDevices': { key: 'devicePath' },
  'EphemeralContainer.ports': { key: 'containerPort' },
  'EphemeralContainer.env': byName,
  'EphemeralContainer.volumeMounts': { key: 'mountPath' },
  'EphemeralContainer.volumeDevices': { key: 'devicePath' },
  'ServiceSpec.ports': { key: 'port' },
  'ServiceStatus.conditions': byType,
  'ServiceAccount.secrets': byName,
  'NodeSpec.podCIDRs': values,
  'NodeStatus.conditions': byType,
  'NodeStatus.addresses': byType,
  'NamespaceStatus.conditions': byType,
  'ReplicaSetStatus.conditions': byType,
  'DeploymentStatus.conditions': byType,
  'DeploymentSpec.strategy': { retainKeys: true },
  'DaemonSetStatus.conditions': byType,
  'StatefulSetStatus.conditions': byType,
  'PersistentVolumeClaimStatus.conditions': byType,
};
