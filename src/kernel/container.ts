import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { SignalboxError } from '../errors/error.ts';
import { type ContainerStreams, openContainerIo, type ProgramEnds, silentInput } from './container-io.ts';
import { type ContainerMount, layOutMounts } from './container-mounts.ts';
import {
  awayFromHome,
  joinNamespacesOf,
  setHostname,
  unshareForContainer,
  unsharePidForNextChild,
} from './container-namespaces.ts';
import { inNetns } from './netns.ts';
import type { TerminalSize } from './terminal.ts';

/** Numeric user and groups of a process. Without one it runs as the caller does. */
export interface ContainerUser {
  readonly uid: number;
  readonly gid: number;
  readonly supplementalGroups: readonly number[];
}

/** A program to run in a container. */
export interface ContainerProgram {
  /** The program, looked up in `PATH` of `env`, and its arguments. */
  readonly argv: readonly string[];
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** Absolute. */
  readonly workingDir: string;
  readonly user?: ContainerUser | undefined;
}

/** All a container is made from. Paths are absolute. */
export interface ContainerSpec extends ContainerProgram {
  readonly hostname: string;
  /** Path of a pinned network namespace; the caller's own when absent. */
  readonly netns?: string | undefined;
  readonly mounts: readonly ContainerMount[];
  /** An empty folder of the host, for this container alone while it runs. */
  readonly scratch: string;
  /** Without it there is output only. */
  readonly streams?: ContainerStreams;
}

/** How a container ended. */
export interface ContainerExit {
  /** As a shell tells it: 128 and the signal's number when a signal ended it. */
  readonly exitCode: number;
  /** The signal's number. */
  readonly signal?: number;
  /** Set when the program was never reached: what failed, in the system's words. */
  readonly startFailure?: string;
}

/** A process that is process 1 of its own PID namespace. When it ends the kernel ends all that it started. */
export interface RunningContainer {
  /** In the caller's PID namespace. */
  readonly pid: number;
  /** Only where it was asked for. */
  readonly stdin: Writable | undefined;
  /** Pipes, which flow from the same turn of the event loop on; unread, the container stops when they are full. */
  readonly stdout: Readable;
  /** A terminal has only one output. */
  readonly stderr: Readable | undefined;
  /** Does nothing without a terminal. */
  resize(size: TerminalSize): void;
  readonly exited: Promise<ContainerExit>;
  /** Does nothing once it has exited. As process 1 it is ended by signals that it handles, and by SIGKILL. */
  kill(signal: NodeJS.Signals): void;
}

const unsharePath = '/usr/bin/unshare';
const setprivPath = '/usr/bin/setpriv';

/**
 * Starts a process on the host's file system in mount, UTS and PID namespaces of its own, with a `/proc` to match.
 * It is killed when the calling process ends, by whatever cause: no container runs that nobody watches.
 *
 * Takes about a millisecond of the main thread; the program itself runs some three milliseconds later.
 * @throws SignalboxError `CONTAINER_START_FAILED` when program, working directory or user are not to be had,
 *   `MOUNT_FAILED`, `NAMESPACE_FAILED`, `NOT_MAIN_THREAD`
 */
export function startContainer(spec: ContainerSpec): RunningContainer {
  return withStreams(spec.streams ?? silentInput, spec.user, ({ stdio, takeTerminal }) =>
    inNetworkOf(spec.netns, () =>
      awayFromHome(() => {
        unshareForContainer();
        setHostname(spec.hostname);
        layOutMounts(spec.mounts, spec.scratch);
        const program = findProgram(spec);
        unsharePidForNextChild();
        // Process 1 mounts the /proc of its PID namespace, then asks to be killed with its parent, then is the program.
        const words = [...takeTerminal, program, ...spec.argv.slice(1)];
        const args = ['--mount-proc', '--', ...killedWithParent(spec.user), ...words];
        return spawn(unsharePath, args, { env: { ...spec.env }, cwd: spec.workingDir, stdio });
      }),
    ),
  );
}

/** Bounds of a program run within a container. */
export interface ExecLimits {
  readonly timeoutMs: number;
  /** Output beyond it is dropped. */
  readonly maxOutputBytes: number;
}

/** How a program run within a container ended. */
export interface ExecResult {
  readonly exitCode: number;
  /** Standard output and standard error, as they came. */
  readonly output: string;
  readonly timedOut: boolean;
}

/**
 * Runs a program in all namespaces of a running container and waits for its end; kills it after the time limit.
 * @param pid of the container
 * @throws SignalboxError `CONTAINER_START_FAILED` also when the container has ended
 */
export async function execInContainer(pid: number, program: ContainerProgram, limits: ExecLimits): Promise<ExecResult> {
  const running = startInContainer(pid, program, silentInput);
  const chunks: Buffer[] = [];
  let room = limits.maxOutputBytes;
  const keep = (chunk: Buffer) => {
    const kept = chunk.subarray(0, room);
    room -= kept.length;
    if (kept.length > 0) chunks.push(kept);
  };
  running.stdout.on('data', keep);
  running.stderr?.on('data', keep);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    running.kill('SIGKILL');
  }, limits.timeoutMs);
  const { exitCode } = await running.exited;
  clearTimeout(timer);
  // What it left running may keep the pipes open: nobody waits for that.
  running.stdout.destroy();
  running.stderr?.destroy();
  return { exitCode, output: Buffer.concat(chunks).toString(), timedOut };
}

/**
 * Starts a program in all namespaces of a running container.
 * @param pid of the container
 * @throws SignalboxError `CONTAINER_START_FAILED`; KernelError or the file system's ENOENT when the container has ended
 */
export function startInContainer(pid: number, program: ContainerProgram, streams: ContainerStreams): RunningContainer {
  return withStreams(streams, program.user, ({ stdio, takeTerminal }) =>
    inNetworkOf(`/proc/${pid}/ns/net`, () =>
      awayFromHome(() => {
        joinNamespacesOf(pid);
        const [file = '', ...args] = [
          ...killedWithParent(program.user),
          ...takeTerminal,
          findProgram(program),
          ...program.argv.slice(1),
        ];
        return spawn(file, args, { env: { ...program.env }, cwd: program.workingDir, stdio });
      }),
    ),
  );
}

/** Starts a process that reads and writes by new pipes, or a new terminal. */
function withStreams(
  streams: ContainerStreams,
  user: ContainerUser | undefined,
  start: (ends: ProgramEnds) => ChildProcess,
): RunningContainer {
  const io = openContainerIo(streams, user?.uid);
  try {
    const child = start(io.ends);
    // Without a listener the process would end; the error shows as the missing pid.
    child.on('error', () => {});
    const { pid } = child;
    if (pid === undefined) throw startFailed(child.spawnfile, 'could not be started', 'install the util-linux package');
    const { stdin, stdout, stderr, resize } = io;
    const exited = watchExit(child, stderr ?? stdout);
    return { pid, stdin, stdout, stderr, resize, exited, kill: (signal) => child.kill(signal) };
  } catch (error) {
    for (const stream of [io.stdin, io.stdout, io.stderr]) stream?.destroy();
    throw error;
  } finally {
    io.closeEnds();
  }
}

/** @param words where those who start the program complain */
function watchExit(child: ChildProcess, words: Readable): Promise<ContainerExit> {
  const startFailure = watchForStartFailure(words);
  return new Promise<ContainerExit>((resolve) => {
    child.once('exit', async (code, signal) => {
      if (signal !== null) {
        const number = osConstants.signals[signal];
        resolve({ exitCode: 128 + number, signal: number });
      } else if (code === 0) resolve({ exitCode: 0 });
      else resolve({ exitCode: code ?? 255, ...(await Promise.race([startFailure, nothingAfter(lastWordsMs)])) });
    });
  });
}

// The words of unshare(1) and setpriv(1) when they do not get as far as the program. Nothing comes before them.
const startFailureLine = /^(?:unshare: mount \/proc failed|setpriv): [^\n]+\n$/;

/** Settled with the first line that is written, or with the end of the stream, which may come after the process's. */
function watchForStartFailure(stderr: Readable): Promise<{ startFailure?: string }> {
  return new Promise((resolve) => {
    let words = '';
    const listen = (chunk: Buffer) => {
      words += chunk.subarray(0, 1024).toString().replaceAll('\r', '');
      if (words.includes('\n')) settle();
    };
    const settle = () => {
      stderr.off('data', listen);
      resolve(startFailureLine.test(words) ? { startFailure: words.trimEnd() } : {});
    };
    stderr.on('data', listen);
    stderr.once('close', settle);
  });
}

/** A process in the background can hold the stream open after the program's end. */
const lastWordsMs = 200;

function nothingAfter(ms: number): Promise<Record<string, never>> {
  return new Promise((resolve) => setTimeout(() => resolve({}), ms).unref());
}

function inNetworkOf<T>(netns: string | undefined, run: () => T): T {
  return netns === undefined ? run() : inNetns(netns, run);
}

// A change of user makes the kernel forget whom to die with, so setpriv does both, in this order.
function killedWithParent(user: ContainerUser | undefined): string[] {
  const command = [setprivPath, '--pdeathsig', 'KILL'];
  if (user !== undefined) {
    const { uid, gid, supplementalGroups } = user;
    const groups = supplementalGroups.length === 0 ? '--clear-groups' : `--groups=${supplementalGroups.join(',')}`;
    command.push(`--reuid=${uid}`, `--regid=${gid}`, groups);
  }
  return [...command, '--'];
}

/** Finds a program as execvp(3) does, with the calling thread's files, so that the reason is known when there is none. */
function findProgram({ argv, env, workingDir }: ContainerProgram): string {
  if (statSync(workingDir, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw startFailed(workingDir, 'is not a folder that can be the working directory', 'use a workingDir that exists');
  }
  const [name = ''] = argv;
  const folders = name.includes('/') ? [''] : (env.PATH ?? '').split(':');
  let reason = 'no such file or directory';
  for (const folder of folders) {
    // Absolute names stay as they are; others are relative to where the program will run.
    const file = name.startsWith('/') ? name : join(folder.startsWith('/') ? folder : join(workingDir, folder), name);
    if (statSync(file, { throwIfNoEntry: false })?.isFile() !== true) continue;
    if (isExecutable(file)) return file;
    reason = 'permission denied';
  }
  const where = name.includes('/') ? '' : ` in PATH ${env.PATH ?? '(unset)'}`;
  throw startFailed(
    `exec: "${name}"`,
    `${reason}${where}`,
    'containers run programs of the host: name one that is there',
  );
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function startFailed(object: string, problem: string, remedy: string): SignalboxError {
  return new SignalboxError('CONTAINER_START_FAILED', { object, problem, remedy });
}
