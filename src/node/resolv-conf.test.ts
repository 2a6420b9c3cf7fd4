import { describe, expect, it } from 'vitest';
import type { Pod, PodSpec } from '../api/generated/types.ts';
import { parseIp } from '../net/ip.ts';
import { formatResolvConf, parseResolvConf } from '../net/resolv-conf.ts';
import { podResolvConf } from './resolv-conf.ts';

const host = { nameservers: ['192.0.2.53'], searches: ['corp.example'], options: ['edns0'] };
const source = { clusterDns: [parseIp('10.96.0.10')], clusterDomain: 'cluster.local', host };

function resolvConf(spec: Partial<PodSpec>): string {
  const pod: Pod = { metadata: { name: 'p', namespace: 'ns' }, spec: { containers: [], ...spec } };
  return formatResolvConf(podResolvConf(pod, source));
}

const cluster =
  'search ns.svc.cluster.local svc.cluster.local cluster.local corp.example\nnameserver 10.96.0.10\noptions ndots:5\n';
const hosts = 'search corp.example\nnameserver 192.0.2.53\noptions edns0\n';

describe('podResolvConf', () => {
  it.each<[string, Partial<PodSpec>, string]>([
    ['no policy', {}, cluster],
    ['ClusterFirst', { dnsPolicy: 'ClusterFirst' }, cluster],
    ['ClusterFirst on the host network', { dnsPolicy: 'ClusterFirst', hostNetwork: true }, hosts],
    ['ClusterFirstWithHostNet', { dnsPolicy: 'ClusterFirstWithHostNet', hostNetwork: true }, cluster],
    ['Default', { dnsPolicy: 'Default' }, hosts],
    ['None', { dnsPolicy: 'None', dnsConfig: { nameservers: ['1.1.1.1'] } }, 'nameserver 1.1.1.1\n'],
  ])('podResolvConf: %s', (_, spec, expected) => {
    expect(resolvConf(spec)).toBe(expected);
  });

  it('podResolvConf adds dnsConfig, options of the same name replaced', () => {
    const dnsConfig = {
      nameservers: ['10.96.0.10', '9.9.9.9'],
      searches: ['extra.example'],
      options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
    };
    expect(resolvConf({ dnsConfig })).toBe(
      'search ns.svc.cluster.local svc.cluster.local cluster.local corp.example extra.example\n' +
        'nameserver 10.96.0.10\nnameserver 9.9.9.9\noptions ndots:2 edns0\n',
    );
  });

  it('podResolvConf keeps within what resolvers take', () => {
    const searches = Array.from({ length: 40 }, (_, i) => `${'x'.repeat(60)}${i}.example`);
    const text = resolvConf({
      dnsPolicy: 'None',
      dnsConfig: { nameservers: ['1.1.1.1', '2.2.2.2', '3.3.3.3', '4.4.4.4'], searches },
    });
    const { nameservers, searches: kept } = parseResolvConf(text);
    expect(nameservers).toHaveLength(3);
    expect(kept.length).toBeLessThanOrEqual(32);
    expect(kept.join(' ').length).toBeLessThanOrEqual(2048);
  });
});
