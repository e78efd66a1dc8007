import { beforeAll, describe, expect, inject, it } from 'vitest';
import { controlPlanePrograms } from '../cluster/kit/control-plane.ts';
import { buildTorture, runTorture } from './run-torture.ts';

const programs = inject('cluster') === undefined ? undefined : controlPlanePrograms();

describe.skipIf(programs === undefined)('the torture on Kubernetes', () => {
  beforeAll(buildTorture);

  it('loses nothing, invents nothing and leaves nothing open while everything breaks', async () => {
    const { exitCode, output } = await runTorture('--store', 'kubernetes', '--kills', '8', '--tasks', '40');
    expect(exitCode, output).toBe(0);
    expect(output).toMatch(/^kills +8 /m);
    for (const happened of [
      /^API server killed +[1-9]/m,
      /^etcd frozen for 4 s +[1-9]/m,
      /^connections cut +[1-9]/m,
      /^watches told 410 +[1-9]/m,
      /^writes of somebody else to the same Tasks +[1-9]/m,
    ])
      expect(output).toMatch(happened);
    expect(output).toMatch(/^lost +0$/m);
    expect(output).toMatch(/^unsettled +0$/m);
    expect(output).toMatch(/^other faults +0$/m);
  }, 180_000);
});
