// Has V8 compile all of each bundle in a folder and lays the result beside it, where src/cli/start.ts looks for it:
// `node [OPTIONS] tools/compile.mjs FOLDER FOLDER-TO-BE BUNDLE…`. It counts for processes with the same V8 and the same
// options alone.
import { readFileSync, writeFileSync } from 'node:fs';
import Module from 'node:module';
import { join } from 'node:path';
import { cachedDataVersionTag, setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

const [, , folder = '', folderToBe = '', ...bundles] = process.argv;
const tag = cachedDataVersionTag();
for (const bundle of bundles) {
  const file = join(folder, bundle);
  // Not only what runs at first: a function that is compiled when it is called has its source read twice.
  setFlagsFromString('--no-lazy');
  // Stacks show the name that is compiled in.
  const filename = join(folderToBe, bundle);
  const script = new Script(Module.wrap(readFileSync(file, 'latin1')), { filename });
  // The options are part of what it counts for.
  setFlagsFromString('--lazy');
  writeFileSync(`${file}.${tag}`, script.createCachedData());
}
