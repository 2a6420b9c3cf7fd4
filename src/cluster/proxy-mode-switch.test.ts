import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SignalboxError } from '../errors/error.ts';
import type { ProxyMode } from '../proxy/proxy-mode.ts';
import type { Component, ComponentSpec } from './components.ts';
import { ProxyModeSwitch } from './proxy-mode-switch.ts';
import { type ClusterPaths, pathsIn, readRecord, writeRecord } from './state.ts';

const nodes = ['node-1', 'node-2', 'node-3'];
let folder: string;
let paths: ClusterPaths;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sbx-switch-'));
  paths = pathsIn(folder);
  const process = { pid: 1, startTime: 1 };
  writeRecord(paths, {
    name: 'c',
    nodeCount: 3,
    proxyMode: 'nftables',
    ipFamily: 'ipv4',
    nodeLocalDns: false,
    publish: false,
    hostRoute: false,
    apiPort: 1,
    process,
    startedAt: '',
  });
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Three proxies that note what replaces them; some refuse. */
function cluster(refuses: (command: string) => boolean = () => false) {
  const inUse = new Map(nodes.map((node) => [node, 'nftables']));
  const written = new Map<string, string>();
  const components = nodes.map((node) => ({
    name: `${node}-proxy`,
    replace: async ({ command: [mode] }: ComponentSpec) => {
      if (refuses(`${node} ${mode}`))
        throw new SignalboxError('COMPONENT_NOT_READY', { object: node, problem: 'ended', remedy: 'see its log' });
      inUse.set(node, mode);
    },
  })) as unknown as Component[];
  const modes = new ProxyModeSwitch({
    paths,
    mode: 'nftables',
    components,
    planFor: (mode) => nodes.map((node) => ({ name: `${node}-proxy`, command: 'proxy', config: { mode } })),
    prepare: async ({ name, config }) => {
      const { mode } = config as { mode: ProxyMode };
      written.set(name.replace('-proxy', ''), mode);
      return { name, command: [mode], logFile: '' };
    },
    requireMode: (mode) => {
      if (mode === 'userspace' && refuses('kernel'))
        throw new SignalboxError('KERNEL_LACKS_FEATURE', { object: mode, problem: 'is not there', remedy: 'load it' });
    },
  });
  const told: string[] = [];
  return { inUse, written, told, change: (mode: ProxyMode) => modes.change(mode, (node) => told.push(node)) };
}

const all = (mode: string) => new Map(nodes.map((node) => [node, mode]));

describe('ProxyModeSwitch', () => {
  it('moves node by node, and notes the mode', async () => {
    const { inUse, written, told, change } = cluster();
    await change('userspace');
    expect(told).toEqual(nodes);
    expect([inUse, written]).toEqual([all('userspace'), all('userspace')]);
    expect(readRecord(paths)?.proxyMode).toBe('userspace');
    await change('nftables');
    expect(inUse).toEqual(all('nftables'));
  });

  it('goes back when a node cannot be moved, files and record included', async () => {
    const { inUse, written, told, change } = cluster((what) => what === 'node-3 userspace');
    await expect(change('userspace')).rejects.toThrow(/^node-3 ended.*COMPONENT_NOT_READY/);
    expect(told).toEqual(['node-1', 'node-2']);
    expect([inUse, written]).toEqual([all('nftables'), all('nftables')]);
    expect(readRecord(paths)?.proxyMode).toBe('nftables');
  });

  it('touches no node when the machine lacks the mode', async () => {
    const { written, change } = cluster((what) => what === 'kernel');
    await expect(change('userspace')).rejects.toThrow(/KERNEL_LACKS_FEATURE/);
    expect(written).toEqual(new Map());
  });
});
