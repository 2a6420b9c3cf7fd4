import { describe, expect, test } from 'vitest';
import { applyJsonPatch, PatchError } from './json-patch.ts';

describe('applyJsonPatch', () => {
  // The examples of RFC 6902, appendix A.
  test.each([
    [{ foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux' }], { baz: 'qux', foo: 'bar' }],
    [{ foo: ['bar', 'baz'] }, [{ op: 'add', path: '/foo/1', value: 'qux' }], { foo: ['bar', 'qux', 'baz'] }],
    [{ baz: 'qux', foo: 'bar' }, [{ op: 'remove', path: '/baz' }], { foo: 'bar' }],
    [{ foo: ['bar', 'qux', 'baz'] }, [{ op: 'remove', path: '/foo/1' }], { foo: ['bar', 'baz'] }],
    [{ baz: 'qux' }, [{ op: 'replace', path: '/baz', value: 'boo' }], { baz: 'boo' }],
    [
      { foo: { bar: 'baz' }, qux: { corge: 'g' } },
      [{ op: 'move', from: '/foo/bar', path: '/qux/thud' }],
      { foo: {}, qux: { corge: 'g', thud: 'baz' } },
    ],
    [
      { foo: ['all', 'cows', 'eat'] },
      [{ op: 'move', from: '/foo/0', path: '/foo/2' }],
      { foo: ['cows', 'eat', 'all'] },
    ],
    [{ foo: ['a', 2] }, [{ op: 'test', path: '/foo/1', value: 2 }], { foo: ['a', 2] }],
    [{ foo: ['bar'] }, [{ op: 'add', path: '/foo/-', value: ['abc'] }], { foo: ['bar', ['abc']] }],
    [{ '/': 9, '~1': 10 }, [{ op: 'test', path: '/~01', value: 10 }], { '/': 9, '~1': 10 }],
    [{ a: { b: 1 } }, [{ op: 'copy', from: '/a', path: '/c' }], { a: { b: 1 }, c: { b: 1 } }],
  ])('%j with %j', (document, patch, expected) => {
    const before = structuredClone(document);
    expect(applyJsonPatch(document, patch)).toEqual(expected);
    expect(document).toEqual(before);
  });

  test.each([
    [{ op: 'remove', path: '/none' }],
    [{ op: 'replace', path: '/none', value: 1 }],
    [{ op: 'add', path: '/a/b/c', value: 1 }],
    [{ op: 'test', path: '/x', value: 2 }],
    [{ op: 'add', path: '/list/3', value: 1 }],
    [{ op: 'add', path: '/list/01', value: 1 }],
    [{ op: 'move', from: '/x' }],
    [{ op: 'move', from: '/o', path: '/o/p' }],
    [{ op: 'jump', path: '/x' }],
    [{ op: 'remove', path: '' }],
    [{ op: 'add', path: 'x', value: 1 }],
    ['x'],
  ])('refuses %j', (operation) => {
    expect(() => applyJsonPatch({ x: 1, list: [1], o: {} }, [operation])).toThrow(PatchError);
  });
});
