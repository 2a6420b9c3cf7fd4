import type { IncomingMessage } from 'node:http';
import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip } from 'node:zlib';
import { rewriteHtmlLinks } from './html-links.ts';
import type { LinkContext } from './paths.ts';

/** How a page's links are changed on its way. */
export interface PageRewriting {
  readonly steps: readonly Transform[];
  /** Headers that are no longer true then. */
  readonly changed: readonly string[];
}

/** What a page may be compressed with. It goes on as it is: who takes compressed pages takes others too. */
const decoders: { readonly [coding: string]: (() => Transform) | undefined } = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  br: createBrotliDecompress,
};

/** Nothing for a page that cannot be read: in other codings, of two bytes a character, or a part of one. */
export function rewritingOf(
  { headers, statusCode }: Pick<IncomingMessage, 'headers' | 'statusCode'>,
  { method, links }: { readonly method: string | undefined; readonly links: LinkContext },
): PageRewriting | undefined {
  if (statusCode === 206 || statusCode === 304 || /charset\s*=\s*"?utf-?(16|32)/i.test(headers['content-type'] ?? ''))
    return undefined;
  const changed = ['content-length', 'content-encoding', 'accept-ranges'];
  // What would be a page's headers, without the page.
  if (method === 'HEAD' || headers['content-length'] === '0') return { steps: [], changed };
  const coding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (coding === 'identity') return { steps: [rewriteHtmlLinks(links)], changed };
  const decode = decoders[coding];
  return decode === undefined ? undefined : { steps: [decode(), rewriteHtmlLinks(links)], changed };
}
