import { type Delivery, isSettled } from '../../src/api/delivery.ts';
import { onCompletionAnnotation } from '../../src/api/names.ts';
import { type Certificate, makeCertificate } from '../../src/cli/demo/certificate.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { makeSandbox, type Sandbox } from '../cli/sandbox.ts';
import { type Receiver, type ReceiverOptions, startReceiver } from '../support/receiver.ts';
import { ended, startTelos } from '../support/telos-program.ts';
import { type RunningEngine, startEngine } from './running-engine.ts';

/** A hook to be told of a Task's end. */
export interface HookUrl {
  readonly name: string;
  readonly url: string;
  readonly timeoutSeconds?: number;
}

/** A store, receivers that are trusted, and engines in processes of their own that report to them. */
export class Workplace {
  readonly sandbox: Sandbox;
  readonly #program: string;
  readonly #authority: Certificate;
  readonly #caFile: string;
  readonly #engines: RunningEngine[] = [];
  readonly #receivers: Receiver[] = [];
  readonly #children: ReturnType<typeof startTelos>[] = [];

  private constructor(sandbox: Sandbox, program: string, authority: Certificate, caFile: string) {
    this.sandbox = sandbox;
    this.#program = program;
    this.#authority = authority;
    this.#caFile = caFile;
  }

  /** `program` is what `buildTelos` made. */
  static async open(program: string): Promise<Workplace> {
    const [sandbox, authority] = await Promise.all([makeSandbox(), makeCertificate()]);
    return new Workplace(sandbox, program, authority, await sandbox.file('ca.pem', authority.certPem));
  }

  get store(): ResourceStore {
    return this.sandbox.store;
  }

  /** The flags that let an engine reach the receivers. */
  get egressFlags(): readonly string[] {
    return ['--ca-file', this.#caFile, '--egress-allow', '127.0.0.0/8'];
  }

  async receiver(options: ReceiverOptions = {}): Promise<Receiver> {
    const receiver = await startReceiver({ ...options, authority: this.#authority });
    this.#receivers.push(receiver);
    return receiver;
  }

  /** Starts an engine, by default one that only reports, on the store or on another path. */
  async up(path = this.sandbox.storePath, ...args: readonly string[]): Promise<RunningEngine> {
    const rooms = args.some((arg) => /^--(spawn|run|report)$/.test(arg)) ? [] : ['--report'];
    const engine = await startEngine(this.#program, path, ...this.egressFlags, ...rooms, ...args);
    this.#engines.push(engine);
    return engine;
  }

  /** The one line with which `telos up` on a path gives up, with exit 1. */
  async refusedUp(path = this.sandbox.storePath): Promise<string> {
    const args = ['--store', `sqlite:${path}`, '--port', '0', '--report', ...this.egressFlags];
    const child = startTelos(this.#program, ['up', ...args]);
    this.#children.push(child);
    const { exitCode, stderr } = await ended(child);
    const lines = stderr.split('\n').filter((line) => line.startsWith('error: '));
    if (exitCode !== 1 || lines.length !== 1) throw new Error(`exit ${exitCode}, and said:\n${stderr}`);
    return lines[0] ?? '';
  }

  /** Writes Tasks that have ended, as another process would. */
  async endTasks(
    names: readonly string[],
    hooks: readonly HookUrl[],
    store: ResourceStore = this.store,
  ): Promise<void> {
    await Promise.all(names.map((name) => endTask(store, name, hooks)));
  }

  async deliveries(store: ResourceStore = this.store): Promise<readonly Delivery[]> {
    return (await store.list('Delivery')).items;
  }

  /** Resolves with all Deliveries as soon as so many are as wanted (settled, unless said otherwise). */
  async until(
    count: number,
    condition: (delivery: Delivery) => boolean = isSettled,
    store: ResourceStore = this.store,
  ): Promise<readonly Delivery[]> {
    const page = await store.list('Delivery');
    const seen = new Map(page.items.map((delivery) => [delivery.metadata.name, delivery]));
    const enough = (): boolean => [...seen.values()].filter(condition).length >= count;
    if (enough()) return [...seen.values()];
    for await (const event of store.watch('Delivery', { resourceVersion: page.resourceVersion })) {
      if (event.type === 'BOOKMARK') continue;
      seen.set(event.resource.metadata.name, event.resource);
      if (enough()) return [...seen.values()];
    }
    throw new Error('the watch ended');
  }

  /** Ends all engines the hard way. */
  async stopEngines(): Promise<void> {
    await Promise.all(this.#engines.map((engine) => engine.kill()));
  }

  async close(): Promise<void> {
    await this.stopEngines();
    for (const child of this.#children) child.kill('SIGKILL');
    await Promise.all(this.#receivers.map((receiver) => receiver.close()));
    await this.sandbox.close();
  }
}

async function endTask(store: ResourceStore, name: string, hooks: readonly HookUrl[]): Promise<void> {
  const annotation = hooks.map(({ name: hook, ...webhook }) => ({ name: hook, webhook }));
  await store.create<'Task'>({
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'Task',
    metadata: { name, annotations: { [onCompletionAnnotation]: JSON.stringify(annotation) } },
    spec: { type: 'command', command: ['true'] },
  });
  const now = new Date().toISOString();
  const status = { phase: 'Failed', startTime: now, completionTime: now };
  await store.patch('Task', { namespace: 'default', name }, { status }, { subresource: 'status' });
}

/** How often each message came: `webhook-id` to bodies. */
export function ledger(receivers: readonly Receiver[]): ReadonlyMap<string, readonly string[]> {
  const messages = new Map<string, string[]>();
  for (const { requests } of receivers) {
    for (const { headers, body } of requests) {
      const id = String(headers['webhook-id']);
      messages.set(id, [...(messages.get(id) ?? []), body.toString('utf8')]);
    }
  }
  return messages;
}
