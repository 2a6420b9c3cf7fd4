import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SignalboxError } from '../errors/error.ts';
import { listChildren } from '../kernel/process.ts';
import { networkPaths } from './network.ts';
import { planCluster } from './plan.ts';
import type { ClusterPaths, ClusterRecord } from './state.ts';

/** Where a command is to run. */
export type Target =
  | { readonly kind: 'client' }
  | { readonly kind: 'node'; readonly name: string }
  | { readonly kind: 'pod'; readonly name: string; readonly namespace: string; readonly container: string | undefined };

/** Reads `client`, `node/NAME` or `pod/NAME[.NAMESPACE]`; `undefined` for anything else. */
export function parseTarget(text: string, container?: string): Target | undefined {
  if (text === 'client') return { kind: 'client' };
  const [, kind, name = '', namespace = 'default'] = /^(node|pod)\/([^./]+)(?:\.([^./]+))?$/.exec(text) ?? [];
  if (kind === 'pod') return { kind, name, namespace, container };
  return kind === 'node' && !text.includes('.') ? { kind, name } : undefined;
}
