import { errnoName, KernelError } from '../ffi.ts';
import { littleEndian, parseAttributes } from './attributes.ts';
import { messageHeaderLength } from './message.ts';
import { readText, readU32 } from './readers.ts';

/** What the kernel says in an error reply. */
export interface KernelRefusal {
  readonly errno: number;
  /** Its extended acknowledgement as a phrase, where it gave one. */
  readonly detail: string | undefined;
}

/** One message of a transaction that the kernel refused. */
export interface NetlinkFailure extends KernelRefusal {
  /** Position in the transaction, from 0. */
  readonly index: number;
  readonly operation: string | undefined;
}

/** How many refusals a message lists; all are in `failures`. */
const namedFailures = 5;

/** A transaction with refused messages. As a `KernelError` it stands for the first of them. */
export class TransactionError extends KernelError {
  /** In the kernel's order, which for one batch is ascending. */
  readonly failures: readonly NetlinkFailure[];
  /** Whether there were more refusals than the socket could hold. */
  readonly overrun: boolean;

  constructor(failures: readonly NetlinkFailure[], { count, overrun }: { count: number; overrun: boolean }) {
    const named = failures.slice(0, namedFailures).map(describe);
    if (overrun || failures.length > named.length) named.push('and more');
    super(`transaction of ${count} messages`, failures[0]?.errno ?? ENOBUFS, named.join('; '));
    this.name = 'TransactionError';
    this.failures = failures;
    this.overrun = overrun;
  }
}
const ENOBUFS = 105;

function describe({ index, operation, errno, detail }: NetlinkFailure): string {
  const what = operation === undefined ? `message ${index}` : `message ${index}, ${operation}`;
  return `${what}: ${errnoName(errno)}${detail === undefined ? '' : `, ${detail}`}`;
}

// include/uapi/linux/netlink.h
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_OFFS = 2;
const NLMSGERR_ATTR_MISS_TYPE = 5;

/**
 * Reads the payload of `NLMSG_ERROR` or `NLMSG_DONE`; `undefined` when it is an acknowledgement.
 */
export function parseFailure(
  payload: Uint8Array,
  { flags, type }: { readonly flags: number; readonly type: number },
): KernelRefusal | undefined {
  if (payload.length < 4) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const error = view.getInt32(0, littleEndian);
  if (error >= 0) return undefined;
  return { errno: -error, detail: (flags & NLM_F_ACK_TLVS) === 0 ? undefined : detailOf(payload, { flags, type }) };
}

/** The extended acknowledgement stands behind the request's header, or behind the whole request when not capped. */
function detailOf(payload: Uint8Array, head: { readonly flags: number; readonly type: number }): string | undefined {
  const attributes = parseAttributes(payload, 4 + quotedLength(payload, head));
  const offset = readU32(attributes.get(NLMSGERR_ATTR_OFFS));
  const missing = readU32(attributes.get(NLMSGERR_ATTR_MISS_TYPE));
  const parts = [
    readText(attributes.get(NLMSGERR_ATTR_MSG)),
    offset === undefined ? undefined : `at byte ${offset} of the message`,
    missing === undefined ? undefined : `attribute ${missing} is missing`,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? undefined : parts.join(', ');
}

const NLMSG_DONE = 3;

function quotedLength(payload: Uint8Array, { flags, type }: { readonly flags: number; readonly type: number }): number {
  if (type === NLMSG_DONE) return 0;
  if ((flags & NLM_F_CAPPED) !== 0 || payload.length < 8) return messageHeaderLength;
  const length = new DataView(payload.buffer, payload.byteOffset).getUint32(4, littleEndian);
  return (length + 3) & ~3;
}
