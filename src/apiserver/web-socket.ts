import { Writable } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { ApiRequest, UpgradeRequest } from './requests.ts';

/** What the client says is not listened to, and need not be long. */
const maxMessageBytes = 64 * 1024;

/**
 * Makes a WebSocket (RFC 6455) of a connection, in the first of the protocols that the client speaks. Each write to the
 * result is one message of text; its end closes the connection, and so does the client. Nothing when the client's
 * handshake is wrong, which it has been told then.
 */
export function openTextMessages(
  { response }: ApiRequest,
  { take, head }: UpgradeRequest,
): Promise<Writable | undefined> {
  const server = new WebSocketServer({ noServer: true, maxPayload: maxMessageBytes, perMessageDeflate: false });
  const socket = take();
  return new Promise((resolve) => {
    socket.once('close', () => resolve(undefined));
    server.handleUpgrade(response.req, socket, head, (webSocket) => resolve(messagesTo(webSocket)));
  });
}

function messagesTo(socket: WebSocket): Writable {
  const messages = new Writable({
    write: (text: Buffer, _encoding, done) => socket.send(text, { binary: false }, done),
    final: (done) => {
      // Only what the other side has agreed to close has arrived there.
      socket.once('close', () => done());
      socket.close(1000);
    },
    destroy: (error, done) => {
      socket.terminate();
      done(error);
    },
  });
  // A connection that breaks is one that closes: there is nobody left to be told.
  messages.on('error', () => {});
  socket.on('error', () => {});
  socket.once('close', () => messages.destroy());
  return messages;
}
