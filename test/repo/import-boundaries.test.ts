import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');
const forbidden = [
  ['net', '../api/object.ts'],
  ['api', '../client/types.ts'],
  ['store', '../api/object.ts'],
  ['tracker', '../model/types.ts'],
  ['backends/nftables', '../../api/object.ts'],
  ['backends/nftables', '../../kernel/ffi.ts'],
  ['backends/nftables', '../iptables/compile.ts'],
  ['kernel', '../model/types.ts'],
  ['controllers', '../kernel/ffi.ts'],
  ['dns', '../proxy/run.ts'],
  ['dns', '../node-local/run.ts'],
  ['node-local', '../node/run.ts'],
  ['relay', '../model/types.ts'],
  ['controllers', '../relay/relay.ts'],
  ['node', '../proxy/run.ts'],
  ['proxy', '../publisher/publisher.ts'],
  ['publisher', '../cluster/plan.ts'],
  ['cluster', '../cli/report.ts'],
  ['cluster', '../library/cluster.ts'],
] as const;
const allowed = [
  ['api', '../net/ip.ts'],
  ['backends/nftables', '../../model/types.ts'],
  ['proxy', '../kernel/ffi.ts'],
  ['node-local', '../dns/server.ts'],
  ['proxy', '../relay/relay.ts'],
  ['publisher', '../relay/relay.ts'],
  ['cli', '../cluster/plan.ts'],
  ['library', '../cluster/plan.ts'],
] as const;
/** Two files that import each other, if only types. */
const circle = ['left', 'right'] as const;

const file = (folder: string, target: string) => `src/${folder}/${target.replaceAll(/\W+/g, '-')}.ts`;
let dir: string;
let refused: Set<string>;

// The project's own lint configuration over a tree of files that each import one thing.
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'sbx-boundaries-'));
  copyFileSync(join(root, 'biome.json'), join(dir, 'biome.json'));
  for (const [folder, target] of [...forbidden, ...allowed]) {
    const path = join(dir, file(folder, target));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `import { x } from '${target}';\n\nexport const y = x;\n`);
  }
  for (const [from, to] of [circle, [...circle].reverse()])
    writeFileSync(join(dir, `src/net/${from}.ts`), `import type { T } from './${to}.ts';\n\nexport type U = T;\n`);
  const { stdout } = spawnSync(
    join(root, 'node_modules/.bin/biome'),
    [
      'lint',
      '--vcs-enabled=false',
      '--only=style/noRestrictedImports',
      '--only=suspicious/noImportCycles',
      '--reporter=github',
      '--max-diagnostics=none',
      '.',
    ],
    { cwd: dir, encoding: 'utf8' },
  );
  refused = new Set([...stdout.matchAll(/file=([^,]+)/g)].map((match) => relative(dir, match[1] ?? '')));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('import boundaries', () => {
  test.each(forbidden)('%s may not import %s', (folder, target) => {
    expect(refused).toContain(file(folder, target));
  });

  test.each(allowed)('%s may import %s', (folder, target) => {
    expect(refused).not.toContain(file(folder, target));
  });

  test.each(circle)('a file may not import what imports it: %s', (name) => {
    expect(refused).toContain(`src/net/${name}.ts`);
  });
});
