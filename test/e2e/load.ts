import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { eventually, root, type Signalbox } from './signalbox.ts';

/** How connections are opened. */
export interface LoadOptions {
  readonly perSecond: number;
  /** Where from: a target of `signalbox exec`; `node/node-1` if not given. */
  readonly from?: string;
  /** Milliseconds one may take; 20,000 if not given. */
  readonly timeoutMs?: number;
}

/** Connections on their way; `end` waits for those that are under way and gives how many had which outcome. */
export interface Load {
  end(): Promise<{ readonly [outcome: string]: number }>;
}

/**
 * Opens new connections at a steady rate, each for one request, as soon as there is an answer at all: rules follow Pods
 * that are Ready in a moment. Resolves when the first is about to be opened.
 */
export async function startLoad(box: Signalbox, url: string, options: LoadOptions): Promise<Load> {
  const { perSecond, from = 'node/node-1', timeoutMs = 20_000 } = options;
  await eventually(`an answer of ${url} to ${from}`, async () => {
    const { status } = await box.run('exec', from, '--', 'curl', '-sS', '-o', '/dev/null', '-m', '5', url);
    return status === 0 || undefined;
  });
  const program = join(root, 'test/e2e/load.mjs');
  const child = box.start(['exec', from, '--', process.execPath, program, url, `${perSecond}`, `${timeoutMs}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  if (child.stdin === null || child.stdout === null) throw new Error('the load has no streams');
  const { stdin, stdout } = child;
  await once(stdout, 'readable');
  return {
    end: async () => {
      stdin.end();
      return JSON.parse(await text(stdout));
    },
  };
}
