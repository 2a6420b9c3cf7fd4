import type { ContainerStatus, Pod } from '../api/generated/types.ts';
import type { KubernetesObject } from '../api/object.ts';
import { age } from '../component/duration.ts';
import type { Column } from './strategy.ts';

/** The columns of Pods, between those that all objects have. */
export function podColumns(
  name: Column<KubernetesObject>,
  ageColumn: Column<KubernetesObject>,
): readonly Column<Pod>[] {
  const text = (title: string, value: Column<Pod>['value'], priority: 0 | 1 = 0): Column<Pod> => ({
    name: title,
    type: 'string',
    description: title,
    priority,
    value,
  });
  return [
    name,
    text('Ready', readyContainers),
    text('Status', podStatus),
    text('Restarts', restarts),
    ageColumn,
    text('IP', (pod) => pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP ?? '<none>', 1),
    text('Node', (pod) => pod.spec?.nodeName || '<none>', 1),
    text('Nominated Node', (pod) => pod.status?.nominatedNodeName || '<none>', 1),
    text('Readiness Gates', readinessGates, 1),
  ];
}

function readyContainers(pod: Pod): string {
  const statuses = pod.status?.containerStatuses ?? [];
  return `${statuses.filter((status) => status.ready).length}/${pod.spec?.containers.length ?? 0}`;
}

function restarts(pod: Pod): string {
  const statuses = pod.status?.containerStatuses ?? [];
  const count = statuses.reduce((sum, status) => sum + status.restartCount, 0);
  const last = statuses
    .map((status) => status.lastState?.terminated?.finishedAt)
    .filter((time) => time !== undefined)
    .sort()
    .at(-1);
  return count === 0 || last === undefined ? String(count) : `${count} (${age(last)} ago)`;
}

function readinessGates(pod: Pod): string {
  const gates = pod.spec?.readinessGates ?? [];
  if (gates.length === 0) return '<none>';
  const met = gates.filter((gate) =>
    pod.status?.conditions?.some((c) => c.type === gate.conditionType && c.status === 'True'),
  );
  return `${met.length}/${gates.length}`;
}

/** The one word for how a Pod is: its phase, unless a container, its deletion or its node has more to say. */
function podStatus(pod: Pod): string {
  const { status } = pod;
  if (pod.metadata?.deletionTimestamp !== undefined) {
    return status?.reason === 'NodeLost' ? 'Unknown' : 'Terminating';
  }
  const init = initStatus(pod);
  if (init !== undefined) return init;
  const gated = status?.conditions?.find((c) => c.type === 'PodScheduled' && c.reason === 'SchedulingGated');
  const phase = gated === undefined ? (status?.reason ?? status?.phase ?? '') : 'SchedulingGated';
  const statuses = status?.containerStatuses ?? [];
  const reason = statuses.map(containerReason).find((r) => r !== undefined);
  const running = statuses.some((s) => s.ready && s.state?.running !== undefined);
  if (reason === undefined) return phase;
  if (reason !== 'Completed' || !running) return reason;
  return status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') === true ? 'Running' : 'NotReady';
}

function containerReason(status: ContainerStatus): string | undefined {
  const { waiting, terminated } = status.state ?? {};
  if (waiting?.reason) return waiting.reason;
  return terminated === undefined ? undefined : terminationReason(terminated);
}

function terminationReason(terminated: { reason?: string; signal?: number; exitCode: number }): string {
  if (terminated.reason) return terminated.reason;
  return terminated.signal ? `Signal:${terminated.signal}` : `ExitCode:${terminated.exitCode}`;
}

/** How far a Pod's init containers are, until all have done their part. */
function initStatus(pod: Pod): string | undefined {
  const statuses = pod.status?.initContainerStatuses ?? [];
  const total = pod.spec?.initContainers?.length ?? 0;
  for (const [i, status] of statuses.entries()) {
    const sidecar = pod.spec?.initContainers?.find((c) => c.name === status.name)?.restartPolicy === 'Always';
    const { terminated, waiting } = status.state ?? {};
    if (terminated?.exitCode === 0 || (sidecar && status.started === true)) continue;
    if (terminated !== undefined) return `Init:${terminationReason(terminated)}`;
    if (waiting?.reason && waiting.reason !== 'PodInitializing') return `Init:${waiting.reason}`;
    return `Init:${i}/${total}`;
  }
  return undefined;
}
