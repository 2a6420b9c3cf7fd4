import type { Chain, Element, Hook, Program, Rule, SetDeclaration, TableName } from '../../rules/nftables/syntax.ts';
import { errnoNumber, KernelError } from '../ffi.ts';
import { type Attribute, encodePayload, parseAttributes, text } from '../netlink/attributes.ts';
import { type NetlinkRequest, NLM_F_DUMP } from '../netlink/message.ts';
import { readBe32, readText } from '../netlink/readers.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { sleep } from '../sleep.ts';
import { nfnetlinkHeader } from './batch.ts';
import * as nf from './constants.ts';
import { ElementReader } from './element-codec.ts';
import { elementLayout, familyNumber } from './fields.ts';
import { decodeRule } from './rule-decode.ts';
import { readComment, readSetTypes, tableComment } from './userdata.ts';

type Attributes = ReadonlyMap<number, Uint8Array>;

/** Bytes of `nfgenmsg` in front of the attributes. */
const headerBytes = 4;

/** Rules decoded in one step. */
const rulesAtOnce = 25;

/**
 * The number of the state that all tables of the network namespace are in together: every commit of anybody's makes
 * it larger by one.
 */
export function readGeneration(socket: NetlinkSocket): number {
  const [reply] = socket.request({
    type: nf.nftMessage.GETGEN,
    flags: 0,
    payload: encodePayload(nfnetlinkHeader(nf.NFPROTO_UNSPEC), []),
    operation: 'ask for the nf_tables generation',
  });
  return readBe32(reply && parseAttributes(reply.payload, headerBytes).get(nf.NFTA_GEN_ID)) ?? 0;
}

/** Reads a whole table, or gives `undefined` when there is none. */
export function loadProgram(socket: NetlinkSocket, name: TableName): Program | undefined {
  const shape = loadShape(socket, name);
  return (
    shape && {
      ...shape,
      elements: shape.sets.flatMap((set) => (set.dynamic === undefined ? loadElements(socket, name, set) : [])),
    }
  );
}

/** Reads a table without its elements, or gives `undefined` when there is none. */
function loadShape(socket: NetlinkSocket, name: TableName): Program | undefined {
  const steps = loadShapeInSteps(socket, name);
  for (let step = steps.next(); ; step = steps.next()) if (step.done === true) return step.value;
}

/** Reads a table without its elements, a part a step. */
export function* loadShapeInSteps(
  socket: NetlinkSocket,
  name: TableName,
): Generator<undefined, Program | undefined, undefined> {
  const table = tableAttributes(socket, name);
  if (table === undefined) return undefined;
  const comment = readComment(tableComment, table.get(nf.NFTA_TABLE_USERDATA));
  yield;
  const sets = loadSets(socket, name);
  yield;
  const rules = yield* loadRulesInSteps(socket, name);
  const chains = loadChains(socket, name, rules);
  return {
    family: name.family,
    table: name.table,
    ...(comment !== undefined && { comment }),
    sets,
    chains,
    elements: [],
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

function readSize(set: Attributes): number {
  const description = parseAttributes(set.get(nf.NFTA_SET_DESC) ?? new Uint8Array(0));
  return readBe32(description.get(nf.NFTA_SET_DESC_SIZE)) ?? 0;
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
    ...((flags & nf.NFT_SET_EVAL) !== 0 && { dynamic: { size: readSize(set) } }),
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
    if (attempt > 0) sleep(dumpPause);
    const reader = new ElementReader(set.name, elementLayout(set));
    for (const list of elementListsOf(socket, name, set.name)) reader.read(list);
    if (!reader.repeats) return reader.elements();
  }
  throw new KernelError(`read elements of ${set.name}`, errnoNumber.EINTR, 'its hash table kept growing');
}
const dumpTries = 100;
/** Milliseconds. */
const dumpPause = 20;

function elementListsOf(socket: NetlinkSocket, name: TableName, set: string): Uint8Array[] {
  return [...socket.dump(elementsRequest(name, set))].flatMap(
    ({ payload }) => parseAttributes(payload, headerBytes).get(nf.NFTA_SET_ELEM_LIST_ELEMENTS) ?? [],
  );
}

/**
 * Reads the elements of a set a datagram a step: `read` is given each list of them where it lies in the receive
 * buffer. Gives whether nobody changed anything meanwhile.
 */
export function elementListsInSteps(
  socket: NetlinkSocket,
  { name, set }: { readonly name: TableName; readonly set: string },
  read: (list: Uint8Array) => void,
): Generator<undefined, boolean, undefined> {
  return socket.dumpInSteps(elementsRequest(name, set), (payload) => {
    const list = parseAttributes(payload, headerBytes).get(nf.NFTA_SET_ELEM_LIST_ELEMENTS);
    if (list !== undefined) read(list);
  });
}

function elementsRequest(name: TableName, set: string): NetlinkRequest {
  return dumpRequest(name, {
    type: nf.nftMessage.GETSETELEM,
    attributes: [text(nf.NFTA_SET_ELEM_LIST_TABLE, name.table), text(nf.NFTA_SET_ELEM_LIST_SET, set)],
  });
}

function loadChains(socket: NetlinkSocket, name: TableName, rules: ReadonlyMap<string, readonly Rule[]>): Chain[] {
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

function* loadRulesInSteps(
  socket: NetlinkSocket,
  name: TableName,
): Generator<undefined, Map<string, Rule[]>, undefined> {
  const rules = new Map<string, Rule[]>();
  const request = { type: nf.nftMessage.GETRULE, attributes: [text(nf.NFTA_RULE_TABLE, name.table)] };
  let count = 0;
  for (const attributes of dump(socket, name, request)) {
    if (++count % rulesAtOnce === 0) yield;
    if (readText(attributes.get(nf.NFTA_RULE_TABLE)) !== name.table) continue;
    const chain = readText(attributes.get(nf.NFTA_RULE_CHAIN)) ?? '';
    const rule = decodeRule(attributes, name.family);
    const list = rules.get(chain);
    if (list === undefined) rules.set(chain, [rule]);
    else list.push(rule);
  }
  return rules;
}

interface Question {
  readonly type: number;
  readonly attributes: readonly Attribute[];
}

function dump(socket: NetlinkSocket, name: TableName, question: Question): Attributes[] {
  return [...socket.dump(dumpRequest(name, question))].map(({ payload }) => parseAttributes(payload, headerBytes));
}

function dumpRequest(name: TableName, { type, attributes }: Question): NetlinkRequest {
  const payload = encodePayload(nfnetlinkHeader(familyNumber(name)), attributes);
  return { type, flags: NLM_F_DUMP, payload, operation: `read table ${name.family} ${name.table}` };
}
