import type { Writable } from 'node:stream';
import { type ApiRequest, streamed } from './requests.ts';
import type { MessageKind } from './web-socket.ts';

/** What goes on for long is made of: events of a watch, lines of a log. */
interface StreamForm {
  readonly type: string;
  readonly messages: MessageKind;
}

/**
 * Begins an answer that goes on, and gives what to write it to: messages of a WebSocket for a client that asks for one,
 * as browsers do, who could not read the answer while it goes on; for others the answer's body. `streamed` when the
 * client's handshake was wrong.
 */
export async function openStream(
  request: ApiRequest,
  { type, messages }: StreamForm,
): Promise<Writable | typeof streamed> {
  const { upgrade, headers, response } = request;
  if (upgrade !== undefined && headers.upgrade?.toLowerCase() === 'websocket') {
    // Few ask for it.
    const { openMessages } = await import('./web-socket.ts');
    return (await openMessages(messages, request, upgrade)) ?? streamed;
  }
  response.writeHead(200, { 'content-type': type, 'cache-control': 'no-cache, private' });
  response.flushHeaders();
  return response;
}
