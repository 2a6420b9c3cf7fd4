import { describe, expect, it } from 'vitest';
import { parseProxyConfig } from './config.ts';

describe('parseProxyConfig', () => {
  it('has the documented defaults', () => {
    expect(parseProxyConfig({ conntrack: { maxPerCore: 0 } })).toEqual({
      mode: 'nftables',
      hostnameOverride: undefined,
      bindAddress: undefined,
      bindAddressHardFail: false,
      nodePortAddresses: 'primary',
      localSources: { mode: 'ClusterCIDR', blocks: [] },
      healthzBindAddress: { host: undefined, port: 10256 },
      metricsBindAddress: { host: '127.0.0.1', port: 10249 },
      conntrack: [
        { name: 'net.netfilter.nf_conntrack_tcp_timeout_established', value: 86_400 },
        { name: 'net.netfilter.nf_conntrack_tcp_timeout_close_wait', value: 3600 },
      ],
      sync: { syncPeriod: 30_000, minSyncPeriod: 10, masqueradeAll: false, masqueradeBit: 14 },
      iptables: { localhostNodePorts: true },
      ipvs: { scheduler: 'rr', excludeCidrs: [], strictArp: false, timeouts: { tcp: 0, tcpFin: 0, udp: 0 } },
      userspace: { ports: undefined, udpIdleTimeout: 250 },
      client: { kubeconfig: undefined, qps: 5, burst: 10 },
      logging: { format: 'json' },
      oomScoreAdj: -999,
    });
  });

  it('reads every field it acts on', () => {
    const config = parseProxyConfig({
      apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
      kind: 'KubeProxyConfiguration',
      mode: 'nftables',
      hostnameOverride: 'node-3',
      bindAddress: '192.168.101.5',
      bindAddressHardFail: true,
      clusterCIDR: '10.244.0.0/16, fd00:244::/48',
      detectLocalMode: 'ClusterCIDR',
      nodePortAddresses: ['192.168.0.0/16', 'localhost'],
      healthzBindAddress: '[::]:11256',
      metricsBindAddress: '0.0.0.0',
      clientConnection: { kubeconfig: '/etc/kubeconfig', qps: -1, burst: 100, contentType: 'application/json' },
      conntrack: { maxPerCore: 1, min: 70_000, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '1500ms' },
      nftables: { syncPeriod: '1m', minSyncPeriod: '1s', masqueradeAll: true, masqueradeBit: 0 },
      iptables: { localhostNodePorts: false, syncPeriod: '2m' },
      ipvs: { scheduler: 'wlc', excludeCIDRs: ['10.0.0.0/8'], strictARP: true, tcpFinTimeout: '2s' },
      portRange: '40000+99',
      udpIdleTimeout: '3s',
      logging: { format: 'text', verbosity: 4, flushFrequency: '5s' },
      oomScoreAdj: 0,
      featureGates: { NFTablesProxyMode: true, AllAlpha: false },
      configSyncPeriod: '15m0s',
    });
    expect(config).toMatchObject({
      hostnameOverride: 'node-3',
      bindAddress: '192.168.101.5',
      bindAddressHardFail: true,
      localSources: {
        mode: 'ClusterCIDR',
        blocks: [
          { base: '10.244.0.0', prefix: 16 },
          { base: 'fd00:244::', prefix: 48 },
        ],
      },
      nodePortAddresses: [
        { base: '192.168.0.0', prefix: 16 },
        { base: '127.0.0.0', prefix: 8 },
        { base: '::1', prefix: 128 },
      ],
      healthzBindAddress: { host: '::', port: 11256 },
      metricsBindAddress: { host: '0.0.0.0', port: 10249 },
      client: { kubeconfig: '/etc/kubeconfig', qps: -1, burst: 100 },
      conntrack: [
        { name: 'net.netfilter.nf_conntrack_max', value: 70_000 },
        { name: 'net.netfilter.nf_conntrack_buckets', value: 17_500, orMore: true },
        { name: 'net.netfilter.nf_conntrack_tcp_timeout_close_wait', value: 2 },
      ],
      sync: { syncPeriod: 60_000, minSyncPeriod: 1000, masqueradeAll: true, masqueradeBit: 0 },
      iptables: { localhostNodePorts: false },
      ipvs: { scheduler: 'wlc', excludeCidrs: [{ base: '10.0.0.0' }], strictArp: true, timeouts: { tcpFin: 2000 } },
      userspace: { ports: { first: 40_000, last: 40_099 }, udpIdleTimeout: 3000 },
      logging: { format: 'text', level: 'debug' },
      oomScoreAdj: 0,
    });
  });

  it('serves metrics in the family of bindAddress, and health in both', () => {
    expect(parseProxyConfig({ bindAddress: '::' })).toMatchObject({
      bindAddress: undefined,
      healthzBindAddress: { host: undefined, port: 10256 },
      metricsBindAddress: { host: '::1', port: 10249 },
    });
  });

  it('takes zero values for fields that are left out, as generated files have them', () => {
    const generated = {
      bindAddress: '0.0.0.0',
      bindAddressHardFail: false,
      clientConnection: { acceptContentTypes: '', burst: 0, contentType: '', kubeconfig: '', qps: 0 },
      configSyncPeriod: '0s',
      conntrack: { maxPerCore: null, min: null, tcpEstablishedTimeout: null },
      detectLocal: { bridgeInterface: '', interfaceNamePrefix: '' },
      iptables: { localhostNodePorts: null, masqueradeAll: false, minSyncPeriod: '0s', syncPeriod: '0s' },
      ipvs: { excludeCIDRs: null, scheduler: '', strictARP: false },
      logging: { flushFrequency: 0, options: { json: { infoBufferSize: '0' } }, verbosity: 0 },
      nftables: { masqueradeBit: null, minSyncPeriod: '0s' },
      nodePortAddresses: null,
      oomScoreAdj: null,
      portRange: '',
      winkernel: { enableDSR: false },
    };
    expect(parseProxyConfig(generated)).toEqual(parseProxyConfig({}));
  });

  it.each([
    [{ mod: 'nftables' }, /^mod is no field of KubeProxyConfiguration: did you mean mode\?.*\[INVALID_CONFIG\]$/],
    [{ nftables: { sync: '1s' } }, /^nftables\.sync is no field/],
    [{ conntrack: { maxPerCores: 1 } }, /^conntrack\.maxPerCores is no field .* did you mean maxPerCore\?/],
    [{ conntrack: { maxPerCore: -1 } }, /^conntrack\.maxPerCore -1 is not a whole number/],
    [{ nftables: { masqueradeBit: 32 } }, /^nftables\.masqueradeBit 32 is not a whole number from 0 to 31/],
    [
      { iptables: { syncPeriod: '1s', minSyncPeriod: '2s' } },
      /^iptables\.minSyncPeriod "2s" is longer than syncPeriod/,
    ],
    [{ ipvs: { syncPeriod: '1000h' } }, /^ipvs\.syncPeriod "1000h" is longer than 24 days/],
    [{ ipvs: { scheduler: 'random' } }, /^ipvs\.scheduler "random" is not among what there is/],
    [{ ipvs: { masqueradeAll: true } }, /^ipvs\.masqueradeAll is no field/],
    [{ winkernel: { enableDSR: true } }, /^winkernel is for nodes with Windows: remove it/],
    [{ enableProfiling: true }, /^enableProfiling asks for the profiles of a Go program/],
    [{ showHiddenMetricsForVersion: '1.35' }, /^showHiddenMetricsForVersion asks for metrics that are hidden/],
    [
      { featureGates: { NFTablesProxyMode: false } },
      /^featureGates\.NFTablesProxyMode false cannot be had: here it is/,
    ],
    [{ featureGates: { Magic: true } }, /^featureGates\.Magic is no feature of a proxy/],
    [{ logging: { format: 'xml' } }, /^logging\.format "xml" is not among what there is: choose from text, json/],
    [{ logging: { vmodule: [{ filePattern: 'x', verbosity: 1 }] } }, /^logging\.vmodule names source files/],
    [{ clientConnection: { contentType: 'text/xml' } }, /^clientConnection\.contentType "text\/xml" is not among/],
    [{ clientConnection: { acceptContentTypes: 'a/b' } }, /^clientConnection\.acceptContentTypes "a\/b" is not among/],
    [{ clientConnection: { qps: '5' } }, /^clientConnection\.qps "5" is not a number/],
    [{ oomScoreAdj: 1001 }, /^oomScoreAdj 1001 is not a whole number from -1000 to 1000/],
    [{ portRange: '9-7' }, /^portRange "9-7" is not a range of ports/],
    [{ portRange: '65000+1000' }, /^portRange "65000\+1000" is not a range of ports/],
    [{ mode: 'magic' }, /^mode "magic" is not among what there is: choose from nftables/],
    [{ detectLocalMode: 'PodCIDR' }, /^detectLocalMode "PodCIDR" is not among what there is: choose from ClusterCIDR/],
    [{ detectLocalMode: 'BridgeInterface' }, /^detectLocal\.bridgeInterface is missing/],
    [{ detectLocalMode: 'InterfaceNamePrefix' }, /^detectLocal\.interfaceNamePrefix is missing/],
    [{ detectLocal: { bridgeInterface: 'a bridge' } }, /^detectLocal\.bridgeInterface "a bridge" is not the name/],
    [{ detectLocal: { device: 'cni0' } }, /^detectLocal\.device is no field/],
    [{ clusterCIDR: '10.244.0.0/33' }, /^clusterCIDR "10\.244\.0\.0\/33" is not a block of addresses/],
    [{ clusterCIDR: '10.0.0.0/16,10.1.0.0/16' }, /^clusterCIDR has two blocks of one family/],
    [{ nodePortAddresses: ['primary', '10.0.0.0/8'] }, /^nodePortAddresses\[0\] "primary" stands beside others/],
    [{ nodePortAddresses: '10.0.0.0/8' }, /^nodePortAddresses "10\.0\.0\.0\/8" is not a list/],
    [{ bindAddress: 'node-1' }, /^bindAddress "node-1" is not an IP address/],
    [{ healthzBindAddress: ':10256' }, /^healthzBindAddress ":10256" is not an address with a port/],
    [
      { metricsBindAddress: '127.0.0.1:66000' },
      /^metricsBindAddress "127\.0\.0\.1:66000" is not an address with a port/,
    ],
    [{ nftables: { syncPeriod: '1 day' } }, /^nftables\.syncPeriod "1 day" is not a duration/],
    [{ nftables: { masqueradeAll: 'yes' } }, /^nftables\.masqueradeAll "yes" is neither true nor false/],
    [{ nftables: [], mode: 7 }, /^mode 7 is not among what there is/],
    [{ nftables: 'fast' }, /^nftables "fast" is not an object/],
    [
      { apiVersion: 'kubeproxy.config.k8s.io/v1' },
      /^apiVersion "kubeproxy\.config\.k8s\.io\/v1" is not .*choose from kubeproxy\.config\.k8s\.io\/v1alpha1/,
    ],
    ['mode: nftables', /^KubeProxyConfiguration "mode: nftables" is not an object/],
  ])('refuses %j and says why', (object, message) => {
    expect(() => parseProxyConfig(object)).toThrow(message);
  });
});
