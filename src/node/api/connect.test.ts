import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, request } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseIp } from '../../net/ip.ts';
import { connectToPod } from './connect.ts';
import type { NodeApiError, ServedPod } from './target.ts';

/** The one in the Pod: says back what it hears. */
const pod = createServer((socket) => socket.on('error', () => socket.destroy()).pipe(socket));
/** The node's side, without what its API does before. */
const node = createHttpServer();
const served: ServedPod = {
  pod: { metadata: { namespace: 'default', name: 'web' } },
  state: { containers: new Map() } as unknown as ServedPod['state'],
  network: { ips: ['127.0.0.1', '::1'].map(parseIp), netns: undefined },
  runs: new Map(),
  waitingReason: () => undefined,
};
const sockets = new Set<Duplex>();

async function listen(server: Server): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
}
const portOf = (server: Server) => (server.address() as AddressInfo).port;

beforeAll(async () => {
  node.on('upgrade', (request, socket, head) => {
    sockets.add(socket);
    const { searchParams: query } = new URL(request.url ?? '', 'http://node');
    const asked = { action: 'connect', namespace: 'default', pod: 'web', container: '', query };
    const host = { find: () => served, stateDir: '' };
    connectToPod(asked, { request, socket, head, isSpdy: false }, host).catch(({ code, message }: NodeApiError) => {
      socket.end(`HTTP/1.1 ${code} Refused\r\nContent-Length: ${message.length}\r\n\r\n${message}`);
    });
  });
  await Promise.all([listen(pod), listen(node)]);
});
afterAll(() => {
  for (const socket of sockets) socket.destroy();
  pod.close();
  node.close();
});

function ask(query: string, upgrade = 'tcp') {
  const sent = request({
    agent: false,
    port: portOf(node),
    path: `/?${query}`,
    headers: { connection: 'upgrade', upgrade },
  });
  sent.end();
  return sent;
}
async function refusal(query: string, upgrade?: string): Promise<string> {
  const [answer] = (await once(ask(query, upgrade), 'response')) as [IncomingMessage];
  const [text] = (await once(answer.setEncoding('utf8'), 'data')) as [string];
  return `${answer.statusCode} ${text}`;
}

test('connectToPod makes the connection one to the port of the Pod', async () => {
  const [, socket] = (await once(ask(`address=127.0.0.1&port=${portOf(pod)}`), 'upgrade')) as [unknown, Socket];
  sockets.add(socket);
  socket.write('hello');
  const [said] = (await once(socket, 'data')) as [Buffer];
  expect(said.toString()).toBe('hello');
});

test('connectToPod says when nobody is there', async () => {
  const nobody = createServer();
  await listen(nobody);
  const port = portOf(nobody);
  await new Promise((resolve) => nobody.close(resolve));
  expect(await refusal(`address=127.0.0.1&port=${port}`)).toBe(
    `502 dial tcp 127.0.0.1:${port}: connect: connection refused`,
  );
});

test('connectToPod goes to no address that this node did not give to the Pod', async () => {
  for (const address of ['127.0.0.2', 'localhost', '10.0.0.1', ''])
    expect(await refusal(`address=${address}&port=1`)).toBe(`404 pod "web" does not have the address "${address}"`);
  for (const port of ['0', '65536', 'http', ''])
    expect(await refusal(`address=127.0.0.1&port=${port}`)).toBe(`400 unable to parse port "${port}"`);
  expect(await refusal('address=127.0.0.1&port=1', 'websocket')).toBe('400 only tcp is spoken here');
});
