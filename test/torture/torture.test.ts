import { beforeAll, expect, it } from 'vitest';
import { buildTorture, runTorture } from './run-torture.ts';

beforeAll(buildTorture);

it('loses nothing, invents nothing and leaves nothing open while it is killed again and again', async () => {
  const { exitCode, output } = await runTorture('--kills', '20', '--tasks', '150');
  // All of it, because that is what somebody needs to repeat a failure.
  expect(exitCode, output).toBe(0);
  expect(output).toMatch(/^kills +20 /m);
  expect(output).toMatch(/^lost +0$/m);
  expect(output).toMatch(/^unsettled +0$/m);
  expect(output).toMatch(/^two attempts at once +0$/m);
  expect(output).toMatch(/^other faults +0$/m);
}, 120_000);

it('refuses a flag that is not understood', async () => {
  const { exitCode, output } = await runTorture('--kills', 'many');
  expect(exitCode).toBe(2);
  expect(output).toContain("error: --kills 'many' is not a whole number");
});
