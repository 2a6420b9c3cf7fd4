import { setWord } from '../../rules/nftables/print.ts';
import type {
  Element,
  ElementUnit,
  Hook,
  ObjectCommand,
  Rule,
  SetDeclaration,
  TableName,
  Transaction,
} from '../../rules/nftables/syntax.ts';
import {
  type Attribute,
  attributeHeaderLength,
  be32,
  bytes,
  encodePayload,
  nested,
  text,
} from '../netlink/attributes.ts';
import { MessageBatch, messageHeaderLength, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL } from '../netlink/message.ts';
import * as nf from './constants.ts';
import { elementBytes, elementLists } from './element-codec.ts';
import { concatenatedType, type ElementLayout, familyNumber, keyBytes } from './fields.ts';
import { encodeRule } from './rule-encode.ts';
import { commentUserdata, setUserdata, tableComment } from './userdata.ts';

/** The layout of a set's elements, by the set's name; throws for a set that there is not. */
export type LayoutOf = (set: string) => ElementLayout;

/** Room for batch begin and end, and for the headers of element messages: a few for each set. */
const reservedBytes = 16 << 10;

/**
 * A transaction as netlink batches of at most `maxBytes`, one if it fits. All commands are in the first; a unit is
 * never divided, unless it is larger than a batch by itself.
 */
export function* encodeTransaction(
  transaction: Transaction,
  { layoutOf, maxBytes }: { layoutOf: LayoutOf; maxBytes: number },
): Generator<MessageBatch, void, undefined> {
  let batch = new BatchWriter(transaction);
  for (const command of transaction.commands) batch.command(command);
  let pending: ElementUnit[] = [];
  let size = batch.byteLength + reservedBytes;
  for (const unit of transaction.units) {
    const unitBytes = bytesOf(unit.delete, layoutOf) + bytesOf(unit.add, layoutOf);
    if (size + unitBytes > maxBytes && size > reservedBytes) {
      yield batch.finish(pending, layoutOf);
      batch = new BatchWriter(transaction);
      pending = [];
      size = reservedBytes;
    }
    size += unitBytes;
    pending.push(unit);
  }
  if (transaction.commands.length + transaction.units.length > 0) yield batch.finish(pending, layoutOf);
}

function bytesOf(elements: readonly Element[], layoutOf: LayoutOf): number {
  let sum = 0;
  for (const element of elements) sum += elementBytes(element, layoutOf(element.set));
  return sum;
}

/**
 * Makes the kernel refuse a batch with `ERESTART` unless the ruleset of the network namespace is of this generation;
 * 0: whichever it is of.
 */
export function expectGeneration(batch: MessageBatch, generation: number): void {
  const { buffer, byteOffset } = batch.bytes;
  new DataView(buffer, byteOffset).setUint32(generationOffset, generation);
}
/** In the first message: behind its header, `nfgenmsg`, and the attribute's header. */
const generationOffset = messageHeaderLength + 4 + attributeHeaderLength;

/** One batch in the making. */
class BatchWriter {
  readonly #batch = new MessageBatch();
  readonly #table: TableName;
  readonly #header: Uint8Array;
  #nextId = 1;
  #lastRule: { readonly chain: string; readonly rule: Rule; readonly payload: Uint8Array } | undefined;

  constructor(table: TableName) {
    this.#table = table;
    this.#header = nfnetlinkHeader(familyNumber(table));
    this.#bound(nf.NFNL_MSG_BATCH_BEGIN, [be32(nf.NFNL_BATCH_GENID, 0)]);
  }

  get byteLength(): number {
    return this.#batch.byteLength;
  }

  /** Adds the units' elements, first all deletions, then all additions, set by set; and the end. */
  finish(units: readonly ElementUnit[], layoutOf: LayoutOf): MessageBatch {
    this.#elements('delete', units, layoutOf);
    this.#elements('add', units, layoutOf);
    this.#bound(nf.NFNL_MSG_BATCH_END, []);
    return this.#batch;
  }

  command(command: ObjectCommand): void {
    switch (command.object) {
      case 'table':
        this.#tableCommand(command);
        break;
      case 'set':
        if (command.verb === 'add') this.#addSet(command.set);
        else this.#deleteSet(command);
        break;
      case 'chain':
        this.#chainCommand(command);
        break;
      case 'rule':
        this.#addRule(command.chain, command.rule);
    }
  }

  #bound(type: number, attributes: readonly Attribute[]): void {
    const header = Uint8Array.of(nf.NFPROTO_UNSPEC, 0, 0, nf.NFNL_SUBSYS_NFTABLES);
    this.#batch.addMessage({ type, flags: 0, header }, attributes);
  }

  #message(head: { type: number; flags: number; operation: string }, attributes: readonly Attribute[]): void {
    this.#batch.addMessage({ ...head, header: this.#header }, attributes);
  }

  #tableCommand(command: Extract<ObjectCommand, { object: 'table' }>): void {
    const attributes = [text(nf.NFTA_TABLE_NAME, this.#table.table)];
    const added = command.verb === 'add';
    if (added && command.comment !== undefined) {
      attributes.push(bytes(nf.NFTA_TABLE_USERDATA, commentUserdata(tableComment, command.comment)));
    }
    const head = added
      ? { type: nf.nftMessage.NEWTABLE, flags: NLM_F_CREATE }
      : { type: nf.nftMessage.DELTABLE, flags: 0 };
    this.#message({ ...head, operation: `${command.verb} table` }, attributes);
  }

  #addSet(set: SetDeclaration): void {
    const flags =
      (set.data === undefined ? 0 : nf.NFT_SET_MAP) |
      (set.interval === true ? nf.NFT_SET_INTERVAL : 0) |
      (set.dynamic === undefined ? 0 : nf.NFT_SET_EVAL | nf.NFT_SET_TIMEOUT);
    const attributes = [
      text(nf.NFTA_SET_TABLE, this.#table.table),
      text(nf.NFTA_SET_NAME, set.name),
      be32(nf.NFTA_SET_FLAGS, flags),
      be32(nf.NFTA_SET_KEY_TYPE, concatenatedType(set.key)),
      be32(nf.NFTA_SET_KEY_LEN, keyBytes(set.key)),
      be32(nf.NFTA_SET_ID, this.#nextId++),
      bytes(nf.NFTA_SET_USERDATA, setUserdata(set)),
    ];
    if (set.data !== undefined) {
      attributes.push(be32(nf.NFTA_SET_DATA_TYPE, concatenatedType(set.data)));
      attributes.push(be32(nf.NFTA_SET_DATA_LEN, keyBytes(set.data)));
    }
    if (set.dynamic !== undefined) {
      attributes.push(nested(nf.NFTA_SET_DESC, be32(nf.NFTA_SET_DESC_SIZE, set.dynamic.size)));
    }
    const operation = `add ${setWord(set)} ${set.name}`;
    this.#message({ type: nf.nftMessage.NEWSET, flags: NLM_F_CREATE | NLM_F_EXCL, operation }, attributes);
  }

  #deleteSet({ name, map }: { name: string; map: boolean }): void {
    const attributes = [text(nf.NFTA_SET_TABLE, this.#table.table), text(nf.NFTA_SET_NAME, name)];
    const operation = `delete ${map ? 'map' : 'set'} ${name}`;
    this.#message({ type: nf.nftMessage.DELSET, flags: 0, operation }, attributes);
  }

  #chainCommand(command: Extract<ObjectCommand, { object: 'chain' }>): void {
    const { table } = this.#table;
    const operation = `${command.verb} chain ${command.name}`;
    const chain = [text(nf.NFTA_CHAIN_TABLE, table), text(nf.NFTA_CHAIN_NAME, command.name)];
    switch (command.verb) {
      case 'flush': {
        const rules = [text(nf.NFTA_RULE_TABLE, table), text(nf.NFTA_RULE_CHAIN, command.name)];
        this.#message({ type: nf.nftMessage.DELRULE, flags: 0, operation }, rules);
        break;
      }
      case 'delete':
        this.#message({ type: nf.nftMessage.DELCHAIN, flags: 0, operation }, chain);
        break;
      case 'add': {
        const hook = command.hook === undefined ? [] : hookAttributes(command.hook);
        this.#message({ type: nf.nftMessage.NEWCHAIN, flags: NLM_F_CREATE | NLM_F_EXCL, operation }, [
          ...chain,
          ...hook,
        ]);
      }
    }
  }

  #addRule(chain: string, rule: Rule): void {
    // Chains that draw again have the same rule many times.
    if (this.#lastRule?.rule !== rule || this.#lastRule.chain !== chain) {
      const attributes = [
        text(nf.NFTA_RULE_TABLE, this.#table.table),
        text(nf.NFTA_RULE_CHAIN, chain),
        ...encodeRule(rule, this.#table.family),
      ];
      this.#lastRule = { chain, rule, payload: encodePayload(this.#header, attributes) };
    }
    const head = { type: nf.nftMessage.NEWRULE, flags: NLM_F_CREATE | NLM_F_APPEND };
    this.#batch.add({ ...head, payload: this.#lastRule.payload, operation: `add rule to chain ${chain}` });
  }

  #elements(verb: 'add' | 'delete', units: readonly ElementUnit[], layoutOf: LayoutOf): void {
    const bySet = new Map<string, Element[]>();
    for (const unit of units) {
      for (const element of unit[verb]) {
        const list = bySet.get(element.set);
        if (list === undefined) bySet.set(element.set, [element]);
        else list.push(element);
      }
    }
    const head =
      verb === 'add'
        ? { type: nf.nftMessage.NEWSETELEM, flags: NLM_F_CREATE | NLM_F_EXCL }
        : { type: nf.nftMessage.DELSETELEM, flags: 0 };
    for (const [set, elements] of bySet) {
      const place = [text(nf.NFTA_SET_ELEM_LIST_TABLE, this.#table.table), text(nf.NFTA_SET_ELEM_LIST_SET, set)];
      for (const list of elementLists(elements, layoutOf(set))) {
        this.#message({ ...head, operation: `${verb} elements of ${set}` }, [...place, list]);
      }
    }
  }
}

/** `nfgenmsg`: family, version 0, resource 0. */
export function nfnetlinkHeader(family: number): Uint8Array {
  return Uint8Array.of(family, 0, 0, 0);
}

function hookAttributes({ type, hook, priority }: Hook): Attribute[] {
  return [
    nested(nf.NFTA_CHAIN_HOOK, be32(nf.NFTA_HOOK_HOOKNUM, nf.hookNumbers[hook]), be32(nf.NFTA_HOOK_PRIORITY, priority)),
    be32(nf.NFTA_CHAIN_POLICY, nf.NF_ACCEPT),
    text(nf.NFTA_CHAIN_TYPE, type),
  ];
}
