import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { parseCidr } from '../../net/cidr.ts';
import { type IpFamily, parseIp } from '../../net/ip.ts';
import { parseSets } from '../../rules/ipset/parse.ts';
import { printEntry, printSets } from '../../rules/ipset/print.ts';
import type { IpSet, SetCommand, SetDeclaration, SetEntry, SetType } from '../../rules/ipset/syntax.ts';
import { openIpset } from './socket.ts';

const kernel = openIpset();
afterAll(() => kernel.close());
beforeEach(() => {
  run(['destroy']);
});

function run(args: readonly string[], input = ''): string {
  const { stdout, stderr, status } = spawnSync('ipset', args, { input, encoding: 'utf8' });
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  return stdout;
}

const text = `create KUBE-CLUSTER-IP hash:ip,port family inet maxelem 1048576
add KUBE-CLUSTER-IP 10.96.0.10,tcp:80
add KUBE-CLUSTER-IP 10.96.0.10,udp:53
create KUBE-6-CLUSTER-IP hash:ip,port family inet6 maxelem 1048576
add KUBE-6-CLUSTER-IP fd00:10:96::a,sctp:80
create KUBE-LOOP-BACK hash:ip,port,ip family inet maxelem 1048576
add KUBE-LOOP-BACK 10.244.1.2,tcp:8080,10.244.1.2
create SOURCES hash:ip,port,net family inet maxelem 1048576
add SOURCES 192.0.2.1,tcp:80,198.51.100.0/24
add SOURCES 192.0.2.1,tcp:80,203.0.113.9
create KUBE-IPVS-IPS hash:ip family inet maxelem 1048576
add KUBE-IPVS-IPS 10.96.0.10
create KUBE-NODE-PORT-TCP bitmap:port range 0-65535
add KUBE-NODE-PORT-TCP 30080
create MARKS hash:ip,port family inet maxelem 1048576 skbinfo
add MARKS 192.0.2.1,tcp:80 skbmark 0x51000001
`;

function commandsFor(sets: readonly IpSet[]): SetCommand[] {
  return sets.flatMap(({ entries, ...set }) => [
    { verb: 'create' as const, set },
    ...entries.map((entry) => ({ verb: 'add' as const, set, entry })),
  ]);
}

/** What the kernel has, read by us, in the order of a text. */
function loaded(names: readonly string[]): IpSet[] {
  return names.map((name) => kernel.load(name)).filter((set) => set !== undefined);
}

const lines = (listing: string) => listing.trimEnd().split('\n').sort();

describe('openIpset', () => {
  test('apply makes what ipset lists', () => {
    const sets = parseSets(text);
    expect(kernel.apply(commandsFor(sets))).toEqual([]);
    expect(lines(printSets(parseSets(run(['save']))))).toEqual(lines(text));
    expect(lines(printSets(loaded(sets.map(({ name }) => name))))).toEqual(lines(text));
    expect(kernel.names().sort()).toEqual(sets.map(({ name }) => name).sort());
  });

  test('load reads what ipset has made', () => {
    run(['restore'], text);
    expect(lines(printSets(loaded(parseSets(text).map(({ name }) => name))))).toEqual(lines(text));
    expect(kernel.load('NOSUCH')).toBeUndefined();
  });

  test('apply deletes entries and destroys sets; to do it twice is no failure', () => {
    run(['restore'], text);
    const sets = parseSets(text);
    const deletions = sets.flatMap(({ entries, ...set }) =>
      entries.map((entry) => ({ verb: 'del' as const, set, entry })),
    );
    expect(kernel.apply([...deletions, ...deletions])).toEqual([]);
    expect(loaded(sets.map(({ name }) => name)).every(({ entries }) => entries.length === 0)).toBe(true);
    const destructions = sets.map(({ name }) => ({ verb: 'destroy' as const, name }));
    expect(kernel.apply([...destructions, ...destructions])).toEqual([]);
    expect(kernel.names()).toEqual([]);
  });

  test('an entry that is added with another mark has that one', () => {
    const set: SetDeclaration = { name: 'MARKS', type: 'hash:ip,port', family: 'IPv4', marks: true };
    const entry = { ip: parseIp('192.0.2.1'), protocol: 'tcp', port: 80 } as const;
    kernel.apply([{ verb: 'create', set }]);
    for (const mark of [1, 0xffffffff]) {
      expect(kernel.apply([{ verb: 'add', set, entry: { ...entry, mark } }])).toEqual([]);
      expect(kernel.load('MARKS')?.entries).toEqual([{ ...entry, mark }]);
    }
    expect(run(['save', 'MARKS'])).toContain('skbmark 0xffffffff');
  });

  test('a set of thousands of entries is made and read, and one refused entry does not keep the others out', () => {
    const set: SetDeclaration = { name: 'MANY', type: 'hash:ip,port', family: 'IPv4' };
    const entries = Array.from(
      { length: 5000 },
      (_, i): SetEntry => ({
        ip: parseIp(`10.96.${i >> 8}.${i & 255}`),
        protocol: 'tcp',
        port: 80,
      }),
    );
    const wrong: SetEntry = { ip: parseIp('fd00::1'), protocol: 'tcp', port: 80 };
    const add = [...entries.slice(0, 700), wrong, ...entries.slice(700)].map((entry) => ({
      verb: 'add' as const,
      set,
      entry,
    }));
    const refused = kernel.apply([{ verb: 'create', set }, ...add]);
    expect(refused.map(({ command }) => 'entry' in command && command.entry)).toEqual([wrong]);
    expect(kernel.load('MANY')?.entries.map(printEntry).sort()).toEqual(entries.map(printEntry).sort());
  });

  test('what the kernel refuses is told with its reason', () => {
    const set: SetDeclaration = { name: 'TWICE', type: 'hash:ip', family: 'IPv4' };
    const [refusal] = kernel.apply([
      { verb: 'create', set },
      { verb: 'create', set: { ...set, type: 'hash:ip,port' } },
    ]);
    expect(refusal?.error.code).toBe('KERNEL_REFUSED');
    expect(refusal?.error.message).toContain('ipset create TWICE hash:ip,port family inet maxelem 1048576 was refused');
  });

  test('every set that can be told is listed as it was told', () => {
    const port = fc.integer({ min: 1, max: 65535 });
    const protocol = fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const);
    const ips = {
      IPv4: fc.tuple(fc.integer({ min: 1, max: 223 }), fc.nat(255)).map(([a, b]) => parseIp(`${a}.0.${b}.1`)),
      IPv6: fc.integer({ min: 1, max: 0xffff }).map((n) => parseIp(`fd00::${n.toString(16)}`)),
    };
    const entryOf = (type: SetType, family: IpFamily): fc.Arbitrary<SetEntry> => {
      const ip = ips[family];
      const net = fc.tuple(ip, fc.integer({ min: 1, max: family === 'IPv4' ? 32 : 128 }));
      switch (type) {
        case 'hash:ip':
          return fc.record({ ip });
        case 'hash:ip,port':
          return fc.record({ ip, protocol, port });
        case 'hash:ip,port,ip':
          return fc.record({ ip, protocol, port, ip2: ip });
        case 'hash:ip,port,net':
          return fc.record({ ip, protocol, port, net: net.map(([base, prefix]) => parseCidr(`${base}/${prefix}`)) });
        case 'bitmap:port':
          return fc.record({ port });
      }
    };
    const types: readonly SetType[] = ['hash:ip', 'hash:ip,port', 'hash:ip,port,ip', 'hash:ip,port,net', 'bitmap:port'];
    const set = fc.tuple(fc.constantFrom(...types), fc.constantFrom<IpFamily>('IPv4', 'IPv6')).chain(([type, family]) =>
      fc.record({
        name: fc.constant('ANY'),
        type: fc.constant(type),
        family: fc.constant(type === 'bitmap:port' ? ('IPv4' as const) : family),
        entries: fc.uniqueArray(entryOf(type, family), { selector: printEntry, maxLength: 20 }),
      }),
    );
    fc.assert(
      fc.property(set, (value) => {
        kernel.apply([{ verb: 'destroy', name: 'ANY' }]);
        expect(kernel.apply(commandsFor([value]))).toEqual([]);
        expect(lines(printSets(loaded(['ANY'])))).toEqual(lines(printSets([value])));
        expect(lines(printSets(parseSets(run(['save']))))).toEqual(lines(printSets([value])));
      }),
      { numRuns: 12 },
    );
  });
});
