import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseIp } from '../net/ip.ts';
import { diff } from '../rules/nftables/diff.ts';
import { openConntrack } from './conntrack.ts';
import { openNftables } from './nftables/table.ts';

// The whole file is in a network namespace of its own. A rule that looks at connections makes the kernel track them.
const nftables = openNftables('example');
const conntrack = openConntrack();
let server: Socket;
let client: Socket;

beforeAll(async () => {
  for (const family of ['ip', 'ip6'] as const) {
    nftables.apply(
      diff(undefined, {
        family,
        table: 'example',
        sets: [],
        chains: [
          {
            name: 'output',
            hook: { type: 'filter', hook: 'output', priority: 0 },
            rules: [{ statements: [{ kind: 'ct status', status: 'dnat' }, { kind: 'drop' }] }],
          },
        ],
        elements: [],
      }),
    );
  }
  server = createSocket('udp4').bind(4053, '127.0.0.1');
  client = createSocket('udp4').bind(4054, '127.0.0.1');
  await Promise.all([once(server, 'listening'), once(client, 'listening')]);
});
afterAll(() => {
  for (const thing of [nftables, conntrack, server, client]) thing.close();
});

const flow = {
  protocol: 17,
  original: { source: '127.0.0.1', sourcePort: 4054, destination: '127.0.0.1', destinationPort: 4053 },
  reply: { source: '127.0.0.1', sourcePort: 4053, destination: '127.0.0.1', destinationPort: 4054 },
};

async function send(): Promise<void> {
  const arrived = once(server, 'message');
  client.send('x', 4053, '127.0.0.1');
  await arrived;
}

describe('openConntrack', () => {
  test('lists a flow with both its directions, and by its protocol and family', async () => {
    await send();
    expect(conntrack.list()).toContainEqual(flow);
    expect(conntrack.list({ protocol: 'UDP', family: 'IPv4' })).toEqual([flow]);
    expect(conntrack.list({ protocol: 'TCP' })).toEqual([]);
    expect(conntrack.list({ family: 'IPv6' })).toEqual([]);
  });

  test('deletes what the predicate says and nothing else', async () => {
    await send();
    expect(conntrack.delete(({ original }) => original.destination === parseIp('127.0.0.2'))).toBe(0);
    expect(conntrack.list({ protocol: 'UDP' })).toHaveLength(1);
    expect(conntrack.delete(({ original }) => original.destinationPort === 4053, { protocol: 'UDP' })).toBe(1);
    expect(conntrack.list({ protocol: 'UDP' })).toEqual([]);
  });

  test('finds the flows sent to some addresses and ports', async () => {
    await send();
    const to = (ip: string, port: number) => ({ protocol: 'UDP' as const, destinations: [{ ip: parseIp(ip), port }] });
    expect(conntrack.list(to('127.0.0.1', 4053))).toEqual([flow]);
    expect(conntrack.list(to('127.0.0.1', 4054))).toEqual([]);
    expect(conntrack.list(to('127.0.0.2', 4053))).toEqual([]);
    expect(conntrack.list(to('::1', 4053))).toEqual([]);
    expect(conntrack.list({ destinations: [] })).toEqual([]);
    expect(conntrack.delete(() => true, to('127.0.0.1', 4053))).toBe(1);
  });

  test('does not mind that a flow has gone meanwhile', async () => {
    await send();
    const other = openConntrack();
    const deleted = conntrack.delete(
      () => {
        other.delete(() => true, { protocol: 'UDP' });
        return true;
      },
      { protocol: 'UDP' },
    );
    expect(deleted).toBe(0);
    other.close();
  });

  test('lists and deletes flows of IPv6', async () => {
    const six = createSocket('udp6').bind(4055, '::1');
    await once(six, 'listening');
    const arrived = once(six, 'message');
    six.send('x', 4055, '::1');
    await arrived;
    const [found] = conntrack.list({ family: 'IPv6', protocol: 'UDP' });
    expect(found?.original).toEqual({ source: '::1', sourcePort: 4055, destination: '::1', destinationPort: 4055 });
    const there = { destinations: [{ ip: parseIp('::1'), port: 4055 }] };
    expect(conntrack.list(there)).toEqual([found]);
    expect(conntrack.delete(() => true, there)).toBe(1);
    six.close();
  });
});
