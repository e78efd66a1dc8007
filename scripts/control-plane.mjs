// Where the tests' Kubernetes control plane comes from: a folder of programs that is named, or built once and kept.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, symlink } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { root } from './bundle.mjs';

const source = join(root, 'test', 'cluster', 'control-plane');
const components = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'];
const minGo = [1, 26];

const missing =
  `no control plane to test on: install Go ${minGo.join('.')} or newer (it builds one, once, in about 10 minutes), or set ` +
  'TELOS_TEST_KUBECONFIG, KUBEBUILDER_ASSETS, or TEST_ASSET_KUBE_APISERVER and TEST_ASSET_ETCD';

/** A folder with the programs of a control plane that the environment names; undefined when it names none. */
export async function namedControlPlane(env) {
  const { TEST_ASSET_KUBE_APISERVER: apiServer, TEST_ASSET_ETCD: etcd, KUBEBUILDER_ASSETS: assets } = env;
  if (apiServer && etcd) {
    const folder = await mkdtemp(join(tmpdir(), 'telos-control-plane-'));
    await symlink(resolve(apiServer), join(folder, 'kube-apiserver'));
    await symlink(resolve(etcd), join(folder, 'etcd'));
    return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
  }
  if (!assets) return undefined;
  for (const name of ['etcd', 'kube-apiserver']) {
    if (!existsSync(join(assets, name)))
      throw new Error(`KUBEBUILDER_ASSETS: there is no ${name} in ${assets}`);
  }
  return { folder: resolve(assets), remove: async () => {} };
}

/** The folder where the control plane of this checkout is, or will be, kept. */
export async function keptControlPlane(env) {
  const files = await Promise.all(
    ['go.mod', 'go.sum', 'main.go'].map((name) => readFile(join(source, name), 'utf8')),
  );
  const version = /^\s*(?:require\s+)?k8s\.io\/kubernetes (v\S+)/m.exec(files[0])?.[1];
  if (version === undefined) throw new Error(`${source}/go.mod requires no k8s.io/kubernetes`);
  const hash = createHash('sha256').update(files.join('\0')).digest('hex').slice(0, 12);
  const cache = env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const folder = join(cache, 'telos', `control-plane-${version}-${hash}`);
  return { folder, version, built: existsSync(join(folder, 'kube-apiserver')) };
}

/** Builds what `keptControlPlane` named. Several may do so at once: the first to finish is kept. */
export async function buildControlPlane({ folder, version }, signal) {
  const go = spawnSync('go', ['env', 'GOVERSION'], { cwd: tmpdir(), encoding: 'utf8' });
  const found = /^go(\d+)\.(\d+)/.exec(go.stdout ?? '');
  if (go.error || found === null) throw new Error(missing);
  const [major, minor] = [Number(found[1]), Number(found[2])];
  if (major < minGo[0] || (major === minGo[0] && minor < minGo[1]))
    throw new Error(`${missing}; this is ${found[0]}`);

  console.log(`building a Kubernetes ${version} control plane, once, in about 10 minutes: ${folder}`);
  await mkdir(join(folder, '..'), { recursive: true });
  const scratch = await mkdtemp(`${folder}.building-`);
  try {
    await compile(join(scratch, 'control-plane'), version, signal);
    for (const name of components) await symlink('control-plane', join(scratch, name));
    await rename(scratch, folder);
  } catch (error) {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function compile(file, version, signal) {
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(version) ?? [];
  const stamp = (name, value) => `-X k8s.io/component-base/version.${name}=${value}`;
  const flags = [
    '-s',
    '-w',
    stamp('gitVersion', version),
    stamp('gitMajor', major),
    stamp('gitMinor', minor),
  ];
  const args = [
    'build',
    '-trimpath',
    '-buildvcs=false',
    '-mod=readonly',
    '-ldflags',
    flags.join(' '),
    '-o',
    file,
    '.',
  ];
  // GOWORK and GOFLAGS of whoever runs this are about other modules. Two compilers at once stay below 3 GB. Go leaves
  // its temporary files behind when it is stopped; beside the program they go with the rest.
  const temporary = dirname(file);
  const env = { ...process.env, CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '-p=2', GOTMPDIR: temporary };
  return new Promise((resolve, reject) => {
    const build = spawn('go', args, { cwd: source, env, signal, stdio: ['ignore', 'inherit', 'inherit'] });
    build.on('error', reject);
    build.on('close', (status) =>
      status === 0 ? resolve() : reject(new Error(`go build ended with ${status}`)),
    );
  });
}
