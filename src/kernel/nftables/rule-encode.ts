import type { Key, Rule, Selector, Statement, TableFamily } from '../../rules/nftables/syntax.ts';
import {
  type Attribute,
  align,
  be32,
  bytes,
  littleEndian,
  nested,
  nestedList,
  text,
  u8,
} from '../netlink/attributes.ts';
import * as nf from './constants.ts';
import { familyNumber, fieldType, protocolNumber } from './fields.ts';
import { commentUserdata, ruleComment } from './userdata.ts';

/** A rule as the kernel's expressions, in the order and with the registers that nft itself would use. */
export function encodeRule(rule: Rule, family: TableFamily): Attribute[] {
  const expressions = rule.statements.flatMap((statement) => encodeStatement(statement, family));
  const attributes = [nestedList(nf.NFTA_RULE_EXPRESSIONS, expressions)];
  if (rule.comment !== undefined) {
    attributes.push(bytes(nf.NFTA_RULE_USERDATA, commentUserdata(ruleComment, rule.comment)));
  }
  return attributes;
}

function encodeStatement(statement: Statement, family: TableFamily): Attribute[] {
  switch (statement.kind) {
    case 'lookup':
      return [...loadKey(statement.key), lookup(statement.set, statement.negated === true ? 'absent' : 'present')];
    case 'meta l4proto':
      return [load('meta l4proto', 0), equals(Uint8Array.of(protocolNumber(statement.protocol)))];
    case 'ct state':
      return connectionBit(nf.NFT_CT_STATE, nf.CT_STATE_NEW);
    case 'ct status':
      return connectionBit(nf.NFT_CT_STATUS, nf.IPS_DST_NAT);
    case 'jump':
      return [verdict(nf.NFT_JUMP, statement.chain)];
    case 'goto':
      return [verdict(nf.NFT_GOTO, statement.chain)];
    case 'drop':
      return [verdict(nf.NF_DROP)];
    case 'reject':
      return statement.with === undefined ? [rejectWithIcmp(family)] : rejectWithReset();
    case 'masquerade':
      return [expression('masq', be32(nf.NFTA_MASQ_FLAGS, nf.NF_NAT_RANGE_PROTO_RANDOM_FULLY))];
    case 'dnat':
      return [...loadKey(statement.key), lookup(statement.map, 'value'), dnat(family)];
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

function loadKey(key: Key): Attribute[] {
  let words = 0;
  return key.map((selector) => {
    const loaded = load(selector, words);
    words += align(fieldType(selector).bytes) / 4;
    return loaded;
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
    case 'meta l4proto':
      return expression('meta', be32(nf.NFTA_META_KEY, nf.NFT_META_L4PROTO), be32(nf.NFTA_META_DREG, into));
    case 'ct original ip daddr':
      return original(into, nf.NFT_CT_DST_IP);
    case 'ct original ip6 daddr':
      return original(into, nf.NFT_CT_DST_IP6);
    case 'ct original proto-dst':
      return original(into, nf.NFT_CT_PROTO_DST);
    default:
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

function original(into: number, key: number): Attribute {
  return expression(
    'ct',
    be32(nf.NFTA_CT_KEY, key),
    be32(nf.NFTA_CT_DREG, into),
    u8(nf.NFTA_CT_DIRECTION, nf.IP_CT_DIR_ORIGINAL),
  );
}

function randomNumber(into: number, modulus: number): Attribute {
  return expression(
    'numgen',
    be32(nf.NFTA_NG_DREG, into),
    be32(nf.NFTA_NG_MODULUS, modulus),
    be32(nf.NFTA_NG_TYPE, nf.NFT_NG_RANDOM),
  );
}

function lookup(set: string, wanted: 'present' | 'absent' | 'value'): Attribute {
  const attributes = [text(nf.NFTA_LOOKUP_SET, set), be32(nf.NFTA_LOOKUP_SREG, register(0))];
  if (wanted === 'absent') attributes.push(be32(nf.NFTA_LOOKUP_FLAGS, nf.NFT_LOOKUP_F_INV));
  if (wanted === 'value') attributes.push(be32(nf.NFTA_LOOKUP_DREG, register(0)));
  return expression('lookup', ...attributes);
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

function connectionBit(key: number, bit: number): Attribute[] {
  return [
    expression('ct', be32(nf.NFTA_CT_KEY, key), be32(nf.NFTA_CT_DREG, register(0))),
    expression(
      'bitwise',
      be32(nf.NFTA_BITWISE_SREG, register(0)),
      be32(nf.NFTA_BITWISE_DREG, register(0)),
      be32(nf.NFTA_BITWISE_LEN, 4),
      nested(nf.NFTA_BITWISE_MASK, bytes(nf.NFTA_DATA_VALUE, hostOrder(bit))),
      nested(nf.NFTA_BITWISE_XOR, bytes(nf.NFTA_DATA_VALUE, hostOrder(0))),
    ),
    compare(nf.NFT_CMP_NEQ, hostOrder(0)),
  ];
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
function dnat(family: TableFamily): Attribute {
  const portWords = family === 'ip' ? 1 : 4;
  return expression(
    'nat',
    be32(nf.NFTA_NAT_TYPE, nf.NFT_NAT_DNAT),
    be32(nf.NFTA_NAT_FAMILY, familyNumber({ family })),
    be32(nf.NFTA_NAT_REG_ADDR_MIN, register(0)),
    be32(nf.NFTA_NAT_REG_PROTO_MIN, register(portWords)),
  );
}
