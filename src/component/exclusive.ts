import { createServer, type Server } from 'node:net';
import { backoffDelay, sleep } from './backoff.ts';

const polling = { initial: 5, max: 100 };

/**
 * Waits until no other process of this network namespace has the name, and takes it until the result is called or the
 * process ends, however it does. The name is an abstract Unix socket (unix(7)): it lies in no folder, belongs to the
 * network namespace and ends with its process. `undefined`: `signal` aborted first.
 */
export async function takeName(name: string, signal: AbortSignal): Promise<(() => void) | undefined> {
  for (let attempt = 0; !signal.aborted; attempt++) {
    const server = await listenAlone(`\0${name}`);
    if (server !== undefined) return () => server.close();
    await sleep(backoffDelay(attempt, polling), signal);
  }
  return undefined;
}

/** Listens on a Unix socket only to have its name; `undefined` when somebody else has it. Keeps no process alive. */
export function listenAlone(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(path, () => {
      server.unref();
      resolve(server);
    });
  });
}
