import { defaultEndpointSlice, defaultEndpoints, dropDeprecatedTopology } from '../api/defaults/endpoints.ts';
import { defaultPod } from '../api/defaults/pod.ts';
import { defaultRoleBinding } from '../api/defaults/rbac.ts';
import { defaultService } from '../api/defaults/service.ts';
import {
  defaultDaemonSet,
  defaultDeployment,
  defaultReplicaSet,
  defaultStatefulSet,
} from '../api/defaults/workload.ts';
import type { CoreEvent, ObjectReference, Pod, PodCondition, PodSpec } from '../api/generated/types.ts';
import { dns1123Label, dns1123Subdomain, pathSegment } from '../api/names.ts';
import { podQosClass } from '../api/pod-qos.ts';
import type { ResourceKey, ResourceTypes } from '../api/resources.ts';
import {
  validateConfigMap,
  validateDataUpdate,
  validateLease,
  validateNode,
  validateNodeUpdate,
  validateSecret,
  validateSecretUpdate,
} from '../api/validation/core.ts';
import {
  validateControllerRevision,
  validateControllerRevisionUpdate,
  validateDaemonSet,
} from '../api/validation/daemon-set.ts';
import { validateEndpointSlice, validateEndpointSliceUpdate, validateEndpoints } from '../api/validation/endpoints.ts';
import { validateEvent, validateEventOfGroup } from '../api/validation/event.ts';
import {
  ipAddressName,
  validateIpAddress,
  validateIpAddressUpdate,
  validateServiceCidr,
  validateServiceCidrUpdate,
} from '../api/validation/networking.ts';
import { validatePodSpec, validatePodUpdate } from '../api/validation/pod.ts';
import {
  validateClusterRole,
  validateClusterRoleBinding,
  validateRole,
  validateRoleBinding,
  validateRoleBindingUpdate,
} from '../api/validation/rbac.ts';
import { validateService, validateServiceUpdate } from '../api/validation/service.ts';
import { serviceWarnings } from '../api/validation/service-warnings.ts';
import { validateStatefulSet, validateStatefulSetUpdate } from '../api/validation/stateful-set.ts';
import { validateDeployment, validateReplicaSet, validateSelectorUpdate } from '../api/validation/workload.ts';
import { columns } from './columns.ts';
import { protectServiceCidr } from './service-cidrs.ts';
import { prepareServiceCreate, prepareServiceUpdate } from './service-update.ts';
import type { Strategy } from './strategy.ts';
import { countTemplate, numberTemplate } from './template-generation.ts';

const defaultGraceSeconds = 30;

const about = (event: CoreEvent): ObjectReference => event.involvedObject ?? {};

/** What is particular about each resource. */
export const strategies: { readonly [K in ResourceKey]: Strategy<ResourceTypes[K]> } = {
  namespaces: {
    name: dns1123Label,
    defaults: (object) => {
      object.metadata ??= {};
      // Selectors choose namespaces by this label.
      object.metadata.labels = { ...object.metadata.labels, 'kubernetes.io/metadata.name': object.metadata.name ?? '' };
    },
    prepareForCreate: (object) => {
      const finalizers = object.spec?.finalizers ?? [];
      object.spec = {
        ...object.spec,
        finalizers: finalizers.includes('kubernetes') ? finalizers : [...finalizers, 'kubernetes'],
      };
      object.status = { phase: 'Active' };
    },
    prepareForUpdate: (next, old) => {
      next.spec = { ...next.spec, ...(old.spec?.finalizers === undefined ? {} : { finalizers: old.spec.finalizers }) };
    },
    returnsDeleted: true,
    selectableFields: { 'status.phase': (o) => o.status?.phase ?? '' },
    columns: columns.namespaces,
  },
  nodes: {
    name: dns1123Subdomain,
    defaults: ({ spec }) => {
      // One field in two spellings: the older one knows a single family.
      if (spec?.podCIDR && !spec.podCIDRs?.length) spec.podCIDRs = [spec.podCIDR];
      else if (spec?.podCIDRs?.[0] !== undefined) spec.podCIDR ??= spec.podCIDRs[0];
    },
    prepareForCreate: (object) => {
      object.spec ??= {};
      object.status ??= {};
    },
    validate: validateNode,
    validateUpdate: validateNodeUpdate,
    selectableFields: { 'spec.unschedulable': (o) => String(o.spec?.unschedulable ?? false) },
    columns: columns.nodes,
  },
  pods: {
    name: dns1123Subdomain,
    defaults: (object) => {
      if (object.spec !== undefined) defaultPod(object.spec);
    },
    prepareForCreate: (object) => {
      object.status = { phase: 'Pending', qosClass: podQosClass(object.spec), ...whyGated(object.spec) };
    },
    validate: (object, errors) => validatePodSpec(object.spec ?? { containers: [] }, 'spec', errors),
    validateUpdate: validatePodUpdate,
    statusKeeps: ['ownerReferences'],
    generationOf: (object) => object.spec,
    returnsDeleted: true,
    selectableFields: {
      'spec.nodeName': (o) => o.spec?.nodeName ?? '',
      'spec.restartPolicy': (o) => o.spec?.restartPolicy ?? '',
      'spec.schedulerName': (o) => o.spec?.schedulerName ?? '',
      'spec.serviceAccountName': (o) => o.spec?.serviceAccountName ?? '',
      'spec.hostNetwork': (o) => String(o.spec?.hostNetwork ?? false),
      'status.phase': (o) => o.status?.phase ?? '',
      'status.podIP': (o) => o.status?.podIP ?? '',
      'status.nominatedNodeName': (o) => o.status?.nominatedNodeName ?? '',
    },
    gracePeriod: podGracePeriod,
    columns: columns.pods,
  },
  services: {
    name: dns1123Label,
    defaults: defaultService,
    prepareForCreate: prepareServiceCreate,
    prepareForUpdate: prepareServiceUpdate,
    validate: validateService,
    validateUpdate: validateServiceUpdate,
    warnings: serviceWarnings,
    createOnUpdate: true,
    returnsDeleted: true,
    selectableFields: {
      'spec.clusterIP': (o) => o.spec?.clusterIP ?? '',
      'spec.type': (o) => o.spec?.type ?? '',
    },
    columns: columns.services,
  },
  endpoints: {
    name: dns1123Subdomain,
    defaults: defaultEndpoints,
    validate: validateEndpoints,
    deprecation: 'v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice',
    createOnUpdate: true,
    columns: columns.endpoints,
  },
  configMaps: {
    name: dns1123Subdomain,
    validate: validateConfigMap,
    validateUpdate: validateDataUpdate,
    columns: columns.configMaps,
  },
  secrets: {
    name: dns1123Subdomain,
    defaults: (object) => {
      object.type ??= 'Opaque';
      const { stringData } = object;
      if (stringData === undefined) return;
      delete object.stringData;
      const encoded = Object.entries(stringData).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
      object.data = { ...object.data, ...Object.fromEntries(encoded) };
    },
    validate: validateSecret,
    validateUpdate: validateSecretUpdate,
    selectableFields: { type: (o) => o.type ?? '' },
    columns: columns.secrets,
  },
  serviceAccounts: { name: dns1123Subdomain, returnsDeleted: true, columns: columns.serviceAccounts },
  events: {
    name: dns1123Subdomain,
    validate: validateEvent,
    validateVersion: { 'events.k8s.io/v1': validateEventOfGroup },
    createOnUpdate: true,
    selectableFields: {
      'involvedObject.kind': (o) => about(o).kind ?? '',
      'involvedObject.namespace': (o) => about(o).namespace ?? '',
      'involvedObject.name': (o) => about(o).name ?? '',
      'involvedObject.uid': (o) => about(o).uid ?? '',
      'involvedObject.apiVersion': (o) => about(o).apiVersion ?? '',
      'involvedObject.resourceVersion': (o) => about(o).resourceVersion ?? '',
      'involvedObject.fieldPath': (o) => about(o).fieldPath ?? '',
      reason: (o) => o.reason ?? '',
      reportingComponent: (o) => o.reportingComponent ?? '',
      source: (o) => o.source?.component ?? o.reportingComponent ?? '',
      type: (o) => o.type ?? '',
    },
    columns: columns.events,
  },
  endpointSlices: {
    name: dns1123Subdomain,
    defaults: defaultEndpointSlice,
    prepareForCreate: dropDeprecatedTopology,
    prepareForUpdate: dropDeprecatedTopology,
    validate: validateEndpointSlice,
    validateUpdate: validateEndpointSliceUpdate,
    generationOf: ({ metadata, endpoints, ports }) => ({ labels: metadata?.labels, endpoints, ports }),
    columns: columns.endpointSlices,
  },
  serviceCidrs: {
    name: dns1123Subdomain,
    prepareForCreate: (object) => {
      object.status = {};
      protectServiceCidr(object);
    },
    validate: validateServiceCidr,
    validateUpdate: validateServiceCidrUpdate,
    columns: columns.serviceCidrs,
  },
  ipAddresses: {
    name: ipAddressName,
    validate: validateIpAddress,
    validateUpdate: validateIpAddressUpdate,
    columns: columns.ipAddresses,
  },
  leases: {
    name: dns1123Subdomain,
    validate: validateLease,
    createOnUpdate: true,
    needsVersion: true,
    columns: columns.leases,
  },
  replicaSets: {
    name: dns1123Subdomain,
    defaults: defaultReplicaSet,
    prepareForCreate: (object) => {
      object.status = { replicas: 0 };
    },
    validate: validateReplicaSet,
    validateUpdate: validateSelectorUpdate,
    generationOf: (object) => object.spec,
    columns: columns.replicaSets,
  },
  roles: {
    name: pathSegment,
    validate: validateRole,
    createOnUpdate: true,
    columns: columns.roles,
  },
  roleBindings: {
    name: pathSegment,
    defaults: defaultRoleBinding,
    validate: validateRoleBinding,
    createOnUpdate: true,
    validateUpdate: validateRoleBindingUpdate,
    columns: columns.roleBindings,
  },
  clusterRoles: {
    name: pathSegment,
    validate: validateClusterRole,
    createOnUpdate: true,
    columns: columns.clusterRoles,
  },
  clusterRoleBindings: {
    name: pathSegment,
    defaults: defaultRoleBinding,
    validate: validateClusterRoleBinding,
    createOnUpdate: true,
    validateUpdate: validateRoleBindingUpdate,
    columns: columns.clusterRoleBindings,
  },
  deployments: {
    name: dns1123Subdomain,
    defaults: defaultDeployment,
    prepareForCreate: (object) => {
      object.status = {};
    },
    validate: validateDeployment,
    validateUpdate: validateSelectorUpdate,
    statusKeeps: ['labels'],
    generationOf: (object) => ({ spec: object.spec, annotations: object.metadata?.annotations }),
    columns: columns.deployments,
  },
  statefulSets: {
    name: dns1123Label,
    defaults: defaultStatefulSet,
    prepareForCreate: (object) => {
      object.status = { replicas: 0, availableReplicas: 0 };
    },
    validate: validateStatefulSet,
    validateUpdate: validateStatefulSetUpdate,
    generationOf: (object) => object.spec,
    columns: columns.statefulSets,
  },
  daemonSets: {
    name: dns1123Subdomain,
    defaults: defaultDaemonSet,
    prepareForCreate: (object) => {
      object.status = { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 };
      numberTemplate(object);
    },
    prepareForUpdate: countTemplate,
    validate: validateDaemonSet,
    validateUpdate: validateSelectorUpdate,
    generationOf: (object) => object.spec,
    columns: columns.daemonSets,
  },
  controllerRevisions: {
    name: dns1123Subdomain,
    validate: validateControllerRevision,
    validateUpdate: validateControllerRevisionUpdate,
    columns: columns.controllerRevisions,
  },
};

/** Said from the start, as no scheduler looks at a Pod with gates. */
function whyGated(spec: PodSpec | undefined): { readonly conditions?: PodCondition[] } {
  if ((spec?.schedulingGates ?? []).length === 0) return {};
  const message = 'Scheduling is blocked due to non-empty scheduling gates';
  return { conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated', message }] };
}

/** A Pod that no node has, or that has ended, goes at once; others get the time asked for, or their own. */
function podGracePeriod(pod: Pod, asked: number | undefined): number {
  const { phase } = pod.status ?? {};
  if (!pod.spec?.nodeName || phase === 'Succeeded' || phase === 'Failed') return 0;
  const seconds = asked ?? pod.spec.terminationGracePeriodSeconds ?? defaultGraceSeconds;
  return seconds < 0 ? 1 : seconds;
}
