import { SelectorError } from './label-selector.ts';

/** One condition of a `fieldSelector` parameter. */
export interface FieldRequirement {
  readonly field: string;
  readonly equal: boolean;
  readonly value: string;
}

/**
 * Reads `a=b,c!=d`; `\\`, `\,` and `\=` stand for themselves in values.
 * @throws SelectorError
 */
export function parseFieldSelector(text: string): readonly FieldRequirement[] {
  const requirements: FieldRequirement[] = [];
  for (const term of splitTerms(text)) {
    if (term === '') continue;
    const [, field, operator, value] = /^([^=!\\]+)(==|!=|=)(.*)$/s.exec(term) ?? [];
    if (field === undefined || value === undefined) {
      throw new SelectorError(`invalid selector: '${text}'; can't understand '${term}'`);
    }
    requirements.push({ field: field.trim(), equal: operator !== '!=', value: unescapeValue(value, text) });
  }
  return requirements;
}

function splitTerms(text: string): string[] {
  const terms: string[] = [];
  let term = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i] ?? '';
    if (c === '\\') term += c + (text[++i] ?? '');
    else if (c === ',') {
      terms.push(term);
      term = '';
    } else term += c;
  }
  return [...terms, term];
}

function unescapeValue(value: string, selector: string): string {
  if (/(^|[^\\])(\\\\)*=/.test(value) || /(^|[^\\])(\\\\)*\\([^\\,=]|$)/.test(value)) {
    throw new SelectorError(`invalid selector: '${selector}'; can't understand '${value}'`);
  }
  return value.replaceAll(/\\([\\,=])/g, '$1');
}
