import { existsSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { aborted } from '../../../src/base/abort.ts';
import type { RunningProgram } from '../kit/supervised.ts';
import { ContainerConfigError, containerEnvironment, expand, readData } from './environment.ts';
import type { House } from './house.ts';
import type { Container, ContainerState, ContainerStatus, Pod } from './pod.ts';

/** The ConfigMap whose keys are files, executable ones, at the root of every container of its namespace. */
const filesConfigMap = 'stand-in-files';

/** One container of a Pod: a local process, once or again and again. */
export class ContainerRun {
  readonly spec: Container;
  readonly #house: House;
  readonly #pod: Pod;
  readonly #folder: string;
  readonly #volumes: string;
  readonly #changed: () => void;
  #state: ContainerState;
  #lastState: ContainerState | undefined;
  #restarts = 0;
  #program: RunningProgram | undefined;
  #signalled: NodeJS.Signals | undefined;

  /** @param folder of the Pod. */
  constructor(house: House, pod: Pod, spec: Container, folder: string, changed: () => void) {
    this.spec = spec;
    this.#house = house;
    this.#pod = pod;
    this.#folder = join(folder, 'containers', spec.name);
    this.#volumes = join(folder, 'volumes');
    this.#changed = changed;
    this.#state = { waiting: { reason: 'PodInitializing' } };
  }

  get restarts(): number {
    return this.#restarts;
  }

  get state(): ContainerState {
    return this.#state;
  }

  get status(): ContainerStatus {
    const running = 'running' in this.#state;
    return {
      name: this.spec.name,
      image: this.spec.image,
      imageID: '',
      ready: running,
      started: running,
      restartCount: this.#restarts,
      state: this.#state,
      lastState: this.#lastState ?? {},
    };
  }

  /** The log of the present run, or of the one before. */
  logFile(previous = false): string {
    return join(this.#folder, `${this.#restarts - (previous ? 1 : 0)}.log`);
  }

  /** Runs it once. @returns its exit code; undefined when it was stopped before it could start. */
  async run(stopping: AbortSignal): Promise<number | undefined> {
    if (this.#restarts === 0) this.#become({ waiting: { reason: 'ContainerCreating' } });
    const environment = await this.#prepare(stopping);
    if (environment === undefined || stopping.aborted) return undefined;
    return this.#execute(environment);
  }

  /** Makes it ready to run again. */
  restart(): void {
    this.#lastState = this.#state;
    this.#restarts += 1;
    const message = `back-off restarting failed container ${this.spec.name}`;
    this.#become({ waiting: { reason: 'CrashLoopBackOff', message } });
  }

  /** SIGTERM goes to the program alone, as in a container; SIGKILL to all that it started. */
  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#signalled = signal;
    this.#program?.signal(signal, signal === 'SIGKILL');
  }

  async #prepare(stopping: AbortSignal): Promise<Record<string, string> | undefined> {
    const { image, command = [] } = this.spec;
    if (/^[^/]+\.invalid\//.test(image)) {
      const message = `Back-off pulling image "${image}"`;
      return this.#waitInVain('ImagePullBackOff', message, stopping);
    }
    if (command.length === 0) {
      const message = `no command specified: images are not pulled here, so nobody knows the entrypoint of "${image}"`;
      return this.#waitInVain('CreateContainerError', message, stopping);
    }
    while (!stopping.aborted) {
      try {
        await this.#makeRoot();
        return await containerEnvironment(this.#house.client, this.#pod, this.spec);
      } catch (error) {
        if (error instanceof ContainerConfigError) {
          this.#become({ waiting: { reason: 'CreateContainerConfigError', message: error.message } });
        }
        await delay(this.#house.retryMs, undefined, { signal: stopping }).catch(() => {});
      }
    }
    return undefined;
  }

  async #waitInVain(reason: string, message: string, stopping: AbortSignal): Promise<undefined> {
    this.#become({ waiting: { reason, message } });
    await aborted(stopping);
  }

  async #execute(environment: Readonly<Record<string, string>>): Promise<number> {
    const { command = [], args = [] } = this.spec;
    const [first = '', ...rest] = [...command, ...args].map((word) => expand(word, environment));
    const startedAt = now();
    try {
      this.#program = await this.#house.supervisor.run({
        command: this.#lookUp(first),
        args: rest,
        cwd: this.#workingDirectory,
        env: { ...this.#ownEnvironment(), ...environment },
        log: this.logFile(),
        lines: true,
      });
    } catch (error) {
      const message = `failed to start container "${this.spec.name}": ${(error as Error).message}`;
      const times = { startedAt, finishedAt: now() };
      this.#become({ terminated: { exitCode: 128, reason: 'StartError', message, ...times } });
      return 128;
    }
    if (this.#signalled !== undefined) this.signal(this.#signalled as 'SIGTERM' | 'SIGKILL');
    this.#become({ running: { startedAt } });
    const { code, signal } = await this.#program.ended;
    this.#program = undefined;
    // Container runtimes tell a kubelet no signal: 128 and its number is all there is.
    const exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
    const reason = exitCode === 0 ? 'Completed' : 'Error';
    this.#become({ terminated: { exitCode, reason, startedAt, finishedAt: now() } });
    return exitCode;
  }

  /** A program of the container's own root comes before the machine's. */
  #lookUp(program: string): string {
    const own = join(this.#root, program);
    return program.startsWith('/') && existsSync(own) ? own : program;
  }

  get #root(): string {
    return join(this.#folder, 'root');
  }

  get #workingDirectory(): string {
    return join(this.#root, this.spec.workingDir ?? '/');
  }

  #ownEnvironment(): Record<string, string> {
    const { hostname, port } = new URL(this.#house.client.connection.server);
    return {
      PATH: process.env['PATH'] ?? '',
      HOME: this.#root,
      HOSTNAME: this.#pod.metadata.name,
      KUBERNETES_SERVICE_HOST: hostname,
      KUBERNETES_SERVICE_PORT: port,
      // Where `/` of the container is: the process sees the machine's own.
      STAND_IN_ROOT: this.#root,
    };
  }

  async #makeRoot(): Promise<void> {
    const { namespace = '' } = this.#pod.metadata;
    await mkdir(this.#root, { recursive: true });
    const files = await readData(this.#house.client, 'configmaps', namespace, {
      name: filesConfigMap,
      optional: true,
    });
    for (const [name, text] of Object.entries(files ?? {})) {
      await writeFile(join(this.#root, name), text, { mode: 0o755 });
    }
    for (const { name, mountPath, subPath = '' } of this.spec.volumeMounts ?? []) {
      const place = join(this.#root, mountPath);
      if (existsSync(place)) continue;
      await mkdir(dirname(place), { recursive: true });
      await symlink(join(this.#volumes, name, subPath), place);
    }
    await mkdir(this.#workingDirectory, { recursive: true });
  }

  #become(state: ContainerState): void {
    this.#state = state;
    this.#changed();
  }
}

/** The present, to the second, as the API has it. */
export function now(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}
