import { describe, expect, test } from 'vitest';
import { countSkipped, maxMirroredPerSubset, mirroredGroups } from './mirrored-groups.ts';

describe('mirroredGroups', () => {
  test('mirroredGroups separates families and ports, and keeps readiness and references', () => {
    const targetRef = { kind: 'Pod', name: 'p' };
    expect(
      mirroredGroups({
        subsets: [
          {
            addresses: [{ ip: '10.0.0.1', nodeName: 'n', targetRef }],
            notReadyAddresses: [{ ip: 'fd00::1' }],
            ports: [{ name: 'a', port: 1 }],
          },
          { addresses: [{ ip: '10.0.0.2', hostname: 'h' }], ports: [{ name: 'a', port: 1, protocol: 'TCP' }] },
          { addresses: [{ ip: '10.0.0.1' }], ports: [{ port: 2, protocol: 'UDP' }] },
        ],
      }),
    ).toEqual([
      {
        addressType: 'IPv4',
        ports: [{ name: 'a', port: 1, protocol: 'TCP' }],
        endpoints: [
          { addresses: ['10.0.0.1'], conditions: { ready: true }, nodeName: 'n', targetRef },
          { addresses: ['10.0.0.2'], conditions: { ready: true }, hostname: 'h' },
        ],
      },
      {
        addressType: 'IPv6',
        ports: [{ name: 'a', port: 1, protocol: 'TCP' }],
        endpoints: [{ addresses: ['fd00::1'], conditions: { ready: false } }],
      },
      {
        addressType: 'IPv4',
        ports: [{ name: '', port: 2, protocol: 'UDP' }],
        endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: true } }],
      },
    ]);
  });

  test('mirroredGroups takes an address once, ready if it is both, and leaves out what is none', () => {
    const [group] = mirroredGroups({
      subsets: [{ addresses: [{ ip: '10.0.0.1' }, { ip: 'nonsense' }], notReadyAddresses: [{ ip: '10.0.0.1' }] }],
    });
    expect(group?.endpoints).toEqual([{ addresses: ['10.0.0.1'], conditions: { ready: true } }]);
    expect(mirroredGroups({})).toEqual([]);
  });

  test('mirroredGroups takes the first 1000 of a subset', () => {
    const addresses = Array.from({ length: 1500 }, (_, i) => ({ ip: `10.1.${i >> 8}.${i & 255}` }));
    expect(mirroredGroups({ subsets: [{ addresses }] })[0]?.endpoints).toHaveLength(maxMirroredPerSubset);
  });

  test('countSkipped counts what mirroredGroups leaves out', () => {
    const many = (length: number) => Array.from({ length }, () => ({ ip: '10.0.0.1' }));
    const subsets = [{ addresses: many(900), notReadyAddresses: many(200) }, { addresses: many(1007) }, {}];
    expect(countSkipped({ subsets })).toBe(107);
    expect(countSkipped({})).toBe(0);
  });
});
