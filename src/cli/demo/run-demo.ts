import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Delivery } from '../../api/delivery.ts';
import { checkManifest, parseManifests } from '../../api/manifest.ts';
import type { Task } from '../../api/task.ts';
import { systemClock } from '../../base/clock.ts';
import { TelosError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { EgressOptions } from '../../egress/policy.ts';
import type { ResourceStore } from '../../store/store.ts';
import { type Runtime, startRuntime } from '../runtime.ts';
import { makeCertificate } from './certificate.ts';
import { type Commit, changedLines, type History, readHistory } from './history.ts';
import { judge, type Seen } from './judge.ts';
import { Ledger } from './ledger.ts';
import { demoManifest, demoSource, demoSpawner } from './manifest.ts';
import { type Receiver, startReceiver } from './receivers.ts';
import { summarize } from './summary.ts';
import { createView, type Terminal } from './view.ts';

export interface DemoOptions {
  /** Leaves engine, store and receivers up until the signal aborts. */
  readonly keep: boolean;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** What the user allows besides the demo's own receivers. */
  readonly egress: EgressOptions;
  readonly terminal: Terminal;
  readonly log: Logger;
}

/** Something that the demo promises did not happen. */
export class DemoError extends TelosError {
  constructor(message: string) {
    super('Demo', message);
  }
}

const commitCount = 20;
/** The whole demo, from the first event to the last Delivery. */
const limitMs = 30_000;

/**
 * Walks the whole way once, for real: one event per commit of real history, a Task and a process for each, and
 * webhooks over TLS to receivers in this process. Resolves to whether everything promised was seen to happen.
 */
export async function runDemo(options: DemoOptions, signal: AbortSignal): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'telos-demo-'));
  const closers: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    return await walk(folder, options, closers, signal);
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

async function walk(
  folder: string,
  options: DemoOptions,
  closers: (() => Promise<void>)[],
  signal: AbortSignal,
): Promise<boolean> {
  const { write } = options.terminal;
  const history = await readHistory(process.cwd(), exampleFile('history.json'), commitCount, signal);
  const receivers = await startReceivers(folder);
  closers.push(receivers.audit.close, receivers.pager.close);
  const runtime = await startRuntime({
    store: { kind: 'sqlite', path: join(folder, 'telos.db'), isDefault: false },
    env: process.env,
    rooms: { spawn: true, run: true, report: true },
    egress: await demoEgress(options.egress, receivers),
    hookSecrets: 'any',
    backlogMs: 24 * 3_600_000,
    host: options.host,
    port: options.port,
    clock: systemClock,
    log: options.log,
  });
  closers.push(() => runtime.stop());
  write(`${introduction(history)}engine at ${runtime.url}, store sqlite:${join(folder, 'telos.db')}\n\n`);

  const seen = await goThrough(runtime, folder, history, receivers, options, signal);
  const findings = judge(seen);
  write(`\n${summarize(seen, findings, options.terminal.color)}`);
  write(nextCommands(options.keep ? join(folder, 'telos.db') : undefined));
  if (options.keep) {
    write('\nStill up, as asked with --keep: Ctrl-C ends it and removes everything.\n');
    await Promise.race([runtime.ended, new Promise<void>((resolve) => onAbort(signal, resolve))]);
  }
  return findings.every((finding) => finding.seen);
}

/** Applies the manifest, sends the events, and watches until all is settled or the time is up. */
async function goThrough(
  runtime: Runtime,
  folder: string,
  history: History,
  receivers: Receivers,
  { terminal }: DemoOptions,
  signal: AbortSignal,
): Promise<Seen> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
  const total = history.commits.length;
  const ledger: Ledger = new Ledger((resource: Task | Delivery) => view.changed(resource));
  const view = createView(terminal, () => ledger, total);
  const watching = new AbortController();
  const following = ledger.follow(runtime.store, watching.signal);
  try {
    await runtime.engine.started(limit);
    await applyManifest(runtime.store, folder, history, receivers, limit);
    for (const commit of [...history.commits].reverse()) await sendEvent(runtime.url, commit, limit);
    await ledger
      .until(() => ledger.isComplete(total), limit)
      .catch((reason: unknown) => {
        // Running out of time is for the judge to say, with all that is missing.
        if (signal.aborted) throw reason;
      });
  } finally {
    watching.abort();
    await following;
    view.end();
  }
  return { ledger, events: total, audit: receivers.audit, pager: receivers.pager };
}

interface Receivers {
  readonly audit: Receiver;
  readonly pager: Receiver;
  readonly caFile: string;
}

/** One receiver that always takes the call, and one that is out of order the first time. */
async function startReceivers(folder: string): Promise<Receivers> {
  const authority = await makeCertificate();
  const certificate = await makeCertificate({ names: ['127.0.0.1'], signedBy: authority });
  const caFile = join(folder, 'ca.pem');
  await writeFile(caFile, authority.certPem);
  const audit = await startReceiver(certificate, () => ({ status: 204 }));
  const pager = await startReceiver(certificate, (count) =>
    count === 1 ? { status: 503, headers: { 'retry-after': '1' } } : { status: 204 },
  );
  return { audit, pager, caFile };
}

/** What `--ca-file` and `--egress-allow` would say for these receivers. */
async function demoEgress(asked: EgressOptions, { audit, pager, caFile }: Receivers): Promise<EgressOptions> {
  const caPem = await readFile(caFile, 'utf8');
  return {
    ...asked,
    caPem: asked.caPem === undefined ? caPem : `${asked.caPem}\n${caPem}`,
    allow: [...asked.allow, ...[audit, pager].map((receiver) => new URL(receiver.origin).host)],
  };
}

async function applyManifest(
  store: ResourceStore,
  folder: string,
  history: History,
  { audit, pager }: Receivers,
  signal: AbortSignal,
): Promise<void> {
  const text = demoManifest({
    reviewProgram: exampleFile('review.mjs'),
    repo: history.repo,
    maxLines: Math.max(...history.commits.map(changedLines)) - 1,
    auditOrigin: audit.origin,
    pagerOrigin: pager.origin,
  });
  const file = join(folder, 'taskspawner.yaml');
  await writeFile(file, text);
  const document = parseManifests(text, file).documents[0];
  const draft = document && checkManifest(document).draft;
  if (draft === undefined)
    throw new DemoError(`the demo's own manifest is refused: telos validate -f ${file}`);
  await store.create(draft, { signal });
  await untilRunning(store, signal);
}

/** Events for a source that no TaskSpawner has yet are refused, so wait until it says that it runs. */
async function untilRunning(store: ResourceStore, signal: AbortSignal): Promise<void> {
  const { items, resourceVersion } = await store.list('TaskSpawner', { signal });
  if (items.some((spawner) => spawner.status?.phase === 'Running')) return;
  for await (const event of store.watch('TaskSpawner', { resourceVersion, signal })) {
    if (event.type === 'BOOKMARK' || event.resource.metadata.name !== demoSpawner) continue;
    if (event.resource.status?.phase === 'Running') return;
  }
}

async function sendEvent(url: string, commit: Commit, signal: AbortSignal): Promise<void> {
  const response = await fetch(`${url}/webhook/${demoSource}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sha: commit.sha, subject: commit.subject, commit: JSON.stringify(commit) }),
    signal,
  });
  const answer = await response.text();
  if (response.status !== 202) throw new DemoError(`an event was answered ${response.status}: ${answer}`);
}

function introduction({ repo, commits }: History): string {
  const whose =
    repo === undefined ? 'the history that ships with the examples' : `the git repository ${repo}`;
  return `Reviewing the last ${commits.length} commits of ${whose}: one event, one Task, one process each.\n`;
}

function nextCommands(storePath: string | undefined): string {
  const commands =
    storePath === undefined
      ? ['npx telos demo --keep', 'npx telos validate -f examples/', 'npx telos up -f examples/webhook.yaml']
      : [
          `npx telos get tasks --store sqlite:${storePath}`,
          `npx telos deliveries list --store sqlite:${storePath}`,
          `npx telos describe taskspawner/${demoSpawner} --store sqlite:${storePath}`,
        ];
  return `\nTry next:\n${commands.map((command) => `  ${command}\n`).join('')}`;
}

/** A file of the demo's example, beside the program as it is installed. */
function exampleFile(name: string): string {
  return fileURLToPath(new URL(`../examples/demo/${name}`, import.meta.url));
}

function onAbort(signal: AbortSignal, callback: () => void): void {
  if (signal.aborted) callback();
  else signal.addEventListener('abort', callback, { once: true });
}
