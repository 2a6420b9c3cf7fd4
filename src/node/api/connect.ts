import { connect as connectTcp, type Socket } from 'node:net';
import { nodeApiConnect, podStreamIdleMs } from '../../api/node-api.ts';
import { joinStreams } from '../../component/join-streams.ts';
import { urlHost } from '../../net/ip.ts';
import { tryParsePort } from '../../net/port.ts';
import type { NodeApiRequest, Upgrade } from './request.ts';
import { NodeApiError, type NodeApiHost, servedPod } from './target.ts';

/** Less than the API server waits for an answer. */
const connectMs = 8_000;

/**
 * Connects the API server to a TCP port of a Pod, from the node's own network as a probe does. Only to an address that
 * this node has given to the Pod: what the Pod's status says, others may have written.
 * @throws NodeApiError before the connection is the Pod's; 502 when there is nobody
 */
export async function connectToPod(
  asked: NodeApiRequest,
  { request, socket, head }: Upgrade,
  host: NodeApiHost,
): Promise<void> {
  if (request.headers.upgrade?.toLowerCase() !== nodeApiConnect.protocol)
    throw new NodeApiError(400, `only ${nodeApiConnect.protocol} is spoken here`);
  const { network } = servedPod(host, asked.namespace, asked.pod);
  const port = tryParsePort(asked.query.get('port') ?? '');
  if (port === undefined) throw new NodeApiError(400, `unable to parse port "${asked.query.get('port')}"`);
  const address = network?.ips.find((ip) => ip === asked.query.get('address'));
  if (address === undefined)
    throw new NodeApiError(404, `pod "${asked.pod}" does not have the address "${asked.query.get('address')}"`);
  const pod = await dial(address, port);
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${nodeApiConnect.protocol}\r\n\r\n`,
  );
  if (head.length > 0) pod.write(head);
  joinStreams(socket, pod, podStreamIdleMs);
}

/** What went wrong is said as Go's network library says it, which is what users of Kubernetes look for. */
const words: { readonly [code: string]: string } = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset by peer',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'network is unreachable',
  ETIMEDOUT: 'connection timed out',
};

function dial(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port, noDelay: true });
    const refuse = (why: string) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new NodeApiError(502, `dial tcp ${urlHost(host)}:${port}: ${why}`));
    };
    const timer = setTimeout(() => refuse('i/o timeout'), connectMs);
    socket.once('error', ({ code = '' }: NodeJS.ErrnoException) => refuse(`connect: ${words[code] ?? code}`));
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve(socket);
    });
  });
}
