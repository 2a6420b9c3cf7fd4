import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseIp } from '../net/ip.ts';
import { type BindRequest, parseBindAnswer, parseBindRequest } from './channel.ts';

describe('parseBindRequest', () => {
  it('reads what a publisher asks for', () => {
    const ip = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255)).map((rest) => parseIp(`127.${rest.join('.')}`));
    const socket = fc.record({
      id: fc.nat(),
      protocol: fc.constantFrom<'TCP' | 'UDP'>('TCP', 'UDP'),
      ip,
      port: fc.nat(65_535),
    });
    const request = fc.oneof(fc.record({ id: fc.nat(), hello: fc.constant<true>(true) }), socket);
    fc.assert(
      fc.property(request, (asked: BindRequest) => {
        expect(parseBindRequest(JSON.stringify(asked))).toEqual(asked);
      }),
    );
  });

  it.each([
    '{"id":1,"protocol":"TCP","ip":"0.0.0.0","port":80}',
    '{"id":1,"protocol":"TCP","ip":"192.0.2.1","port":80}',
    '{"id":1,"protocol":"TCP","ip":"::1","port":80}',
    '{"id":1,"protocol":"TCP","ip":"127.0.0.1","port":65536}',
    '{"id":1,"protocol":"TCP","ip":"127.0.0.1","port":1.5}',
    '{"id":1,"protocol":"SCTP","ip":"127.0.0.1","port":80}',
    '{"protocol":"TCP","ip":"127.0.0.1","port":80}',
    '{"id":1,"hello":1}',
    'null',
    '[',
  ])('refuses %s: what it does not name is beyond loopback, or no request', (text) => {
    expect(parseBindRequest(text)).toBeUndefined();
  });
});

describe('parseBindAnswer', () => {
  it('reads whether it went well', () => {
    expect(parseBindAnswer('{"id":7}')).toEqual({ id: 7 });
    expect(parseBindAnswer('{"id":7,"errno":98}')).toEqual({ id: 7, errno: 98 });
    expect(parseBindAnswer('{}')).toBeUndefined();
    expect(parseBindAnswer('yes')).toBeUndefined();
  });
});
