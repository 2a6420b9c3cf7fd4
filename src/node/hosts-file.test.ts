import { describe, expect, it } from 'vitest';
import type { Pod, PodSpec } from '../api/generated/types.ts';
import { parseIp } from '../net/ip.ts';
import { podHostname, podHostsFile } from './hosts-file.ts';

function pod(spec: Partial<PodSpec> = {}, name = 'web-0'): Pod {
  return { metadata: { name, namespace: 'ns' }, spec: { containers: [], ...spec } };
}

const at = {
  ips: [parseIp('10.244.1.2'), parseIp('fd00::2')],
  clusterDomain: 'cluster.local',
  hostFile: '127.0.0.1 myhost\n',
};

describe('podHostname', () => {
  it('podHostname is the field, or the name, as long as a host name may be', () => {
    expect(podHostname(pod())).toBe('web-0');
    expect(podHostname(pod({ hostname: 'www' }))).toBe('www');
    expect(podHostname(pod({}, `${'a'.repeat(62)}-b`))).toBe('a'.repeat(62));
  });
});

describe('podHostsFile', () => {
  it('podHostsFile has local names, the names of the Pod at all its addresses, and aliases', () => {
    const text = podHostsFile(pod({ subdomain: 'db', hostAliases: [{ ip: '192.0.2.1', hostnames: ['a', 'b'] }] }), at);
    expect(text).toMatch(/^# Kubernetes-managed hosts file\.\n127\.0\.0\.1\tlocalhost\n/);
    expect(text).toContain(
      '10.244.1.2\tweb-0.db.ns.svc.cluster.local\tweb-0\nfd00::2\tweb-0.db.ns.svc.cluster.local\tweb-0\n',
    );
    expect(text).toMatch(/\n192\.0\.2\.1\ta\tb\n$/);
  });

  it('podHostsFile of a Pod in the network of the node is that of the node', () => {
    const text = podHostsFile(pod({ hostNetwork: true }), at);
    expect(text).toBe('# Kubernetes-managed hosts file (host network).\n127.0.0.1 myhost\n');
  });
});
