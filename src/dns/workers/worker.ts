import { createLogger, type Logger } from '../../component/log.ts';
import { Responder } from '../answer.ts';
import { type OpenBlock, openBlock } from '../blocks.ts';
import type { ServerBlock } from '../config/types.ts';
import type { Feed, OpenFeed } from '../feed.ts';
import { DnsMetrics } from '../metrics.ts';
import { blockKey, planServing } from '../plans.ts';
import { serveAt } from '../server/listen.ts';
import type { Name } from '../wire/name.ts';
import type { ClusterZone } from '../zone.ts';
import { applyChange } from '../zone-change.ts';
import type { FromWorker, ToWorker, WorkerTask } from './messages.ts';

/**
 * Answers queries beside the main process, which has started this one with its sockets and says what there is to answer.
 * Ends with it, and never by a signal: the main process serves on while it is lame, and so does this one.
 */
export function runWorker(): void {
  const log = createLogger('dns-worker');
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGUSR1'] as const) process.on(signal, () => {});
  const tell = (message: FromWorker) => {
    process.send?.(message, undefined, {}, () => {
      if (message.kind === 'counted' && message.isLast) process.disconnect();
    });
  };
  let worker: Promise<Worker> | undefined;
  // One message after the other, also while files are read for the first.
  let done: Promise<unknown> = Promise.resolve();
  const fail = (err: unknown) => {
    log.fatal({ err }, 'this worker cannot serve');
    process.exit(1);
  };
  process.on('message', (message: ToWorker) => {
    if (message.kind === 'task') worker = Worker.open(message, { log, tell });
    else done = done.then(async () => (await worker)?.take(message));
    worker?.catch(fail);
    done.catch(fail);
  });
  process.on('disconnect', () => process.exit());
}

interface WorkerParts {
  readonly log: Logger;
  readonly tell: (message: FromWorker) => void;
}

/** A zone that follows the main process's. */
interface Copy {
  readonly zone: ClusterZone;
  isWhole: boolean;
  readonly makeWhole: () => void;
}

/** A server of one configuration, without pages, that follows another one. */
class Worker {
  readonly #task: WorkerTask;
  readonly #parts: WorkerParts;
  readonly #metrics = new DnsMetrics();
  readonly #copies = new Map<number, Copy>();
  /** By the place of their keys in the task. */
  readonly #blocks: OpenBlock[] = [];
  readonly #closers: (() => Promise<void>)[] = [];

  private constructor(task: WorkerTask, parts: WorkerParts) {
    this.#task = task;
    this.#parts = parts;
  }

  static async open(task: WorkerTask, parts: WorkerParts): Promise<Worker> {
    const worker = new Worker(task, parts);
    const settings = new Map(task.config.servers.map((block) => [blockKey(block), block]));
    for (const [index, key] of task.blocks.entries()) {
      const block = settings.get(key);
      if (block !== undefined) worker.#blocks.push(await worker.#open(block, index));
    }
    worker.#tellWhetherWhole();
    return worker;
  }

  async take(message: Exclude<ToWorker, WorkerTask>): Promise<void> {
    switch (message.kind) {
      case 'changes': {
        const zone = this.#copies.get(message.block)?.zone;
        if (zone === undefined) return;
        for (const change of message.changes) applyChange(zone, change);
        zone.renumber(message.serial);
        return;
      }
      case 'whole': {
        const copy = this.#copies.get(message.block);
        copy?.zone.renumber(message.serial);
        copy?.makeWhole();
        this.#tellWhetherWhole();
        return;
      }
      case 'loop':
        for (const forwarder of this.#blocks[message.block]?.forwarders ?? []) forwarder.leaveOut(message.upstream);
        return;
      case 'serve':
        await this.#serve();
        return;
      case 'count':
        this.#count(false);
        return;
      case 'retire':
        for (const close of this.#closers.splice(0)) await close();
        for (const block of this.#blocks) block.close();
        this.#count(true);
    }
  }

  #open(settings: ServerBlock, index: number): Promise<OpenBlock> {
    const { log, tell } = this.#parts;
    const openFeed: OpenFeed = ({ zone }) => this.#copy(zone, index);
    const askOfProbe = (_: ServerBlock, name: Name) => tell({ kind: 'probe', block: index, name });
    return openBlock(settings, { openFeed, log, metrics: this.#metrics, askOfProbe });
  }

  #copy(zone: ClusterZone, index: number): Feed {
    let resolve = () => {};
    const synced = new Promise<void>((done) => {
      resolve = done;
    });
    const makeWhole = () => {
      copy.isWhole = true;
      resolve();
    };
    const copy: Copy = { zone, isWhole: false, makeWhole };
    this.#copies.set(index, copy);
    return {
      isReady: () => copy.isWhole,
      // How old the zone is, the main process says.
      age: () => 0,
      versions: () => new Map(),
      synced,
      close: () => {},
    };
  }

  #tellWhetherWhole(): void {
    if ([...this.#copies.values()].every(({ isWhole }) => isWhole)) this.#parts.tell({ kind: 'whole' });
  }

  async #serve(): Promise<void> {
    const { log } = this.#parts;
    const { config, blocks, sockets, certificates } = this.#task;
    const onCrash = (err: unknown) => {
      this.#metrics.countPanic();
      log.error({ err }, 'a query could not be answered: this is a mistake in the server');
    };
    const open = new Map(this.#blocks.map((block, index) => [blocks[index] ?? '', block]));
    for (const [key, { options }] of planServing({ config, blocks: open, metrics: this.#metrics, onCrash })) {
      const parts = { responder: new Responder(options), log, tls: certificates.get(key) };
      this.#closers.push(await serveAt(sockets.get(key) ?? [], parts));
    }
  }

  #count(isLast: boolean): void {
    this.#parts.tell({ kind: 'counted', values: this.#metrics.registry.values(), isLast });
  }
}
