/** The path of a proxied request, in two parts: as far as `/proxy`, and what the one behind it sees. */
export interface ProxyPath {
  /** As the client wrote it, so that links made from it are the client's own. */
  readonly prefix: string;
  /** Empty, or from a slash on. */
  readonly below: string;
}

/**
 * Takes a path apart whose end is known. Escapes stay as they are, an escaped slash too; but `.` and `..` are resolved
 * here (RFC 3986, 5.2.4), also when escaped: they never leave what is below the proxy.
 */
export function splitPath(path: string, below: string): ProxyPath {
  return { prefix: path.slice(0, path.length - below.length), below: withoutDotSegments(below) };
}

function withoutDotSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.split('/').slice(1);
  for (const [i, segment] of segments.entries()) {
    const plain = segment.replaceAll(/%2e/gi, '.');
    if (plain === '..') kept.pop();
    if (plain !== '..' && plain !== '.') kept.push(segment);
    else if (i === segments.length - 1) kept.push('');
  }
  return kept.map((segment) => `/${segment}`).join('');
}

/** Between what is behind a proxy and its client. */
export interface LinkContext {
  /** Path of the proxy, as the client knows it. */
  readonly prefix: string;
  /** Names by which links may call the one behind: its own address, and the client's name for the API server. */
  readonly hosts: readonly string[];
}

const link = /^(?:(https?):)?(?:\/\/([^/?#]*))?([^?#]*)(.*)$/is;

/**
 * A link from behind the proxy as it leads through the proxy. Links to other hosts and relative ones stay as they are,
 * and so do those that lead through the proxy already.
 */
export function throughProxy(text: string, { prefix, hosts }: LinkContext): string {
  const [, scheme, host, path = '', rest = ''] = link.exec(text.trim()) ?? [];
  if (host === undefined ? scheme !== undefined || !path.startsWith('/') : !isOneOf(host, hosts)) return text;
  if (path === prefix || path.startsWith(`${prefix}/`)) return path + rest;
  return `${prefix}${path === '' ? '/' : path}${rest}`;
}

function isOneOf(host: string, hosts: readonly string[]): boolean {
  return host !== '' && hosts.includes(host.toLowerCase());
}
