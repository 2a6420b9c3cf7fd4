import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Pod, Volume, VolumeMount } from '../api/generated/types.ts';
import { parseIp } from '../net/ip.ts';
import { prepareVolumes, unsupportedVolumeKind, type VolumeSource, volumeFiles, volumeMounts } from './volumes.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sbx-volumes-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function source(volumes: Volume[]): VolumeSource {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return {
    pod: { metadata: { name: 'p', namespace: 'ns', labels: { b: '2', a: '"1"' } }, spec: { containers: [], volumes } },
    podIps: [parseIp('10.0.0.2')],
    hostIps: [],
    allocatable: {},
    tokens: new Map([
      ['3600 ', 'plain token'],
      ['600 vault', 'token for vault'],
    ]),
    configuration: {
      configMaps: new Map([['cm', { data: { a: 'A', b: 'B' }, binaryData: { bin: base64('\x00\x01') } }]]),
      secrets: new Map([['sec', { data: { key: base64('value') } }]]),
    },
  };
}

function files(volume: Volume): Record<string, string> {
  const made = volumeFiles(volume, source([volume])) ?? [];
  return Object.fromEntries(
    made.map(({ path, content, mode }) => [path, `${Buffer.from(content)} ${mode.toString(8)}`]),
  );
}

describe('volumeFiles', () => {
  it('volumeFiles of a ConfigMap: all keys, or those named', () => {
    expect(files({ name: 'v', configMap: { name: 'cm' } })).toEqual({ a: 'A 644', b: 'B 644', bin: '\x00\x01 644' });
    const items = [{ key: 'a', path: 'x/y', mode: 0o600 }];
    expect(files({ name: 'v', configMap: { name: 'cm', items, defaultMode: 0o400 } })).toEqual({ 'x/y': 'A 600' });
  });

  it('volumeFiles of a Secret, of fields, and of several together', () => {
    expect(files({ name: 'v', secret: { secretName: 'sec', defaultMode: 0o400 } })).toEqual({ key: 'value 400' });
    const items = [
      { path: 'name', fieldRef: { fieldPath: 'metadata.name' } },
      { path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } },
    ];
    expect(files({ name: 'v', downwardAPI: { items } })).toEqual({ name: 'p 644', labels: 'a="\\"1\\""\nb="2" 644' });
    const sources = [
      { serviceAccountToken: { path: 'token' } },
      { serviceAccountToken: { path: 'vault', audience: 'vault', expirationSeconds: 600 } },
      { secret: { name: 'sec' } },
      { configMap: { name: 'cm', items: [{ key: 'a', path: 'a' }] } },
      { downwardAPI: { items } },
    ];
    const made = files({ name: 'v', projected: { sources, defaultMode: 0o440 } });
    expect(Object.keys(made)).toEqual(['token', 'vault', 'key', 'a', 'name', 'labels']);
    expect([made.token, made.vault]).toEqual(['plain token 440', 'token for vault 440']);
  });

  it('volumeFiles says what is missing, unless it is optional', () => {
    expect(() => files({ name: 'v', configMap: { name: 'no' } })).toThrow(/ConfigMap ns\/no does not exist/);
    expect(files({ name: 'v', configMap: { name: 'no', optional: true } })).toEqual({});
    expect(() => files({ name: 'v', secret: { secretName: 'sec', items: [{ key: 'no', path: 'x' }] } })).toThrow(
      /no key "no"/,
    );
  });
});

describe('prepareVolumes', () => {
  it('prepareVolumes writes files, and makes empty folders', () => {
    prepareVolumes(
      folder,
      source([
        { name: 'cm', configMap: { name: 'cm' } },
        { name: 'tmp', emptyDir: {} },
      ]),
    );
    expect(readFileSync(join(folder, 'cm/a'), 'utf8')).toBe('A');
    expect(statSync(join(folder, 'tmp')).isDirectory()).toBe(true);
  });

  it('prepareVolumes lets no path leave the volume', () => {
    const items = [{ key: 'a', path: '../out' }];
    expect(() => prepareVolumes(folder, source([{ name: 'v', configMap: { name: 'cm', items } }]))).toThrow(
      /leads out of the volume/,
    );
    expect(existsSync(join(folder, 'out'))).toBe(false);
  });

  it('prepareVolumes looks at what a hostPath is, and makes what it may', () => {
    const at = (path: string, type?: string) =>
      prepareVolumes(
        folder,
        source([{ name: 'v', hostPath: { path: join(folder, path), ...(type === undefined ? {} : { type }) } }]),
      );
    expect(() => at('none')).toThrow(/does not exist on the host/);
    at('new', 'DirectoryOrCreate');
    at('new', 'Directory');
    expect(() => at('new', 'File')).toThrow(/is not a File/);
    at('file', 'FileOrCreate');
    at('file', 'File');
    at('file');
  });
});

describe('volumeMounts', () => {
  const volumes = [
    { name: 'tmp', emptyDir: {} },
    { name: 'cm', configMap: { name: 'cm' } },
    { name: 'host', hostPath: { path: '/srv' } },
  ];
  const mounts = (...list: VolumeMount[]) => {
    const pod: Pod = { metadata: { namespace: 'ns' }, spec: { containers: [], volumes } };
    return volumeMounts({ name: 'c', volumeMounts: list }, { pod, folder, variables: { WHO: 'me' } });
  };

  it('volumeMounts are read-only where told, and always for volumes made of objects', () => {
    expect(
      mounts(
        { name: 'tmp', mountPath: '/t/' },
        { name: 'cm', mountPath: '/c' },
        { name: 'host', mountPath: '/h', readOnly: true },
      ),
    ).toEqual([
      { source: join(folder, 'tmp'), target: '/t', readOnly: false },
      { source: join(folder, 'cm'), target: '/c', readOnly: true },
      { source: '/srv', target: '/h', readOnly: true },
    ]);
  });

  it('volumeMounts of a part of a volume', () => {
    mkdirSync(join(folder, 'tmp'));
    expect(mounts({ name: 'tmp', mountPath: '/t', subPathExpr: 'of-$(WHO)' })[0]?.source).toBe(
      join(folder, 'tmp/of-me'),
    );
    expect(statSync(join(folder, 'tmp/of-me')).isDirectory()).toBe(true);
    writeFileSync(join(folder, 'tmp/file'), '');
    expect(mounts({ name: 'tmp', mountPath: '/t', subPath: 'file' })[0]?.source).toBe(join(folder, 'tmp/file'));
  });

  it('volumeMounts of an emptyDir, and of parts of it, are for every user', () => {
    prepareVolumes(folder, source([{ name: 'tmp', emptyDir: {} }]));
    const [whole, part] = mounts({ name: 'tmp', mountPath: '/t' }, { name: 'tmp', mountPath: '/p', subPath: 'p' });
    for (const mount of [whole, part]) expect(statSync(mount?.source ?? '').mode & 0o777).toBe(0o777);
  });

  it('volumeMounts do not leave the volume, by name or by link', () => {
    mkdirSync(join(folder, 'tmp'));
    symlinkSync('/etc', join(folder, 'tmp/link'));
    for (const subPath of ['../x', '/etc', 'link', 'link/ssl']) {
      expect(() => mounts({ name: 'tmp', mountPath: '/t', subPath }), subPath).toThrow(/leads out of the volume/);
    }
    expect(() => mounts({ name: 'none', mountPath: '/t' })).toThrow(/names no volume/);
  });

  it('volumeMounts make nothing where a link leads out of the volume', () => {
    mkdirSync(join(folder, 'tmp'));
    mkdirSync(join(folder, 'beside'));
    symlinkSync(join(folder, 'beside'), join(folder, 'tmp/link'));
    symlinkSync(join(folder, 'nowhere'), join(folder, 'tmp/dangling'));
    for (const subPath of ['link/new', 'link/new/deep', 'dangling', 'dangling/new'])
      expect(() => mounts({ name: 'tmp', mountPath: '/t', subPath }), subPath).toThrow(/leads out of the volume/);
    expect(readdirSync(join(folder, 'beside'))).toEqual([]);
    expect(existsSync(join(folder, 'nowhere'))).toBe(false);
  });
});

describe('unsupportedVolumeKind', () => {
  it.each<[Volume, string | undefined]>([
    [{ name: 'v', emptyDir: {} }, undefined],
    [{ name: 'v', persistentVolumeClaim: { claimName: 'c' } }, 'persistentVolumeClaim'],
    [{ name: 'v', projected: { sources: [{ configMap: { name: 'c' } }] } }, undefined],
    [{ name: 'v', projected: { sources: [{ clusterTrustBundle: { path: 't' } }] } }, 'projected clusterTrustBundle'],
  ])('unsupportedVolumeKind of %j is %s', (volume, kind) => {
    expect(unsupportedVolumeKind(volume)).toBe(kind);
  });
});
