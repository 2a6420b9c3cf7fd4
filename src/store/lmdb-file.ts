import { closeSync, existsSync, fstatSync, openSync, readSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SignalboxError } from '../errors/error.ts';
import { checkPages, type PageFile, type Snapshot } from './lmdb-pages.ts';

/** Name of the data file in a store's folder. */
export const dataFile = 'data.mdb';
/** In a folder where a store was made: an empty or missing data file beside it is a loss, not a beginning. */
const madeFile = 'made';

// struct MDB_meta begins after the page header; see mdb.c.
const meta = { magic: 24, version: 28, freeTree: 48, mainTree: 96, lastPage: 144, txnId: 152, end: 168 } as const;
const magic = 0xbeefc0de;
const dataVersion = 2;
const treeBytes = 48;
const pageSizes = { from: 512, to: 65_536 } as const;

/**
 * Looks whether what is in an environment's folder can be handed to LMDB, which maps the file and trusts it: a foreign
 * file, or one cut short or overwritten, would end the process by a signal, loop, or silently lack something. Reads
 * the pages of keys, about 1 ms for 10 MB. Call it while nobody writes.
 * @throws SignalboxError `STORE_CORRUPTED`
 */
export function checkLmdbFile(folder: string): void {
  const path = join(folder, dataFile);
  const wasMade = existsSync(join(folder, madeFile));
  if (!existsSync(path)) {
    if (wasMade) throw corrupted(path, 'is missing');
    return;
  }
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    // Empty is how a process killed while making it leaves the file; LMDB begins anew.
    if (size === 0 && !wasMade) return;
    if (size === 0) throw new Error('it is empty');
    const { snapshot, pageSize } = readSnapshot(file);
    checkPages(pagesOf(file, { pageSize, size }), snapshot);
  } catch (error) {
    throw corrupted(path, `is damaged (${error instanceof Error ? error.message : String(error)})`, error);
  } finally {
    closeSync(file);
  }
}

/** Remembers that there is a store in the folder now. */
export function markMade(folder: string): void {
  const path = join(folder, madeFile);
  if (!existsSync(path))
    writeFileSync(path, `${dataFile} is a store; without it, or with an empty one, data is lost\n`);
}

/** Removes what the readers of an earlier process left, which nobody needs and LMDB would trust. */
export function removeReaderTable(folder: string): void {
  rmSync(join(folder, `${dataFile}-lock`), { force: true });
}

/**
 * Watches that the data file does not get shorter while it is mapped: reading beyond its end would end the process.
 * The result is to be called before reading and writing.
 */
export function guardSize(folder: string): () => void {
  const path = join(folder, dataFile);
  let known = 0;
  return () => {
    const size = statSync(path, { throwIfNoEntry: false })?.size;
    if (size === undefined) throw corrupted(path, 'was removed while it was open');
    if (size < known) throw corrupted(path, `was cut from ${known} to ${size} bytes while it was open`);
    known = size;
  };
}

/** The error of a data file that cannot be trusted. */
export function corrupted(object: string, problem: string, cause?: unknown): SignalboxError {
  return new SignalboxError('STORE_CORRUPTED', {
    object,
    problem,
    remedy: 'put back a copy of the data folder, or remove the folder to begin empty',
    cause,
  });
}

function readSnapshot(file: number): { snapshot: Snapshot; pageSize: number } {
  const first = readMeta(file, 0);
  const pageSize = first.readUInt32LE(meta.freeTree);
  const isPowerOfTwo = (pageSize & (pageSize - 1)) === 0;
  if (pageSize < pageSizes.from || pageSize > pageSizes.to || !isPowerOfTwo)
    throw new Error(`its pages cannot have ${pageSize} bytes`);
  const second = readMeta(file, pageSize);
  // LMDB writes them in turn; the newer one is the state.
  const isSecondNewer = second.readBigUInt64LE(meta.txnId) > first.readBigUInt64LE(meta.txnId);
  const newest = isSecondNewer ? second : first;
  const tree = (at: number) => newest.subarray(at, at + treeBytes);
  const lastPage = Number(newest.readBigUInt64LE(meta.lastPage));
  return { snapshot: { lastPage, freeTree: tree(meta.freeTree), mainTree: tree(meta.mainTree) }, pageSize };
}

function readMeta(file: number, at: number): Buffer {
  const bytes = Buffer.alloc(meta.end);
  const read = readSync(file, bytes, 0, meta.end, at);
  if (read < meta.end) throw new Error('it ends within its first pages');
  if (bytes.readUInt32LE(meta.magic) !== magic) throw new Error('it is not an LMDB file, or its beginning is lost');
  const version = bytes.readUInt32LE(meta.version);
  if (version !== dataVersion) throw new Error(`it is an LMDB file of version ${version}, not ${dataVersion}`);
  return bytes;
}

function pagesOf(file: number, { pageSize, size }: { pageSize: number; size: number }): PageFile {
  const buffer = Buffer.alloc(pageSize);
  return {
    pageSize,
    pageCount: Math.ceil(size / pageSize),
    read: (page) => buffer.subarray(0, readSync(file, buffer, 0, pageSize, page * pageSize)),
  };
}
