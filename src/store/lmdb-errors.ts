import { statfsSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { SignalboxError } from '../errors/error.ts';
import { corrupted, dataFile } from './lmdb-file.ts';

const { EDQUOT, EFBIG, EIO, ENOSPC } = constants.errno;
/** With no more than this left on a disk, a write that was cut short was so for lack of room. */
const scarceBytes = 64 * 1024 * 1024;

/**
 * Throws what became of a batch that failed; lmdb says only that it did, and why in a promise beside.
 * @throws SignalboxError `STORE_FULL` when nothing of it was done for lack of room, `STORE_CORRUPTED`; else the system's
 */
export async function throwCommitError(
  error: Error & { readonly commitError?: unknown },
  folder: string,
): Promise<never> {
  const cause = await Promise.resolve(error.commitError ?? error).catch((reason: unknown) => reason);
  if (isLmdbError(cause)) throw corrupted(join(folder, dataFile), `is damaged (${cause.message})`, cause);
  if (!isNoSpace(Number((cause as { code?: unknown }).code), folder)) throw cause;
  throw new SignalboxError('STORE_FULL', {
    object: 'the disk of the data folder',
    problem: 'has no room for this write, of which nothing was done',
    remedy: 'free some space and try again; reading goes on',
    cause,
  });
}

/** Its own codes are negative (lmdb.h); others are the system's. */
export function isLmdbError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && error.code < 0;
}

function isNoSpace(errno: number, folder: string): boolean {
  if (errno !== EIO) return [EDQUOT, EFBIG, ENOSPC].includes(errno);
  // What LMDB makes of a write of which only the beginning had room.
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize < scarceBytes;
}
