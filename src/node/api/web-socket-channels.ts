import type { WebSocket } from 'ws';
import { type ClientMessage, channelMessage, readClientMessage } from './channels.ts';
import type { ClientChannels } from './client-channels.ts';
import { bytesOf } from './web-socket.ts';

/** Channels as messages of a WebSocket, each of which begins with the channel's number (channel.k8s.io). */
export class WebSocketChannels implements ClientChannels {
  readonly closed: Promise<void>;
  readonly #ws: WebSocket;

  constructor(ws: WebSocket) {
    this.#ws = ws;
    this.closed = new Promise((resolve) => {
      ws.once('close', () => resolve());
    });
  }

  get isOpen(): boolean {
    return this.#ws.readyState === this.#ws.OPEN;
  }

  listen(onMessage: (message: ClientMessage) => void): void {
    this.#ws.on('message', (data) => {
      const message = readClientMessage(bytesOf(data));
      if (message !== undefined) onMessage(message);
    });
  }

  pause(): void {
    this.#ws.pause();
  }

  resume(): void {
    this.#ws.resume();
  }

  send(channel: number, data: Buffer, sent = () => {}): void {
    this.#ws.send(channelMessage(channel, data), sent);
  }

  close(): void {
    this.#ws.resume();
    this.#ws.close(1000);
  }

  terminate(): void {
    this.#ws.terminate();
  }
}
