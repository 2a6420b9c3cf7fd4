import type { MetricValues } from '../../component/metrics.ts';
import type { DnsConfig } from '../config/types.ts';
import type { BoundSocket } from '../server/udp.ts';
import type { ServerTls } from '../tls-files.ts';
import type { Name } from '../wire/name.ts';
import type { ZoneChange } from '../zone-change.ts';

/** What a worker serves: one configuration, all its life. Blocks are told apart by `blockKey`, addresses by plans' keys. */
export interface WorkerTask {
  readonly kind: 'task';
  readonly config: DnsConfig;
  /** Descriptors of the worker's own. */
  readonly sockets: ReadonlyMap<string, readonly BoundSocket[]>;
  readonly certificates: ReadonlyMap<string, ServerTls>;
  /** Keys of the blocks, by whose places in this list they are told apart in messages. */
  readonly blocks: readonly string[];
}

/** What the main process tells a worker. */
export type ToWorker =
  | WorkerTask
  /** Brings a block's zone on; `serial` is that of the main process's zone when it had these changes. */
  | {
      readonly kind: 'changes';
      readonly block: number;
      readonly changes: readonly ZoneChange[];
      readonly serial: number;
    }
  /** A block's zone has all there is. */
  | { readonly kind: 'whole'; readonly block: number; readonly serial: number }
  /** An upstream of a block sends queries back: it is not to be asked. */
  | { readonly kind: 'loop'; readonly block: number; readonly upstream: string }
  | { readonly kind: 'serve' }
  /** Asks for what was counted, and for a sign of life. */
  | { readonly kind: 'count' }
  /** Nothing more is to be answered. */
  | { readonly kind: 'retire' };

/** What a worker tells the main process. */
export type FromWorker =
  /** Its zones are whole: it may serve. */
  | { readonly kind: 'whole' }
  | { readonly kind: 'counted'; readonly values: MetricValues; readonly isLast: boolean }
  /** A query came for a name that may be a probe for loops. */
  | { readonly kind: 'probe'; readonly block: number; readonly name: Name };
