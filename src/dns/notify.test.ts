import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { decode, encode } from 'dns-packet';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseCidr } from '../net/cidr.ts';
import { parseIp } from '../net/ip.ts';
import { Notifier } from './notify.ts';
import { emptyZone, name, service } from './testing/objects.ts';
import { silent } from './testing/servers.ts';
import type { ClusterZone } from './zone.ts';

interface Told {
  readonly zone: string | undefined;
  readonly opcode: string;
  readonly id: number | undefined;
}

let secondary: Socket;
let told: Told[];
let answers: boolean;
let notifier: Notifier | undefined;

beforeEach(async () => {
  told = [];
  answers = true;
  secondary = createSocket('udp4');
  secondary.on('message', (packet, { port, address }) => {
    const query = decode(packet);
    const { opcode } = query as unknown as { opcode: string };
    told.push({ zone: query.questions?.[0]?.name, opcode, id: query.id });
    if (!answers) return;
    const reply = encode({ type: 'response', id: query.id ?? 0, questions: query.questions ?? [], flags: 0x2400 });
    secondary.send(reply, port, address);
  });
  secondary.bind(0, '127.0.0.1');
  await once(secondary, 'listening');
});

afterEach(() => {
  notifier?.close();
  secondary.close();
});

function start(zone: ClusterZone, { isReady = (): boolean => true, intervalMs = 50 } = {}): void {
  const peer = { ip: parseIp('127.0.0.1'), port: secondary.address().port };
  const rules = [{ zones: [name('cluster.local')], to: [parseCidr('127.0.0.1/32')], notify: [peer] }];
  notifier = new Notifier({ rules, zone, isReady, log: silent, intervalMs });
}

/** For what is not to happen: long enough for it to have happened, several times. */
const aWhile = () => new Promise((resolve) => setTimeout(resolve, 300));

describe('Notifier', () => {
  test('tells of each change once, when it is answered', async () => {
    const zone = emptyZone();
    start(zone);
    await expect.poll(() => told.length).toBe(1);
    expect(told[0]).toMatchObject({ zone: 'cluster.local', opcode: 'NOTIFY' });
    await aWhile();
    expect(told).toHaveLength(1);
    zone.setNamespace('one', true);
    for (let i = 0; i < 100; i++) zone.setService(`one/s${i}`, service([`10.0.0.${i}`]));
    await expect.poll(() => told.length).toBe(2);
    await aWhile();
    expect(told).toHaveLength(2);
  });

  test('tells again, later and later, until there is an answer, and gives up', async () => {
    answers = false;
    start(emptyZone(), { intervalMs: 10 });
    await expect.poll(() => told.length).toBe(5);
    expect(new Set(told.map(({ id }) => id)).size).toBeGreaterThan(1);
    await aWhile();
    expect(told).toHaveLength(5);
  });

  test('hardly bothers who never answers, however much there is to tell', async () => {
    answers = false;
    const zone = emptyZone();
    start(zone, { intervalMs: 5 });
    for (let i = 0; i < 60; i++) {
      zone.setNamespace(`n${i}`, true);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(told.length).toBeLessThan(10);
    answers = true;
    const before = told.length;
    const tellNews = () => {
      zone.setNamespace(`m${told.length}`, true);
      return told.length;
    };
    await expect.poll(tellNews).toBeGreaterThan(before + 2);
  });

  test('has nothing to tell before the zone is whole', async () => {
    let isReady = false;
    start(emptyZone(), { isReady: () => isReady });
    await aWhile();
    expect(told).toEqual([]);
    isReady = true;
    await expect.poll(() => told.length).toBe(1);
  });
});
