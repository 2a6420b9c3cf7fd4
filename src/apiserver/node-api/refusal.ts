import type { IncomingMessage } from 'node:http';

const maxErrorBytes = 64 << 10;

/** What a node says in an answer that refuses. */
export async function readRefusal(answer: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of answer) {
    size += (piece as Buffer).length;
    if (size > maxErrorBytes) break;
    pieces.push(piece as Buffer);
  }
  return Buffer.concat(pieces).toString();
}
