import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SignalboxError } from '../errors/error.ts';
import { type Ip, parseIp } from '../net/ip.ts';
import {
  askForAnnouncements,
  askForFollowers,
  askForProxyMode,
  type ControlHandlers,
  serveControl,
} from './control.ts';
import { type ClusterPaths, makeFolders, pathsIn } from './state.ts';

let home: string;
let paths: ClusterPaths;
const closers: (() => void)[] = [];
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'sbx-control-'));
  // Longer than the address of a socket may be.
  paths = pathsIn(join(home, 'x'.repeat(120)));
  makeFolders(paths);
});
afterEach(() => {
  for (const close of closers.splice(0)) close();
  rmSync(home, { recursive: true });
});

async function ask(mode: 'nftables' | 'userspace') {
  const nodes: string[] = [];
  await askForProxyMode(paths, mode, (node) => nodes.push(node));
  return nodes;
}

function serve(changeProxyMode: ControlHandlers['changeProxyMode']): void {
  const announcements = async () => [{ address: '192.0.2.1', by: 'node-2' }];
  const followers = async (dnsPods: readonly Ip[]) => [
    { kind: 'proxy', name: 'the proxy of node-1', versions: { services: 7 } } as const,
    ...dnsPods.map((ip) => ({ kind: 'dns', name: ip }) as const),
  ];
  closers.push(serveControl(paths, { changeProxyMode, announcements, followers }));
}

describe('askForProxyMode', () => {
  it('is told of each node, and of the end, however long the path is', async () => {
    serve(async (proxyMode, tellNode) => {
      for (const node of ['node-1', 'node-2']) tellNode(`${node} ${proxyMode}`);
    });
    expect(await ask('userspace')).toEqual(['node-1 userspace', 'node-2 userspace']);
  });

  it('rejects with what the supervisor rejects with', async () => {
    serve(async () => {
      throw new SignalboxError('KERNEL_LACKS_FEATURE', { object: 'ipvs', problem: 'is not there', remedy: 'load it' });
    });
    await expect(ask('userspace')).rejects.toMatchObject({ code: 'KERNEL_LACKS_FEATURE', remedy: 'load it' });
  });

  it('has one request done after the other', async () => {
    const order: string[] = [];
    serve(async (proxyMode) => {
      order.push(`${proxyMode} begins`);
      await new Promise((resolve) => setTimeout(resolve, 30));
      order.push(`${proxyMode} ends`);
    });
    await Promise.all([ask('userspace'), ask('userspace')]);
    expect(order).toEqual(['userspace begins', 'userspace ends', 'userspace begins', 'userspace ends']);
  });

  it('says so when nobody answers, also where somebody did', async () => {
    await expect(ask('userspace')).rejects.toThrow(/does not answer.*CLUSTER_NOT_RUNNING/);
    writeFileSync(join(paths.dir, 'control.sock'), '');
    await expect(ask('userspace')).rejects.toThrow(/CLUSTER_NOT_RUNNING/);
  });
});

describe('askForAnnouncements', () => {
  it('is answered, also while the mode changes', async () => {
    let end = () => {};
    serve(() => new Promise((resolve) => (end = resolve)));
    const change = ask('userspace');
    expect(await askForAnnouncements(paths)).toEqual([{ address: '192.0.2.1', by: 'node-2' }]);
    end();
    await change;
  });
});

describe('askForFollowers', () => {
  it('is told of all, those in Pods among them', async () => {
    serve(async () => {});
    expect(await askForFollowers(paths, [parseIp('10.244.1.2'), parseIp('fd00::2')])).toEqual([
      { kind: 'proxy', name: 'the proxy of node-1', versions: { services: 7 } },
      { kind: 'dns', name: '10.244.1.2' },
      { kind: 'dns', name: 'fd00::2' },
    ]);
  });

  it('asks of as many Pods as one request can name', async () => {
    serve(async () => {});
    const many = Array.from({ length: 300 }, (_, i) => parseIp(`fd00:10:244:1000:2000:3000:4000:${i.toString(16)}`));
    expect(await askForFollowers(paths, many)).toHaveLength(65);
  });
});

describe('serveControl', () => {
  it('takes the place of a socket that a killed supervisor left, and survives nonsense', async () => {
    writeFileSync(join(paths.dir, 'control.sock'), '');
    serve(async () => {});
    expect(await ask('nftables')).toEqual([]);
    const folder = openSync(paths.dir, 'r');
    closers.push(() => closeSync(folder));
    for (const nonsense of [
      'not json\n',
      '{"followers":{"dnsPods":["nonsense"]}}\n',
      '{"proxyMode":"magic"}\n',
      'null\n',
      'x'.repeat(10_000),
    ]) {
      const socket = connect(`/proc/self/fd/${folder}/control.sock`);
      socket.on('error', () => {});
      socket.end(nonsense);
      await new Promise((resolve) => socket.resume().once('close', resolve));
    }
    expect(await ask('nftables')).toEqual([]);
  });
});
