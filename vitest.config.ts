import { defineConfig } from 'vitest/config';

const onCluster = 'test/**/*.cluster.test.ts';

export default defineConfig({
  test: {
    // Nothing here is global, so files may share a process; sharing it is several times faster.
    pool: 'threads',
    isolate: false,
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['default'],
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: [onCluster] } },
      {
        extends: true,
        test: { name: 'cluster', include: [onCluster], globalSetup: 'test/cluster/kit/global-setup.ts' },
      },
    ],
  },
});
