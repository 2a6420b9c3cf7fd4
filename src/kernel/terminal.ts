import { closeSync, constants, openSync, write } from 'node:fs';
import { Writable } from 'node:stream';
import { ReadStream } from 'node:tty';
import { fcntl, ioctl } from './ffi.ts';

// include/uapi/asm-generic/ioctls.h
const TIOCSWINSZ = 0x5414;
const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;
// include/uapi/linux/fcntl.h
const F_DUPFD_CLOEXEC = 1030;
const O_CLOEXEC = 0o2000000;

/** Columns and rows of a terminal. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** A pseudo-terminal: this end is a person at a keyboard, the other end is a program's terminal. */
export interface Terminal {
  /** Descriptor of the program's end. Whoever opened the terminal closes it once the program has it. */
  readonly programEnd: number;
  /** What the program shows. Ends when no process has the program's end open any more. */
  readonly output: ReadStream;
  /** What is typed. It waits while the program does not read, and takes no thread's time for that. */
  readonly input: Writable;
  /** Tells the program by SIGWINCH. Does nothing once the terminal is closed. */
  resize(size: TerminalSize): void;
}

/**
 * Opens a pseudo-terminal (pty(7)). The program's end is asked for by TIOCGPTPEER, not by name: it is of the very
 * instance of devpts that this end is of, wherever that is mounted.
 * @throws KernelError; the file system's error when there is no /dev/ptmx
 */
export function openTerminal(): Terminal {
  const own = openSync('/dev/ptmx', constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK | O_CLOEXEC);
  let programEnd: number;
  let writeEnd: number;
  try {
    ioctl(own, TIOCSPTLCK, Int32Array.of(0));
    programEnd = ioctl(own, TIOCGPTPEER, constants.O_RDWR | constants.O_NOCTTY | O_CLOEXEC);
    writeEnd = fcntl(own, F_DUPFD_CLOEXEC, 3);
  } catch (error) {
    closeSync(own);
    throw error;
  }
  const output = new ReadStream(own);
  // EIO is how this end learns that the other one is closed: the end of the output.
  output.on('error', () => output.destroy());
  const input = new TerminalInput(writeEnd);
  output.once('close', () => input.destroy());
  return {
    programEnd,
    output,
    input,
    resize: ({ columns, rows }) => {
      if (!input.destroyed) ioctl(writeEnd, TIOCSWINSZ, Uint16Array.of(rows, columns, 0, 0));
    },
  };
}

const retryMs = 10;

/** libuv would write to this end of a terminal with a blocking call, on the main thread. */
class TerminalInput extends Writable {
  readonly #fd: number;
  #writing = false;

  constructor(fd: number) {
    super({ highWaterMark: 16 << 10 });
    this.#fd = fd;
    // Who types into a terminal that is closed just then is not told.
    this.on('error', () => {});
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.destroyed) {
      done();
      return;
    }
    this.#writing = true;
    write(this.#fd, chunk, (error, written) => {
      this.#writing = false;
      if (this.destroyed) {
        closeSync(this.#fd);
        done();
      } else if (error !== null && error.code !== 'EAGAIN') done(error);
      else if (error === null && written === chunk.length) done();
      else setTimeout(() => this._write(chunk.subarray(error === null ? written : 0), 'utf8', done), retryMs);
    });
  }

  // End of transmission, as a person types it: a terminal has no other end of input.
  override _final(done: (error?: Error | null) => void): void {
    this._write(Buffer.of(4), 'utf8', done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // The thread pool may hold the descriptor just now.
    if (!this.#writing) closeSync(this.#fd);
    done(error);
  }
}
