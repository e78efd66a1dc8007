// Bundles torture/ and runs it with plain Node: `npm run torture [-- --store S --kills N --tasks N --replicas N --seed S]`.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './bundle.mjs';
import { buildControlPlane, keptControlPlane, namedControlPlane } from './control-plane.mjs';
import { bundleTorture } from './torture-bundle.mjs';

const args = process.argv.slice(2);
const outdir = join(root, 'node_modules', '.cache', 'telos-torture');
await bundleTorture(outdir);
const onKubernetes = args.some((arg) => /^(--store=)?kubernetes$/.test(arg));
const named = onKubernetes ? await namedControlPlane(process.env) : undefined;
try {
  const env = { ...process.env, TORTURE_ENGINE: join(outdir, 'engine.js') };
  if (onKubernetes) env.TELOS_TEST_CONTROL_PLANE = named?.folder ?? (await ownControlPlane());
  const run = spawnSync(process.execPath, [join(outdir, 'main.js'), ...args], { stdio: 'inherit', env });
  process.exitCode = run.status ?? 1;
} catch (error) {
  console.error(`torture: ${error.message}`);
  process.exitCode = 1;
} finally {
  await named?.remove();
}

async function ownControlPlane() {
  const kept = await keptControlPlane(process.env);
  if (!kept.built) await buildControlPlane(kept, new AbortController().signal);
  return kept.folder;
}
