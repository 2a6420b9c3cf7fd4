import { expect, test } from 'vitest';
import { encodeArp, noMac } from '../net/arp.ts';
import { parseIp } from '../net/ip.ts';
import { broadcastMac } from '../net/mac.ts';
import { LinkSpeaker } from './link-speaker.ts';

const address = parseIp('192.0.2.240');
const holder = '02:00:00:00:00:01';

test('LinkSpeaker is due at once when the one before it lets an address go, not when it would ask again', () => {
  let receive = (_frame: Uint8Array): void => {};
  let now = 0;
  const due: number[] = [];
  const speaker = new LinkSpeaker({
    link: { index: 2, name: 'eth0', mac: '02:00:00:00:00:02' },
    openLink: (_link, onFrame) => {
      receive = onFrame;
      return { hear() {}, send() {}, drain() {}, close() {} };
    },
    node: { name: 'node-2', ip: parseIp('198.51.100.2') },
    nodeOf: () => 'node-1',
    now: () => now,
    onDue: (at) => due.push(at),
    onEvent() {},
  });
  speaker.setViews(new Map([[address, { rank: 2, candidates: ['node-1', 'node-2'], isCurrent: true }]]));
  const own = { mac: holder, ip: address };
  receive(encodeArp({ operation: 'reply', sender: own, target: own }, broadcastMac));
  speaker.setViews(new Map([[address, { rank: 1, candidates: ['node-2'], isCurrent: true }]]));
  speaker.tick();
  now = 10;
  expect(speaker.dueAt).toBeGreaterThan(now);
  const nobody = { mac: holder, ip: parseIp('0.0.0.0') };
  receive(encodeArp({ operation: 'request', sender: nobody, target: { mac: noMac, ip: address } }, broadcastMac));
  expect(due.at(-1)).toBe(now);
  speaker.tick();
  expect(speaker.report()).toMatchObject([{ state: 'holding', announcedBy: 'node-2' }]);
});
