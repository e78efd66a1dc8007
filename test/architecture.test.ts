import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What lint says of a file at `path`, in a checkout that has our configuration and nothing else. */
function lint(path: string, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'telos-lint-'));
  try {
    copyFileSync(join(root, 'biome.json'), join(folder, 'biome.json'));
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
    const biome = join(root, 'node_modules', '.bin', 'biome');
    const run = spawnSync(biome, ['lint', path], { cwd: folder, encoding: 'utf8' });
    return `${run.stdout}${run.stderr}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('imports', () => {
  it.each([
    ['src/base/x.ts', '../api/kinds.ts'],
    ['src/api/x.ts', '../store/store.ts'],
    ['src/store/sqlite/x.ts', '../../egress/guard.ts'],
    ['src/store/x.ts', '../report/room.ts'],
    ['src/egress/x.ts', '../store/store.ts'],
    ['src/spawn/sources/x.ts', '../../run/room.ts'],
    ['src/run/x.ts', '../report/room.ts'],
    ['src/report/x.ts', '../spawn/room.ts'],
    ['src/report/x.ts', '../engine.ts'],
    ['src/server/x.ts', '../cli/version.ts'],
    ['src/engine.ts', './server/app.ts'],
  ])('go downward only: %s may not import %s', (path, imported) => {
    expect(lint(path, `export type { X } from '${imported}';\n`)).toMatch(/imports go downward/);
  });

  it.each([
    ['src/report/x.ts', '../store/store.ts'],
    ['src/cli/x.ts', '../engine.ts'],
    ['src/engine.ts', './report/room.ts'],
  ])('may go downward: %s may import %s', (path, imported) => {
    expect(lint(path, `export type { X } from '${imported}';\n`)).not.toMatch(/imports go downward/);
  });
});

describe('outbound connections', () => {
  it.each([
    "import { request } from 'undici';\nexport const x = request;\n",
    "import { connect } from 'node:net';\nexport const x = connect;\n",
    "import * as https from 'node:https';\nexport const x = https;\n",
    "import * as tls from 'node:tls';\nexport const x = tls;\n",
    "export const x = fetch('https://example.com');\n",
  ])('are opened by the egress guard only: %j is refused in a room', (text) => {
    expect(lint('src/report/x.ts', text)).toMatch(/goes through the egress guard/);
  });

  // Which API server is asked is the operator's word (the kubeconfig), never a resource's: there is nothing to guard.
  it('also go to the API server, from one file of the Kubernetes store and with HTTP only', () => {
    const request = "import { request } from 'undici';\nexport const x = request;\n";
    expect(lint('src/store/kubernetes/transport.ts', request)).not.toMatch(/goes through the egress guard/);
    expect(lint('src/store/kubernetes/discovery.ts', request)).toMatch(/goes through the egress guard/);
    const connect = "import { connect } from 'node:net';\nexport const x = connect;\n";
    expect(lint('src/store/kubernetes/transport.ts', connect)).toMatch(/goes through the egress guard/);
    const upward = "export type { X } from '../../report/room.ts';\n";
    expect(lint('src/store/kubernetes/transport.ts', upward)).toMatch(/imports go downward/);
  });
});
