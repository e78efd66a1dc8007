// Where the tests' helm comes from: one that is named or on the PATH, or one built once and kept.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

const version = 'v4.3.1';
const module = `helm.sh/helm/v4/cmd/helm@${version}`;

/** The path of a helm. @throws with what to do when there is none and none can be built. */
export async function findHelm(env, signal) {
  if (env.TELOS_TEST_HELM) return env.TELOS_TEST_HELM;
  if (spawnSync('helm', ['version'], { stdio: 'ignore' }).status === 0) return 'helm';
  const folder = join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'telos', `helm-${version}`);
  const program = join(folder, 'helm');
  if (!existsSync(program)) await build(folder, signal);
  return program;
}

async function build(folder, signal) {
  if (spawnSync('go', ['version'], { cwd: tmpdir(), stdio: 'ignore' }).status !== 0) {
    throw new Error('no helm for the tests of the chart: install helm or Go, or set TELOS_TEST_HELM');
  }
  console.log(`building helm ${version}, once, in about 5 minutes: ${folder}`);
  await mkdir(join(folder, '..'), { recursive: true });
  const scratch = await mkdtemp(`${folder}.building-`);
  try {
    await compile(scratch, signal);
    await rename(scratch, folder);
  } catch (error) {
    // Several may build at once: the first to finish is kept.
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function compile(folder, signal) {
  // GOWORK and GOFLAGS of whoever runs this are about other modules.
  const env = { ...process.env, GOBIN: folder, CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '-p=2' };
  const args = ['install', '-trimpath', '-ldflags', '-s -w', module];
  return new Promise((resolve, reject) => {
    const go = spawn('go', args, { cwd: tmpdir(), env, signal, stdio: ['ignore', 'inherit', 'inherit'] });
    go.on('error', reject);
    go.on('close', (status) =>
      status === 0 ? resolve() : reject(new Error(`go install ${module} ended with ${status}`)),
    );
  });
}
