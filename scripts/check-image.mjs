// Checks deploy/Dockerfile where no container engine is: does what its stages do in a folder for each, then runs the
// result as it says, as nobody, over files that cannot be written. `npm run image:check`. With `-- --fresh` it compiles
// the native module as well; without, the one of this checkout passes for the download of its makers.
import { spawnSync } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { root } from './bundle.mjs';

const dockerfile = join(root, 'deploy', 'Dockerfile');
const fresh = process.argv.includes('--fresh');
const scratch = await mkdtemp(join(tmpdir(), 'telos-image-'));
// As in an image: others may enter.
await chmod(scratch, 0o755);

try {
  const image = await build(join(scratch, 'context'));
  await makeReadOnly(image.folder);
  const home = join(scratch, 'home');
  await mkdir(home);
  await chmod(home, 0o777);
  run(image, home, ['version']);
  run(image, home, ['manifests', '-o', 'json']);
  run(image, home, ['get', 'tasks', '--store', `sqlite:${join(home, 'telos.db')}`]);
  console.log(`image: ok, ${await megabytes(image.folder)} MB beside its base`);
} catch (error) {
  console.error(`image: ${error.message}`);
  process.exitCode = 1;
} finally {
  spawnSync('chmod', ['-R', 'u+w', scratch]);
  await rm(scratch, { recursive: true, force: true });
}

/** Carries out the instructions; resolves with the last stage. */
async function build(context) {
  await copyContext(context);
  const stages = new Map();
  const env = { ...process.env, ...(fresh ? {} : await knownModule(join(scratch, 'prebuilt'))) };
  let stage;
  for (const { instruction, rest } of instructions(await readFile(dockerfile, 'utf8'))) {
    const { words, flags } = split(rest);
    switch (instruction) {
      case 'ARG':
      case 'LABEL':
      case 'ENV':
      case 'EXPOSE':
      case 'CMD':
        break;
      case 'FROM': {
        const name = words[1] === 'AS' ? words[2] : 'image';
        stage = { folder: join(scratch, `stage-${name}`), workdir: '/', user: '0' };
        stages.set(name, stage);
        break;
      }
      case 'WORKDIR':
        stage.workdir = rest;
        await mkdir(join(stage.folder, rest), { recursive: true });
        break;
      case 'COPY': {
        const from = flags.from === undefined ? context : stages.get(flags.from).folder;
        await copy(from, words, join(stage.folder, stage.workdir));
        break;
      }
      case 'RUN': {
        const done = spawnSync('sh', ['-ec', rest], {
          cwd: join(stage.folder, stage.workdir),
          encoding: 'utf8',
          env,
        });
        if (done.status !== 0) throw new Error(`RUN ${rest}\n${done.stdout}${done.stderr}`);
        break;
      }
      case 'USER':
        stage.user = rest;
        break;
      case 'ENTRYPOINT':
        stage.entrypoint = JSON.parse(rest);
        break;
      default:
        throw new Error(`${dockerfile}: ${instruction} is not known here: teach scripts/check-image.mjs`);
    }
  }
  return stage;
}

/** What makes npm find the native module here rather than compile it for minutes where its makers cannot be reached. */
async function knownModule(folder) {
  const name = 'better-sqlite3';
  const kept = join(root, 'node_modules', name);
  const { version } = JSON.parse(await readFile(join(kept, 'package.json'), 'utf8'));
  const abi = process.versions.modules;
  const file = join(folder, `${name}-v${version}-node-v${abi}-${process.platform}-${process.arch}.tar.gz`);
  await mkdir(folder);
  const packed = spawnSync('tar', ['-czf', file, '-C', kept, 'build/Release/better_sqlite3.node']);
  // Where this checkout has none, npm does what it would do anyway.
  return packed.status === 0
    ? { npm_config_better_sqlite3_local_prebuilds: folder, npm_config_prefer_offline: 'true' }
    : {};
}

/** One instruction each, comments left out, continued lines joined. */
function instructions(text) {
  return text
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, instruction, rest] = /^(\w+)\s+(.*)$/.exec(line);
      return { instruction, rest: rest.trim() };
    });
}

function split(rest) {
  const parts = rest.split(/\s+/);
  const flags = parts.filter((part) => part.startsWith('--')).map((part) => part.slice(2).split('='));
  return { words: parts.filter((part) => !part.startsWith('--')), flags: Object.fromEntries(flags) };
}

/** A folder's content into the target, a file into the folder that the target then is. */
async function copy(from, words, workdir) {
  const sources = words.slice(0, -1);
  const target = words.at(-1);
  for (const source of sources) {
    const into =
      target.endsWith('/') || target === '.'
        ? join(workdir, target, basename(source))
        : join(workdir, target);
    await cp(join(from, source), into, { recursive: true });
  }
}

/** What the builder is sent: only what the ignore file lets through. */
async function copyContext(context) {
  const lines = (await readFile(`${dockerfile}.dockerignore`, 'utf8')).split('\n').filter(Boolean);
  for (const line of lines) {
    if (line.startsWith('!'))
      await cp(join(root, line.slice(1)), join(context, line.slice(1)), { recursive: true });
    else if (line !== '*') throw new Error(`${dockerfile}.dockerignore: '${line}' is not known here`);
  }
}

function run({ folder, entrypoint, user }, home, args) {
  const [program, ...before] = entrypoint;
  const inside = before.map((path) => (path.startsWith('/') ? join(folder, path) : path));
  const [uid, gid] = user.split(':').map(Number);
  if (!(uid > 0)) throw new Error(`USER ${user}: must be a number that is not root's`);
  const asNobody = process.getuid() === 0 ? { uid, gid } : {};
  const env = { PATH: process.env.PATH, HOME: home };
  const done = spawnSync(program, [...inside, ...args], { ...asNobody, env, cwd: home, encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`telos ${args.join(' ')}: ${done.error ?? done.stderr}`);
}

async function makeReadOnly(folder) {
  await chmod(folder, 0o755);
  spawnSync('chmod', ['-R', 'a-w,a+rX', folder]);
}

async function megabytes(folder) {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await readFile(join(entry.parentPath, entry.name))).length;
  }
  return Math.round(bytes / 1_000_000);
}
