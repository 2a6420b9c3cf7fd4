import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { createServer as createSecureServer, TLSSocket, type TlsOptions } from 'node:tls';
import { type Answer, type DecodedPacket, decode, encode, type Packet } from 'dns-packet';
import { pino } from 'pino';
import { familyOf, parseIp } from '../../net/ip.ts';
import { type ServerAddress, socketType } from '../forward/address.ts';

/** For tests: a log that writes nothing. */
export const silent = pino({ level: 'silent' });

/** For tests: an address of this machine at which the system chooses the port. */
export const anyPort: ServerAddress = { ip: parseIp('127.0.0.1'), port: 0 };

type Made = Packet | Buffer | undefined;

/** For tests: what a made-up server answers, at once or later; `undefined` for silence, octets to say just that. */
export type Reply = (query: DecodedPacket, transport: 'udp' | 'tcp') => Made | Promise<Made>;

/** For tests: another DNS server, and what it has been asked. */
export interface OtherServer {
  readonly address: ServerAddress;
  readonly asked: { readonly name: string; readonly transport: 'udp' | 'tcp'; readonly port: number }[];
  /** Of each TLS connection, whether it took up a session again. */
  readonly resumed: readonly boolean[];
  close(): Promise<void>;
}

/**
 * For tests: starts a server whose answers a function makes, and the reference implementation writes. With TLS options,
 * its TCP is TLS; it listens at 127.0.0.1 unless another address of this machine is given.
 */
export async function otherServer(reply: Reply, tls?: TlsOptions, ip = anyPort.ip): Promise<OtherServer> {
  const asked: OtherServer['asked'] = [];
  const answer = async (packet: Buffer, transport: 'udp' | 'tcp', port: number): Promise<Buffer | undefined> => {
    const query = decode(packet);
    asked.push({ name: query.questions?.[0]?.name ?? '', transport, port });
    const made = await reply(query, transport);
    if (made === undefined || Buffer.isBuffer(made)) return made;
    return encode({ type: 'response', id: query.id ?? 0, questions: query.questions ?? [], ...made });
  };
  const resumed: boolean[] = [];
  const serve = (socket: Socket) => {
    if (socket instanceof TLSSocket) resumed.push(socket.isSessionReused());
    socket.on('data', async (chunk) => {
      const message = await answer(chunk.subarray(2), 'tcp', socket.remotePort ?? 0);
      if (message === undefined) return;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(message.length);
      socket.write(Buffer.concat([length, message]));
    });
    socket.on('error', () => undefined);
  };
  const tcp = tls === undefined ? createServer(serve) : createSecureServer(tls, serve);
  tcp.listen(0, ip);
  await once(tcp, 'listening');
  const { port } = tcp.address() as { port: number };
  const udp = createSocket(socketType(familyOf(ip)));
  udp.on('message', async (packet, from) => {
    const message = await answer(packet, 'udp', from.port);
    if (message !== undefined) udp.send(message, from.port, from.address);
  });
  udp.bind(port, ip);
  await once(udp, 'listening');
  return {
    address: { ip, port },
    asked,
    resumed,
    close: async () => {
      udp.close();
      tcp.close();
    },
  };
}

/** For tests: an A record. */
export function a(name: string, data: string, ttl = 60): Answer {
  return { type: 'A', name, data, ttl };
}

/** For tests: an SOA record that lets a denial be kept so long. */
export function soa(name: string, minimum: number): Answer {
  const data = { mname: `ns.${name}`, rname: `admin.${name}`, serial: 1, refresh: 1, retry: 1, expire: 1, minimum };
  return { type: 'SOA', name, ttl: 3600, data };
}
