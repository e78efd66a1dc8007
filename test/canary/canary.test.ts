import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Delivery } from '../../src/api/delivery.ts';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import type { ResourceStore } from '../../src/store/store.ts';
import { type DnsServer, startDnsServer } from '../support/dns-server.ts';
import { type Receiver, startReceiver } from '../support/receiver.ts';
import { buildTelos, startTelos, telos } from '../support/telos-program.ts';
import { type Canary, leaksIn, makeCanary } from './canary.ts';
import { startEcho } from './echo.ts';
import { type CanaryManifest, canaryManifest } from './manifest.ts';
import { hasOutcome, untilDeliveries } from './until-deliveries.ts';

/** Everything that Telos said, by where it said it. */
const said = new Map<string, string>();
const engineSecrets = {
  github: makeCanary('GITHUB_TOKEN of the engine'),
  proxy: makeCanary('the password of a proxy in the environment of the engine'),
  egressProxy: makeCanary('the password of --egress-proxy'),
};

let folder: string;
let storePath: string;
let manifestFile: string;
let caFile: string;
let manifest: CanaryManifest;
let receiver: Receiver;
let untrusted: Receiver;
let dns: DnsServer;
let program: string;
let store: ResourceStore;
let hidden: readonly Canary[];
const engines = new Set<Engine>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'telos-canary-'));
  storePath = join(folder, 'made-by-telos', 'telos.db');
  [program, receiver, untrusted, dns] = await Promise.all([
    buildTelos(),
    startEcho(),
    startReceiver(),
    startDnsServer(),
  ]);
  manifest = canaryManifest({ echo: receiver.origin, untrusted: untrusted.origin });
  hidden = [...manifest.secret, ...Object.values(engineSecrets)];
  manifestFile = join(folder, 'manifest.yaml');
  caFile = join(folder, 'ca.pem');
  await writeFile(manifestFile, manifest.text);
  await writeFile(caFile, receiver.caPem);
  await runEverything();
});

afterAll(async () => {
  for (const engine of engines) await engine.kill();
  await store?.close();
  await Promise.all([receiver.close(), untrusted.close(), dns.close()]);
  await rm(folder, { recursive: true, force: true });
});

describe('a secret in every place that takes one', () => {
  test('is sent to its receivers', () => {
    // Otherwise nothing below would prove anything.
    const sent = receiver.requests.map(({ path, headers }) => path + JSON.stringify(headers)).join('\n');
    expect(leaksIn(sent, manifest.secret)).toEqual(
      expect.arrayContaining(['urlFrom', 'an Authorization header', 'a header with odd characters']),
    );
    expect(leaksIn(sent, manifest.clear)).not.toEqual([]);
  });

  test('appears in no log, metric, Event, answer, error or output', () => {
    const leaks = [...said].flatMap(([where, text]) =>
      leaksIn(text, hidden).map((place) => `${where}: ${place}`),
    );
    expect(leaks).toEqual([]);
    expect(said.size).toBeGreaterThan(30);
  });

  test('is shown, of the URLs in the manifest, only where whole specs are shown', () => {
    const leaks = [...said].flatMap(([where, text]) =>
      showsSpecs(where) ? [] : leaksIn(text, manifest.clear).map((place) => `${where}: ${place}`),
    );
    expect(leaks).toEqual([]);
  });

  test('is shown by get secrets only with -o json and -o yaml, in base64', async () => {
    for (const output of [[], ['-o', 'wide'], ['-o', 'name']]) {
      const { stdout } = await cli(['get', 'secrets', ...output]);
      expect(leaksIn(stdout, hidden)).toEqual([]);
      expect(stdout).toContain('headers');
    }
    const { stdout } = await cli(['get', 'secret', 'headers', '-o', 'json']);
    const { data } = JSON.parse(stdout) as { data: Record<string, string> };
    expect(Buffer.from(data['Authorization'] ?? '', 'base64').toString()).toMatch(/^Bearer c/);
  });

  test('stands in the store in rows of Secrets only', () => {
    const rows = rowsOfStore();
    const leaks = rows.flatMap(({ where, kind, text }) => [
      ...(kind === 'Secret' ? [] : leaksIn(text, hidden)).map((place) => `${where}: ${place}`),
      ...(kind === 'Event' ? leaksIn(text, manifest.clear) : []).map((place) => `${where}: ${place}`),
      ...(kind === 'Delivery' ? leaksIn(statusOf(text), manifest.clear) : []).map(
        (place) => `${where}: ${place}`,
      ),
    ]);
    expect([...new Set(leaks)]).toEqual([]);
    for (const kind of ['Secret', 'Event', 'Task', 'TaskSpawner', 'Delivery'])
      expect(
        rows.some((row) => row.kind === kind),
        kind,
      ).toBe(true);
  });

  test('stands in the bytes of the store, freed ones too, in no form but the one that rows of Secrets have', async () => {
    const home = join(folder, 'made-by-telos');
    const files = (await readdir(home)).filter(
      (name) => name.startsWith('telos.db') && !name.endsWith('.runs'),
    );
    expect(files).toEqual(expect.arrayContaining(['telos.db', 'telos.db-wal']));
    // A row that was moved may have left a part of itself behind, but nothing that is not in it.
    const stored = manifest.stored.join('\n').toLowerCase();
    const others = hidden.map(({ forms, ...canary }) => ({
      ...canary,
      forms: forms.filter((form) => !stored.includes(form)),
    }));
    expect(others.every(({ forms }) => forms.length > 4)).toBe(true);
    const leaks: string[] = [];
    for (const name of files) {
      const bytes = await readFile(join(home, name), 'latin1');
      leaks.push(...leaksIn(bytes, others).map((place) => `${name}: ${place}`));
    }
    expect(leaks).toEqual([]);
  });

  test('is kept, of a run, in no file but the log of a program that said it', async () => {
    const runs = join(folder, 'made-by-telos', 'telos.db.runs');
    const entries = await readdir(runs, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name));
    const leaks: string[] = [];
    for (const file of files)
      leaks.push(...leaksIn(await readFile(file, 'utf8'), hidden).map(() => basename(file)));
    expect([...new Set(leaks)]).toEqual(['log']);
    expect(files.length).toBeGreaterThan(2);
  });

  test('is repeated by egress check only where it shows the URL that it was asked about', async () => {
    const urls = [
      ...manifest.secret.map(({ value }) => `https://127.0.0.1/${value}?key=${value}`),
      ...manifest.secret.map(({ value }) => `https://user:${value}@chat.example/`),
    ];
    const { stdout, stderr } = await cli(['egress', 'check', ...urls, '-o', 'json']);
    const verdicts = JSON.parse(stdout) as { url: string; reason: string }[];
    expect(verdicts.map(({ url }) => url)).toEqual(urls);
    expect(leaksIn(stderr + verdicts.map(({ reason }) => reason).join('\n'), hidden)).toEqual([]);
  });

  test('is kept from other users of the machine: files 0600, folders 0700', async () => {
    const home = join(folder, 'made-by-telos');
    const loose: string[] = [];
    for (const name of ['.', ...(await readdir(home))]) {
      const { mode } = await stat(join(home, name));
      if ((mode & 0o077) !== 0) loose.push(`${name} ${(mode & 0o777).toString(8)}`);
    }
    expect(loose).toEqual([]);
    expect(await readdir(home)).toEqual(
      expect.arrayContaining(['telos.db', 'telos.db-wal', 'telos.db-shm', 'telos.db.runs']),
    );
  });
});

/** The main job, with all that can go wrong, a crash in the middle, and everything that people look at. */
async function runEverything(): Promise<void> {
  const egress = ['--egress-allow', '127.0.0.1/32', '--ca-file', caFile, '--dns-server', dns.address];
  const first = await Engine.start('up', [...egress, '-f', manifestFile]);
  store = await openSqliteStore({ path: storePath, clock: systemClock, log: silentLogger });
  await createForeignTask();
  await createWaitingTask();
  await sendEvents(first.url);
  await untilDeliveries(store, {}, (all) => all.length === manifest.hookCount + 1 && all.every(hasOutcome));
  await look(first.url, egress);
  await first.kill();
  const names = (await store.list('Delivery', {})).items.map(({ metadata }) => metadata.name);
  await note('deliveries redeliver', ['deliveries', 'redeliver', ...names]);
  await note('deliveries recover', ['deliveries', 'recover', '--since', '24h']);
  for (const name of await taskNames())
    await note(`deliveries replay ${name}`, ['deliveries', 'replay', name]);
  await note('deliveries skip', ['deliveries', 'skip', 'waiting']);
  const second = await Engine.start('up after a crash, through a proxy', egress, {
    TELOS_EGRESS_PROXY: `http://user:${engineSecrets.egressProxy.value}@127.0.0.1:1`,
  });
  await untilDeliveries(store, {}, (all) => all.some(({ status }) => status?.reason === 'Proxy'));
  await note('deliveries list after the crash', ['deliveries', 'list', '-o', 'wide']);
  await note('deliveries list -o yaml after the crash', ['deliveries', 'list', '-o', 'yaml']);
  await fetchText(`${second.url}/metrics`);
  await second.stop();
}

async function look(url: string, egress: readonly string[]): Promise<void> {
  const test = ['hooks', 'test', '-f', manifestFile];
  const commands = [
    ...['all', 'ts', 'tasks', 'deliveries', 'events', 'workspaces', 'agentconfigs'].flatMap((kind) =>
      [[], ['-o', 'json'], ['-o', 'yaml'], ['-o', 'wide']].map((output) => ['get', kind, ...output]),
    ),
    ...['ts', 'tasks', 'deliveries', 'workspaces', 'agentconfigs', 'secrets'].map((kind) => [
      'describe',
      kind,
    ]),
    ['deliveries', 'list'],
    ['deliveries', 'list', '-o', 'json'],
    ['deliveries', 'show', ...(await store.list('Delivery', {})).items.map(({ metadata }) => metadata.name)],
    [...test, '--print'],
    [...test, '--print', '-o', 'json'],
    [...test, ...egress],
    [...test, ...egress, '-o', 'json', '--debug'],
    ...[[], ['-o', 'json']].map((output) => ['egress', 'check', ...checked, ...egress, ...output]),
    ...(await taskNames('second')).map((name) => ['logs', `task/${name}`]),
    ['run', '--from', 'taskspawner/second', '--name', 'by-hand', '-w'],
    ['logs', 'task/by-hand'],
    ['annotate', 'task/waiting', 'kelos.dev/on-completion=[{"name":"x"}]', '--overwrite'],
    ['get', 'nothing'],
    ['validate', '-f', manifestFile],
    ['apply', '-f', manifestFile],
    ['apply', '-f', manifestFile, '--dry-run', '-o', 'name'],
    ['doctor', '--dns-server', dns.address],
  ];
  for (const args of commands) await note(args.join(' ').replaceAll(folder, ''), args);
  for (const path of ['/metrics', '/healthz', '/readyz', '/nothing']) await fetchText(url + path);
}

/** What `egress check` is asked about: the operator's own words, not what stands in Secrets. */
const checked = [
  'https://chat.example/',
  'https://169.254.169.254/',
  'https://localhost/',
  'http://127.0.0.1/',
];

/** The Tasks, or those of one TaskSpawner. */
async function taskNames(spawner?: string): Promise<readonly string[]> {
  const { items } = await store.list('Task', {});
  return items
    .filter(({ metadata }) => spawner === undefined || metadata.labels?.['kelos.dev/taskspawner'] === spawner)
    .map(({ metadata }) => metadata.name);
}

/** A Task of others that does not end. */
async function createWaitingTask(): Promise<void> {
  const hooks = [{ name: 'never', webhook: { urlFrom: { secretKeyRef: { name: 'urls', key: 'ok' } } } }];
  await store.create<'Task'>({
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'Task',
    metadata: {
      name: 'waiting',
      namespace: 'default',
      annotations: { 'kelos.dev/on-completion': JSON.stringify(hooks) },
    },
    spec: { type: 'command', command: ['true'], suspend: true },
  });
}

/** A Task of others, whose hooks nobody checked. */
async function createForeignTask(): Promise<void> {
  const canary = makeCanary('userinfo in the hooks annotation');
  (manifest.clear as Canary[]).push(canary);
  const hooks = [{ name: 'bad', webhook: { url: `https://user:${canary.value}@chat.example/` } }];
  await store.create<'Task'>({
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'Task',
    metadata: {
      name: 'foreign',
      namespace: 'default',
      annotations: { 'kelos.dev/on-completion': JSON.stringify(hooks) },
    },
    spec: { type: 'command', command: ['true'] },
  });
}

async function sendEvents(url: string): Promise<void> {
  const body = '{"id":"one"}';
  const sign = (key: string): string => `sha256=${createHmac('sha256', key).update(body).digest('hex')}`;
  for (const key of ['wrong', manifest.sourceSecret]) {
    const answer = await fetch(`${url}/webhook/events`, {
      method: 'POST',
      headers: { 'x-hub-signature-256': sign(key) },
      body,
    });
    said.set(`event ${answer.status}`, await answer.text());
  }
}

/** Runs the program in this process and keeps what it says. */
async function note(where: string, args: readonly string[]): Promise<void> {
  const { stdout, stderr } = await cli(args);
  said.set(where, stdout + stderr);
}

function cli(args: readonly string[]): ReturnType<typeof telos> {
  return telos(args, { env: { TELOS_STORE: `sqlite:${storePath}` } });
}

async function fetchText(url: string): Promise<void> {
  const answer = await fetch(url);
  said.set(`${said.size} ${new URL(url).pathname}`, await answer.text());
}

/** Outputs that show manifests as they were written. */
function showsSpecs(where: string): boolean {
  return (
    /^(get (all|ts|tasks|deliveries)|deliveries list) .*(json|yaml)/.test(where) ||
    where.startsWith('hooks test')
  );
}

interface Row {
  readonly where: string;
  readonly kind: string;
  readonly text: string;
}

/** Every row of every table. */
function rowsOfStore(): Row[] {
  const database = new Database(storePath, { readonly: true });
  try {
    const tables = database
      .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")
      .pluck()
      .all() as string[];
    return tables.flatMap((table) =>
      (database.prepare(`SELECT * FROM ${table}`).all() as Record<string, unknown>[]).map((row) => ({
        where: `${table} ${String(row['kind'])}`,
        kind: table === 'revision' ? String(row['kind']) : '',
        text: table === 'revision' ? String(row['json']) : JSON.stringify(row),
      })),
    );
  } finally {
    database.close();
  }
}

function statusOf(json: string): string {
  return JSON.stringify((JSON.parse(json) as Delivery).status ?? {});
}

/** The program as it is shipped, with everything logged. */
class Engine {
  readonly url: string;
  readonly #process: ChildProcessWithoutNullStreams;

  private constructor(process: ChildProcessWithoutNullStreams, url: string) {
    this.#process = process;
    this.url = url;
  }

  static async start(
    where: string,
    flags: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Engine> {
    const args = ['up', '--port', '0', '--debug', '--log-level', 'debug', '--log-format', 'json', ...flags];
    const process = startTelos(program, args, {
      TELOS_STORE: `sqlite:${storePath}`,
      GITHUB_TOKEN: engineSecrets.github.value,
      HTTPS_PROXY: `http://user:${engineSecrets.proxy.value}@127.0.0.1:1`,
      ...env,
    });
    const url = await new Promise<string>((resolve, reject) => {
      const hear = (chunk: string): void => {
        const heard = (said.get(where) ?? '') + chunk;
        said.set(where, heard);
        const ready = /"url":"([^"]+)","msg":"ready"/.exec(heard)?.[1];
        if (ready !== undefined) resolve(ready);
      };
      process.stdout.setEncoding('utf8').on('data', hear);
      process.stderr.setEncoding('utf8').on('data', hear);
      process.once('exit', () => reject(new Error(`the engine ended: ${said.get(where)}`)));
    });
    const engine = new Engine(process, url);
    engines.add(engine);
    return engine;
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  stop(): Promise<void> {
    return this.#end('SIGTERM');
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    engines.delete(this);
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'close');
    this.#process.kill(signal);
    await ended;
  }
}
