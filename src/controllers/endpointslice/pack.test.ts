import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Endpoint, EndpointSlice } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import type { Write } from '../write.ts';
import type { EndpointGroup } from './desired.ts';
import { maxEndpointsPerSlice, packSlices } from './pack.ts';

const metadata = { generateName: 's-', namespace: 'default', labels: { app: 's' }, ownerReferences: [] };
let names = 0;

/** What the API holds after the writes. */
function applied(slices: readonly Stored<EndpointSlice>[], writes: readonly Write[]): Stored<EndpointSlice>[] {
  const after = new Map(slices.map((slice) => [slice.metadata.name, slice]));
  for (const write of writes) {
    if (write.verb === 'delete') after.delete(write.place.name);
    if ((write.verb === 'create' || write.verb === 'update') && write.resource === 'endpointSlices') {
      const name = write.object.metadata?.name ?? `s-${names++}`;
      after.set(name, {
        ...write.object,
        metadata: { uid: name, resourceVersion: '1', ...write.object.metadata, name },
      });
    }
  }
  return [...after.values()];
}

const pack = (existing: readonly Stored<EndpointSlice>[], groups: readonly EndpointGroup[]) =>
  packSlices({ existing, groups, metadata, annotations: {} });

const endpoint = (id: number, ready = true): Endpoint => ({
  addresses: [`10.0.${id >> 8}.${id & 255}`],
  conditions: { ready, serving: ready, terminating: false },
});
const group = (port: number, endpoints: readonly Endpoint[], addressType: 'IPv4' | 'IPv6' = 'IPv4'): EndpointGroup => ({
  addressType,
  ports: [{ name: '', port, protocol: 'TCP' }],
  endpoints,
});
const ids = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);
const many = (count: number, from = 0) => ids(count, from).map((id) => endpoint(id));
const sizes = (slices: readonly EndpointSlice[]) =>
  slices.map(({ endpoints }) => endpoints?.length ?? 0).sort((a, b) => b - a);

describe('packSlices', () => {
  test('packSlices fills slices to the limit, and writes nothing when nothing changed', () => {
    const slices = applied([], pack([], [group(80, many(250))]));
    expect(sizes(slices)).toEqual([100, 100, 50]);
    expect(pack(slices, [group(80, many(250))])).toEqual([]);
    expect(pack(slices, [group(80, many(250).reverse())])).toEqual([]);
  });

  test('packSlices writes the one slice that an endpoint changed in, came to or went from', () => {
    const slices = applied([], pack([], [group(80, many(250))]));
    expect(pack(slices, [group(80, [endpoint(0, false), ...many(249, 1)])])).toHaveLength(1);
    expect(pack(slices, [group(80, many(251))])).toHaveLength(1);
    expect(pack(slices, [group(80, many(249))])).toHaveLength(1);
  });

  test('packSlices puts new endpoints where a write is due anyway', () => {
    const slices = applied([], pack([], [group(80, many(250))]));
    // One of the first hundred goes, one comes: the slice with the gap takes it.
    const writes = pack(slices, [group(80, [...many(249, 1), endpoint(300)])]);
    expect(writes).toHaveLength(1);
    expect(sizes(applied(slices, writes))).toEqual([100, 100, 50]);
  });

  test('packSlices keeps one empty slice for a Service without endpoints, and takes it for the first that come', () => {
    const none = { addressType: 'IPv4', ports: [], endpoints: [] } as const;
    const empty = applied([], pack([], [none]));
    expect(sizes(empty)).toEqual([0]);
    expect(pack(empty, [none])).toEqual([]);
    const writes = pack(empty, [group(80, many(1))]);
    expect(writes.map(({ verb }) => verb)).toEqual(['update']);
    const back = pack(applied(empty, writes), [none]);
    expect(back.map(({ verb }) => verb)).toEqual(['update']);
  });

  test('packSlices keeps other ports and the other family in slices of their own', () => {
    const groups = [group(80, many(1)), group(81, many(1, 5)), group(80, [{ addresses: ['fd00::1'] }], 'IPv6')];
    const slices = applied([], pack([], groups));
    expect(slices.map(({ addressType, ports }) => `${addressType} ${ports?.[0]?.port}`)).toEqual([
      'IPv4 80',
      'IPv4 81',
      'IPv6 80',
    ]);
    expect(pack(slices, groups.slice(0, 2)).map(({ verb }) => verb)).toEqual(['delete']);
  });

  test('packSlices corrects labels that another changed', () => {
    const [slice] = applied([], pack([], [group(80, many(1))]));
    if (slice === undefined) throw new Error('no slice');
    const changed = { ...slice, metadata: { ...slice.metadata, labels: {} } };
    expect(pack([changed], [group(80, many(1))])).toMatchObject([
      { verb: 'update', object: { metadata: { labels: { app: 's' } } } },
    ]);
  });

  test('packSlices always ends with exactly the wanted endpoints, within the limit, and is at rest then', () => {
    const wanted = fc.uniqueArray(fc.tuple(fc.nat(400), fc.boolean()), { maxLength: 350, selector: ([id]) => id });
    fc.assert(
      fc.property(fc.array(fc.tuple(wanted, wanted), { minLength: 1, maxLength: 4 }), (rounds) => {
        let slices: Stored<EndpointSlice>[] = [];
        for (const [a, b] of rounds) {
          const groups = [a, b].map((each, i) =>
            group(
              80 + i,
              each.map(([id, ready]) => endpoint(id, ready)),
            ),
          );
          slices = applied(slices, pack(slices, groups));
          for (const { ports, endpoints } of groups) {
            const mine = slices.filter((slice) => slice.ports?.[0]?.port === ports[0]?.port);
            const held = mine.flatMap((slice) => slice.endpoints ?? []);
            expect(new Set(held.map((e) => JSON.stringify(e)))).toEqual(
              new Set(endpoints.map((e) => JSON.stringify(e))),
            );
            expect(held).toHaveLength(endpoints.length);
            for (const slice of mine) expect(slice.endpoints?.length).toBeLessThanOrEqual(maxEndpointsPerSlice);
          }
          expect(pack(slices, groups)).toEqual([]);
        }
      }),
      { numRuns: 40 },
    );
  });
});
