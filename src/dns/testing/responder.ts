import { Responder } from '../answer.ts';
import type { TransferRule } from '../config/types.ts';
import type { Forwarder } from '../forward/forwarder.ts';
import { ForwardHandler } from '../handlers/forward.ts';
import { KubernetesHandler } from '../handlers/kubernetes.ts';
import { type Handler, inOrder } from '../handlers/order.ts';
import { TransferHandler } from '../handlers/transfer.ts';
import { DnsMetrics } from '../metrics.ts';
import { rootName } from '../wire/name.ts';
import type { ClusterZone } from '../zone.ts';

/** For tests: what a responder with one block, for all names, is made of. */
export interface ResponderParts {
  readonly zone: ClusterZone;
  readonly forwarder?: Forwarder;
  readonly isReady?: boolean;
  readonly maxUdpSize?: number;
  readonly transfer?: readonly TransferRule[];
  readonly metrics?: DnsMetrics;
  readonly hosts?: Handler;
}

/** For tests: a responder with one block for all names: a cluster's, and others where there is a forwarder. */
export function responderOf(parts: ResponderParts): Responder {
  const { zone, forwarder, isReady = true, maxUdpSize = 1232, transfer = [], metrics = new DnsMetrics() } = parts;
  const handlers = inOrder({
    transfer: [new TransferHandler({ rules: transfer, zone, isReady: () => isReady })],
    hosts: parts.hosts === undefined ? [] : [parts.hosts],
    kubernetes: [new KubernetesHandler({ zone, isReady: () => isReady, loadbalance: true })],
    forward:
      forwarder === undefined ? [] : [new ForwardHandler({ from: rootName, except: [], forwarder, loadbalance: true })],
  });
  return new Responder({
    blocks: [{ zones: [{ apex: rootName, metrics: metrics.queries('dns://:53', '.') }], handlers }],
    maxUdpSize,
    isRecursive: forwarder !== undefined,
    dropped: metrics.queries('dns://:53', 'dropped'),
    onCrash: (error) => {
      throw error;
    },
  });
}
