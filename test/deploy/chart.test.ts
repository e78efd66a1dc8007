import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import {
  accessRules,
  kelosLeaseRule,
  type PolicyRule,
  sharingRule,
} from '../../src/cli/manifests/access-rules.ts';
import { version } from '../../src/cli/version.ts';
import { EgressGuard } from '../../src/egress/guard.ts';
import { parseEgressPolicy } from '../../src/egress/policy.ts';
import { createEngine } from '../../src/engine.ts';
import { shardMetrics } from '../../src/sharded-engine.ts';
import { temporaryStore } from '../support/temporary-store.ts';

const chart = join(import.meta.dirname, '..', '..', 'deploy', 'chart');
const read = (...path: readonly string[]): string => readFileSync(join(chart, ...path), 'utf8');

test('the chart has the version of the program', () => {
  expect(parse(read('Chart.yaml'))).toMatchObject({ version, appVersion: version });
});

test('every alert asks for metrics that the engine has', async () => {
  const { store, close } = await temporaryStore();
  onTestFinished(close);
  const guard = new EgressGuard(parseEgressPolicy({ allow: [], deny: [] }), { clock: systemClock });
  onTestFinished(() => guard.close());
  const { metrics } = createEngine({
    store,
    clock: systemClock,
    log: silentLogger,
    spawn: false,
    run: undefined,
    report: { guard, hookSecrets: 'any', backlogMs: 0, version },
  });
  const ofShards = new Registry();
  shardMetrics(ofShards, 4, { held: [], transitions: 0 });
  const texts = [await metrics.metrics(), await ofShards.metrics()].join('\n');
  const known = [...texts.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
  const asked = [...read('templates', 'monitoring.yaml').matchAll(/\btelos_[a-z_]+/g)].map(([name]) => name);
  expect(asked.length).toBeGreaterThan(6);
  expect(asked.filter((name) => !known.includes(name))).toEqual([]);
});

test('each value is used by a template', () => {
  const files = [
    '_helpers.tpl',
    'crds.yaml',
    'rights.yaml',
    'network.yaml',
    'deployment.yaml',
    'monitoring.yaml',
  ];
  const templates = files.map((name) => read('templates', name)).join('\n');
  const values = parse(read('values.yaml')) as Record<string, unknown>;
  const names = Object.entries(values).flatMap(([name, value]) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? [name, ...Object.keys(value)]
      : [name],
  );
  // Handed on whole.
  const within = ['requests', 'limits'];
  const unused = names.filter(
    (name) => !within.includes(name) && !new RegExp(`\\.${name}\\b`).test(templates),
  );
  expect(unused).toEqual([]);
});

test('docs/kubernetes.md lists every right, and no other', () => {
  const text = readFileSync(join(chart, '..', '..', 'docs', 'kubernetes.md'), 'utf8');
  const rows = [...text.matchAll(/^\| (both|standalone) \| `([^`]+)` \| ([a-z, ]+) \|/gm)];
  const told = (mode: string): string[] =>
    rows.filter((row) => row[1] === mode).map((row) => `${row[2]}: ${row[3]}`);
  const rightsOf = (rules: readonly PolicyRule[]): string[] =>
    rules.map(({ apiGroups, resources, verbs }) => `${apiGroups[0]}/${resources[0]}: ${verbs.join(', ')}`);
  const companion = rightsOf([...accessRules('companion'), sharingRule]);
  const standalone = rightsOf([...accessRules('standalone'), kelosLeaseRule]);
  expect(told('both')).toEqual(companion);
  expect(told('standalone')).toEqual(standalone.filter((right) => !companion.includes(right)));
});
