// Bundles the command line and the programs behind the built-in images. One file of each component instead of some
// hundred modules is what start-up time is won with: a cluster starts a dozen Node processes.
import { readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { root } from './setup.mjs';

const target = join(root, 'dist/bin');
// Beside the old one until it is whole: who starts a command meanwhile finds the old bundle or the new one.
const outdir = `${target}.new`;
rmSync(outdir, { recursive: true, force: true });
const images = readdirSync(join(root, 'src/images')).filter((f) => f.endsWith('.ts') && !f.endsWith('.test.ts'));
await build({
  entryPoints: {
    signalbox: join(root, 'src/cli/main.ts'),
    testing: join(root, 'src/library/main.ts'),
    ...Object.fromEntries(images.map((f) => [`images/${f.slice(0, -3)}`, join(root, 'src/images', f)])),
  },
  outdir,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  legalComments: 'none',
  sourcemap: 'linked',
  chunkNames: 'chunks/[name]-[hash]',
  // Both load a prebuilt native library that lies beside their own files.
  external: ['koffi', 'lmdb'],
  // CommonJS packages in the bundle call require() for Node's own modules.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  logLevel: 'warning',
});
rmSync(target, { recursive: true, force: true });
renameSync(outdir, target);
