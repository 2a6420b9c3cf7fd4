import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Ports that the kernel gives to nobody who asks for any port (ip_local_port_range starts at 32,768), and that are no node
 * ports either: what is free now is only taken by who wants just this one.
 */
const range = { first: 20_000, count: 10_000 };
const tries = 100;

const given = new Set<number>();

/** A port, other each time, that is free for TCP and UDP on every address of IPv4. */
export async function freePort(): Promise<number> {
  for (let i = 0; i < tries; i++) {
    const port = range.first + Math.floor(Math.random() * range.count);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`none of ${tries} ports was free`);
}

async function isFree(port: number): Promise<boolean> {
  const tcp = createServer();
  const udp = createSocket('udp4');
  try {
    await once(tcp.listen(port, '0.0.0.0'), 'listening');
    await once(udp.bind(port, '0.0.0.0'), 'listening');
    return true;
  } catch {
    return false;
  } finally {
    if (tcp.listening) await new Promise((resolve) => tcp.close(resolve));
    await new Promise<void>((resolve) => udp.close(() => resolve()));
  }
}
