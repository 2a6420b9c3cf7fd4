import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { urlHost } from '../../net/ip.ts';
import type { ClusterPki } from '../pki.ts';

/** A node agent's `/connect` for tests: leads ports of Pods to ports of 127.0.0.1. */
export interface TestNode {
  readonly port: number;
  /** What the API server asked for, in order. */
  readonly asked: string[];
  close(): Promise<void>;
}

export async function startTestNode(pki: ClusterPki, ports: { readonly [podPort: string]: number }): Promise<TestNode> {
  const asked: string[] = [];
  const server = createTlsServer({ cert: pki.serverCert, key: pki.serverKey, ca: pki.caCert, requestCert: true });
  server.on('upgrade', (request, socket) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'https://node');
    const [address = '', port = ''] = ['address', 'port'].map((name) => searchParams.get(name) ?? '');
    asked.push(`${pathname} ${address} ${port}`);
    const to = ports[port];
    socket.on('error', () => socket.destroy());
    if (to === undefined) {
      const message = `dial tcp ${urlHost(address)}:${port}: connect: connection refused`;
      socket.end(`HTTP/1.1 502 Refused\r\nContent-Length: ${message.length}\r\n\r\n${message}`);
      return;
    }
    const pod = connect(to, '127.0.0.1', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
      socket.pipe(pod).pipe(socket);
    });
    pod.on('error', () => socket.destroy());
    socket.once('close', () => pod.destroy());
  });
  return { port: await listen(server), asked, close: () => end(server) };
}

/** Somebody behind the proxy. */
export interface TestBackend {
  readonly port: number;
  close(): Promise<void>;
}

export async function startTestBackend(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  pki?: ClusterPki,
): Promise<TestBackend> {
  const server =
    pki === undefined ? createServer(answer) : createTlsServer({ cert: pki.serverCert, key: pki.serverKey }, answer);
  // Another kind of connection: it gives back what it is given, behind a greeting.
  server.on('upgrade', (request, socket, head) => {
    if (request.url === '/refused') {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\nX-Mine: 1\r\n\r\nnope');
      return;
    }
    const { upgrade } = request.headers;
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${upgrade}\r\n\r\nhello `);
    socket.write(head);
    socket.pipe(socket);
  });
  return { port: await listen(server), close: () => end(server) };
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function end(server: Server): Promise<void> {
  server.closeAllConnections();
  server.close();
}
