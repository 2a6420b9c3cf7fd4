import type { ClusterRole, PolicyRule } from '../../api/generated/types.ts';
import { controllerRoles } from './controller-roles.ts';
import { nodeRules } from './node-rules.ts';
import { eventsRule, groups, pathRule, readVerbs, rule, writeVerbs } from './rules.ts';

const { apps, authentication, authorization, autoscaling, batch, coordination } = groups;
const { core, discovery, networking, policy, rbac } = groups;

const aggregateTo = (role: string) => `rbac.authorization.k8s.io/aggregate-to-${role}`;
const healthPaths = ['/healthz', '/livez', '/readyz', '/version', '/version/'];
const workloads =
  'daemonsets deployments deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale';
const runInPods = 'pods/attach pods/exec pods/portforward pods/proxy';

/** What `view` is made of. */
const viewRules: readonly PolicyRule[] = [
  rule(
    readVerbs,
    core,
    'configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status',
  ),
  rule(
    readVerbs,
    core,
    'bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas resourcequotas/status',
  ),
  rule(readVerbs, core, 'namespaces'),
  rule(readVerbs, discovery, 'endpointslices'),
  rule(
    readVerbs,
    apps,
    `controllerrevisions ${workloads} daemonsets/status deployments/status replicasets/status statefulsets/status`,
  ),
  rule(readVerbs, autoscaling, 'horizontalpodautoscalers horizontalpodautoscalers/status'),
  rule(readVerbs, batch, 'cronjobs cronjobs/status jobs jobs/status'),
  rule(readVerbs, policy, 'poddisruptionbudgets poddisruptionbudgets/status'),
  rule(readVerbs, networking, 'ingresses ingresses/status networkpolicies'),
];

/** What `edit` has beyond `view`. */
const editRules: readonly PolicyRule[] = [
  rule(readVerbs, core, `${runInPods} secrets services/proxy`),
  rule('impersonate', core, 'serviceaccounts'),
  rule(writeVerbs, core, `pods ${runInPods}`),
  rule('create', core, 'pods/eviction'),
  rule(
    writeVerbs,
    core,
    'configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy',
  ),
  rule('create', core, 'serviceaccounts/token'),
  rule(writeVerbs, apps, `${workloads} deployments/rollback`),
  rule(writeVerbs, autoscaling, 'horizontalpodautoscalers'),
  rule(writeVerbs, batch, 'cronjobs jobs'),
  rule(writeVerbs, policy, 'poddisruptionbudgets'),
  rule(writeVerbs, networking, 'ingresses networkpolicies'),
  rule(`${writeVerbs} ${readVerbs}`, coordination, 'leases'),
];

/** What `admin` has beyond `edit`. */
const adminRules: readonly PolicyRule[] = [
  rule('create', authorization, 'localsubjectaccessreviews'),
  rule(`${writeVerbs} ${readVerbs}`, rbac, 'rolebindings roles'),
];

const schedulerRules: readonly PolicyRule[] = [
  eventsRule,
  rule('create', coordination, 'leases'),
  { ...rule('get update', coordination, 'leases'), resourceNames: ['kube-scheduler'] },
  rule(readVerbs, core, 'nodes'),
  rule(`delete ${readVerbs}`, core, 'pods'),
  rule('create', core, 'bindings pods/binding'),
  rule('patch update', core, 'pods/status'),
  rule(readVerbs, core, 'replicationcontrollers services'),
  rule(readVerbs, apps, 'replicasets statefulsets'),
  rule(readVerbs, policy, 'poddisruptionbudgets'),
  rule(readVerbs, core, 'namespaces persistentvolumeclaims persistentvolumes'),
  rule('create', authentication, 'tokenreviews'),
  rule('create', authorization, 'subjectaccessreviews'),
];

/** What the process of the controllers needs beside the controllers' own roles. */
const controllerManagerRules: readonly PolicyRule[] = [
  eventsRule,
  rule('create', coordination, 'leases'),
  { ...rule('get update', coordination, 'leases'), resourceNames: ['kube-controller-manager'] },
  rule('create', core, 'secrets serviceaccounts'),
  rule('delete', core, 'secrets'),
  rule('get', core, 'configmaps namespaces secrets serviceaccounts'),
  rule('update', core, 'secrets serviceaccounts'),
  rule('create', authentication, 'tokenreviews'),
  rule('create', authorization, 'subjectaccessreviews'),
  rule('list watch', '*', '*'),
  rule('create', core, 'serviceaccounts/token'),
];

const proxyRules: readonly PolicyRule[] = [
  rule('list watch', core, 'endpoints services'),
  rule(readVerbs, core, 'nodes'),
  eventsRule,
  rule('list watch', discovery, 'endpointslices'),
  rule('list watch', networking, 'servicecidrs'),
];

/** Announces balancers' addresses; by an annotation of a Service it asks for another one. */
const speakerRules: readonly PolicyRule[] = [
  rule(`patch ${readVerbs}`, core, 'services'),
  rule(readVerbs, core, 'nodes'),
  rule(readVerbs, discovery, 'endpointslices'),
  eventsRule,
];

/** The DNS server that each node may have. */
const nodeDnsRules: readonly PolicyRule[] = [
  rule('list watch', core, 'namespaces services'),
  rule('list watch', discovery, 'endpointslices'),
];

/** Relays from the host to Services; of ports that are taken it tells by events. */
const publisherRules: readonly PolicyRule[] = [
  rule(readVerbs, core, 'nodes services'),
  rule(readVerbs, discovery, 'endpointslices'),
  eventsRule,
];

/** The cluster roles that users of Kubernetes expect, by name, as Kubernetes has them for the resources served here. */
export const defaultClusterRoles: readonly ClusterRole[] = [
  role('cluster-admin', [rule('*', '*', '*'), pathRule('*', '*')]),
  aggregated('admin', {}, [...editRules, ...viewRules, ...adminRules]),
  aggregated('edit', { [aggregateTo('admin')]: 'true' }, [...editRules, ...viewRules]),
  aggregated('view', { [aggregateTo('edit')]: 'true' }, viewRules),
  role('system:aggregate-to-admin', adminRules, { [aggregateTo('admin')]: 'true' }),
  role('system:aggregate-to-edit', editRules, { [aggregateTo('edit')]: 'true' }),
  role('system:aggregate-to-view', viewRules, { [aggregateTo('view')]: 'true' }),
  role('system:auth-delegator', [
    rule('create', authentication, 'tokenreviews'),
    rule('create', authorization, 'subjectaccessreviews'),
  ]),
  role('system:basic-user', [
    rule('create', authorization, 'selfsubjectaccessreviews selfsubjectrulesreviews'),
    rule('create', authentication, 'selfsubjectreviews'),
  ]),
  role('system:discovery', [
    pathRule('get', '/api', '/api/*', '/apis', '/apis/*', '/openapi', '/openapi/*', ...healthPaths),
  ]),
  role('system:public-info-viewer', [pathRule('get', ...healthPaths)]),
  role('system:monitoring', [
    pathRule('get', '/healthz', '/healthz/*', '/livez', '/livez/*', '/metrics', '/readyz', '/readyz/*'),
  ]),
  role('system:service-account-issuer-discovery', [
    pathRule(
      'get',
      '/.well-known/openid-configuration',
      '/.well-known/openid-configuration/',
      '/openid/v1/jwks',
      '/openid/v1/jwks/',
    ),
  ]),
  role('system:node', nodeRules),
  // On a real node routes to the others' Pods are a network plug-in's work, which brings such a role along.
  role('signalbox:node-routes', [rule(readVerbs, core, 'nodes')]),
  role('signalbox:speaker', speakerRules),
  role('signalbox:node-dns', nodeDnsRules),
  role('signalbox:publisher', publisherRules),
  role('system:node-proxier', proxyRules),
  role('system:kube-scheduler', schedulerRules),
  role('system:kube-controller-manager', controllerManagerRules),
  role('system:kube-dns', [rule('list watch', core, 'endpoints services')]),
  ...Object.entries(controllerRoles).map(([name, rules]) => role(`system:controller:${name}`, rules)),
];

function role(name: string, rules: readonly PolicyRule[], labels: Record<string, string> = {}): ClusterRole {
  return { metadata: { name, labels }, rules: [...rules] };
}

/** A role that is the sum of those that carry its label; `rules` is that sum, so that the first start need not make it. */
function aggregated(name: string, labels: Record<string, string>, rules: readonly PolicyRule[]): ClusterRole {
  const clusterRoleSelectors = [{ matchLabels: { [aggregateTo(name)]: 'true' } }];
  return { metadata: { name, labels }, aggregationRule: { clusterRoleSelectors }, rules: [...rules] };
}
