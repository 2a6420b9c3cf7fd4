import { encodePayload, parseAttributes, text } from './attributes.ts';
import { readU16 } from './readers.ts';
import type { NetlinkSocket } from './socket.ts';

// include/uapi/linux/genetlink.h
const GENL_ID_CTRL = 0x10;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
const ctrlVersion = 1;

/** Bytes of `genlmsghdr`. */
export const genericHeaderLength = 4;

/** `struct genlmsghdr`: which command of a family. */
export function genericHeader(command: number, version: number): Uint8Array {
  return Uint8Array.of(command, version, 0, 0);
}

/**
 * The message type of a family of generic netlink, which the kernel gives out as families register. Asking may make it
 * load the module that has the family.
 * @throws KernelError `ENOENT` when the kernel has no such family
 */
export function resolveFamily(socket: NetlinkSocket, name: string): number {
  const [reply] = socket.request({
    type: GENL_ID_CTRL,
    flags: 0,
    payload: encodePayload(genericHeader(CTRL_CMD_GETFAMILY, ctrlVersion), [text(CTRL_ATTR_FAMILY_NAME, name)]),
    operation: `find the netlink family ${name}`,
  });
  const id = readU16(
    parseAttributes(reply?.payload ?? new Uint8Array(0), genericHeaderLength).get(CTRL_ATTR_FAMILY_ID),
  );
  if (id === undefined) throw new Error(`netlink family ${name}: the kernel gave no number`);
  return id;
}
