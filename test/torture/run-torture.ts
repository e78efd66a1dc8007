import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { threadId } from 'node:worker_threads';
import { root } from '../../scripts/bundle.mjs';
import { bundleTorture } from '../../scripts/torture-bundle.mjs';

const outdir = join(root, 'node_modules', '.cache', 'telos-test', String(threadId), 'torture');

/** Makes what `runTorture` runs. */
export function buildTorture(): Promise<void> {
  return bundleTorture(outdir);
}

/** `npm run torture` with these flags, on the control plane that the environment names if it needs one. */
export async function runTorture(
  ...flags: readonly string[]
): Promise<{ exitCode: number | null; output: string }> {
  const { PATH = '', TELOS_TEST_CONTROL_PLANE = '' } = process.env;
  const child = spawn(process.execPath, [join(outdir, 'main.js'), ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH, TELOS_TEST_CONTROL_PLANE, TORTURE_ENGINE: join(outdir, 'engine.js') },
  });
  const exited = once(child, 'exit');
  const output = await Promise.all([text(child.stdout), text(child.stderr)]);
  await exited;
  return { exitCode: child.exitCode, output: output.join('\n') };
}
