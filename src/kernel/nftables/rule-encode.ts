import { shownComment } from '../../rules/nftables/print.ts';
import type { Key, Rule, Selector, Statement, TableFamily } from '../../rules/nftables/syntax.ts';
import {
  type Attribute,
  align,
  be32,
  be64,
  bytes,
  littleEndian,
  nested,
  nestedList,
  text,
  u8,
} from '../netlink/attributes.ts';
import * as nf from './constants.ts';
import { familyNumber, fieldType, maskBytes, protocolNumber } from './fields.ts';
import { commentUserdata, ruleComment } from './userdata.ts';

/** A rule as the kernel's expressions, in the order and with the registers that nft itself would use. */
export function encodeRule(rule: Rule, family: TableFamily): Attribute[] {
  const expressions = rule.statements.flatMap((statement) => encodeStatement(statement, family));
  const attributes = [nestedList(nf.NFTA_RULE_EXPRESSIONS, expressions)];
  const comment = shownComment(rule);
  if (comment !== undefined) {
    attributes.push(bytes(nf.NFTA_RULE_USERDATA, commentUserdata(ruleComment, comment)));
  }
  return attributes;
}

/** A statement as the kernel's expressions. */
export function encodeStatement(statement: Statement, family: TableFamily): Attribute[] {
  switch (statement.kind) {
    case 'lookup':
      return [...loadKey(statement.key), lookup(statement.set, statement.negated === true ? 'absent' : 'present')];
    case 'meta l4proto':
      return [load('meta l4proto', 0), equals(Uint8Array.of(protocolNumber(statement.protocol)))];
    case 'iifname':
      return [meta(nf.NFT_META_IIFNAME, register(0)), compare(operator(statement), deviceName(statement))];
    case 'from node':
      return [meta(nf.NFT_META_IIF, register(0)), compare(operator(statement), hostOrder(0))];
    case 'ct state':
      return connectionBit(nf.NFT_CT_STATE, nf.CT_STATE_NEW);
    case 'ct status':
      return connectionBit(nf.NFT_CT_STATUS, nf.IPS_DST_NAT, statement.negated);
    case 'jump':
      return [verdict(nf.NFT_JUMP, statement.chain)];
    case 'goto':
      return [verdict(nf.NFT_GOTO, statement.chain)];
    case 'drop':
      return [verdict(nf.NF_DROP)];
    case 'notrack':
      return [expression('notrack')];
    case 'reject':
      return statement.with === undefined ? [rejectWithIcmp(family)] : rejectWithReset();
    case 'masquerade':
      return [expression('masq', be32(nf.NFTA_MASQ_FLAGS, nf.NF_NAT_RANGE_PROTO_RANDOM_FULLY))];
    case 'dnat':
      return [...loadKey(statement.key), lookup(statement.map, 'value'), dnat(family, 0)];
    case 'dnat remembered':
      return dnatRemembered(statement);
    case 'remember':
    case 'forget':
      return changeMemory(statement);
    case 'foreign':
      throw new TypeError('nftables: a rule that was not understood cannot be written');
  }
}

function expression(name: string, ...attributes: readonly Attribute[]): Attribute {
  return nested(nf.NFTA_LIST_ELEM, text(nf.NFTA_EXPR_NAME, name), nestedList(nf.NFTA_EXPR_DATA, attributes));
}

/** The register that is `words` times 4 bytes behind the first; the old 16-byte name where there is one, as nft does. */
function register(words: number): number {
  return words % 4 === 0 ? nf.NFT_REG_1 + words / 4 : nf.NFT_REG32_00 + words;
}

function loadKey(key: Key, from = 0): Attribute[] {
  let words = from;
  return key.flatMap((selector) => {
    const loaded = load(selector, words);
    const mask = maskBytes(selector);
    const masked = mask === undefined ? [] : [maskRegister(words, mask)];
    words += align(fieldType(selector).bytes) / 4;
    return [loaded, ...masked];
  });
}

function load(selector: Selector, words: number): Attribute {
  const into = register(words);
  switch (selector) {
    case 'ip saddr':
      return payload(into, nf.NFT_PAYLOAD_NETWORK_HEADER, [12, 4]);
    case 'ip daddr':
      return payload(into, nf.NFT_PAYLOAD_NETWORK_HEADER, [16, 4]);
    case 'ip6 saddr':
      return payload(into, nf.NFT_PAYLOAD_NETWORK_HEADER, [8, 16]);
    case 'ip6 daddr':
      return payload(into, nf.NFT_PAYLOAD_NETWORK_HEADER, [24, 16]);
    case 'th dport':
      return payload(into, nf.NFT_PAYLOAD_TRANSPORT_HEADER, [2, 2]);
    case 'th sport':
      return payload(into, nf.NFT_PAYLOAD_TRANSPORT_HEADER, [0, 2]);
    case 'meta l4proto':
      return meta(nf.NFT_META_L4PROTO, into);
    case 'ct original ip daddr':
      return connection(into, nf.NFT_CT_DST_IP, nf.IP_CT_DIR_ORIGINAL);
    case 'ct original ip6 daddr':
      return connection(into, nf.NFT_CT_DST_IP6, nf.IP_CT_DIR_ORIGINAL);
    case 'ct original proto-dst':
      return connection(into, nf.NFT_CT_PROTO_DST, nf.IP_CT_DIR_ORIGINAL);
    default:
      if (selector.startsWith('ip6 saddr &')) return load('ip6 saddr', words);
      if (selector.startsWith('ip saddr &')) return load('ip saddr', words);
      return randomNumber(into, Number(selector.slice(selector.lastIndexOf(' ') + 1)));
  }
}

function payload(into: number, base: number, [offset, length]: readonly [number, number]): Attribute {
  return expression(
    'payload',
    be32(nf.NFTA_PAYLOAD_DREG, into),
    be32(nf.NFTA_PAYLOAD_BASE, base),
    be32(nf.NFTA_PAYLOAD_OFFSET, offset),
    be32(nf.NFTA_PAYLOAD_LEN, length),
  );
}

function meta(key: number, into: number): Attribute {
  return expression('meta', be32(nf.NFTA_META_KEY, key), be32(nf.NFTA_META_DREG, into));
}

/** Of the connection, in one of its directions. */
function connection(into: number, key: number, direction: number): Attribute {
  return expression('ct', be32(nf.NFTA_CT_KEY, key), be32(nf.NFTA_CT_DREG, into), u8(nf.NFTA_CT_DIRECTION, direction));
}

function deviceName({ name, prefix }: { readonly name: string; readonly prefix?: true }): Uint8Array {
  const text = new TextEncoder().encode(name);
  if (prefix === true) return text;
  const padded = new Uint8Array(nf.IFNAMSIZ);
  padded.set(text);
  return padded;
}

function randomNumber(into: number, modulus: number): Attribute {
  return expression(
    'numgen',
    be32(nf.NFTA_NG_DREG, into),
    be32(nf.NFTA_NG_MODULUS, modulus),
    be32(nf.NFTA_NG_TYPE, nf.NFT_NG_RANDOM),
  );
}

/** What is in the register from one place on is looked up, and the data written from another on. */
function lookupInto(set: string, from: number, into: number): Attribute {
  const registers = [be32(nf.NFTA_LOOKUP_SREG, register(from)), be32(nf.NFTA_LOOKUP_DREG, register(into))];
  return expression('lookup', text(nf.NFTA_LOOKUP_SET, set), ...registers);
}

function lookup(set: string, wanted: 'present' | 'absent' | 'value'): Attribute {
  const attributes = [text(nf.NFTA_LOOKUP_SET, set), be32(nf.NFTA_LOOKUP_SREG, register(0))];
  if (wanted === 'absent') attributes.push(be32(nf.NFTA_LOOKUP_FLAGS, nf.NFT_LOOKUP_F_INV));
  if (wanted === 'value') attributes.push(be32(nf.NFTA_LOOKUP_DREG, register(0)));
  return expression('lookup', ...attributes);
}

function operator({ negated }: { readonly negated?: true }): number {
  return negated === true ? nf.NFT_CMP_NEQ : nf.NFT_CMP_EQ;
}

function equals(value: Uint8Array): Attribute {
  return compare(nf.NFT_CMP_EQ, value);
}

function compare(operator: number, value: Uint8Array): Attribute {
  return expression(
    'cmp',
    be32(nf.NFTA_CMP_SREG, register(0)),
    be32(nf.NFTA_CMP_OP, operator),
    nested(nf.NFTA_CMP_DATA, bytes(nf.NFTA_DATA_VALUE, value)),
  );
}

function hostOrder(value: number): Uint8Array {
  const result = new Uint8Array(4);
  new DataView(result.buffer).setUint32(0, value, littleEndian);
  return result;
}

function connectionBit(key: number, bit: number, negated = false): Attribute[] {
  return [
    expression('ct', be32(nf.NFTA_CT_KEY, key), be32(nf.NFTA_CT_DREG, register(0))),
    maskRegister(0, hostOrder(bit)),
    compare(negated ? nf.NFT_CMP_EQ : nf.NFT_CMP_NEQ, hostOrder(0)),
  ];
}

function maskRegister(words: number, mask: Uint8Array): Attribute {
  return expression(
    'bitwise',
    be32(nf.NFTA_BITWISE_SREG, register(words)),
    be32(nf.NFTA_BITWISE_DREG, register(words)),
    be32(nf.NFTA_BITWISE_LEN, mask.length),
    nested(nf.NFTA_BITWISE_MASK, bytes(nf.NFTA_DATA_VALUE, mask)),
    nested(nf.NFTA_BITWISE_XOR, bytes(nf.NFTA_DATA_VALUE, new Uint8Array(mask.length))),
  );
}

function verdict(code: number, chain?: string): Attribute {
  const attributes = [be32(nf.NFTA_VERDICT_CODE, code)];
  if (chain !== undefined) attributes.push(text(nf.NFTA_VERDICT_CHAIN, chain));
  return expression(
    'immediate',
    be32(nf.NFTA_IMMEDIATE_DREG, nf.NFT_REG_VERDICT),
    nested(nf.NFTA_IMMEDIATE_DATA, nestedList(nf.NFTA_DATA_VERDICT, attributes)),
  );
}

function rejectWithIcmp(family: TableFamily): Attribute {
  const code = family === 'ip' ? nf.ICMP_PORT_UNREACH : nf.ICMPV6_PORT_UNREACH;
  return expression(
    'reject',
    be32(nf.NFTA_REJECT_TYPE, nf.NFT_REJECT_ICMP_UNREACH),
    u8(nf.NFTA_REJECT_ICMP_CODE, code),
  );
}

/** The kernel would drop what is not TCP, in silence; so only TCP gets there. */
function rejectWithReset(): Attribute[] {
  return [
    load('meta l4proto', 0),
    equals(Uint8Array.of(protocolNumber('tcp'))),
    expression('reject', be32(nf.NFTA_REJECT_TYPE, nf.NFT_REJECT_TCP_RST), u8(nf.NFTA_REJECT_ICMP_CODE, 0)),
  ];
}

/** Address from the first register on, port behind it. */
function dnat(family: TableFamily, addressWords: number): Attribute {
  const portWords = addressWords + wordsOfAddress[family];
  return expression(
    'nat',
    be32(nf.NFTA_NAT_TYPE, nf.NFT_NAT_DNAT),
    be32(nf.NFTA_NAT_FAMILY, familyNumber({ family })),
    be32(nf.NFTA_NAT_REG_ADDR_MIN, register(addressWords)),
    be32(nf.NFTA_NAT_REG_PROTO_MIN, register(portWords)),
  );
}

const wordsOfAddress: { readonly [F in TableFamily]: number } = { ip: 1, ip6: 4 };

/*
 * Statements with memory. They use the result of one look-up as key of the next, which nft 1.0.6 cannot list: it ends
 * with a failed assertion, because what it believes to be in a register then has no length. But it does not notice
 * when a look-up writes over registers behind the first one it writes to. So results begin with the protocol, which is
 * loaded again when it is needed, and nft goes on to show what was in the others before.
 *
 * A key is at 0: protocol . address . port . client; the result behind it: protocol . address . port.
 */

type Remembered = Extract<Statement, { kind: 'dnat remembered' }>;
type MemoryChange = Extract<Statement, { kind: 'remember' | 'forget' }>;

/** Protocol, address, port: replaced by what the client is remembered under; then the client. */
function loadMemoryKey(
  { family, services }: Remembered | MemoryChange,
  [address, port]: readonly [Selector, Selector],
) {
  const client = `${family} saddr` as const;
  return [
    ...loadKey(['meta l4proto', address, port]),
    lookupInto(services, 0, 0),
    load('meta l4proto', 0),
    load(client, 2 + wordsOfAddress[family]),
  ];
}

function dnatRemembered(statement: Remembered): Attribute[] {
  const { family, memory, endpoints } = statement;
  const words = wordsOfAddress[family];
  const result = 2 + 2 * words;
  const frontend = [`ct original ${family} daddr`, 'ct original proto-dst'] as const;
  return [
    ...loadMemoryKey(statement, [`${family} daddr`, 'th dport']),
    connection(register(result + 1), family === 'ip' ? nf.NFT_CT_SRC_IP : nf.NFT_CT_SRC_IP6, nf.IP_CT_DIR_REPLY),
    connection(register(result + 1 + words), nf.NFT_CT_PROTO_SRC, nf.IP_CT_DIR_REPLY),
    lookupInto(memory, 0, result),
    // Just in front of the endpoint's address and port, so that all are one key.
    ...loadKey(['meta l4proto', ...frontend], result - 1 - words),
    expression('lookup', text(nf.NFTA_LOOKUP_SET, endpoints), be32(nf.NFTA_LOOKUP_SREG, register(result - 1 - words))),
    dnat(family, result + 1),
  ];
}

function changeMemory(statement: MemoryChange): Attribute[] {
  const { family, memory, kind } = statement;
  const data = 2 + 2 * wordsOfAddress[family];
  const operation = kind === 'forget' ? nf.NFT_DYNSET_OP_DELETE : nf.NFT_DYNSET_OP_UPDATE;
  const attributes = [
    text(nf.NFTA_DYNSET_SET_NAME, memory),
    be32(nf.NFTA_DYNSET_OP, operation),
    be32(nf.NFTA_DYNSET_SREG_KEY, register(0)),
    be32(nf.NFTA_DYNSET_SREG_DATA, register(data)),
  ];
  if (statement.kind === 'remember') attributes.push(be64(nf.NFTA_DYNSET_TIMEOUT, BigInt(statement.seconds) * 1000n));
  return [
    ...loadMemoryKey(
      statement,
      kind === 'forget' ? [`${family} daddr`, 'th dport'] : [`ct original ${family} daddr`, 'ct original proto-dst'],
    ),
    ...loadKey(['meta l4proto', `${family} daddr`, 'th dport'], data),
    expression('dynset', ...attributes),
  ];
}
