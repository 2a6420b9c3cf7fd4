import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../../src/apiserver/test-server.ts';
import { connect } from '../../src/client/client.ts';
import { createEventRecorder } from '../../src/client/events.ts';
import { runAsLeader } from '../../src/client/leader-election.ts';
import type { ApiClient } from '../../src/client/types.ts';
import { aborted } from '../../src/component/abort.ts';

let server: TestServer;
let client: ApiClient;
beforeAll(async () => {
  server = await startTestServer();
  client = connect(server.admin);
});
afterAll(async () => {
  client.close();
  await server.close();
});

/** Far enough apart that a machine that stands still for a moment is not taken for one of them. */
const times = { leaseDuration: 3_000, renewDeadline: 1_500, retryPeriod: 100 };
/** Milliseconds, too few for a lease to end. */
const soonEnough = { interval: 5, timeout: 2_500 };

/** A candidate of its own connection; `leads` says whether it does. */
function stand(name: string, identity: string) {
  const own = connect(server.admin);
  const stop = new AbortController();
  const events = createEventRecorder(own, { component: 'test' });
  const state = { leads: false };
  const lead = async (signal: AbortSignal) => {
    state.leads = true;
    await aborted(signal);
    state.leads = false;
  };
  const election = { client: own, lease: { namespace: 'default', name }, identity, times, events };
  const ended = runAsLeader(election, lead, stop.signal).finally(() => events.flush());
  ended.catch(() => {});
  return {
    state,
    ended,
    stop: async () => {
      stop.abort();
      await ended;
      own.close();
    },
    cutOff: () => own.close(),
  };
}

const leaseOf = (name: string) => client.get('leases', { namespace: 'default', name });

test('runAsLeader lets one lead, at once, and the next when it stops', async () => {
  const a = stand('hand-over', 'a');
  await expect.poll(() => a.state.leads, soonEnough).toBe(true);
  const b = stand('hand-over', 'b');
  await new Promise((resolve) => setTimeout(resolve, times.leaseDuration + 500));
  expect([a.state.leads, b.state.leads]).toEqual([true, false]);
  expect((await leaseOf('hand-over')).spec).toMatchObject({
    holderIdentity: 'a',
    leaseDurationSeconds: 3,
    leaseTransitions: 0,
    renewTime: expect.stringMatching(/\.\d{6}Z$/),
  });
  await a.stop();
  // Given back, it need not be waited for until it ends.
  await expect.poll(() => b.state.leads, soonEnough).toBe(true);
  expect((await leaseOf('hand-over')).spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
  await b.stop();
  expect((await leaseOf('hand-over')).spec?.holderIdentity).toBe('');
  const events = await client.list('events', { namespace: 'default' });
  const messages = events.items.filter(({ reason }) => reason === 'LeaderElection').map(({ message }) => message);
  expect(messages.sort()).toEqual(['a became leader', 'a stopped leading', 'b became leader', 'b stopped leading']);
});

test('runAsLeader gives up when it cannot renew, before another follows', async () => {
  const a = stand('cut-off', 'a');
  await expect.poll(() => a.state.leads).toBe(true);
  const b = stand('cut-off', 'b');
  let wereBoth = false;
  const watch = setInterval(() => {
    wereBoth ||= a.state.leads && b.state.leads;
  }, 5);
  a.cutOff();
  await expect(a.ended).rejects.toMatchObject({ code: 'LEADERSHIP_LOST' });
  expect(b.state.leads).toBe(false);
  await expect.poll(() => b.state.leads).toBe(true);
  clearInterval(watch);
  expect(wereBoth).toBe(false);
  await b.stop();
});
