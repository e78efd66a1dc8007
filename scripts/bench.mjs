// Bundles bench/ and runs it with plain Node: `npm run bench [-- NAME …]`.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { bundle, program, root } from './bundle.mjs';

const outdir = join(root, 'node_modules', '.cache', 'telos-bench');
await bundle(
  { ...program, main: 'bench/main.ts', receiver: 'bench/receiver.ts', engine: 'bench/engine.ts' },
  outdir,
);
const run = spawnSync(process.execPath, [join(outdir, 'main.js'), ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, TELOS_BENCH_PROGRAM: join(outdir, 'telos.js') },
});
process.exit(run.status ?? 1);
