import { Transform } from 'node:stream';
import { readTag } from './html-tag.ts';
import { type LinkContext, throughProxy } from './paths.ts';

/** Which attributes of which elements are links, as in Kubernetes' proxy. */
const linkAttributes: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    a: ['href'],
    area: ['href'],
    audio: ['src'],
    base: ['href'],
    blockquote: ['cite'],
    body: ['background'],
    button: ['formaction'],
    del: ['cite'],
    embed: ['src'],
    form: ['action'],
    frame: ['longdesc', 'src'],
    iframe: ['longdesc', 'src'],
    img: ['longdesc', 'src', 'usemap'],
    input: ['formaction', 'src'],
    ins: ['cite'],
    link: ['href'],
    object: ['classid', 'codebase', 'data', 'usemap'],
    q: ['cite'],
    script: ['src'],
    source: ['src'],
    track: ['src'],
    video: ['poster', 'src'],
  }),
);

/** Elements whose content is text up to their end, whatever it looks like (HTML standard, 13.1.2). */
const textElements: ReadonlySet<string> = new Set(['script', 'style', 'textarea', 'title', 'xmp', 'noframes']);

/** A tag that is longer is passed on as it is: an image within the page, most likely. */
const maxTagLength = 16 << 10;

/** Rewrites the links in the tags of an HTML page while it passes, and nothing else of it; see `throughProxy`. */
export function rewriteHtmlLinks(links: LinkContext): Transform {
  const page = new HtmlPage(links);
  return new Transform({
    // One byte is one character, whatever the encoding, as long as ASCII is in it: what is no tag comes out as it came.
    transform: (piece: Buffer, _, done) => done(null, Buffer.from(page.take(piece.toString('latin1')), 'latin1')),
    flush: (done) => done(null, Buffer.from(page.end(), 'latin1')),
  });
}

class HtmlPage {
  readonly #links: LinkContext;
  /** What came last, whose meaning depends on what follows. */
  #open = '';
  /** What has to come before there are tags again: the end of a comment, or of an element that holds text alone. */
  #until: RegExp | undefined;

  constructor(links: LinkContext) {
    this.#links = links;
  }

  /** What can be passed on after another piece. */
  take(piece: string): string {
    const text = this.#open + piece;
    let passed = '';
    let at = 0;
    while (at < text.length) {
      const next = this.#until === undefined ? this.#step(text, at) : this.#skip(this.#until, text, at);
      if (next === undefined) break;
      passed += next.text;
      at = next.to;
    }
    this.#open = text.slice(at);
    if (this.#open.length <= maxTagLength) return passed;
    return passed + this.end();
  }

  /** The rest. */
  end(): string {
    const rest = this.#open;
    this.#open = '';
    return rest;
  }

  /** As far as the end of what holds no tags; the last characters may be the beginning of that end. */
  #skip(until: RegExp, text: string, at: number): Step | undefined {
    until.lastIndex = at;
    const end = until.exec(text);
    const to = end?.index ?? Math.max(at, text.length - longestEnd);
    if (end !== null) this.#until = undefined;
    return end === null && to === at ? undefined : { text: text.slice(at, to), to };
  }

  /** As far as the next tag, or over it. */
  #step(text: string, at: number): Step | undefined {
    if (text[at] !== '<') {
      const next = text.indexOf('<', at);
      const to = next < 0 ? text.length : next;
      return { text: text.slice(at, to), to };
    }
    if (text.length - at < '<!--'.length) return undefined;
    if (text.startsWith('<!--', at)) {
      // The dashes that begin a comment can be those that end it.
      this.#until = /-->/g;
      return { text: '<!', to: at + '<!'.length };
    }
    return /[a-z]/i.test(text[at + 1] ?? '') ? this.#tag(text, at) : { text: '<', to: at + 1 };
  }

  #tag(text: string, at: number): Step | undefined {
    const tag = readTag(text, at);
    if (tag === undefined) return undefined;
    const { element, attributes, end } = tag;
    if (textElements.has(element)) this.#until = new RegExp(`</${element}(?=[\\s/>])`, 'gi');
    const isLink = linkAttributes.get(element) ?? [];
    let passed = '';
    let to = at;
    for (const { name, ...value } of attributes) {
      if (!isLink.includes(name)) continue;
      passed += text.slice(to, value.from) + throughProxy(text.slice(value.from, value.to), this.#links);
      to = value.to;
    }
    return { text: passed + text.slice(to, end), to: end };
  }
}

/** What was passed over, as it is passed on, and where it ends. */
interface Step {
  readonly text: string;
  readonly to: number;
}

/** `</textarea` and the character behind. */
const longestEnd = 12;
