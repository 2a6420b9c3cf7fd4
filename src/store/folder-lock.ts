import { randomUUID } from 'node:crypto';
import { closeSync, constants, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { listenAlone } from '../component/exclusive.ts';
import { SignalboxError } from '../errors/error.ts';

const socketName = 'lock';
const ownerName = 'lock.owner';

/**
 * Makes this process the only one that has a folder open, until the result is called or the process ends, however it
 * does. The lock is a listening Unix socket: it ends with its process, is seen from every network and process
 * namespace that sees the folder, and whoever finds one on which nobody listens takes its place.
 * @throws SignalboxError `STORE_LOCKED`
 */
export async function lockFolder(folder: string): Promise<() => void> {
  // A socket's path has to be short; a folder's need not be.
  const handle = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  const at = (name: string) => `/proc/self/fd/${handle}/${name}`;
  try {
    let server = await listenAlone(at(socketName));
    if (server === undefined && (await removeIfDead(at))) server = await listenAlone(at(socketName));
    if (server === undefined) throw lockedError(folder, at(ownerName));
    const listening = server;
    writeFileSync(at(ownerName), `process ${process.pid}, since ${new Date().toISOString()}`);
    return () => {
      // Closing takes the socket out of the folder.
      listening.close();
      rmSync(at(ownerName), { force: true });
      closeSync(handle);
    };
  } catch (error) {
    closeSync(handle);
    throw error;
  }
}

/** Moved aside before it is judged, so that of two who come at once neither removes the other's new lock. */
async function removeIfDead(at: (name: string) => string): Promise<boolean> {
  if (await isAlive(at(socketName))) return false;
  const aside = at(`${socketName}.${randomUUID().slice(0, 8)}`);
  try {
    renameSync(at(socketName), aside);
  } catch (error) {
    // Someone else has done it.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
  if (await isAlive(aside)) {
    renameSync(aside, at(socketName));
    return false;
  }
  rmSync(aside);
  return true;
}

function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      else reject(error);
    });
  });
}

function lockedError(folder: string, ownerFile: string): SignalboxError {
  let owner = 'another process';
  try {
    owner = readFileSync(ownerFile, 'utf8').slice(0, 200);
  } catch {
    // It is just about to write it.
  }
  return new SignalboxError('STORE_LOCKED', {
    object: folder,
    problem: `is in use by ${owner}`,
    remedy: 'stop that process, or give this one a folder of its own',
  });
}
