/**
 * What it costs to look a table of connections over for those that lead to an endpoint that is gone, and to delete
 * them: one pass, whatever their number.
 *
 *     npm run bench conntrack [entries…]
 *
 * All entries are UDP. "none": they are another Service's; "all": they are the Service's that is looked over, and a
 * hundredth of them is stale. It fills the table of the network namespace it
 * runs in, which must be one of its own.
 */
import { type Conntrack, openConntrack } from '../src/kernel/conntrack.ts';
import { be16, be32, bytes, encodePayload, nested, u8 } from '../src/kernel/netlink/attributes.ts';
import { NLM_F_CREATE, NLM_F_EXCL } from '../src/kernel/netlink/message.ts';
import { openNetlink } from '../src/kernel/netlink/socket.ts';
import { ipToBytes, parseIp } from '../src/net/ip.ts';
import { formatTable, timed } from './shared/figures.ts';

// include/uapi/linux/netfilter/nfnetlink_conntrack.h
const IPCTNL_MSG_CT_NEW = 1 << 8;
const [CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_STATUS, CTA_TIMEOUT] = [1, 2, 3, 7];
const [CTA_TUPLE_IP, CTA_TUPLE_PROTO, CTA_IP_V4_SRC, CTA_IP_V4_DST] = [1, 2, 1, 2];
const [CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT] = [1, 2, 3];
const IPS_CONFIRMED = 1 << 3;
const UDP = 17;
const batch = 1000;

const service = '10.96.0.10';
const gone = '10.244.1.2';

interface Side {
  readonly ip: string;
  readonly port: number;
}

function tuple(type: number, from: Side, to: Side) {
  return nested(
    type,
    nested(
      CTA_TUPLE_IP,
      bytes(CTA_IP_V4_SRC, ipToBytes(parseIp(from.ip))),
      bytes(CTA_IP_V4_DST, ipToBytes(parseIp(to.ip))),
    ),
    nested(
      CTA_TUPLE_PROTO,
      u8(CTA_PROTO_NUM, UDP),
      be16(CTA_PROTO_SRC_PORT, from.port),
      be16(CTA_PROTO_DST_PORT, to.port),
    ),
  );
}

/** Flows of many clients to the Service, each hundredth of them to the endpoint that is gone. */
function fill(entries: number): void {
  const socket = openNetlink('netfilter');
  const request = (i: number) => {
    const client = { ip: `10.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`, port: 40_000 };
    const endpoint = { ip: i % 100 === 0 ? gone : '10.244.2.2', port: 5353 };
    return {
      type: IPCTNL_MSG_CT_NEW,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      operation: 'add a connection',
      payload: encodePayload(Uint8Array.of(2, 0, 0, 0), [
        tuple(CTA_TUPLE_ORIG, client, { ip: service, port: 53 }),
        tuple(CTA_TUPLE_REPLY, endpoint, client),
        be32(CTA_STATUS, IPS_CONFIRMED),
        be32(CTA_TIMEOUT, 3_600),
      ]),
    };
  };
  for (let from = 0; from < entries; from += batch) {
    socket.transact(Array.from({ length: Math.min(batch, entries - from) }, (_, i) => request(from + i)));
  }
  socket.close();
}

function measure(conntrack: Conntrack, entries: number) {
  conntrack.delete(() => true);
  fill(entries);
  const isStale: Parameters<Conntrack['delete']>[0] = ({ reply }) => reply.source === gone;
  const of = (text: string) => ({ protocol: 'UDP' as const, destinations: [{ ip: parseIp(text), port: 53 }] });
  const [nothing] = timed(() => conntrack.delete(isStale, of('10.96.0.11')));
  const [look] = timed(() => conntrack.delete(() => false, of(service)));
  const [remove, stale] = timed(() => conntrack.delete(isStale, of(service)));
  return {
    entries,
    'none of the Service ms': nothing,
    'all of the Service ms': look,
    stale,
    'with deletion ms': remove,
  };
}

const sizes = process.argv
  .slice(2)
  .filter((arg) => /^\d+$/.test(arg))
  .map(Number);
const conntrack = openConntrack();
process.stdout.write(
  formatTable((sizes.length > 0 ? sizes : [1_000, 10_000, 100_000]).map((size) => measure(conntrack, size))),
);
conntrack.close();
