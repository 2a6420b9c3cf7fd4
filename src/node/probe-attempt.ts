import type { Container, HTTPGetAction, Probe, TCPSocketAction } from '../api/generated/types.ts';
import { type ContainerProgram, execInContainer } from '../kernel/container.ts';
import type { Ip } from '../net/ip.ts';
import { httpGet } from './http-get.ts';

/** What a probe or hook is tried on. */
export interface ProbeTarget {
  readonly container: Container;
  /** Of its process 1. */
  readonly pid: number;
  readonly podIp: Ip | undefined;
  /** Environment, working directory and user of the container; the words are the probe's. */
  readonly program: ContainerProgram;
}

/** A try's outcome; `message` says what went wrong. */
export interface Attempt {
  readonly success: boolean;
  readonly message: string;
}

/** Output of a probe's program is kept this far, for the event. */
const maxOutputBytes = 10 << 10;

/** Tries a probe once, from the node's network or within the container. Never rejects. */
export async function attemptProbe(probe: Probe, target: ProbeTarget, timeoutMs: number): Promise<Attempt> {
  const { exec, httpGet: http, tcpSocket } = probe;
  try {
    if (exec !== undefined) return await attemptExec(exec.command ?? [], target, timeoutMs);
    if (http !== undefined) return await attemptHttp(http, target, timeoutMs);
    if (tcpSocket !== undefined) return await attemptTcp(tcpSocket, target, timeoutMs);
    return { success: false, message: 'the probe says neither exec nor httpGet nor tcpSocket' };
  } catch (error) {
    return { success: false, message: error instanceof Error ? error.message : String(error) };
  }
}

/** Runs a program in the container, as a probe or a hook. */
export async function attemptExec(
  command: readonly string[],
  target: ProbeTarget,
  timeoutMs: number,
): Promise<Attempt> {
  const program = { ...target.program, argv: command };
  const { exitCode, output, timedOut } = await execInContainer(target.pid, program, { timeoutMs, maxOutputBytes });
  if (timedOut)
    return { success: false, message: `command timed out after ${timeoutMs / 1000}s: ${command.join(' ')}` };
  return { success: exitCode === 0, message: output.trimEnd() };
}

/** Asks a container by HTTP, as a probe or a hook. */
export async function attemptHttp(action: HTTPGetAction, target: ProbeTarget, timeoutMs: number): Promise<Attempt> {
  const port = portNumber(action.port, target.container);
  const headers = (action.httpHeaders ?? []).map(({ name, value }) => [name, value] as const);
  const host = action.host ?? target.podIp ?? '127.0.0.1';
  const secure = action.scheme === 'HTTPS';
  const status = await httpGet({ secure, host, port, path: action.path ?? '/', headers, timeoutMs });
  return { success: status >= 200 && status < 400, message: `HTTP probe failed with statuscode: ${status}` };
}

async function attemptTcp(action: TCPSocketAction, target: ProbeTarget, timeoutMs: number): Promise<Attempt> {
  const { connect } = await import('node:net');
  const host = action.host ?? target.podIp ?? '127.0.0.1';
  const port = portNumber(action.port, target.container);
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (success: boolean, message: string) => {
      socket.destroy();
      resolve({ success, message });
    };
    socket.setTimeout(timeoutMs, () => end(false, `dial tcp ${host}:${port}: timeout`));
    socket.once('connect', () => end(true, ''));
    socket.once('error', (error) => end(false, `dial tcp ${host}:${port}: ${error.message}`));
  });
}

/** A port by number, or by its name in the container. */
function portNumber(port: number | string, container: Container): number {
  const number =
    typeof port === 'number' ? port : (container.ports?.find((p) => p.name === port)?.containerPort ?? Number(port));
  if (Number.isInteger(number) && number > 0 && number < 65536) return number;
  throw new Error(`the container has no port named ${port}`);
}
