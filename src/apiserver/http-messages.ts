import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { proxiedPath } from './request-info.ts';
import { type ApiAnswer, formatWarning, maxWarningLength, statusAnswer } from './requests.ts';
import { badRequest, StatusError, tooLarge } from './status.ts';

/** Largest request body in bytes, as Kubernetes'. */
const maxBodyBytes = 3 * 1024 * 1024;
/** All warnings of an answer together, as Kubernetes cuts them. */
const maxWarningsLength = 4_096;

/** What a request line asks for. */
export interface RequestTarget {
  readonly path: string;
  readonly query: URLSearchParams;
}

/**
 * Takes a request's target apart.
 * @throws StatusError 400 for a path with escapes that are none
 */
export function readTarget(url: string): RequestTarget {
  // A proxy may name the server too (RFC 9112, 3.2.2).
  const target = url.startsWith('/') ? url : url.replace(/^https?:\/\/[^/?]*/i, '');
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  if (!isReadable(path)) throw badRequest(`the path ${JSON.stringify(path.slice(0, 200))} has an invalid escape`);
  return { path: path === '' ? '/' : path, query: new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1)) };
}

/** What is below a proxy is for others to read: there an escape need not stand for UTF-8. */
function isReadable(path: string): boolean {
  const [, own = path, below = ''] = proxiedPath.exec(path) ?? [];
  try {
    decodeURIComponent(own);
  } catch {
    return false;
  }
  return !/%(?![\da-f]{2})/i.test(below);
}

/** Whether a request has a body, by its headers (RFC 9112, 6.3). */
export function hasBody({ headers }: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': encoding } = headers;
  return encoding !== undefined || (length !== undefined && Number(length) !== 0);
}

/**
 * Gives a request's body so many milliseconds to arrive; then its sender is told that it took too long, and the
 * connection ends. Returns what lifts the limit.
 */
export function limitArrival(request: IncomingMessage, ms: number): () => void {
  if (!hasBody(request)) return () => {};
  const timer = setTimeout(() => {
    answerMalformed(Object.assign(new Error('late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), request.socket);
  }, ms);
  const lift = () => clearTimeout(timer);
  for (const event of ['end', 'close'] as const) request.once(event, lift);
  return lift;
}

/**
 * A request's whole body. How long it may take, `limitArrival` says.
 * @throws StatusError 413, before more than the limit is in memory; 400 when it breaks off
 */
export function receiveBody(request: IncomingMessage): Promise<Buffer> {
  if (!hasBody(request)) return Promise.resolve(Buffer.alloc(0));
  if (Number(request.headers['content-length']) > maxBodyBytes) return Promise.reject(tooLarge(maxBodyBytes));
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let size = 0;
    request.on('data', (piece: Buffer) => {
      size += piece.length;
      if (size <= maxBodyBytes) pieces.push(piece);
      else {
        // The rest is read and forgotten: a client that still sends would not see the answer.
        pieces.length = 0;
        reject(tooLarge(maxBodyBytes));
      }
    });
    request.once('end', () => resolve(pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces)));
    request.once('error', () => reject(badRequest('the body of the request broke off')));
  });
}

/** Sends an answer whole. */
export function sendAnswer(
  response: ServerResponse,
  { code, type, body, headers = {}, warnings = [] }: ApiAnswer,
): void {
  // An answer that broke off after it began cannot be taken back.
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.setHeader('content-type', type);
  response.setHeader('content-length', Buffer.byteLength(body));
  response.setHeader('cache-control', 'no-cache, private');
  for (const name in headers) response.setHeader(name, headers[name] ?? '');
  if (warnings.length > 0) response.setHeader('warning', formatWarnings(warnings));
  response.writeHead(code);
  response.end(body);
}

/** Sends a failure that no handler has seen. */
export function sendStatus(response: ServerResponse, { status }: StatusError): void {
  sendAnswer(response, statusAnswer(status));
}

/** The head of the answer after which a connection is another kind of connection. */
export function switchingProtocols(rawHeaders: readonly string[]): string {
  const lines = ['HTTP/1.1 101 Switching Protocols'];
  for (let i = 0; i < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** Answers what is not HTTP, or took too long to arrive, and ends the connection. */
export function answerMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const { status } = malformed(error.code);
  const body = JSON.stringify(status);
  const head = [
    `HTTP/1.1 ${status.code} ${STATUS_CODES[status.code]}`,
    'connection: close',
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  socket.setTimeout(1_000, () => socket.destroy());
}

function malformed(code: string | undefined): StatusError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new StatusError('RequestTimeout', 'the request took too long to arrive');
  if (code === 'HPE_HEADER_OVERFLOW')
    return new StatusError('RequestHeaderFieldsTooLarge', 'the headers of the request are too large');
  return badRequest(`the request is not HTTP (${code ?? 'unknown'})`);
}

/** Values of Warning headers, as many as fit. */
function formatWarnings(warnings: readonly string[]): string[] {
  const formatted: string[] = [];
  let total = 0;
  for (const text of warnings) {
    total += Math.min(text.length, maxWarningLength);
    if (total > maxWarningsLength) break;
    formatted.push(formatWarning(text));
  }
  return formatted;
}
