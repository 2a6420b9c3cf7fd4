import { type FileHandle, open, stat } from 'node:fs/promises';
import { sleep } from '../component/backoff.ts';
import { logFile } from './container-log.ts';

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
  /** Goes on with what is written from now on, until the log has ended. */
  readonly follow?: Following;
}

/** When following a log ends. */
export interface Following {
  /** Whether all that the run will ever write is in its file. */
  readonly ended: () => boolean;
  readonly signal: AbortSignal;
}

const newline = Buffer.from('\n');
/** How often a followed log is looked at. */
const pollMs = 50;

/** The log of one run of a container, in pieces of whole lines as the container wrote them. Nothing when there is none. */
export async function* readLogs(folder: string, options: LogOptions): AsyncGenerator<Buffer> {
  const { run, tailLines = Number.POSITIVE_INFINITY, limitBytes = Number.POSITIVE_INFINITY } = options;
  const file = logFile(folder, run);
  let room = limitBytes;
  const cut = (piece: Buffer) => {
    const kept = piece.subarray(0, room);
    room -= kept.length;
    return kept;
  };
  let tail: Buffer[] | undefined = tailLines === Number.POSITIVE_INFINITY ? undefined : [];
  for await (const piece of outputLines(file, options)) {
    let due = [piece];
    if (piece === presentEnd) {
      due = lastOf(tail ?? [], tailLines);
      tail = undefined;
    } else if (tail !== undefined) {
      due = [];
      if (tail.push(piece) > 2 * tailLines + 1) tail = lastOf(tail, tailLines);
    }
    for (const line of due) {
      yield cut(line);
      if (room <= 0) return;
    }
  }
}

function lastOf(lines: Buffer[], count: number): Buffer[] {
  return count === 0 ? [] : lines.slice(-count);
}

/** Stands between what was written and what is written later. */
const presentEnd = Buffer.alloc(0);

/** The lines of a run, parts of long ones put together; after those that are there now comes `presentEnd`. */
async function* outputLines(file: string, options: LogOptions): AsyncGenerator<Buffer> {
  const { sinceTime = 0, timestamps = false } = options;
  let parts: Buffer[] = [];
  for await (const entry of entries(file, options.follow)) {
    if (entry === presentEnd) {
      yield presentEnd;
      continue;
    }
    const [head, time = '', tag] = /^(\S+) \S+ ([PF]) /.exec(entry.subarray(0, maxHeadBytes).toString('latin1')) ?? [];
    if (head === undefined || Date.parse(time) < sinceTime) continue;
    if (timestamps && parts.length === 0) parts.push(Buffer.from(`${time} `));
    parts.push(entry.subarray(head.length));
    if (tag === 'P') continue;
    yield Buffer.concat([...parts, newline]);
    parts = [];
  }
}

/** Time, stream and tag of an entry take no more than this. */
const maxHeadBytes = 64;

/** The entries of the older file and of the present one, and then of those that come after it. */
async function* entries(file: string, follow: Following | undefined): AsyncGenerator<Buffer> {
  const older = await openEntries(`${file}.1`);
  if (older !== undefined) {
    try {
      yield* older.rest();
    } finally {
      await older.close();
    }
  }
  let reader = await openEntries(file);
  try {
    if (reader !== undefined) yield* reader.rest();
    yield presentEnd;
    while (follow !== undefined && !follow.signal.aborted) {
      const ended = follow.ended();
      if (reader !== undefined) yield* reader.rest();
      if (reader === undefined || (await reader.isReplaced(file))) {
        // What was written between the last look and the replacement is in the file that is still open.
        if (reader !== undefined) yield* reader.rest();
        await reader?.close();
        reader = await openEntries(file);
        if (reader !== undefined) continue;
      }
      if (ended) return;
      await sleep(pollMs, follow.signal);
    }
  } finally {
    await reader?.close();
  }
}

async function openEntries(file: string): Promise<EntryReader | undefined> {
  try {
    return new EntryReader(await open(file, 'r'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

const chunkBytes = 64 << 10;

/** Entries end with a newline and nothing else: what a container wrote can hold carriage returns, or be no text at all. */
class EntryReader {
  readonly #handle: FileHandle;
  #begun: Buffer = Buffer.alloc(0);

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Whether another file has the name by now. */
  async isReplaced(file: string): Promise<boolean> {
    const there = await stat(file).catch(() => undefined);
    return there !== undefined && there.ino !== (await this.#handle.stat()).ino;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  /** All whole entries that were not given yet. */
  async *rest(): AsyncGenerator<Buffer> {
    for (;;) {
      const { bytesRead, buffer } = await this.#handle.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, null);
      if (bytesRead === 0) return;
      const text = Buffer.concat([this.#begun, buffer.subarray(0, bytesRead)]);
      let from = 0;
      for (let end = text.indexOf(0x0a); end !== -1; end = text.indexOf(0x0a, from)) {
        yield text.subarray(from, end);
        from = end + 1;
      }
      this.#begun = Buffer.from(text.subarray(from));
    }
  }
}
