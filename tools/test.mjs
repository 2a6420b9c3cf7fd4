// The whole test suite: set-up, build, then every level, each as every kind of user it must work for. The last line
// counts; a level that cannot run here says why and counts as skipped.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installDebianPackages, root, setUp } from './setup.mjs';
import { hostHasIpvs, runInVm, vmLacks } from './vm.mjs';

const nobody = 65534;
/** Milliseconds; it takes a few minutes. */
const vmTimeout = 900_000;
const isRoot = process.getuid() === 0;
const only = process.argv.slice(2);

setUp();
installDebianPackages();
const scratch = mkdtempSync(join(tmpdir(), 'signalbox-test-'));
chmodSync(scratch, 0o755);
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

// The same as a cluster's: containers need a PID namespace that belongs to their user namespace.
const namespaces = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private'];
const levels = [
  { name: 'unit', project: 'unit' },
  { name: 'integration', project: 'integration' },
  { name: 'kernel', project: 'kernel', wrap: isRoot ? ['unshare', ...namespaces, '--'] : rootlessNamespaces() },
  {
    ...{ name: 'kernel, as an ordinary user', project: 'kernel', user: true, wrap: rootlessNamespaces() },
    // What differs by user is how modes reach the kernel, which has tests of its own beside each; the rules do not.
    env: { PROXY_MODE: 'nftables' },
    says: 'the scenarios of test/conformance are played in nftables mode alone here: in all modes as root',
  },
  { name: 'ipvs', project: 'ipvs', wrap: isRoot ? ['unshare', ...namespaces, '--'] : rootlessNamespaces(), vm: true },
  { name: 'end to end', project: 'e2e' },
  { name: 'end to end, as an ordinary user', project: 'e2e', user: true },
].filter((level) => only.length === 0 || only.includes(level.project));

let ordinaryUser;
const total = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
let broken = false;
for (const level of levels) {
  // Run by an ordinary user, the first of a pair is that user's run already.
  if (level.user && !isRoot) continue;
  console.log(`\n== ${level.name}`);
  if (level.says !== undefined) console.log(level.says);
  const result = level.vm && !hostHasIpvs() ? runVmLevel(level) : runLevel(level);
  for (const key of Object.keys(total)) total[key] += result[key];
  broken ||= result.broken;
}
// Said again at the end, where who reads a long log looks first.
for (const line of failures) console.log(line);
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(broken || total.failed > 0 || total.passed === 0 ? 1 : 0);

function rootlessNamespaces() {
  return ['unshare', '--user', '--map-root-user', ...namespaces, '--'];
}

/** A level that this machine's kernel cannot run, in a virtual machine with one that can. */
function runVmLevel({ name, project }) {
  const reason = vmLacks();
  if (reason !== undefined) {
    console.log(`skipped: this kernel has no IPVS, and there is no virtual machine with one: ${reason}`);
    return { passed: 0, failed: 0, skipped: 1, broken: false };
  }
  const report = join(scratch, 'ipvs.json');
  const command = vitestCommand(root, { project, report: '/run/exchange/report.json' });
  const { status, messages } = runInVm(command, {
    timeout: vmTimeout,
    collect: { name: 'report.json', to: report },
  });
  if (status === undefined) console.error(`level ${name}: the virtual machine ended early: ${messages}`);
  return { ...counts(name, report), broken: status !== 0 };
}

function runLevel(level) {
  const report = join(scratch, `${level.name.replaceAll(/\W+/g, '-')}.json`);
  if (level.user) ordinaryUser ??= copyForOrdinaryUser();
  const at = level.user ? ordinaryUser : { cwd: root, prefix: [], env: process.env };
  const [command, ...args] = [
    ...at.prefix,
    ...(level.wrap ?? []),
    ...vitestCommand(at.cwd, { project: level.project, report: at.report ?? report }),
  ];
  const { status, error } = spawnSync(command, args, {
    cwd: at.cwd,
    stdio: 'inherit',
    env: { ...at.env, ...level.env },
  });
  if (error) console.error(`${command} could not be started: ${error.message}`);
  return { ...counts(level.name, at.report ?? report), broken: status !== 0 };
}

function vitestCommand(folder, { project, report }) {
  return [
    process.execPath,
    join(folder, 'node_modules/vitest/vitest.mjs'),
    'run',
    // The default loader writes beside the packages, where not every user may.
    ...['--configLoader', 'runner', '--project', project],
    ...['--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
  ];
}

/** Counts of a report, naming each skipped test; a test says why it was skipped in its own name or output. */
function counts(level, report) {
  let json;
  try {
    json = JSON.parse(readFileSync(report, 'utf8'));
  } catch {
    failures.push(`\nfailed: ${level}: it left no report`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
  for (const file of json.testResults) {
    for (const test of file.assertionResults.filter((t) => t.status === 'pending' || t.status === 'skipped')) {
      console.log(`skipped: ${test.fullName}`);
    }
    for (const test of file.assertionResults.filter(({ status }) => status === 'failed')) {
      failures.push(`\nfailed: ${level}: ${test.fullName}\n${shortened(test.failureMessages.join('\n'))}`);
    }
    if (file.status === 'failed' && file.assertionResults.length === 0) {
      failures.push(`\nfailed: ${level}: ${file.name}\n${shortened(file.message)}`);
    }
  }
  const failedFiles = json.testResults.filter((f) => f.status === 'failed' && f.assertionResults.length === 0).length;
  return {
    passed: json.numPassedTests,
    failed: json.numFailedTests + failedFiles,
    skipped: json.numPendingTests + json.numTodoTests,
  };
}

/** What a failure says, without the middle if it says much. */
function shortened(text) {
  return text.length <= 4000 ? text : `${text.slice(0, 3000)}\n…\n${text.slice(-1000)}`;
}

/** A copy that the user `nobody` can read and write: a checkout may lie where only its owner may look. */
function copyForOrdinaryUser() {
  const copy = join(scratch, 'user');
  // Beside the copy, not in it: programs that tests write must not be taken for modules of this package.
  const home = join(scratch, 'home');
  mkdirSync(home, { recursive: true });
  for (const name of [
    'package.json',
    'package-lock.json',
    'README.md',
    'docs',
    'deploy',
    'tools',
    'tsconfig.json',
    'vitest.config.ts',
    'biome.json',
    'bin',
    'dist',
    'examples',
    'src',
    'test',
    'node_modules',
  ]) {
    cpSync(join(root, name), join(copy, name), { recursive: true, verbatimSymlinks: true });
  }
  spawnSync('chown', ['-R', `${nobody}:${nobody}`, copy, home]);
  const env = { ...process.env, HOME: home, USER: 'nobody', TMPDIR: home };
  delete env.SIGNALBOX_HOME;
  return {
    cwd: copy,
    prefix: ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', '--'],
    env,
    report: join(home, 'report.json'),
  };
}
