import type { Readable, Writable } from 'node:stream';
import { nodeApiPaths } from '../../api/node-api.ts';
import { isSignalboxError } from '../../errors/error.ts';
import { type RunningContainer, startInContainer } from '../../kernel/container.ts';
import type { ContainerStreams } from '../../kernel/container-io.ts';
import type { TerminalSize } from '../../kernel/terminal.ts';
import type { ContainerRun } from '../container-run.ts';
import {
  type ClientMessage,
  channel,
  exitStatus,
  failureStatus,
  type SessionStatus,
  sessionProtocols,
} from './channels.ts';
import type { ClientChannels } from './client-channels.ts';
import type { NodeApiRequest, Upgrade } from './request.ts';
import { openSpdyChannels, spdySessionProtocol } from './spdy/channels.ts';
import { acceptSpdy } from './spdy/upgrade.ts';
import { NodeApiError, type NodeApiHost, runOf, servedPod } from './target.ts';
import { acceptWebSocket } from './web-socket.ts';
import { WebSocketChannels } from './web-socket-channels.ts';

/** Output on its way to the client beyond this holds the program up. */
const highWaterBytes = 1 << 20;
/** What is typed before there is a program beyond this holds the client up. */
const maxEarlyBytes = 64 << 10;
/** A client that lags by this much is given up: it shares the container's output with others. */
const maxLagBytes = 16 << 20;
/** A process in the background can hold the output open: when it says nothing for this long the session is over. */
const lastWordsMs = 300;
/** What clients that know the size of their terminal may take to say it; from others nothing comes. */
const firstSizeMs = 500;

/**
 * Runs a program in a container, or joins the streams of the container itself, over channels in a WebSocket or in SPDY.
 * @throws NodeApiError before the connection is one of these
 */
export async function runSession(asked: NodeApiRequest, connection: Upgrade, host: NodeApiHost): Promise<void> {
  const run = runOf(servedPod(host, asked.namespace, asked.pod), asked.container);
  const wants = readWants(asked.query);
  const command = asked.query.getAll('command');
  const executes = asked.action === nodeApiPaths.exec;
  if (executes && command.length === 0)
    throw new NodeApiError(400, 'you must specify at least 1 command for the container');
  const channels = await openChannels(connection, wants);
  if (channels === undefined) return;
  const session = new Session(channels);
  try {
    session.finish(executes ? await execute(session, run, { wants, command }) : await attach(session, run, wants));
  } catch (error) {
    session.finish(failureStatus(error instanceof Error ? error.message : String(error)));
  }
}

/** Which streams the client asked for. */
interface Wants {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

function readWants(query: URLSearchParams): Wants {
  const has = (name: string) => ['1', 'true'].includes(query.get(name) ?? '');
  const wants = { stdin: has('input'), stdout: has('output'), stderr: has('error'), tty: has('tty') };
  if (wants.stdin || wants.stdout || wants.stderr) return wants;
  throw new NodeApiError(400, 'you must specify at least 1 of stdin, stdout, stderr');
}

function openChannels(connection: Upgrade, { stdin, stdout, stderr, tty }: Wants): Promise<ClientChannels | undefined> {
  if (!connection.isSpdy) {
    return acceptWebSocket(connection, sessionProtocols).then((accepted) => new WebSocketChannels(accepted));
  }
  const transport = acceptSpdy(connection, [spdySessionProtocol]);
  const wanted = { stdin, stdout, stderr: stderr && !tty, resize: tty };
  const names = (['stdin', 'stdout', 'stderr', 'resize'] as const).filter((name) => wanted[name]);
  return openSpdyChannels(transport, ['error', ...names]);
}

async function execute(
  session: Session,
  { target }: ContainerRun,
  { wants, command }: { readonly wants: Wants; readonly command: readonly string[] },
): Promise<SessionStatus> {
  const size = wants.tty ? await session.firstSize() : undefined;
  const streams = { stdin: wants.stdin, terminal: wants.tty, size };
  const running = startProgram(target.pid, { ...target.program, argv: command }, streams);
  if (running === undefined) return failureStatus('the container has ended');
  const outputs = outputsOf(running);
  for (const [number, stream] of outputs) session.show(number, stream);
  if (running.stdin !== undefined) session.type(running.stdin, { ends: true });
  session.onResize = (size) => running.resize(size);
  // Who started it is gone, and with that who could end it.
  void session.closed.then(() => running.kill('SIGKILL'));
  const { exitCode, startFailure } = await running.exited;
  await session.lastWords(outputs.map(([, stream]) => stream));
  for (const stream of [running.stdin, running.stdout, running.stderr]) stream?.destroy();
  return startFailure === undefined ? exitStatus(exitCode) : failureStatus(startFailure);
}

function startProgram(
  pid: number,
  program: ContainerRun['target']['program'],
  streams: ContainerStreams,
): RunningContainer | undefined {
  try {
    return startInContainer(pid, program, streams);
  } catch (error) {
    if (isSignalboxError(error, 'CONTAINER_START_FAILED')) throw error;
    return undefined;
  }
}

/** Joins in: what the container says goes on to its log and to others who are attached. */
async function attach(
  session: Session,
  { running, target, exited }: ContainerRun,
  wants: Wants,
): Promise<SessionStatus> {
  const { stdin, stdinOnce, tty } = target.container;
  const outputs = outputsOf(running).filter(([number]) => (number === channel.stdout ? wants.stdout : wants.stderr));
  for (const [number, stream] of outputs) session.show(number, stream);
  if (wants.stdin && stdin === true && running.stdin !== undefined) {
    session.type(running.stdin, { ends: stdinOnce === true && tty !== true });
  }
  session.onResize = (size) => running.resize(size);
  const how = await Promise.race([exited, session.closed]);
  if (how !== undefined) await session.lastWords(outputs.map(([, stream]) => stream));
  return exitStatus(0);
}

type Output = readonly [number: number, stream: Readable];

function outputsOf({ stdout, stderr }: RunningContainer): Output[] {
  return [[channel.stdout, stdout], ...(stderr === undefined ? [] : [[channel.stderr, stderr] as const])];
}

/** The client's side of a session. */
export class Session {
  /** Resolves when the connection is gone. */
  readonly closed: Promise<undefined>;
  onResize: (size: TerminalSize) => void = () => {};
  readonly #channels: ClientChannels;
  readonly #undo: (() => void)[] = [];
  #stdin: { readonly stream: Writable; readonly ends: boolean } | undefined;
  /** What was typed before there was a program to take it. */
  #early: ClientMessage[] | undefined;
  #earlyBytes = 0;
  #onTheWay = 0;
  #shown = 0;

  constructor(channels: ClientChannels) {
    this.#channels = channels;
    this.closed = channels.closed.then(() => this.#leave());
    channels.listen((message) => this.#take(message));
  }

  /** The size that the client's terminal has, if it says so soon: programs ask for it as they start. */
  firstSize(): Promise<TerminalSize | undefined> {
    this.#early = [];
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), firstSizeMs);
      this.onResize = (size) => {
        clearTimeout(timer);
        resolve(size);
      };
    });
  }

  /** Sends what comes from a stream; holds the stream up while the client is slow. */
  show(number: number, stream: Readable): void {
    const send = (data: Buffer) => {
      this.#shown += data.length;
      this.#onTheWay += data.length;
      if (this.#onTheWay > maxLagBytes) this.#channels.terminate();
      else if (this.#onTheWay > highWaterBytes) stream.pause();
      this.#channels.send(number, data, () => {
        this.#onTheWay -= data.length;
        if (this.#onTheWay <= highWaterBytes && stream.isPaused()) stream.resume();
      });
    };
    stream.on('data', send);
    this.#undo.push(() => {
      stream.off('data', send);
      if (stream.isPaused()) stream.resume();
    });
  }

  /** Where the client's input goes. `ends`: whether it ends with the client's. */
  type(stream: Writable, { ends }: { readonly ends: boolean }): void {
    this.#stdin = { stream, ends };
    const resume = () => this.#channels.resume();
    for (const event of ['drain', 'close'] as const) stream.on(event, resume);
    this.#undo.push(() => {
      for (const event of ['drain', 'close'] as const) stream.off(event, resume);
      if (ends) stream.end();
    });
    const early = this.#early ?? [];
    this.#early = undefined;
    this.#channels.resume();
    for (const message of early) this.#take(message);
  }

  /** Resolves when all the streams have ended, or no more comes from them. */
  async lastWords(streams: readonly Readable[]): Promise<void> {
    const ended = Promise.all(
      streams.map((s) => (s.closed ? undefined : new Promise((done) => s.once('close', done)))),
    );
    for (let before = -1; before !== this.#shown || this.#onTheWay > 0; ) {
      if (!this.#channels.isOpen) return;
      before = this.#shown;
      const quiet = new Promise<'quiet'>((resolve) => setTimeout(() => resolve('quiet'), lastWordsMs));
      if ((await Promise.race([ended, quiet])) !== 'quiet') return;
    }
  }

  /** Sends how it ended, and closes. */
  finish(status: SessionStatus): void {
    this.#leave();
    if (!this.#channels.isOpen) return;
    this.#channels.sendStatus(status);
    this.#channels.close();
  }

  #take(message: ClientMessage): void {
    if (message.type === 'resize') this.onResize(message);
    if (this.#stdin === undefined) {
      if (this.#early === undefined || message.type === 'resize') return;
      this.#early.push(message);
      this.#earlyBytes += 1 + (message.type === 'stdin' ? message.data.length : 0);
      // Not with the first of it: the size may come after what is typed, and would be held up as well.
      if (this.#earlyBytes > maxEarlyBytes) this.#channels.pause();
      return;
    }
    const { stream, ends } = this.#stdin;
    if (message.type === 'stdinEnd' && ends) stream.end();
    if (message.type === 'stdin' && stream.writable && message.data.length > 0 && !stream.write(message.data)) {
      this.#channels.pause();
    }
  }

  #leave(): undefined {
    for (const undo of this.#undo.splice(0)) undo();
    this.#stdin = undefined;
  }
}
