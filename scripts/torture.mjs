// Bundles torture/ and runs it with plain Node: `npm run torture [-- --kills N --tasks N --seed S]`.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { bundle, program, root } from './bundle.mjs';

const outdir = join(root, 'node_modules', '.cache', 'telos-torture');
await bundle({ ...program, main: 'torture/main.ts', engine: 'torture/engine.ts' }, outdir);
const run = spawnSync(process.execPath, [join(outdir, 'main.js'), ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, TORTURE_ENGINE: join(outdir, 'engine.js') },
});
process.exit(run.status ?? 1);
