import type { Container, Pod, Probe } from '../api/generated/types.ts';
import { SignalboxError } from '../errors/error.ts';
import { containersOf } from './pod-state.ts';
import { unsupportedVolumeKind } from './volumes.ts';

/**
 * Says no to a Pod that asks for what a node of this kind cannot do, where leaving it out would mislead.
 * @throws SignalboxError `POD_UNSUPPORTED` naming the first such thing
 */
export function admitPod(pod: Pod): void {
  const { spec } = pod;
  if (spec?.hostPID === true) throw unsupported('hostPID', 'is not supported', 'leave it out');
  if (spec?.shareProcessNamespace === true)
    throw unsupported('shareProcessNamespace', 'is not supported', 'leave it out');
  for (const volume of spec?.volumes ?? []) {
    const kind = unsupportedVolumeKind(volume);
    if (kind === undefined) continue;
    const remedy = 'use emptyDir, configMap, secret, downwardAPI, projected or hostPath';
    throw unsupported(`volume ${volume.name}`, `is of kind ${kind}, which is not supported`, remedy);
  }
  for (const { container } of containersOf(pod)) admitContainer(container, spec?.hostNetwork === true);
}

function admitContainer(container: Container, hostNetwork: boolean): void {
  const { name, ports = [], volumeDevices = [], livenessProbe, readinessProbe, startupProbe, lifecycle } = container;
  const hostPort = ports.find((port) => (port.hostPort ?? 0) !== 0);
  if (hostPort !== undefined && !hostNetwork) {
    const remedy = 'use a Service of type NodePort, or hostNetwork';
    throw unsupported(`container ${name}`, `has hostPort ${hostPort.hostPort}, which is not supported`, remedy);
  }
  if (volumeDevices.length > 0) throw unsupported(`container ${name}`, 'has volumeDevices', 'use volumeMounts');
  for (const probe of [livenessProbe, readinessProbe, startupProbe]) {
    if (probe !== undefined) admitProbe(name, probe);
  }
  for (const hook of [lifecycle?.postStart, lifecycle?.preStop]) {
    if (hook?.tcpSocket !== undefined)
      throw unsupported(`container ${name}`, 'has a tcpSocket hook', 'use exec or httpGet');
  }
}

function admitProbe(container: string, probe: Probe): void {
  if (probe.grpc === undefined) return;
  throw unsupported(
    `container ${container}`,
    'has a grpc probe, which is not supported',
    'use httpGet, tcpSocket or exec',
  );
}

/** What a Pod asks for that nodes do not do here. */
export function unsupported(object: string, problem: string, remedy: string): SignalboxError {
  return new SignalboxError('POD_UNSUPPORTED', { object, problem, remedy });
}
