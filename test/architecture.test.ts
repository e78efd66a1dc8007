import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

interface Planted {
  readonly path: string;
  readonly text: string;
}

/** Does something in a checkout that has our configuration, these files and nothing else. */
function withCheckout<T>(files: readonly Planted[], work: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'telos-lint-'));
  try {
    for (const name of ['biome.json', '.oxlintrc.json']) copyFileSync(join(root, name), join(folder, name));
    for (const { path, text } of files) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const bin = (name: string): string => join(root, 'node_modules', '.bin', name);

/** What lint says of a file. */
function lint(path: string, text: string): string {
  return withCheckout([{ path, text }], (cwd) => {
    const run = spawnSync(bin('biome'), ['lint', path], { cwd, encoding: 'utf8' });
    return `${run.stdout}${run.stderr}`;
  });
}

/** What lint says of each of several files. */
function lintAll(files: readonly Planted[]): { readonly path: string; readonly message: string }[] {
  return withCheckout(files, (cwd) => {
    const args = ['lint', '--reporter=github', '--max-diagnostics=none', 'src'];
    const run = spawnSync(bin('biome'), args, { cwd, encoding: 'utf8' });
    return [...run.stdout.matchAll(/file=([^,]+),.*?::(.*)$/gm)].map(([, path = '', message = '']) => ({
      path,
      message,
    }));
  });
}

/** What the second linter says of several files, a line for each fault. */
function oxlint(files: readonly Planted[]): string {
  return withCheckout(
    files,
    (cwd) => spawnSync(bin('oxlint'), ['--format=unix', 'src'], { cwd, encoding: 'utf8' }).stdout,
  );
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
    'undici/lib/api/index.js',
    'node:https',
    'node:http2',
    'node:tls',
    'node:dgram',
    'node:dns',
    'node:dns/promises',
    'node:_http_client',
    '../node_modules/undici/index.js',
    // Both hand out any other module.
    'node:module',
    'node:process',
  ];
  const partly = ['node:net', 'node:http', 'node:https'];
  const forms: readonly ((module: string) => string)[] = [
    (module) => `import * as x from '${module}';\nexport const y = x;\n`,
    (module) => `import x from '${module}';\nexport const y = x;\n`,
    (module) => `export * from '${module}';\n`,
    (module) => `export const y = await import('${module}');\n`,
    (module) => `const y = require('${module}');\nexport const z = y;\n`,
  ];
  const globals = [
    "export const x = fetch('https://example.com');\n",
    "export const x = globalThis.fetch('https://example.com');\n",
    "export const x = new WebSocket('wss://example.com');\n",
    "export const x = new EventSource('https://example.com');\n",
  ];
  const named = [
    "import { request } from 'undici';\nexport const x = request;\n",
    "import { connect } from 'node:net';\nexport const x = connect;\n",
    "import { createConnection as c } from 'node:net';\nexport const x = c;\n",
    "import { Socket } from 'node:net';\nexport const x = new Socket();\n",
    "export { connect } from 'node:net';\n",
    "import { request } from 'node:http';\nexport const x = request;\n",
    "import { get, Agent } from 'node:http';\nexport const x = [get, Agent];\n",
    "import { request } from 'node:https';\nexport const x = request;\n",
    "import { createServer, get } from 'node:https';\nexport const x = [createServer, get];\n",
    ...globals,
  ];
  const texts = [...named, ...[...modules, ...partly].flatMap((module) => forms.map((form) => form(module)))];
  const isRefusal = (message: string): boolean =>
    /goes through the egress guard|global variable/.test(message);

  /** Of these files, which lint lets open connections. */
  function missed(files: readonly Planted[]): readonly string[] {
    const said = lintAll(files).filter(({ message }) => isRefusal(message));
    return files
      .filter(({ path }) => !said.some((line) => line.path.endsWith(path)))
      .map(({ path, text }) => `${path}: ${text}`);
  }

  it('are opened by the egress guard only: every other way is refused in all of src', () => {
    const places = [
      'base',
      'api',
      'store',
      'store/kubernetes',
      'spawn',
      'run',
      'run/process',
      'report',
      'server',
    ];
    places.push('cli', 'cli/commands', 'cli/demo', 'a-room-to-come', '.');
    const files = texts.map((text, index) => ({
      path: join('src', places[index % places.length] ?? '', `x${index}.ts`),
      text,
    }));
    expect(missed(files)).toEqual([]);
    const everywhere = places.map((place) => ({ path: join('src', place, 'x.ts'), text: texts[0] ?? '' }));
    expect(missed(everywhere)).toEqual([]);
  });

  it('are not opened past the guard within egress, nor by another file that may open some', () => {
    const paths = ['src/egress/x.ts', ...allowed.filter((path) => path !== 'src/cli/demo/run-demo.ts')];
    for (const text of globals) expect(missed(paths.map((path) => ({ path, text })))).toEqual([]);
    const others = allowed.filter((path) => path !== 'src/store/kubernetes/transport.ts');
    expect(missed(others.map((path) => ({ path, text: named[0] ?? '' })))).toEqual([]);
    expect(missed(allowed.map((path) => ({ path, text: named[1] ?? '' })))).toEqual([]);
  });

  /** None of these goes where a resource says. */
  const allowed = [
    // The API server that the kubeconfig names.
    'src/store/kubernetes/transport.ts',
    // The read end of a pipe.
    'src/run/process/program.ts',
    // The DNS servers that the operator names.
    'src/cli/commands/doctor.ts',
    // The engine that the demo itself has just started.
    'src/cli/demo/run-demo.ts',
  ];

  it('are allowed besides to files that are named one by one, in this list and in the configuration', () => {
    const { overrides } = JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8')) as {
      overrides: { includes: string[] }[];
    };
    const files = overrides.flatMap(({ includes }) => includes).filter((path) => path.endsWith('.ts'));
    expect(files.filter((path) => path !== 'src/engine.ts').sort()).toEqual([...allowed].sort());
  });

  it('cannot be had by asking for a module at run time', () => {
    const files = [
      "export const x = process.getBuiltinModule('net');\n",
      "export const x = process['getBuiltinModule']('net');\n",
      'const { getBuiltinModule } = process;\nexport const x = getBuiltinModule;\n',
      "export const x = process.binding('tcp_wrap');\n",
    ].map((text, index) => ({ path: `src/cli/x${index}.ts`, text }));
    const said = oxlint(files);
    for (const { path } of files) expect(said).toMatch(new RegExp(`${path}.*is restricted`));
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
