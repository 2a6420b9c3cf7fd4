import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrontendOwners } from './frontend-owners.ts';

const key = 'TCP 192.0.2.1 80';
const older = { name: 'b/older', created: 1, clusterIp: false };
const newer = { name: 'a/newer', created: 2, clusterIp: false };

describe('FrontendOwners', () => {
  it('gives a frontend to the older Service, whoever came first', () => {
    const owners = new FrontendOwners();
    owners.claim(key, newer);
    expect(owners.ownerOf(key)).toBe('a/newer');
    expect(owners.contestFor(key)).toBeUndefined();
    owners.claim(key, older);
    expect(owners.contestFor(key)).toEqual({ frontend: key, owner: 'b/older', waiting: ['a/newer'] });
  });

  it('gives it to the name that sorts first among Services of one age', () => {
    const owners = new FrontendOwners();
    owners.claim(key, { ...older, created: 2 });
    owners.claim(key, newer);
    expect(owners.ownerOf(key)).toBe('a/newer');
  });

  it('lets nobody take a cluster IP from the Service it was allocated to', () => {
    const owners = new FrontendOwners();
    owners.claim(key, older);
    owners.claim(key, { ...newer, clusterIp: true });
    expect(owners.ownerOf(key)).toBe('a/newer');
  });

  it('hands it over when the owner goes, and forgets it when the last one goes', () => {
    const owners = new FrontendOwners();
    owners.claim(key, older);
    owners.claim(key, newer);
    owners.release(key, 'b/older');
    expect(owners.ownerOf(key)).toBe('a/newer');
    owners.release(key, 'a/newer');
    expect(owners.ownerOf(key)).toBeUndefined();
  });

  it('decides alike in whatever order the claims come and go', () => {
    const claimants = fc.uniqueArray(
      fc.record({ name: fc.constantFrom('a', 'b', 'c', 'd', 'e'), created: fc.nat(2), clusterIp: fc.boolean() }),
      { selector: ({ name }) => name },
    );
    const orders = claimants.chain((all) => {
      const order = fc.shuffledSubarray(all, { minLength: all.length });
      return fc.tuple(order, order, fc.subarray(all));
    });
    fc.assert(
      fc.property(orders, ([one, other, gone]) => {
        const lines = [one, other].map((order) => {
          const owners = new FrontendOwners();
          for (const claimant of order) owners.claim(key, claimant);
          for (const { name } of gone) owners.release(key, name);
          return [owners.ownerOf(key), owners.contestFor(key)];
        });
        expect(lines[0]).toEqual(lines[1]);
      }),
    );
  });
});
