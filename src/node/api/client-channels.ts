import type { ClientMessage, SessionStatus } from './channels.ts';

/** The client's side of a session with a container, whatever it is carried by: numbered channels (`channels.ts`). */
export interface ClientChannels {
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>;
  readonly isOpen: boolean;
  /** Has what the client says told, in order. Called once; nothing of what was said before is lost. */
  listen(onMessage: (message: ClientMessage) => void): void;
  /** Has the client wait with its input until `resume`; a message or two may still come. */
  pause(): void;
  resume(): void;
  /** Sends on a channel; `sent` is called when the bytes are on their way, or never will be. */
  send(channel: number, data: Buffer, sent?: () => void): void;
  /** Says how the session ended, as far as the client's protocol has words for it. */
  sendStatus(status: SessionStatus): void;
  /** Ends well: what was sent gets there. */
  close(): void;
  /** Cuts the connection off. */
  terminate(): void;
}
