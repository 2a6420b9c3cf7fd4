// All checks that need no test: types, generated files, lint with import boundaries, dead code.
import { join } from 'node:path';
import { root, run } from './setup.mjs';

const bin = (name) => join(root, 'node_modules/.bin', name);
for (const [what, command, ...args] of [
  ['types', bin('tsc'), '-b'],
  ['types of tests', bin('tsc'), '-p', 'tsconfig.test.json'],
  ['generated files', process.execPath, 'tools/generate-kubernetes-types.mjs', '--check'],
  ['lint, format and import boundaries', bin('biome'), 'ci', '--error-on-warnings', '.'],
  ['dead code', bin('knip'), '--no-progress'],
]) {
  console.log(`check: ${what}`);
  run(command, args);
}
