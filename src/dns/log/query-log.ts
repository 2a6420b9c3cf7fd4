import type { Logger } from '../../component/log.ts';
import type { LogRule, ResponseClass } from '../config/types.ts';
import { rcode } from '../wire/constants.ts';
import { isWithin, type Name } from '../wire/name.ts';
import { type Answered, compileFormat } from './format.ts';

interface CompiledRule {
  readonly zones: readonly Name[];
  readonly classes: readonly ResponseClass[];
  readonly line: (answered: Answered) => string;
}

/** A line for each query that the rules choose. */
export class QueryLog {
  readonly #rules: readonly CompiledRule[];
  readonly #log: Logger;

  constructor(rules: readonly LogRule[], log: Logger) {
    this.#rules = rules.map(({ zones, classes, format }) => ({ zones, classes, line: compileFormat(format) }));
    this.#log = log;
  }

  /** Notes a query that has been answered. */
  note(answered: Answered): void {
    const { name } = answered.incoming.query;
    const rule = this.#rules.find(({ zones }) => zones.some((zone) => isWithin(name, zone)));
    if (rule === undefined) return;
    if (rule.classes.length === 0 || rule.classes.includes(classOf(answered))) this.#log.info(rule.line(answered));
  }
}

/** What came of a query: an answer, that there is none, or nothing. */
function classOf({ reply, rcode: code }: Answered): ResponseClass {
  if (code === rcode.NXDOMAIN) return 'denial';
  if (code !== rcode.NOERROR) return 'error';
  return reply.readUInt16BE(6) === 0 ? 'denial' : 'success';
}
