import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeCertificate } from '../../../src/cli/demo/certificate.ts';
import { ClusterClient } from './cluster-client.ts';
import { formatKubeconfig } from './kubeconfig.ts';
import { type RunningProgram, Supervisor } from './supervised.ts';

/** A real control plane on loopback: etcd, an API server with RBAC on, and, where there are such, controllers. */
export interface ControlPlane {
  /** The file that makes any client the cluster's administrator. */
  readonly kubeconfig: string;
  /** The administrator. */
  readonly admin: ClusterClient;
  /** Whether Jobs get Pods, Pods get nodes, and namespaces get ServiceAccounts. */
  readonly controllers: boolean;
  /** Process ids of what runs. */
  readonly pids: Readonly<Record<string, number>>;
  /** Ends the API server the hard way, and the controllers with it; resolves when they are gone. */
  killApiServer(): Promise<void>;
  /** Starts them again, the API server on the same port over the same data; resolves when it is ready. */
  startApiServer(): Promise<void>;
  /** Freezes etcd in the middle of whatever it does. */
  pauseEtcd(): void;
  resumeEtcd(): void;
  /** Ends everything and removes its folder. */
  stop(): Promise<void>;
}

const controllerNames = ['kube-controller-manager', 'kube-scheduler'];
/** How long a component may take until it is ready. */
const readyMs = 60_000;
/** Ports that were free a moment ago may be somebody else's by now. */
const tries = 3;

/** The programs to start, if the environment names a folder of them. `npm run test:cluster` does. */
export function controlPlanePrograms(
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  return env['TELOS_TEST_CONTROL_PLANE'] || undefined;
}

/**
 * Starts a control plane of the caller's own, from the programs of a folder; the controllers only if they are wanted.
 * @throws with the end of its log when a component does not become ready.
 */
export async function startControlPlane(
  programs: string,
  { controllers = true }: { readonly controllers?: boolean } = {},
): Promise<ControlPlane> {
  for (let left = tries; ; left -= 1) {
    const plane = new LocalControlPlane(programs, await Supervisor.start(), controllers);
    try {
      await plane.start();
      return plane;
    } catch (error) {
      await plane.stop();
      if (left === 1 || !/address already in use/.test(String(error))) throw error;
    }
  }
}

class LocalControlPlane implements ControlPlane {
  readonly controllers: boolean;
  readonly #programs: string;
  readonly #supervisor: Supervisor;
  readonly #running = new Map<string, RunningProgram>();
  #admin: ClusterClient | undefined;
  #apiServerFlags: readonly string[] = [];

  constructor(programs: string, supervisor: Supervisor, controllers: boolean) {
    this.#programs = programs;
    this.#supervisor = supervisor;
    this.controllers = controllers && controllerNames.every((name) => existsSync(join(programs, name)));
  }

  get kubeconfig(): string {
    return this.#file('kubeconfig');
  }

  get admin(): ClusterClient {
    if (this.#admin === undefined) throw new Error('the control plane was not started');
    return this.#admin;
  }

  get pids(): Record<string, number> {
    return Object.fromEntries([...this.#running].map(([name, { pid }]) => [name, pid]));
  }

  async start(): Promise<void> {
    const [clientPort, peerPort, apiPort] = await freePorts(3);
    const etcd = `http://127.0.0.1:${clientPort}`;
    const peer = `http://127.0.0.1:${peerPort}`;
    const server = `https://127.0.0.1:${apiPort}`;
    const [connection] = await Promise.all([this.#writeCredentials(server), mkdir(this.#file('etcd'))]);
    this.#admin = new ClusterClient(connection);
    // The API server waits for etcd by itself.
    await this.#run('etcd', [
      '--name=test',
      `--data-dir=${this.#file('etcd')}`,
      `--listen-client-urls=${etcd}`,
      `--advertise-client-urls=${etcd}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=test=${peer}`,
      '--unsafe-no-fsync',
      '--log-level=warn',
    ]);
    this.#apiServerFlags = this.#flagsForApiServer(etcd, String(apiPort));
    await this.startApiServer();
  }

  async startApiServer(): Promise<void> {
    const apiServer = await this.#run('kube-apiserver', this.#apiServerFlags);
    await this.#becomesReady('kube-apiserver', apiServer, (signal) => this.admin.raw('/readyz', signal));
    if (this.controllers) await this.#startControllers();
  }

  async killApiServer(): Promise<void> {
    await this.#kill('kube-apiserver');
    // With each loss they wait longer, up to a minute, before they look for it again. New ones look at once.
    if (this.controllers) await Promise.all(controllerNames.map((name) => this.#kill(name)));
  }

  pauseEtcd(): void {
    this.#find('etcd').signal('SIGSTOP');
  }

  resumeEtcd(): void {
    this.#find('etcd').signal('SIGCONT');
  }

  async stop(): Promise<void> {
    await this.#admin?.close();
    await this.#supervisor.stop();
    this.#running.clear();
  }

  #flagsForApiServer(etcd: string, port: string): string[] {
    return [
      `--etcd-servers=${etcd}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--secure-port=${port}`,
      '--endpoint-reconciler-type=none',
      `--cert-dir=${this.#file('certificates')}`,
      `--tls-cert-file=${this.#file('server.pem')}`,
      `--tls-private-key-file=${this.#file('server.key')}`,
      `--service-account-key-file=${this.#file('accounts.key')}`,
      `--service-account-signing-key-file=${this.#file('accounts.key')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      '--service-cluster-ip-range=10.0.0.0/24',
      `--token-auth-file=${this.#file('tokens.csv')}`,
      '--authorization-mode=RBAC',
      // It refuses Pods of ServiceAccounts that nobody is there to make.
      ...(this.controllers ? [] : ['--disable-admission-plugins=ServiceAccount']),
    ];
  }

  async #startControllers(): Promise<void> {
    const asAdmin = [`--kubeconfig=${this.kubeconfig}`, '--leader-elect=false', '--secure-port=0'];
    // Their own limit of 20 to 50 requests a second would be what the tests measure.
    const unhurried = ['--kube-api-qps=1000', '--kube-api-burst=1000'];
    await this.#run('kube-controller-manager', [
      ...asAdmin,
      ...unhurried,
      `--service-account-private-key-file=${this.#file('accounts.key')}`,
      `--root-ca-file=${this.#file('ca.pem')}`,
      // Tests freeze and kill what a node's life depends on: Pods are not to be evicted for that.
      '--controllers=*,-node-lifecycle-controller',
    ]);
    await this.#run('kube-scheduler', [...asAdmin, ...unhurried]);
  }

  async #writeCredentials(server: string): Promise<{ server: string; ca: string; token: string }> {
    const ca = await makeCertificate();
    const names = ['127.0.0.1', 'localhost', 'kubernetes.default.svc'];
    const { certPem, keyPem } = await makeCertificate({ names, signedBy: ca });
    const token = randomBytes(24).toString('hex');
    const { privateKey } = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'sec1', format: 'pem' },
    });
    const connection = { server, ca: ca.certPem, token };
    const files = {
      'ca.pem': ca.certPem,
      'server.pem': certPem,
      'server.key': keyPem,
      'accounts.key': privateKey,
      'tokens.csv': `${token},admin,admin,"system:masters"\n`,
      kubeconfig: formatKubeconfig(connection),
    };
    await Promise.all(
      Object.entries(files).map(([name, text]) => writeFile(this.#file(name), text, { mode: 0o600 })),
    );
    return connection;
  }

  async #run(name: string, args: readonly string[]): Promise<RunningProgram> {
    const log = this.#file(`${name}.log`);
    const program = await this.#supervisor.run({ command: join(this.#programs, name), args, log });
    this.#running.set(name, program);
    return program;
  }

  async #kill(name: string): Promise<void> {
    const program = this.#find(name);
    program.signal('SIGKILL');
    await program.ended;
    this.#running.delete(name);
  }

  async #becomesReady(
    name: string,
    program: RunningProgram,
    probe: (signal: AbortSignal) => Promise<unknown>,
  ): Promise<void> {
    const deadline = AbortSignal.timeout(readyMs);
    const ended = new AbortController();
    void program.ended.then(() => ended.abort());
    const signal = AbortSignal.any([deadline, ended.signal]);
    for (;;) {
      try {
        await probe(signal);
        return;
      } catch {
        if (signal.aborted) throw new Error(`${name} did not become ready:\n${await this.#logsEnd()}`);
        await delay(50);
      }
    }
  }

  async #logsEnd(): Promise<string> {
    const logs = [...this.#running.keys()].map(async (name) => {
      const text = await readFile(this.#file(`${name}.log`), 'utf8');
      return `${name}: ${text.slice(-2_000)}`;
    });
    return (await Promise.all(logs)).join('\n');
  }

  #find(name: string): RunningProgram {
    const program = this.#running.get(name);
    if (program === undefined) throw new Error(`${name} does not run`);
    return program;
  }

  #file(name: string): string {
    return join(this.#supervisor.folder, name);
  }
}

/** Ports of 127.0.0.1 that nobody listens on now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(0, '127.0.0.1', resolve);
      });
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
