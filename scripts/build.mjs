// Builds dist/: the `telos` program and the keeper it starts beside each Task.
import { chmod, mkdir, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');

await rm(dist, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: { telos: 'src/cli/main.ts', keeper: 'src/run/process/keeper.ts' },
  outdir: dist,
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
await chmod(join(dist, 'telos.js'), 0o755);

// npx looks here first: with the link, `npx telos` runs this checkout at once.
const bin = join(root, 'node_modules', '.bin');
await mkdir(bin, { recursive: true });
await rm(join(bin, 'telos'), { force: true });
await symlink(join('..', '..', 'dist', 'telos.js'), join(bin, 'telos'));
