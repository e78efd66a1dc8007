import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Certificate, makeCertificate } from '../../src/cli/demo/certificate.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { House } from './house.ts';

const name = 'receiver.example';
let house: House;

beforeEach(() => {
  house = new House();
});
afterEach(() => house.close());

interface Proxy {
  /** `host:port`. */
  readonly at: string;
  readonly accepts: number;
  readonly connects: readonly { readonly path: string; readonly authorization: string | undefined }[];
  /** Which certificates it was asked for. */
  readonly serverNames: readonly unknown[];
  connected(): Promise<unknown>;
}

/** A forward proxy on loopback; `answer` may take a CONNECT over. */
async function startProxy(
  answer?: (socket: Socket, path: string) => void,
  secure?: Certificate,
): Promise<Proxy> {
  const server =
    secure === undefined
      ? createServer()
      : createHttpsServer({ cert: secure.certPem, key: secure.keyPem }).on('tlsClientError', () => {});
  const connects: { path: string; authorization: string | undefined }[] = [];
  const sockets = new Set<Socket>();
  let accepts = 0;
  const keep = (socket: Socket): void => {
    sockets.add(socket.on('error', () => {}));
  };
  server.on('connection', (socket: Socket) => {
    accepts += 1;
    keep(socket);
  });
  const serverNames: unknown[] = [];
  server.on('secureConnection', (socket: TLSSocket & { servername?: unknown }) =>
    serverNames.push(socket.servername),
  );
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    const path = request.url ?? '';
    connects.push({ path, authorization: request.headers['proxy-authorization'] });
    server.emit('seen');
    if (answer !== undefined) return answer(socket, path);
    const [host = '', port = ''] = path.split(':');
    const upstream = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    keep(upstream);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  house.onClose(async () => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return {
    at: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    connects,
    serverNames,
    get accepts() {
      return accepts;
    },
    connected: () => once(server, 'seen'),
  };
}

describe('through a proxy', () => {
  test('a POST goes to the vetted address, while SNI and Host stay the name', async () => {
    const [receiver, dns, proxy] = await Promise.all([house.receiver(), house.dns(), startProxy()]);
    dns.answer('A', name, ['127.0.0.1']);
    const { post } = house.door({
      caPem: receiver.caPem,
      dnsServers: [dns.address],
      proxy: `http://user:hunter%402@${proxy.at}`,
    });
    const url = `https://${name}:${receiver.port}/path`;
    expect(await post(url)).toMatchObject({
      kind: 'answered',
      status: 200,
      address: `127.0.0.1:${receiver.port}`,
    });
    expect(await post(url)).toMatchObject({ kind: 'answered', status: 200 });
    const authorization = `Basic ${Buffer.from('user:hunter@2').toString('base64')}`;
    expect(proxy.connects).toEqual([{ path: `127.0.0.1:${receiver.port}`, authorization }]);
    expect(receiver.requests).toHaveLength(2);
    expect(receiver.requests[0]).toMatchObject({
      path: '/path',
      serverName: name,
      headers: { host: `${name}:${receiver.port}` },
    });
    expect(receiver.requests[0]?.headers).not.toHaveProperty('proxy-authorization');
  });

  test('what is dialled is the proxy, and that is what is counted', async () => {
    const [receiver, proxy] = await Promise.all([house.receiver(), startProxy()]);
    // The proxy's own address is the operator's choice and needs no entry.
    const { post, dials } = house.door({
      allow: [`127.0.0.1:${receiver.port}`],
      caPem: receiver.caPem,
      proxy: `http://${proxy.at}`,
    });
    expect(await post(receiver.origin)).toMatchObject({ kind: 'answered' });
    expect(dials).toEqual([proxy.at]);
    expect(proxy.accepts).toBe(1);
  });

  test('TLS goes to the proxy as well when its URL says so', async () => {
    const authority = await makeCertificate();
    const certificate = await makeCertificate({ names: ['127.0.0.1'], signedBy: authority });
    const receiver = await house.receiver({ authority });
    const proxy = await startProxy(undefined, certificate);
    const { post } = house.door({ caPem: authority.certPem, proxy: `https://user:x@${proxy.at}` });
    expect(await post(receiver.origin)).toMatchObject({ kind: 'answered', status: 200 });
    expect(proxy.connects).toEqual([
      {
        path: `127.0.0.1:${receiver.port}`,
        authorization: `Basic ${Buffer.from('user:x').toString('base64')}`,
      },
    ]);
  });

  test('TLS asks a proxy with a name for the certificate of that name', async () => {
    const authority = await makeCertificate();
    const certificate = await makeCertificate({ names: ['localhost'], signedBy: authority });
    const receiver = await house.receiver({ authority });
    const proxy = await startProxy(undefined, certificate);
    const at = proxy.at.replace('127.0.0.1', 'localhost');
    const { post } = house.door({ caPem: authority.certPem, proxy: `https://${at}` });
    expect(await post(receiver.origin)).toMatchObject({ kind: 'answered', status: 200 });
    expect(proxy.serverNames).toEqual(['localhost']);
  });

  test.each([
    ['for another name', ['other.example'], true, 'its certificate is for another name'],
    ['of an unknown authority', ['127.0.0.1'], false, 'its certificate is signed by nobody we trust'],
  ] as const)('a proxy with a certificate %s is told nothing', async (_what, names, isKnown, message) => {
    const authority = await makeCertificate();
    const certificate = await makeCertificate({ names, signedBy: authority });
    const proxy = await startProxy(undefined, certificate);
    const { post } = house.door({
      caPem: isKnown ? authority.certPem : (await makeCertificate()).certPem,
      proxy: `https://user:hunter2@${proxy.at}`,
    });
    const outcome = await post('https://127.0.0.1:8443/');
    expect(outcome).toMatchObject({
      kind: 'failed',
      reason: 'Proxy',
      message: expect.stringContaining(`the proxy ${proxy.at} cannot be used: ${message}`),
    });
    expect(proxy.connects).toEqual([]);
  });

  test('an address that the proxy cannot reach leaves the next one to try', async () => {
    const [receiver, dns] = await Promise.all([house.receiver(), house.dns()]);
    dns.answer('A', name, ['127.0.0.7', '127.0.0.1']);
    const proxy = await startProxy((socket, path) => {
      if (path.startsWith('127.0.0.7')) return void socket.end('HTTP/1.1 504 No\r\n\r\n');
      const upstream = connect(receiver.port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        upstream.pipe(socket).pipe(upstream);
      }).on('error', () => {});
    });
    const { post } = house.door({
      caPem: receiver.caPem,
      dnsServers: [dns.address],
      proxy: `http://${proxy.at}`,
    });
    expect(await post(`https://${name}:${receiver.port}/`)).toMatchObject({ kind: 'answered' });
    expect(proxy.connects.map(({ path }) => path)).toEqual([
      `127.0.0.7:${receiver.port}`,
      `127.0.0.1:${receiver.port}`,
    ]);
  });

  test('a refused name or address is refused all the same, and the proxy hears nothing', async () => {
    const [dns, proxy] = await Promise.all([house.dns(), startProxy()]);
    dns.answer('A', name, ['10.1.2.3']);
    const { post, dials } = house.door({ dnsServers: [dns.address], proxy: `http://${proxy.at}` });
    expect(await post(`https://${name}/`)).toMatchObject({ kind: 'refused', stage: 'dns' });
    expect(await post('https://10.1.2.3/')).toMatchObject({ kind: 'refused', stage: 'address' });
    expect(dials).toEqual([]);
    expect(proxy.accepts).toBe(0);
  });

  test('the certificate is still held against the name', async () => {
    const [receiver, dns, proxy] = await Promise.all([
      house.receiver({ names: ['other.example'] }),
      house.dns(),
      startProxy(),
    ]);
    dns.answer('A', name, ['127.0.0.1']);
    const { post } = house.door({
      caPem: receiver.caPem,
      dnsServers: [dns.address],
      proxy: `http://${proxy.at}`,
    });
    expect(await post(`https://${name}:${receiver.port}/`)).toMatchObject({ kind: 'failed', reason: 'TLS' });
    expect(receiver.requests).toEqual([]);
  });

  test.each<[what: string, answer: (socket: Socket) => void, message: string]>([
    [
      'asks for credentials',
      (socket) => socket.end('HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n'),
      'answered 407 to CONNECT',
    ],
    ['forbids it', (socket) => socket.end('HTTP/1.1 403 No\r\n\r\n'), 'answered 403 to CONNECT'],
    ['cannot reach it', (socket) => socket.end('HTTP/1.1 502 No\r\n\r\n'), 'answered 502 to CONNECT'],
    [
      'redirects',
      (socket) => socket.end('HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:1/\r\n\r\n'),
      'answered 302 to CONNECT',
    ],
    ['hangs up', (socket) => socket.destroy(), 'cannot be used: connection reset'],
    [
      'talks garbage',
      (socket) => socket.end('SSH-2.0-OpenSSH\r\n'),
      'cannot be used: it does not speak HTTP',
    ],
    [
      'speaks first in the tunnel',
      (socket) => socket.write('HTTP/1.1 200 OK\r\n\r\nhello'),
      'sent data before it was asked for',
    ],
  ])('that %s, the proxy is to blame, and its credentials stay untold', async (_what, answer, message) => {
    const proxy = await startProxy(answer);
    const receiver = await house.receiver();
    const { post } = house.door({ proxy: `http://user:hunter2@${proxy.at}` });
    const outcome = await post(receiver.origin);
    expect(outcome).toMatchObject({
      kind: 'failed',
      reason: 'Proxy',
      message: `the proxy ${proxy.at} ${message}`,
      address: `127.0.0.1:${receiver.port}`,
    });
    expect(JSON.stringify(outcome)).not.toMatch(/hunter2|user/);
    expect(receiver.accepts).toBe(0);
  });

  test('that nobody serves, the proxy is to blame', async () => {
    const receiver = await house.receiver();
    const gone = `127.0.0.9:${receiver.port}`;
    const { post } = house.door({ proxy: `http://user:hunter2@${gone}` });
    expect(await post(receiver.origin)).toMatchObject({
      kind: 'failed',
      reason: 'Proxy',
      message: `the proxy ${gone} cannot be used: connection refused: nothing listens there`,
    });
    expect(receiver.accepts).toBe(0);
  });

  test('that hangs, the proxy is to blame after 5 s, and the connection to it is closed', async () => {
    const clock = new ManualClock();
    let closed: Promise<unknown> | undefined;
    const proxy = await startProxy((socket) => {
      closed = once(socket.resume(), 'end');
    });
    const { post } = house.door({ proxy: `http://${proxy.at}` }, clock);
    const seen = proxy.connected();
    const waiting = post('https://127.0.0.1:8443/');
    await seen;
    expect(clock.nextTimerMs).toBe(5_000);
    clock.advance(5_000);
    expect(await waiting).toMatchObject({
      kind: 'failed',
      reason: 'Proxy',
      message: `the proxy ${proxy.at} did not answer in time`,
    });
    expect(clock.nextTimerMs).toBeUndefined();
    await closed;
  });

  test('that hangs for all of a short attempt, the proxy is to blame', async () => {
    const clock = new ManualClock();
    const proxy = await startProxy((socket) => void socket.resume());
    const { post } = house.door({ proxy: `http://${proxy.at}` }, clock);
    const seen = proxy.connected();
    const waiting = post('https://127.0.0.1:8443/', { timeoutMs: 2_000 });
    await seen;
    clock.advance(2_000);
    expect(await waiting).toMatchObject({
      kind: 'failed',
      reason: 'Proxy',
      message: `the proxy ${proxy.at} did not answer in time`,
      address: '127.0.0.1:8443',
    });
    expect(clock.nextTimerMs).toBeUndefined();
  });

  test('giving up closes the connection to the proxy', async () => {
    let closed: Promise<unknown> | undefined;
    const proxy = await startProxy((socket) => {
      closed = once(socket.resume(), 'end');
    });
    const { post } = house.door({ proxy: `http://${proxy.at}` });
    const seen = proxy.connected();
    const caller = new AbortController();
    const waiting = post('https://127.0.0.1:8443/', {}, caller.signal);
    await seen;
    caller.abort(new Error('stopping'));
    await expect(waiting).rejects.toThrow('stopping');
    await closed;
  });
});
