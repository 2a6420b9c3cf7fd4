import type { WebSocket } from 'ws';
import { type ClientMessage, channel, messagesOf, readClientMessage, type SessionStatus } from './channels.ts';
import type { ClientChannels } from './client-channels.ts';
import { type AcceptedWebSocket, bytesOf } from './web-socket.ts';

/** Channels as messages of a WebSocket, each of which begins with the channel's number, in one of `sessionProtocols`. */
export class WebSocketChannels implements ClientChannels {
  readonly closed: Promise<void>;
  readonly #ws: WebSocket;
  readonly #messages: ReturnType<typeof messagesOf>;
  readonly #hasStatus: boolean;

  constructor({ ws, protocol }: AcceptedWebSocket) {
    this.#ws = ws;
    this.#messages = messagesOf(protocol);
    this.#hasStatus = /^v[45]\./.test(protocol);
    this.closed = new Promise((resolve) => {
      ws.once('close', () => resolve());
    });
  }

  get isOpen(): boolean {
    return this.#ws.readyState === this.#ws.OPEN;
  }

  listen(onMessage: (message: ClientMessage) => void): void {
    this.#ws.on('message', (data) => {
      const [, read] = this.#messages;
      const message = readClientMessage(read(bytesOf(data)));
      if (message !== undefined) onMessage(message);
    });
  }

  pause(): void {
    this.#ws.pause();
  }

  resume(): void {
    this.#ws.resume();
  }

  send(number: number, data: Buffer, sent = () => {}): void {
    const [write] = this.#messages;
    this.#ws.send(write(number, data), sent);
  }

  sendStatus(status: SessionStatus): void {
    const said = this.#hasStatus ? JSON.stringify(status) : (status.message ?? '');
    if (said !== '') this.send(channel.error, Buffer.from(said));
  }

  close(): void {
    this.#ws.resume();
    this.#ws.close(1000);
  }

  terminate(): void {
    this.#ws.terminate();
  }
}
