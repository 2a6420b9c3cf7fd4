import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ClientMessage } from '../channels.ts';
import { openSpdyChannels } from './channels.ts';
import { type SpdyStream, serveSpdy } from './connection.ts';
import { headerDictionary } from './dictionary.ts';
import { controlFrame, dataFrame, type Frame, FrameReader, flagFin, frameType } from './frames.ts';
import { HeaderCompression, headerBlock, readHeaderBlock } from './headers.ts';

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const frames = fc.oneof(
  fc.record({ kind: fc.constant('data' as const), stream: fc.nat(0x7fffffff), flags: fc.nat(255), payload: bytes }),
  fc.record({ kind: fc.constant('control' as const), type: fc.nat(0xffff), flags: fc.nat(255), payload: bytes }),
);

function wire(frame: Frame): Buffer {
  if (frame.kind === 'data') return dataFrame(frame.stream, frame.payload, frame.flags);
  return controlFrame(frame.type, frame.payload, frame.flags);
}

describe('FrameReader', () => {
  test('FrameReader gives back all frames, however the bytes come in pieces', () => {
    fc.assert(
      fc.property(fc.array(frames, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 50 })), (list, cuts) => {
        const all = Buffer.concat(list.map(wire));
        const reader = new FrameReader(1000);
        const got: Frame[] = [];
        let at = 0;
        for (const cut of [...cuts, all.length]) {
          got.push(...reader.push(all.subarray(at, at + cut)));
          at += cut;
        }
        expect(got).toEqual(list);
      }),
    );
  });

  test('FrameReader refuses what is too large, or no SPDY/3', () => {
    expect(() => new FrameReader(10).push(dataFrame(1, Buffer.alloc(11)))).toThrow(RangeError);
    expect(() => new FrameReader(10).push(Buffer.from('\x80\x02\0\x01\0\0\0\0', 'latin1'))).toThrow('version 2');
  });
});

describe('HeaderCompression', () => {
  test('headerDictionary is the one of the protocol', () => {
    let [a, b] = [1, 0];
    for (const byte of headerDictionary) {
      a = (a + byte) % 65521;
      b = (b + a) % 65521;
    }
    // The number by which zlib names it in every first block of SPDY/3.
    expect(((b << 16) | a) >>> 0).toBe(0xe3c6a7c2);
  });

  test('HeaderCompression gives back every block in turn', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.dictionary(fc.string(), fc.string()), { maxLength: 4 }), async (blocks) => {
        const [one, other] = [new HeaderCompression(), new HeaderCompression()];
        for (const block of blocks) {
          const headers = new Map(Object.entries(block));
          const there = await one.compress(headerBlock(headers));
          expect(readHeaderBlock(await other.decompress(there))).toEqual(headers);
        }
        one.close();
        other.close();
      }),
      { numRuns: 30 },
    );
  });

  test('HeaderCompression refuses a block that grows without bound', async () => {
    const [one, other] = [new HeaderCompression(), new HeaderCompression()];
    const bomb = await one.compress(Buffer.alloc(60 << 10)).then(async (first) => {
      const second = await new HeaderCompression().compress(Buffer.alloc(1));
      expect(second.length).toBeGreaterThan(0);
      return first;
    });
    expect((await other.decompress(bomb)).length).toBe(60 << 10);
    await expect(other.decompress(Buffer.from('no zlib at all'))).rejects.toThrow();
  });

  test('readHeaderBlock refuses a text that is longer than its block', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 40 }), (array) => {
        try {
          readHeaderBlock(Buffer.from(array));
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
    );
  });
});

describe('serveSpdy', () => {
  test('serveSpdy opens a stream, passes data both ways and ends it, and answers a ping', async () => {
    const said: Buffer[] = [];
    const transport = new Duplex({
      read: () => {},
      write: (chunk: Buffer, _encoding, done) => {
        said.push(chunk);
        done();
      },
    });
    const client = new HeaderCompression();
    const headers = new Map([
      ['streamtype', 'data'],
      ['port', '80'],
    ]);
    const open = Buffer.alloc(10);
    open.writeUInt32BE(1);
    const syn = Buffer.concat([open, await client.compress(headerBlock(headers))]);
    const heard: string[] = [];
    const done = serveSpdy(transport, (stream: SpdyStream) => {
      heard.push(stream.headers.get('port') ?? '');
      stream.onData = async (data) => {
        heard.push(String(data));
        await stream.send(Buffer.from(`${data}!`));
      };
      stream.onEnd = () => stream.end();
    });
    transport.push(controlFrame(frameType.synStream, syn));
    transport.push(controlFrame(frameType.ping, Buffer.of(0, 0, 0, 1)));
    transport.push(dataFrame(1, Buffer.from('hello')));
    transport.push(dataFrame(1, Buffer.alloc(0), flagFin));
    transport.push(null);
    await done;
    // What is said is packed by other threads, in their own time.
    const answers = () => new FrameReader(1000).push(Buffer.concat(said));
    const echo = { kind: 'data', stream: 1, flags: 0, payload: Buffer.from('hello!') };
    await expect.poll(answers).toContainEqual(echo);
    expect(heard).toEqual(['80', 'hello']);
    expect(answers()[0]).toMatchObject({ kind: 'control', type: frameType.synReply });
    const pong = { kind: 'control', type: frameType.ping, flags: 0, payload: Buffer.of(0, 0, 0, 1) };
    expect(answers()).toContainEqual(pong);
  });

  test('serveSpdy keeps the order of what is sent, and its end after it, while the client is slow', async () => {
    const said: Buffer[] = [];
    const transport = new Duplex({
      writableHighWaterMark: 1,
      read: () => {},
      write: (chunk: Buffer, _encoding, done) => {
        said.push(chunk);
        setImmediate(done);
      },
    });
    const open = Buffer.alloc(10);
    open.writeUInt32BE(1);
    const syn = Buffer.concat([open, await new HeaderCompression().compress(headerBlock(new Map()))]);
    const pieces = ['a', 'b', 'c'].map((letter) => Buffer.alloc(100_000, letter));
    const done = serveSpdy(transport, (stream: SpdyStream) => {
      for (const piece of pieces) void stream.send(piece);
      stream.end();
    });
    transport.push(controlFrame(frameType.synStream, syn));
    const data = () =>
      new FrameReader(1 << 20).push(Buffer.concat(said)).flatMap((frame) => (frame.kind === 'data' ? [frame] : []));
    await expect.poll(() => data().at(-1)?.flags).toBe(flagFin);
    expect(Buffer.concat(data().map(({ payload }) => payload)).equals(Buffer.concat(pieces))).toBe(true);
    transport.push(null);
    await done;
  });
});

describe('openSpdyChannels', () => {
  test('openSpdyChannels loses nothing of what the client says before anyone listens', async () => {
    const transport = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
    const compression = new HeaderCompression();
    const names = ['error', 'stdin', 'resize'] as const;
    const opens: Buffer[] = [];
    for (const [i, name] of names.entries()) {
      const id = Buffer.alloc(10);
      id.writeUInt32BE(2 * i + 1);
      const block = await compression.compress(headerBlock(new Map([['streamtype', name]])));
      opens.push(controlFrame(frameType.synStream, Buffer.concat([id, block])));
    }
    const opened = openSpdyChannels(transport, names);
    const said = [dataFrame(5, Buffer.from('{"Width":131,"Height":41}\n')), dataFrame(3, Buffer.from('typed'))];
    // All in one piece, as they come when the machine is busy.
    transport.push(Buffer.concat([...opens, ...said]));
    const channels = await opened;
    await new Promise((resolve) => setImmediate(resolve));
    const heard: ClientMessage[] = [];
    channels?.listen((message) => heard.push(message));
    await expect.poll(() => heard.length).toBe(2);
    expect(heard).toContainEqual({ type: 'resize', columns: 131, rows: 41 });
    expect(heard).toContainEqual({ type: 'stdin', data: Buffer.from('typed') });
    transport.push(null);
    await channels?.closed;
  });
});
