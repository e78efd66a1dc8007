import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Draft } from '../src/api/kinds.ts';
import { onCompletionAnnotation, onCompletionFinalizer } from '../src/api/names.ts';
import { systemClock } from '../src/base/clock.ts';
import { silentLogger } from '../src/base/log.ts';
import { rfc3339 } from '../src/base/text.ts';
import { type Certificate, makeCertificate } from '../src/cli/demo/certificate.ts';
import { EgressGuard } from '../src/egress/guard.ts';
import { parseEgressPolicy } from '../src/egress/policy.ts';
import { createEngine, type Engine } from '../src/engine.ts';
import { openThreadedStore } from '../src/store/sqlite/thread/threaded-store.ts';
import type { ResourceStore } from '../src/store/store.ts';

/** Receivers in another process, on several ports (each its own origin). */
export interface Receivers {
  readonly urls: readonly string[];
  /** Resolves when so many POSTs have come since the last reset. */
  reached(count: number): Promise<void>;
  reset(): Promise<void>;
  close(): void;
}

export async function startReceivers(certificate: Certificate, ports: number): Promise<Receivers> {
  const child = fork(fileURLToPath(new URL('./receiver.js', import.meta.url)));
  child.send({ certPem: certificate.certPem, keyPem: certificate.keyPem, ports });
  const [answer] = (await once(child, 'message')) as [{ ports: number[] }];
  return {
    urls: answer.ports.map((port) => `https://127.0.0.1:${port}/hooks`),
    reached: (count) => ask(child, { wait: count }),
    reset: () => ask(child, 'reset'),
    close: () => child.kill(),
  };
}

async function ask(child: ChildProcess, message: object | string): Promise<void> {
  const answered = once(child, 'message');
  child.send(message);
  await answered;
}

/** A certificate for 127.0.0.1 and the authority that signed it. */
export async function loopbackCertificate(): Promise<{ authority: Certificate; certificate: Certificate }> {
  const authority = await makeCertificate();
  return { authority, certificate: await makeCertificate({ names: ['127.0.0.1'], signedBy: authority }) };
}

/** A throw-away folder, removed at the end of the bench. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'telos-bench-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A store as `telos up` opens it. */
export function openStore(path: string): Promise<ResourceStore> {
  const threadPath = fileURLToPath(new URL('./store-thread.js', import.meta.url));
  const onLost = (error: Error): void => {
    throw error;
  };
  return openThreadedStore({ path, log: silentLogger, threadPath, onLost });
}

/** An engine that only reports, with its guard. */
export function reportingEngine(store: ResourceStore, authority: Certificate): RunningEngine {
  const policy = parseEgressPolicy({ allow: ['127.0.0.0/8'], deny: [], caPem: authority.certPem });
  const guard = new EgressGuard(policy, { clock: systemClock });
  const engine = createEngine({
    store,
    clock: systemClock,
    log: silentLogger,
    spawn: false,
    run: undefined,
    report: { guard, hookSecrets: 'any', backlogMs: 24 * 3_600_000, version: 'bench' },
  });
  const stopping = new AbortController();
  const ended = engine.run(stopping.signal);
  return {
    engine,
    async stop() {
      stopping.abort();
      await ended;
      await guard.close();
    },
  };
}

export interface RunningEngine {
  readonly engine: Engine;
  stop(): Promise<void>;
}

/** A Task of about 3 KB with one hook (or none), as spawn would make it. */
export function taskDraft(name: string, hookUrl?: string): Draft<'Task'> {
  const hooks = hookUrl === undefined ? undefined : [{ name: 'bench', webhook: { url: hookUrl } }];
  return {
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'Task',
    metadata: {
      name,
      namespace: 'default',
      ...(hooks === undefined
        ? {}
        : {
            annotations: { [onCompletionAnnotation]: JSON.stringify(hooks) },
            finalizers: [onCompletionFinalizer],
          }),
    },
    spec: { type: 'command', command: ['true'], prompt: 'p'.repeat(2000) },
  };
}

/** The status that run writes when a Task ends well. */
export function endedStatus(): { status: object } {
  const now = rfc3339(Date.now());
  return {
    status: {
      phase: 'Succeeded',
      startTime: now,
      completionTime: now,
      message: 'Task completed successfully',
      outputs: ['branch: main', 'commit: 0123456789abcdef'],
      results: { branch: 'main', commit: '0123456789abcdef', response: 'r'.repeat(400) },
    },
  };
}

/** Runs `work` for 0..count-1, at most `width` side by side. */
export async function inParallel(
  count: number,
  width: number,
  work: (n: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const n = next;
      next += 1;
      await work(n);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
