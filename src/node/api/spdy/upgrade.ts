import type { Duplex } from 'node:stream';
import type { Upgrade } from '../request.ts';
import { NodeApiError } from '../target.ts';

/** How clients ask for streams that are not in a WebSocket. */
export const spdyUpgrade = 'spdy/3.1';

/**
 * Makes a connection one of SPDY streams, in the first of the protocols that the client speaks too, as kubelet does.
 * @throws NodeApiError 400 when there is none
 */
export function acceptSpdy({ request, socket, head }: Upgrade, protocols: readonly string[]): Duplex {
  const offered = [request.headers['x-stream-protocol-version'] ?? []].flat().flatMap((text) => text.split(/, */));
  const protocol = protocols.find((name) => offered.includes(name));
  if (protocol === undefined) {
    const problem = `unable to negotiate protocol: client supports [${offered.join(' ')}]`;
    throw new NodeApiError(400, `unable to upgrade: ${problem}, server accepts [${protocols.join(' ')}]`);
  }
  const lines = [
    'HTTP/1.1 101 Switching Protocols',
    'Connection: Upgrade',
    'Upgrade: SPDY/3.1',
    `X-Stream-Protocol-Version: ${protocol}`,
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  if (head.length > 0) socket.unshift(head);
  return socket;
}
