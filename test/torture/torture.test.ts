import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { threadId } from 'node:worker_threads';
import { beforeAll, expect, it } from 'vitest';
import { bundle, program, root } from '../../scripts/bundle.mjs';

const outdir = join(root, 'node_modules', '.cache', 'telos-test', String(threadId), 'torture');

beforeAll(() => bundle({ ...program, main: 'torture/main.ts', engine: 'torture/engine.ts' }, outdir));

/** `npm run torture` with these flags. */
async function torture(...flags: readonly string[]): Promise<{ exitCode: number | null; output: string }> {
  const child = spawn(process.execPath, [join(outdir, 'main.js'), ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', TORTURE_ENGINE: join(outdir, 'engine.js') },
  });
  const exited = once(child, 'exit');
  const output = await Promise.all([text(child.stdout), text(child.stderr)]);
  await exited;
  return { exitCode: child.exitCode, output: output.join('\n') };
}

it('loses nothing, invents nothing and leaves nothing open while it is killed again and again', async () => {
  const { exitCode, output } = await torture('--kills', '20', '--tasks', '150');
  // All of it, because that is what somebody needs to repeat a failure.
  expect(exitCode, output).toBe(0);
  expect(output).toMatch(/^kills +20 /m);
  expect(output).toMatch(/^lost +0$/m);
  expect(output).toMatch(/^unsettled +0$/m);
  expect(output).toMatch(/^other faults +0$/m);
}, 120_000);

it('refuses a flag that is not understood', async () => {
  const { exitCode, output } = await torture('--kills', 'many');
  expect(exitCode).toBe(2);
  expect(output).toContain("error: --kills 'many' is not a whole number");
});
