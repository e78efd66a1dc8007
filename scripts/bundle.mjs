// How the program is bundled: for dist/, for tests and for benchmarks alike.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Bundles entry points (name → source) into `outdir`, so that plain Node can run them from there. */
export async function bundle(entryPoints, outdir) {
  await mkdir(outdir, { recursive: true });
  // Said here, because outdir may stand where the package's own `type` does not reach.
  await writeFile(join(outdir, 'package.json'), '{ "type": "module" }\n');
  await build({
    absWorkingDir: root,
    entryPoints,
    outdir,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.20',
    external: ['better-sqlite3'],
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none',
    logLevel: 'warning',
    banner: {
      // Bundled CommonJS packages still call require() for Node's own modules.
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
  });
}

/** What is shipped: the `telos` program, the keeper it starts beside each Task, and the thread of its store. */
export const program = {
  telos: 'src/cli/main.ts',
  keeper: 'src/run/process/keeper.ts',
  'store-thread': 'src/store/sqlite/thread/store-thread.ts',
};
