import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import koffi from 'koffi';
import { KernelError } from './ffi.ts';

const pipe2 = koffi.load(null).func('int pipe2(void *, int)') as (ends: Int32Array, flags: number) => number;

const O_CLOEXEC = 0o2000000;

/** Both ends of a pipe, as file descriptors that a started program does not inherit unless told. */
export interface Pipe {
  readonly readEnd: number;
  readonly writeEnd: number;
}

/**
 * pipe2(2). What `child_process` makes for `stdio: 'pipe'` are sockets, and a socket cannot be opened again as
 * `/dev/stdout` and `/dev/stderr`, which many programs made for containers do.
 */
export function openPipe(): Pipe {
  const ends = new Int32Array(2);
  if (pipe2(ends, O_CLOEXEC) === -1) throw new KernelError('pipe2', koffi.errno());
  const [readEnd = -1, writeEnd = -1] = ends;
  return { readEnd, writeEnd };
}

/** Reads a pipe; the descriptor belongs to the stream from here on. */
export function readPipe(readEnd: number): Readable {
  return new Socket({ fd: readEnd, readable: true, writable: false });
}

/** Writes into a pipe; the descriptor belongs to the stream from here on. */
export function writePipe(writeEnd: number): Writable {
  const stream = new Socket({ fd: writeEnd, readable: false, writable: true });
  // EPIPE: nobody reads any more, and nobody needs to know.
  stream.on('error', () => {});
  return stream;
}
