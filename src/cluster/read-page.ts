import { get } from 'node:http';
import type { Socket } from 'node:net';

const maxPageLength = 4 << 20;

/** What one of the cluster's own components has on a page, over a connection to it, which is closed then. */
export function readPage(socket: Socket, path: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const request = get({ path, createConnection: () => socket, signal }, (response) => {
      let page = '';
      response.setEncoding('utf8');
      response.on('error', reject);
      response.on('data', (part: string) => {
        page += part;
        if (page.length > maxPageLength) request.destroy(new Error('the page is too long'));
      });
      response.on('end', () => resolve(page));
    });
    request.on('error', reject);
  });
}
