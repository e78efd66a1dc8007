import { beforeAll, describe, expect, inject, it } from 'vitest';
import { controlPlanePrograms } from '../cluster/kit/control-plane.ts';
import { buildTorture, runTorture } from './run-torture.ts';

const programs = inject('cluster') === undefined ? undefined : controlPlanePrograms();

describe.skipIf(programs === undefined)('the torture on Kubernetes', () => {
  beforeAll(buildTorture);

  it('loses nothing, invents nothing, leaves nothing open and sends nothing twice at once while everything breaks', async () => {
    const { exitCode, output } = await runTorture('--store', 'kubernetes', '--kills', '6', '--tasks', '40');
    expect(exitCode, output).toBe(0);
    expect(output).toMatch(/^kills +6 /m);
    for (const happened of [
      /^ +by signal +SIGKILL 3, SIGTERM 1, SIGSTOP 2$/m,
      /^API server killed +[1-9]/m,
      /^etcd frozen for 4 s +[1-9]/m,
      /^replicas cut off alone +[1-9]/m,
      /^rights taken away and given back +[1-9]/m,
      /^Secrets changed, removed and given back +[1-9]/m,
      /^connections cut +[1-9]/m,
      /^watches told 410 +[1-9]/m,
      /^writes of somebody else to the same Tasks +[1-9]/m,
    ])
      expect(output).toMatch(happened);
    expect(output).toMatch(/^lost +0$/m);
    expect(output).toMatch(/^unsettled +0$/m);
    expect(output).toMatch(/^two attempts at once +0$/m);
    expect(output).toMatch(/^other faults +0$/m);
  }, 180_000);
});
