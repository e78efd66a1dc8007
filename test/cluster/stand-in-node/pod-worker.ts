import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ClusterError } from '../kit/cluster-client.ts';
import { ContainerRun, now } from './container-run.ts';
import { readData } from './environment.ts';
import type { House } from './house.ts';
import { type Pod, type PodVerdict, podStatus, type Volume } from './pod.ts';

/** Runs one Pod from its first container to its last status, as a kubelet does. */
export class PodWorker {
  readonly #house: House;
  readonly #folder: string;
  readonly #initContainers: readonly ContainerRun[];
  readonly #containers: readonly ContainerRun[];
  readonly #startTime = now();
  readonly #stopping = new AbortController();
  readonly #timers = new Set<NodeJS.Timeout>();
  #pod: Pod;
  #lived: Promise<void> = Promise.resolve();
  #ended = false;
  #deleting = false;
  #verdict: PodVerdict | undefined;
  #dirty = false;
  #written: Promise<void> | undefined;

  constructor(house: House, pod: Pod) {
    this.#house = house;
    this.#pod = pod;
    this.#folder = join(house.supervisor.folder, 'pods', pod.metadata.uid ?? pod.metadata.name);
    const container = (spec: Pod['spec']['containers'][number]): ContainerRun =>
      new ContainerRun(house, pod, spec, this.#folder, () => this.#changed());
    this.#initContainers = (pod.spec.initContainers ?? []).map(container);
    this.#containers = pod.spec.containers.map(container);
  }

  get uid(): string | undefined {
    return this.#pod.metadata.uid;
  }

  find(container: string): ContainerRun | undefined {
    return [...this.#initContainers, ...this.#containers].find(({ spec }) => spec.name === container);
  }

  start(): void {
    this.#lived = this.#live();
    const { activeDeadlineSeconds } = this.#pod.spec;
    if (activeDeadlineSeconds !== undefined) {
      this.#later(activeDeadlineSeconds * 1000, () => void this.#exceedDeadline());
    }
    this.update(this.#pod);
  }

  /** The Pod has changed in the API. */
  update(pod: Pod): void {
    this.#pod = pod;
    if (pod.metadata.deletionTimestamp === undefined) return;
    const graceMs = (pod.metadata.deletionGracePeriodSeconds ?? 0) * 1000;
    if (this.#deleting) {
      this.#later(graceMs, () => this.#signal('SIGKILL'));
      return;
    }
    this.#deleting = true;
    void this.#delete(graceMs);
  }

  /** The Pod is no more in the API: whatever runs of it ends at once. */
  async removed(): Promise<void> {
    this.#stopping.abort();
    this.#signal('SIGKILL');
    await this.#lived;
    for (const timer of this.#timers) clearTimeout(timer);
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #live(): Promise<void> {
    this.#changed();
    await this.#makeVolumes();
    for (const container of this.#initContainers) {
      if (!(await this.#runUntilDone(container, true))) return;
    }
    await Promise.all(this.#containers.map((container) => this.#runUntilDone(container, false)));
  }

  /** @returns whether it has succeeded. */
  async #runUntilDone(container: ContainerRun, init: boolean): Promise<boolean> {
    const { restartPolicy = 'Always' } = this.#pod.spec;
    const { signal } = this.#stopping;
    for (;;) {
      const exitCode = await container.run(signal);
      const again = exitCode === 0 ? restartPolicy === 'Always' && !init : restartPolicy !== 'Never';
      if (!again || signal.aborted) return exitCode === 0;
      const backoffMs = this.#house.retryMs * 2 ** Math.min(container.restarts, 8);
      container.restart();
      await delay(backoffMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return false;
    }
  }

  async #makeVolumes(): Promise<void> {
    for (const volume of this.#pod.spec.volumes ?? []) {
      const folder = join(this.#folder, 'volumes', volume.name);
      await mkdir(folder, { recursive: true });
      const files = await this.#untilDone(() => this.#readVolume(volume));
      for (const [name, text] of Object.entries(files ?? {})) await writeFile(join(folder, name), text);
    }
  }

  async #readVolume({ secret, configMap }: Volume): Promise<Readonly<Record<string, string>> | undefined> {
    const { client } = this.#house;
    const { namespace = '' } = this.#pod.metadata;
    if (secret !== undefined) return readData(client, 'secrets', namespace, { name: secret.secretName });
    return configMap && readData(client, 'configmaps', namespace, configMap);
  }

  async #exceedDeadline(): Promise<void> {
    if (this.#containers.every(({ state }) => 'terminated' in state)) return;
    this.#verdict = {
      reason: 'DeadlineExceeded',
      message: 'Pod was active on the node longer than the specified deadline',
    };
    await this.#end((this.#pod.spec.terminationGracePeriodSeconds ?? 30) * 1000);
    this.#changed();
  }

  async #delete(graceMs: number): Promise<void> {
    await this.#end(graceMs);
    this.#changed();
    await this.#written;
    const { name, namespace = '', uid } = this.#pod.metadata;
    const options = { gracePeriodSeconds: 0, preconditions: { uid } };
    await this.#untilDone(() => this.#house.client.delete('v1/pods', { namespace, name }, options));
  }

  async #end(graceMs: number): Promise<void> {
    this.#stopping.abort();
    this.#signal('SIGTERM');
    this.#later(graceMs, () => this.#signal('SIGKILL'));
    await this.#lived;
    this.#ended = true;
  }

  #signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    for (const container of [...this.#initContainers, ...this.#containers]) container.signal(signal);
  }

  #later(ms: number, fire: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      fire();
    }, ms);
    this.#timers.add(timer);
  }

  /** Writes the status as it is by then; what changes meanwhile is written next. */
  #changed(): void {
    this.#dirty = true;
    this.#written ??= this.#writeStatus().finally(() => {
      this.#written = undefined;
    });
  }

  async #writeStatus(): Promise<void> {
    const { name, namespace = '', uid } = this.#pod.metadata;
    while (this.#dirty) {
      this.#dirty = false;
      await this.#untilDone(() =>
        this.#house.client.patch(
          'v1/pods',
          { namespace, name },
          { metadata: { uid }, status: this.#status() },
          { type: 'strategic', subresource: 'status' },
        ),
      );
    }
  }

  #status(): object {
    return podStatus({
      spec: this.#pod.spec,
      startTime: this.#startTime,
      initContainers: this.#initContainers.map(({ status }) => status),
      containers: this.#containers.map(({ status }) => status),
      ended: this.#ended,
      verdict: this.#verdict,
    });
  }

  /** Tries until it works, the Pod is gone, or the node stops: an API server may be away for a while. */
  async #untilDone<T>(attempt: () => Promise<T>): Promise<T | undefined> {
    const { signal, retryMs } = this.#house;
    while (!signal.aborted) {
      try {
        return await attempt();
      } catch (error) {
        if (error instanceof ClusterError && [404, 409].includes(error.status)) return undefined;
        await delay(retryMs, undefined, { signal }).catch(() => {});
      }
    }
    return undefined;
  }
}
