import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { readSysctl, writeSysctl } from '../../kernel/sysctl.ts';
import type { NodeFacts } from '../../model/types.ts';
import { parseIp } from '../../net/ip.ts';
import { type IptablesBackend, openIptablesBackend } from './backend.ts';

const routing = 'net.ipv4.conf.all.route_localnet';
const node: NodeFacts = {
  name: 'node-1',
  zone: undefined,
  addresses: [parseIp('192.0.2.1')],
  nodePortAddresses: [],
  nodePortsEverywhere: ['IPv4'],
  localTraffic: { by: 'source', blocks: [] },
};

const opened: IptablesBackend[] = [];
const open = async (localhostNodePorts: boolean) => {
  const log = pino({ level: 'silent' });
  const backend = await openIptablesBackend({ masqueradeBit: 14, localhostNodePorts }, log);
  opened.push(backend);
  return backend;
};
afterEach(async () => {
  for (const backend of opened.splice(0)) {
    await backend.cleanup();
    backend.close();
  }
  writeSysctl(routing, 0);
});

describe('IptablesBackend', () => {
  it('lets the kernel route loopback addresses for node ports, as long as its rules guard them', async () => {
    const backend = await open(true);
    await backend.sync(node, new Map());
    expect(readSysctl(routing)).toBe('1');
    const removed = await (await open(false)).cleanup();
    expect(removed[0]).toBe('the routing of loopback addresses (net.ipv4.conf.all.route_localnet)');
    expect(readSysctl(routing)).toBe('0');
  });

  it('leaves that to others where it has no rule for it', async () => {
    writeSysctl(routing, 1);
    const backend = await open(false);
    await backend.sync(node, new Map());
    await backend.cleanup();
    expect(readSysctl(routing)).toBe('1');
  });
});
