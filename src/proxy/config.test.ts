import { describe, expect, it } from 'vitest';
import { parseProxyConfig } from './config.ts';

describe('parseProxyConfig', () => {
  it('has the documented defaults', () => {
    expect(parseProxyConfig({})).toEqual({
      mode: 'nftables',
      hostnameOverride: undefined,
      bindAddress: undefined,
      nodePortAddresses: 'primary',
      localSources: { mode: 'ClusterCIDR', blocks: [] },
      healthzBindAddress: { host: '0.0.0.0', port: 10256 },
      metricsBindAddress: { host: '127.0.0.1', port: 10249 },
      nftables: { syncPeriod: 30_000, minSyncPeriod: 10, masqueradeAll: false },
      userspace: { ports: undefined, udpIdleTimeout: 250 },
      kubeconfig: undefined,
    });
  });

  it('reads every field it acts on', () => {
    const config = parseProxyConfig({
      apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
      kind: 'KubeProxyConfiguration',
      mode: 'nftables',
      hostnameOverride: 'node-3',
      bindAddress: '192.168.101.5',
      clusterCIDR: '10.244.0.0/16, fd00:244::/48',
      detectLocalMode: 'ClusterCIDR',
      nodePortAddresses: ['192.168.0.0/16'],
      healthzBindAddress: '[::]:11256',
      metricsBindAddress: '0.0.0.0',
      clientConnection: { kubeconfig: '/etc/kubeconfig' },
      nftables: { syncPeriod: '1m', minSyncPeriod: '1s', masqueradeAll: true },
    });
    expect(config).toMatchObject({
      hostnameOverride: 'node-3',
      bindAddress: '192.168.101.5',
      localSources: {
        mode: 'ClusterCIDR',
        blocks: [
          { base: '10.244.0.0', prefix: 16 },
          { base: 'fd00:244::', prefix: 48 },
        ],
      },
      nodePortAddresses: [{ base: '192.168.0.0', prefix: 16 }],
      healthzBindAddress: { host: '::', port: 11256 },
      metricsBindAddress: { host: '0.0.0.0', port: 10249 },
      kubeconfig: '/etc/kubeconfig',
      nftables: { syncPeriod: 60_000, minSyncPeriod: 1000, masqueradeAll: true },
    });
  });

  it('lets unused fields stand that generated files have with their zero values', () => {
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
    [{ mod: 'nftables' }, /^mod is no field of KubeProxyConfiguration: remove it.*\[INVALID_CONFIG\]$/],
    [{ nftables: { sync: '1s' } }, /^nftables\.sync is no field/],
    [{ conntrack: { maxPerCore: 1 } }, /^conntrack has no effect yet: remove it/],
    [{ nftables: { masqueradeBit: 14 } }, /^nftables\.masqueradeBit has no effect yet/],
    [{ mode: 'magic' }, /^mode "magic" is not among what there is: choose from nftables/],
    [{ detectLocalMode: 'PodCIDR' }, /^detectLocalMode "PodCIDR" is not among what there is: choose from ClusterCIDR/],
    [{ detectLocalMode: 'BridgeInterface' }, /^detectLocal\.bridgeInterface is missing/],
    [{ detectLocalMode: 'InterfaceNamePrefix' }, /^detectLocal\.interfaceNamePrefix is missing/],
    [{ detectLocal: { bridgeInterface: 'a bridge' } }, /^detectLocal\.bridgeInterface "a bridge" is not the name/],
    [{ detectLocal: { device: 'cni0' } }, /^detectLocal\.device is no field/],
    [{ clusterCIDR: '10.244.0.0/33' }, /^clusterCIDR "10\.244\.0\.0\/33" is not a block of addresses/],
    [{ clusterCIDR: '10.0.0.0/16,10.1.0.0/16' }, /^clusterCIDR has two blocks of one family/],
    [{ nodePortAddresses: ['primary', '10.0.0.0/8'] }, /^nodePortAddresses\[0\] "primary" is not a block/],
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
