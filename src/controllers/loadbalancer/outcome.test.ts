import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Service } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { parseIp } from '../../net/ip.ts';
import { addressesOf, isMarked, type Outcome, outcomeWrite } from './outcome.ts';

const theirs = { type: 'example.com/Checked', status: 'True', reason: 'Fine', message: '', lastTransitionTime: 'then' };
const untouched = {
  metadata: {
    ...{ namespace: 'default', name: 's', uid: 'u', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' },
    annotations: { 'example.com/a': 'b' },
    finalizers: ['example.com/f'],
  },
  spec: { type: 'LoadBalancer' },
  status: { loadBalancer: {}, conditions: [theirs] },
} satisfies Stored<Service>;

const ip = fc.constantFrom('192.0.2.1', '192.0.2.2', 'fd00::1').map(parseIp);
const problem = fc.constantFrom(undefined, 'it is full', 'there is none');
const outcome: fc.Arbitrary<Outcome> = fc.oneof(
  fc.record({ ips: fc.uniqueArray(ip, { minLength: 1, maxLength: 2 }), pool: fc.constantFrom('p', 'q'), problem }),
  fc.record({ ips: fc.constant([]), pool: fc.constant(undefined), problem }),
);

function written(service: Stored<Service>, outcome: Outcome, now = 0): Stored<Service> {
  const write = outcomeWrite(service, outcome, now);
  if (write === undefined) return service;
  if (write.verb !== 'update') throw new Error(`cannot be ${write.verb}`);
  return write.object as Stored<Service>;
}

describe('outcomeWrite', () => {
  it('shows the outcome, writes nothing when that is shown, and leaves of others what is theirs', () => {
    fc.assert(
      fc.property(fc.array(outcome, { minLength: 1, maxLength: 5 }), (outcomes) => {
        let service: Stored<Service> = untouched;
        for (const each of outcomes) {
          service = written(service, each);
          expect(addressesOf(service)).toEqual(each.ips);
          expect(service.metadata.annotations?.['signalbox.dev/address-pool']).toBe(each.pool);
          expect(service.metadata.finalizers).toHaveLength(each.pool === undefined ? 1 : 2);
          expect(isMarked(service)).toBe(each.pool !== undefined || each.problem !== undefined);
          expect(service.status?.conditions?.map(({ message }) => message)).toEqual(
            each.problem === undefined ? [''] : ['', each.problem],
          );
          expect(outcomeWrite(service, each, 1)).toBeUndefined();
        }
        expect(written(service, { ips: [], pool: undefined })).toEqual(untouched);
      }),
    );
  });

  it('has a failure begin once, and say whether there is an address', () => {
    const first = written(untouched, { ips: [], pool: undefined, problem: 'it is full' }, 60_000);
    const second = written(first, { ips: [parseIp('192.0.2.1')], pool: 'p', problem: 'another' }, 120_000);
    const failures = [first, second].map(({ status }) => status?.conditions?.at(-1));
    expect(failures).toEqual([
      expect.objectContaining({ reason: 'NoAddress', lastTransitionTime: '1970-01-01T00:01:00Z' }),
      expect.objectContaining({ reason: 'KeepsAddress', lastTransitionTime: '1970-01-01T00:01:00Z' }),
    ]);
  });
});
