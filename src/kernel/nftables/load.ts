import type { Chain, Element, Hook, Program, Rule, SetDeclaration, TableName } from '../../rules/nftables/syntax.ts';
import { errnoNumber, KernelError } from '../ffi.ts';
import { type Attribute, encodePayload, parseAttributes, text } from '../netlink/attributes.ts';
import { NLM_F_DUMP } from '../netlink/message.ts';
import { readBe32, readText } from '../netlink/readers.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { nfnetlinkHeader } from './batch.ts';
import * as nf from './constants.ts';
import { ElementReader } from './element-codec.ts';
import { elementLayout, familyNumber } from './fields.ts';
import { decodeRule } from './rule-decode.ts';
import { readComment, readSetTypes, tableComment } from './userdata.ts';

type Attributes = ReadonlyMap<number, Uint8Array>;

/** Bytes of `nfgenmsg` in front of the attributes. */
const headerBytes = 4;

/** Reads a whole table, or gives `undefined` when there is none. */
export function loadProgram(socket: NetlinkSocket, name: TableName): Program | undefined {
  const table = tableAttributes(socket, name);
  if (table === undefined) return undefined;
  const comment = readComment(tableComment, table.get(nf.NFTA_TABLE_USERDATA));
  const sets = loadSets(socket, name);
  return {
    family: name.family,
    table: name.table,
    ...(comment !== undefined && { comment }),
    sets,
    chains: loadChains(socket, name),
    elements: sets.flatMap((set) => loadElements(socket, name, set)),
  };
}

/** Whether the table exists. */
export function tableExists(socket: NetlinkSocket, name: TableName): boolean {
  return tableAttributes(socket, name) !== undefined;
}

function tableAttributes(socket: NetlinkSocket, name: TableName): Attributes | undefined {
  return dump(socket, name, { type: nf.nftMessage.GETTABLE, attributes: [] }).find(
    (table) => readText(table.get(nf.NFTA_TABLE_NAME)) === name.table,
  );
}

/** The named sets and maps of a table. */
export function loadSets(socket: NetlinkSocket, name: TableName): SetDeclaration[] {
  return setAttributes(socket, name)
    .filter((set) => !isAnonymous(set))
    .map(readSet);
}

function setAttributes(socket: NetlinkSocket, name: TableName): Attributes[] {
  return dump(socket, name, { type: nf.nftMessage.GETSET, attributes: [text(nf.NFTA_SET_TABLE, name.table)] });
}

function setFlags(set: Attributes): number {
  return readBe32(set.get(nf.NFTA_SET_FLAGS)) ?? 0;
}

function isAnonymous(set: Attributes): boolean {
  return (setFlags(set) & nf.NFT_SET_ANONYMOUS) !== 0;
}

function readSet(set: Attributes): SetDeclaration {
  const flags = setFlags(set);
  const isMap = (flags & nf.NFT_SET_MAP) !== 0;
  const types = readSetTypes(set.get(nf.NFTA_SET_USERDATA));
  const known = types.key.length > 0 && isMap === types.data.length > 0;
  return {
    name: readText(set.get(nf.NFTA_SET_NAME)) ?? '',
    key: known ? types.key : [],
    ...(isMap && { data: known ? types.data : [] }),
    ...((flags & nf.NFT_SET_INTERVAL) !== 0 && { interval: true as const }),
  };
}

/**
 * The kernel grows its hash tables in the background, and a dump that falls into that has some elements twice and, as
 * it counts its way through, others not at all. So it is begun again until every element comes once.
 * @throws KernelError `EINTR` when that does not come about
 */
function loadElements(socket: NetlinkSocket, name: TableName, set: SetDeclaration): readonly Element[] {
  if (set.key.length === 0) return [];
  for (let attempt = 0; attempt < dumpTries; attempt++) {
    if (attempt > 0) Atomics.wait(neverWoken, 0, 0, dumpPause);
    const reader = new ElementReader(set.name, elementLayout(set));
    for (const list of elementListsOf(socket, name, set.name)) reader.read(list);
    if (!reader.repeats) return reader.elements();
  }
  throw new KernelError(`read elements of ${set.name}`, errnoNumber.EINTR, 'its hash table kept growing');
}
const dumpTries = 100;
/** Milliseconds. */
const dumpPause = 20;
const neverWoken = new Int32Array(new SharedArrayBuffer(4));

function elementListsOf(socket: NetlinkSocket, name: TableName, set: string): Uint8Array[] {
  const attributes = [text(nf.NFTA_SET_ELEM_LIST_TABLE, name.table), text(nf.NFTA_SET_ELEM_LIST_SET, set)];
  return dump(socket, name, { type: nf.nftMessage.GETSETELEM, attributes }).flatMap(
    (message) => message.get(nf.NFTA_SET_ELEM_LIST_ELEMENTS) ?? [],
  );
}

function loadChains(socket: NetlinkSocket, name: TableName): Chain[] {
  const rules = loadRules(socket, name);
  return dump(socket, name, { type: nf.nftMessage.GETCHAIN, attributes: [text(nf.NFTA_CHAIN_TABLE, name.table)] })
    .filter((chain) => readText(chain.get(nf.NFTA_CHAIN_TABLE)) === name.table)
    .map((chain) => {
      const chainName = readText(chain.get(nf.NFTA_CHAIN_NAME)) ?? '';
      const hook = readHook(chain);
      return { name: chainName, ...(hook !== undefined && { hook }), rules: rules.get(chainName) ?? [] };
    });
}

function readHook(chain: Attributes): Hook | undefined {
  const attributes = chain.get(nf.NFTA_CHAIN_HOOK);
  if (attributes === undefined) return undefined;
  const found = parseAttributes(attributes);
  const number = readBe32(found.get(nf.NFTA_HOOK_HOOKNUM));
  const priority = (readBe32(found.get(nf.NFTA_HOOK_PRIORITY)) ?? 0) | 0;
  const hook = (Object.keys(nf.hookNumbers) as Hook['hook'][]).find((word) => nf.hookNumbers[word] === number);
  const type = readText(chain.get(nf.NFTA_CHAIN_TYPE));
  // A base chain of another type is not ours; without a hook it differs from whatever is wanted under its name.
  return hook === undefined || (type !== 'filter' && type !== 'nat') ? undefined : { type, hook, priority };
}

function loadRules(socket: NetlinkSocket, name: TableName): Map<string, Rule[]> {
  const rules = new Map<string, Rule[]>();
  const request = { type: nf.nftMessage.GETRULE, attributes: [text(nf.NFTA_RULE_TABLE, name.table)] };
  for (const attributes of dump(socket, name, request)) {
    if (readText(attributes.get(nf.NFTA_RULE_TABLE)) !== name.table) continue;
    const chain = readText(attributes.get(nf.NFTA_RULE_CHAIN)) ?? '';
    const rule = decodeRule(attributes);
    const list = rules.get(chain);
    if (list === undefined) rules.set(chain, [rule]);
    else list.push(rule);
  }
  return rules;
}

function dump(
  socket: NetlinkSocket,
  name: TableName,
  { type, attributes }: { type: number; attributes: readonly Attribute[] },
): Attributes[] {
  const payload = encodePayload(nfnetlinkHeader(familyNumber(name)), attributes);
  const operation = `read table ${name.family} ${name.table}`;
  return [...socket.dump({ type, flags: NLM_F_DUMP, payload, operation })].map((reply) =>
    parseAttributes(reply.payload, headerBytes),
  );
}
