import type { Ip } from '../../src/net/ip.ts';
import { seenAddress } from './objects.ts';
import { isPlausible } from './shares.ts';

/** Of each share that is looked at, how often it may look wrong and not be. There are some thousands in a run. */
const falseAlarm = 1e-10;

/** Calls for each endpoint that is to be seen: of five, one is missed once in 10^11 times. */
const callsPerEndpoint = 25;
/** Calls where shares are to be told apart. */
const manyTimes = 1_500;
/** How long a call may take that is to be answered, and one that is not; milliseconds. */
const answerTimeout = 20_000;
const silenceTimeout = 500;

/** Names of who answers where there is no Service. */
const others: ReadonlySet<string> = new Set(['beyond', 'other']);

/** Who expects what: the words of `Call.expect`, and how the call is made. */
export interface Expectation {
  readonly expected: string;
  /** Whether clients are to stay with the endpoint that they have. */
  readonly isRemembered: boolean;
  /** Whether shares are to be told apart. */
  readonly many: boolean;
}

/** How calls are made so that what is expected shows. */
export interface Effort {
  /** One after another; calls of a round go out at the same time. */
  readonly rounds: number;
  /** Calls from each source in a round. */
  readonly times: number;
  /** Milliseconds to wait for each. */
  readonly timeout: number;
}

export function effortFor({ expected, isRemembered, many }: Expectation): Effort {
  if (expected === 'silence') return { rounds: 1, times: 2, timeout: silenceTimeout };
  const endpoints = expected.split(' ').length;
  const enough = many ? manyTimes : callsPerEndpoint * endpoints;
  if (isRemembered) return { rounds: 3, times: 1, timeout: answerTimeout };
  return { rounds: 1, times: endpoints === 1 ? 3 : enough, timeout: answerTimeout };
}

/** One call's outcome: which source it came from, by number, and a word of `Call.expect`, or why it is none. */
export interface CallOutcome {
  readonly source: number;
  readonly word: string;
}

/** Reads what an agent says of a call from this source, made to a node with these addresses. */
export function readWord(
  text: string,
  { source, own }: { readonly source: Ip | undefined; readonly own: ReadonlySet<Ip> },
): string {
  const [name = '', address, ...rest] = text.split(' ');
  if (address === undefined || rest.length > 0) return errorWords[text] ?? text;
  if (others.has(name)) return 'untouched';
  const seen = seenAddress(address);
  if (seen === source) return name;
  return own.has(seen) ? `${name}*` : `${name} as ${seen}`;
}

const errorWords: { readonly [code: string]: string | undefined } = { ECONNREFUSED: 'refused', TIMEOUT: 'silence' };

/** What is wrong with the outcomes, a line each. */
export function judge(outcomes: readonly CallOutcome[], { expected, isRemembered }: Expectation): string[] {
  const words = new Set(expected.split(' '));
  const strange = new Set(outcomes.map(({ word }) => word).filter((word) => !words.has(word)));
  if (strange.size > 0) return [`${[...strange].join(', ')} instead of ${expected}`];
  const steady = isRemembered ? steadyClients(outcomes) : outcomes.map(({ word }) => word);
  if (steady === undefined) return ['a client went to several endpoints'];
  // One client alone stays with one endpoint.
  if (isRemembered && steady.length === 1) return [];
  const risk = { draws: steady.length, probability: 1 / words.size, risk: falseAlarm };
  return [...words].flatMap((word) => {
    const count = steady.filter((other) => other === word).length;
    if (count > 0 && isPlausible(count, risk)) return [];
    return [`${word} answers ${count} of ${steady.length}, which is not one of ${words.size} equal shares`];
  });
}

/** Each client's one word; `undefined` when one of them has two. */
function steadyClients(outcomes: readonly CallOutcome[]): string[] | undefined {
  const byClient = new Map<number, string>();
  for (const { source, word } of outcomes) {
    if ((byClient.get(source) ?? word) !== word) return undefined;
    byClient.set(source, word);
  }
  return [...byClient.values()];
}
