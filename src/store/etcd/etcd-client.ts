import { backoffDelay, sleep } from '../../component/backoff.ts';
import { SignalboxError } from '../../errors/error.ts';
import { GrpcConnection, GrpcError, type GrpcStream, type GrpcStreamObserver, type GrpcTls, grpcCode } from './grpc.ts';
import {
  decodeRange,
  decodeTransaction,
  decodeWatch,
  encodeCompaction,
  encodeRange,
  encodeTransaction,
  encodeWatchCreate,
  type KeyRange,
  type RangeRequest,
  type RangeResponse,
  type TransactionRequest,
  type TransactionResponse,
  type WatchResponse,
} from './messages.ts';

/** Where the members of an etcd cluster are, and how to be known to them. */
export interface EtcdEndpoints {
  /** `http://host:port` or `https://host:port`, at least one. The next is asked when one does not answer. */
  readonly endpoints: readonly string[];
  readonly tls?: GrpcTls;
}

/** Told what a watch says. After `onEnd` there is nothing more. */
export interface WatchObserver {
  readonly onResponse: (response: WatchResponse) => void;
  readonly onEnd: (error: GrpcError) => void;
}

const callMs = 5_000;
const tries = 4;
const backoff = { initial: 50, max: 1_000 };

/**
 * The four calls of etcd's gRPC API that a store is made of. Reads go to the next endpoint when one fails; a write does
 * so only if it cannot have been carried out.
 */
export class EtcdClient {
  readonly #where: EtcdEndpoints;
  /** Index of the endpoint in use, or to be tried first. */
  #index = 0;
  #connection: GrpcConnection | undefined;
  #connecting: Promise<GrpcConnection> | undefined;
  #closed = false;

  constructor(where: EtcdEndpoints) {
    this.#where = where;
  }

  /** @throws GrpcError, SignalboxError `STORE_UNAVAILABLE` */
  async range(request: RangeRequest): Promise<RangeResponse> {
    return decodeRange(await this.#call('KV/Range', encodeRange(request).finish(), true));
  }

  /** @throws GrpcError, SignalboxError `STORE_UNAVAILABLE` also when nobody knows whether it was carried out */
  async transact(request: TransactionRequest): Promise<TransactionResponse> {
    return decodeTransaction(await this.#call('KV/Txn', encodeTransaction(request).finish(), false));
  }

  /** @throws GrpcError, SignalboxError `STORE_UNAVAILABLE` */
  async compact(revision: number): Promise<void> {
    await this.#call('KV/Compact', encodeCompaction(revision).finish(), false);
  }

  /** Follows a range of keys on one connection; it ends with that. @throws SignalboxError `STORE_UNAVAILABLE` */
  async watch(range: KeyRange, startRevision: number, observer: WatchObserver): Promise<GrpcStream> {
    const connection = await this.#connected();
    let isClosed = false;
    const observe: GrpcStreamObserver = {
      onMessage: (message) => observer.onResponse(decodeWatch(message)),
      onEnd: (error) => {
        if (!isClosed) this.#leave(connection, error);
        observer.onEnd(error);
      },
    };
    const stream = connection.stream('/etcdserverpb.Watch/Watch', observe);
    stream.send(encodeWatchCreate(range, startRevision).finish());
    return {
      ...stream,
      close: () => {
        isClosed = true;
        stream.close();
      },
    };
  }

  /** Breaks off what is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#connecting?.catch(() => {});
    this.#connection?.close();
  }

  async #call(method: string, message: Buffer, isRepeatable: boolean): Promise<Buffer> {
    for (let attempt = 0; ; attempt++) {
      const connection = await this.#connected();
      try {
        return await connection.call(`/etcdserverpb.${method}`, message, callMs);
      } catch (error) {
        if (!(error instanceof GrpcError) || !isUnreached(error)) throw error;
        this.#leave(connection, error);
        if (attempt + 1 >= tries || !(isRepeatable || error.isUnsent) || this.#closed) throw this.#unavailable(error);
        await sleep(backoffDelay(attempt, backoff));
      }
    }
  }

  /** The connection in use; when there is none, one to the first endpoint that takes it. */
  async #connected(): Promise<GrpcConnection> {
    if (this.#closed) throw this.#unavailable(new GrpcError(grpcCode.unavailable, 'its client is closed', true));
    if (this.#connection?.isOpen === true) return this.#connection;
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async #connect(): Promise<GrpcConnection> {
    const { endpoints, tls } = this.#where;
    let problem: unknown;
    for (let i = 0; i < endpoints.length; i++) {
      try {
        this.#connection = await GrpcConnection.open(endpoints[this.#index] ?? '', tls);
        return this.#connection;
      } catch (error) {
        problem = error;
        this.#index = (this.#index + 1) % endpoints.length;
      }
    }
    throw this.#unavailable(problem);
  }

  /** Gives up a connection over which a member could not be reached, or cannot reach the others. */
  #leave(connection: GrpcConnection, error: GrpcError): void {
    if (!isUnreached(error) || !connection.isOpen) return;
    connection.close();
    this.#index = (this.#index + 1) % this.#where.endpoints.length;
  }

  #unavailable(cause: unknown): SignalboxError {
    return new SignalboxError('STORE_UNAVAILABLE', {
      object: `etcd at ${this.#where.endpoints.join(', ')}`,
      problem: `cannot be reached (${cause instanceof Error ? cause.message : String(cause)})`,
      remedy: 'see whether a majority of its members runs, and whether the endpoints and certificates are right',
      cause,
    });
  }
}

function isUnreached(error: GrpcError): boolean {
  return error.code === grpcCode.unavailable || error.code === grpcCode.deadlineExceeded;
}
