import { describe, expect, it } from 'vitest';
import type { Pod, PodSpec, PodStatus } from '../api/generated/types.ts';
import { parseIp } from '../net/ip.ts';
import { initialPodState, type PodEvent, podStateAfter } from './pod-state.ts';
import { podStatus, timestamp } from './pod-status.ts';

const start = Date.parse('2026-01-01T00:00:00Z');
const ips = [parseIp('10.0.0.2'), parseIp('fd00::2')];

function newPod(spec: Partial<PodSpec> = {}, status?: PodStatus): Pod {
  return {
    metadata: { name: 'p', namespace: 'default', uid: 'u' },
    spec: { containers: [{ name: 'main', image: 'i' }], ...spec },
    ...(status === undefined ? {} : { status }),
  };
}

function statusAfter(pod: Pod, events: readonly PodEvent[], now = start, previous?: PodStatus): PodStatus {
  const state = events.reduce(podStateAfter, initialPodState(pod, start));
  return podStatus({ pod, state, now, hostIps: [parseIp('192.168.101.3')] }, previous);
}

function conditionsOf(status: PodStatus): Record<string, string> {
  return Object.fromEntries((status.conditions ?? []).map((c) => [c.type, c.status]));
}

const sandbox: PodEvent[] = [{ type: 'sandboxCreating' }, { type: 'sandboxReady', ips }];
function started(name = 'main', at = start): PodEvent[] {
  return [
    { type: 'containerStarting', name },
    { type: 'containerStarted', name, containerId: 'signalbox://c', at },
  ];
}
function passed(name = 'main', ready = true): PodEvent {
  return { type: 'startupPassed', name, ready };
}
function exited(exitCode: number, name = 'main', at = start): PodEvent {
  const how = { exitCode, reason: exitCode === 0 ? 'Completed' : 'Error', startedAt: start, finishedAt: at };
  return { type: 'containerExited', name, how };
}

describe('podStatus', () => {
  it('podStatus of a Pod that begins', () => {
    const status = statusAfter(newPod(), []);
    expect(status).toMatchObject({
      phase: 'Pending',
      hostIP: '192.168.101.3',
      startTime: '2026-01-01T00:00:00Z',
      containerStatuses: [
        { name: 'main', ready: false, started: false, state: { waiting: { reason: 'ContainerCreating' } } },
      ],
    });
    expect(status.podIP).toBeUndefined();
    expect(conditionsOf(status)).toEqual({
      PodReadyToStartContainers: 'False',
      Initialized: 'True',
      Ready: 'False',
      ContainersReady: 'False',
      PodScheduled: 'True',
    });
  });

  it('podStatus of a Pod that runs and is ready', () => {
    const status = statusAfter(newPod(), [...sandbox, ...started(), passed()]);
    expect(status).toMatchObject({
      phase: 'Running',
      podIP: '10.0.0.2',
      podIPs: [{ ip: '10.0.0.2' }, { ip: 'fd00::2' }],
      containerStatuses: [
        {
          ready: true,
          started: true,
          restartCount: 0,
          containerID: 'signalbox://c',
          state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
        },
      ],
    });
    expect(Object.values(conditionsOf(status))).toEqual(['True', 'True', 'True', 'True', 'True']);
  });

  it('podStatus: running is not ready before the probe says so', () => {
    const status = statusAfter(newPod(), [...sandbox, ...started(), passed('main', false)]);
    expect(status.conditions).toContainEqual(
      expect.objectContaining({
        type: 'Ready',
        status: 'False',
        reason: 'ContainersNotReady',
        message: 'containers with unready status: [main]',
      }),
    );
    expect(
      conditionsOf(
        statusAfter(newPod(), [
          ...sandbox,
          ...started(),
          passed('main', false),
          { type: 'readiness', name: 'main', ready: true },
        ]),
      ).Ready,
    ).toBe('True');
  });

  it('podStatus waits for readiness gates', () => {
    const spec = { readinessGates: [{ conditionType: 'example.com/lb' }] };
    const events = [...sandbox, ...started(), passed()];
    expect(conditionsOf(statusAfter(newPod(spec), events))).toMatchObject({ Ready: 'False', ContainersReady: 'True' });
    const open = newPod(spec, { conditions: [{ type: 'example.com/lb', status: 'True' }] });
    expect(conditionsOf(statusAfter(open, events)).Ready).toBe('True');
  });

  it('podStatus keeps the time of the last transition', () => {
    const ready = [...sandbox, ...started(), passed()];
    const first = statusAfter(newPod(), ready, start);
    const second = statusAfter(newPod(), ready, start + 60_000, first);
    expect(second.conditions).toEqual(first.conditions);
    const third = statusAfter(
      newPod(),
      [...ready, { type: 'readiness', name: 'main', ready: false }],
      start + 60_000,
      second,
    );
    const byType = Object.fromEntries((third.conditions ?? []).map((c) => [c.type, c.lastTransitionTime]));
    expect(byType).toMatchObject({ Ready: timestamp(start + 60_000), Initialized: timestamp(start) });
  });

  it('podStatus shows back-off with the last end beside it', () => {
    const twice = [...sandbox, ...started(), exited(1), ...started(), exited(2)];
    const status = statusAfter(newPod(), twice, start + 1000);
    expect(status.phase).toBe('Running');
    expect(status.containerStatuses?.[0]).toMatchObject({
      restartCount: 1,
      state: {
        waiting: {
          reason: 'CrashLoopBackOff',
          message: 'back-off 10s restarting failed container=main pod=p_default(u)',
        },
      },
      lastState: { terminated: { exitCode: 2, reason: 'Error' } },
    });
    expect(statusAfter(newPod(), [...twice, ...started()]).containerStatuses?.[0]).toMatchObject({
      restartCount: 2,
      state: { running: {} },
      lastState: { terminated: { exitCode: 2 } },
    });
  });

  it.each([
    [0, 'Succeeded', 'PodCompleted'],
    [1, 'Failed', 'PodFailed'],
  ])('podStatus of a Pod that ended with %i is %s', (code, phase, reason) => {
    const status = statusAfter(newPod({ restartPolicy: 'Never' }), [...sandbox, ...started(), passed(), exited(code)]);
    expect(status.phase).toBe(phase);
    expect(status.conditions).toContainEqual(expect.objectContaining({ type: 'Ready', status: 'False', reason }));
  });

  it('podStatus of a Pod whose init containers run', () => {
    const pod = newPod({ initContainers: [{ name: 'init' }] });
    const status = statusAfter(pod, [...sandbox, ...started('init')]);
    expect(status).toMatchObject({
      phase: 'Pending',
      initContainerStatuses: [{ name: 'init', ready: false }],
      containerStatuses: [{ state: { waiting: { reason: 'PodInitializing' } } }],
    });
    expect(status.conditions).toContainEqual(
      expect.objectContaining({
        type: 'Initialized',
        status: 'False',
        message: 'containers with incomplete status: [init]',
      }),
    );
    const after = statusAfter(pod, [...sandbox, ...started('init'), exited(0, 'init')]);
    expect(after.initContainerStatuses?.[0]).toMatchObject({
      ready: true,
      state: { terminated: { reason: 'Completed' } },
    });
    expect(conditionsOf(after).Initialized).toBe('True');
  });

  it('podStatus, of a later agent, goes on from the status of the earlier one', () => {
    const earlier = statusAfter(newPod(), [...sandbox, ...started(), passed()]);
    const pod = newPod({}, earlier);
    const status = statusAfter(pod, [...sandbox, ...started()], start + 5000);
    expect(status).toMatchObject({
      startTime: earlier.startTime,
      containerStatuses: [
        { restartCount: 1, lastState: { terminated: { exitCode: 137, reason: 'ContainerStatusUnknown' } } },
      ],
    });
  });
});
