import { isKernelError, MSG_DONTWAIT, receiveMessage, type SocketMessage, sendMessage, socketPair } from './ffi.ts';

// include/linux/socket.h
const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;

/** `struct cmsghdr`: a length that counts itself, a level and a type. */
const headerLength = 16;
/** CMSG_LEN and CMSG_SPACE of one file descriptor. */
const rightsLength = headerLength + 4;
const rightsSpace = headerLength + 8;

/** What is longer does not arrive whole. */
const maxText = 4096;

/** A message that came, and the file descriptor that came with it, which is the receiver's to close. */
export interface ReceivedMessage {
  readonly text: string;
  readonly fd: number | undefined;
}

/**
 * Two ends of a channel for short messages, each of which may bring a file descriptor along (unix(7), `SCM_RIGHTS`).
 * Messages arrive whole and in order. An end has no name and no path: who was not given one cannot speak on it.
 */
export function channelEnds(): readonly [number, number] {
  return socketPair(AF_UNIX, SOCK_SEQPACKET);
}

/**
 * Sends a message, with a file descriptor if one is given, which the sender still has afterwards. Does not wait.
 * @throws KernelError `EAGAIN` when the other end has not read for long; `EPIPE` when it is gone
 */
export function sendOnChannel(end: number, text: string, fd?: number): void {
  const bytes = Buffer.from(text);
  const control = fd === undefined ? undefined : rights(fd);
  sendMessage(end, { bytes, control }, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/**
 * The next message: waited for, with the whole thread, or only if it is there. `end` when nobody has the other end any more.
 * @throws KernelError
 */
export function receiveOnChannel(end: number, wait: 'wait'): ReceivedMessage | 'end';
export function receiveOnChannel(end: number, wait: 'now'): ReceivedMessage | 'end' | undefined;
export function receiveOnChannel(end: number, wait: 'wait' | 'now'): ReceivedMessage | 'end' | undefined {
  const message = { bytes: new Uint8Array(maxText), control: new Uint8Array(rightsSpace) };
  const flags = MSG_CMSG_CLOEXEC | (wait === 'now' ? MSG_DONTWAIT : 0);
  const length = received(end, message, flags);
  if (length === undefined) return undefined;
  if (length === 0) return 'end';
  return { text: Buffer.from(message.bytes.subarray(0, length)).toString(), fd: passed(message.control) };
}

/** How many bytes; 0 at the end, `undefined` when there is nothing yet. */
function received(end: number, message: SocketMessage, flags: number): number | undefined {
  for (;;) {
    try {
      return receiveMessage(end, message, flags);
    } catch (error) {
      if (isKernelError(error, 'EAGAIN')) return undefined;
      // It went without having read all that it was sent.
      if (isKernelError(error, 'ECONNRESET')) return 0;
      if (!isKernelError(error, 'EINTR')) throw error;
    }
  }
}

function rights(fd: number): Uint8Array {
  const control = new Uint8Array(rightsSpace);
  const view = new DataView(control.buffer);
  view.setBigUint64(0, BigInt(rightsLength), true);
  view.setInt32(8, SOL_SOCKET, true);
  view.setInt32(12, SCM_RIGHTS, true);
  view.setInt32(headerLength, fd, true);
  return control;
}

/** The file descriptor of ancillary data, if it has one. */
function passed(control: Uint8Array): number | undefined {
  const view = new DataView(control.buffer);
  const isRights =
    view.getBigUint64(0, true) >= rightsLength &&
    view.getInt32(8, true) === SOL_SOCKET &&
    view.getInt32(12, true) === SCM_RIGHTS;
  return isRights ? view.getInt32(headerLength, true) : undefined;
}
