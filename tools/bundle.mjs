// Bundles the programs: each component by itself, as a cluster starts a dozen of them and start-up time is won with what
// is not read; what people type, together; the programs behind the built-in images; the library for tests.
import { copyFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { proxyNodeOptions } from '../dist/lib/cluster/node-options.js';
import { root, run } from './setup.mjs';

/**
 * What commands load, as src/cli/program.ts and src/cli/component.ts import it. A command that has a bundle of its own is
 * found by its name (src/cli/start.ts).
 */
const bundles = {
  cli: ['./up.ts', './down.ts', './status.ts', './exec.ts', './kubeconfig.ts', './proxy-mode.ts'],
  apiserver: ['./component.ts', './standalone-api-server.ts', '../apiserver/'],
  controllers: ['./component.ts', '../controllers/'],
  node: ['./component.ts', '../node/'],
  proxy: ['./component.ts', './proxy-cleanup.ts', '../proxy/'],
  speaker: ['./component.ts', '../speaker/'],
  dns: ['./component.ts', './node-local-cleanup.ts', '../dns/run.ts', '../node-local/'],
  'dns-worker': ['../dns/workers/'],
  supervisor: ['../cluster/'],
  publisher: ['./component.ts', '../publisher/'],
  binder: ['../publisher/'],
};

const target = join(root, 'dist/bin');
// Beside the old one until it is whole: who starts a command meanwhile finds the old bundles or the new ones.
const outdir = `${target}.new`;
rmSync(outdir, { recursive: true, force: true });

const options = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  legalComments: 'none',
  sourcemap: 'linked',
  sourcesContent: false,
  // Both load a prebuilt native library that lies beside their own files.
  external: ['koffi', 'lmdb'],
  logLevel: 'warning',
};
// Scripts, not modules: these can be compiled beforehand.
const script = {
  ...options,
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  supported: { 'dynamic-import': false },
  define: { 'import.meta.url': '__url' },
};
/** Every script takes itself for the one program that is started, wherever it lies. */
const standFor = (path) => ({
  js: `const __url = require('node:url').pathToFileURL(require('node:path').join(__dirname, '${path}')).href;`,
});

const imported = new Set();
const kept = new Set();
/** Has a bundle hold, of what the command line imports as it is needed, what its own commands need. */
function loadsOnly(wanted) {
  const filter = /^\.\.?\//;
  const setup = (bundler) =>
    bundler.onResolve({ filter }, ({ kind, importer, path }) => {
      if (kind !== 'dynamic-import' || !/\/src\/cli\/(?:program|component)\.ts$/.test(importer)) return undefined;
      imported.add(path);
      if (!wanted.some((part) => path.startsWith(part))) return { path, external: true };
      kept.add(path);
      return undefined;
    });
  return { name: 'loads-only', setup };
}

const images = readdirSync(join(root, 'src/images')).filter((f) => f.endsWith('.ts') && !f.endsWith('.test.ts'));
await Promise.all([
  build({
    ...options,
    entryPoints: {
      testing: join(root, 'src/library/main.ts'),
      ...Object.fromEntries(images.map((f) => [`images/${f.slice(0, -3)}`, join(root, 'src/images', f)])),
    },
    outdir,
    splitting: true,
    format: 'esm',
    chunkNames: 'chunks/[name]-[hash]',
    // CommonJS packages in the bundle call require() for Node's own modules.
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
  }),
  // The library once more, for those that require() it where modules cannot be had so: Jest, above all.
  build({
    ...script,
    entryPoints: { testing: join(root, 'src/library/main.ts') },
    outdir,
    banner: standFor('testing.cjs'),
  }),
  build({
    ...script,
    entryPoints: { signalbox: join(root, 'src/cli/start.ts') },
    outdir,
    banner: standFor('signalbox.cjs'),
  }),
  ...Object.entries(bundles).map(([name, wanted]) =>
    build({
      ...script,
      entryPoints: { [`commands/${name}`]: join(root, 'src/cli/main.ts') },
      outdir,
      banner: standFor('../signalbox.cjs'),
      plugins: [loadsOnly(wanted)],
    }),
  ),
]);
const missing = [...imported].filter((path) => !kept.has(path));
if (missing.length > 0) throw new Error(`no bundle holds ${missing.join(', ')}: name them in tools/bundle.mjs`);

const compile = [join(root, 'tools/compile.mjs'), join(outdir, 'commands'), join(target, 'commands')];
run(process.execPath, [...compile, ...Object.keys(bundles).map((name) => `${name}.cjs`)]);
run(process.execPath, [...proxyNodeOptions, ...compile, 'proxy.cjs']);

rmSync(target, { recursive: true, force: true });
renameSync(outdir, target);
// Declarations are taken as they are: tsc leaves them where they lie.
copyFileSync(join(root, 'src/library/required.d.cts'), join(root, 'dist/lib/library/required.d.cts'));
