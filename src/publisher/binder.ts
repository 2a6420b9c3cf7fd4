import { closeSync } from 'node:fs';
import { bindSocket } from '../kernel/bound-sockets.ts';
import { isKernelError } from '../kernel/ffi.ts';
import { receiveOnChannel, sendOnChannel } from '../kernel/socket-passing.ts';
import { type BindAnswer, type BindRequest, parseBindRequest } from './channel.ts';

/**
 * Binds sockets on this machine's loopback for a cluster inside, which cannot do so itself: a socket belongs to the
 * network namespace it was made in, but may be used from any. Returns when nobody inside has the other end of the
 * channel any more. Nothing but addresses of 127.0.0.0/8 is bound. Holds the whole thread: it has nothing else to do.
 * @throws KernelError
 */
export function runBinder(channel: number): void {
  for (;;) {
    const message = receiveOnChannel(channel, 'wait');
    if (message === 'end') return;
    if (message.fd !== undefined) closeSync(message.fd);
    const request = parseBindRequest(message.text);
    if (request !== undefined) answer(channel, request);
  }
}

function answer(channel: number, request: BindRequest): void {
  const { id } = request;
  if ('hello' in request) {
    say(channel, { id });
    return;
  }
  let socket: number | undefined;
  try {
    socket = bindSocket(request.protocol === 'TCP' ? 'tcp' : 'udp', request.ip, request.port);
    say(channel, { id }, socket);
  } catch (error) {
    if (!isKernelError(error)) throw error;
    say(channel, { id, errno: error.errno });
  } finally {
    if (socket !== undefined) closeSync(socket);
  }
}

/** Errors of an answer that nobody takes: who asked does not read, or is gone. */
const unheard = ['EAGAIN', 'EPIPE', 'ECONNRESET'];

function say(channel: number, what: BindAnswer, socket?: number): void {
  try {
    sendOnChannel(channel, JSON.stringify(what), socket);
  } catch (error) {
    if (!isKernelError(error, ...unheard)) throw error;
  }
}
