import { describe, expect, test } from 'vitest';
import { defaultEndpointSlice, defaultEndpoints } from '../defaults/endpoints.ts';
import { FieldErrors } from '../field-error.ts';
import type { Endpoint, EndpointSlice, EndpointSubset } from '../generated/types.ts';
import { validateEndpointSlice, validateEndpointSliceUpdate, validateEndpoints } from './endpoints.ts';

const notIp = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';
const metadata = { name: 'x', namespace: 'default' };
/** Messages begin as shown; the rest of some is long. */
function expectSaid(errors: FieldErrors, problems: readonly string[]): void {
  const said = errors.list.map(({ field, message }) => `${field}: ${message}`);
  expect(said).toHaveLength(problems.length);
  for (const [i, problem] of problems.entries()) expect(said[i]?.slice(0, problem.length)).toBe(problem);
}
const v4 = (endpoint: Partial<Endpoint>) => ({ endpoints: [{ addresses: ['10.0.0.1'], ...endpoint }] });
const hints = (count: number) => Array.from({ length: count }, (_, i) => ({ name: `h${i}` }));
const addresses = (...all: string[]) => ({ endpoints: [{ addresses: all }] });

describe('validateEndpointSlice', () => {
  test.each<[Partial<EndpointSlice>, ...string[]]>([
    [v4({ nodeName: 'node-1', zone: 'a', hostname: 'h', conditions: { ready: true, serving: true } })],
    [{ addressType: 'IPv6', ...addresses('fd00::1') }],
    [{ addressType: 'FQDN', ...addresses('example.com', 'example.com.') }],
    [{ ports: [{ name: 'a', port: 80, appProtocol: 'http' }, { port: 81 }, { name: 'all' }] }],
    [v4({ hints: { forZones: hints(8), forNodes: hints(8) } })],
    [{ addressType: '' }, 'addressType: Required value'],
    [{ addressType: 'IP' }, 'addressType: Unsupported value: "IP": supported values: "FQDN", "IPv4", "IPv6"'],
    [addresses(), 'endpoints[0].addresses: Required value: must contain at least 1 address'],
    [
      addresses(...Array.from({ length: 101 }, () => '10.0.0.1')),
      'endpoints[0].addresses: Too many: 101: must have at most 100 items',
    ],
    [
      { endpoints: Array.from({ length: 1_001 }, () => ({ addresses: [] })) },
      'endpoints: Too many: 1001: must have at most 1000 items',
    ],
    [
      { ports: Array.from({ length: 20_001 }, () => ({ protocol: 'ODD' })) },
      'ports: Too many: 20001: must have at most 20000 items',
    ],
    [
      addresses('fd00::1', 'x'),
      'endpoints[0].addresses[0]: Invalid value: "fd00::1": must be a valid IPv4 address',
      'endpoints[0].addresses[1]: Invalid value: "x": must be a valid IPv4 address',
    ],
    [
      addresses('127.0.0.1', '169.254.1.1'),
      'endpoints[0].addresses[0]: Invalid value: "127.0.0.1": may not be in the loopback range',
      'endpoints[0].addresses[1]: Invalid value: "169.254.1.1": may not be in the link-local range',
    ],
    [
      { addressType: 'IPv6', ...addresses('10.0.0.1', 'fe80::1') },
      'endpoints[0].addresses[0]: Invalid value: "10.0.0.1": must be a valid IPv6 address',
      'endpoints[0].addresses[1]: Invalid value: "fe80::1": may not be in the link-local range',
    ],
    [
      { addressType: 'FQDN', ...addresses('', 'host', 'A.b', `${'a'.repeat(64)}.b`) },
      'endpoints[0].addresses[0]: Required value',
      'endpoints[0].addresses[1]: Invalid value: "host": should be a domain with at least two segments',
      'endpoints[0].addresses[2]: Invalid value: "A.b": a lowercase RFC 1123 subdomain must',
      `endpoints[0].addresses[3]: Invalid value: "${'a'.repeat(64)}": must be no more than 63 bytes`,
    ],
    [
      v4({ nodeName: 'Node', hostname: 'a.b' }),
      'endpoints[0].nodeName: Invalid value: "Node": a lowercase RFC 1123 subdomain must',
      'endpoints[0].hostname: Invalid value: "a.b": a lowercase RFC 1123 label must',
    ],
    [
      v4({ hints: { forZones: hints(9), forNodes: hints(9) } }),
      'endpoints[0].hints.forZones: Too many: 9: must have at most 8 items',
      'endpoints[0].hints.forNodes: Too many: 9: must have at most 8 items',
    ],
    [
      v4({ hints: { forZones: [{ name: 'a' }, { name: 'a' }, { name: 'a b' }], forNodes: [{ name: '' }] } }),
      'endpoints[0].hints.forZones[1].name: Duplicate value: "a"',
      'endpoints[0].hints.forZones[2].name: Invalid value: "a b": a valid label must',
      'endpoints[0].hints.forNodes[0].name: Invalid value: "": a lowercase RFC 1123 subdomain must',
    ],
    [
      { ports: [{ name: 'A' }, { name: 'b' }, { name: 'b' }, {}, {}] },
      'ports[0].name: Invalid value: "A": a lowercase RFC 1123 label must',
      'ports[2].name: Duplicate value: "b"',
      'ports[4].name: Duplicate value: ""',
    ],
    [
      { ports: [{ protocol: 'ICMP', appProtocol: 'a b', port: 0 }] },
      'ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"',
      'ports[0].appProtocol: Invalid value: "a b": name part must consist of',
      'ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive',
    ],
  ])('of %j says', (given, ...problems) => {
    const slice: EndpointSlice = { metadata, addressType: 'IPv4', endpoints: [], ...structuredClone(given) };
    defaultEndpointSlice(slice);
    const errors = new FieldErrors();
    validateEndpointSlice(slice, errors);
    expectSaid(errors, problems);
  });

  test('keeps the family of its addresses', () => {
    const errors = new FieldErrors();
    const slice = (addressType: string): EndpointSlice => ({ metadata, addressType, endpoints: [] });
    validateEndpointSliceUpdate(slice('IPv6'), slice('IPv4'), errors);
    expectSaid(errors, ['addressType: Invalid value: "IPv6": field is immutable']);
  });
});

describe('validateEndpoints', () => {
  test.each<[EndpointSubset, ...string[]]>([
    [{ addresses: [{ ip: '192.0.2.1', hostname: 'h', nodeName: 'node-1' }], ports: [{ port: 80 }] }],
    [{ notReadyAddresses: [{ ip: '2001:db8::1' }] }],
    [{}, 'subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`'],
    [
      { addresses: [{ ip: 'x', hostname: 'A' }], notReadyAddresses: [{ ip: '::1', nodeName: 'A' }] },
      `subsets[0].addresses[0].ip: Invalid value: "x": ${notIp}`,
      'subsets[0].addresses[0].hostname: Invalid value: "A": a lowercase RFC 1123 label must',
      'subsets[0].notReadyAddresses[0].ip: Invalid value: "::1": may not be in the loopback range',
      'subsets[0].notReadyAddresses[0].nodeName: Invalid value: "A": a lowercase RFC 1123 subdomain must',
    ],
    [
      {
        addresses: [{ ip: '192.0.2.1' }],
        ports: [{ port: 80 }, { name: 'A', port: 0, protocol: 'ICMP', appProtocol: 'a b' }],
      },
      'subsets[0].ports[0].name: Required value',
      'subsets[0].ports[1].name: Invalid value: "A": a lowercase RFC 1123 label must',
      'subsets[0].ports[1].port: Invalid value: 0: must be between 1 and 65535, inclusive',
      'subsets[0].ports[1].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"',
      'subsets[0].ports[1].appProtocol: Invalid value: "a b": name part must consist of',
    ],
  ])('of %j says', (subset, ...problems) => {
    const object = { metadata, subsets: [structuredClone(subset)] };
    defaultEndpoints(object);
    const errors = new FieldErrors();
    validateEndpoints(object, errors);
    expectSaid(errors, problems);
  });
});
