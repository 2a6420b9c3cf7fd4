import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { messageOf } from '../body.ts';
import { hasBody } from '../http-messages.ts';
import type { NodeClient, Upgraded } from '../node-api/node-client.ts';
import { StatusError } from '../status.ts';
import type { HeaderList } from './headers.ts';
import type { ProxyTarget } from './target.ts';

const handshakeMs = 10_000;
const maxHeaderBytes = 64 * 1024;

/** A request as it goes on to the one behind the proxy. */
export interface OnwardRequest {
  readonly incoming: IncomingMessage;
  /** With query. */
  readonly path: string;
  readonly headers: HeaderList;
  /** Aborts when the client is gone: then the connection ends. */
  readonly signal: AbortSignal;
}

/**
 * Sends a request on and gives the answer, whatever its status, or the connection that it has become. Its body follows as
 * it comes and as it is taken. Certificates are not verified, as in Kubernetes: there is no name that they could be for.
 * @throws StatusError 503 when there is no answer
 */
export async function askBackend(
  client: NodeClient,
  target: ProxyTarget,
  request: OnwardRequest,
): Promise<IncomingMessage | Upgraded> {
  try {
    const socket = await client.connect(target.node, target);
    request.signal.addEventListener('abort', () => socket.destroy(), { once: true });
    if (request.signal.aborted) socket.destroy();
    return await exchange(target.isSecure ? await secured(socket) : socket, request);
  } catch (error) {
    throw new StatusError('ServiceUnavailable', `error trying to reach service: ${reasonOf(error)}`);
  }
}

/** OpenSSL's messages name its own source files; beside them it says what is wrong. */
function reasonOf(error: unknown): string {
  const { reason } = error as { readonly reason?: unknown };
  return typeof reason === 'string' ? `no TLS connection: ${reason}` : messageOf(error);
}

function secured(socket: Duplex): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const secure = connectTls({ socket, rejectUnauthorized: false });
    const timer = setTimeout(() => secure.destroy(new Error('TLS handshake timeout')), handshakeMs);
    secure.once('secureConnect', () => {
      clearTimeout(timer);
      resolve(secure);
    });
    secure.on('error', reject);
    secure.once('close', () => {
      clearTimeout(timer);
      socket.destroy();
      reject(new Error('EOF'));
    });
  });
}

function exchange(
  socket: Duplex,
  { incoming, path, headers, signal }: OnwardRequest,
): Promise<IncomingMessage | Upgraded> {
  return new Promise((resolve, reject) => {
    const { method = 'GET' } = incoming;
    const isFollowed = hasBody(incoming);
    const sent = httpRequest({
      createConnection: () => socket,
      ...{ method, path, headers, signal },
      maxHeaderSize: maxHeaderBytes,
    });
    sent.once('response', resolve);
    sent.once('upgrade', (answer, socket, head) => resolve({ answer, socket, head }));
    sent.on('error', reject);
    sent.once('close', () => {
      reject(new Error('EOF'));
      // What the client still sends, nobody takes any more; it would not see the answer if it were held up.
      if (isFollowed) incoming.resume();
    });
    if (isFollowed) incoming.pipe(sent);
    else sent.end();
  });
}
