import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import type { TestClientConfig } from '../../src/apiserver/test-server.ts';

/** A connection over which objects are posted, one after the other. */
export interface Poster {
  /** Resolves when the answer is there, whole. Rejects unless it is 201. */
  post(path: string, body: string): Promise<void>;
  close(): void;
}

const headEnd = '\r\n\r\n';

/**
 * Connects to an API server. Speaks just as much HTTP as posting takes: load that shares the processors with the server
 * it measures is to leave them to it, and Node's own client takes three times the time.
 */
export async function connectPoster(config: TestClientConfig): Promise<Poster> {
  const { hostname: host, port } = new URL(config.server);
  const { certificateAuthority: ca, clientCertificate: cert, clientKey: key } = config;
  const socket = connect({ host, port: Number(port), ca, cert, key });
  await once(socket, 'secureConnect');
  return {
    post: async (path, body) => {
      const length = Buffer.byteLength(body);
      const head = `POST ${path} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\ncontent-length: ${length}`;
      socket.write(head + headEnd + body);
      const status = await readAnswer(socket);
      if (status !== 201) throw new Error(`POST ${path}: ${status}`);
    },
    close: () => socket.destroy(),
  };
}

/** Reads an answer that says how long it is. Returns its status. */
function readAnswer(socket: TLSSocket): Promise<number> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    const onData = (piece: Buffer) => {
      pieces.push(piece);
      const answer = pieces.length === 1 ? piece : Buffer.concat(pieces);
      const end = answer.indexOf(headEnd);
      if (end < 0) return;
      const head = answer.toString('latin1', 0, end);
      const [, length] = /\r\ncontent-length: (\d+)/i.exec(head) ?? [];
      if (answer.length < end + headEnd.length + Number(length)) return;
      done();
      resolve(Number(head.split(' ', 2)[1]));
    };
    const onClose = () => {
      done();
      reject(new Error('the connection ended before the answer'));
    };
    const done = () => socket.off('data', onData).off('close', onClose);
    socket.on('data', onData).on('close', onClose);
  });
}
