// Adds to package-lock.json the packages for other platforms that a registry mirror left out. `npm ci` compares the
// lock with all that package.json can lead to, also with what this platform will never install, and refuses a lock
// without it. Run it after a change of dependencies; it does nothing when the lock is complete.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './setup.mjs';

const path = join(root, 'package-lock.json');
const lock = JSON.parse(readFileSync(path, 'utf8'));
const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const processors = ['arm64', 'arm', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64', 'wasm32'];

let added = 0;
for (const [at, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (`node_modules/${name}` in lock.packages || `${at}/node_modules/${name}` in lock.packages) continue;
    const words = name.split(/[/-]/);
    const os = systems.filter(
      (system) => words.includes(system) || words.some((word) => word.startsWith(`${system}-`)),
    );
    const cpu = processors.filter((processor) => words.includes(processor));
    // A package of every platform would be installed, so it cannot be left out of the lock's reach unseen.
    if (os.length === 0 && cpu.length === 0) {
      console.error(`${name} is not in the lock, and its name tells no platform: run npm install`);
      process.exitCode = 1;
      continue;
    }
    const libc = words.includes('musl') ? { libc: ['musl'] } : {};
    lock.packages[`node_modules/${name}`] = {
      version: version.replace(/^[\^~]/, ''),
      ...(entry.dev ? { dev: true } : {}),
      optional: true,
      ...(os.length === 0 ? {} : { os }),
      ...(cpu.length === 0 ? {} : { cpu }),
      ...libc,
    };
    added++;
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
if (added > 0) writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added} packages added`);
