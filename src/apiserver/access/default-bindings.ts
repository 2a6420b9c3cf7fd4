import type { ClusterRoleBinding, Subject } from '../../api/generated/types.ts';
import { rbacGroup } from '../../api/validation/rbac.ts';
import { controllerRoles } from './controller-roles.ts';

/** All controllers run in one process, which has the rights of each. */
const controllerManager = user('system:kube-controller-manager');
const authenticated = group('system:authenticated');

/** To whom the default cluster roles are given. */
export const defaultClusterRoleBindings: readonly ClusterRoleBinding[] = [
  binding('cluster-admin', [group('system:masters')]),
  binding('system:basic-user', [authenticated]),
  binding('system:discovery', [authenticated]),
  binding('system:public-info-viewer', [authenticated, group('system:unauthenticated')]),
  binding('system:monitoring', [group('system:monitoring')]),
  binding('system:service-account-issuer-discovery', [group('system:serviceaccounts')]),
  // Without subjects: what a node may do hangs on its Pods, and is decided by the node authorizer.
  binding('system:node', []),
  binding('signalbox:node-routes', [group('system:nodes')]),
  binding('signalbox:speaker', [user('signalbox:speaker')]),
  binding('signalbox:node-dns', [user('signalbox:node-dns')]),
  binding('signalbox:publisher', [user('signalbox:publisher')]),
  binding('system:node-proxier', [user('system:kube-proxy')]),
  binding('system:kube-scheduler', [user('system:kube-scheduler'), controllerManager]),
  binding('system:kube-controller-manager', [controllerManager]),
  binding('system:kube-dns', [serviceAccount('kube-dns')]),
  ...Object.keys(controllerRoles).map((name) =>
    binding(`system:controller:${name}`, [serviceAccount(name), controllerManager]),
  ),
];

function binding(name: string, subjects: readonly Subject[]): ClusterRoleBinding {
  return {
    metadata: { name },
    roleRef: { apiGroup: rbacGroup, kind: 'ClusterRole', name },
    ...(subjects.length === 0 ? {} : { subjects: [...subjects] }),
  };
}

function user(name: string): Subject {
  return { kind: 'User', apiGroup: rbacGroup, name };
}

function group(name: string): Subject {
  return { kind: 'Group', apiGroup: rbacGroup, name };
}

function serviceAccount(name: string): Subject {
  return { kind: 'ServiceAccount', namespace: 'kube-system', name };
}
