import { existsSync, readFileSync } from 'node:fs';
import Module, { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cachedDataVersionTag } from 'node:v8';
import { Script } from 'node:vm';

/*
 * The first file of every process. Start-up is won with reading little: each component is a bundle of its own
 * (tools/bundle.mjs), and beside it lies what V8 compiled of it when it was built, for the same V8 with the same options.
 */

const bundles = join(dirname(fileURLToPath(import.meta.url)), 'commands');
const [, , word = ''] = process.argv;
const own = join(bundles, `${word}.cjs`);
load(/^[a-z-]+$/.test(word) && existsSync(own) ? own : join(bundles, 'cli.cjs'));

/** As `require` would, which knows of no compiled code. */
function load(file: string): void {
  // Bundles are ASCII.
  const source = Module.wrap(readFileSync(file, 'latin1'));
  const script = new Script(source, { filename: file, cachedData: compiledCode(file) });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(file), module, file, dirname(file));
}

/** `undefined` where it was built for others: then the source is compiled as far as it is needed. */
function compiledCode(file: string): Buffer | undefined {
  const compiled = `${file}.${cachedDataVersionTag()}`;
  return existsSync(compiled) ? readFileSync(compiled) : undefined;
}
