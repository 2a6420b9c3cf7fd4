import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readDnsConfig } from './read.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dns-read-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function read(text: string, file = 'dns', mark = '') {
  await writeFile(join(folder, file), text);
  return await readDnsConfig(`${mark}${join(folder, file)}`);
}

describe('readDnsConfig', () => {
  test.each([
    ['dns.json', '{"ttl": 7}'],
    ['dns.yaml', '# ours\nttl: 7\nhealth: {\n  port: 1 }\n'],
    ['dns', 'ttl: 7\n'],
    ['dns.yaml', 'listen: {\n'],
  ])('takes %s for fields: %j', async (file, text) => {
    const reading = read(text, file);
    if (text.startsWith('listen')) await expect(reading).rejects.toThrow(/dns\.yaml cannot be read/);
    else expect((await reading).config.servers[0]?.kubernetes?.ttl).toBe(7);
  });

  test.each([
    ['Corefile', '.:1053 {\n}\n'],
    ['Corefile', '.:1053'],
    ['site.corefile', '.:1053'],
    ['Corefile.local', '.:1053'],
    ['dns.conf', '# a comment\n\n.:1053 { # another\n}\n'],
    ['dns.conf', '(snippet) {\n}\n.:1053 {\n}\n'],
    ['dns.conf', 'import parts/*\n.:1053 {\n}\n'],
    ['dns.conf', '.:1053', 'corefile:'],
  ])('takes %s for a Corefile: %j', async (file, text, mark = '') => {
    const { config } = await read(text, file, mark);
    expect(config.servers[0]?.listen).toEqual([{ ip: undefined, port: 1053, transport: 'dns' }]);
  });

  test('has a digest of all files that were read', async () => {
    await mkdir(join(folder, 'parts'), { recursive: true });
    const text = '.:53 {\n  import parts/*.override\n}\n';
    const { digest } = await read(text, 'Corefile');
    expect((await read(text, 'Corefile')).digest).toBe(digest);
    await writeFile(join(folder, 'parts', 'a.override'), 'errors');
    const { digest: changed, config } = await read(text, 'Corefile');
    expect(changed).not.toBe(digest);
    expect(config.servers[0]?.errors).toBeDefined();
  });

  test('says what it cannot read, and where', async () => {
    await expect(readDnsConfig(join(folder, 'gone'))).rejects.toThrow(/gone cannot be read \(ENOENT\).*INVALID_CONFIG/);
    await expect(read('{"ttl": ]', 'dns.json')).rejects.toThrow(/dns\.json cannot be read/);
    await expect(read('. {\n  nosuch\n}', 'Corefile')).rejects.toThrow(/Corefile:2 plugin nosuch is not supported/);
  });
});
