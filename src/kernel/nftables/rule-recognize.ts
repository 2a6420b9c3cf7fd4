import type { Statement, TableFamily } from '../../rules/nftables/syntax.ts';
import { encodePayload, iterateAttributes, parseAttributes } from '../netlink/attributes.ts';
import { readBe32, readBe64, readText } from '../netlink/readers.ts';
import * as nf from './constants.ts';
import { encodeStatement } from './rule-encode.ts';

/** One expression of a rule, as the kernel gives it. */
export interface Expression {
  readonly name: string;
  readonly data: ReadonlyMap<number, Uint8Array>;
}

/** The expressions in a netlink list of them. */
export function* readExpressions(list: Uint8Array): Generator<Expression> {
  for (const [, value] of iterateAttributes(list)) {
    const parts = parseAttributes(value);
    const data = parseAttributes(parts.get(nf.NFTA_EXPR_DATA) ?? nothing);
    yield { name: readText(parts.get(nf.NFTA_EXPR_NAME)) ?? '', data };
  }
}
const nothing = new Uint8Array(0);

/**
 * Finds a statement of many expressions that stands whole from `at` on, and says of how many. What the names in it
 * suggest is encoded again and compared, so nothing that is only alike is taken for it.
 */
export function recognize(
  expressions: readonly Expression[],
  at: number,
  family: TableFamily,
): { readonly statement: Statement; readonly expressions: number } | undefined {
  for (const suggest of [device, remembered, memoryChange]) {
    const statement = suggest(expressions.slice(at), family);
    if (statement === undefined) continue;
    const wanted = [...readExpressions(encodePayload(nothing, encodeStatement(statement, family)))];
    const isIt = wanted.every((expression, i) => agrees(expression, expressions[at + i]));
    if (isIt) return { statement, expressions: wanted.length };
  }
  return undefined;
}

/** The kernel gives attributes besides, that are nought. */
function agrees(wanted: Expression, found: Expression | undefined): boolean {
  if (wanted.name !== found?.name) return false;
  return [...wanted.data].every(([type, value]) => Buffer.from(value).equals(found.data.get(type) ?? nothing));
}

function device([load, compared]: readonly Expression[]): Statement | undefined {
  if (load?.name !== 'meta' || compared?.name !== 'cmp') return undefined;
  const key = readBe32(load.data.get(nf.NFTA_META_KEY));
  const negated = readBe32(compared.data.get(nf.NFTA_CMP_OP)) === nf.NFT_CMP_NEQ;
  if (key === nf.NFT_META_IIF) return { kind: 'from node', ...(negated && { negated }) };
  if (key !== nf.NFT_META_IIFNAME) return undefined;
  const data = parseAttributes(compared.data.get(nf.NFTA_CMP_DATA) ?? nothing).get(nf.NFTA_DATA_VALUE) ?? nothing;
  const prefix = data.length < nf.IFNAMSIZ;
  const name = Buffer.from(data).toString().replace(/\0+$/, '');
  return { kind: 'iifname', name, ...(prefix && { prefix }), ...(negated && { negated }) };
}

/** Places of the expressions that name something: see `dnatRemembered` and `changeMemory` in rule-encode.ts. */
const place = { services: 3, memory: 8, endpoints: 12, change: 9 } as const;

function setAt(expressions: readonly Expression[], index: number, name: 'lookup' | 'dynset'): string | undefined {
  const expression = expressions[index];
  // Both have the set's name in attribute 1.
  return expression?.name === name ? readText(expression.data.get(nf.NFTA_LOOKUP_SET)) : undefined;
}

function remembered(expressions: readonly Expression[], family: TableFamily): Statement | undefined {
  const services = setAt(expressions, place.services, 'lookup');
  const memory = setAt(expressions, place.memory, 'lookup');
  const endpoints = setAt(expressions, place.endpoints, 'lookup');
  if (services === undefined || memory === undefined || endpoints === undefined) return undefined;
  return { kind: 'dnat remembered', family, services, memory, endpoints };
}

function memoryChange(expressions: readonly Expression[], family: TableFamily): Statement | undefined {
  const services = setAt(expressions, place.services, 'lookup');
  const memory = setAt(expressions, place.change, 'dynset');
  if (services === undefined || memory === undefined) return undefined;
  const timeout = readBe64(expressions[place.change]?.data.get(nf.NFTA_DYNSET_TIMEOUT));
  const recall = { family, services, memory };
  if (timeout === undefined || timeout === 0n) return { kind: 'forget', ...recall };
  return { kind: 'remember', ...recall, seconds: Number(timeout / 1000n) };
}
