import type { WebSocket } from 'ws';
import {
  type ClientMessage,
  channel,
  channelMessage,
  fromTextMessage,
  readClientMessage,
  type SessionStatus,
  textMessage,
} from './channels.ts';
import type { ClientChannels } from './client-channels.ts';
import { type AcceptedWebSocket, bytesOf } from './web-socket.ts';

/** Channels as messages of a WebSocket, each of which begins with the channel's number, in one of `sessionProtocols`. */
export class WebSocketChannels implements ClientChannels {
  readonly closed: Promise<void>;
  readonly #ws: WebSocket;
  readonly #isText: boolean;
  readonly #hasStatus: boolean;

  constructor({ ws, protocol }: AcceptedWebSocket) {
    this.#ws = ws;
    this.#isText = protocol.includes('base64');
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
      const bytes = bytesOf(data);
      const message = readClientMessage(this.#isText ? fromTextMessage(bytes) : bytes);
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
    this.#ws.send(this.#isText ? textMessage(number, data) : channelMessage(number, data), sent);
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
