import { ipFromBytes } from '../../net/ip.ts';
import { shownComment } from '../../rules/nftables/print.ts';
import type { Key, MaskedSource, Rule, Selector, Statement, TableFamily } from '../../rules/nftables/syntax.ts';
import { align, littleEndian, parseAttributes } from '../netlink/attributes.ts';
import { readBe32, readText, readU8 } from '../netlink/readers.ts';
import * as nf from './constants.ts';
import { fieldType, protocolName } from './fields.ts';
import { type Expression, readExpressions, recognize } from './rule-recognize.ts';
import { readComment, ruleComment } from './userdata.ts';

/**
 * Reads a rule from the attributes of a kernel's answer. A rule that is none of ours comes as one `foreign` statement.
 */
export function decodeRule(attributes: ReadonlyMap<number, Uint8Array>, family: TableFamily): Rule {
  const expressions = [...readExpressions(attributes.get(nf.NFTA_RULE_EXPRESSIONS) ?? new Uint8Array(0))];
  const comment = readComment(ruleComment, attributes.get(nf.NFTA_RULE_USERDATA));
  const statements = decodeStatements(expressions, family);
  // A comment that the statements imply is not one of its own.
  const implied = comment === shownComment({ statements });
  return { statements, ...(comment !== undefined && !implied && { comment }) };
}

function decodeStatements(expressions: readonly Expression[], family: TableFamily): Statement[] {
  const decoder = new RuleDecoder();
  let at = 0;
  while (at < expressions.length) {
    const whole = decoder.done ? recognize(expressions, at, family) : undefined;
    if (whole !== undefined) decoder.statements.push(whole.statement);
    else if (!decoder.take(expressions[at] ?? { name: '', data: new Map() })) break;
    at += whole?.expressions ?? 1;
  }
  if (at === expressions.length && decoder.done) return decoder.statements;
  return [{ kind: 'foreign', expressions: expressions.map((expression) => expression.name).join(', ') }];
}

/** What is in the registers, from the first on. */
type Loaded =
  | { readonly kind: 'selectors'; readonly key: Key }
  | { readonly kind: 'value'; readonly key: Key; readonly map: string }
  | { readonly kind: 'ct'; readonly property: 'state' | 'status'; readonly bit: number | undefined };

const nothing: Loaded = { kind: 'selectors', key: [] };

/** Runs through a rule's expressions as the kernel would, with names in place of values. */
class RuleDecoder {
  readonly statements: Statement[] = [];
  #loaded: Loaded = nothing;

  /** Whether every value loaded was also used. */
  get done(): boolean {
    return this.#loaded === nothing;
  }

  /** Takes the next expression; false if it makes no sense here. */
  take({ name, data }: Expression): boolean {
    const selector = loadedSelector(name, data);
    if (selector !== undefined) return this.#load(selector, data);
    switch (name) {
      case 'ct':
        return this.#loadConnection(data);
      case 'bitwise':
        return this.#mask(data);
      case 'cmp':
        return this.#compare(data);
      case 'lookup':
        return this.#lookup(data);
      default:
        return this.#act(name, data);
    }
  }

  #load(selector: Selector, data: ReadonlyMap<number, Uint8Array>): boolean {
    if (this.#loaded.kind !== 'selectors') return false;
    const { key } = this.#loaded;
    const words = key.reduce((sum, loaded) => sum + align(fieldType(loaded).bytes) / 4, 0);
    if (registerWords(data.get(destination)) !== words) return false;
    this.#loaded = { kind: 'selectors', key: [...key, selector] };
    return true;
  }

  #loadConnection(data: ReadonlyMap<number, Uint8Array>): boolean {
    const key = readBe32(data.get(nf.NFTA_CT_KEY));
    if (this.#loaded !== nothing || (key !== nf.NFT_CT_STATE && key !== nf.NFT_CT_STATUS)) return false;
    this.#loaded = { kind: 'ct', property: key === nf.NFT_CT_STATE ? 'state' : 'status', bit: undefined };
    return true;
  }

  #mask(data: ReadonlyMap<number, Uint8Array>): boolean {
    if (this.#loaded.kind === 'selectors') return this.#maskSource(this.#loaded.key, data);
    const mask = readHostWord(dataValue(data.get(nf.NFTA_BITWISE_MASK)));
    const xor = readHostWord(dataValue(data.get(nf.NFTA_BITWISE_XOR)));
    if (this.#loaded.kind !== 'ct' || mask === undefined || xor !== 0) return false;
    this.#loaded = { ...this.#loaded, bit: mask };
    return true;
  }

  /** A mask on what was loaded last. */
  #maskSource(key: Key, data: ReadonlyMap<number, Uint8Array>): boolean {
    const last = key.at(-1);
    const mask = dataValue(data.get(nf.NFTA_BITWISE_MASK));
    if ((last !== 'ip saddr' && last !== 'ip6 saddr') || mask?.length !== fieldType(last).bytes) return false;
    const masked: MaskedSource = `${last} & ${ipFromBytes(mask)}`;
    this.#loaded = { kind: 'selectors', key: [...key.slice(0, -1), masked] };
    return true;
  }

  #compare(data: ReadonlyMap<number, Uint8Array>): boolean {
    const operator = readBe32(data.get(nf.NFTA_CMP_OP));
    const value = dataValue(data.get(nf.NFTA_CMP_DATA));
    const statement = comparison(this.#loaded, operator, value);
    return statement !== undefined && this.#finish(statement);
  }

  #lookup(data: ReadonlyMap<number, Uint8Array>): boolean {
    const set = readText(data.get(nf.NFTA_LOOKUP_SET));
    const negated = ((readBe32(data.get(nf.NFTA_LOOKUP_FLAGS)) ?? 0) & nf.NFT_LOOKUP_F_INV) !== 0;
    const into = readBe32(data.get(nf.NFTA_LOOKUP_DREG));
    const loaded = this.#loaded;
    if (set === undefined || loaded === nothing || loaded.kind !== 'selectors') return false;
    if (into === undefined) {
      return this.#finish({ kind: 'lookup', key: loaded.key, set, ...(negated && { negated }) });
    }
    this.#loaded = { kind: 'value', key: loaded.key, map: set };
    return into === nf.NFT_REG_1;
  }

  #act(name: string, data: ReadonlyMap<number, Uint8Array>): boolean {
    if (name === 'nat') {
      const translatesDestination = readBe32(data.get(nf.NFTA_NAT_TYPE)) === nf.NFT_NAT_DNAT;
      const loaded = this.#loaded;
      if (loaded.kind !== 'value' || !translatesDestination) return false;
      return this.#finish({ kind: 'dnat', key: loaded.key, map: loaded.map });
    }
    if (this.#loaded !== nothing) return false;
    if (name === 'reject') return this.#reject(readBe32(data.get(nf.NFTA_REJECT_TYPE)));
    const statement = action(name, data);
    return statement !== undefined && this.#finish(statement);
  }

  /** A reset implies the match on TCP in front of it. */
  #reject(type: number | undefined): boolean {
    if (type === nf.NFT_REJECT_ICMP_UNREACH) return this.#finish({ kind: 'reject' });
    const before = this.statements.pop();
    if (before?.kind !== 'meta l4proto' || before.protocol !== 'tcp') return false;
    return this.#finish({ kind: 'reject', with: 'tcp reset' });
  }

  #finish(statement: Statement): true {
    this.statements.push(statement);
    this.#loaded = nothing;
    return true;
  }
}

/** All loading expressions but one have their register in attribute 1; `meta` and `ct` too. */
const destination = 1;

function registerWords(value: Uint8Array | undefined): number {
  const register = readBe32(value) ?? 0;
  return register >= nf.NFT_REG32_00 ? register - nf.NFT_REG32_00 : (register - nf.NFT_REG_1) * 4;
}

function loadedSelector(name: string, data: ReadonlyMap<number, Uint8Array>): Selector | undefined {
  switch (name) {
    case 'payload': {
      const place = [nf.NFTA_PAYLOAD_BASE, nf.NFTA_PAYLOAD_OFFSET, nf.NFTA_PAYLOAD_LEN].map((a) =>
        readBe32(data.get(a)),
      );
      return payloadSelectors.get(place.join());
    }
    case 'meta':
      return readBe32(data.get(nf.NFTA_META_KEY)) === nf.NFT_META_L4PROTO ? 'meta l4proto' : undefined;
    case 'ct':
      if (readU8(data.get(nf.NFTA_CT_DIRECTION)) !== nf.IP_CT_DIR_ORIGINAL) return undefined;
      return connectionSelectors.get(readBe32(data.get(nf.NFTA_CT_KEY)));
    case 'numgen':
      if (readBe32(data.get(nf.NFTA_NG_TYPE)) !== nf.NFT_NG_RANDOM) return undefined;
      return `numgen random mod ${readBe32(data.get(nf.NFTA_NG_MODULUS)) ?? 0}`;
    default:
      return undefined;
  }
}

const payloadSelectors = new Map<string, Selector>([
  [`${nf.NFT_PAYLOAD_NETWORK_HEADER},12,4`, 'ip saddr'],
  [`${nf.NFT_PAYLOAD_NETWORK_HEADER},16,4`, 'ip daddr'],
  [`${nf.NFT_PAYLOAD_NETWORK_HEADER},8,16`, 'ip6 saddr'],
  [`${nf.NFT_PAYLOAD_NETWORK_HEADER},24,16`, 'ip6 daddr'],
  [`${nf.NFT_PAYLOAD_TRANSPORT_HEADER},2,2`, 'th dport'],
  [`${nf.NFT_PAYLOAD_TRANSPORT_HEADER},0,2`, 'th sport'],
]);

const connectionSelectors = new Map<number | undefined, Selector>([
  [nf.NFT_CT_DST_IP, 'ct original ip daddr'],
  [nf.NFT_CT_DST_IP6, 'ct original ip6 daddr'],
  [nf.NFT_CT_PROTO_DST, 'ct original proto-dst'],
]);

function comparison(
  loaded: Loaded,
  operator: number | undefined,
  value: Uint8Array | undefined,
): Statement | undefined {
  if (loaded.kind === 'ct') {
    if (readHostWord(value) !== 0) return undefined;
    return connectionTest(loaded, operator === nf.NFT_CMP_EQ);
  }
  if (loaded.kind !== 'selectors' || loaded.key.join() !== 'meta l4proto' || operator !== nf.NFT_CMP_EQ)
    return undefined;
  const protocol = protocolName(value?.[0]);
  return protocol === undefined ? undefined : { kind: 'meta l4proto', protocol };
}

function connectionTest({ property, bit }: Extract<Loaded, { kind: 'ct' }>, negated: boolean): Statement | undefined {
  if (property === 'state' && bit === nf.CT_STATE_NEW && !negated) return { kind: 'ct state', state: 'new' };
  if (property !== 'status' || bit !== nf.IPS_DST_NAT) return undefined;
  return { kind: 'ct status', status: 'dnat', ...(negated && { negated }) };
}

function action(name: string, data: ReadonlyMap<number, Uint8Array>): Statement | undefined {
  if (name === 'masq') {
    const random = readBe32(data.get(nf.NFTA_MASQ_FLAGS)) === nf.NF_NAT_RANGE_PROTO_RANDOM_FULLY;
    return random ? { kind: 'masquerade' } : undefined;
  }
  if (name === 'notrack') return { kind: 'notrack' };
  if (name !== 'immediate') return undefined;
  const { code, chain } = readVerdict(data.get(nf.NFTA_IMMEDIATE_DATA));
  if (code === nf.NF_DROP) return { kind: 'drop' };
  if (chain === undefined) return undefined;
  if (code === nf.NFT_JUMP) return { kind: 'jump', chain };
  return code === nf.NFT_GOTO ? { kind: 'goto', chain } : undefined;
}

function readVerdict(value: Uint8Array | undefined): { code: number | undefined; chain: string | undefined } {
  const data = parseAttributes(value ?? new Uint8Array(0)).get(nf.NFTA_DATA_VERDICT);
  const attributes = parseAttributes(data ?? new Uint8Array(0));
  const code = readBe32(attributes.get(nf.NFTA_VERDICT_CODE));
  return { code: code === undefined ? undefined : code | 0, chain: readText(attributes.get(nf.NFTA_VERDICT_CHAIN)) };
}

function dataValue(value: Uint8Array | undefined): Uint8Array | undefined {
  return value === undefined ? undefined : parseAttributes(value).get(nf.NFTA_DATA_VALUE);
}

function readHostWord(value: Uint8Array | undefined): number | undefined {
  if (value === undefined || value.length < 4) return undefined;
  return new DataView(value.buffer, value.byteOffset).getUint32(0, littleEndian);
}
