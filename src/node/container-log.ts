import { closeSync, createReadStream, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
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

function logFile(folder: string, run: number): string {
  return join(folder, `${run}.log`);
}

/** Takes the output of one run of a container. */
export interface ContainerLog {
  /** Writes all that comes from a stream, until its end. */
  take(stream: Readable, name: 'stdout' | 'stderr'): void;
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

/** What of a log is wanted. */
export interface LogOptions {
  /** Which run, by restart count. */
  readonly run: number;
  readonly tailLines?: number;
  /** Milliseconds since the epoch. */
  readonly sinceTime?: number;
  /** Whether each line begins with its time. */
  readonly timestamps?: boolean;
  readonly limitBytes?: number;
}

/** The log of one run of a container, in pieces of whole lines as the container wrote them. Nothing when there is none. */
export async function* readLogs(folder: string, options: LogOptions): AsyncGenerator<Buffer> {
  const { run, tailLines = Number.POSITIVE_INFINITY, limitBytes = Number.POSITIVE_INFINITY } = options;
  const tail: Buffer[] = [];
  let room = limitBytes;
  const cut = (piece: Buffer) => {
    const kept = piece.subarray(0, room);
    room -= kept.length;
    return kept;
  };
  for await (const piece of outputLines(logFile(folder, run), options)) {
    if (tailLines === Number.POSITIVE_INFINITY) yield cut(piece);
    else if (tail.push(piece) > tailLines) tail.shift();
    if (room <= 0) return;
  }
  for (const piece of tail) yield cut(piece);
}

/** The lines of a run, parts of long ones put together. */
async function* outputLines(file: string, { sinceTime = 0, timestamps = false }: LogOptions): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  for (const part of [`${file}.1`, file]) {
    if (statSync(part, { throwIfNoEntry: false }) === undefined) continue;
    for await (const entry of fileLines(part)) {
      const [head, time = '', tag] =
        /^(\S+) \S+ ([PF]) /.exec(entry.subarray(0, maxHeadBytes).toString('latin1')) ?? [];
      if (head === undefined || Date.parse(time) < sinceTime) continue;
      if (timestamps && parts.length === 0) parts.push(Buffer.from(`${time} `));
      parts.push(entry.subarray(head.length));
      if (tag === 'P') continue;
      yield Buffer.concat([...parts, newline]);
      parts = [];
    }
  }
}

/** Time, stream and tag of an entry take no more than this. */
const maxHeadBytes = 64;

/** Lines end with a newline and nothing else: what a container wrote can hold carriage returns, or be no text at all. */
async function* fileLines(file: string): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0);
  for await (const chunk of createReadStream(file)) {
    rest = Buffer.concat([rest, chunk]);
    let from = 0;
    for (let end = rest.indexOf(0x0a); end !== -1; end = rest.indexOf(0x0a, from)) {
      yield rest.subarray(from, end);
      from = end + 1;
    }
    rest = rest.subarray(from);
  }
}
