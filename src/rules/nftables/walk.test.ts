import { describe, expect, test } from 'vitest';
import { parseIp } from '../../net/ip.ts';
import type { Packet } from '../packet.ts';
import { parseProgram } from './parse.ts';
import { PacketWalker } from './walk.ts';

const here = parseIp('192.0.2.1');
const packet: Packet = {
  from: 'network',
  source: parseIp('10.0.0.1'),
  destination: parseIp('10.0.0.2'),
  protocol: 'tcp',
  port: 80,
};

function walk(chains: string, overrides: Partial<Packet> = {}) {
  const program = parseProgram(`table ip example {\n${chains}\n}\n`);
  const walker = new PacketWalker(program, {
    isLocal: (ip) => ip === here,
    random: (modulus) => modulus - 1,
    chance: (probability) => probability === 1,
    now: () => 0,
  });
  return walker.walk({ ...packet, ...overrides });
}

function base(name: string, hook: string, rules: string): string {
  return `chain ${name} {\n${hook}; policy accept;\n${rules}\n}`;
}

const forward = (rules: string) => base('forward', 'type filter hook forward priority filter', rules);

describe('PacketWalker', () => {
  test('comes back from a jump and not from a goto', () => {
    const helpers = 'chain empty {\n}\nchain by-goto {\ngoto empty\ndrop\n}\n';
    expect(walk(`${helpers}${forward('jump empty\ndrop')}`).verdict).toBe('drop');
    expect(walk(`${helpers}${forward('jump by-goto\nreject')}`).verdict).toBe('reject');
    expect(walk(`${helpers}${forward('goto empty\ndrop')}`).verdict).toBe('accept');
  });

  test('resets TCP only', () => {
    const chains = forward('reject with tcp reset\nmeta l4proto udp reject');
    expect(walk(chains).verdict).toBe('reset');
    expect(walk(chains, { protocol: 'udp' }).verdict).toBe('reject');
    expect(walk(chains, { protocol: 'sctp' }).verdict).toBe('accept');
  });

  test('passes the hooks of its way, in the order of their priorities', () => {
    const chains = [
      base('late', 'type filter hook prerouting priority filter', 'ct status dnat'),
      base('early', 'type filter hook prerouting priority dstnat - 10', 'ct state new'),
      ...['input', 'forward', 'output', 'postrouting'].map((hook) =>
        base(hook, `type filter hook ${hook} priority filter`, 'ct state new'),
      ),
    ].join('\n');
    const met = (overrides: Partial<Packet>) => walk(chains, overrides).steps.map((step) => step.chain);
    expect(met({})).toEqual(['early', 'late', 'forward', 'postrouting']);
    expect(met({ destination: here })).toEqual(['early', 'late', 'input']);
    expect(met({ from: 'node', source: here })).toEqual(['output', 'postrouting']);
    expect(met({ from: 'node', source: here, destination: here })).toEqual([
      'output',
      'postrouting',
      'early',
      'late',
      'input',
    ]);
  });

  test('goes where the map says, and looks at the new destination from there on', () => {
    const chains = [
      'map to {\ntypeof ip daddr . numgen random mod 2 : ip daddr . th dport\nelements = { 10.0.0.2 . 1 : 192.0.2.1 . 8080 }\n}',
      'set seen {\ntypeof ip daddr . th dport\nelements = { 192.0.2.1 . 8080 }\n}',
      base(
        'nat',
        'type nat hook prerouting priority dstnat',
        'dnat ip to ip daddr . numgen random mod 2 map @to\ndrop',
      ),
      base('input', 'type filter hook input priority filter', 'ip daddr . th dport @seen drop'),
    ].join('\n');
    const result = walk(chains);
    expect(result).toMatchObject({
      verdict: 'drop',
      destination: here,
      port: 8080,
      translated: true,
      masqueraded: false,
    });
    expect(result.steps).toEqual([
      expect.objectContaining({ hook: 'prerouting', chain: 'nat', index: 0, matched: true }),
      expect.objectContaining({ hook: 'input', chain: 'input', index: 0, matched: true }),
    ]);
  });

  test('masquerades by what the connection was first sent to', () => {
    const chains = [
      'map to {\ntypeof ip daddr : ip daddr . th dport\nelements = { 10.0.0.2 : 10.0.0.3 . 8080 }\n}',
      'set first {\ntypeof ip daddr . th dport\nelements = { 10.0.0.2 . 80 }\n}',
      'set pods {\ntypeof ip saddr\nflags interval\nelements = { 10.1.0.0/16 }\n}',
      base('nat', 'type nat hook prerouting priority dstnat', 'dnat ip to ip daddr map @to'),
      base(
        'masq',
        'type nat hook postrouting priority srcnat',
        'ct status dnat ip saddr != @pods ct original ip daddr . ct original proto-dst @first masquerade fully-random',
      ),
    ].join('\n');
    expect(walk(chains).masqueraded).toBe(true);
    expect(walk(chains, { source: parseIp('10.1.2.3') }).masqueraded).toBe(false);
    expect(walk(chains, { port: 81 })).toMatchObject({ translated: true, masqueraded: false });
    expect(walk(chains, { destination: parseIp('10.0.0.9') })).toMatchObject({ translated: false, masqueraded: false });
  });

  test('translates nothing that is not tracked, and no rule about its connection matches', () => {
    const chains = [
      'map to {\ntypeof ip daddr : ip daddr . th dport\nelements = { 10.0.0.2 : 10.0.0.3 . 8080 }\n}',
      'set ports {\ntypeof th dport\nelements = { 53 }\n}',
      base('raw', 'type filter hook prerouting priority raw', 'th sport @ports notrack'),
      base('nat', 'type nat hook prerouting priority dstnat', 'dnat ip to ip daddr map @to'),
      forward('ct status ! dnat drop\nct state new reject'),
    ].join('\n');
    expect(walk(chains, { sourcePort: 53 })).toMatchObject({ verdict: 'accept', translated: false, untracked: true });
    const tracked = walk(chains, { sourcePort: 54 });
    expect(tracked).toMatchObject({ verdict: 'reject', translated: true });
    expect(tracked).not.toHaveProperty('untracked');
  });

  test('tracks what is told too late not to be', () => {
    expect(walk(forward('notrack\nct state new drop')).verdict).toBe('drop');
    const late = base('late', 'type filter hook prerouting priority dstnat', 'notrack\nct state new drop');
    expect(walk(late).verdict).toBe('drop');
  });

  test('tells of a rule that it does not understand, and goes on', () => {
    const result = walk(forward('# payload, cmp, immediate\ndrop'));
    expect(result.verdict).toBe('drop');
    expect(result.steps[0]).toMatchObject({ rule: '# payload, cmp, immediate', matched: false });
  });
});
