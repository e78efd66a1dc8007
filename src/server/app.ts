import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { Registry } from 'prom-client';
import { toError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { InboundEvent, IngestAnswer } from '../spawn/ingest.ts';
import { foreignRequest } from './foreign-request.ts';

/** Whether the engine may be sent work, and what it still waits for. */
export interface Readiness {
  readonly ready: boolean;
  /** What is not ready yet, in words; empty when ready. */
  readonly waitingFor: readonly string[];
}

/** What the HTTP face shows of an engine. */
export interface ServedEngine {
  readonly metrics: Pick<Registry, 'contentType' | 'metrics'>;
  readiness(signal: AbortSignal): Promise<Readiness>;
  /** Stores what the event asks for before it answers. Absent when the engine does not spawn. */
  readonly ingest?: ((event: InboundEvent, signal: AbortSignal) => Promise<IngestAnswer>) | undefined;
}

export interface AppOptions {
  readonly engine: ServedEngine;
  readonly log: Logger;
  /** Whether the server is bound to loopback only; then names other than localhost are refused as Host. */
  readonly loopback: boolean;
}

/** The largest inbound event, in bytes (GitHub sends at most 25 MB). */
export const maxEventBytes = 25 * 1024 * 1024;

/** The routes: `/healthz`, `/readyz`, `/metrics`, `/webhook/SOURCE`. Answers are JSON unless Prometheus reads them. */
export function createApp({ engine, log, loopback }: AppOptions): Hono {
  const app = new Hono();

  app.use(async (c, next) => {
    const foreign = foreignRequest(c.req.raw, { loopback, checkHost: !c.req.path.startsWith('/webhook/') });
    if (foreign !== undefined) return c.json({ error: foreign }, 403);
    return next();
  });

  app.get('/healthz', (c) => c.json({ status: 'alive' }));

  app.get('/readyz', async (c) => {
    const readiness = await engine.readiness(c.req.raw.signal);
    return c.json(readiness, readiness.ready ? 200 : 503);
  });

  app.get('/metrics', async (c) => {
    c.header('content-type', engine.metrics.contentType);
    return c.body(await engine.metrics.metrics());
  });

  const tooLarge = bodyLimit({
    maxSize: maxEventBytes,
    onError: (c) => c.json({ error: 'the event is larger than 25 MiB: send less' }, 413),
  });
  app.post('/webhook/:source', tooLarge, async (c) => {
    if (engine.ingest === undefined) {
      return c.json({ error: 'this engine does not spawn Tasks: start one with --spawn' }, 503);
    }
    const body = new Uint8Array(await c.req.arrayBuffer());
    const event = { source: c.req.param('source'), headers: c.req.raw.headers, body };
    const answer = await engine.ingest(event, c.req.raw.signal);
    return c.json(answer.body, answer.status);
  });
  app.all('/webhook/:source', (c) => {
    c.header('allow', 'POST');
    return c.json({ error: `events are sent with POST, not ${c.req.method}` }, 405);
  });

  app.notFound((c) =>
    c.json({ error: `nothing at ${c.req.path}: see /healthz, /readyz, /metrics, /webhook/SOURCE` }, 404),
  );
  app.onError((thrown, c) => {
    const error = toError(thrown);
    if (c.req.raw.signal.aborted) return c.json({ error: 'the request was given up' }, 499 as never);
    log.error('a request failed', { path: c.req.routePath, error: error.message });
    return c.json({ error: 'it did not work: see the log of the engine' }, 500);
  });
  return app;
}
