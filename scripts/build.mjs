// Builds dist/, and links it so that `npx telos` runs this checkout.
import { chmod, mkdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { bundle, program, root } from './bundle.mjs';

const dist = join(root, 'dist');
await rm(dist, { recursive: true, force: true });
await bundle(program, dist);
await chmod(join(dist, 'telos.js'), 0o755);

// npx looks here first, so it need not install anything.
const bin = join(root, 'node_modules', '.bin');
await mkdir(bin, { recursive: true });
await rm(join(bin, 'telos'), { force: true });
await symlink(join('..', '..', 'dist', 'telos.js'), join(bin, 'telos'));
