import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Pod, PodSpec } from '../api/generated/types.ts';
import { parseIp } from '../net/ip.ts';
import { type PodPlan, planPod, podOutcome } from './pod-plan.ts';
import { initialPodState, type PodEvent, type PodState, podStateAfter } from './pod-state.ts';

const start = 1_000_000_000;

function newPod(spec: Partial<PodSpec> = {}, metadata: Pod['metadata'] = {}): Pod {
  return {
    metadata: { name: 'p', namespace: 'default', uid: 'u', ...metadata },
    spec: { containers: [{ name: 'main' }], ...spec },
  };
}

/** A Pod driven by hand: events in, plans out. */
class Drive {
  state: PodState;
  now = start;
  pod: Pod;
  gone = false;

  constructor(pod: Pod = newPod()) {
    this.pod = pod;
    this.state = initialPodState(pod, start);
  }

  get plan(): PodPlan {
    return planPod({ pod: this.pod, state: this.state, now: this.now, gone: this.gone });
  }

  get actions(): string[] {
    return this.plan.actions.map((a) => ('name' in a ? `${a.type} ${a.name}` : a.type));
  }

  happen(...events: PodEvent[]): this {
    for (const event of events) this.state = podStateAfter(this.state, event);
    return this;
  }

  sandbox(): this {
    return this.happen({ type: 'sandboxCreating' }, { type: 'sandboxReady', ips: [parseIp('10.0.0.2')] });
  }

  run(name = 'main'): this {
    const at = this.now;
    return this.happen(
      { type: 'containerStarting', name },
      { type: 'containerStarted', name, containerId: 'c', at },
      { type: 'startupPassed', name, ready: true },
    );
  }

  exit(exitCode: number, name = 'main'): this {
    return this.happen({ type: 'containerExited', name, how: { exitCode, reason: 'x', finishedAt: this.now } });
  }

  delete(seconds = 30): this {
    const deletion = { deletionTimestamp: 'now', deletionGracePeriodSeconds: seconds };
    this.pod = { ...this.pod, metadata: { ...this.pod.metadata, ...deletion } };
    return this;
  }
}

describe('planPod', () => {
  it('planPod makes the sandbox, then starts the containers, then waits', () => {
    const drive = new Drive(newPod({ containers: [{ name: 'a' }, { name: 'b' }] }));
    expect(drive.actions).toEqual(['createSandbox']);
    expect(drive.happen({ type: 'sandboxCreating' }).actions).toEqual([]);
    expect(drive.sandbox().actions).toEqual(['startContainer a', 'startContainer b']);
    expect(drive.run('a').actions).toEqual(['startContainer b']);
    expect(drive.run('b').plan).toEqual({ actions: [] });
  });

  it('planPod tries a sandbox again with back-off', () => {
    const drive = new Drive().happen({ type: 'sandboxCreating' }, { type: 'sandboxFailed', at: start });
    expect(drive.plan).toEqual({ actions: [], wakeAt: start + 1000 });
    drive.happen({ type: 'sandboxCreating' }, { type: 'sandboxFailed', at: start });
    expect(drive.plan.wakeAt).toBe(start + 2000);
    drive.now = start + 2000;
    expect(drive.actions).toEqual(['createSandbox']);
  });

  it('planPod starts a container again at once, then after 10 s', () => {
    const drive = new Drive().sandbox().run().exit(1);
    expect(drive.actions).toEqual(['startContainer main']);
    drive.run().exit(1);
    expect(drive.plan).toEqual({ actions: [], wakeAt: start + 10_000 });
    drive.now = start + 10_000;
    expect(drive.actions).toEqual(['startContainer main']);
    expect(drive.run().state.containers.get('main')?.restartCount).toBe(2);
  });

  it('planPod tries a refused container again, counting no restart', () => {
    const refused = {
      type: 'containerRefused',
      name: 'main',
      reason: 'ErrImagePull',
      message: 'm',
      at: start,
    } as const;
    const drive = new Drive().sandbox().happen({ type: 'containerStarting', name: 'main' }, refused);
    expect(drive.plan).toEqual({ actions: [], wakeAt: start + 10_000 });
    drive.happen({ type: 'containerStarting', name: 'main' }, refused);
    expect(drive.plan.wakeAt).toBe(start + 20_000);
    expect(drive.state.containers.get('main')).toMatchObject({
      restartCount: 0,
      phase: { kind: 'waiting', refused: { reason: 'ImagePullBackOff', count: 2 } },
    });
  });

  it.each([
    ['Never', 0, 'Succeeded'],
    ['Never', 1, 'Failed'],
    ['OnFailure', 0, 'Succeeded'],
    ['OnFailure', 1, undefined],
    ['Always', 0, undefined],
    [undefined, 0, undefined],
  ])('planPod: restartPolicy %s and exit code %i give %s', (restartPolicy, exitCode, outcome) => {
    const drive = new Drive(newPod(restartPolicy === undefined ? {} : { restartPolicy }))
      .sandbox()
      .run()
      .exit(exitCode);
    expect(podOutcome(drive)).toBe(outcome);
    expect(drive.actions).toEqual([outcome === undefined ? 'startContainer main' : 'removeSandbox']);
  });

  it('planPod runs init containers one by one, sidecars as soon as they have started', () => {
    const initContainers = [{ name: 'i1' }, { name: 'side', restartPolicy: 'Always' }, { name: 'i2' }];
    const drive = new Drive(newPod({ initContainers })).sandbox();
    expect(drive.actions).toEqual(['startContainer i1']);
    expect(drive.run('i1').actions).toEqual([]);
    expect(drive.exit(0, 'i1').actions).toEqual(['startContainer side']);
    expect(drive.run('side').actions).toEqual(['startContainer i2']);
    expect(drive.run('i2').exit(1, 'i2').actions).toEqual(['startContainer i2']);
    expect(drive.run('i2').exit(0, 'i2').actions).toEqual(['startContainer main']);
    expect(drive.run().actions).toEqual([]);
    expect(drive.exit(0, 'side').actions).toEqual(['startContainer side']);
  });

  it('planPod: a failed init container of a Pod that does not restart fails the Pod', () => {
    const drive = new Drive(newPod({ initContainers: [{ name: 'i' }], restartPolicy: 'Never' }))
      .sandbox()
      .run('i')
      .exit(2, 'i');
    expect(podOutcome(drive)).toBe('Failed');
    expect(drive.actions).toEqual(['removeSandbox']);
  });

  it('planPod ends a deleted Pod: containers, sidecars, sandbox, object, each once', () => {
    const drive = new Drive(newPod({ initContainers: [{ name: 'side', restartPolicy: 'Always' }] }))
      .sandbox()
      .run('side')
      .run();
    drive.delete(5);
    expect(drive.plan.actions).toEqual([{ type: 'stopContainer', name: 'main', graceMs: 5000 }]);
    expect(drive.happen({ type: 'stopRequested', name: 'main', by: start + 5000 }).actions).toEqual([]);
    expect(drive.exit(0).actions).toEqual(['stopContainer side']);
    expect(drive.exit(137, 'side').actions).toEqual(['removeSandbox']);
    expect(drive.happen({ type: 'sandboxRemoving' }).actions).toEqual([]);
    expect(drive.happen({ type: 'sandboxRemoved' }).actions).toEqual(['deletePod']);
    expect(drive.happen({ type: 'deleteRequested' }).actions).toEqual([]);
  });

  it('planPod shortens the time when a second deletion gives less, and never lengthens it', () => {
    const drive = new Drive().sandbox().run().delete(30);
    drive.happen({ type: 'stopRequested', name: 'main', by: start + 30_000 });
    expect(drive.delete(60).actions).toEqual([]);
    expect(drive.delete(3).plan.actions).toEqual([{ type: 'stopContainer', name: 'main', graceMs: 3000 }]);
  });

  it('planPod: a Pod that is gone from the API gets the least time, and is not deleted again', () => {
    const drive = new Drive().sandbox().run();
    drive.gone = true;
    expect(drive.plan.actions).toEqual([{ type: 'stopContainer', name: 'main', graceMs: 2000 }]);
    drive.exit(137).happen({ type: 'sandboxRemoving' }, { type: 'sandboxRemoved' });
    expect(drive.actions).toEqual([]);
  });

  it('planPod: a Pod deleted before its sandbox is there waits for it', () => {
    const drive = new Drive().delete();
    expect(drive.actions).toEqual(['deletePod']);
    const creating = new Drive().happen({ type: 'sandboxCreating' }).delete();
    expect(creating.actions).toEqual([]);
    expect(creating.sandbox().actions).toEqual(['removeSandbox']);
  });

  it('planPod ends a Pod that has had its time', () => {
    const drive = new Drive(newPod({ activeDeadlineSeconds: 60 })).sandbox().run();
    expect(drive.plan).toEqual({ actions: [], wakeAt: start + 60_000 });
    drive.now = start + 60_000;
    expect(drive.actions).toEqual(['stopContainer main']);
    expect(podOutcome(drive)).toBe('Failed');
  });

  it('planPod: whatever happens, a deleted Pod is over once its containers have ended', () => {
    const name = fc.constantFrom('a', 'b');
    const step = fc.oneof(
      fc.record({ kind: fc.constant('exit' as const), name, code: fc.integer({ min: 0, max: 2 }) }),
      fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 400_000 }) }),
    );
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 20 }),
        fc.constantFrom('Always', 'OnFailure', 'Never'),
        (steps, restartPolicy) => {
          const drive = new Drive(newPod({ restartPolicy, containers: [{ name: 'a' }, { name: 'b' }] }));
          for (const s of steps) {
            carryOut(drive);
            if (s.kind === 'wait') drive.now += s.ms;
            else if (drive.state.containers.get(s.name)?.phase.kind === 'running') drive.exit(s.code, s.name);
          }
          drive.delete();
          carryOut(drive);
          for (const n of ['a', 'b']) if (drive.state.containers.get(n)?.phase.kind === 'running') drive.exit(143, n);
          carryOut(drive);
          expect(drive.state).toMatchObject({ deleting: true });
          expect(['removed', 'absent']).toContain(drive.state.sandbox.kind);
        },
      ),
    );
  });
});

/** Does what the plans say, with success, until there is nothing to do. */
function carryOut(drive: Drive): void {
  for (let turns = 0; drive.plan.actions.length > 0; turns++) {
    if (turns > 50) throw new Error('the plan does not come to an end');
    for (const action of drive.plan.actions) {
      if (action.type === 'createSandbox') drive.sandbox();
      if (action.type === 'startContainer') drive.run(action.name);
      if (action.type === 'stopContainer')
        drive.happen({ type: 'stopRequested', name: action.name, by: drive.now + action.graceMs });
      if (action.type === 'removeSandbox') drive.happen({ type: 'sandboxRemoving' }, { type: 'sandboxRemoved' });
      if (action.type === 'deletePod') drive.happen({ type: 'deleteRequested' });
    }
  }
}
