import { defineConfig } from 'vitest/config';

/** Milliseconds. What is waited for comes in a few of them, but for machines that are busy with other things. */
const patience = { testTimeout: 60_000, hookTimeout: 60_000, expect: { poll: { timeout: 20_000 } } };
/** Of files that run beside as many others as there are processors, and start processes. */
const patienceWithProcesses = { ...patience, testTimeout: 120_000, hookTimeout: 120_000 };
const patienceWithClusters = { ...patience, testTimeout: 300_000, hookTimeout: 300_000 };

export default defineConfig({
  test: {
    // Left alone it keeps one processor free, which is half of a small machine.
    maxWorkers: '100%',
    projects: [
      {
        test: {
          name: 'unit',
          ...patience,
          include: ['src/**/*.test.ts', 'test/{conformance,golden,repo}/**/*.test.ts'],
          exclude: ['**/*.kernel.test.ts', '**/*.ipvs.test.ts'],
        },
      },
      {
        test: {
          name: 'integration',
          ...patience,
          include: ['test/integration/**/*.test.ts'],
          pool: 'forks',
        },
      },
      {
        test: {
          name: 'kernel',
          ...patienceWithProcesses,
          include: ['{src,test}/**/*.kernel.test.ts'],
          setupFiles: ['test/own-netns.ts'],
          pool: 'forks',
        },
      },
      {
        test: {
          // What needs a kernel with IPVS: see tools/vm.mjs.
          name: 'ipvs',
          ...patienceWithClusters,
          include: ['{src,test}/**/*.ipvs.test.ts', 'test/conformance/{services,changes,random}.kernel.test.ts'],
          env: { PROXY_MODE: 'ipvs' },
          fileParallelism: false,
          setupFiles: ['test/own-netns.ts'],
          pool: 'forks',
        },
      },
      {
        test: {
          name: 'e2e',
          ...patienceWithClusters,
          include: ['test/e2e/**/*.test.ts'],
          exclude: ['**/*.ipvs.test.ts'],
          pool: 'forks',
          fileParallelism: false,
        },
      },
    ],
  },
});
