/**
 * Clusters for tests, as a library: `import { startCluster } from 'signalbox/testing'`. For vitest, `node:test` and
 * everything else that can await. See docs/testing.md.
 */

export {
  type ApplyOptions,
  type Manifest,
  type StartOptions,
  startCluster,
  type TestCluster,
  type WaitOptions,
} from './cluster.ts';
export type { CommandOptions, CommandResult } from './command.ts';
