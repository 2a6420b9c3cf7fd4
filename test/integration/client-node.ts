import workerThreads from 'node:worker_threads';
import zlib from 'node:zlib';

/**
 * The official JavaScript client, `@kubernetes/client-node`, under the name it is installed by. Its HTTP library is made
 * for Node 22 and takes hold of what an older Node does not have, which is put in: a compression that no answer here
 * uses, a function that only marks values, and one that makes promises.
 */
export async function loadClientNode(): Promise<typeof import('kubernetes-models')> {
  put(zlib, 'createZstdDecompress', () => {
    throw new Error('this Node has no zstd');
  });
  put(workerThreads, 'markAsUncloneable', () => {});
  put(Promise, 'withResolvers', withResolvers);
  return import('kubernetes-models');
}

function put(owner: object, name: string, value: () => unknown): void {
  if (!(name in owner)) Object.defineProperty(owner, name, { value, configurable: true });
}

function withResolvers(): object {
  const made: { [name: string]: unknown } = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}
