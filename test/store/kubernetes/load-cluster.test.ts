import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Cluster } from '../../../src/store/kubernetes/cluster.ts';
import { resolveBeside } from '../../../src/store/kubernetes/kubeconfig.ts';
import { loadCluster } from '../../../src/store/kubernetes/load-cluster.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { refused } from '../contract.ts';

let folder: string;
let clock: ManualClock;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'telos-kubeconfig-'));
  clock = new ManualClock();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const write = async (name: string, text: string): Promise<string> => {
  const file = join(folder, name);
  await writeFile(file, text);
  return file;
};

/** A kubeconfig with one context `c`; the parts are flow mappings. */
const oneContext = (user: string, cluster = 'server: "https://k.example:6443"'): string => `
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {${cluster}}}]
users: [{name: u, user: {${user}}}]
`;

const load = async (text: string, env: Record<string, string> = {}): Promise<Cluster> =>
  loadCluster({
    context: undefined,
    env: { KUBECONFIG: await write('config', text), ...env },
    clock,
  });

const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('a kubeconfig', () => {
  test('says where the API server is and who we are', async () => {
    const ca = base64('-- the CA --');
    const cluster = await load(
      oneContext(
        'token: geheim',
        `server: "https://k.example/a/b", certificate-authority-data: ${ca}, tls-server-name: other.example, proxy-url: "http://p.example:3128"`,
      ),
    );
    expect(cluster).toMatchObject({
      name: 'c',
      tls: { ca: '-- the CA --', serverName: 'other.example', skipVerify: false },
      warnings: [],
    });
    expect([cluster.server.href, cluster.proxy?.href]).toEqual([
      'https://k.example/a/b',
      'http://p.example:3128/',
    ]);
    expect(await cluster.credentials.current()).toEqual({
      authorization: 'Bearer geheim',
      clientCertificate: undefined,
    });
  });

  test('of several files, each entry counts as the first has it, and files that are not there do not', async () => {
    const first = await write(
      'first',
      'users: [{name: u, user: {token: one}}]\ncontexts: [{name: d, context: {cluster: k, user: u}}]\n',
    );
    const second = await write('second', oneContext('token: two'));
    const env = { KUBECONFIG: [join(folder, 'none'), first, second].join(':') };
    const current = await loadCluster({ context: undefined, env, clock });
    expect(current.name).toBe('c');
    expect(await current.credentials.current()).toMatchObject({ authorization: 'Bearer one' });
    expect((await loadCluster({ context: 'd', env, clock })).name).toBe('d');
  });

  test('is looked for in the home folder', async () => {
    await mkdir(join(folder, '.kube'));
    await write('.kube/config', oneContext('token: t'));
    const cluster = await loadCluster({ context: undefined, env: { HOME: folder }, clock });
    expect(cluster.server.href).toBe('https://k.example:6443/');
  });

  test('names files beside it; certificates and tokens in files are read again', async () => {
    await write('ca.pem', 'CA');
    await write('cert.pem', 'CERT');
    await write('key.pem', 'KEY');
    const token = await write('token', 'one\n');
    const cluster = await load(
      oneContext(
        'tokenFile: token, token: older, client-certificate: cert.pem, client-key: key.pem',
        'server: "https://k.example", certificate-authority: ca.pem',
      ),
    );
    expect(cluster.tls.ca).toBe('CA');
    const { credentials } = cluster;
    const first = await credentials.current();
    expect(first).toEqual({
      authorization: 'Bearer one',
      clientCertificate: { cert: 'CERT', key: 'KEY' },
    });
    await writeFile(token, 'two\n');
    expect(await credentials.current()).toBe(first);
    clock.advance(60_000);
    expect(await credentials.current()).toMatchObject({ authorization: 'Bearer two' });
    await writeFile(token, 'three\n');
    expect(credentials.renew(await credentials.current())).toBe(true);
    expect(await credentials.current()).toMatchObject({ authorization: 'Bearer three' });
  });

  test('a token file that is gone for a moment leaves the last token', async () => {
    const token = await write('token', 'one');
    const { credentials } = await load(oneContext('tokenFile: token'));
    await credentials.current();
    await rm(token);
    clock.advance(60_000);
    expect(await credentials.current()).toMatchObject({ authorization: 'Bearer one' });
  });

  test('a user name and password are sent as they are', async () => {
    const { credentials } = await load(oneContext('username: ann, password: "a:b"'));
    expect(await credentials.current()).toMatchObject({ authorization: `Basic ${base64('ann:a:b')}` });
  });

  test('settings that weaken TLS are honoured and told', async () => {
    const insecure = await load(
      oneContext('token: t', 'server: "https://k", insecure-skip-tls-verify: true'),
    );
    expect(insecure.tls.skipVerify).toBe(true);
    expect(insecure.warnings.join()).toContain('insecure-skip-tls-verify');
    expect((await load(oneContext('', 'server: "http://localhost:8001"'))).warnings.join()).toContain(
      'plain HTTP',
    );
  });

  test.each([
    ['as: somebody', /impersonates somebody: Telos acts as itself only/],
    ['as-groups: [a]', /impersonates somebody/],
    ['auth-provider: {name: gcp}', /auth-provider.*use an exec plugin/],
    ['tokenFile: none', /none: cannot be read \(ENOENT\)/],
    ['client-certificate-data: YQ==', /only one of client-certificate and client-key/],
    [
      'exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}',
      /speaks .*v1alpha1: use client/,
    ],
    [
      'exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Always}',
      /wants a terminal/,
    ],
    ['token: [secret-in-a-list]', /users\[0\]\.user\.token is not as it must be/],
  ])('a user with %s is refused in one line with the remedy', async (user, message) => {
    const loading = load(oneContext(user)).then((cluster) => cluster.credentials.current());
    const error = await refused('Unavailable', loading);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('secret-in-a-list');
  });

  test.each([
    ['current-context: none', /has no context 'none': choose one of its contexts \(it has none\)/],
    ['{}', /has no current-context: name one with --store kubernetes:CONTEXT/],
    ['a: [', /config:\d+:\d+: is not YAML/],
    ['clusters: 7', /clusters is not as it must be/],
    [oneContext('', 'server: "ftp://k"'), /no server with an https URL/],
    [oneContext('', 'server: "https://k", proxy-url: "socks5://p"'), /proxy-url that is not http or https/],
    [
      oneContext('', 'server: "https://k", certificate-authority-data: YQ==, insecure-skip-tls-verify: true'),
      /remove one of them/,
    ],
    [oneContext('').replace('cluster: k,', 'cluster: other,'), /names cluster 'other': add that cluster/],
    [oneContext('').replace('user: u}', 'user: other}'), /names user 'other': add that user/],
  ])('that says %j is refused in one line with the remedy', async (text, message) => {
    expect((await refused('Unavailable', load(text))).message).toMatch(message);
  });

  test('that is not there at all is told with the remedy', async () => {
    const loading = loadCluster({ context: undefined, env: { HOME: folder }, clock });
    expect((await refused('Unavailable', loading)).message).toMatch(/no such file: set KUBECONFIG/);
  });
});

describe('in a Pod', () => {
  const pod = async (): Promise<Record<string, string>> => {
    await write('ca.crt', 'CA');
    await write('token', 'pod-token');
    return { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443', HOME: folder };
  };

  test('the cluster around it is the store, with its token read again after a while', async () => {
    const env = await pod();
    const cluster = await loadCluster({ context: undefined, env, clock, serviceAccountFolder: folder });
    expect(cluster).toMatchObject({ name: 'in-cluster', tls: { ca: 'CA', skipVerify: false } });
    expect(cluster.server.href).toBe('https://[fd00::1]/');
    expect(await cluster.credentials.current()).toEqual({ authorization: 'Bearer pod-token' });
    await write('token', 'next-token');
    clock.advance(60_000);
    expect(await cluster.credentials.current()).toEqual({ authorization: 'Bearer next-token' });
  });

  test('a kubeconfig that was named goes first', async () => {
    const KUBECONFIG = await write('config', oneContext('token: t'));
    const env = { ...(await pod()), KUBECONFIG };
    const cluster = await loadCluster({ context: undefined, env, clock, serviceAccountFolder: folder });
    expect(cluster.name).toBe('c');
  });
});

test('a path in a kubeconfig that is named without a folder is no name to look for on the PATH', () => {
  expect(resolveBeside('config', './plugin')).toBe(resolve('plugin'));
  expect(resolveBeside('config', '/bin/plugin')).toBe('/bin/plugin');
});

describe('an exec plugin', () => {
  /** A plugin beside the kubeconfig that runs a piece of shell. */
  const plugin = async (shell: string, more = ''): Promise<Cluster> => {
    await chmod(await write('plugin', `#!/bin/sh\n${shell}\n`), 0o755);
    return load(
      oneContext(
        `exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, args: [a, b], env: [{name: WHO, value: ann}]${more}}`,
        `server: "https://k.example", certificate-authority-data: ${base64('CA')}`,
      ),
      { PATH: process.env['PATH'] ?? '' },
    );
  };
  const printed = (status: object, apiVersion = 'client.authentication.k8s.io/v1'): string =>
    `cat <<'END'\n${JSON.stringify({ apiVersion, kind: 'ExecCredential', status })}\nEND`;

  test('is asked once, until its credential expires or is refused', async () => {
    const { credentials } = await plugin(
      `echo run >> "$(dirname "$0")/runs"; n=$(wc -l < "$(dirname "$0")/runs" | tr -d ' ')\n` +
        `printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t%s","expirationTimestamp":"2026-01-02T04:04:05Z"}}' "$n"`,
    );
    const [one, same] = await Promise.all([credentials.current(), credentials.current()]);
    expect(one.authorization).toBe('Bearer t1');
    expect(same).toBe(one);
    expect(await credentials.current()).toBe(one);
    expect(credentials.renew(one)).toBe(true);
    const two = await credentials.current();
    expect(two.authorization).toBe('Bearer t2');
    credentials.renew(one);
    expect(await credentials.current()).toBe(two);
    clock.advance(3_595_000);
    expect((await credentials.current()).authorization).toBe('Bearer t3');
  });

  test('is told who asks, with its arguments, its environment and the cluster', async () => {
    const { credentials } = await plugin(
      `test "$WHO $1 $2" = "ann a b" || exit 9\n` +
        `case "$KUBERNETES_EXEC_INFO" in *'"interactive":false'*'"server":"https://k.example"'*'"certificate-authority-data":"${base64('CA')}"'*) ;; *) exit 8;; esac\n` +
        printed({ clientCertificateData: 'CERT', clientKeyData: 'KEY' }),
      ', provideClusterInfo: true',
    );
    expect(await credentials.current()).toEqual({ clientCertificate: { cert: 'CERT', key: 'KEY' } });
  });

  test.each([
    [
      'echo "log in first" >&2; echo more >&2; exit 3',
      /ended with exit code 3 and said: log in first: run it/,
    ],
    ['echo secret-output', /did not print JSON/],
    [printed({}), /gave neither a token nor a client certificate/],
    [
      printed({ token: 'secret-output' }, 'client.authentication.k8s.io/v1beta1'),
      /printed another apiVersion/,
    ],
    [printed({ token: 't', expirationTimestamp: '2020-01-01T00:00:00Z' }), /has expired/],
    [printed({ token: 't', expirationTimestamp: 'soon' }), /no time/],
    ['kill -9 $$', /ended with SIGKILL/],
  ])('that does %j is told in one line', async (shell, message) => {
    const { credentials } = await plugin(shell);
    const error = await refused('Unavailable', credentials.current());
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('secret-output');
  });

  test('that hangs fails after 60 s, and takes with it whoever else holds its output', async () => {
    execFileSync('mkfifo', [join(folder, 'life')]);
    // Ends when the last process that has it open for writing is gone.
    const life = createReadStream(join(folder, 'life'));
    const { credentials } = await plugin(
      `exec 3> "$(dirname "$0")/life"; echo started >&3; sh -c 'sleep 20; true'; true`,
    );
    const waiting = refused('Unavailable', credentials.current());
    await once(life, 'data');
    const ended = once(life, 'end');
    clock.advance(60_000);
    expect((await waiting).message).toMatch(/exec plugin \.\/plugin took more than 60 s/);
    await ended;
  }, 10_000);

  test('that leaves a process behind, which holds its output, is heard a second after it has ended', async () => {
    const { credentials } = await plugin(
      `sleep 30 & echo $! > "$(dirname "$0")/pid"\n${printed({ token: 't' })}`,
    );
    const waiting = credentials.current();
    // Set when the plugin has ended.
    while (clock.nextTimerMs !== 1_000) await turn();
    clock.advance(1_000);
    expect((await waiting).authorization).toBe('Bearer t');
    expect(clock.nextTimerMs).toBeUndefined();
    // What it left running is its own affair.
    process.kill(Number(await readFile(join(folder, 'pid'), 'utf8')));
  }, 10_000);

  test('that is not there is told with its install hint', async () => {
    const { credentials } = await load(
      oneContext(
        'exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, installHint: "install it from k.example"}',
      ),
    );
    const error = await refused('Unavailable', credentials.current());
    expect(error.message).toMatch(/exec plugin no-such-plugin is not there: install it from k\.example/);
  });
});
