import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bundleTypeScript, runTypeScript } from '../../test/run-typescript.ts';
import { parseCidr } from '../net/cidr.ts';
import { parseIp } from '../net/ip.ts';
import { openRoutes } from './links.ts';
import { listMounts } from './mounts.ts';
import { createNetns, deleteNetns, inFreshNetns, inNetns, netnsIdentity, openNetns, spawnIn } from './netns.ts';
import { readSysctl, writeSysctl } from './sysctl.ts';

let folder: string;
const at = (name: string) => join(folder, name);
const pinned: string[] = [];

function create(name: string): string {
  createNetns(at(name));
  pinned.push(at(name));
  return at(name);
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'netns-'));
});
afterEach(() => {
  for (const path of pinned.splice(0)) deleteNetns(path);
  rmSync(folder, { recursive: true });
});

function linkNames(): string[] {
  const routes = openRoutes();
  try {
    return routes.listLinks().map((link) => link.name);
  } finally {
    routes.close();
  }
}

/** Reads all a child writes, and waits for its end. */
async function output(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout?.on('data', (chunk) => {
    text += chunk;
  });
  await once(child, 'close');
  return text;
}

describe('createNetns', () => {
  test('pins another namespace and leaves the thread where it was', () => {
    const home = netnsIdentity();
    const path = create('a');
    expect(netnsIdentity()).toBe(home);
    expect(netnsIdentity(path)).not.toBe(home);
    expect(listMounts().find((mount) => mount.target === path)?.type).toBe('nsfs');
  });

  test('brings the loopback device up unless told not to', () => {
    const up = () => {
      const routes = openRoutes();
      try {
        return routes.getLink('lo')?.up;
      } finally {
        routes.close();
      }
    };
    expect(inNetns(create('a'), up)).toBe(true);
    createNetns(at('b'), { loopback: false });
    pinned.push(at('b'));
    expect(inNetns(at('b'), up)).toBe(false);
  });

  test('refuses a path that is taken and leaves what is there', () => {
    writeFileSync(at('taken'), 'content');
    expect(() => createNetns(at('taken'))).toThrow(expect.objectContaining({ code: 'NAMESPACE_FAILED' }));
    expect(existsSync(at('taken'))).toBe(true);
    expect(() => createNetns(at('no/folder'))).toThrow(/NAMESPACE_FAILED/);
  });
});

describe('deleteNetns', () => {
  test('removes mount and file, and is content when there is nothing', () => {
    const path = create('a');
    deleteNetns(path);
    expect(existsSync(path)).toBe(false);
    expect(listMounts().some((mount) => mount.target === path)).toBe(false);
    deleteNetns(path);
  });

  test('clears away the empty file of a createNetns that was killed', () => {
    writeFileSync(at('left'), '');
    deleteNetns(at('left'));
    expect(existsSync(at('left'))).toBe(false);
  });

  test('leaves the namespace to those who still have it open', () => {
    const path = create('a');
    inNetns(path, () => {
      const routes = openRoutes();
      routes.createBridge({ name: 'kept' });
      deleteNetns(path);
      expect(routes.getLink('kept')?.name).toBe('kept');
      routes.close();
    });
  });
});

describe('inNetns', () => {
  test('runs there and comes back, also from an error and from within another', () => {
    const home = netnsIdentity();
    const [a, b] = [create('a'), create('b')];
    const seen = inNetns(a, () => {
      const inner = inNetns(b, () => netnsIdentity());
      return [netnsIdentity(), inner];
    });
    expect(seen).toEqual([netnsIdentity(a), netnsIdentity(b)]);
    expect(() =>
      inNetns(a, () => {
        throw new Error('within');
      }),
    ).toThrow('within');
    expect(netnsIdentity()).toBe(home);
  });

  test('refuses a path without a network namespace', () => {
    writeFileSync(at('file'), '');
    for (const path of [at('file'), at('nothing')]) {
      expect(() => inNetns(path, () => 0)).toThrow(expect.objectContaining({ code: 'NAMESPACE_FAILED' }));
    }
  });

  test('sees the sysctls of that namespace', () => {
    const before = readSysctl('net.ipv4.ip_forward');
    const other = before === '0' ? '1' : '0';
    inNetns(create('a'), () => {
      writeSysctl('net.ipv4.ip_forward', other);
      expect(readSysctl('net.ipv4.ip_forward')).toBe(other);
    });
    expect(readSysctl('net.ipv4.ip_forward')).toBe(before);
  });

  test('is refused on a worker thread', async () => {
    const source = `
      import { parentPort } from 'node:worker_threads';
      import { inNetns } from './src/kernel/netns.ts';
      try { inNetns('/proc/self/ns/net', () => 0); parentPort?.postMessage('ran'); }
      catch (error) { parentPort?.postMessage((error as { code: string }).code); }`;
    const worker = new Worker(bundleTypeScript(source), { eval: true });
    expect(await once(worker, 'message')).toEqual(['NOT_MAIN_THREAD']);
    await worker.terminate();
  });

  test('ends the process when there is no way back', () => {
    // Closes every file of a network namespace, the way home among them.
    const source = `
      import { closeSync, readdirSync, readlinkSync } from 'node:fs';
      import { inFreshNetns } from './src/kernel/netns.ts';
      inFreshNetns(() => {
        for (const fd of readdirSync('/proc/self/fd')) {
          try { if (readlinkSync('/proc/self/fd/' + fd).startsWith('net:')) closeSync(Number(fd)); } catch {}
        }
      });
      process.stdout.write('went on');`;
    const { signal, status, stdout, stderr } = runTypeScript(source);
    expect(signal ?? status).toBe('SIGABRT');
    expect(stdout).toBe('');
    expect(stderr).toContain('[NAMESPACE_FAILED]');
  });
});

describe('inFreshNetns', () => {
  test('runs in a namespace with nothing but loopback', () => {
    const home = netnsIdentity();
    expect(inFreshNetns(() => [linkNames(), netnsIdentity() === home])).toEqual([['lo'], false]);
    expect(netnsIdentity()).toBe(home);
  });
});

describe('openNetns', () => {
  test('refuses a path with nothing there', () => {
    expect(() => openNetns(at('nothing'))).toThrow(expect.objectContaining({ code: 'NAMESPACE_FAILED' }));
  });
});

describe('spawnIn', () => {
  test('starts the child there, with the options of spawn', async () => {
    const path = create('a');
    const child = spawnIn(path, 'sh', ['-c', 'stat -L -c %d:%i /proc/self/ns/net; echo $WORD'], {
      env: { ...process.env, WORD: 'word' },
    });
    expect(await output(child)).toBe(`${netnsIdentity(path)}\nword\n`);
  });

  test('comes back when there is no such program', async () => {
    const home = netnsIdentity();
    const child = spawnIn(create('a'), '/no/such/program', []);
    const [error] = await once(child, 'error');
    expect(error.code).toBe('ENOENT');
    expect(netnsIdentity()).toBe(home);
  });
});

test('processes in two namespaces reach each other over a veth pair, by TCP', async () => {
  const [server, client] = [create('server'), create('client')];
  inNetns(client, () => {
    const routes = openRoutes();
    routes.createVeth({ name: 'eth0', up: true, peer: { name: 'eth0', netns: { path: server } } });
    routes.addAddress('eth0', { ip: parseIp('10.9.0.2'), prefix: 32 });
    routes.addAddress('eth0', { ip: parseIp('fd09::2'), prefix: 64 });
    routes.addRoute({ destination: parseCidr('10.9.0.0/24'), device: 'eth0', source: parseIp('10.9.0.2') });
    routes.close();
  });
  inNetns(server, () => {
    const routes = openRoutes();
    routes.setLink('eth0', { up: true });
    routes.addAddress('eth0', { ip: parseIp('10.9.0.1'), prefix: 24 });
    routes.addAddress('eth0', { ip: parseIp('fd09::1'), prefix: 64 });
    routes.close();
  });
  const listen = `require('net').createServer((s) => s.end(s.remoteAddress)).listen(8080, '::', () => console.log('up'))`;
  const listener = spawnIn(server, process.execPath, ['-e', listen], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    if (listener.stdout === null) throw new Error('no pipe');
    await once(listener.stdout, 'data');
    for (const [to, from] of [
      ['10.9.0.1', '::ffff:10.9.0.2'],
      ['fd09::1', 'fd09::2'],
    ]) {
      const connect = `require('net').connect(8080, '${to}').pipe(process.stdout)`;
      const caller = spawnIn(client, process.execPath, ['-e', connect], { stdio: ['ignore', 'pipe', 'inherit'] });
      expect(await output(caller)).toBe(from);
    }
  } finally {
    listener.kill('SIGKILL');
  }
});

test('nothing of these tests is in the namespace they started in', () => {
  expect(linkNames()).toEqual(['lo']);
});
