// A Linux kernel in which IPVS can be tested where the machine's own has none: Debian's user-mode-linux, an ordinary
// process with a kernel in it. It boots in two seconds, with the machine's file system read-only.
//
//     node tools/vm.mjs COMMAND ARGUMENT…        runs a command as root in it, with its output and exit status
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = join(fileURLToPath(new URL('..', import.meta.url)), 'test/vm');
const modules = '/usr/lib/uml/modules';
const memory = '3G';

/** Why there is no virtual machine here; `undefined` when there is one. Takes as long as it takes to boot. */
export function vmLacks() {
  if (process.getuid() !== 0) return "only root can start it: to others, files of root are somebody else's in there";
  if (!onPath('linux.uml')) return 'no linux.uml (Debian package user-mode-linux)';
  if (!onPath('modprobe')) return 'no modprobe (Debian package kmod)';
  const { status, messages } = runInVm(['true'], { timeout: 60_000, stdio: 'ignore' });
  return status === 0 ? undefined : `linux.uml does not run here: ${lastLine(messages)}`;
}

/** Whether the machine's own kernel has all that ipvs mode needs: then no other one is. */
export function hostHasIpvs() {
  const user = process.getuid() === 0 ? [] : ['--user', '--map-root-user'];
  const tries = 'ipvsadm -Ln && ipset list -n && ip link add probe type dummy';
  return spawnSync('unshare', [...user, '--net', '--', 'sh', '-c', tries], { stdio: 'ignore' }).status === 0;
}

/**
 * Runs a command as root in a virtual machine of its own, in the current folder; its output comes as it is written.
 * When this process ends, however it ends, so does all that was started. `collect` names a file the command leaves at
 * `/run/exchange/NAME`, and where it is to be put.
 * @returns its exit status (`undefined` when the machine ended before it), and what the kernel said outside its console
 */
export function runInVm(command, { timeout, stdio = 'inherit', env = {}, collect } = {}) {
  const exchange = mkdtempSync(join(tmpdir(), 'signalbox-vm-'));
  try {
    const settings = Object.entries(env).map(([name, value]) => `export ${name}=${quoted(value)}\n`);
    writeFileSync(
      join(exchange, 'command'),
      `${settings.join('')}cd ${quoted(process.cwd())} && exec ${command.map(quoted).join(' ')}\n`,
    );
    const { stderr, error } = spawnSync('setpriv', bootCommand(exchange), {
      stdio: ['ignore', stdio, 'pipe'],
      timeout,
      killSignal: 'SIGKILL',
      env: { PATH: process.env.PATH, HOME: exchange, TMPDIR: memoryFolder(), ...preload(exchange) },
    });
    if (collect !== undefined && existsSync(join(exchange, collect.name))) {
      writeFileSync(collect.to, readFileSync(join(exchange, collect.name)));
    }
    return { status: statusIn(exchange), messages: error?.code === 'ETIMEDOUT' ? 'out of time' : `${stderr}` };
  } finally {
    rmSync(exchange, { recursive: true, force: true });
  }
}

/** The kernel in a PID namespace that ends with whoever holds it: it is many processes, which outlive a killed one. */
function bootCommand(exchange) {
  return [
    ...['--pdeathsig', 'KILL', '--', 'unshare', '--pid', '--fork', '--kill-child', '--'],
    ...['linux.uml', `mem=${memory}`, 'root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro'],
    ...[`init=${join(folder, 'init.sh')}`, 'con=null', 'con0=fd:0,fd:1', 'loglevel=1'],
    // What the kernel does not know it hands to init as environment.
    ...[`EXCHANGE=${exchange}`, `MODULES=${modules}`],
  ];
}

/** Without a compiler the kernel runs as it is, which is enough on processors of its age: see xstate.c. */
function preload(exchange) {
  const library = join(exchange, 'xstate.so');
  const args = ['-O2', '-shared', '-fPIC', '-nostdlib', '-o', library, join(folder, 'xstate.c')];
  return spawnSync('cc', args, { stdio: 'ignore' }).status === 0 ? { LD_PRELOAD: library } : {};
}

/** Its memory is a file, mapped as executable. */
function memoryFolder() {
  return existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
}

function statusIn(exchange) {
  const path = join(exchange, 'status');
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : undefined;
}

function onPath(command) {
  const path = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
  return path.split(':').some((dir) => dir !== '' && existsSync(join(dir, command)));
}

function quoted(text) {
  return `'${String(text).replaceAll("'", String.raw`'\''`)}'`;
}

function lastLine(text) {
  return text.trim().split('\n').at(-1) || 'it says nothing';
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { status, messages } = runInVm(process.argv.slice(2), { timeout: 900_000 });
  if (status === undefined) console.error(messages);
  process.exit(status ?? 1);
}
