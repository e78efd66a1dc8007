// Writes deploy/crds/ from the schemas of src/api, and what the Helm chart holds of them and of `telos manifests`.
// With --check: changes nothing, exits 1 if a file is not current.
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { stringify } from 'yaml';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const deploy = join(root, 'deploy');
/** Folders that hold nothing else. */
const folders = ['crds', 'chart/files/crds', 'chart/files/rules'];
const heading = (source, what) =>
  `# Generated from ${source} by \`npm run generate\`. Change ${what} there, not this file.\n`;

/** Node 20 does not run TypeScript: bundle the schemas first. */
async function loadApi() {
  const outfile = join(root, 'node_modules', '.cache', 'telos-generate', `${process.pid}.mjs`);
  await build({
    absWorkingDir: root,
    stdin: {
      contents: [
        "export * from './src/api/crd.ts';",
        "export * from './src/api/kinds.ts';",
        "export * from './src/cli/manifests/access-rules.ts';",
      ].join('\n'),
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

const yaml = (object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false });

/** Path below deploy/ → content. */
async function generate() {
  const { customResourceDefinition, kinds, kindNames, accessRules, kelosLeaseRule, sharingRule } =
    await loadApi();
  const files = new Map();
  for (const kind of kindNames.filter((name) => kinds[name].custom)) {
    const definition = customResourceDefinition(kind);
    const { name } = definition.metadata;
    files.set(`crds/${name}.yaml`, heading('src/api', 'the schema') + yaml(definition));
    // Without its CRD a resource is gone: that takes more than the end of a release.
    const metadata = { name, annotations: { 'helm.sh/resource-policy': 'keep' } };
    files.set(
      `chart/files/crds/${name}.yaml`,
      heading('src/api', 'the schema') + yaml({ ...definition, metadata }),
    );
  }
  const rules = {
    companion: accessRules('companion'),
    standalone: accessRules('standalone'),
    'kelos-lease': [kelosLeaseRule],
    sharing: [sharingRule],
  };
  for (const [name, list] of Object.entries(rules)) {
    files.set(
      `chart/files/rules/${name}.yaml`,
      heading('src/cli/manifests', 'the rules') + yaml({ rules: list }),
    );
  }
  return files;
}

/** What is there, and nobody generates. */
async function unwanted(files) {
  const present = await Promise.all(
    folders.map(async (folder) =>
      (await readdir(join(deploy, folder)).catch(() => [])).map((name) => `${folder}/${name}`),
    ),
  );
  return present.flat().filter((path) => !files.has(path));
}

async function writeAll(files) {
  for (const folder of folders) await mkdir(join(deploy, folder), { recursive: true });
  for (const path of await unwanted(files)) await rm(join(deploy, path));
  for (const [path, text] of files) await writeFile(join(deploy, path), text);
}

async function stale(files) {
  const changed = [];
  for (const [path, text] of files) {
    if ((await readFile(join(deploy, path), 'utf8').catch(() => undefined)) !== text) changed.push(path);
  }
  return [...changed, ...(await unwanted(files))].map((path) => relative(root, join(deploy, path)));
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
