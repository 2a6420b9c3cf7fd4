/** A text is not base64; `at` is the index of the character where that shows. */
export class Base64Error extends Error {
  readonly at: number;

  constructor(at: number) {
    super(`illegal base64 data at input byte ${at}`);
    this.name = 'Base64Error';
    this.at = at;
  }
}

const isNewline = (character: string | undefined) => character === '\n' || character === '\r';

/**
 * The one way to write what a base64 text says. Line ends count for nothing, padding is asked for: RFC 4648, section 4,
 * as Go reads it.
 * @throws Base64Error
 */
export function canonicalBase64(text: string): string {
  const canonical = Buffer.from(text, 'base64').toString('base64');
  // What was written by a program is so already; only other texts are worth a look at each character.
  if (canonical !== text) checkBase64(text);
  return canonical;
}

function checkBase64(text: string): void {
  let digits = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i] ?? '';
    if (isNewline(character)) continue;
    if (character === '=') {
      checkPadding(text, i, digits % 4);
      return;
    }
    if (!/[A-Za-z0-9+/]/.test(character)) throw new Base64Error(i);
    digits++;
  }
  if (digits % 4 !== 0) throw new Base64Error(text.length - (digits % 4));
}

/** `at` is where the padding begins, after so many digits of a group of four. */
function checkPadding(text: string, at: number, digits: number): void {
  if (digits < 2) throw new Base64Error(at);
  const next = (from: number) => {
    let i = from;
    while (isNewline(text[i])) i++;
    return i;
  };
  let end = next(at + 1);
  if (digits === 2) {
    if (end === text.length) throw new Base64Error(end);
    if (text[end] !== '=') throw new Base64Error(end - 1);
    end = next(end + 1);
  }
  if (end < text.length) throw new Base64Error(end);
}
