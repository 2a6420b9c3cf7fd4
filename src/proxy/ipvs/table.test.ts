import { describe, expect, test } from 'vitest';
import { isSignalboxError } from '../../errors/error.ts';
import { FakeIpset } from '../../kernel/ipset/fake.ts';
import { FakeIpvs, FakeServiceAddresses } from '../../kernel/ipvs/fake.ts';
import type { Frontend, ServicePort } from '../../model/types.ts';
import { parseCidr } from '../../net/cidr.ts';
import { type Ip, parseIp } from '../../net/ip.ts';
import { ServiceTable } from './table.ts';

const ip = parseIp('10.96.0.10');
const external = parseIp('203.0.113.7');
const pods = [parseIp('10.244.1.2'), parseIp('10.244.1.3')] as const;
const settings = { scheduler: 'rr', excludeCidrs: [] };

function port(frontend: Partial<Frontend> = {}, count: 0 | 1 | 2 = 1, name = 'default/web'): ServicePort {
  const endpoints = pods.slice(0, count).map((pod) => ({ ip: pod, port: 8080, local: false }));
  const cluster = {
    kind: 'cluster-ip',
    ip,
    port: 80,
    endpoints,
    whenEmpty: 'reject',
    masquerade: 'off-cluster',
  } as const;
  return { name, protocol: 'TCP', frontends: [{ ...cluster, ...frontend }] };
}

class Bed {
  readonly own = new Set<Ip>();
  readonly ipvs: FakeIpvs;
  readonly ipset: FakeIpset;
  readonly addresses: FakeServiceAddresses;
  table: ServiceTable;

  constructor({ ipvs = '', ipset = '', ...more }: { ipvs?: string; ipset?: string; excludeCidrs?: string[] } = {}) {
    this.ipvs = new FakeIpvs(ipvs);
    this.ipset = new FakeIpset(ipset);
    this.addresses = new FakeServiceAddresses(this.own);
    const excludeCidrs = (more.excludeCidrs ?? []).map(parseCidr);
    this.table = new ServiceTable(this, { ...settings, excludeCidrs });
    this.table.prepare('IPv4');
  }

  sync(...ports: readonly ServicePort[]) {
    return this.table.sync([], new Map(ports.map((one) => [one.name, one])));
  }

  /** As if the proxy was started anew. */
  restart(): void {
    this.table = new ServiceTable(this, settings);
  }

  get entries(): string[] {
    return this.ipset
      .dump()
      .split('\n')
      .filter((line) => line.startsWith('add'));
  }
}

describe('ServiceTable', () => {
  test('brings a Service port into servers, sets and addresses, and takes it out again', () => {
    const bed = new Bed();
    bed.sync(port());
    expect(bed.ipvs.dump()).toBe('-A -t 10.96.0.10:80 -s rr\n-a -t 10.96.0.10:80 -r 10.244.1.2:8080 -m -w 1\n');
    expect(bed.entries).toEqual([
      'add KUBE-LOOP-BACK 10.244.1.2,tcp:8080,10.244.1.2',
      'add KUBE-CLUSTER-IP 10.96.0.10,tcp:80',
      'add KUBE-IPVS-IPS 10.96.0.10',
    ]);
    expect([...bed.addresses.list()]).toEqual([ip]);
    bed.table.sync([], new Map([['default/web', undefined]]));
    expect(bed.ipvs.dump()).toBe('');
    expect(bed.entries).toEqual([]);
    expect(bed.addresses.list().size).toBe(0);
  });

  test('lets balancers in that ask for the health of a Service, as long as they may, also after a restart', () => {
    const bed = new Bed();
    const check = (port: number) =>
      new Map([['default/web', { namespace: 'default', name: 'web', port, localEndpoints: 1 }]]);
    bed.table.sync([], new Map(), check(31_000));
    expect(bed.entries).toEqual(['add KUBE-HEALTH-CHECK-NODE-PORT 31000']);
    bed.table.sync([], new Map(), check(31_001));
    expect(bed.entries).toEqual(['add KUBE-HEALTH-CHECK-NODE-PORT 31001']);
    bed.restart();
    bed.table.prepare('IPv4');
    bed.table.sync([], new Map(), check(31_001));
    expect(bed.entries).toEqual(['add KUBE-HEALTH-CHECK-NODE-PORT 31001']);
    // A family comes when there first is a Service of it.
    bed.table.prepare('IPv6');
    bed.table.sync([], new Map(), check(31_001));
    const both = ['add KUBE-6-HEALTH-CHECK-NODE-PORT 31001', 'add KUBE-HEALTH-CHECK-NODE-PORT 31001'];
    expect([...bed.entries].sort()).toEqual(both);
    bed.table.sync([], new Map(), new Map());
    expect(bed.entries).toEqual([]);
  });

  test('has nothing to do about balancers that ask as before', () => {
    const bed = new Bed();
    bed.table.prepare('IPv6');
    let reads = 0;
    const check = {
      ...{ namespace: 'default', name: 'web', localEndpoints: 1 },
      get port() {
        reads++;
        return 31_000;
      },
    };
    bed.table.sync([], new Map(), new Map([['default/web', check]]));
    const first = reads;
    for (let i = 0; i < 3; i++) bed.table.sync([], new Map(), new Map([['default/web', check]]));
    // Of each it is read which port it has, and no more.
    expect(reads - first).toBe(3);
  });

  test('refuses where there is no endpoint any more, before those that leave get nothing', () => {
    const bed = new Bed();
    bed.sync(port());
    bed.sync(port({}, 0));
    expect(bed.entries).toContain('add KUBE-NO-ENDPOINTS 10.96.0.10,tcp:80');
    expect(bed.ipvs.dump()).toContain('-r 10.244.1.2:8080 -m -w 0');
    bed.sync(port());
    expect(bed.entries).not.toContain('add KUBE-NO-ENDPOINTS 10.96.0.10,tcp:80');
    expect(bed.ipvs.dump()).toContain('-r 10.244.1.2:8080 -m -w 1');
  });

  test('a change costs no more than it is large', () => {
    const bed = new Bed();
    bed.sync(port({}, 1), port({ ip: parseIp('10.96.0.11') }, 1, 'default/other'));
    const before = [bed.ipvs.history.length, bed.ipset.history.length];
    bed.sync(port({}, 2));
    expect(bed.ipvs.history.slice(before[0])).toEqual(['-a -t 10.96.0.10:80 -r 10.244.1.3:8080 -m -w 1']);
    expect(bed.ipset.history.slice(before[1])).toEqual(['add KUBE-LOOP-BACK 10.244.1.3,tcp:8080,10.244.1.3']);
  });

  test('drain deletes an endpoint when its connections have ended, and not before', () => {
    const bed = new Bed();
    bed.sync(port({}, 2));
    bed.ipvs.connect({ protocol: 'tcp', ip, port: 80 }, { ip: pods[1], port: 8080 }, 3);
    bed.sync(port({}, 1));
    bed.table.drain();
    expect(bed.ipvs.dump()).toContain('10.244.1.3');
    expect(bed.table.drains).toBe(true);
    bed.ipvs.connect({ protocol: 'tcp', ip, port: 80 }, { ip: pods[1], port: 8080 }, 0);
    bed.table.drain();
    expect(bed.ipvs.dump()).not.toContain('10.244.1.3');
    expect(bed.table.drains).toBe(false);
  });

  test('clients inside have a server of their own by a mark, which they keep over a restart', () => {
    const bed = new Bed();
    const inside = {
      endpoints: [{ ip: pods[1], port: 8080, local: false }],
      whenEmpty: 'reject',
      masquerade: 'off-cluster',
    } as const;
    const local = port({ kind: 'external-ip', ip: external, masquerade: 'never', inside }, 1);
    bed.sync(port({ kind: 'external-ip', ip, masquerade: 'never', inside }, 1, 'default/first'), local);
    const servers = bed.ipvs.dump();
    const mark = /KUBE-INSIDE 203.0.113.7,tcp:80 skbmark (0x\w+)/.exec(bed.ipset.dump())?.[1];
    expect(servers).toContain(`-a -f ${Number(mark)} -r 10.244.1.3:8080 -m -w 1`);
    bed.restart();
    bed.sync(local);
    expect(bed.ipset.dump()).toContain(`KUBE-INSIDE 203.0.113.7,tcp:80 skbmark ${mark}`);
    expect(bed.entries.filter((line) => line.includes('KUBE-INSIDE'))).toHaveLength(1);
    expect(bed.ipvs.dump().match(/-A -f/g)).toHaveLength(1);
  });

  test('an address of the node’s own is not bound, whether it is so before or becomes so later', () => {
    const bed = new Bed();
    bed.own.add(external);
    const wanted = port({ kind: 'external-ip', ip: external, masquerade: 'always' });
    expect(bed.sync(wanted).notices).toMatchObject([{ servicePort: 'default/web', reason: 'NodeAddressNotBound' }]);
    expect(bed.addresses.list().size).toBe(0);
    expect(bed.entries.join()).not.toContain('KUBE-IPVS-IPS');
    expect(bed.ipvs.dump()).toContain('-A -t 203.0.113.7:80');
    bed.own.delete(external);
    expect(bed.table.compare([]).notices).toBeUndefined();
    expect([...bed.addresses.list()]).toEqual([external]);
    bed.own.add(external);
    expect(bed.table.compare([]).notices).toHaveLength(1);
    expect(bed.addresses.list().size).toBe(0);
    expect(bed.entries.join()).not.toContain('KUBE-IPVS-IPS');
  });

  test('an address of another node is left to it, whether it is so before or becomes so later', () => {
    const bed = new Bed();
    bed.table.setPeers([external]);
    const wanted = port({ kind: 'external-ip', ip: external, masquerade: 'always' });
    // The node whose address it is tells of it.
    expect(bed.sync(wanted).notices).toBeUndefined();
    expect(bed.addresses.list().size).toBe(0);
    expect(bed.ipvs.dump()).toContain('-A -t 203.0.113.7:80');
    bed.table.setPeers([]);
    bed.sync();
    expect([...bed.addresses.list()]).toEqual([external]);
    expect(bed.entries.join()).toContain('KUBE-IPVS-IPS');
    bed.table.setPeers([external]);
    bed.sync();
    expect(bed.addresses.list().size).toBe(0);
    expect(bed.entries.join()).not.toContain('KUBE-IPVS-IPS');
  });

  test('an address that the model says is the node’s is not bound either', () => {
    const bed = new Bed();
    const wanted = port({ kind: 'load-balancer-ip', ip: external, masquerade: 'always' });
    bed.table.sync([external], new Map([[wanted.name, wanted]]));
    expect(bed.addresses.list().size).toBe(0);
  });

  test('virtual servers of others stay, and those that an earlier run left go', () => {
    const bed = new Bed({
      ipvs: '-A -t 192.0.2.1:80 -s rr\n-A -t 10.96.0.99:80 -s rr\n-A -t 10.97.0.1:80 -s rr\n-A -f 5 -s rr\n',
      ipset:
        'create KUBE-CLUSTER-IP hash:ip,port family inet maxelem 65536\nadd KUBE-CLUSTER-IP 10.96.0.99,tcp:80\nadd KUBE-CLUSTER-IP 10.97.0.1,tcp:80\n',
      excludeCidrs: ['10.97.0.0/16'],
    });
    bed.sync(port());
    expect(bed.ipvs.dump()).toContain('-A -t 192.0.2.1:80');
    expect(bed.ipvs.dump()).toContain('-A -t 10.97.0.1:80');
    expect(bed.ipvs.dump()).toContain('-A -f 5');
    expect(bed.ipvs.dump()).not.toContain('10.96.0.99');
  });

  test('two Services that share an endpoint and an address do not disturb each other', () => {
    const bed = new Bed();
    bed.sync(port(), port({ port: 81 }, 1, 'default/other'));
    bed.table.sync([], new Map([['default/other', undefined]]));
    expect([...bed.addresses.list()]).toEqual([ip]);
    expect(bed.entries).toContain('add KUBE-LOOP-BACK 10.244.1.2,tcp:8080,10.244.1.2');
  });

  test('what is refused is told of its Service port alone, and tried again', () => {
    const bed = new Bed();
    bed.sync(port());
    // Somebody was quicker.
    bed.ipvs.apply([
      { verb: 'add', address: { protocol: 'tcp', ip, port: 81 }, options: { scheduler: 'lc', schedulerFlags: [] } },
    ]);
    const both = [port({ port: 81 }, 1, 'default/other'), port({ ip: parseIp('10.96.0.12') }, 1, 'default/third')];
    const { refused } = bed.sync(...both);
    expect([...refused.keys()]).toEqual(['default/other']);
    expect([...refused.values()].every((error) => isSignalboxError(error, 'KERNEL_REFUSED'))).toBe(true);
    expect(bed.ipvs.dump()).toContain('10.96.0.12:80');
    expect(bed.sync(...both).refused.size).toBe(0);
    expect(bed.ipvs.dump()).toContain('-A -t 10.96.0.10:81 -s rr');
  });

  test('clear removes what is ours alone', () => {
    const bed = new Bed({ ipvs: '-A -t 192.0.2.1:80 -s rr\n', ipset: 'create OTHERS hash:ip family inet\n' });
    bed.sync(port());
    expect(bed.table.clear()).toEqual(['1 IPVS virtual servers', 'the device kube-ipvs0', '21 ipsets']);
    expect(bed.ipvs.dump()).toBe('-A -t 192.0.2.1:80 -s rr\n');
    expect(bed.ipset.names()).toEqual(['OTHERS']);
    expect(bed.addresses.hasDevice).toBe(false);
    expect(bed.table.clear()).toEqual([]);
  });
});
