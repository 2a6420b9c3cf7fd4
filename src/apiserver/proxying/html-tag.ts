/** A start tag in a text. */
export interface HtmlTag {
  /** In lower case. */
  readonly element: string;
  /** Those that have a value, where it is, without its quotes. */
  readonly attributes: readonly { readonly name: string; readonly from: number; readonly to: number }[];
  /** Behind its last character. */
  readonly end: number;
}

/**
 * Reads a start tag that begins at a place of a text, as browsers do (HTML standard, 13.2.5.6 and on). Nothing as long as
 * its end is not there.
 */
export function readTag(text: string, at: number): HtmlTag | undefined {
  const attributes: { name: string; from: number; to: number }[] = [];
  const nameEnd = skip(elementName, text, at + 1);
  for (let place = nameEnd; ; ) {
    place = skip(betweenAttributes, text, place);
    if (text[place] === '>') return { element: text.slice(at + 1, nameEnd).toLowerCase(), attributes, end: place + 1 };
    const end = skip(attributeName, text, place);
    const equals = skip(space, text, end);
    if (equals >= text.length) return undefined;
    const name = text.slice(place, end).toLowerCase();
    place = end;
    if (text[equals] !== '=') continue;
    const value = readValue(text, skip(space, text, equals + 1));
    if (value === undefined) return undefined;
    attributes.push({ name, from: value.from, to: value.to });
    place = value.end;
  }
}

const elementName = /[^\s/>]*/y;
const betweenAttributes = /[\s/]*/y;
/** It may begin with what else ends it. */
const attributeName = /[^\s/>][^\s/>=]*/y;
const unquotedValue = /[^\s>]*/y;
const space = /\s*/y;

function readValue(text: string, from: number): { from: number; to: number; end: number } | undefined {
  const quote = text[from];
  if (quote === '"' || quote === "'") {
    const to = text.indexOf(quote, from + 1);
    return to < 0 ? undefined : { from: from + 1, to, end: to + 1 };
  }
  const to = skip(unquotedValue, text, from);
  return to >= text.length ? undefined : { from, to, end: to };
}

/** Where a sticky pattern's match ends. */
function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}
