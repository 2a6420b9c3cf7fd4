import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { channel, channelMessage, exitStatus, messagesOf, readClientMessage } from './channels.ts';

describe('readClientMessage', () => {
  test('readClientMessage gives back input of any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (data) => {
        const said = { type: 'stdin', data: Buffer.from(data) };
        expect(readClientMessage(channelMessage(channel.stdin, data))).toEqual(said);
      }),
    );
  });

  test.each(['v4.channel.k8s.io', 'v4.base64.channel.k8s.io'])('messagesOf %s reads what it writes', (protocol) => {
    const [write, read] = messagesOf(protocol);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 63 }), fc.uint8Array(), (number, data) => {
        expect(read(Buffer.from(write(number, data)))).toEqual(channelMessage(number, data));
      }),
    );
  });

  test('readClientMessage takes sizes of terminals that can be, and no others', () => {
    const resize = (text: string) => readClientMessage(channelMessage(channel.resize, Buffer.from(text)));
    expect(resize('{"Width":132,"Height":43}')).toEqual({ type: 'resize', columns: 132, rows: 43 });
    for (const text of [
      '',
      '{}',
      'null',
      '{"Width":0,"Height":1}',
      '{"Width":1.5,"Height":1}',
      '{"Width":"8","Height":1}',
    ]) {
      expect(resize(text)).toBeUndefined();
    }
  });

  test('readClientMessage knows the end of the input, and ignores what means nothing', () => {
    expect(readClientMessage(Buffer.of(255, 0))).toEqual({ type: 'stdinEnd' });
    for (const bytes of [[], [255], [255, 1], [1, 65], [77]])
      expect(readClientMessage(Buffer.from(bytes))).toBeUndefined();
  });
});

test('exitStatus tells the exit code as kubectl reads it', () => {
  expect(exitStatus(0)).toMatchObject({ status: 'Success' });
  expect(exitStatus(3)).toMatchObject({
    status: 'Failure',
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: '3' }] },
  });
});
