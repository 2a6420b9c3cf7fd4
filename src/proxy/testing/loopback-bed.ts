import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { openRoutes } from '../../kernel/links.ts';
import { parseCidr } from '../../net/cidr.ts';
import { parseIp } from '../../net/ip.ts';

/** Endpoints of the bed: their addresses are on the loopback device, and whatever a client asks for leads there. */
export const endpoints = ['10.244.1.2', '10.244.1.3'] as const;

/**
 * Makes one process a node, its endpoints and their client, in the network namespace of the calling thread: endpoints say
 * their own address on TCP port 8080, and there is a way to `10.96.0.0/12`, where Services are. Gives how to end the
 * servers; the rest goes with the namespace.
 */
export async function serveEndpoints(): Promise<() => void> {
  const routes = openRoutes();
  routes.setLink('lo', { up: true });
  for (const ip of endpoints) routes.addAddress('lo', { ip: parseIp(ip), prefix: 32 });
  routes.addRoute({ destination: parseCidr('10.96.0.0/12'), device: 'lo' });
  routes.close();
  const servers: Server[] = [];
  for (const ip of endpoints) {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.end(ip);
    });
    await once(server.listen(8080, ip), 'listening');
    servers.push(server);
  }
  return () => {
    for (const server of servers) server.close();
  };
}

/** What answers at an address, asked from the first endpoint's: what it says, or the error's code. */
export function ask(ip: string, port: number, timeoutMs = 30_000): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: ip, port, localAddress: endpoints[0] });
    const done = (outcome: string) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    const timer = setTimeout(() => done('TIMEOUT'), timeoutMs);
    socket.once('data', (data) => done(String(data)));
    socket.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
  });
}
