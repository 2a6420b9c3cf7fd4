import type { Writable } from 'node:stream';
import { type ApiRequest, streamed } from './requests.ts';

/**
 * Where a watcher's events are written: messages of a WebSocket for a client that asks for one, as browsers do, who
 * could not read an answer that goes on; for others the answer's body. `streamed` when the client's handshake was wrong.
 */
export async function openWatchAnswer(request: ApiRequest): Promise<Writable | typeof streamed> {
  const { upgrade, headers, response } = request;
  if (upgrade !== undefined && headers.upgrade?.toLowerCase() === 'websocket') {
    // Few ask for it.
    const { openTextMessages } = await import('./web-socket.ts');
    return (await openTextMessages(request, upgrade)) ?? streamed;
  }
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' });
  response.flushHeaders();
  return response;
}
