import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ResourceRequest } from './request-info.ts';
import type { StatusError } from './status.ts';
import type { User } from './user.ts';

/** One request, as the handlers see it. */
export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** What path and method ask for, when that is a resource. */
  readonly info: ResourceRequest | undefined;
  readonly headers: IncomingMessage['headers'];
  /** Empty when there is none. */
  readonly body: Buffer;
  readonly user: User | undefined;
  /** The request itself: of one that is proxied the body is still to be read from it. */
  readonly incoming: IncomingMessage;
  /** For answers that go on: the handler writes to it itself and answers `streamed`. */
  readonly response: ServerResponse;
  /** Set when the client asked for another kind of connection (RFC 9110, 7.8). */
  readonly upgrade?: UpgradeRequest;
}

/** A connection that can become another kind of connection. */
export interface UpgradeRequest {
  /** What the client has sent after the request. */
  readonly head: Buffer;
  /** Takes the connection over: from here on no answer is written to it. The handler answers `streamed`. */
  take(): Duplex;
}

/** What is sent back. */
export interface ApiAnswer {
  readonly code: number;
  readonly type: string;
  readonly body: string | Buffer;
  readonly headers?: { readonly [name: string]: string };
  /** Become Warning headers. */
  readonly warnings?: readonly string[];
}

export const streamed = Symbol('the handler has sent the answer itself');

export function jsonAnswer(code: number, value: unknown): ApiAnswer {
  return { code, type: 'application/json', body: JSON.stringify(value) };
}

/** A failure; what says when to try again says it in a header too (RFC 9110, 10.2.3). */
export function statusAnswer(status: StatusError['status']): ApiAnswer {
  const { retryAfterSeconds } = status.details ?? {};
  const headers = retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) };
  return { ...jsonAnswer(status.code, status), headers };
}

export function textAnswer(code: number, text: string): ApiAnswer {
  return { code, type: 'text/plain; charset=utf-8', body: text };
}

/** JSON text in the form asked for. */
export async function formattedAnswer(code: number, json: string, type: 'json' | 'yaml'): Promise<ApiAnswer> {
  if (type === 'json') return { code, type: 'application/json', body: json };
  const { yaml } = await import('../component/yaml.ts');
  return { code, type: 'application/yaml', body: yaml.stringify(JSON.parse(json)) };
}

/** More of a warning is cut off, as Kubernetes does. */
export const maxWarningLength = 256;

/** A Warning header's value (RFC 7234): printable ASCII, quoted. */
export function formatWarning(text: string): string {
  const safe = text.slice(0, maxWarningLength).replaceAll(/[^ -~]/g, '?');
  return `299 - "${safe.replaceAll(/["\\]/g, '\\$&')}"`;
}
