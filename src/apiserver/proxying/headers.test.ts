import { expect, test } from 'vitest';
import { forwardedHeaders, type HeaderSource, returnedHeaders } from './headers.ts';

function message(method: string, list: readonly (readonly [name: string, value: string])[]): HeaderSource {
  const headers = Object.fromEntries(list.map(([name, value]) => [name.toLowerCase(), value]));
  return { method, headers, rawHeaders: list.flat(), socket: { remoteAddress: '127.0.0.1' } };
}
const pairs = (list: readonly string[]) =>
  Array.from({ length: list.length / 2 }, (_, i) => `${list[2 * i]}: ${list[2 * i + 1]}`);
const forwarding = { uri: '/x', host: '10.0.0.1:80' };
const forwarded = (method: string, ...headers: (readonly [string, string])[]) =>
  pairs(forwardedHeaders(message(method, headers), forwarding));

test('forwardedHeaders passes on what is for the one behind, as it was written', () => {
  const headers = [
    ['Host', 'api:6443'],
    ['Cookie', 'a=1'],
    ['X-Twice', '1'],
    ['x-twice', '2'],
    ['Sec-WebSocket-Key', 'k'],
  ] as const;
  expect(forwarded('GET', ...headers)).toEqual([
    ...['Host: api:6443', 'Cookie: a=1', 'X-Twice: 1', 'x-twice: 2', 'Sec-WebSocket-Key: k'],
    ...['X-Forwarded-For: 127.0.0.1', 'X-Forwarded-Uri: /x'],
  ]);
});

test('forwardedHeaders tells nobody who the client is to the API server', () => {
  const secrets = [
    ...['Authorization', 'Impersonate-User', 'Impersonate-Group', 'Impersonate-Uid', 'Impersonate-Extra-a%2Fb'],
    ...['X-Remote-User', 'X-Remote-Group', 'X-Remote-Extra-Scopes', 'Proxy-Authorization', 'Expect'],
  ];
  const list = forwarded('GET', ...secrets.map((name) => [name, 'secret'] as const));
  expect(list).toEqual(['Host: 10.0.0.1:80', 'X-Forwarded-For: 127.0.0.1', 'X-Forwarded-Uri: /x']);
});

test('forwardedHeaders ends what is about the connection, and what that names', () => {
  const list = forwarded(
    'GET',
    ['Connection', 'X-Mine, host , keep-alive'],
    ['X-Mine', '1'],
    ['Keep-Alive', 'timeout=5'],
    ['TE', 'trailers'],
    ['Trailer', 'x'],
    ['Upgrade', 'h2c'],
    ['X-Forwarded-For', '1.2.3.4'],
    ['X-Forwarded-Uri', '/forged'],
  );
  expect(list).toEqual(['Host: 10.0.0.1:80', 'X-Forwarded-For: 1.2.3.4, 127.0.0.1', 'X-Forwarded-Uri: /x']);
});

test('forwardedHeaders says how long the body is, whatever the client says of that header', () => {
  const framing = (method: string, ...headers: (readonly [string, string])[]) =>
    forwarded(method, ...headers).filter((line) => /^(content-length|transfer-encoding)/i.test(line));
  expect(framing('POST', ['Connection', 'content-length'], ['Content-Length', '5'])).toEqual(['Content-Length: 5']);
  expect(framing('GET', ['Transfer-Encoding', 'Chunked'])).toEqual(['Transfer-Encoding: chunked']);
  expect(framing('DELETE')).toEqual([]);
  for (const method of ['POST', 'PUT', 'PATCH']) expect(framing(method)).toEqual(['Content-Length: 0']);
  expect(() => framing('POST', ['Transfer-Encoding', 'gzip, chunked'])).toThrow('gzip, chunked is not supported');
});

test('returnedHeaders keeps cookies apart, and leaves other origins to the API server', () => {
  const answer = message('', [
    ['Set-Cookie', 'a=1'],
    ['Set-Cookie', 'b=2'],
    ['Location', '/a'],
    ['Connection', 'x-hop'],
    ['X-Hop', '1'],
    ['Transfer-Encoding', 'chunked'],
    ['Access-Control-Allow-Origin', '*'],
    ['access-control-allow-credentials', 'true'],
  ]);
  const change = (name: string, value: string) => (name === 'location' ? `/proxy${value}` : value);
  expect(pairs(returnedHeaders(answer, change))).toEqual(['Set-Cookie: a=1', 'Set-Cookie: b=2', 'Location: /proxy/a']);
});
