import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { readFileSync, statSync } from 'node:fs';
import { familyOf, type Ip } from '../net/ip.ts';
import { parseResolvConf, resolverAddresses } from '../net/resolv-conf.ts';

/** Where the relay listens, and what it asks through. */
export interface DnsRelayOptions {
  readonly listen: { readonly address: Ip; readonly port: number };
  /** A bound UDP socket (IPv4) of the host's network namespace. */
  readonly hostSocket: number;
  /** The host's resolver configuration; read again when it changes. */
  readonly resolvConf: string;
}

interface Pending {
  readonly client: RemoteInfo;
  readonly id: number;
  readonly until: number;
}

const maxPending = 1024;
const timeoutMs = 5_000;

/**
 * Passes DNS questions from the cluster's router on to the host's resolvers, through a socket that stayed in the
 * host's network namespace: a cluster without root has no other way out. Datagrams only: an answer too large for one
 * arrives truncated. With no resolver, or with too many questions open, a question is answered SERVFAIL at once.
 */
export async function startDnsRelay(options: DnsRelayOptions): Promise<{ close: () => void }> {
  const inside = createSocket(familyOf(options.listen.address) === 'IPv6' ? 'udp6' : 'udp4');
  const outside = createSocket('udp4');
  const pending = new Map<number, Pending>();
  let nextId = Math.floor(Math.random() * 65536);

  inside.on('message', (query, client) => {
    if (query.length < 12) return;
    expire(pending);
    const resolver = readResolvers(options.resolvConf)[0];
    if (resolver === undefined || pending.size >= maxPending) {
      inside.send(serverFailure(query), client.port, client.address);
      return;
    }
    while (pending.has(nextId)) nextId = (nextId + 1) & 0xffff;
    pending.set(nextId, { client, id: query.readUInt16BE(0), until: Date.now() + timeoutMs });
    query.writeUInt16BE(nextId, 0);
    nextId = (nextId + 1) & 0xffff;
    outside.send(query, 53, resolver);
  });
  outside.on('message', (answer, from) => {
    const question = answer.length < 12 ? undefined : pending.get(answer.readUInt16BE(0));
    if (question === undefined || from.port !== 53 || !readResolvers(options.resolvConf).includes(from.address as Ip))
      return;
    pending.delete(answer.readUInt16BE(0));
    answer.writeUInt16BE(question.id, 0);
    inside.send(answer, question.client.port, question.client.address);
  });
  // A refused datagram tells nobody anything they do not learn from the time-out.
  for (const socket of [inside, outside]) socket.on('error', () => {});
  await bound(inside, { address: options.listen.address, port: options.listen.port });
  await bound(outside, { fd: options.hostSocket });
  return {
    close: () => {
      inside.close();
      outside.close();
    },
  };
}

function bound(socket: Socket, where: { address: string; port: number } | { fd: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(where, () => {
      socket.removeListener('error', reject);
      resolve();
    });
  });
}

function expire(pending: Map<number, Pending>): void {
  const now = Date.now();
  // Oldest first: a Map keeps the order of insertion.
  for (const [id, question] of pending) {
    if (question.until > now) return;
    pending.delete(id);
  }
}

function serverFailure(query: Buffer): Buffer {
  const answer = Buffer.from(query);
  answer.writeUInt16BE(0x8182 | (query.readUInt16BE(2) & 0x7900), 2);
  return answer;
}

const resolversByFile = new Map<string, { readonly changed: number; readonly resolvers: readonly Ip[] }>();

/** The IPv4 `nameserver` lines of a resolv.conf(5), in order; none when it cannot be read. */
function readResolvers(path: string): readonly Ip[] {
  try {
    const changed = statSync(path).mtimeMs;
    const known = resolversByFile.get(path);
    if (known?.changed === changed) return known.resolvers;
    const resolvers = parseResolvers(readFileSync(path, 'utf8'));
    resolversByFile.set(path, { changed, resolvers });
    return resolvers;
  } catch {
    return [];
  }
}

/** The IPv4 resolvers a resolv.conf(5) names. */
export function parseResolvers(text: string): Ip[] {
  return resolverAddresses(parseResolvConf(text)).filter((ip) => familyOf(ip) === 'IPv4');
}
