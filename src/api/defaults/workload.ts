import type { DaemonSet, Deployment, ReplicaSet, StatefulSet } from '../generated/types.ts';
import { defaultPodTemplate } from './pod.ts';

/** Sets in place what Kubernetes sets when a ReplicaSet leaves it open. */
export function defaultReplicaSet(object: ReplicaSet): void {
  object.spec ??= { selector: {} };
  object.spec.replicas ??= 1;
  defaultPodTemplate(object.spec.template);
}

/** Sets in place what Kubernetes sets when a Deployment leaves it open. */
export function defaultDeployment(object: Deployment): void {
  const { spec } = object;
  if (spec === undefined) return;
  spec.replicas ??= 1;
  spec.strategy ??= {};
  spec.strategy.type ??= 'RollingUpdate';
  if (spec.strategy.type === 'RollingUpdate') {
    spec.strategy.rollingUpdate ??= {};
    spec.strategy.rollingUpdate.maxUnavailable ??= '25%';
    spec.strategy.rollingUpdate.maxSurge ??= '25%';
  }
  spec.revisionHistoryLimit ??= 10;
  spec.progressDeadlineSeconds ??= 600;
  defaultPodTemplate(spec.template);
}

/** Sets in place what Kubernetes sets when a StatefulSet leaves it open. */
export function defaultStatefulSet(object: StatefulSet): void {
  const { spec } = object;
  if (spec === undefined) return;
  spec.replicas ??= 1;
  spec.podManagementPolicy ??= 'OrderedReady';
  spec.updateStrategy ??= {};
  spec.updateStrategy.type ??= 'RollingUpdate';
  if (spec.updateStrategy.type === 'RollingUpdate') {
    spec.updateStrategy.rollingUpdate ??= {};
    spec.updateStrategy.rollingUpdate.partition ??= 0;
  }
  spec.revisionHistoryLimit ??= 10;
  defaultPodTemplate(spec.template);
}

/** Sets in place what Kubernetes sets when a DaemonSet leaves it open. */
export function defaultDaemonSet(object: DaemonSet): void {
  const { spec } = object;
  if (spec === undefined) return;
  spec.updateStrategy ??= {};
  spec.updateStrategy.type ??= 'RollingUpdate';
  if (spec.updateStrategy.type === 'RollingUpdate') {
    spec.updateStrategy.rollingUpdate ??= {};
    spec.updateStrategy.rollingUpdate.maxUnavailable ??= 1;
    spec.updateStrategy.rollingUpdate.maxSurge ??= 0;
  }
  spec.revisionHistoryLimit ??= 10;
  defaultPodTemplate(spec.template);
}
