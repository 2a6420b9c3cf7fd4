import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseIp } from '../net/ip.ts';
import type { EndpointFacts, SliceFacts } from '../tracker/slice-facts.ts';
import {
  answerWhenEmpty,
  type Candidate,
  endpointsUnderPolicy,
  mergeEndpoints,
  nearest,
  readyElseDraining,
} from './endpoints.ts';

const query = { family: 'IPv4', portName: 'http', protocol: 'TCP', nodeName: 'node-1' } as const;

function endpoint(ip: string, rest: Partial<EndpointFacts> = {}): EndpointFacts {
  return { ip: parseIp(ip), node: 'node-1', draining: false, ...rest };
}

function slice(endpoints: readonly EndpointFacts[], rest: Partial<SliceFacts> = {}): SliceFacts {
  return {
    key: 'default/hello-x',
    service: 'default/hello',
    family: 'IPv4',
    ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
    endpoints,
    ...rest,
  };
}

interface CandidateParts extends Partial<Pick<Candidate, 'draining' | 'forNodes' | 'forZones'>> {
  readonly local?: boolean;
}

function candidate(ip: string, { draining = false, local = true, ...hints }: CandidateParts = {}): Candidate {
  return { endpoint: { ip: parseIp(ip), port: 8080, local }, draining, ...hints };
}

const here = { node: 'node-1', zone: 'a' };
const addresses = (endpoints: readonly { readonly ip: string }[]) => endpoints.map(({ ip }) => ip);
const candidateAddresses = (candidates: readonly Candidate[]) => addresses(candidates.map(({ endpoint }) => endpoint));

describe('mergeEndpoints', () => {
  it('takes the port of the same name and protocol, whatever its number in each slice', () => {
    const other = slice([endpoint('10.244.2.2')], {
      ports: [
        { name: 'http', protocol: 'UDP', port: 1 },
        { name: 'metrics', protocol: 'TCP', port: 2 },
        { name: 'http', protocol: 'TCP', port: 9090 },
      ],
    });
    const merged = mergeEndpoints([slice([endpoint('10.244.1.2')]), other], query);
    expect(merged.map(({ endpoint }) => `${endpoint.ip}:${endpoint.port}`)).toEqual([
      '10.244.1.2:8080',
      '10.244.2.2:9090',
    ]);
  });

  it('leaves slices of the other family alone', () => {
    expect(mergeEndpoints([slice([endpoint('fd00::1')], { family: 'IPv6' })], query)).toEqual([]);
  });

  it('counts an endpoint in two slices once, ready and local if one of them says so', () => {
    const one = slice([endpoint('10.244.1.2', { draining: true })]);
    const two = slice([endpoint('10.244.1.2', { node: '' })]);
    const expected = [{ endpoint: { ip: '10.244.1.2', port: 8080, local: true }, draining: false }];
    expect(mergeEndpoints([one, two], query)).toEqual(expected);
    expect(mergeEndpoints([two, one], query)).toEqual(expected);
  });

  it('takes the hints of both slices that an endpoint is in', () => {
    const one = slice([endpoint('10.244.1.2', { forZones: ['b'] })]);
    const two = slice([endpoint('10.244.1.2', { forZones: ['a'], forNodes: ['node-1'] })]);
    const [merged] = mergeEndpoints([one, two], query);
    expect(merged).toMatchObject({ forZones: ['a', 'b'], forNodes: ['node-1'] });
    expect(mergeEndpoints([two, one], query)).toEqual([merged]);
  });

  it('does not depend on how endpoints are spread over slices', () => {
    const facts = fc.array(
      fc.record({
        ip: fc.nat(6).map((n) => parseIp(`10.244.1.${n}`)),
        node: fc.constantFrom('node-1', 'node-2', ''),
        draining: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(facts, fc.array(fc.nat(2)), (endpoints, spread) => {
        const slices = [0, 1, 2].map((n) => slice(endpoints.filter((_, i) => (spread[i] ?? 0) === n)));
        expect(mergeEndpoints(slices, query)).toEqual(mergeEndpoints([slice(endpoints)], query));
      }),
    );
  });
});

describe('readyElseDraining', () => {
  it('takes ready endpoints only, as long as there is one', () => {
    expect(
      candidateAddresses(readyElseDraining([candidate('10.244.1.2'), candidate('10.244.1.3', { draining: true })])),
    ).toEqual(['10.244.1.2']);
  });

  it('falls back to those that terminate and still serve', () => {
    expect(candidateAddresses(readyElseDraining([candidate('10.244.1.3', { draining: true })]))).toEqual([
      '10.244.1.3',
    ]);
  });
});

describe('nearest', () => {
  const inA = candidate('10.244.1.2', { forZones: ['a'], forNodes: ['node-1'] });
  const inAToo = candidate('10.244.2.2', { forZones: ['a', 'c'], forNodes: ['node-2'] });
  const inB = candidate('10.244.3.2', { forZones: ['b'], forNodes: ['node-3'] });
  const all = [inA, inAToo, inB];

  it('takes those meant for the node before those meant for its zone', () => {
    expect(nearest(all, here)).toEqual([inA]);
    expect(nearest(all, { node: 'node-4', zone: 'a' })).toEqual([inA, inAToo]);
  });

  it('goes by the zone when one has no node hint, and by nothing when one has no zone hint', () => {
    const nowhere = candidate('10.244.4.2', { forZones: ['b'] });
    expect(nearest([...all, nowhere], here)).toEqual([inA, inAToo]);
    const unhinted = candidate('10.244.4.2', { forNodes: ['node-4'] });
    expect(nearest([...all, unhinted], { node: 'node-5', zone: 'a' })).toEqual([...all, unhinted]);
  });

  it('goes by nothing when nobody is meant for here, or the zone is not known', () => {
    expect(nearest(all, { node: 'node-4', zone: 'd' })).toEqual(all);
    expect(nearest(all, { node: 'node-4', zone: undefined })).toEqual(all);
  });
});

describe('endpointsUnderPolicy', () => {
  const remote = candidate('10.244.2.2', { local: false });
  const draining = candidate('10.244.1.3', { draining: true });

  it('Cluster takes ready endpoints of all nodes', () => {
    expect(addresses(endpointsUnderPolicy('Cluster', [draining, remote], here))).toEqual(['10.244.2.2']);
  });

  it('Cluster looks at hints of ready endpoints only', () => {
    const far = candidate('10.244.2.2', { local: false, forZones: ['b'] });
    const near = candidate('10.244.1.2', { forZones: ['a'] });
    const nearDraining = candidate('10.244.1.3', { draining: true, forZones: ['a'] });
    expect(addresses(endpointsUnderPolicy('Cluster', [near, far], here))).toEqual(['10.244.1.2']);
    expect(addresses(endpointsUnderPolicy('Cluster', [nearDraining, far], here))).toEqual(['10.244.2.2']);
    const farDraining = candidate('10.244.2.3', { draining: true, local: false, forZones: ['b'] });
    const drained = [nearDraining, farDraining];
    expect(addresses(endpointsUnderPolicy('Cluster', drained, here))).toEqual(['10.244.1.3', '10.244.2.3']);
  });

  it('Local does not look at hints', () => {
    const elsewhere = candidate('10.244.1.2', { forZones: ['b'], forNodes: ['node-2'] });
    const meant = candidate('10.244.1.3', { forZones: ['a'], forNodes: ['node-1'] });
    expect(addresses(endpointsUnderPolicy('Local', [elsewhere, meant], here))).toEqual(['10.244.1.2', '10.244.1.3']);
  });

  it('Local falls back among the local ones, even when others are ready elsewhere', () => {
    expect(addresses(endpointsUnderPolicy('Local', [draining, remote], here))).toEqual(['10.244.1.3']);
    expect(endpointsUnderPolicy('Local', [remote], here)).toEqual([]);
  });
});

describe('answerWhenEmpty', () => {
  it('refuses where nobody could answer, and drops where another node would', () => {
    const remote = candidate('10.244.2.2', { local: false });
    expect(answerWhenEmpty('Cluster', [])).toBe('reject');
    expect(answerWhenEmpty('Local', [])).toBe('reject');
    expect(answerWhenEmpty('Local', [remote])).toBe('drop');
  });
});
