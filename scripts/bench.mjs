// Bundles bench/ and runs it with plain Node: `npm run bench [-- NAME …]`.
import { spawnSync } from 'node:child_process';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundle, program, root } from './bundle.mjs';
import { keptControlPlane, namedControlPlane } from './control-plane.mjs';

const outdir = join(root, 'node_modules', '.cache', 'telos-bench');
await bundle(
  { ...program, main: 'bench/main.ts', receiver: 'bench/receiver.ts', engine: 'bench/engine.ts' },
  outdir,
);
// Where the bundled kit looks for what starts the control plane.
for (const name of ['supervisor.mjs', 'container-log-writer.mjs']) {
  await copyFile(join(root, 'test', 'cluster', 'kit', name), join(outdir, name));
}

const named = await namedControlPlane(process.env);
const kept = await keptControlPlane(process.env);
const controlPlane = named?.folder ?? (kept.built ? kept.folder : undefined);
const run = spawnSync(process.execPath, [join(outdir, 'main.js'), ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: {
    ...process.env,
    TELOS_BENCH_PROGRAM: join(outdir, 'telos.js'),
    ...(controlPlane && { TELOS_TEST_CONTROL_PLANE: controlPlane }),
  },
});
await named?.remove();
process.exit(run.status ?? 1);
