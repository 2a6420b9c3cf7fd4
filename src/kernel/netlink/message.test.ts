import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { align, encodePayload, littleEndian, u32 } from './attributes.ts';
import { MessageBatch, NLM_F_REQUEST } from './message.ts';

const hex = (data: Uint8Array) => Buffer.from(data).toString('hex');
const requests = fc.array(
  fc.record({ type: fc.nat(0xffff), flags: fc.nat(0xffff), payload: fc.uint8Array({ maxLength: 300 }) }),
  { maxLength: 20 },
);

/** The layout of include/uapi/linux/netlink.h, written down a second time. */
function expectedMessage(request: { type: number; flags: number; payload: Uint8Array }, sequence: number): Uint8Array {
  const message = new Uint8Array(align(16 + request.payload.length));
  const view = new DataView(message.buffer);
  view.setUint32(0, 16 + request.payload.length, littleEndian);
  view.setUint16(4, request.type, littleEndian);
  view.setUint16(6, request.flags | NLM_F_REQUEST, littleEndian);
  view.setUint32(8, sequence, littleEndian);
  message.set(request.payload, 16);
  return message;
}

describe('MessageBatch', () => {
  test('lays messages one behind the other, however often it grows', () => {
    fc.assert(
      fc.property(requests, fc.integer({ min: 0, max: 64 }), (all, capacity) => {
        const batch = new MessageBatch(capacity);
        for (const request of all) batch.add(request);
        batch.numberFrom(7);
        const expected = Buffer.concat(all.map((request, i) => expectedMessage(request, 7 + i)));
        expect(hex(batch.bytes)).toBe(hex(expected));
        expect(batch.byteLength).toBe(expected.length);
        expect(batch.count).toBe(all.length);
      }),
    );
  });

  test('addMessage writes what add writes for the encoded payload', () => {
    const header = Uint8Array.of(1, 2, 3);
    const attributes = [u32(1, 2), u32(3, 4)];
    const [direct, encoded] = [new MessageBatch(8), new MessageBatch(8)];
    direct.addMessage({ type: 5, flags: 6, header }, attributes);
    encoded.add({ type: 5, flags: 6, payload: encodePayload(header, attributes) });
    expect(hex(direct.bytes)).toBe(hex(encoded.bytes));
  });

  test('numberFrom wraps at 32 bits', () => {
    const batch = new MessageBatch();
    for (let i = 0; i < 2; i++) batch.add({ type: 1, flags: 0, payload: new Uint8Array(0) });
    batch.numberFrom(0xffffffff);
    const view = new DataView(batch.bytes.buffer, batch.bytes.byteOffset);
    expect([view.getUint32(8, littleEndian), view.getUint32(24, littleEndian)]).toEqual([0xffffffff, 0]);
  });

  test('operation tells what each message was for', () => {
    const batch = new MessageBatch();
    batch.add({ type: 1, flags: 0, payload: new Uint8Array(0) });
    batch.add({ type: 1, flags: 0, payload: new Uint8Array(0), operation: 'add table' });
    expect([batch.operation(0), batch.operation(1)]).toEqual([undefined, 'add table']);
  });
});
