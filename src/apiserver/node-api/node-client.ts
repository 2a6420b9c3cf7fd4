import { IncomingMessage } from 'node:http';
import { Agent, type RequestOptions, request } from 'node:https';
import type { Duplex } from 'node:stream';
import { createSecureContext } from 'node:tls';
import type { Node } from '../../api/generated/types.ts';
import { nodeApiConnect, nodeApiPort } from '../../api/node-api.ts';
import { StatusError } from '../status.ts';
import { readRefusal } from './refusal.ts';

/** PEM texts by which a node agent knows the API server, and the authority of the agents' own certificates. */
export interface NodeClientPki {
  readonly caCert: string;
  readonly cert: string;
  readonly key: string;
}

const connectMs = 10_000;

/** A connection that has become a WebSocket or one of SPDY, as the node's answer to the request for it. */
export interface Upgraded {
  readonly answer: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

/** A TCP port of a Pod. */
export interface PodPort {
  readonly namespace: string;
  readonly pod: string;
  readonly address: string;
  readonly port: number;
}

/** Speaks to the agents of nodes. Requests reject with `StatusError` 503 when a node cannot be reached. */
export class NodeClient {
  readonly #agent: Agent;
  /** For connections that become others: none is used twice, but they go on from the same TLS session, which is cheap. */
  readonly #dialer: Agent;

  constructor({ caCert, cert, key }: NodeClientPki) {
    const secureContext = createSecureContext({ ca: caCert, cert, key });
    this.#agent = new Agent({ secureContext, keepAlive: true, maxFreeSockets: 4 });
    this.#dialer = new Agent({ secureContext });
  }

  /** The answer to a GET, whatever its status. Ends when `signal` aborts. */
  get(node: Node, path: string, signal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const sent = request({ ...this.#where(node, path), signal });
      sent.once('response', resolve);
      this.#expect(sent, node, reject);
      sent.end();
    });
  }

  /** Asks for another kind of connection. An answer that refuses comes as it is. */
  upgrade(node: Node, path: string, headers: RequestOptions['headers']): Promise<Upgraded | IncomingMessage> {
    return new Promise((resolve, reject) => {
      const sent = request({ ...this.#where(node, path), agent: this.#dialer, headers });
      sent.once('response', resolve);
      sent.once('upgrade', (answer, socket, head) => resolve({ answer, socket, head }));
      this.#expect(sent, node, reject);
      sent.end();
    });
  }

  /**
   * A connection to a port of one of a node's Pods.
   * @throws Error with the node's own words when there is nobody at that port
   */
  async connect(node: Node, { namespace, pod, address, port }: PodPort): Promise<Duplex> {
    const parts = [nodeApiConnect.action, namespace, pod].map(encodeURIComponent);
    const path = `/${parts.join('/')}?${new URLSearchParams({ address, port: String(port) })}`;
    const answer = await this.upgrade(node, path, { connection: 'Upgrade', upgrade: nodeApiConnect.protocol });
    if (answer instanceof IncomingMessage) throw new Error(await readRefusal(answer));
    const { socket, head } = answer;
    // Whoever speaks over it hears of its end, whatever that comes from.
    socket.on('error', () => socket.destroy());
    if (head.length > 0) socket.unshift(head);
    return socket;
  }

  close(): void {
    this.#agent.destroy();
    this.#dialer.destroy();
  }

  #where(node: Node, path: string): RequestOptions {
    const { addresses = [], daemonEndpoints } = node.status ?? {};
    const address = addresses.find(({ type }) => type === 'InternalIP') ?? addresses[0];
    if (address === undefined) throw unreachable(node, 'it has no address');
    const port = daemonEndpoints?.kubeletEndpoint?.Port ?? nodeApiPort;
    return { host: address.address, port, path, agent: this.#agent };
  }

  #expect(sent: ReturnType<typeof request>, node: Node, reject: (error: Error) => void): void {
    const timer = setTimeout(() => sent.destroy(new Error('no answer in time')), connectMs);
    for (const event of ['response', 'upgrade', 'close'] as const) sent.once(event, () => clearTimeout(timer));
    sent.once('error', (error) => reject(unreachable(node, error.message)));
  }
}

function unreachable(node: Node, why: string): StatusError {
  return new StatusError('ServiceUnavailable', `error dialing backend: node ${node.metadata?.name}: ${why}`);
}
