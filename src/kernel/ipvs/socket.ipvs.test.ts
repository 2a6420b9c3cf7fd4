import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { parseIp } from '../../net/ip.ts';
import { parseVirtualServers } from '../../rules/ipvs/parse.ts';
import { printVirtualAddress, printVirtualServers } from '../../rules/ipvs/print.ts';
import type { IpvsCommand, RealServer, VirtualAddress, VirtualServer } from '../../rules/ipvs/syntax.ts';
import { readSysctl } from '../sysctl.ts';
import { openIpvs } from './socket.ts';

const kernel = openIpvs();
afterAll(() => kernel.close());
beforeEach(() => {
  run(['-C']);
});

function listed(): VirtualServer[] {
  const steps = kernel.list();
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

function run(args: readonly string[], input = ''): string {
  const { stdout, stderr, status } = spawnSync('ipvsadm', args, { input, encoding: 'utf8' });
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  return stdout;
}

function commandsFor(servers: readonly VirtualServer[]): IpvsCommand[] {
  return servers.flatMap(({ address, realServers, ...options }) => [
    { verb: 'add' as const, address, options },
    ...realServers.map((realServer) => ({ verb: 'add-real' as const, address, realServer })),
  ]);
}

const text = `-A -t 10.96.0.10:80 -s rr
-a -t 10.96.0.10:80 -r 10.244.1.2:8080 -m -w 1
-a -t 10.96.0.10:80 -r 10.244.1.3:8080 -m -w 0
-A -u 10.96.0.10:53 -s lc -p 10800
-a -u 10.96.0.10:53 -r 10.244.1.2:5353 -m -w 1
-A --sctp-service 10.96.0.11:9 -s wrr
-A -t [fd00:10:96::a]:80 -s sh -b sh-fallback,sh-port
-a -t [fd00:10:96::a]:80 -r [fd00:10:244::2]:8080 -m -w 7
-A -t 10.96.0.12:80 -s mh -b mh-port
-A -f 1358954497 -s rr
-a -f 1358954497 -r 10.244.1.2:8080 -m -w 1
-A -f 3 -6 -s rr
`;

/** Blocks of a virtual server with its real servers, whichever comes first. */
function blocks(listing: string): string[] {
  return listing
    .trimEnd()
    .split(/\n(?=-A)/)
    .map((block) => block.split('\n').sort().join('\n'))
    .sort();
}

describe('openIpvs', () => {
  test('apply makes what ipvsadm lists word for word', () => {
    expect(kernel.apply(commandsFor(parseVirtualServers(text)))).toEqual([]);
    expect(blocks(run(['-S', '-n']))).toEqual(blocks(text));
    expect(blocks(printVirtualServers(listed()))).toEqual(blocks(text));
  });

  test('list reads what ipvsadm has made', () => {
    run(['-R'], text);
    expect(blocks(printVirtualServers(listed()))).toEqual(blocks(text));
  });

  test('every table that can be told is listed as it was told', () => {
    const port = fc.integer({ min: 1, max: 65535 });
    const octets = fc.tuple(fc.integer({ min: 1, max: 223 }), fc.nat(255), fc.nat(255), fc.nat(255));
    const ip4 = octets.filter(([first]) => first !== 127).map((parts) => parseIp(parts.join('.')));
    const ip6 = fc.integer({ min: 1, max: 0xffff }).map((n) => parseIp(`fd00:10::${n.toString(16)}`));
    const server = fc.constantFrom(ip4, ip6).chain((ip) =>
      fc.record({
        address: fc.record({ protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const), ip, port }),
        scheduler: fc.constantFrom('rr', 'wlc', 'sed', 'nq', 'dh'),
        schedulerFlags: fc.constant([]),
        realServers: fc.uniqueArray(
          fc.record({ ip, port, weight: fc.nat(1000), forwarding: fc.constant('masquerade' as const) }),
          { selector: ({ ip, port }: RealServer) => `${ip} ${port}`, maxLength: 4 },
        ),
      }),
    );
    const persistent = fc
      .tuple(server, fc.option(fc.integer({ min: 1, max: 86_400 })))
      .map(([value, seconds]) => (seconds === null ? value : { ...value, persistentSeconds: seconds }));
    const table = fc.uniqueArray(persistent, { selector: ({ address }) => printVirtualAddress(address), maxLength: 6 });
    fc.assert(
      fc.property(table, (servers) => {
        run(['-C']);
        expect(kernel.apply(commandsFor(servers))).toEqual([]);
        expect(blocks(printVirtualServers(listed()))).toEqual(blocks(printVirtualServers(servers)));
        expect(blocks(run(['-S', '-n']))).toEqual(blocks(printVirtualServers(servers)));
      }),
      { numRuns: 8 },
    );
  });

  test('apply edits and deletes, and to delete what is not there is no failure', () => {
    run(['-R'], text);
    const address: VirtualAddress = { protocol: 'tcp', ip: parseIp('10.96.0.10'), port: 80 };
    const realServer: RealServer = { ip: parseIp('10.244.1.2'), port: 8080, weight: 0, forwarding: 'masquerade' };
    const gone: VirtualAddress = { protocol: 'tcp', ip: parseIp('10.96.9.9'), port: 80 };
    const refused = kernel.apply([
      { verb: 'edit', address, options: { scheduler: 'lc', schedulerFlags: [], persistentSeconds: 60 } },
      { verb: 'edit-real', address, realServer },
      { verb: 'delete-real', address, realServer: { ...realServer, ip: parseIp('10.244.1.3') } },
      { verb: 'delete-real', address, realServer: { ...realServer, ip: parseIp('10.244.1.3') } },
      { verb: 'delete', address: { protocol: 'udp', ip: parseIp('10.96.0.10'), port: 53 } },
      { verb: 'delete', address: gone },
      { verb: 'delete-real', address: gone, realServer },
    ]);
    expect(refused).toEqual([]);
    const listing = run(['-S', '-n']);
    expect(listing).toContain('-A -t 10.96.0.10:80 -s lc -p 60\n-a -t 10.96.0.10:80 -r 10.244.1.2:8080 -m -w 0\n-A');
    expect(listing).not.toContain('-u 10.96.0.10:53');
  });

  test('apply does the others when one is refused, and says which scheduler the kernel lacks', () => {
    const options = { scheduler: 'rr', schedulerFlags: [] };
    const at = (port: number): VirtualAddress => ({ protocol: 'tcp', ip: parseIp('10.96.0.10'), port });
    const refused = kernel.apply([
      { verb: 'add', address: at(1), options },
      { verb: 'add', address: at(2), options: { ...options, scheduler: 'nosuch' } },
      { verb: 'add', address: at(3), options },
      { verb: 'add', address: at(3), options },
    ]);
    expect(refused.map(({ command, error }) => [printVirtualAddress(command.address), error.code])).toEqual([
      ['-t 10.96.0.10:2', 'KERNEL_LACKS_IPVS'],
      ['-t 10.96.0.10:3', 'KERNEL_REFUSED'],
    ]);
    expect(refused[0]?.error.message).toContain('modprobe ip_vs_nosuch');
    expect(listed()).toHaveLength(2);
  });

  test('setTimeouts sets what it is given and leaves the rest', () => {
    const before = /: (\d+) (\d+) (\d+)/.exec(run(['-L', '--timeout']));
    kernel.setTimeouts({ tcp: 600, udp: 77 });
    expect(run(['-L', '--timeout'])).toContain(`600 ${before?.[2]} 77`);
    kernel.setTimeouts({ tcpFin: 33 });
    expect(run(['-L', '--timeout'])).toContain('600 33 77');
    expect(readSysctl('net.ipv4.vs.conntrack')).toBe('0');
  });

  test('connections of a virtual server that is not there are none', () => {
    expect(kernel.connections({ protocol: 'tcp', ip: parseIp('10.96.9.9'), port: 80 }).size).toBe(0);
  });
});
