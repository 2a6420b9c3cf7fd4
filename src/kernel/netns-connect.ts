import { Socket } from 'node:net';
import { type Ip, parseIp } from '../net/ip.ts';
import { close, connect, errnoNumber, getSocketOption, isKernelError, KernelError, socket } from './ffi.ts';
import { inNetns } from './netns.ts';
import { addressFamily, socketAddress } from './socket-address.ts';

// asm-generic/socket.h, tcp.h
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const IPPROTO_TCP = 6;
const TCP_INFO = 11;
const TCP_ESTABLISHED = 1;
const TCP_SYN_SENT = 2;
/** The other side has said all already. */
const TCP_CLOSE_WAIT = 8;

const ipv4Loopback = parseIp('127.0.0.1');
const ipv6Loopback = parseIp('::1');

const pollMs = { initial: 1, max: 50 };

/** Where to connect from, and to which port. */
export interface ConnectTarget {
  /** Path of a pinned network namespace; the caller's own when absent. */
  readonly netns: string | undefined;
  readonly port: number;
  readonly timeoutMs: number;
}

/**
 * A TCP connection to `localhost` of a network namespace, by IPv4, and by IPv6 when nobody listens there.
 * @throws KernelError `ECONNREFUSED`, `ETIMEDOUT`, …; SignalboxError `NAMESPACE_FAILED`
 */
export async function connectLoopback(target: ConnectTarget): Promise<Socket> {
  try {
    return await connectFrom(target, ipv4Loopback);
  } catch (error) {
    if (!isKernelError(error, 'ECONNREFUSED')) throw error;
    return connectFrom(target, ipv6Loopback).catch(() => {
      throw error;
    });
  }
}

/**
 * A TCP connection to an address as a network namespace sees it.
 * @throws KernelError `ECONNREFUSED`, `ETIMEDOUT`, …; SignalboxError `NAMESPACE_FAILED`
 */
export async function connectFrom(target: ConnectTarget, ip: Ip): Promise<Socket> {
  const fd = begin(target, ip);
  try {
    const until = Date.now() + target.timeoutMs;
    for (let wait = pollMs.initial; ; wait = Math.min(wait * 2, pollMs.max)) {
      const state = connectionState(fd);
      if (state === TCP_ESTABLISHED || state === TCP_CLOSE_WAIT) break;
      if (state !== TCP_SYN_SENT) {
        throw new KernelError('connect', getSocketOption(fd, SOL_SOCKET, SO_ERROR) || errnoNumber.ECONNREFUSED);
      }
      if (Date.now() >= until) throw new KernelError('connect', errnoNumber.ETIMEDOUT);
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
    return new Socket({ fd, allowHalfOpen: true });
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** A socket belongs to the namespace it is made in; Node makes its own only when the thread is back home. */
function begin({ netns, port }: ConnectTarget, ip: Ip): number {
  const make = () => socket(addressFamily(ip), SOCK_STREAM | SOCK_NONBLOCK, 0);
  const fd = netns === undefined ? make() : inNetns(netns, make);
  try {
    connect(fd, socketAddress(ip, port));
  } catch (error) {
    if (isKernelError(error, 'EINPROGRESS')) return fd;
    close(fd);
    throw error;
  }
  return fd;
}

/** The first byte of struct tcp_info. */
function connectionState(fd: number): number {
  return getSocketOption(fd, IPPROTO_TCP, TCP_INFO) & 0xff;
}
