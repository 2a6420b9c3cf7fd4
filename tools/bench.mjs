// `npm run bench NAME [ARGUMENTS]`: bundles bench/NAME.ts and runs it. What programs the kernel runs in network
// namespaces of its own, never in the machine's.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fail, root, setUp } from './setup.mjs';
import { hostHasIpvs, runInVm } from './vm.mjs';

const [name, ...args] = process.argv.slice(2);
const names = readdirSync(join(root, 'bench'))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -3));
if (name === undefined || !names.includes(name))
  fail(`usage: npm run bench NAME [ARGUMENTS]\nNAME is one of: ${names.join(', ')}`);

/** Milliseconds that a measurement may take in a virtual machine. */
const vmTimeout = 1_800_000;

setUp();
const dir = mkdtempSync(join(existsSync(join(root, 'dist')) ? join(root, 'dist') : tmpdir(), 'bench-'));
try {
  const { build } = await import('esbuild');
  await build({
    entryPoints: [join(root, 'bench', `${name}.ts`)],
    outfile: join(dir, `${name}.mjs`),
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: ['koffi', 'lmdb', 'esbuild'],
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    logLevel: 'warning',
  });
  const user = process.getuid() === 0 ? [] : ['--user', '--map-root-user'];
  // These keep to loopback, or make a cluster with namespaces of its own and look at it from outside.
  const wrap = ['start', 'freshness', 'failover', 'api-server', 'dns-zone', 'relay', 'library', 'publish'].includes(
    name,
  )
    ? []
    : ['unshare', ...user, '--net', '--mount', '--'];
  const [command, ...rest] = [
    ...wrap,
    process.execPath,
    '--expose-gc',
    '--enable-source-maps',
    join(dir, `${name}.mjs`),
    ...args,
  ];
  const needsVm = (name.startsWith('ipvs') || args.includes('--mode=ipvs')) && !hostHasIpvs();
  const { status } = needsVm
    ? runInVm([command, ...rest], { timeout: vmTimeout })
    : spawnSync(command, rest, { cwd: root, stdio: 'inherit' });
  process.exitCode = status ?? 1;
} finally {
  rmSync(dir, { recursive: true, force: true });
}
