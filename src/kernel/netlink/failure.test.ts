import { describe, expect, test } from 'vitest';
import { encodePayload, littleEndian, text, u32 } from './attributes.ts';
import { parseFailure, TransactionError } from './failure.ts';
import { NLMSG_DONE, NLMSG_ERROR } from './message.ts';

const capped = 0x100;
const withDetail = 0x200;

/** `nlmsgerr`: the error, then the quoted request header of the length given. */
function errorHead(error: number, quotedLength: number, quoted = 16): Uint8Array {
  const head = new Uint8Array(4 + quoted);
  const view = new DataView(head.buffer);
  view.setInt32(0, error, littleEndian);
  if (quoted >= 16) view.setUint32(4, quotedLength, littleEndian);
  return head;
}

describe('parseFailure', () => {
  test('is undefined for an acknowledgement', () => {
    expect(parseFailure(errorHead(0, 16), { type: NLMSG_ERROR, flags: capped })).toBeUndefined();
  });

  test('gives the error number without detail', () => {
    const failure = parseFailure(errorHead(-17, 40), { type: NLMSG_ERROR, flags: capped });
    expect(failure).toEqual({ errno: 17, detail: undefined });
  });

  test('reads text, offset and missing attribute behind a capped request', () => {
    const payload = encodePayload(errorHead(-22, 400), [text(1, 'no such thing'), u32(2, 36), u32(5, 3)]);
    expect(parseFailure(payload, { type: NLMSG_ERROR, flags: capped | withDetail })).toEqual({
      errno: 22,
      detail: 'no such thing, at byte 36 of the message, attribute 3 is missing',
    });
  });

  test('reads the text behind a request quoted whole', () => {
    const payload = encodePayload(errorHead(-22, 30, 32), [text(1, 'why')]);
    expect(parseFailure(payload, { type: NLMSG_ERROR, flags: withDetail })?.detail).toBe('why');
  });

  test('reads the error a dump ends with', () => {
    const payload = encodePayload(errorHead(-2, 0, 0), [text(1, 'no table')]);
    expect(parseFailure(payload, { type: NLMSG_DONE, flags: withDetail })).toEqual({ errno: 2, detail: 'no table' });
  });
});

describe('TransactionError', () => {
  const failures = Array.from({ length: 7 }, (_, index) => ({
    index,
    errno: index === 0 ? 17 : 2,
    detail: index === 1 ? 'gone' : undefined,
    operation: index === 2 ? 'delete rule' : undefined,
  }));

  test('stands for the first failure and lists some', () => {
    const error = new TransactionError(failures, { count: 9, overrun: false });
    expect(error.code).toBe('EEXIST');
    expect(error.message).toBe(
      'transaction of 9 messages: EEXIST (message 0: EEXIST; message 1: ENOENT, gone; message 2, delete rule: ENOENT; ' +
        'message 3: ENOENT; message 4: ENOENT; and more)',
    );
    expect(error.failures).toHaveLength(7);
  });

  test('says so when refusals were lost', () => {
    const error = new TransactionError([], { count: 9, overrun: true });
    expect(error.code).toBe('ENOBUFS');
    expect(error.overrun).toBe(true);
  });
});
