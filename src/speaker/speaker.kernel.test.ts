import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Logger } from '../component/log.ts';
import { KernelError } from '../kernel/ffi.ts';
import { type LinkSocket, openLinkSocket } from '../kernel/link-layer/socket.ts';
import { openRoutes, type Routes } from '../kernel/links.ts';
import { inFreshNetns, inNetns, openNetns } from '../kernel/netns.ts';
import { encodeArp, noMac, parseArp } from '../net/arp.ts';
import { type Ip, parseIp } from '../net/ip.ts';
import { broadcastMac } from '../net/mac.ts';
import { encodeNdp, groupMac, parseNdp, solicitedNodeGroup } from '../net/ndp.ts';
import { rankNodes } from './election.ts';
import { Speaker, type SpeakerEvent } from './speaker.ts';

const ipv4 = parseIp('192.0.2.240');
const ipv6 = parseIp('2001:db8::240');
const names = ['node-1', 'node-2', 'node-3'];
const macOf = (name: string) => `02:00:00:00:00:0${name.at(-1)}`;
const nodes = names.map((name) => ({
  name,
  eligible: true,
  addresses: [parseIp(`198.51.100.${name.at(-1)}`)],
}));

/** A namespace on the switch, and what is open in it. */
interface Station {
  readonly fd: number;
  readonly routes: Routes;
  readonly port: string;
}

let routes: Routes;
let stations: Station[] = [];
let speakers = new Map<string, Speaker>();
let events: (SpeakerEvent & { readonly node: string })[] = [];
let client: Station;
/** Link-layer addresses that the client was told, in order. */
let told: { readonly address: Ip; readonly mac: string }[] = [];
let ear: LinkSocket;

beforeEach(() => {
  routes = openRoutes();
  routes.createBridge({ name: 'link0', up: true });
  routes.createBridge({ name: 'link1', up: true });
  client = join('client', 9);
  inNetns(`/proc/self/fd/${client.fd}`, () => {
    ear = openLinkSocket(client.routes.getLink('eth0')?.index ?? 0, (frame) => {
      const arp = parseArp(frame);
      if (arp !== undefined) told.push({ address: arp.sender.ip, mac: arp.sender.mac });
      const ndp = parseNdp(frame);
      if (ndp?.kind === 'advertisement') told.push({ address: ndp.target, mac: ndp.mac ?? '' });
    });
  });
  ear.hear([ipv4, ipv6]);
  for (const name of names) start(name, join(name, Number(name.at(-1))));
});
afterEach(() => {
  for (const speaker of speakers.values()) speaker.stop();
  ear.close();
  for (const { fd, routes: own, port } of stations) {
    own.close();
    closeSync(fd);
    routes.deleteLink(port);
  }
  for (const bridge of ['link0', 'link1']) routes.deleteLink(bridge);
  routes.close();
  [speakers, stations, events, told] = [new Map(), [], [], []];
});

/** A host on the switch with addresses of both families. */
function join(name: string, number: number): Station {
  const station = inFreshNetns(() => ({
    fd: openNetns('/proc/thread-self/ns/net'),
    routes: openRoutes(),
    port: `p-${name}`,
  }));
  const netns = { fd: station.fd };
  const peer = { name: 'eth0', netns, mac: `02:00:00:00:00:0${number}` };
  routes.createVeth({ name: station.port, master: 'link0', up: true, peer });
  station.routes.setLink('eth0', { up: true });
  station.routes.addAddress('eth0', { ip: parseIp(`192.0.2.${number}`), prefix: 24 });
  station.routes.addAddress('eth0', { ip: parseIp(`2001:db8::${number}`), prefix: 64 });
  stations.push(station);
  return station;
}

function start(name: string, { fd }: { readonly fd: number }): void {
  const there = `/proc/self/fd/${fd}`;
  const speaker = inNetns(there, () => {
    return new Speaker({
      openLink: (link, onFrame) => inNetns(there, () => openLinkSocket(link, onFrame)),
      nodeName: name,
      log: pino({ level: 'silent' }),
      onEvent: (event) => events.push({ ...event, node: name }),
      serves: () => true,
    });
  });
  speakers.set(name, speaker);
}

function announce(eligible: readonly string[] = names): void {
  const claims = new Map([ipv4, ipv6].map((ip) => [ip, [{ service: 'default/web' }]]));
  const all = nodes.map((node) => ({ ...node, eligible: eligible.includes(node.name) }));
  for (const speaker of speakers.values()) speaker.update({ claims, nodes: all, isCurrent: true });
}

const ranking = (address: Ip) => rankNodes(address, [{ service: 'default/web' }], nodes);
/**
 * Lets the two nodes announce that are wanted most, so that it is clear who follows whom. Of more whoever is kept waiting by
 * a busy machine comes later than its rank says: ranks are a quarter of a second apart, and tested in duty.test.ts.
 */
function announceFromTwo(address: Ip): readonly [string, string] {
  const [first = '', second = ''] = ranking(address);
  announce([first, second]);
  return [first, second];
}

const holders = (address: Ip) =>
  [...speakers]
    .filter(([, speaker]) => speaker.report().some((duty) => duty.address === address && duty.state === 'holding'))
    .map(([name]) => name);
const eventually = (check: () => void) => vi.waitFor(check, { timeout: 40_000, interval: 20 });

/** Asks as any host does, and gives the link-layer addresses of all who answer. */
async function ask(address: Ip): Promise<string[]> {
  told = [];
  const mac = '02:00:00:00:00:09';
  if (address === ipv4) {
    const sender = { mac, ip: parseIp('192.0.2.9') };
    ear.send(encodeArp({ operation: 'request', sender, target: { mac: noMac, ip: address } }, broadcastMac));
  } else {
    const group = solicitedNodeGroup(address);
    const packet = { source: parseIp('2001:db8::9'), destination: group, target: address, mac } as const;
    ear.send(encodeNdp({ kind: 'solicitation', ...packet }, { from: mac, to: groupMac(group) }));
  }
  await eventually(() => expect(told.some((each) => each.address === address)).toBe(true));
  return [...new Set(told.filter((each) => each.address === address).map((each) => each.mac))];
}

async function settled(address: Ip, node: string): Promise<void> {
  await eventually(() => expect(holders(address)).toEqual([node]));
  expect(await ask(address)).toEqual([macOf(node)]);
}

describe.each([ipv4, ipv6])('Speaker, of %s', (address) => {
  test('one node answers, the one that is wanted most', async () => {
    announce();
    await settled(address, ranking(address)[0] ?? '');
    expect(events.filter((event) => event.address === address).map(({ kind }) => kind)).toEqual(['assigned']);
  });

  test('a node that is killed is followed by the next, which announces', async () => {
    const [first, second] = announceFromTwo(address);
    await settled(address, first);
    told = [];
    speakers.get(first)?.abandon();
    speakers.delete(first);
    await eventually(() => expect(told).toContainEqual({ address, mac: macOf(second) }));
    await settled(address, second);
  });

  test('a node that is cut off lets go, and comes back as one that stands by', async () => {
    const [first, second] = announceFromTwo(address);
    await settled(address, first);
    routes.setLink(`p-${first}`, { up: false });
    await settled(address, second);
    routes.setLink(`p-${first}`, { up: true });
    await eventually(() =>
      expect(speakers.get(first)?.report()).toContainEqual(
        expect.objectContaining({ address, state: 'standby', announcedBy: second }),
      ),
    );
    await settled(address, second);
  });

  test('of two halves of a link that come together again one announcer is left, the one that is wanted most', async () => {
    const [first, second] = announceFromTwo(address);
    await settled(address, first);
    // Its own device stays up: nothing tells it that nobody hears it.
    routes.setLink(`p-${first}`, { master: 'link1' });
    await eventually(() => expect(holders(address).sort()).toEqual([first, second].sort()));
    routes.setLink(`p-${first}`, { master: 'link0' });
    await settled(address, first);
  });

  test('a node that may no longer lets go, and may again without taking it back', async () => {
    const [first, second] = announceFromTwo(address);
    await settled(address, first);
    announce([second]);
    await settled(address, second);
    announce([first, second]);
    await eventually(() => expect(speakers.get(first)?.report()).toHaveLength(2));
    await settled(address, second);
  });

  test('an address that a stranger has is not announced, and told', async () => {
    const stranger = join('stranger', 7);
    stranger.routes.addAddress('eth0', { ip: address, prefix: address === ipv4 ? 24 : 64 });
    announce();
    await eventually(() =>
      expect(events).toContainEqual(
        expect.objectContaining({ kind: 'in-use', address, mac: '02:00:00:00:00:07', interface: 'eth0' }),
      ),
    );
    expect(holders(address)).toEqual([]);
  });
});

test('Speaker says once that there is no Node of its name', () => {
  const warnings: unknown[] = [];
  const log = { warn: (details: unknown) => warnings.push(details) } as unknown as Logger;
  const speaker = new Speaker({ nodeName: 'ip-192-0-2-7', log, onEvent: () => {}, serves: () => true });
  const picture = (names: readonly string[]) => ({
    claims: new Map(),
    nodes: names.map((name) => ({ name, eligible: true, addresses: [] })),
    isCurrent: true,
  });
  for (const all of [names, names, [...names, 'ip-192-0-2-7'], names]) speaker.update(picture(all));
  speaker.stop();
  expect(warnings).toEqual([{ node: 'ip-192-0-2-7' }, { node: 'ip-192-0-2-7' }]);
});

test('Speaker that may not speak on a device says once which capability that takes', async () => {
  const { fd } = join('mute', 8);
  const node = { name: 'mute', eligible: true, addresses: [parseIp('198.51.100.8')] };
  const errors: unknown[] = [];
  const log = { error: ({ err }: { err: unknown }) => errors.push(err) } as unknown as Logger;
  let tried = 0;
  const openLink = () => {
    tried++;
    throw new KernelError('socket', constants.errno.EPERM);
  };
  const speaker = inNetns(`/proc/self/fd/${fd}`, () => {
    return new Speaker({ nodeName: 'mute', log, onEvent: () => {}, serves: () => true, openLink });
  });
  const look = () => {
    speaker.update({ claims: new Map([[ipv4, [{ service: 'default/web' }]]]), nodes: [node], isCurrent: true });
    expect(tried).toBeGreaterThan(1);
  };
  try {
    await eventually(look);
    expect(errors).toEqual([expect.objectContaining({ code: 'KERNEL_REFUSED' })]);
    expect(String(errors[0])).toMatch(/ARP and neighbour discovery on eth0 .*EPERM.*CAP_NET_RAW/);
  } finally {
    speaker.stop();
  }
});
