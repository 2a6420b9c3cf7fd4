import type { PolicyRule } from '../../api/generated/types.ts';
import { eventsRule, groups, readVerbs, rule } from './rules.ts';

const { apps, core, discovery, coordination } = groups;

/**
 * What each controller may do, by its name: its ClusterRole is `system:controller:NAME`, its service account
 * `kube-system/NAME`.
 */
export const controllerRoles: { readonly [name: string]: readonly PolicyRule[] } = {
  'daemon-set-controller': [
    rule(readVerbs, apps, 'daemonsets'),
    rule('update', apps, 'daemonsets/finalizers daemonsets/status'),
    rule('list watch', core, 'nodes'),
    rule('create delete list patch watch', core, 'pods'),
    rule('create', core, 'pods/binding'),
    rule('create delete get list patch update watch', apps, 'controllerrevisions'),
    eventsRule,
  ],
  'deployment-controller': [
    rule('get list patch update watch', apps, 'deployments'),
    rule('update', apps, 'deployments/finalizers deployments/status'),
    rule('create delete get list patch update watch', apps, 'replicasets'),
    rule('get list update watch', core, 'pods'),
    eventsRule,
  ],
  'endpoint-controller': [
    rule(readVerbs, core, 'pods services'),
    rule('create delete get list update', core, 'endpoints'),
    rule('create', core, 'endpoints/restricted'),
    eventsRule,
  ],
  'endpointslice-controller': [
    rule(readVerbs, core, 'nodes pods services'),
    rule('update', core, 'services/finalizers'),
    rule('create delete get list update', discovery, 'endpointslices'),
    rule('create', discovery, 'endpointslices/restricted'),
    eventsRule,
  ],
  'endpointslicemirroring-controller': [
    rule(readVerbs, core, 'endpoints services'),
    rule('update', core, 'endpoints/finalizers services/finalizers'),
    rule('create delete get list update', discovery, 'endpointslices'),
    rule('create', discovery, 'endpointslices/restricted'),
    eventsRule,
  ],
  'generic-garbage-collector': [rule('delete get list patch update watch', '*', '*'), eventsRule],
  'namespace-controller': [
    rule('delete get list watch', core, 'namespaces'),
    rule('update', core, 'namespaces/finalize namespaces/status'),
    rule('delete deletecollection get list', '*', '*'),
  ],
  'node-controller': [
    rule('delete get list patch update', core, 'nodes'),
    rule('patch update', core, 'nodes/status'),
    rule('patch update', core, 'pods/status'),
    rule('delete list', core, 'pods'),
    rule(readVerbs, coordination, 'leases'),
    eventsRule,
  ],
  'pod-garbage-collector': [
    rule('delete list watch', core, 'pods'),
    rule('get list', core, 'nodes'),
    rule('patch update', core, 'pods/status'),
  ],
  'replicaset-controller': [
    rule('get list update watch', apps, 'replicasets'),
    rule('update', apps, 'replicasets/finalizers replicasets/status'),
    rule('create delete list patch watch', core, 'pods'),
    eventsRule,
  ],
  'root-ca-cert-publisher': [rule('create update', core, 'configmaps'), eventsRule],
  'service-account-controller': [rule('create', core, 'serviceaccounts'), eventsRule],
  'service-controller': [
    rule(readVerbs, core, 'services'),
    // Its finalizer and annotation, and the addresses.
    rule('update', core, 'services'),
    rule('patch update', core, 'services/status'),
    rule('list watch', core, 'nodes'),
    eventsRule,
  ],
  'statefulset-controller': [
    rule(readVerbs, core, 'pods'),
    rule(readVerbs, apps, 'statefulsets'),
    rule('update', apps, 'statefulsets/finalizers statefulsets/status'),
    rule('create delete patch update', core, 'pods'),
    rule('create delete get list patch update watch', apps, 'controllerrevisions'),
    rule('create get', core, 'persistentvolumeclaims'),
    eventsRule,
  ],
};
