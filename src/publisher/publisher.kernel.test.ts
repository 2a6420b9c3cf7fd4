import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { soon } from '../../test/soon.ts';
import { bindSocket } from '../kernel/bound-sockets.ts';
import { parseIp } from '../net/ip.ts';
import { Budget, type RelayTarget } from '../relay/relay.ts';
import type { Publication } from './publications.ts';
import { Publisher, type PublisherNotice, type PublisherOptions } from './publisher.ts';

// In a network namespace of this test's own all ports of loopback are free. Its sockets are bound right here.
const ip = parseIp('127.0.0.1');
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

async function says(word: string): Promise<RelayTarget> {
  return {
    ip,
    port: await listens(
      createServer((socket) => socket.end(word)),
      0,
    ),
  };
}

async function listens(server: Server, port: number): Promise<number> {
  await once(server.listen(port, ip), 'listening');
  ends.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function heard(port: number, host: string = ip): Promise<string> {
  const socket = connect(port, host);
  let text = '';
  for await (const data of socket) text += data;
  return text;
}

const nodePort = (port: number, ...targets: readonly RelayTarget[]): Publication => ({
  key: `default/web nodePort ${port}/TCP`,
  service: 'default/web',
  portName: '',
  port: 80,
  protocols: ['TCP'],
  scheme: 'http',
  way: 'nodePort',
  knownBy: port,
  targets,
});

function publisherWith(options: Partial<PublisherOptions> = {}) {
  const notices: PublisherNotice[] = [];
  const connections = new Budget(
    () => 100,
    () => {},
  );
  const publisher = new Publisher({
    sockets: { bind: async (protocol, at) => bindSocket(protocol === 'TCP' ? 'tcp' : 'udp', at.ip, at.port) },
    limits: { connections, idleMs: 60_000, udpIdleMs: 60_000, onError: () => {} },
    log: pino({ level: 'silent' }),
    salt: 'here',
    choices: new Map(),
    onChange: () => {},
    onNotice: (notice) => notices.push(notice),
    ...options,
  });
  ends.push(() => publisher.stop());
  /** Where it is, as soon as it is somewhere. */
  const addressOf = (key: string) =>
    soon(() => {
      const address = publisher.report().find((port) => port.key === key)?.address;
      if (address === undefined) throw new Error(`${key} is nowhere`);
      return address;
    });
  return { publisher, notices, addressOf };
}

describe('Publisher', () => {
  it('opens what is wanted, leads to what it has become, and closes what is not wanted any more', async () => {
    const { publisher, addressOf } = publisherWith();
    const [a, b] = [await says('a'), await says('b')];
    publisher.update([nodePort(30_080, a)]);
    expect(await addressOf(nodePort(30_080).key)).toBe('127.0.0.1:30080');
    expect(await heard(30_080)).toBe('a');
    publisher.update([nodePort(30_080, b)]);
    await soon(async () => expect(await heard(30_080)).toBe('b'));
    publisher.update([]);
    await soon(() => expect(heard(30_080)).rejects.toThrow('ECONNREFUSED'));
    expect(publisher.report()).toEqual([]);
    expect(publisher.choices.size).toBe(0);
  });

  it('lets connections go on when a Service goes', async () => {
    const { publisher, addressOf } = publisherWith();
    const echo = createServer((socket) => socket.pipe(socket));
    publisher.update([nodePort(30_080, { ip, port: await listens(echo, 0) })]);
    await addressOf(nodePort(30_080).key);
    const socket = connect(30_080, ip);
    socket.write('one');
    expect(String((await once(socket, 'data'))[0])).toBe('one');
    publisher.update([]);
    await soon(() => expect(heard(30_080)).rejects.toThrow('ECONNREFUSED'));
    socket.write('two');
    expect(String((await once(socket, 'data'))[0])).toBe('two');
    socket.destroy();
  });

  it('goes elsewhere when a port is taken, says so, and goes there again with what was chosen', async () => {
    const other = createServer();
    await listens(other, 30_080);
    const first = publisherWith();
    const target = await says('a');
    first.publisher.update([nodePort(30_080, target)]);
    const address = await first.addressOf(nodePort(30_080).key);
    expect(address).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(await heard(Number(address.split(':')[1]))).toBe('a');
    expect(first.publisher.report()).toMatchObject([{ insteadOf: '127.0.0.1:30080', url: `http://${address}` }]);
    expect(first.notices).toMatchObject([
      {
        reason: 'PortTaken',
        message: `node port 30080/TCP is at ${address} on the host: 127.0.0.1:30080 is taken there`,
      },
    ]);
    const choices = new Map(first.publisher.choices);
    first.publisher.stop();
    const second = publisherWith({ choices });
    second.publisher.update([nodePort(30_080, target)]);
    expect(await second.addressOf(nodePort(30_080).key)).toBe(address);
  });

  it('tries again what could not be had, and tells it once', async () => {
    let refusals = 2;
    const { publisher, notices, addressOf } = publisherWith({
      sockets: {
        bind: async (_, at) => {
          // What the kernel says of an address that is not there.
          if (refusals-- > 0) return bindSocket('tcp', parseIp('192.0.2.1'), at.port);
          return bindSocket('tcp', at.ip, at.port);
        },
      },
    });
    publisher.update([nodePort(30_080)]);
    await soon(() => expect(publisher.report()).toMatchObject([{ problem: 'EADDRNOTAVAIL' }]));
    expect(await addressOf(nodePort(30_080).key)).toBe('127.0.0.1:30080');
    expect(publisher.report()[0]?.problem).toBeUndefined();
    expect(notices.map(({ reason }) => reason)).toEqual(['FailedToPublish']);
  });

  it('has both protocols of cluster DNS at one port, also when one of them is taken', async () => {
    const inTheWay = createSocket('udp4').bind(10_053, ip);
    await once(inTheWay, 'listening');
    ends.push(() => inTheWay.close());
    const resolver = createSocket('udp4').bind(0, ip);
    await once(resolver, 'listening');
    ends.push(() => resolver.close());
    resolver.on('message', (query, from) => resolver.send(`${query}!`, from.port, from.address));
    const { port } = resolver.address();
    await listens(
      createServer((socket) => socket.end('by TCP')),
      port,
    );
    const { publisher, addressOf } = publisherWith();
    publisher.update([
      { ...nodePort(53, { ip, port }), key: 'kube-system/kube-dns dns', way: 'dns', protocols: ['UDP', 'TCP'] },
    ]);
    const found = Number((await addressOf('kube-system/kube-dns dns')).split(':')[1]);
    expect(found).not.toBe(10_053);
    expect(await heard(found)).toBe('by TCP');
    const client = createSocket('udp4');
    ends.push(() => client.close());
    client.send('by UDP', found, ip);
    expect(String((await once(client, 'message'))[0])).toBe('by UDP!');
  });

  it('has the ports of one balancer for TCP and UDP at the same number, those of another elsewhere', async () => {
    const balancer = (service: string, protocol: 'TCP' | 'UDP'): Publication => ({
      ...nodePort(53),
      key: `${service} loadBalancer 53/${protocol}`,
      service,
      protocols: [protocol],
      way: 'loadBalancer',
    });
    const { publisher, addressOf } = publisherWith();
    const [tcp, udp, other] = [
      balancer('default/a', 'TCP'),
      balancer('default/a', 'UDP'),
      balancer('default/b', 'UDP'),
    ];
    publisher.update([tcp, udp, other]);
    expect(await addressOf(tcp.key)).toBe('127.0.0.1:8053');
    expect(await addressOf(udp.key)).toBe('127.0.0.1:8053');
    expect(await addressOf(other.key)).not.toBe('127.0.0.1:8053');
  });

  it('gives a Service an address of its own, another where somebody has that one', async () => {
    const own = (service: string): Publication => ({
      ...nodePort(80),
      key: `${service} ownAddress 80/TCP`,
      service,
      way: 'ownAddress',
    });
    const first = publisherWith();
    first.publisher.update([own('default/a'), own('default/b')]);
    const [a, b] = [await first.addressOf(own('default/a').key), await first.addressOf(own('default/b').key)];
    expect(a).not.toBe(b);
    const second = publisherWith();
    second.publisher.update([own('default/a')]);
    const elsewhere = await second.addressOf(own('default/a').key);
    expect(elsewhere).toMatch(/^127\..*:80$/);
    expect(elsewhere).not.toBe(a);
    expect(second.notices).toEqual([]);
  });
});
