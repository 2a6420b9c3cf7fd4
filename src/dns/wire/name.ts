import { pointerMark } from './constants.ts';

declare const nameBrand: unique symbol;
/**
 * A domain name in wire form (RFC 1035 §3.1): each label after its length octet, the root's zero octet last; one
 * character an octet, ASCII letters in lower case. Equal names are equal strings, so a name is a map's key, and a name
 * inside another is its ending.
 */
export type Name = string & { readonly [nameBrand]: true };

/** The root: no labels. */
export const rootName = '\0' as Name;

const maxLabel = 63;
const maxName = 255;

/**
 * The name of these labels under `parent`; `undefined` when a label is empty or longer than 63 octets, or the whole is
 * longer than 255 (RFC 1035 §2.3.4).
 */
export function joinName(labels: readonly string[], parent: Name = rootName): Name | undefined {
  if (labels.some(({ length }) => length === 0 || length > maxLabel)) return undefined;
  // Joined, not added up: names are kept, and a string that was added up keeps its parts too.
  const text = [...labels.flatMap((label) => [String.fromCharCode(label.length), foldCase(label)]), parent].join('');
  return text.length > maxName ? undefined : (text as Name);
}

/**
 * Reads dotted text, absolute whether or not a final dot says so, with the escapes of zone files (`\.` and `\DDD`,
 * RFC 1035 §5.1). `undefined` when it is no name.
 */
export function parseName(text: string): Name | undefined {
  if (text === '.') return rootName;
  const labels = [''];
  for (const [, decimal, escaped, plain] of text.matchAll(/\\(\d{3})|\\([^\d])|([^\\]|\\)/gsu)) {
    if (plain === '.') labels.push('');
    else {
      const character = decimal === undefined ? (escaped ?? plain ?? '') : String.fromCharCode(Number(decimal));
      if (character.length !== 1 || character.charCodeAt(0) > 0xff || plain === '\\') return undefined;
      labels.push((labels.pop() ?? '') + character);
    }
  }
  if (labels.at(-1) === '') labels.pop();
  return labels.length === 0 ? undefined : joinName(labels);
}

/** The inverse of `parseName`, with the final dot. */
export function formatName(name: Name): string {
  if (name === rootName) return '.';
  return labelsOf(name)
    .map((label) => label.replace(/[^!-~]|[.\\]/gs, escapeOctet))
    .join('.')
    .concat('.');
}

function escapeOctet(octet: string): string {
  return octet === '.' || octet === '\\' ? `\\${octet}` : `\\${String(octet.charCodeAt(0)).padStart(3, '0')}`;
}

/** The labels, without the root, from the left. */
export function labelsOf(name: Name): string[] {
  const labels: string[] = [];
  for (let at = 0; at < name.length - 1; ) {
    const length = name.charCodeAt(at);
    labels.push(name.slice(at + 1, at + 1 + length));
    at += length + 1;
  }
  return labels;
}

/** The name without its first label. The root is its own parent. */
export function parentName(name: Name): Name {
  return name === rootName ? name : (name.slice(name.charCodeAt(0) + 1) as Name);
}

/** Whether the name is the ancestor itself or below it. */
export function isWithin(name: Name, ancestor: Name): boolean {
  if (!name.endsWith(ancestor)) return false;
  // The same octets may stand inside a label, so the ending has to begin where a label does.
  const start = name.length - ancestor.length;
  let at = 0;
  while (at < start) at += name.charCodeAt(at) + 1;
  return at === start;
}

/** A name read from a message, and the offset after it where it stood. */
export interface ReadName {
  readonly name: Name;
  readonly end: number;
}

/**
 * Reads a name that may be compressed (RFC 1035 §4.1.4). `undefined` when it leaves the message, is too long, has a
 * label type of another kind, or a pointer that does not lead to before all that was read: so a reading ends.
 */
export function readName(message: Buffer, offset: number): ReadName | undefined {
  let text = '';
  let at = offset;
  let lowest = offset;
  let end: number | undefined;
  for (;;) {
    const length = message[at];
    if (length === undefined) return undefined;
    if (length === 0) return { name: foldCase(`${text}\0`) as Name, end: end ?? at + 1 };
    if (length > maxLabel) {
      end ??= at + 2;
      at = pointerTarget(message, at);
      if (at >= lowest) return undefined;
      lowest = at;
    } else {
      const next = at + 1 + length;
      if (next >= message.length || text.length + length + 2 > maxName) return undefined;
      text += message.toString('latin1', at, next);
      at = next;
    }
  }
}

/** Where a pointer leads; nowhere before anything if it is none. */
function pointerTarget(message: Buffer, at: number): number {
  const high = message[at] ?? 0;
  const low = message[at + 1];
  return high < pointerMark || low === undefined ? Number.POSITIVE_INFINITY : ((high & 0x3f) << 8) | low;
}

/**
 * ASCII letters to lower case, all else as it is (RFC 4343). Length octets are below 64 and so never letters: the
 * wire form can be folded as a whole.
 */
export function foldCase(text: string): string {
  // toLowerCase would also fold the Latin letters above 0x7f, which DNS tells apart.
  return text.replace(/[A-Z]+/g, (upper) => upper.toLowerCase());
}
