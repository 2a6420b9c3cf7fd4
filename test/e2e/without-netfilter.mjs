// Runs a program that cannot open netfilter's netlink sockets, as on a kernel that has none: a seccomp filter answers
// socket(AF_NETLINK, …, NETLINK_NETFILTER) with EPROTONOSUPPORT, which is what such a kernel says.
import { spawnSync } from 'node:child_process';
import koffi from 'koffi';

// include/uapi/linux/{filter,seccomp,netlink,prctl}.h
const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const RETURN = 0x06;
const SECCOMP_RET_ALLOW = 0x7fff0000;
const SECCOMP_RET_ERRNO = 0x00050000;
const EPROTONOSUPPORT = 93;
const AF_NETLINK = 16;
const NETLINK_NETFILTER = 12;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_SET_SECCOMP = 22;
const SECCOMP_MODE_FILTER = 2;
const socketCall = { x64: 41, arm64: 198 }[process.arch];

// struct seccomp_data: number at 0, arguments from 16 on, 8 bytes each.
const program = [
  [LOAD, 0, 0, 0],
  [JUMP_EQUAL, 0, 5, socketCall],
  [LOAD, 0, 0, 16],
  [JUMP_EQUAL, 0, 3, AF_NETLINK],
  [LOAD, 0, 0, 32],
  [JUMP_EQUAL, 0, 1, NETLINK_NETFILTER],
  [RETURN, 0, 0, SECCOMP_RET_ERRNO | EPROTONOSUPPORT],
  [RETURN, 0, 0, SECCOMP_RET_ALLOW],
];
const code = Buffer.alloc(program.length * 8);
program.forEach(([operation, whenTrue, whenFalse, value], index) => {
  code.writeUInt16LE(operation, index * 8);
  code.writeUInt8(whenTrue, index * 8 + 2);
  code.writeUInt8(whenFalse, index * 8 + 3);
  code.writeUInt32LE(value, index * 8 + 4);
});

koffi.struct('sock_fprog', { len: 'uint16_t', filter: 'void *' });
const libc = koffi.load(null);
const prctl = libc.func('int prctl(int, ulong, ulong, ulong, ulong)');
const prctlFilter = libc.func('int prctl(int, ulong, sock_fprog *)');
if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0) throw new Error('no_new_privs was refused');
if (prctlFilter(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, { len: program.length, filter: code }) !== 0)
  throw new Error('the filter was refused');

const [command, ...args] = process.argv.slice(2);
const { status } = spawnSync(command, args, { stdio: 'inherit' });
process.exit(status ?? 1);
