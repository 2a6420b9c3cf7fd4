import { once } from 'node:events';
import { closeSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { parseCidr } from '../net/cidr.ts';
import { parseIp } from '../net/ip.ts';
import { isKernelError } from './ffi.ts';
import { openRoutes, type Routes } from './links.ts';
import { inFreshNetns, inNetns, openNetns } from './netns.ts';

/** A namespace that ends when both are closed. */
interface Place {
  readonly fd: number;
  readonly routes: Routes;
}

const places: Place[] = [];
let routes: Routes;
let here: string;

function newPlace(): Place {
  const place = inFreshNetns(() => ({ fd: openNetns('/proc/thread-self/ns/net'), routes: openRoutes() }));
  places.push(place);
  return place;
}

// Each test in a namespace of its own.
beforeEach(() => {
  const place = newPlace();
  routes = place.routes;
  here = `/proc/self/fd/${place.fd}`;
  routes.setLink('lo', { up: true });
});
afterEach(() => {
  for (const place of places.splice(0)) {
    place.routes.close();
    closeSync(place.fd);
  }
});

const ip = parseIp;
const cidr = parseCidr;
const names = () => routes.listLinks().map((link) => link.name);

/** The routes of the main table, without what the kernel sets for addresses and multicast. */
const destinations = (family: 'IPv4' | 'IPv6' = 'IPv4') =>
  routes
    .listRoutes(family)
    .map(({ destination }) => (destination === 'default' ? destination : `${destination.base}/${destination.prefix}`));

function thrown(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('createVeth', () => {
  test('makes both ends with name, MTU, address and state', () => {
    routes.createBridge({ name: 'br0', up: true });
    routes.createVeth({
      name: 'host',
      up: true,
      mtu: 1400,
      mac: '02:00:00:00:00:01',
      master: 'br0',
      peer: { name: 'pod', mtu: 1400, mac: '02:00:00:00:00:02' },
    });
    expect(routes.getLink('pod')?.up).toBe(false);
    routes.setLink('pod', { up: true });
    const bridge = routes.getLink('br0');
    const host = routes.getLink('host');
    const pod = routes.getLink('pod');
    expect(host).toMatchObject({ kind: 'veth', up: true, running: true, mtu: 1400, mac: '02:00:00:00:00:01' });
    expect(pod).toMatchObject({ kind: 'veth', up: true, running: true, mtu: 1400, mac: '02:00:00:00:00:02' });
    expect([host?.master, host?.peer, pod?.peer, pod?.master]).toEqual([
      bridge?.index,
      pod?.index,
      host?.index,
      undefined,
    ]);
  });

  test('puts the other end into a namespace given by file or by path', () => {
    const other = newPlace();
    routes.createVeth({ name: 'a', peer: { name: 'eth0', netns: { fd: other.fd } } });
    routes.createVeth({ name: 'b', peer: { name: 'eth1', netns: { path: `/proc/self/fd/${other.fd}` } } });
    expect(names().sort()).toEqual(['a', 'b', 'lo']);
    expect(
      other.routes
        .listLinks()
        .map((link) => link.name)
        .sort(),
    ).toEqual(['eth0', 'eth1', 'lo']);
    // One end takes the other with it, across namespaces.
    expect(routes.deleteLink('a')).toBe(true);
    expect(other.routes.getLink('eth0')).toBeUndefined();
  });

  test('gives the other end, elsewhere, a name that a device has here', () => {
    const other = newPlace();
    routes.createBridge({ name: 'eth0' });
    routes.createVeth({ name: 'a', up: true, peer: { name: 'eth0', netns: { fd: other.fd } } });
    expect([other.routes.getLink('eth0')?.kind, routes.getLink('eth0')?.kind]).toEqual(['veth', 'bridge']);
  });

  test('refuses a name that is taken and leaves its owner alone', () => {
    routes.createBridge({ name: 'taken' });
    const error = thrown(() => routes.createVeth({ name: 'taken', up: true, peer: { name: 'other' } }));
    expect(isKernelError(error, 'EEXIST')).toBe(true);
    expect(routes.getLink('taken')).toMatchObject({ kind: 'bridge', up: false });
    expect(routes.getLink('other')).toBeUndefined();
  });

  test('leaves nothing when the bridge is not there', () => {
    const error = thrown(() => routes.createVeth({ name: 'a', master: 'none', peer: { name: 'b' } }));
    expect(isKernelError(error, 'ENODEV')).toBe(true);
    expect(names()).toEqual(['lo']);
  });
});

describe('createBridge', () => {
  test('makes a bridge, and refuses a second of the name', () => {
    routes.createBridge({ name: 'br0', up: true, mac: '02:00:00:00:00:0a' });
    expect(routes.getLink('br0')).toMatchObject({ kind: 'bridge', up: true, mac: '02:00:00:00:00:0a' });
    expect(thrown(() => routes.createBridge({ name: 'br0' }))).toMatchObject({ code: 'EEXIST' });
  });

  test('says what is wrong with a name', () => {
    expect(thrown(() => routes.createBridge({ name: 'sixteen-letters-' }))).toMatchObject({
      code: 'ERANGE',
      message: expect.stringContaining('add bridge sixteen-letters-'),
    });
  });
});

describe('createDummy', () => {
  test('makes one, or says that the kernel has none', () => {
    const error = thrown(() => routes.createDummy({ name: 'dummy0' }));
    if (error === undefined) expect(routes.getLink('dummy0')?.kind).toBe('dummy');
    else
      expect(error).toMatchObject({ code: 'KERNEL_LACKS_FEATURE', remedy: expect.stringContaining('modprobe dummy') });
  });
});

describe('setLink', () => {
  test('changes state, name, MTU, address and bridge', () => {
    routes.createBridge({ name: 'br0' });
    routes.createVeth({ name: 'a', peer: { name: 'b' } });
    routes.setLink('a', { up: true, mtu: 1300, mac: '02:00:00:00:00:03', master: 'br0' });
    routes.setLink('b', { name: 'renamed' });
    expect(routes.getLink('a')).toMatchObject({
      up: true,
      running: false,
      mtu: 1300,
      mac: '02:00:00:00:00:03',
      master: routes.getLink('br0')?.index,
    });
    expect(names()).toContain('renamed');
    routes.setLink('a', { up: false, master: null });
    expect(routes.getLink('a')).toMatchObject({ up: false, master: undefined });
  });

  test('moves a device to another namespace, under a new name', () => {
    const other = newPlace();
    routes.createVeth({ name: 'a', peer: { name: 'b' } });
    routes.setLink('b', { name: 'moved', netns: { fd: other.fd } });
    expect(names().sort()).toEqual(['a', 'lo']);
    expect(other.routes.getLink('moved')?.kind).toBe('veth');
  });

  test('refuses a device that is not there', () => {
    const error = thrown(() => routes.setLink('none', { up: true }));
    expect(error).toMatchObject({ code: 'ENODEV', message: expect.stringContaining('set link none') });
  });
});

describe('deleteLink', () => {
  test('tells whether there was one', () => {
    routes.createBridge({ name: 'br0' });
    expect([routes.deleteLink('br0'), routes.deleteLink('br0'), routes.getLink('br0')]).toEqual([
      true,
      false,
      undefined,
    ]);
    expect(routes.deleteLink(4711)).toBe(false);
  });

  test('refuses loopback', () => {
    expect(thrown(() => routes.deleteLink('lo'))).toMatchObject({ code: 'EOPNOTSUPP' });
  });
});

describe('addAddress', () => {
  test('adds once, tells when it is there already, and removes', () => {
    routes.createBridge({ name: 'br0', up: true });
    for (const address of [
      { ip: ip('10.1.0.1'), prefix: 24 },
      { ip: ip('fd01::1'), prefix: 64 },
    ]) {
      expect(routes.addAddress('br0', address)).toBe(true);
      expect(routes.addAddress('br0', address)).toBe(false);
      expect(routes.listAddresses('br0')).toContainEqual({
        ...address,
        link: routes.getLink('br0')?.index,
        tentative: false,
      });
      expect(routes.removeAddress('br0', address)).toBe(true);
      expect(routes.removeAddress('br0', address)).toBe(false);
    }
  });

  test('has an IPv6 address that can be connected to from the moment it returns', async () => {
    // A socket is of the namespace the thread is in when it connects, and that is a moment later.
    const own = openRoutes();
    onTestFinished(() => own.close());
    own.setLink('lo', { up: true });
    own.createVeth({ name: 'veth0', up: true, peer: { name: 'veth1' } });
    own.setLink('veth1', { up: true });
    const answers = new Set<string>();
    for (let i = 0; i < 100; i++) {
      for (const device of ['lo', 'veth0']) {
        const address = ip(`fd01::${device === 'lo' ? 1 : 2}:${i}`);
        own.addAddress(device, { ip: address, prefix: 128 });
        const [error] = await once(connect(1, address), 'error');
        answers.add(error.code);
      }
    }
    expect([...answers]).toEqual(['ECONNREFUSED']);
  });

  test('refuses a device that is not there', () => {
    expect(thrown(() => routes.addAddress('none', { ip: ip('10.1.0.1'), prefix: 24 }))).toMatchObject({
      code: 'ENODEV',
    });
  });
});

describe('listAddresses', () => {
  test('lists those of one device, or of all', () => {
    routes.createBridge({ name: 'br0' });
    routes.addAddress('br0', { ip: ip('10.1.0.1'), prefix: 24 });
    const of = (link?: string) => routes.listAddresses(link).map((entry) => `${entry.ip}/${entry.prefix}`);
    expect(of('br0')).toEqual(['10.1.0.1/24']);
    expect(of().sort()).toEqual(['10.1.0.1/24', '127.0.0.1/8', '::1/128']);
  });
});

describe('addRoute', () => {
  beforeEach(() => {
    routes.createBridge({ name: 'br0', up: true });
    routes.addAddress('br0', { ip: ip('10.1.0.1'), prefix: 24 });
    routes.addAddress('br0', { ip: ip('fd01::1'), prefix: 64 });
  });

  test('adds by gateway, by device, and the default, in both families', () => {
    const device = routes.getLink('br0')?.index;
    routes.addRoute({ destination: cidr('10.2.0.0/24'), gateway: ip('10.1.0.2') });
    routes.addRoute({ destination: cidr('10.3.0.3/32'), device: 'br0', scope: 'link', source: ip('10.1.0.1') });
    routes.addRoute({ destination: 'default', gateway: ip('10.1.0.9'), metric: 5 });
    routes.addRoute({ destination: cidr('fd02::/64'), gateway: ip('fd01::2') });
    routes.addRoute({ destination: 'default', family: 'IPv6', device: 'br0' });
    const [v4, v6] = [routes.listRoutes('IPv4'), routes.listRoutes('IPv6')];
    expect(v4).toContainEqual(
      expect.objectContaining({ destination: cidr('10.2.0.0/24'), gateway: '10.1.0.2', device, scope: 'global' }),
    );
    expect(v4).toContainEqual(
      expect.objectContaining({ destination: cidr('10.3.0.3/32'), scope: 'link', source: '10.1.0.1', device }),
    );
    expect(v4).toContainEqual(expect.objectContaining({ destination: 'default', gateway: '10.1.0.9', metric: 5 }));
    expect(v6).toContainEqual(expect.objectContaining({ destination: cidr('fd02::/64'), gateway: 'fd01::2' }));
    expect(v6).toContainEqual(expect.objectContaining({ destination: 'default', device }));
  });

  test('reaches a gateway outside every prefix by a link route or as onlink', () => {
    expect(thrown(() => routes.addRoute({ destination: 'default', gateway: ip('10.7.0.1') }))).toMatchObject({
      code: 'ENETUNREACH',
      detail: 'Nexthop has invalid gateway',
      operation: 'add route default via 10.7.0.1',
    });
    routes.addRoute({ destination: 'default', gateway: ip('10.7.0.1'), device: 'br0', onlink: true });
    routes.addRoute({ destination: cidr('10.8.0.1/32'), device: 'br0' });
    routes.addRoute({ destination: cidr('10.9.0.0/16'), gateway: ip('10.8.0.1') });
    expect(destinations()).toEqual(expect.arrayContaining(['default', '10.8.0.1/32', '10.9.0.0/16']));
    expect(routes.listRoutes('IPv4').find((route) => route.destination === 'default')?.onlink).toBe(true);
  });

  test('refuses a second route to a destination, replaceRoute takes its place', () => {
    const route = { destination: cidr('10.2.0.0/24'), gateway: ip('10.1.0.2') };
    routes.addRoute(route);
    expect(thrown(() => routes.addRoute(route))).toMatchObject({ code: 'EEXIST' });
    for (const gateway of [ip('10.1.0.3'), ip('10.1.0.3')]) routes.replaceRoute({ ...route, gateway });
    const found = routes
      .listRoutes('IPv4')
      .filter((entry) => entry.destination !== 'default' && entry.destination.base === '10.2.0.0');
    expect(found.map((entry) => entry.gateway)).toEqual(['10.1.0.3']);
  });

  test('adds routes that end here: blackhole, unreachable, prohibit, local', () => {
    for (const [type, base] of [
      ['blackhole', '10.11.0.0/24'],
      ['unreachable', '10.12.0.0/24'],
      ['prohibit', '10.13.0.0/24'],
    ] as const) {
      routes.addRoute({ destination: cidr(base), type });
      expect(routes.listRoutes('IPv4')).toContainEqual(expect.objectContaining({ destination: cidr(base), type }));
    }
    routes.addRoute({ destination: cidr('10.14.0.0/24'), type: 'local', device: 'lo', table: 300 });
    expect(routes.listRoutes('IPv4', 300)).toMatchObject([{ type: 'local', scope: 'host', table: 300 }]);
  });

  test('lists nothing for a table without routes', () => {
    expect([routes.listRoutes('IPv4', 77), routes.listRoutes('IPv6', 77)]).toEqual([[], []]);
  });

  test('lists thousands of routes, more than one reply holds', () => {
    for (let i = 0; i < 2_000; i++) {
      routes.addRoute({ destination: cidr(`10.20.${i >> 8}.${i & 255}/32`), device: 'br0' });
    }
    expect(new Set(destinations()).size).toBe(2_001);
  });
});

describe('deleteRoute', () => {
  test('tells whether there was one, also of a route that the kernel set', () => {
    routes.createBridge({ name: 'br0', up: true });
    routes.addAddress('br0', { ip: ip('10.1.0.1'), prefix: 24 });
    const route = { destination: cidr('10.1.0.0/24') };
    expect([routes.deleteRoute(route), routes.deleteRoute(route)]).toEqual([true, false]);
    const six = { destination: cidr('fd02::/64'), device: 'br0' };
    routes.addRoute(six);
    expect([routes.deleteRoute(six), routes.deleteRoute(six)]).toEqual([true, false]);
  });
});

describe('addNeighbor', () => {
  test('sets, and sets anew', () => {
    routes.createBridge({ name: 'br0', up: true });
    routes.addNeighbor('br0', { ip: ip('10.1.0.5'), mac: '02:00:00:00:00:05' });
    routes.addNeighbor('br0', { ip: ip('10.1.0.5'), mac: '02:00:00:00:00:06' });
    routes.addNeighbor('br0', { ip: ip('fd01::5'), mac: '02:00:00:00:00:05' });
    const [, entry] = inNetns(here, () => readFileSync('/proc/thread-self/net/arp', 'utf8')).split('\n');
    expect(entry?.split(/\s+/)).toEqual(['10.1.0.5', '0x1', '0x6', '02:00:00:00:00:06', '*', 'br0']);
    expect(thrown(() => routes.addNeighbor('none', { ip: ip('10.1.0.5'), mac: '02:00:00:00:00:05' }))).toMatchObject({
      code: 'ENODEV',
    });
  });
});

describe('openRoutes', () => {
  test('stays with the namespace it was opened in', () => {
    const other = newPlace();
    other.routes.createBridge({ name: 'there' });
    expect(names()).toEqual(['lo']);
    expect(inNetns(here, () => other.routes.getLink('there')?.kind)).toBe('bridge');
  });
});
