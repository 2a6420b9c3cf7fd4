import { connect } from 'node:net';
import { type Response, readResponse } from '../wire/response.ts';
import type { ServerAddress } from './address.ts';
import { answersQuestion, type Question, randomId, writeQuestion } from './question.ts';

/**
 * Asks a server over a connection of its own (RFC 7766): for answers too large for UDP. Rejects when no answer comes in
 * time, or not to this question.
 */
export function askOverTcp(server: ServerAddress, question: Question, timeoutMs: number): Promise<Response> {
  return new Promise((resolve, reject) => {
    const id = randomId();
    const socket = connect(server.port, server.ip);
    const end = (error: Error | undefined, response?: Response) => {
      clearTimeout(timer);
      socket.destroy();
      if (response === undefined) reject(error ?? new Error('no answer'));
      else resolve(response);
    };
    const timer = setTimeout(() => end(new Error('no answer in time')), timeoutMs);
    let received = Buffer.alloc(0);
    socket.on('error', end);
    socket.on('close', () => end(new Error('the connection was closed')));
    socket.on('data', (chunk) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      // A copy: what is kept of the answer must not keep the socket's memory.
      const response = readResponse(Buffer.from(received.subarray(2, 2 + received.readUInt16BE(0))));
      const fits = response?.id === id && answersQuestion(response, question);
      end(new Error('the answer was malformed'), fits ? response : undefined);
    });
    const message = writeQuestion(question, id);
    const framed = Buffer.alloc(2 + message.length);
    framed.writeUInt16BE(message.length);
    message.copy(framed, 2);
    socket.write(framed);
  });
}
