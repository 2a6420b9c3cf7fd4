import { type ChildProcess, fork } from 'node:child_process';
import type { MetricValues } from '../../component/metrics.ts';
import type { OpenBlock } from '../blocks.ts';
import type { DnsConfig } from '../config/types.ts';
import type { BoundSocket } from '../server/udp.ts';
import type { ServerTls } from '../tls-files.ts';
import type { ZoneChange } from '../zone-change.ts';
import type { FromWorker, ToWorker } from './messages.ts';

/** What a worker is started with. */
export interface WorkerParts {
  readonly config: DnsConfig;
  /** The blocks of the main process, by `blockKey`. */
  readonly blocks: ReadonlyMap<string, OpenBlock>;
  /** By the plans' keys. */
  readonly sockets: ReadonlyMap<string, readonly BoundSocket[]>;
  readonly certificates: ReadonlyMap<string, ServerTls>;
  /** The program whose subcommand `dns-worker` a worker is. */
  readonly entry: string;
}

/** That a worker has ended, and what it had counted when it last said so. */
export interface WorkerExit {
  readonly counted: MetricValues;
  readonly reason: string;
}

/** What is told of a worker. */
export interface WorkerEvents {
  /** It may serve. */
  readonly onWhole: () => void;
  readonly onExit: (exit: WorkerExit) => void;
}

/** Objects sent before others are let to work. */
const batchSize = 256;
/** Between two questions for counts, which are a sign of life, and how long there may be none, in milliseconds. */
const heartbeatMs = 1_000;
const silenceMs = 15_000;
/** How long an answer to a page may wait for the workers' counts, in milliseconds. */
const countMs = 1_000;
/** How long a worker may take to end when told to, in milliseconds: longer than connections are given to finish. */
const retireMs = 3_000;
/** Descriptors below are its standard streams and the channel. */
const firstFd = 4;

/** One worker, as the main process sees it. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #events: WorkerEvents;
  readonly #blocks: readonly (readonly [key: string, block: OpenBlock])[];
  readonly #stops: (() => void)[] = [];
  readonly #heartbeat: NodeJS.Timeout;
  readonly #waiting: (() => void)[] = [];
  #counted: MetricValues = new Map();
  #heardAt = performance.now();
  #problem: string | undefined;
  #isWhole = false;
  #hasEnded = false;

  constructor(parts: WorkerParts, events: WorkerEvents) {
    this.#events = events;
    this.#blocks = [...parts.blocks];
    const { sockets, fds } = numbered(parts.sockets);
    this.#child = fork(parts.entry, ['dns-worker'], {
      // What Node was told about the main process, an inspector's port for one, is not for the workers.
      execArgv: [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...fds],
      serialization: 'advanced',
    });
    this.#child.on('message', (message: FromWorker) => this.#hear(message));
    this.#child.on('error', (error) => this.#end(error.message));
    this.#child.on('exit', (code, signal) => this.#end(this.#problem ?? signal ?? `exit status ${code}`));
    this.#heartbeat = setInterval(() => this.#check(), heartbeatMs);
    const { config, certificates } = parts;
    this.#tell({ kind: 'task', config, sockets, certificates, blocks: this.#blocks.map(([key]) => key) });
    for (const [index, [, block]] of this.#blocks.entries()) this.#bring(block, index).catch(() => undefined);
  }

  /** Whether its zones have all there is. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  serve(): void {
    this.#tell({ kind: 'serve' });
  }

  /** Tells that an upstream of the block with this key is not to be asked. */
  leaveOut(key: string, upstream: string): void {
    this.#tell({ kind: 'loop', block: this.#blocks.findIndex(([one]) => one === key), upstream });
  }

  /** What it has counted; if it does not say within a second, what it last said. */
  async count(): Promise<MetricValues> {
    await this.#ask({ kind: 'count' }, countMs);
    return this.#counted;
  }

  /** Resolves when it has ended. */
  async retire(): Promise<void> {
    await this.#ask({ kind: 'retire' }, retireMs, () => this.#hasEnded);
    if (this.#hasEnded) return;
    this.#child.kill('SIGKILL');
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Resolves when the worker has answered, or has ended, or the time is over. */
  async #ask(message: ToWorker, timeoutMs: number, isAnswered = () => true): Promise<void> {
    if (this.#hasEnded) return;
    this.#tell(message);
    const until = performance.now() + timeoutMs;
    do {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        timer = setTimeout(resolve, until - performance.now());
      });
      clearTimeout(timer);
    } while (!isAnswered() && !this.#hasEnded && performance.now() < until);
  }

  /** Sends a block's zone as it is, and each change from now on. */
  async #bring({ cluster, forwarders }: OpenBlock, block: number): Promise<void> {
    for (const { leftOut } of forwarders) for (const upstream of leftOut) this.#tell({ kind: 'loop', block, upstream });
    if (cluster === undefined) return;
    const { zone, feed } = cluster;
    await feed.synced;
    let changes: ZoneChange[] = [];
    const flush = () => {
      const { serial } = zone;
      this.#tell({ kind: 'changes', block, changes, serial });
      changes = [];
    };
    const following = feed.follow?.((change) => {
      // What one event of the API brings goes as one.
      if (changes.push(change) === 1) queueMicrotask(flush);
    });
    if (following === undefined || this.#hasEnded) return following?.stop();
    this.#stops.push(following.stop);
    let batch: ZoneChange[] = [];
    for (const change of following.all) {
      if (batch.push(change) < batchSize) continue;
      await this.#told({ kind: 'changes', block, changes: batch, serial: zone.serial });
      batch = [];
    }
    this.#tell({ kind: 'changes', block, changes: batch, serial: zone.serial });
    this.#tell({ kind: 'whole', block, serial: zone.serial });
  }

  #tell(message: ToWorker): void {
    // It may have ended a moment ago: that is told by itself.
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  /** Resolves when the worker's channel has taken the message. */
  #told(message: ToWorker): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#child.send(message, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  #hear(message: FromWorker): void {
    this.#heardAt = performance.now();
    if (message.kind === 'whole' && !this.#isWhole) {
      this.#isWhole = true;
      this.#events.onWhole();
    } else if (message.kind === 'counted') {
      this.#counted = message.values;
      for (const resolve of this.#waiting.splice(0)) resolve();
    } else if (message.kind === 'probe') {
      const [, block] = this.#blocks[message.block] ?? [];
      for (const forwarder of block?.forwarders ?? []) forwarder.sawProbe(message.name);
    }
  }

  /** One that hears nothing answers nothing either, and what it is told piles up. */
  #check(): void {
    if (performance.now() - this.#heardAt > silenceMs) {
      this.#problem = `no sign of life for ${silenceMs / 1000} s`;
      this.#child.kill('SIGKILL');
    } else this.#tell({ kind: 'count' });
  }

  #end(reason: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearInterval(this.#heartbeat);
    for (const stop of this.#stops) stop();
    for (const resolve of this.#waiting.splice(0)) resolve();
    this.#events.onExit({ counted: this.#counted, reason });
  }
}

/** The sockets by the numbers their descriptors have in the worker, and their numbers here in that order. */
function numbered(sockets: WorkerParts['sockets']): {
  readonly sockets: ReadonlyMap<string, readonly BoundSocket[]>;
  readonly fds: readonly number[];
} {
  const fds: number[] = [];
  const theirs = new Map(
    [...sockets].map(([key, bound]) => [
      key,
      bound.map((socket) => ({ ...socket, fd: firstFd - 1 + fds.push(socket.fd) })),
    ]),
  );
  return { sockets: theirs, fds };
}
