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

/** What lint says of each of several files, in a checkout that has our configuration and nothing else. */
function lintAll(
  files: readonly { readonly path: string; readonly text: string }[],
): { readonly path: string; readonly message: string }[] {
  const folder = mkdtempSync(join(tmpdir(), 'telos-lint-'));
  try {
    copyFileSync(join(root, 'biome.json'), join(folder, 'biome.json'));
    for (const { path, text } of files) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    const biome = join(root, 'node_modules', '.bin', 'biome');
    const run = spawnSync(biome, ['lint', '--reporter=github', '--max-diagnostics=none', 'src'], {
      cwd: folder,
      encoding: 'utf8',
    });
    return [...run.stdout.matchAll(/file=([^,]+),.*?::(.*)$/gm)].map(([, path = '', message = '']) => ({
      path,
      message,
    }));
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
  const modules = [
    'undici',
    'node:https',
    'node:http2',
    'node:tls',
    'node:dgram',
    'node:dns',
    'node:dns/promises',
  ];
  const partly = ['node:net', 'node:http'];
  const forms: readonly ((module: string) => string)[] = [
    (module) => `import * as x from '${module}';\nexport const y = x;\n`,
    (module) => `import x from '${module}';\nexport const y = x;\n`,
    (module) => `export * from '${module}';\n`,
    (module) => `export const y = await import('${module}');\n`,
    (module) => `const y = require('${module}');\nexport const z = y;\n`,
  ];
  const named = [
    "import { request } from 'undici';\nexport const x = request;\n",
    "import { connect } from 'node:net';\nexport const x = connect;\n",
    "import { createConnection as c } from 'node:net';\nexport const x = c;\n",
    "import { Socket } from 'node:net';\nexport const x = new Socket();\n",
    "export { connect } from 'node:net';\n",
    "import { request } from 'node:http';\nexport const x = request;\n",
    "import { get, Agent } from 'node:http';\nexport const x = [get, Agent];\n",
    "export const x = fetch('https://example.com');\n",
    "export const x = globalThis.fetch('https://example.com');\n",
    "export const x = new WebSocket('wss://example.com');\n",
    "export const x = new EventSource('https://example.com');\n",
  ];
  const texts = [...named, ...[...modules, ...partly].flatMap((module) => forms.map((form) => form(module)))];

  it('are opened by the egress guard only: every other way is refused in a room', () => {
    const rooms = ['base', 'api', 'store', 'spawn', 'report', 'server'];
    const files = texts.map((text, index) => ({
      path: `src/${rooms[index % rooms.length]}/x${index}.ts`,
      text,
    }));
    const said = lintAll(files);
    const missed = files.filter(
      ({ path }) =>
        !said.some(
          (line) =>
            line.path.endsWith(path) && /goes through the egress guard|global variable/.test(line.message),
        ),
    );
    expect(missed.map(({ path, text }) => `${path}: ${text}`)).toEqual([]);
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
