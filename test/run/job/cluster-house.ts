import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { kelosLease } from '../../../src/api/names.ts';
import { accessRules, kelosLeaseRule } from '../../../src/cli/manifests/access-rules.ts';
import type { ClusterClient } from '../../cluster/kit/cluster-client.ts';
import { type ControlPlane, startControlPlane } from '../../cluster/kit/control-plane.ts';
import { installDefinitions } from '../../cluster/kit/definitions.ts';
import type { KubeObject } from '../../cluster/kit/kube-object.ts';
import { formatKubeconfig } from '../../cluster/kit/kubeconfig.ts';
import { type StandInNode, startStandInNode } from '../../cluster/stand-in-node/stand-in-node.ts';
import { buildTelos, startTelos } from '../../support/telos-program.ts';

const account = 'telos';
const home = 'telos-system';

/** A Task as the API server has it. */
export interface TaskObject extends KubeObject {
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status?: {
    readonly phase?: string;
    readonly message?: string;
    readonly jobName?: string;
    readonly podName?: string;
    readonly startTime?: string;
    readonly completionTime?: string;
    readonly outputs?: readonly string[];
    readonly results?: Readonly<Record<string, string>>;
  };
}

/** `telos up` in a process of its own. */
export interface Engine {
  readonly url: string;
  readonly log: readonly string[];
  /** Resolves with its exit code, null after a signal. */
  readonly ended: Promise<number | null>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

/**
 * A control plane of its own with a node, on which an engine with all rooms works under an account that has the
 * rights it needs and no others: an engine works on all namespaces, so it must not see those of other suites.
 */
export class ClusterHouse {
  readonly plane: ControlPlane;
  readonly #folder: string;
  readonly #program: string;
  readonly #engines: Engine[] = [];
  #node: StandInNode | undefined;

  private constructor(plane: ControlPlane, folder: string, program: string) {
    this.plane = plane;
    this.#folder = folder;
    this.#program = program;
  }

  static async open(programs: string): Promise<ClusterHouse> {
    const program = await buildTelos();
    const plane = await startControlPlane(programs);
    const house = new ClusterHouse(plane, await mkdtemp(join(tmpdir(), 'telos-jobs-')), program);
    try {
      await house.#furnish();
      return house;
    } catch (error) {
      await house.close();
      throw error;
    }
  }

  get admin(): ClusterClient {
    return this.plane.admin;
  }

  get kubeconfig(): string {
    return join(this.#folder, 'kubeconfig');
  }

  /** A file of the house; returns its path. */
  async file(name: string, text: string): Promise<string> {
    const path = join(this.#folder, name);
    await writeFile(path, text);
    return path;
  }

  /** Starts the engine, and resolves when it is ready. @throws what it said when it ended before. */
  async up(...args: readonly string[]): Promise<Engine> {
    const rooms = ['--spawn', '--run', '--report'];
    const fixed = ['up', '--store', 'kubernetes', '--port', '0', '--log-format', 'json', ...rooms];
    const child = startTelos(this.#program, [...fixed, ...args], { KUBECONFIG: this.kubeconfig });
    const engine = await ready(child);
    this.#engines.push(engine);
    return engine;
  }

  async close(): Promise<void> {
    await Promise.all(this.#engines.map((engine) => engine.stop()));
    await this.#node?.stop();
    await this.plane.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #furnish(): Promise<void> {
    const { admin } = this;
    await installDefinitions(admin);
    for (const name of [home, kelosLease.namespace])
      await admin.create('v1/namespaces', { metadata: { name } });
    const subject = { kind: 'ServiceAccount', namespace: home, name: account };
    const rbac = 'rbac.authorization.k8s.io';
    const grant = async (kind: string, rules: object, namespace?: string): Promise<void> => {
      const metadata = { name: account, ...(namespace && { namespace }) };
      await admin.applyObject({ apiVersion: `${rbac}/v1`, kind, metadata, rules } as never);
      const roleRef = { apiGroup: rbac, kind, name: account };
      const binding = { apiVersion: `${rbac}/v1`, kind: `${kind}Binding`, metadata, roleRef };
      await admin.applyObject({ ...binding, subjects: [subject] } as never);
    };
    await grant('ClusterRole', accessRules('standalone'));
    await grant('Role', [kelosLeaseRule], kelosLease.namespace);
    const token = await admin.serviceAccountToken(home, account);
    const { server, ca } = admin.connection;
    await writeFile(this.kubeconfig, formatKubeconfig({ server, token, ...(ca && { ca }) }), { mode: 0o600 });
    this.#node = await startStandInNode(admin);
  }
}

async function ready(child: ChildProcessWithoutNullStreams): Promise<Engine> {
  const log: string[] = [];
  // When its last words were read, too.
  const ended = once(child, 'close').then(([code]) => code as number | null);
  child.stdout.resume();
  const lines = createInterface({ input: child.stderr });
  const url = await new Promise<string>((resolve, reject) => {
    lines.on('line', (line) => {
      log.push(line);
      const entry = line.startsWith('{') ? (JSON.parse(line) as { msg: string; url: string }) : undefined;
      if (entry?.msg === 'ready') resolve(entry.url);
    });
    lines.once('close', () => reject(new Error(log.join('\n'))));
  });
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await ended;
  };
  return { url, log, ended, stop: () => end('SIGTERM'), kill: () => end('SIGKILL') };
}
