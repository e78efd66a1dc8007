// What `npm run torture` runs: the program, the torture, and what starts a control plane for it.
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundle, program, root } from './bundle.mjs';

/** Bundles torture/ into `outdir`; `main.js` is to be run there, with TORTURE_ENGINE naming `engine.js`. */
export async function bundleTorture(outdir) {
  await bundle({ ...program, main: 'torture/main.ts', engine: 'torture/engine.ts' }, outdir);
  // What starts the control plane looks for its supervisor beside itself.
  for (const name of ['supervisor.mjs', 'container-log-writer.mjs'])
    await copyFile(join(root, 'test', 'cluster', 'kit', name), join(outdir, name));
}
