import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createWebSocketStream } from 'ws';
import { isKernelError } from '../../kernel/ffi.ts';
import { connectLoopback } from '../../kernel/netns-connect.ts';
import { tryParsePort } from '../../net/port.ts';
import { messagesOf } from './channels.ts';
import type { NodeApiRequest, Upgrade } from './request.ts';
import { type SpdyOptions, type SpdyStream, serveSpdy } from './spdy/connection.ts';
import { acceptSpdy } from './spdy/upgrade.ts';
import { NodeApiError, type NodeApiHost, type ServedPod, servedPod } from './target.ts';
import { type AcceptedWebSocket, acceptWebSocket, bytesOf } from './web-socket.ts';

/** What kubectl speaks: as many connections as there are, as streams of SPDY within a WebSocket (KEP-4006). */
const tunnelProtocol = 'SPDY/3.1+portforward.k8s.io';
/** What kubectl spoke before, and client-go's SPDY dialer does: the same streams without a WebSocket. */
const streamProtocol = 'portforward.k8s.io';
/** What other clients speak: one connection to each port, as two channels each. Who names no protocol speaks the last. */
const channelProtocols = ['v4.channel.k8s.io', 'v4.base64.channel.k8s.io', ''];

const connectMs = 10_000;

/**
 * Connects a client to ports of a Pod's localhost.
 * @throws NodeApiError before the connection is a WebSocket or one of SPDY
 */
export async function forwardPorts(asked: NodeApiRequest, connection: Upgrade, host: NodeApiHost): Promise<void> {
  const served = servedPod(host, asked.namespace, asked.pod);
  if (served.network === undefined) throw new NodeApiError(500, `pod "${asked.pod}" has no network yet`);
  const ports = readPorts(asked.query);
  if (connection.isSpdy) return forwardByStreams(acceptSpdy(connection, [streamProtocol]), served, { pings: true });
  const accepted = await acceptWebSocket(connection, [tunnelProtocol, ...channelProtocols]);
  if (accepted.protocol === tunnelProtocol) await forwardByStreams(createWebSocketStream(accepted.ws), served);
  else forwardByChannels(accepted, ports, served);
}

/** `port=80`, `port=80,81` or several of them; a tunnel names its ports later. */
function readPorts(query: URLSearchParams): number[] {
  const words = query.getAll('port').flatMap((text) => text.split(','));
  return words.map((word) => {
    const port = tryParsePort(word);
    if (port === undefined) throw new NodeApiError(400, `unable to parse port "${word}"`);
    return port;
  });
}

async function connect({ pod, network }: ServedPod, port: number): Promise<Socket> {
  try {
    return await connectLoopback({ netns: network?.netns, port, timeoutMs: connectMs });
  } catch (error) {
    const why = isKernelError(error) ? `connect to localhost:${port}: ${error.code}` : String(error);
    const { name, uid } = pod.metadata ?? {};
    throw new Error(`error forwarding port ${port} to pod ${name}, uid ${uid}: ${why}`);
  }
}

interface StreamPair {
  error?: SpdyStream;
  data?: SpdyStream;
}

async function forwardByStreams(transport: Duplex, served: ServedPod, options: SpdyOptions = {}): Promise<void> {
  transport.on('error', () => transport.destroy());
  const pairs = new Map<string, StreamPair>();
  const onStream = (stream: SpdyStream) => {
    const type = stream.headers.get('streamtype');
    const port = tryParsePort(stream.headers.get('port') ?? '');
    if ((type !== 'data' && type !== 'error') || port === undefined) return stream.reset();
    const request = stream.headers.get('requestid') ?? '';
    const pair = pairs.get(request) ?? {};
    pair[type] = stream;
    pairs.set(request, pair);
    stream.onCut = () => pairs.delete(request);
    if (pair.data === undefined || pair.error === undefined) return;
    pairs.delete(request);
    void forwardPair(pair.data, pair.error, { served, port });
  };
  try {
    await serveSpdy(transport, onStream, options);
  } catch {
    // What is no SPDY ends the connection; there is nobody to tell.
    transport.destroy();
  }
}

async function forwardPair(
  data: SpdyStream,
  error: SpdyStream,
  to: { readonly served: ServedPod; readonly port: number },
): Promise<void> {
  let tellSocket = (_socket: Socket | undefined) => {};
  const connected = new Promise<Socket | undefined>((resolve) => {
    tellSocket = resolve;
  });
  // What the client sends while the connection is made waits, and with it what comes after.
  data.onData = async (bytes) => {
    const socket = await connected;
    if (socket?.writable === true && !socket.write(bytes)) await drained(socket);
  };
  data.onEnd = () => void connected.then((socket) => socket?.end());
  data.onCut = () => void connected.then((socket) => socket?.destroy());
  try {
    const socket = await connect(to.served, to.port);
    tellSocket(socket);
    socket.on('error', () => socket.destroy());
    for await (const bytes of socket.iterator({ destroyOnReturn: false })) await data.send(bytes as Buffer);
  } catch (cause) {
    tellSocket(undefined);
    if (cause instanceof Error && (cause as NodeJS.ErrnoException).code === undefined)
      await error.send(Buffer.from(cause.message));
  }
  error.end();
  data.end();
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.once('drain', done);
    socket.once('close', done);
  });
}

/** Channel 2i is the data of port i, 2i+1 its errors; the first message of each says the port. */
function forwardByChannels({ ws, protocol }: AcceptedWebSocket, ports: readonly number[], served: ServedPod): void {
  const [write, read] = messagesOf(protocol);
  const connections = ports.map(async (port, i) => {
    const name = Buffer.alloc(2);
    name.writeUInt16LE(port);
    for (const number of [2 * i, 2 * i + 1]) ws.send(write(number, name));
    try {
      const socket = await connect(served, port);
      ws.once('close', () => socket.destroy());
      socket.on('error', () => socket.destroy());
      socket.on('data', (bytes: Buffer) => {
        socket.pause();
        ws.send(write(2 * i, bytes), () => socket.resume());
      });
      // The protocol has no end of one connection: the last one ends it all.
      socket.once('close', () => {
        open--;
        if (open === 0) ws.close(1000);
      });
      return socket;
    } catch (error) {
      ws.send(write(2 * i + 1, Buffer.from((error as Error).message)));
      return undefined;
    }
  });
  let open = ports.length;
  ws.on('message', async (message) => {
    const bytes = read(bytesOf(message));
    const number = bytes[0] ?? 0;
    const connection = number % 2 === 0 ? connections[number / 2] : undefined;
    if (connection === undefined) return;
    ws.pause();
    const socket = await connection;
    if (socket?.writable === true && !socket.write(bytes.subarray(1))) await drained(socket);
    ws.resume();
  });
}
