import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { parseIp } from '../net/ip.ts';
import { Balancer, StickyClients } from './balancer.ts';
import { Budget, type RelayTarget } from './relay.ts';
import { UdpRelay } from './udp-relay.ts';

const host = parseIp('127.0.0.1');
const open = new Set<{ close(): void }>();
afterEach(() => {
  for (const socket of open) socket.close();
  open.clear();
});

async function bound(): Promise<Socket> {
  const socket = createSocket('udp4').bind(0, host);
  open.add(socket);
  await once(socket, 'listening');
  return socket;
}

/** Answers each datagram with a word and what it said; counts whom it hears from. */
async function endpoint(word: string): Promise<RelayTarget & { readonly clients: Set<number> }> {
  const socket = await bound();
  const clients = new Set<number>();
  socket.on('message', (message, from) => {
    clients.add(from.port);
    socket.send(`${word} ${message}`, from.port, from.address);
  });
  return { ip: host, port: socket.address().port, clients };
}

async function silentEndpoint(): Promise<RelayTarget> {
  const socket = await bound();
  const { port } = socket.address();
  open.delete(socket);
  socket.close();
  return { ip: host, port };
}

async function relayTo(
  endpoints: readonly RelayTarget[],
  options: { idleMs?: number; budget?: Budget; sticky?: StickyClients } = {},
) {
  const balancer = new Balancer();
  balancer.update(endpoints, options.sticky);
  const connections =
    options.budget ??
    new Budget(
      () => 100,
      () => {},
    );
  const relay = new UdpRelay(host, balancer, {
    connections,
    idleMs: 60_000,
    udpIdleMs: options.idleMs ?? 60_000,
    onError: (error) => {
      throw error;
    },
  });
  open.add(relay);
  return { port: await relay.listen(host, 0), balancer, connections };
}

async function ask(socket: Socket, port: number, message: string): Promise<string> {
  const answer = once(socket, 'message', { signal: AbortSignal.timeout(20_000) });
  socket.send(message, port, host);
  return String((await answer)[0]);
}

describe('UdpRelay', () => {
  it('keeps a flow at one endpoint, and takes endpoints in turn for flows', async () => {
    const { port } = await relayTo([await endpoint('a'), await endpoint('b')]);
    const [first, second] = [await bound(), await bound()];
    expect(await ask(first, port, '1')).toBe('a 1');
    expect(await ask(second, port, '2')).toBe('b 2');
    expect(await ask(first, port, '3')).toBe('a 3');
  });

  it('sends what nobody took to the next endpoint', async () => {
    const { port } = await relayTo([await silentEndpoint(), await silentEndpoint(), await endpoint('c')]);
    expect(await ask(await bound(), port, '1')).toBe('c 1');
  });

  it('leaves an endpoint that is gone', async () => {
    const [a, b] = [await endpoint('a'), await endpoint('b')];
    const { port, balancer } = await relayTo([a, b]);
    const client = await bound();
    expect(await ask(client, port, '1')).toBe('a 1');
    balancer.update([b], undefined);
    expect(await ask(client, port, '2')).toBe('b 2');
  });

  it('forgets a flow nobody uses', async () => {
    const a = await endpoint('a');
    const { port, connections } = await relayTo([a], { idleMs: 20 });
    const client = await bound();
    await ask(client, port, '1');
    await expect.poll(() => connections.used).toBe(0);
    await ask(client, port, '2');
    expect(a.clients.size).toBe(2);
  });

  it('keeps a client with its endpoint over flows', async () => {
    const { port } = await relayTo([await endpoint('a'), await endpoint('b')], {
      sticky: new StickyClients(60, () => 0),
    });
    expect([await ask(await bound(), port, '1'), await ask(await bound(), port, '2')]).toEqual(['a 1', 'a 2']);
  });

  it('takes no flow beyond the budget', async () => {
    let refusals = 0;
    const budget = new Budget(
      () => 1,
      () => refusals++,
    );
    const { port } = await relayTo([await endpoint('a')], { budget });
    await ask(await bound(), port, '1');
    const late = await bound();
    late.send('2', port, host);
    await expect.poll(() => refusals).toBe(1);
    expect(budget.used).toBe(1);
  });
});
