import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { createEngine } from '../../src/engine.ts';
import { createJobRunner } from '../../src/run/job/job-runner.ts';
import { KubernetesJobs } from '../../src/run/job/kubernetes-jobs.ts';
import { Discovery } from '../../src/store/kubernetes/discovery.ts';
import { ScriptedApiServer } from '../store/kubernetes/api-server.ts';
import { temporaryStore } from '../support/temporary-store.ts';

test('an engine that may not see Jobs is not ready, and says so, until it may', async () => {
  let mayListJobs = false;
  const api = await new ScriptedApiServer(({ request, response }) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://any');
    // A watch goes on.
    if (searchParams.has('watch')) return void response.writeHead(200).flushHeaders();
    if (pathname.endsWith('/jobs') && !mayListJobs) return void response.writeHead(403).end('{}');
    response.writeHead(200).end(JSON.stringify({ metadata: { resourceVersion: '1' }, items: [] }));
  }).listen();
  onTestFinished(() => api.close());
  const { store, close } = await temporaryStore();
  onTestFinished(close);

  const [clock, log, transport] = [systemClock, silentLogger, api.transport()];
  const jobs = new KubernetesJobs({ transport, discovery: new Discovery(transport), clock });
  const runner = createJobRunner({ api: jobs, store, clock, log });
  const engine = createEngine({ store, clock, log, spawn: false, run: { runner }, report: undefined });
  const { signal } = new AbortController();
  const stopping = new AbortController();
  const running = engine.run(stopping.signal);
  onTestFinished(async () => {
    stopping.abort();
    await running;
  });

  await expect
    .poll(() => engine.readiness(signal))
    .toEqual({ ready: false, waitingFor: ['the first list of Jobs and Pods'] });
  mayListJobs = true;
  await engine.started(signal);
  expect(await engine.readiness(signal)).toEqual({ ready: true, waitingFor: [] });
});
