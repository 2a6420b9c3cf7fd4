import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rewriteHtmlLinks } from './html-links.ts';

const prefix = '/p/proxy';
/** A page after its way through the proxy, in pieces of a size. */
async function rewritten(page: string, size = page.length || 1): Promise<string> {
  const rewriting = rewriteHtmlLinks({ prefix, hosts: ['10.0.0.1:80'] });
  const bytes = Buffer.from(page);
  for (let i = 0; i < bytes.length; i += size) rewriting.write(bytes.subarray(i, i + size));
  rewriting.end();
  return text(rewriting);
}

const page = `<!DOCTYPE html><html manifest="/m"><!-- <a href="/a"> --><head><base href="/"><title><a href="/t"></title>
<link rel=icon href=/favicon.ico><script>if (a < b) x = '<a href="/no">';</script><SCRIPT SRC='/app.js' async></SCRIPT>
<style>a > b { background: url(/no) }</style></head><body background="/b"><p title="it's href='/no'">naïve café & <3
<a title=it's HREF = "/a?x=1&amp;y#z" >a</a><a href="http://10.0.0.1:80/abs">b</a><a href="https://example.com/x">c</a>
<a data-href="/no" href="rel">d</a><img src="/i.png" alt="a > b"/><form action='/f'><input formaction=/g ></form>
<textarea><a href="/no"></textarea><a href="${prefix}/x">e</a><!----><a href=/f>f</a><a href=>g</a><a href>h</a></body>`;
const expected = page
  .replace('base href="/"', `base href="${prefix}/"`)
  .replace('=/favicon', `=${prefix}/favicon`)
  .replace("'/app.js'", `'${prefix}/app.js'`)
  .replace('background="/b"', `background="${prefix}/b"`)
  .replace('"/a?x', `"${prefix}/a?x`)
  .replace('"http://10.0.0.1:80/abs"', `"${prefix}/abs"`)
  .replace('"/i.png"', `"${prefix}/i.png"`)
  .replace("'/f'", `'${prefix}/f'`)
  .replace('=/g ', `=${prefix}/g `)
  .replace('href=/f>', `href=${prefix}/f>`);

test('rewriteHtmlLinks leads the links of tags through the proxy, and leaves all else', async () => {
  expect(await rewritten(page)).toBe(expected);
});

test('rewriteHtmlLinks does the same in whatever pieces a page comes', async () => {
  for (const size of [1, 2, 3, 7, 64]) expect(await rewritten(page, size)).toBe(expected);
});

test('rewriteHtmlLinks passes on whatever is no link of a page, byte for byte', async () => {
  const piece = fc.constantFrom(
    '<',
    '>',
    '<a',
    ' href=',
    '"',
    "'",
    'x',
    '<!--',
    '-->',
    '</',
    '<script',
    '</script',
    '=',
    ' ',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece), fc.integer({ min: 1, max: 9 }), async (pieces, size) => {
      const page = pieces.join('');
      expect(await rewritten(page, size)).toBe(page);
    }),
  );
});

test('rewriteHtmlLinks passes on what never ends, and the rest of a page behind what is too long for a tag', async () => {
  for (const open of ['<a href="/a', '<a', '<', '<!-- ', '<script>x', '<a href="/a" '])
    expect(await rewritten(open)).toBe(open);
  const long = `<img src="data:,${'A'.repeat(100_000)}"><a href="/a">`;
  expect(await rewritten(long, 1000)).toBe(long.replace('"/a"', `"${prefix}/a"`));
});
