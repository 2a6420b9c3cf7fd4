import { Writable } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { ApiRequest, UpgradeRequest } from './requests.ts';

/** What the client says is not listened to, and need not be long. */
const maxMessageBytes = 64 * 1024;
/** The protocol of clients that take no bytes: they get them as base64. */
const base64Protocol = 'base64.binary.k8s.io';

/** What is sent: events, which are text to every client, or bytes. */
export type MessageKind = 'text' | 'bytes';

/**
 * Makes a WebSocket (RFC 6455) of a connection, in the first of the protocols that the client speaks. Each write to the
 * result is one message; its end closes the connection, and so does the client. Nothing when the client's handshake is
 * wrong, which it has been told then.
 */
export function openMessages(
  kind: MessageKind,
  { response }: ApiRequest,
  { take, head }: UpgradeRequest,
): Promise<Writable | undefined> {
  const server = new WebSocketServer({ noServer: true, maxPayload: maxMessageBytes, perMessageDeflate: false });
  const socket = take();
  return new Promise((resolve) => {
    socket.once('close', () => resolve(undefined));
    server.handleUpgrade(response.req, socket, head, (webSocket) => resolve(messagesTo(webSocket, kind)));
  });
}

function messagesTo(socket: WebSocket, kind: MessageKind): Writable {
  const isBase64 = kind === 'bytes' && socket.protocol === base64Protocol;
  const binary = kind === 'bytes' && !isBase64;
  const messages = new Writable({
    write: (bytes: Buffer, _encoding, done) =>
      socket.send(isBase64 ? bytes.toString('base64') : bytes, { binary }, done),
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
