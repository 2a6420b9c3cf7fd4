import { describe, expect, it } from 'vitest';
import type { Container, PodSpec } from '../api/generated/types.ts';
import { admitPod } from './pod-admission.ts';

function admit(spec: Partial<PodSpec>, container: Partial<Container> = {}): void {
  admitPod({ metadata: { name: 'p' }, spec: { containers: [{ name: 'c', ...container }], ...spec } });
}

describe('admitPod', () => {
  it('admitPod takes what a node can do', () => {
    admit(
      { volumes: [{ name: 'v', emptyDir: {} }] },
      { ports: [{ containerPort: 80 }], readinessProbe: { tcpSocket: { port: 80 } } },
    );
    admit({ hostNetwork: true }, { ports: [{ containerPort: 80, hostPort: 80 }] });
  });

  it.each<[string, Partial<PodSpec>, Partial<Container>, RegExp]>([
    ['hostPort', {}, { ports: [{ containerPort: 80, hostPort: 81 }] }, /container c has hostPort 81/],
    ['hostPID', { hostPID: true }, {}, /hostPID is not supported/],
    ['shareProcessNamespace', { shareProcessNamespace: true }, {}, /shareProcessNamespace/],
    ['a volume', { volumes: [{ name: 'v', nfs: { path: '/', server: 's' } }] }, {}, /volume v is of kind nfs/],
    ['a device', {}, { volumeDevices: [{ name: 'd', devicePath: '/dev/x' }] }, /volumeDevices/],
    ['a grpc probe', {}, { livenessProbe: { grpc: { port: 1 } } }, /grpc probe/],
  ])('admitPod says no to %s', (_, spec, container, message) => {
    expect(() => admit(spec, container)).toThrow(message);
  });
});
