// Writes deploy/crds/ from the schemas of src/api. With --check: changes nothing, exits 1 if a file is not current.
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { stringify } from 'yaml';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const directory = join(root, 'deploy', 'crds');
const heading = '# Generated from src/api by `npm run generate`. Change the schema there, not this file.\n';

/** Node 20 does not run TypeScript: bundle the schemas first. */
async function loadApi() {
  const outfile = join(root, 'node_modules', '.cache', 'telos-generate', `${process.pid}.mjs`);
  await build({
    absWorkingDir: root,
    stdin: {
      contents: "export * from './src/api/crd.ts'; export * from './src/api/kinds.ts';",
      resolveDir: root,
      loader: 'ts',
    },
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.20',
    logLevel: 'warning',
  });
  try {
    return await import(pathToFileURL(outfile).href);
  } finally {
    await rm(outfile, { force: true });
  }
}

/** File name → content. */
async function generate() {
  const { customResourceDefinition, kinds, kindNames } = await loadApi();
  return new Map(
    kindNames
      .filter((kind) => kinds[kind].custom)
      .map((kind) => {
        const definition = customResourceDefinition(kind);
        const text = stringify(definition, { lineWidth: 0, aliasDuplicateObjects: false });
        return [`${definition.metadata.name}.yaml`, heading + text];
      }),
  );
}

async function writeAll(files) {
  await mkdir(directory, { recursive: true });
  for (const name of await readdir(directory)) {
    if (!files.has(name)) await rm(join(directory, name));
  }
  for (const [name, text] of files) await writeFile(join(directory, name), text);
}

async function stale(files) {
  const present = await readdir(directory).catch(() => []);
  const unwanted = present.filter((name) => !files.has(name));
  const changed = [];
  for (const [name, text] of files) {
    if ((await readFile(join(directory, name), 'utf8').catch(() => undefined)) !== text) changed.push(name);
  }
  return [...changed, ...unwanted].map((name) => relative(root, join(directory, name)));
}

const files = await generate();
if (process.argv.includes('--check')) {
  const names = await stale(files);
  if (names.length > 0) {
    console.error(`not current: ${names.join(', ')}; run \`npm run generate\` and commit what it writes`);
    process.exitCode = 1;
  }
} else {
  await writeAll(files);
}
