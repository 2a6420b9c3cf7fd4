import fc from 'fast-check';
import { expect, test } from 'vitest';
import { splitPath, throughProxy } from './paths.ts';

const prefix = '/api/v1/namespaces/default/services/web/proxy';
const below = (text: string) => splitPath(prefix + text, text).below;

test('splitPath keeps what is below the proxy as it came, escapes and doubled slashes too', () => {
  expect(splitPath(prefix, '')).toEqual({ prefix, below: '' });
  expect(splitPath(`${prefix}/`, '/')).toEqual({ prefix, below: '/' });
  for (const text of [
    '/a/b',
    '/a/',
    '/a%2Fb',
    '//a//b',
    '/a%20b/%E9',
    '/.well-known/x',
    '/...',
    '/a.',
    '/https://x.y/',
  ])
    expect(splitPath(prefix + text, text)).toEqual({ prefix, below: text });
});

test('splitPath resolves dots, escaped or not, and never above the proxy', () => {
  expect(below('/a/./b')).toBe('/a/b');
  expect(below('/a/../b')).toBe('/b');
  expect(below('/../../b')).toBe('/b');
  expect(below('/a/%2e%2E/b')).toBe('/b');
  expect(below('/a/.%2e/%2e/b')).toBe('/b');
  expect(below('/a/b/..')).toBe('/a/');
  expect(below('/a/.')).toBe('/a/');
  expect(below('/..')).toBe('/');
  expect(below('/a%2F..%2Fb')).toBe('/a%2F..%2Fb');
});

test('splitPath leaves no dot segment in any path', () => {
  const segment = fc.constantFrom('', '.', '..', '%2e', '%2E.', '.%2e', 'a', 'b%2F..', '...');
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1 }), (segments) => {
      const result = below(`/${segments.join('/')}`);
      expect(result).toMatch(/^\//);
      for (const one of result.split('/')) expect(['.', '..']).not.toContain(one.replaceAll(/%2e/gi, '.'));
    }),
  );
});

test('throughProxy leads links of the one behind through the proxy', () => {
  const links = { prefix, hosts: ['10.244.1.2:8080', 'api:6443'] };
  const via = (text: string) => throughProxy(text, links);
  expect(via('/login?next=/a#b')).toBe(`${prefix}/login?next=/a#b`);
  expect(via('/')).toBe(`${prefix}/`);
  expect(via('http://10.244.1.2:8080/a/')).toBe(`${prefix}/a/`);
  expect(via('https://10.244.1.2:8080')).toBe(`${prefix}/`);
  expect(via('//api:6443/a')).toBe(`${prefix}/a`);
  expect(via('https://API:6443/a')).toBe(`${prefix}/a`);
});

test('throughProxy leaves links that lead elsewhere, relative ones, and those that lead through the proxy', () => {
  const links = { prefix, hosts: ['10.244.1.2:8080', ''] };
  for (const text of [
    ...['a/b', '../a', '?a', '#a', '', 'https://example.com/a', '//example.com/a', 'http://10.244.1.2:81/a'],
    ...['http://user@10.244.1.2:8080/', 'mailto:a@b', 'data:text/plain,/a', 'javascript:go(/a/)', 'http:///a'],
    ...[prefix, `${prefix}/a`, `${prefix}/`],
  ])
    expect(throughProxy(text, links)).toBe(text);
  expect(throughProxy(`${prefix}s/a`, links)).toBe(`${prefix}${prefix}s/a`);
});
