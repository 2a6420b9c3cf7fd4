import { closeSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Pod } from '../api/generated/types.ts';

/** A run's log is one file and one older file of at most this size each. */
const maxFileBytes = 10 << 20;
/** A longer line is written in parts, as container runtimes do. */
const maxLineBytes = 16 << 10;

/** Folder of a container's logs; one file a run, by restart count. */
export function logFolder(stateDir: string, pod: Pod, container: string): string {
  const { namespace = '', name = '', uid = '' } = pod.metadata ?? {};
  return join(stateDir, 'logs', `${namespace}_${name}_${uid}`, container);
}

/** The file with what a run writes now; what it wrote before may be in one with `.1` at the end of its name. */
export function logFile(folder: string, run: number): string {
  return join(folder, `${run}.log`);
}

/** Takes the output of one run of a container. */
export interface ContainerLog {
  /** Writes all that comes from a stream, until its end. */
  take(stream: Readable, name: 'stdout' | 'stderr'): void;
  /** Whether all streams have ended: nothing more will be written. */
  readonly closed: boolean;
}

/**
 * Opens the log of a run: lines of `TIME STREAM TAG TEXT` (CRI log format; tag `P` for part of a line, `F` for its end).
 * Of earlier runs the last one's log stays. The file is closed with the last stream.
 */
export function openContainerLog(folder: string, run: number, now: () => number = Date.now): ContainerLog {
  const file = logFile(folder, run);
  mkdirSync(dirname(file), { recursive: true });
  for (const suffix of ['', '.1']) rmSync(`${logFile(folder, run - 2)}${suffix}`, { force: true });
  let fd = openSync(file, 'a', 0o640);
  let size = statSync(file).size;
  let open = 0;
  // Synchronous: it keeps the order, needs no buffer of its own, and a container that writes too fast waits on its pipe.
  const write = (line: Buffer) => {
    if (size > 0 && size + line.length > maxFileBytes) {
      closeSync(fd);
      renameSync(file, `${file}.1`);
      fd = openSync(file, 'a', 0o640);
      size = 0;
    }
    size += writeSync(fd, line);
  };
  return {
    get closed() {
      return open === 0;
    },
    take: (stream, name) => {
      const lines = new LineCutter((text, tag) => {
        const head = `${new Date(now()).toISOString().slice(0, -1)}000000Z ${name} ${tag} `;
        write(Buffer.concat([Buffer.from(head), text, newline]));
      });
      open++;
      stream.on('data', (chunk: Buffer) => lines.push(chunk));
      stream.once('close', () => {
        lines.end();
        open--;
        if (open === 0) closeSync(fd);
      });
      // A broken pipe ends the stream as its end does.
      stream.on('error', () => {});
    },
  };
}

const newline = Buffer.from('\n');

/** Cuts bytes into lines, and lines that are too long into parts. */
class LineCutter {
  #rest: Buffer = Buffer.alloc(0);
  readonly #emit: (text: Buffer, tag: 'P' | 'F') => void;

  constructor(emit: (text: Buffer, tag: 'P' | 'F') => void) {
    this.#emit = emit;
  }

  push(chunk: Buffer): void {
    let rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const end = rest.subarray(0, maxLineBytes + 1).indexOf(0x0a);
      if (end === -1 && rest.length < maxLineBytes) break;
      if (end === -1) {
        this.#emit(rest.subarray(0, maxLineBytes), 'P');
        rest = rest.subarray(maxLineBytes);
      } else {
        this.#emit(rest.subarray(0, end), 'F');
        rest = rest.subarray(end + 1);
      }
    }
    this.#rest = Buffer.from(rest);
  }

  end(): void {
    if (this.#rest.length > 0) this.#emit(this.#rest, 'F');
    this.#rest = Buffer.alloc(0);
  }
}
