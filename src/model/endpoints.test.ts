import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseIp } from '../net/ip.ts';
import type { EndpointFacts, SliceFacts } from '../tracker/slice-facts.ts';
import {
  answerWhenEmpty,
  type Candidate,
  endpointsUnderPolicy,
  mergeEndpoints,
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

function candidate(ip: string, rest: { draining?: boolean; local?: boolean } = {}): Candidate {
  const { draining = false, local = true } = rest;
  return { endpoint: { ip: parseIp(ip), port: 8080, local }, draining };
}

const addresses = (endpoints: readonly { readonly ip: string }[]) => endpoints.map(({ ip }) => ip);

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
      addresses(readyElseDraining([candidate('10.244.1.2'), candidate('10.244.1.3', { draining: true })])),
    ).toEqual(['10.244.1.2']);
  });

  it('falls back to those that terminate and still serve', () => {
    expect(addresses(readyElseDraining([candidate('10.244.1.3', { draining: true })]))).toEqual(['10.244.1.3']);
  });
});

describe('endpointsUnderPolicy', () => {
  const remote = candidate('10.244.2.2', { local: false });
  const draining = candidate('10.244.1.3', { draining: true });

  it('Cluster takes ready endpoints of all nodes', () => {
    expect(addresses(endpointsUnderPolicy('Cluster', [draining, remote]))).toEqual(['10.244.2.2']);
  });

  it('Local falls back among the local ones, even when others are ready elsewhere', () => {
    expect(addresses(endpointsUnderPolicy('Local', [draining, remote]))).toEqual(['10.244.1.3']);
    expect(endpointsUnderPolicy('Local', [remote])).toEqual([]);
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
