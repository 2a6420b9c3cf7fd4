import { describe, expect, test } from 'vitest';
import { isOfNoOtherMode, isOwnChain, serviceChainName } from './names.ts';

describe('serviceChainName', () => {
  // As kube-proxy names them in every cluster.
  test.each([
    ['default/hello-service', 'TCP', 'KUBE-SVC-WR2LASOULGGSX3JN'],
    ['default/kubernetes:https', 'TCP', 'KUBE-SVC-NPX46M4PTMTKRN6Y'],
    ['kube-system/kube-dns:dns', 'UDP', 'KUBE-SVC-TCOU7JCQXEZGVUNU'],
    ['kube-system/kube-dns:dns-tcp', 'TCP', 'KUBE-SVC-ERIFXISQEP7F7OF4'],
    ['kube-system/kube-dns:metrics', 'TCP', 'KUBE-SVC-JD5MR3NA4I4DYORP'],
    ['ns1/svc1:p80', 'TCP', 'KUBE-SVC-XPGD46QRK7WJZT7O'],
  ] as const)('%s %s is %s', (name, protocol, chain) => {
    expect(serviceChainName('SVC', { name, protocol })).toBe(chain);
  });

  test('an endpoint of ns1/svc1:p80 has the name it has in kube-proxy', () => {
    const port = { name: 'ns1/svc1:p80', protocol: 'TCP' } as const;
    expect(serviceChainName('SEP', port, '10.180.0.1:80')).toBe('KUBE-SEP-SXIVWICOYRO3J4NJ');
  });

  test('all kinds fit in the 28 characters that a chain may have', () => {
    for (const kind of ['SVC', 'SVL', 'EXT', 'FW', 'SEP'] as const)
      expect(serviceChainName(kind, { name: 'a/b', protocol: 'UDP' }).length).toBeLessThanOrEqual(28);
  });
});

describe('isOwnChain', () => {
  test.each([
    ['nat', 'KUBE-SERVICES', true],
    ['filter', 'KUBE-SERVICES', true],
    // ipvs mode's
    ['mangle', 'KUBE-SERVICES', false],
    ['mangle', 'KUBE-PROXY-FIREWALL', false],
    ['mangle', 'KUBE-PROXY-CANARY', true],
    ['nat', 'KUBE-SVC-WR2LASOULGGSX3JN', true],
    ['nat', 'KUBE-XLB-WR2LASOULGGSX3JN', true],
    ['filter', 'KUBE-FIREWALL', false],
    ['mangle', 'KUBE-KUBELET-CANARY', false],
    ['mangle', 'KUBE-IPTABLES-HINT', false],
    ['nat', 'KUBE-SVC-mine', false],
    ['filter', 'DOCKER', false],
  ] as const)('%s %s: %s', (table, chain, own) => {
    expect(isOwnChain(chain, table)).toBe(own);
  });
});

describe('isOfNoOtherMode', () => {
  test.each([
    ['nat', 'KUBE-SERVICES', false],
    ['filter', 'KUBE-SERVICES', true],
    ['filter', 'KUBE-FORWARD', false],
    ['filter', 'KUBE-PROXY-FIREWALL', true],
    ['nat', 'KUBE-SVC-WR2LASOULGGSX3JN', true],
    ['mangle', 'KUBE-SERVICES', false],
  ] as const)('%s %s: %s', (table, chain, alone) => {
    expect(isOfNoOtherMode(chain, table)).toBe(alone);
  });
});
