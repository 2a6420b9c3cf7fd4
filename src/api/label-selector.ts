import type { LabelSelector } from './generated/types.ts';
import { labelValue, qualifiedName } from './names.ts';

export type Labels = { readonly [key: string]: string };

/** One condition on labels or on fields, as `LabelSelectorRequirement` and `NodeSelectorRequirement` have it. */
export interface Requirement {
  readonly key: string;
  /** `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt` or `Lt`; any other is never fulfilled. */
  readonly operator: string;
  /** One element for `Gt` and `Lt`, none for `Exists` and `DoesNotExist`. */
  readonly values?: readonly string[];
}

/** Whether labels fulfil a selector. */
export type LabelMatcher = (labels: Labels | undefined) => boolean;

/** A selector cannot be read. Worded as Kubernetes words it. */
export class SelectorError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SelectorError';
  }
}

/**
 * Reads a `labelSelector` parameter: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2`. The empty one matches all.
 * @throws SelectorError
 */
export function parseLabelSelector(text: string): LabelMatcher {
  const requirements = new SelectorParser(text).parse();
  return (labels) => requirements.every((requirement) => fulfils(requirement, labels ?? {}));
}

/** The matcher of a `LabelSelector` of an object's spec: an absent one matches nothing, an empty one all. */
export function matchLabelSelector(selector: LabelSelector | undefined): LabelMatcher {
  if (selector === undefined) return () => false;
  const requirements: Requirement[] = [
    ...Object.entries(selector.matchLabels ?? {}).map(([key, value]) => ({ key, operator: 'In', values: [value] })),
    ...(selector.matchExpressions ?? []),
  ];
  return (labels) => requirements.every((requirement) => fulfils(requirement, labels ?? {}));
}

/** As `kubectl` and the `Scale` object write a selector: `a=b,c in (d,e),!f`. */
export function formatLabelSelector(selector: LabelSelector | undefined): string {
  const expressions = (selector?.matchExpressions ?? []).map(({ key, operator, values = [] }) => {
    if (operator === 'Exists') return key;
    if (operator === 'DoesNotExist') return `!${key}`;
    return `${key} ${operator === 'In' ? 'in' : 'notin'} (${[...values].sort().join(',')})`;
  });
  const labels = Object.entries(selector?.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  return [...labels.sort(), ...expressions].join(',');
}

/** Whether labels (or what stands in their place) fulfil one condition. */
export function fulfils({ key, operator, values = [] }: Requirement, labels: Labels): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return isInteger(value) && Number(value) > Number(values[0]);
    case 'Lt':
      return isInteger(value) && Number(value) < Number(values[0]);
    default:
      return false;
  }
}

function isInteger(text: string | undefined): text is string {
  return text !== undefined && /^[+-]?\d+$/.test(text);
}

const symbols = ['==', '!=', '=', '!', '>', '<', '(', ')', ','] as const;
const isSymbol = (token: string) => (symbols as readonly string[]).includes(token);

class SelectorParser {
  readonly #tokens: readonly string[];
  #at = 0;

  constructor(text: string) {
    this.#tokens = text.match(/==|!=|[=!><(),]|[^\s=!><(),]+/g) ?? [];
  }

  parse(): Requirement[] {
    const requirements: Requirement[] = [];
    while (this.#at < this.#tokens.length) {
      requirements.push(this.#requirement());
      if (this.#at >= this.#tokens.length) break;
      const comma = this.#take();
      if (comma !== ',')
        throw new SelectorError(`unable to parse requirement: found '${comma}', expected: ',' or 'end of string'`);
      if (this.#at >= this.#tokens.length) {
        throw new SelectorError("unable to parse requirement: found '', expected: identifier after ','");
      }
    }
    return requirements;
  }

  #requirement(): Requirement {
    if (this.#peek() === '!') {
      this.#take();
      return { key: this.#key(), operator: 'DoesNotExist' };
    }
    const key = this.#key();
    const operator = this.#peek();
    if (operator === undefined || operator === ',') return { key, operator: 'Exists' };
    this.#take();
    switch (operator) {
      case '=':
      case '==':
        return { key, operator: 'In', values: [this.#value(key)] };
      case '!=':
        return { key, operator: 'NotIn', values: [this.#value(key)] };
      case '>':
      case '<':
        return { key, operator: operator === '>' ? 'Gt' : 'Lt', values: [this.#integer(key)] };
      case 'in':
      case 'notin':
        return { key, operator: operator === 'in' ? 'In' : 'NotIn', values: this.#values(key) };
      default:
        throw new SelectorError(
          `unable to parse requirement: found '${operator}', expected: in, notin, =, ==, !=, gt, lt`,
        );
    }
  }

  #key(): string {
    const key = this.#take();
    if (key === undefined || isSymbol(key)) {
      throw new SelectorError(
        `unable to parse requirement: found '${key ?? ''}', expected: !, identifier, or 'end of string'`,
      );
    }
    const [problem] = qualifiedName(key);
    if (problem !== undefined)
      throw new SelectorError(`unable to parse requirement: <nil>: Invalid value: ${JSON.stringify(key)}: ${problem}`);
    return key;
  }

  /** A value, which is empty when a comma, the text's end or `end` follows at once. */
  #value(key: string, end?: string): string {
    const next = this.#peek();
    if (next === undefined || next === ',' || next === end) return '';
    if (isSymbol(next)) throw new SelectorError(`unable to parse requirement: found '${next}', expected: identifier`);
    this.#at++;
    return checkValue(key, next);
  }

  #integer(key: string): string {
    const value = this.#value(key);
    if (!isInteger(value)) {
      throw new SelectorError(
        `unable to parse requirement: values[0][${key}]: Invalid value: ${JSON.stringify(value)}: for 'Gt', 'Lt' operators, the value must be an integer`,
      );
    }
    return value;
  }

  /** `(a, b)`; an element may be empty. */
  #values(key: string): string[] {
    const open = this.#take();
    if (open !== '(') throw new SelectorError(`unable to parse requirement: found '${open ?? ''}' expected: '('`);
    const values: string[] = [];
    for (;;) {
      const next = this.#peek();
      if (next === undefined) {
        throw new SelectorError("unable to parse requirement: found '', expected: ',', ')' or identifier");
      }
      values.push(this.#value(key, ')'));
      const after = this.#take();
      if (after === ')') return values;
      if (after !== ',')
        throw new SelectorError(`unable to parse requirement: found '${after ?? ''}', expected: ',' or ')'`);
    }
  }

  #peek(): string | undefined {
    return this.#tokens[this.#at];
  }

  #take(): string | undefined {
    return this.#tokens[this.#at++];
  }
}

function checkValue(key: string, value: string): string {
  const [problem] = labelValue(value);
  if (problem !== undefined) {
    throw new SelectorError(
      `unable to parse requirement: values[0][${key}]: Invalid value: ${JSON.stringify(value)}: ${problem}`,
    );
  }
  return value;
}
