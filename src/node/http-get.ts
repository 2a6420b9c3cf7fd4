import { type IncomingMessage, type RequestOptions, request as requestPlain } from 'node:http';
import { urlHost } from '../net/ip.ts';

/** A GET request of a probe. */
export interface HttpGetOptions {
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  /** With query. */
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** For all of it, redirects included. */
  readonly timeoutMs: number;
}

const maxRedirects = 10;

/**
 * Asks, and gives the status of the answer. Redirects within the same host are followed; one that leads elsewhere is
 * the answer. Certificates are not verified: a probe asks whether a server answers, not who it is.
 * @throws Error on failure to connect, or after the time limit
 */
export async function httpGet(options: HttpGetOptions): Promise<number> {
  const signal = AbortSignal.timeout(options.timeoutMs);
  let url = new URL(`${options.secure ? 'https' : 'http'}://${urlHost(options.host)}:${options.port}`);
  let path = options.path.startsWith('/') ? options.path : `/${options.path}`;
  for (let redirects = 0; ; redirects++) {
    const { statusCode = 0, headers } = await ask(url, path, { headers: options.headers, signal });
    const next = statusCode >= 300 && statusCode < 400 ? headers.location : undefined;
    if (next === undefined) return statusCode;
    const target = new URL(next, new URL(path, url));
    if (target.hostname !== url.hostname) return statusCode;
    if (redirects === maxRedirects) throw new Error(`stopped after ${maxRedirects} redirects`);
    url = new URL(target.origin);
    path = target.pathname + target.search;
  }
}

async function ask(
  url: URL,
  path: string,
  { headers, signal }: { readonly headers: HttpGetOptions['headers']; readonly signal: AbortSignal },
): Promise<IncomingMessage> {
  const given = new Set(headers.map(([name]) => name.toLowerCase()));
  const own: [string, string][] = [
    ['host', url.host],
    ['user-agent', 'kube-probe/1.36'],
    ['accept', '*/*'],
  ];
  const all = [...own.filter(([name]) => !given.has(name)), ...headers, ['connection', 'close'] as const].filter(
    // An empty value takes the header away.
    ([, value]) => value !== '',
  );
  const options: RequestOptions = {
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port,
    path,
    headers: grouped(all),
    agent: false,
    setHost: false,
    signal,
  };
  const request = url.protocol === 'https:' ? await requestSecure() : requestPlain;
  return new Promise((resolve, reject) => {
    const sent = request(
      { ...options, ...(url.protocol === 'https:' ? { rejectUnauthorized: false } : {}) },
      (response) => {
        resolve(response);
        // Nobody reads the body.
        response.destroy();
      },
    );
    sent.once('error', (error) => reject(signal.aborted ? new Error(`Get "${url.origin}${path}": timeout`) : error));
    sent.end();
  });
}

// TLS is loaded by those who need it.
async function requestSecure(): Promise<typeof requestPlain> {
  return (await import('node:https')).request;
}

function grouped(headers: readonly (readonly [string, string])[]): Record<string, string[] | string> {
  const result: Record<string, string[] | string> = {};
  for (const [name, value] of headers) {
    const before = result[name];
    result[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  return result;
}
