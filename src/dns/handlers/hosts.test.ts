import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseIp } from '../../net/ip.ts';
import type { HostsSettings } from '../config/types.ts';
import { HostsFile } from '../hosts/hosts-file.ts';
import { parseHosts } from '../hosts/hosts-table.ts';
import { DnsMetrics } from '../metrics.ts';
import { ask, lines, rcodeOf } from '../testing/ask.ts';
import { exampleZone } from '../testing/cluster.ts';
import { newForwarder } from '../testing/forwarding.ts';
import { responderOf } from '../testing/responder.ts';
import { a, otherServer, silent } from '../testing/servers.ts';
import { formatName, type Name, parseName, rootName } from '../wire/name.ts';
import { HostsHandler } from './hosts.ts';

const closers: (() => unknown)[] = [];
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dns-hosts-'));
});
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  await rm(folder, { recursive: true });
});

const named = (text: string) => parseName(text) as Name;

async function serving(rest: Partial<HostsSettings>, loadbalance = false) {
  const settings = {
    file: undefined,
    inline: [],
    zones: [rootName],
    ttl: 3600,
    reverse: true,
    reloadMs: 0,
    fallthrough: [],
    ...rest,
  };
  const metrics = new DnsMetrics();
  const hosts = await HostsFile.open({ settings, log: silent, metrics: metrics.hosts });
  const other = await otherServer(() => ({ answers: [a('elsewhere.test', '192.0.2.99')] }));
  const forwarder = newForwarder({ upstreams: [other.address], metrics });
  closers.push(
    () => hosts.close(),
    () => forwarder.close(),
    () => other.close(),
  );
  const handler = new HostsHandler({ settings, table: () => hosts.table, loadbalance });
  const responder = responderOf({ zone: exampleZone(), hosts: handler, forwarder, metrics });
  const answer = async (name: string, type = 'A') => {
    const reply = await ask(responder, { name, type });
    return [rcodeOf(reply), ...lines(reply.answers)];
  };
  return { answer, ask: (name: string) => ask(responder, { name, type: 'A' }), hosts, metrics };
}

const inline = [
  '10.1.1.1 web.test www.web.test',
  '10.1.1.2 web.test',
  'fd00::1 web.test # the new one',
  '10.1.1.3 v4.test',
];

describe('HostsHandler', () => {
  test('answers names, aliases and addresses', async () => {
    const { answer, ask } = await serving({ inline });
    expect(await answer('web.test')).toEqual(['NOERROR', 'web.test A 10.1.1.1', 'web.test A 10.1.1.2']);
    expect(await answer('WWW.web.test')).toEqual(['NOERROR', 'WWW.web.test A 10.1.1.1']);
    expect(await answer('web.test', 'AAAA')).toEqual(['NOERROR', 'web.test AAAA fd00::1']);
    expect(await answer('1.1.1.10.in-addr.arpa', 'PTR')).toEqual([
      'NOERROR',
      '1.1.1.10.in-addr.arpa PTR web.test',
      '1.1.1.10.in-addr.arpa PTR www.web.test',
    ]);
    expect(await ask('web.test')).toMatchObject({ flag_aa: true, answers: [{ ttl: 3600 }, { ttl: 3600 }] });
  });

  test('has no data of other types, and fails for names that are not there', async () => {
    const { answer } = await serving({ inline });
    expect(await answer('v4.test', 'AAAA')).toEqual(['NOERROR']);
    expect(await answer('v4.test', 'MX')).toEqual(['NOERROR']);
    expect(await answer('gone.test')).toEqual(['SERVFAIL']);
  });

  test('leaves to the next what falls through, what is in no zone of its, and addresses without names', async () => {
    const { answer } = await serving({ inline, zones: [named('test')], fallthrough: [named('open.test')] });
    expect(await answer('elsewhere.open.test')).toEqual(['NOERROR', 'elsewhere.test A 192.0.2.99']);
    expect(await answer('shut.test')).toEqual(['SERVFAIL']);
    expect((await answer('example.com'))[0]).toBe('NOERROR');
    expect(await answer('1.0.96.10.in-addr.arpa', 'PTR')).toEqual([
      'NOERROR',
      '1.0.96.10.in-addr.arpa PTR kubernetes.default.svc.cluster.local',
    ]);
  });

  test('wins over the cluster', async () => {
    const name = 'hello-service.default.svc.cluster.local';
    const { answer } = await serving({ inline: [`10.9.9.9 ${name}`], fallthrough: [rootName] });
    expect(await answer(name)).toEqual(['NOERROR', `${name} A 10.9.9.9`]);
    expect((await answer('kubernetes.default.svc.cluster.local'))[0]).toBe('NOERROR');
  });

  test('answers no addresses with no_reverse', async () => {
    const { answer } = await serving({ inline, reverse: false });
    expect(await answer('1.1.1.10.in-addr.arpa', 'PTR')).not.toContain('1.1.1.10.in-addr.arpa PTR web.test');
  });

  test.each([
    [true, 2],
    [false, 1],
  ])('lets addresses take turns at being first: %s', async (loadbalance, different) => {
    const { ask } = await serving({ inline }, loadbalance);
    const firsts = [await ask('web.test'), await ask('web.test')].map(({ answers }) => answers?.[0]);
    expect(new Set(firsts.map((answer) => JSON.stringify(answer))).size).toBe(different);
  });
});

describe('HostsFile', () => {
  test('reads its file again when it has changed, and keeps what it read when it has gone', async () => {
    const file = join(folder, 'hosts');
    await writeFile(file, '10.1.1.1 one.test\n');
    const { answer, hosts, metrics } = await serving({ file, inline: ['10.1.1.9 own.test'], reloadMs: 10 });
    expect(await answer('one.test')).toEqual(['NOERROR', 'one.test A 10.1.1.1']);
    await writeFile(join(folder, 'next'), '10.1.1.2 two.test\r\n');
    await rename(join(folder, 'next'), file);
    await expect.poll(() => answer('two.test')).toEqual(['NOERROR', 'two.test A 10.1.1.2']);
    expect(await answer('one.test')).toEqual(['SERVFAIL']);
    expect(await answer('own.test')).toEqual(['NOERROR', 'own.test A 10.1.1.9']);
    expect(metrics.registry.text()).toMatch(/^coredns_hosts_entries 4$/m);
    await rm(file);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await answer('two.test')).toEqual(['NOERROR', 'two.test A 10.1.1.2']);
    await writeFile(file, '10.1.1.3 three.test\n');
    await expect.poll(() => answer('three.test')).toEqual(['NOERROR', 'three.test A 10.1.1.3']);
    hosts.close();
    expect(metrics.registry.text()).toMatch(/^coredns_hosts_entries 0$/m);
  });

  test('reads a long list of names for one address a piece at a time, and answers with what fits', async () => {
    const file = join(folder, 'unwanted');
    await writeFile(file, Array.from({ length: 50_000 }, (_, i) => `0.0.0.0 n${i}.test\n`).join(''));
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    const { answer } = await serving({ file });
    clearInterval(timer);
    expect(turns).toBeGreaterThan(10);
    expect(await answer('n49999.test')).toEqual(['NOERROR', 'n49999.test A 0.0.0.0']);
    const [code, ...names] = await answer('0.0.0.0.in-addr.arpa', 'PTR');
    expect([code, names[0]]).toEqual(['NOERROR', '0.0.0.0.in-addr.arpa PTR n0.test']);
    expect(names.length).toBeLessThan(50);
  });

  test('serves its own lines where there is no file', async () => {
    for (const file of [join(folder, 'gone'), folder]) {
      const { answer } = await serving({ file, inline });
      expect(await answer('v4.test')).toEqual(['NOERROR', 'v4.test A 10.1.1.3']);
    }
  });
});

describe('parseHosts', () => {
  test.each([
    ['', []],
    ['# 10.0.0.1 a', []],
    ['10.0.0.1', []],
    ['10.0.0.300 a', []],
    ['  10.0.0.1\ta  B. # c', ['a. 10.0.0.1', 'b. 10.0.0.1']],
    ['fe80::1%eth0 a', ['a. fe80::1']],
    ['FD00:0::1 a a', ['a. fd00::1']],
    ['::FFFF:10.0.0.2 a', ['a. 10.0.0.2']],
    ['::ffff:300.0.0.2 a', []],
    [`10.0.0.1 ${'x'.repeat(64)} b`, ['b. 10.0.0.1']],
  ])('reads %j', (line, expected) => {
    const { addresses } = parseHosts([line], [rootName]);
    expect([...addresses].map(([name, ips]) => `${formatName(name)} ${ips.join(' ')}`)).toEqual(expected);
  });

  test('never throws, and has a way back from each address to each name', () => {
    const word = fc.oneof(fc.string(), fc.domain(), fc.ipV4(), fc.ipV6());
    fc.assert(
      fc.property(fc.array(fc.array(word).map((words) => words.join(' '))), (text) => {
        const { addresses, names } = parseHosts(text, [rootName]);
        const there = [...addresses.values()].flat().length;
        expect([...names.values()].flat()).toHaveLength(there);
      }),
    );
  });

  test('takes names of its zones only', () => {
    const { addresses } = parseHosts(['10.0.0.1 a.test b.other'], [named('test')]);
    expect([...addresses]).toEqual([[named('a.test'), [parseIp('10.0.0.1')]]]);
  });
});
