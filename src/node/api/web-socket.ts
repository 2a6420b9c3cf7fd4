import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import type { Upgrade } from './request.ts';
import { NodeApiError } from './target.ts';

/** The largest message taken: kubectl sends 32 KiB at a time, other clients more. */
const maxMessageBytes = 4 << 20;
const pingMs = 15_000;

/** A WebSocket, and which of its protocols was agreed on. */
export interface AcceptedWebSocket {
  readonly ws: WebSocket;
  readonly protocol: string;
}

/**
 * Makes a WebSocket of a connection, in the first of the protocols that the client speaks too; a client that names none
 * speaks the one without a name.
 * @throws NodeApiError 400 when there is none
 */
export async function acceptWebSocket(
  { request, socket, head }: Upgrade,
  protocols: readonly string[],
): Promise<AcceptedWebSocket> {
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  const protocol = protocols.find((name) => offered.includes(name));
  if (protocol === undefined) {
    throw new NodeApiError(400, `unable to upgrade: none of the protocols [${offered.join(' ')}] is supported`);
  }
  // The name that kubectl gives to its tunnel is no token, and the library takes only those: so it sees none.
  delete request.headers['sec-websocket-protocol'];
  const server = new WebSocketServer({ noServer: true, maxPayload: maxMessageBytes, perMessageDeflate: false });
  if (protocol !== '') server.on('headers', (headers) => headers.push(`Sec-WebSocket-Protocol: ${protocol}`));
  const ws = await new Promise<WebSocket>((resolve) => server.handleUpgrade(request, socket, head, resolve));
  // What is wrong with the client's bytes closes the connection, and that is told by `close`.
  ws.on('error', () => {});
  keepAlive(ws);
  return { ws, protocol };
}

/** Ends a connection whose other side answers no more. While nothing is read of it, a failed write shows that. */
function keepAlive(ws: WebSocket): void {
  let answered = true;
  ws.on('pong', () => {
    answered = true;
  });
  const timer = setInterval(() => {
    if (!answered && !ws.isPaused) ws.terminate();
    answered = false;
    ws.ping();
  }, pingMs);
  ws.once('close', () => clearInterval(timer));
}

/** The bytes of a message, however they came. */
export function bytesOf(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
