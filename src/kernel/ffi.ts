import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import koffi from 'koffi';

/**
 * A system call or netlink request that the kernel refused. `code` is the errno's name (`ENOENT`), `detail` the
 * kernel's own words where it gave any (netlink extended acknowledgement).
 */
export class KernelError extends Error {
  readonly errno: number;
  readonly code: string;
  readonly operation: string;
  readonly detail: string | undefined;

  constructor(operation: string, errno: number, detail?: string) {
    const code = errnoName(errno);
    super(`${operation}: ${code}${detail === undefined ? '' : ` (${detail})`}`);
    this.name = 'KernelError';
    this.errno = errno;
    this.code = code;
    this.operation = operation;
    this.detail = detail;
  }
}

/** Whether a thrown value is a `KernelError` with one of the named codes, or any when none is named. */
export function isKernelError(error: unknown, ...codes: readonly string[]): error is KernelError {
  return error instanceof KernelError && (codes.length === 0 || codes.includes(error.code));
}

/** Linux error numbers by name, as node:os has them, and the few kernel ones it leaves out. */
export const errnoNumber = {
  ...constants.errno,
  ENOTUNIQ: 76,
  ERESTART: 85,
  EUSERS: 87,
  ESHUTDOWN: 108,
  // From the kernel's include/linux/errno.h: never meant for user space, yet netfilter lets it out.
  ENOTSUPP: 524,
} as const;

const errnoNames: ReadonlyMap<number, string> = new Map(
  Object.entries(errnoNumber)
    // Linux gives these numbers a second name; the one people know stays.
    .filter(([name]) => name !== 'EWOULDBLOCK' && name !== 'ENOTSUP')
    .map(([name, number]) => [number, name]),
);

/** The name of an error number (`2` is `ENOENT`); `errno N` for one without a name. */
export function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `errno ${errno}`;
}

// The process itself as a library: it has the C library loaded, whichever that is (glibc or musl).
const libc = koffi.load(null);

/**
 * Calls a C function that answers -1 and sets errno on failure. No retry here: whoever can be interrupted knows what
 * to do about EINTR.
 */
function checked(operation: string, call: () => number): number {
  const result = call();
  if (result === -1) throw new KernelError(operation, koffi.errno());
  return result;
}

// `struct sock_fprog`, of the kernel's include/uapi/linux/filter.h.
koffi.struct('sock_fprog', { len: 'uint16', filter: 'void *' });

// `struct iovec` of include/uapi/linux/uio.h; `struct msghdr` as sendmsg(2) has it: what the C libraries of 64-bit systems
// pass on to the kernel as it is.
koffi.struct('iovec', { base: 'void *', length: 'size_t' });
koffi.struct('msghdr', {
  name: 'void *',
  nameLength: 'uint32',
  iov: 'iovec *',
  iovLength: 'size_t',
  control: 'void *',
  controlLength: 'size_t',
  flags: 'int',
});

type NativeNumber = (...args: readonly unknown[]) => number;
const c = {
  socket: libc.func('int socket(int, int, int)') as NativeNumber,
  bind: libc.func('int bind(int, void *, int)') as NativeNumber,
  getsockname: libc.func('int getsockname(int, void *, void *)') as NativeNumber,
  listen: libc.func('int listen(int, int)') as NativeNumber,
  connect: libc.func('int connect(int, void *, int)') as NativeNumber,
  send: libc.func('long send(int, void *, size_t, int)') as NativeNumber,
  recv: libc.func('long recv(int, void *, size_t, int)') as NativeNumber,
  socketpair: libc.func('int socketpair(int, int, int, void *)') as NativeNumber,
  sendmsg: libc.func('long sendmsg(int, msghdr *, int)') as NativeNumber,
  recvmsg: libc.func('long recvmsg(int, msghdr *, int)') as NativeNumber,
  recvmmsg: libc.func('int recvmmsg(int, void *, uint, int, void *)') as NativeNumber,
  sendmmsg: libc.func('int sendmmsg(int, void *, uint, int)') as NativeNumber,
  setsockopt: libc.func('int setsockopt(int, int, int, void *, int)') as NativeNumber,
  setFilter: libc.func('int setsockopt(int, int, int, sock_fprog *, int)') as NativeNumber,
  getsockopt: libc.func('int getsockopt(int, int, int, void *, void *)') as NativeNumber,
  // Variadic in C; with one word of argument the calling conventions of Linux agree with this form.
  fcntl: libc.func('int fcntl(int, int, long)') as NativeNumber,
  // Variadic too: a pointer, or a number in its place.
  ioctl: libc.func('int ioctl(int, ulong, void *)') as NativeNumber,
  ioctlNumber: libc.func('int ioctl(int, ulong, long)') as NativeNumber,
  setns: libc.func('int setns(int, int)') as NativeNumber,
  unshare: libc.func('int unshare(int)') as NativeNumber,
  mount: libc.func('int mount(str, str, str, ulong, str)') as NativeNumber,
  umount2: libc.func('int umount2(str, int)') as NativeNumber,
  waitpid: libc.func('int waitpid(int, void *, int)') as NativeNumber,
  setrlimit: libc.func('int setrlimit(int, void *)') as NativeNumber,
  syscall: libc.func('long syscall(long, long, long, long, long)') as NativeNumber,
};

/** setrlimit(2), soft and hard limit alike, of this process. */
export function setResourceLimit(resource: number, limit: number): void {
  checked('setrlimit', () => c.setrlimit(resource, BigUint64Array.of(BigInt(limit), BigInt(limit))));
}

/** socket(2), close-on-exec. */
export function socket(domain: number, type: number, protocol: number): number {
  return checked('socket', () => c.socket(domain, type | SOCK_CLOEXEC, protocol));
}
const SOCK_CLOEXEC = 0o2000000;

/** bind(2); `address` is the whole sockaddr. */
export function bind(fd: number, address: Uint8Array): void {
  checked('bind', () => c.bind(fd, address, address.length));
}

/** getsockname(2): the sockaddr a socket is bound to, of an internet family. */
export function socketName(fd: number): Uint8Array {
  const name = new Uint8Array(28);
  const length = Int32Array.of(name.length);
  checked('getsockname', () => c.getsockname(fd, name, length));
  return name.subarray(0, length[0]);
}

/** listen(2). */
export function listen(fd: number, backlog: number): void {
  checked('listen', () => c.listen(fd, backlog));
}

/** connect(2); `address` is the whole sockaddr. */
export function connect(fd: number, address: Uint8Array): void {
  checked('connect', () => c.connect(fd, address, address.length));
}

/** send(2); gives the number of bytes taken. */
export function send(fd: number, bytes: Uint8Array, flags: number): number {
  return checked('send', () => c.send(fd, bytes, bytes.length, flags));
}

export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;

/**
 * recv(2) into `into`. With `MSG_TRUNC` the number given is the datagram's true length, which may exceed the buffer.
 * Failure is told as the negative error number, not thrown: an empty queue (-EAGAIN) is what every drain ends with.
 */
export function recv(fd: number, into: Uint8Array, flags: number): number {
  const length = c.recv(fd, into, into.length, flags);
  return length === -1 ? -koffi.errno() : length;
}

/** socketpair(2), both ends close-on-exec. */
export function socketPair(domain: number, type: number): readonly [number, number] {
  const ends = new Int32Array(2);
  checked('socketpair', () => c.socketpair(domain, type | SOCK_CLOEXEC, 0, ends));
  return [ends[0] ?? -1, ends[1] ?? -1];
}

/** What sendmsg(2) and recvmsg(2) carry: bytes, and ancillary data beside them (cmsg(3)). */
export interface SocketMessage {
  readonly bytes: Uint8Array;
  readonly control: Uint8Array | undefined;
}

/** sendmsg(2); gives the number of bytes taken. */
export function sendMessage(fd: number, message: SocketMessage, flags: number): number {
  return checked('sendmsg', () => c.sendmsg(fd, messageHeader(message), flags));
}

/** recvmsg(2) into the message's buffers; gives the number of bytes. */
export function receiveMessage(fd: number, message: SocketMessage, flags: number): number {
  return checked('recvmsg', () => c.recvmsg(fd, messageHeader(message), flags));
}

function messageHeader({ bytes, control }: SocketMessage): object {
  return {
    name: null,
    nameLength: 0,
    iov: { base: bytes, length: bytes.length },
    iovLength: 1,
    control: control ?? null,
    controlLength: control?.length ?? 0,
    flags: 0,
  };
}

/**
 * recvmmsg(2) and sendmmsg(2) of so many `struct mmsghdr`, without waiting; they give how many came or went. Failure is
 * told as the negative error number, not thrown: -EAGAIN is what every drain ends with.
 */
export function receiveMessages(fd: number, headers: Uint8Array, count: number): number {
  const received = c.recvmmsg(fd, headers, count, MSG_DONTWAIT, null);
  return received === -1 ? -koffi.errno() : received;
}

export function sendMessages(fd: number, headers: Uint8Array, count: number): number {
  const sent = c.sendmmsg(fd, headers, count, MSG_DONTWAIT);
  return sent === -1 ? -koffi.errno() : sent;
}

/** What a socket is ready for; for nothing, where it has an error to tell. */
export interface Readiness {
  readonly readable: boolean;
  readonly writable: boolean;
}

/** Tells of a socket, on the thread it was made on. What follows `close` is an error that ends the process. */
export interface ReadinessPoll {
  /** Tells from now on, as long as it holds, that the socket is ready for one of these; after an error it must be called again. */
  start(wanted: Readiness): void;
  /** Does not keep the process alive. */
  unref(): void;
  /** To be called before the socket is closed. */
  close(): void;
}

/**
 * Has the event loop wait for a socket, which must be in nobody else's care (uv_poll_t of libuv). `onReady` is called
 * from outside of what Node runs: it must not throw, and promises that it settles wait for something else to happen.
 */
export function pollReadiness(fd: number, onReady: (ready: Readiness) => void): ReadinessPoll {
  // Its declaration leaves the first of the two arguments out, libuv's status.
  const told = (...given: readonly unknown[]) => onReady(given.at(-1) as Readiness);
  const handle = koffi.node.poll(fd, told);
  return {
    start: (wanted) => handle.start(wanted, told),
    unref: () => handle.unref(),
    close: () => handle.close(),
  };
}

/** Where bytes lie in memory. Of a buffer's own memory, which does not move while the buffer is held. */
export function addressOf(memory: ArrayBuffer): bigint {
  return koffi.address(memory);
}

/** setsockopt(2) with an int. */
export function setSocketOption(fd: number, level: number, name: number, value: number): void {
  setSocketOptionBytes(fd, { level, name }, new Uint8Array(Int32Array.of(value).buffer));
}

/** setsockopt(2) with any value. */
export function setSocketOptionBytes(fd: number, option: { level: number; name: number }, value: Uint8Array): void {
  checked(`setsockopt ${option.level}/${option.name}`, () =>
    c.setsockopt(fd, option.level, option.name, value, value.length),
  );
}

/** Attaches a program of classic BPF, 8 bytes an instruction, that says which packets a socket takes. */
export function attachFilter(fd: number, program: Uint8Array): void {
  const sockFprog = { len: program.length / 8, filter: program };
  checked('setsockopt SO_ATTACH_FILTER', () =>
    c.setFilter(fd, SOL_SOCKET, SO_ATTACH_FILTER, sockFprog, koffi.sizeof('sock_fprog')),
  );
}
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;

/** getsockopt(2) of an int. */
export function getSocketOption(fd: number, level: number, name: number): number {
  const value = new Int32Array(1);
  checked(`getsockopt ${level}/${name}`, () => c.getsockopt(fd, level, name, value, Int32Array.of(4)));
  return value[0] ?? 0;
}

/** fcntl(2) with a number. */
export function fcntl(fd: number, command: number, argument: number): number {
  return checked('fcntl', () => c.fcntl(fd, command, argument));
}

/** ioctl(2) with the bytes of an argument, or with a number. Gives what the call answers. */
export function ioctl(fd: number, request: number, argument: Uint16Array | Int32Array | number): number {
  return checked(`ioctl ${request}`, () =>
    typeof argument === 'number' ? c.ioctlNumber(fd, request, argument) : c.ioctl(fd, request, argument),
  );
}

/** close(2). */
export function close(fd: number): void {
  closeSync(fd);
}

/** Namespace flags of setns(2), unshare(2) and clone(2): include/uapi/linux/sched.h. */
export const namespaceFlag = {
  mount: 0x00020000,
  uts: 0x04000000,
  ipc: 0x08000000,
  user: 0x10000000,
  pid: 0x20000000,
  net: 0x40000000,
} as const;

/** setns(2): the calling thread moves into the namespace behind `fd`. */
export function setns(fd: number, flag: number): void {
  checked('setns', () => c.setns(fd, flag));
}

/** unshare(2): the calling thread gets new namespaces. */
export function unshare(flags: number): void {
  checked('unshare', () => c.unshare(flags));
}

/** Arguments of mount(2); `null` where the call takes NULL. */
export interface MountArguments {
  readonly source: string | null;
  readonly target: string;
  readonly type: string | null;
  readonly flags: number;
  readonly data: string | null;
}

/** mount(2). */
export function mount({ source, target, type, flags, data }: MountArguments): void {
  checked(`mount ${target}`, () => c.mount(source, target, type, flags, data));
}

/** umount2(2). */
export function umount(target: string, flags: number): void {
  checked(`umount ${target}`, () => c.umount2(target, flags));
}

const WNOHANG = 1;

/** waitpid(2) for one process, without waiting: whether it had ended and is now reaped. */
export function reap(pid: number): boolean {
  return checked(`waitpid ${pid}`, () => c.waitpid(pid, new Int32Array(1), WNOHANG)) === pid;
}

// Numbers of system calls above 403 are the same on every architecture; musl has no wrappers for these two.
const SYS_PIDFD_SEND_SIGNAL = 424;
const SYS_PIDFD_OPEN = 434;

/** pidfd_open(2): a file descriptor that means this process and never a later one with its number. */
export function pidfdOpen(pid: number): number {
  return checked(`pidfd_open ${pid}`, () => c.syscall(SYS_PIDFD_OPEN, pid, 0, 0, 0));
}

/** pidfd_send_signal(2). */
export function pidfdSendSignal(pidfd: number, signal: number): void {
  checked(`pidfd_send_signal ${signal}`, () => c.syscall(SYS_PIDFD_SEND_SIGNAL, pidfd, signal, 0, 0));
}
