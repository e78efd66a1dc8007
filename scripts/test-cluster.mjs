// Runs the suites that need Kubernetes: `npm run test:cluster [-- vitest's arguments]`; or, with `--serve`, a cluster to
// try things on by hand. CONTRIBUTING.md says on what.
import { spawn } from 'node:child_process';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundle, root } from './bundle.mjs';
import { buildControlPlane, keptControlPlane, namedControlPlane } from './control-plane.mjs';
import { findHelm } from './helm.mjs';

const [, , ...args] = process.argv;
const serving = args[0] === '--serve';
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
    const controlPlane = named?.folder ?? (await ownControlPlane());
    return await (serving ? serve(controlPlane) : runSuites(controlPlane));
  } finally {
    await named?.remove();
  }
}

/** Ours, built when need be: where there is a cluster already, it is welcome but not needed. */
async function ownControlPlane() {
  const kept = await keptControlPlane(process.env);
  if (kept.built) return kept.folder;
  if (process.env.TELOS_TEST_KUBECONFIG && !serving) return undefined;
  await buildControlPlane(kept, ending.signal);
  return kept.folder;
}

async function runSuites(controlPlane) {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  // Only the chart's own tests are left out without it, and none in CI.
  const helm = await findHelm(process.env, ending.signal).catch((error) => {
    if (process.env.CI) throw error;
    console.error(`test:cluster: ${error.message}`);
    return undefined;
  });
  ending.signal.throwIfAborted();
  return run(
    [vitest, 'run', '--project', 'cluster', ...args],
    controlPlane,
    helm && { TELOS_TEST_HELM: helm },
  );
}

async function serve(controlPlane) {
  const outdir = join(root, 'node_modules', '.cache', 'telos-cluster');
  const kit = join(root, 'test', 'cluster', 'kit');
  await bundle({ serve: 'test/cluster/kit/serve.ts' }, outdir);
  for (const name of ['supervisor.mjs', 'container-log-writer.mjs']) {
    await copyFile(join(kit, name), join(outdir, name));
  }
  return run([join(outdir, 'serve.js')], controlPlane);
}

function run(command, controlPlane, more) {
  const env = { ...process.env, ...more, ...(controlPlane && { TELOS_TEST_CONTROL_PLANE: controlPlane }) };
  const child = spawn(process.execPath, command, { cwd: root, env, stdio: 'inherit' });
  ending.signal.addEventListener('abort', () => child.kill('SIGINT'));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve(status ?? 1));
  });
}
