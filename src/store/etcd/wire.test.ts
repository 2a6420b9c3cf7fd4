import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MessageWriter, readMessage } from './wire.ts';

test('readMessage reads what MessageWriter wrote', () => {
  const field = fc.integer({ min: 1, max: 2 ** 20 });
  const integer = fc.record({ field, integer: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }) });
  const bytes = fc.record({ field, bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }) });
  fc.assert(
    fc.property(fc.array(fc.oneof(integer, bytes)), (fields) => {
      const writer = new MessageWriter();
      for (const each of fields)
        if ('bytes' in each) writer.bytes(each.field, each.bytes);
        else writer.integer(each.field, each.integer);
      const read = [...readMessage(writer.finish())];
      expect(read).toEqual(
        fields.map((each) => ('bytes' in each ? { ...each, bytes: Buffer.from(each.bytes) } : each)),
      );
    }),
  );
});

test('readMessage ends on any bytes, at worst with a RangeError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        expect([...readMessage(Buffer.from(bytes))].length).toBeLessThanOrEqual(bytes.length);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }),
  );
});
