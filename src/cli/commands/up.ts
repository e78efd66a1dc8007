import { readCheckedManifests } from '../checked-manifests.ts';
import type { UpOptions } from '../engine-options.ts';
import { keepHeapSmall } from '../heap-growth.ts';
import { createLogger } from '../logger.ts';
import { type Runtime, startRuntime } from '../runtime.ts';
import { formatStoreLocation } from '../store-location.ts';
import { applyManifests } from './apply.ts';

/** `telos up`: the engine in the foreground, until a signal stops it. Returns the exit code. */
export async function runUp(options: UpOptions): Promise<number> {
  keepHeapSmall();
  const {
    context,
    egress,
    hookSecrets,
    reportBacklogMs: backlogMs,
    outbox,
    host,
    port,
    rooms,
    namespaces,
    roleBinding,
    sharding,
  } = options;
  const { store } = context.options;
  const { stderr, env, options: global } = context;
  const color = stderr.isTTY === true && global.color && env['NO_COLOR'] === undefined;
  const log = createLogger({ ...options.log, color, write: (line) => stderr.write(line) });
  // Before anything is started: a manifest that is wrong starts nothing.
  const manifests = options.files.length === 0 ? [] : await readCheckedManifests(options.files, context);
  const runtime = await startRuntime({
    store,
    env,
    namespaces,
    roleBinding,
    sharding,
    rooms,
    egress,
    hookSecrets,
    backlogMs,
    outbox,
    host,
    port,
    clock: context.clock,
    log,
  });
  const drain = (): void => {
    log.info('stopping: what is under way ends first; a second signal stops at once');
    void runtime.stop();
  };
  if (context.signal.aborted) drain();
  else context.signal.addEventListener('abort', drain, { once: true });
  try {
    await applyManifests(runtime.store, manifests, context, false);
    log.info('up', { url: runtime.url, store: formatStoreLocation(store) });
    await tellWhenReady(runtime, () => log.info('ready', { url: runtime.url }));
    await runtime.ended;
    log.info('stopped');
    return 0;
  } finally {
    context.signal.removeEventListener('abort', drain);
    await runtime.stop();
  }
}

/** Tells of readiness; says nothing when the engine ends first. @throws what it will never be ready for */
async function tellWhenReady({ engine, ended }: Runtime, tell: () => void): Promise<void> {
  const giveUp = new AbortController();
  void ended.catch(() => {}).finally(() => giveUp.abort());
  try {
    await engine.started(giveUp.signal);
  } catch (thrown) {
    if (giveUp.signal.aborted) return;
    throw thrown;
  }
  tell();
}
