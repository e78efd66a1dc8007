// Bundles torture/ and runs it with plain Node: `npm run torture [-- --store S --kills N --tasks N --seed S]`.
import { spawnSync } from 'node:child_process';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundle, program, root } from './bundle.mjs';
import { buildControlPlane, keptControlPlane, namedControlPlane } from './control-plane.mjs';

const args = process.argv.slice(2);
const outdir = join(root, 'node_modules', '.cache', 'telos-torture');
await bundle({ ...program, main: 'torture/main.ts', engine: 'torture/engine.ts' }, outdir);
// What starts the control plane finds its supervisor beside itself.
const supervisor = ['supervisor.mjs', 'container-log-writer.mjs'];
for (const name of supervisor) await copyFile(join(root, 'test', 'cluster', 'kit', name), join(outdir, name));
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
