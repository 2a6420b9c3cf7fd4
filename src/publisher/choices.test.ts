import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseIp } from '../net/ip.ts';
import type { RelayTarget } from '../relay/relay.ts';
import { addressText, candidates, ownAddresses } from './choices.ts';
import type { Publication, Way } from './publications.ts';

const ip = parseIp('127.0.0.1');
const publication = (way: Way, knownBy: number): Publication => ({
  key: `default/web ${way} ${knownBy}/TCP`,
  service: 'default/web',
  portName: '',
  port: knownBy,
  protocols: ['TCP'],
  scheme: 'tcp',
  way,
  knownBy,
  targets: [],
});

interface Given {
  readonly earlier?: RelayTarget;
  readonly reserved?: readonly RelayTarget[];
}

const wishes = (way: Way, knownBy: number, { earlier, reserved = [] }: Given = {}) =>
  candidates(publication(way, knownBy), {
    earlier,
    isReserved: (address) => reserved.some((other) => addressText(other) === addressText(address)),
    salt: 'here',
  });
const ports = (...args: Parameters<typeof wishes>) => wishes(...args).map(({ port }) => port);

describe('candidates', () => {
  it('looks for a node port under its number, then where it was, then anywhere', () => {
    expect(ports('nodePort', 30_080)).toEqual([30_080, 0]);
    expect(ports('nodePort', 30_080, { earlier: { ip, port: 41_000 } })).toEqual([30_080, 41_000, 0]);
  });

  it("looks for a balancer's port where it was, then under its number or 8000 above, then anywhere", () => {
    expect(ports('loadBalancer', 80)).toEqual([8080, 0]);
    expect(ports('loadBalancer', 443)).toEqual([8443, 0]);
    expect(ports('loadBalancer', 9000)).toEqual([9000, 0]);
    expect(ports('loadBalancer', 80, { earlier: { ip, port: 41_000 } })).toEqual([41_000, 8080, 0]);
  });

  it('leaves to others what they have, but for the number of a node port', () => {
    expect(ports('loadBalancer', 80, { reserved: [{ ip, port: 8080 }] })).toEqual([0]);
    expect(ports('nodePort', 30_080, { reserved: [{ ip, port: 30_080 }] })).toEqual([30_080, 0]);
  });

  it('gives each once, ports that can be had, of 127.0.0.0/8; an address of its own under the port itself', () => {
    const ways = fc.constantFrom<Way>('nodePort', 'loadBalancer', 'ownAddress', 'dns');
    const port = fc.integer({ min: 1, max: 65_535 });
    fc.assert(
      fc.property(ways, port, fc.option(port), (way, knownBy, before) => {
        const earlier = before === null ? {} : { earlier: { ip, port: before } };
        const found = wishes(way, knownBy, way === 'ownAddress' ? {} : earlier);
        expect(new Set(found.map(addressText)).size).toBe(found.length);
        for (const each of found) {
          expect(each.ip).toMatch(/^127\./);
          expect(each.port).toBeLessThan(65_536);
          if (way === 'ownAddress') expect(each).toMatchObject({ port: knownBy });
        }
        if (way !== 'ownAddress') expect(found.at(-1)).toEqual({ ip, port: 0 });
      }),
    );
  });
});

describe('ownAddresses', () => {
  it('are the same always, far from the well-known ones, and others for another Service', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        const addresses = ownAddresses(a);
        expect(ownAddresses(a)).toEqual(addresses);
        for (const address of addresses) expect(address).toMatch(/^127\.[1-9]\d*\.\d+\.[1-9]\d*$/);
        if (a !== b) expect(ownAddresses(b)).not.toEqual(addresses);
      }),
    );
  });
});
