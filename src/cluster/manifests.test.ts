import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readManifests } from './manifests.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'sbx-manifests-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function manifest(name: string, text: string): string {
  const path = join(dir, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
  return path;
}

describe('readManifests', () => {
  test('reads documents in order, with the line each begins at and the default namespace', () => {
    const path = manifest(
      'two.yaml',
      'apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\n\n# why\napiVersion: v1\nkind: Node\nmetadata: {name: b}\n',
    );
    const { documents, errors } = readManifests([path]);
    expect(errors).toEqual([]);
    expect(documents.map((d) => [d.source, d.resource.plural, d.object.metadata])).toEqual([
      [`${path}:1`, 'services', { name: 'a', namespace: 'default' }],
      [`${path}:7`, 'nodes', { name: 'b' }],
    ]);
  });

  test('takes lists apart, and skips empty documents', () => {
    const path = manifest(
      'list.yaml',
      '---\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: n}}\n- {apiVersion: v1, kind: Pod, metadata: {name: p}}\n',
    );
    expect(readManifests([path]).documents.map((d) => d.object.metadata.name)).toEqual(['s', 'p']);
  });

  test('reads a folder by name, without what is no manifest', () => {
    manifest('folder/b.json', '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}');
    manifest('folder/a.yml', 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n');
    manifest('folder/notes.txt', 'nothing');
    expect(readManifests([join(dir, 'folder')]).documents.map((d) => d.object.metadata.name)).toEqual(['a', 'b']);
  });

  test.each([
    ['a: [1', 2, 'is not YAML'],
    ['- 1', 1, 'is not an object'],
    ['metadata: {name: x}', 1, 'has no apiVersion and kind'],
    ['apiVersion: v1\nkind: Gadget\nmetadata: {name: x}', 1, 'is of a kind that is not served (Gadget in v1)'],
    ['apiVersion: v2\nkind: Pod\nmetadata: {name: x}', 1, 'is of a kind that is not served (Pod in v2)'],
    ['\n\napiVersion: v1\nkind: Pod', 3, '(Pod) has no metadata.name'],
  ])('tells what is wrong with %j and keeps the documents beside it', (text, line, problem) => {
    const path = manifest('wrong.yaml', `${text}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n`);
    const { documents, errors } = readManifests([path]);
    expect(errors[0]?.message).toContain(`${path}:${line} ${problem}`);
    expect(errors[0]?.code).toBe('MANIFEST_INVALID');
    expect(documents.map((d) => d.object.metadata.name)).toEqual(['good']);
  });

  test('of a path that is not there says so', () => {
    expect(() => readManifests([join(dir, 'none.yaml')])).toThrow(
      /none\.yaml cannot be read \(ENOENT\).*\[MANIFEST_UNREADABLE\]/,
    );
  });
});
