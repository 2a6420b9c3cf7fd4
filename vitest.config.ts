import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Left alone it keeps one processor free, which is half of a small machine.
    maxWorkers: '100%',
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/{conformance,golden,repo}/**/*.test.ts'],
          exclude: ['**/*.kernel.test.ts', '**/*.ipvs.test.ts'],
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          pool: 'forks',
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'kernel',
          include: ['{src,test}/**/*.kernel.test.ts'],
          setupFiles: ['test/own-netns.ts'],
          pool: 'forks',
          testTimeout: 30_000,
        },
      },
      {
        test: {
          // What needs a kernel with IPVS: see tools/vm.mjs.
          name: 'ipvs',
          include: ['{src,test}/**/*.ipvs.test.ts', 'test/conformance/{services,changes,random}.kernel.test.ts'],
          env: { PROXY_MODE: 'ipvs' },
          fileParallelism: false,
          setupFiles: ['test/own-netns.ts'],
          pool: 'forks',
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          exclude: ['**/*.ipvs.test.ts'],
          pool: 'forks',
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
