import { MSG_DONTWAIT, MSG_TRUNC, recv } from '../ffi.ts';
import { align, littleEndian } from './attributes.ts';
import { messageHeaderLength, type NetlinkReply } from './message.ts';

/**
 * One buffer for all sockets of the thread: whoever receives is done with it before he returns. The kernel's dumps
 * come in pieces of 32 KiB at the most; the rest is room for a notification of a large object.
 */
const received = new Uint8Array(256 << 10);
const receivedView = new DataView(received.buffer);

/** A message where it lies in the receive buffer, until the next receive. */
export interface ReceivedMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly start: number;
  readonly end: number;
}

/**
 * Receives one datagram, which may hold many messages. Waits as long as the socket's time-out, or not at all.
 * @returns its length in bytes, which above `receiveCapacity` says that the end is lost; or a negative error number
 */
export function receive(fd: number, { wait }: { readonly wait: boolean }): number {
  return recv(fd, received, wait ? MSG_TRUNC : MSG_TRUNC | MSG_DONTWAIT);
}

/** The longest datagram that can be received whole. */
export const receiveCapacity: number = received.length;

/** The messages of the datagram just received, `length` bytes long. A message cut short ends the walk. */
export function* messagesIn(length: number): Generator<ReceivedMessage> {
  const available = Math.min(length, receiveCapacity);
  let at = 0;
  while (at + messageHeaderLength <= available) {
    const size = receivedView.getUint32(at, littleEndian);
    if (size < messageHeaderLength || at + size > available) return;
    yield {
      type: receivedView.getUint16(at + 4, littleEndian),
      flags: receivedView.getUint16(at + 6, littleEndian),
      sequence: receivedView.getUint32(at + 8, littleEndian),
      start: at + messageHeaderLength,
      end: at + size,
    };
    at += align(size);
  }
}

/** The payload in the receive buffer itself: to be read at once. */
export function payloadInPlace({ start, end }: ReceivedMessage): Uint8Array {
  return received.subarray(start, end);
}

/** The message with a copy of its payload: to be kept. */
export function replyOf({ type, flags, sequence, start, end }: ReceivedMessage): NetlinkReply {
  return { type, flags, sequence, payload: received.slice(start, end) };
}
