import { type Ip, tryParseIp } from '../net/ip.ts';

/** Protocols that can be published: those whose sockets are relayed. */
export type PublishedProtocol = 'TCP' | 'UDP';

/** What the publisher asks the binder for: a bound socket, or, with `hello`, only an answer. */
export type BindRequest = { readonly id: number } & (
  | { readonly hello: true }
  | { readonly protocol: PublishedProtocol; readonly ip: Ip; readonly port: number }
);

/** The answer to the request of that id. A socket comes with it if one was asked for and there is no error. */
export interface BindAnswer {
  readonly id: number;
  /** Error number of the system call that failed. */
  readonly errno?: number;
}

/** What is not a request is `undefined`: the binder asks for no more than it can do. */
export function parseBindRequest(text: string): BindRequest | undefined {
  const { id, hello, protocol, ip, port } = parseObject(text);
  if (typeof id !== 'number') return undefined;
  if (hello === true) return { id, hello };
  const address = typeof ip === 'string' ? tryParseIp(ip) : undefined;
  if (address === undefined || !address.startsWith('127.')) return undefined;
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 0 || port > 65_535) return undefined;
  return protocol === 'TCP' || protocol === 'UDP' ? { id, protocol, ip: address, port } : undefined;
}

/** What is no answer is `undefined`. */
export function parseBindAnswer(text: string): BindAnswer | undefined {
  const { id, errno } = parseObject(text);
  if (typeof id !== 'number') return undefined;
  return typeof errno === 'number' ? { id, errno } : { id };
}

function parseObject(text: string): { readonly [name: string]: unknown } {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
