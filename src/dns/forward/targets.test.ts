import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseDnsConfig } from '../config/fields.ts';
import { formatServerAddress, parseServerAddress } from './address.ts';
import { readTargets } from './targets.ts';

describe('readTargets', () => {
  const serversOf = async (object: object) => {
    const [block] = parseDnsConfig(object).servers;
    const { servers, itself } = await readTargets(block?.forward[0]?.to ?? [], block?.listen ?? []);
    return { servers: servers.map(formatServerAddress), itself: itself.map(formatServerAddress) };
  };

  test('tells this server itself apart', async () => {
    const upstreams = ['127.0.0.1', '127.0.0.53', '127.0.0.1:5353', '192.0.2.1', '10.0.0.1'];
    expect(await serversOf({ upstreams })).toEqual({
      servers: ['127.0.0.1:5353', '192.0.2.1:53', '10.0.0.1:53'],
      itself: ['127.0.0.1:53', '127.0.0.53:53'],
    });
    const listen = [{ address: '10.0.0.1', port: 53 }];
    expect(await serversOf({ upstreams, listen })).toEqual({
      servers: upstreams.slice(0, -1).map((u) => formatServerAddress(parseServerAddress(u))),
      itself: ['10.0.0.1:53'],
    });
  });

  test('reads a resolv.conf, and says which it cannot read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dns-targets-'));
    await writeFile(join(folder, 'resolv.conf'), 'nameserver 127.0.0.53\nnameserver 192.0.2.1\n');
    expect(await serversOf({ resolvConf: join(folder, 'resolv.conf') })).toMatchObject({ servers: ['192.0.2.1:53'] });
    const many = Array.from({ length: 20 }, (_, i) => `nameserver 198.51.100.${i}`);
    await writeFile(join(folder, 'resolv.conf'), many.join('\n'));
    expect((await serversOf({ resolvConf: join(folder, 'resolv.conf') })).servers).toHaveLength(15);
    await expect(serversOf({ resolvConf: join(folder, 'gone') })).rejects.toThrow(
      /gone cannot be read.*INVALID_CONFIG/,
    );
    await rm(folder, { recursive: true });
  });
});
