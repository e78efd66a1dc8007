// Runs the suites that need Kubernetes: `npm run test:cluster [-- vitest's arguments]`. CONTRIBUTING.md says on what.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './bundle.mjs';
import { buildControlPlane, keptControlPlane, namedControlPlane } from './control-plane.mjs';

const ending = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => ending.abort());

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`test:cluster: ${ending.signal.aborted ? 'stopped' : error.message}`);
  process.exitCode = 1;
}

async function main() {
  const named = await namedControlPlane(process.env);
  try {
    return await runSuites(named?.folder ?? (await ownControlPlane()));
  } finally {
    await named?.remove();
  }
}

/** Ours, built when need be: a cluster that is there already makes it welcome, but not needed. */
async function ownControlPlane() {
  const kept = await keptControlPlane(process.env);
  if (kept.built) return kept.folder;
  if (process.env.TELOS_TEST_KUBECONFIG) return undefined;
  await buildControlPlane(kept, ending.signal);
  return kept.folder;
}

function runSuites(controlPlane) {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const env = { ...process.env, ...(controlPlane && { TELOS_TEST_CONTROL_PLANE: controlPlane }) };
  const args = [vitest, 'run', '--project', 'cluster', ...process.argv.slice(2)];
  const run = spawn(process.execPath, args, { cwd: root, env, stdio: 'inherit' });
  ending.signal.addEventListener('abort', () => run.kill('SIGINT'));
  return new Promise((resolve, reject) => {
    run.on('error', reject);
    run.on('close', (status) => resolve(status ?? 1));
  });
}
