import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';

/** Name of the data file in a store's folder. */
export const dataFile = 'data.mdb';
const headerBytes = 56;
// struct MDB_meta begins after the page header; see lmdb's mdb.c.
const metaAt = 24;
const pageSizeAt = 48;
const magic = 0xbeefc0de;

/**
 * Looks whether the data file in an environment's folder begins as LMDB's do. The library maps the file and trusts it,
 * so that a foreign file would end the process instead of throwing.
 * @throws Error when it does not
 */
export function checkLmdbFile(folder: string): void {
  const path = join(folder, dataFile);
  if (!existsSync(path)) return;
  const file = openSync(path, 'r');
  try {
    const header = Buffer.alloc(headerBytes);
    const read = readSync(file, header, 0, headerBytes, 0);
    // Empty is how a process killed while making it leaves the file; LMDB begins anew.
    if (read === 0) return;
    const second = Buffer.alloc(headerBytes);
    readSync(file, second, 0, headerBytes, header.readUInt32LE(pageSizeAt));
    if (header.readUInt32LE(metaAt) !== magic || second.readUInt32LE(metaAt) !== magic)
      throw new Error(`${dataFile} is damaged or not an LMDB file`);
  } finally {
    closeSync(file);
  }
}
