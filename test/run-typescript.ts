import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

/** TypeScript, its imports relative to the repository's root, as one CommonJS text that Node runs from there. */
export function bundleTypeScript(source: string): string {
  const { outputFiles } = buildSync({
    stdin: { contents: source, resolveDir: root, loader: 'ts' },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    external: ['koffi'],
    // A text from standard input has no place of its own; files that look around themselves lie in a folder of test/.
    define: { 'import.meta.url': JSON.stringify(pathToFileURL(`${root}test/e2e/stdin.ts`).href) },
    write: false,
    logLevel: 'silent',
  });
  return outputFiles[0]?.text ?? '';
}

/**
 * Runs TypeScript in a Node process of its own, for what would end or bend the test's process.
 * @param wrapper a command that starts Node, such as `unshare --pid --fork`
 */
export function runTypeScript(source: string, wrapper: readonly string[] = []): SpawnSyncReturns<string> {
  const [program = '', ...args] = [...wrapper, process.execPath, '-'];
  return spawnSync(program, args, { input: bundleTypeScript(source), cwd: root, encoding: 'utf8', timeout: 60_000 });
}
