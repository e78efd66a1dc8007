import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type Answer, AUTHORITATIVE_ANSWER, decode, encode, TRUNCATED_RESPONSE } from 'dns-packet';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { House } from './house.ts';

const name = 'receiver.example';
const good = '127.0.0.1';
const bad = '10.1.2.3';
let house: House;

beforeEach(() => {
  house = new House();
});
afterEach(() => house.close());

interface Question {
  readonly id: number;
  readonly type: string;
  readonly name: string;
  readonly message: Buffer;
}

/** Sends a datagram back to the one who asked; from another port of the server's address if told so. */
type Send = (datagram: Buffer, from?: UdpSocket) => void;

/** A DNS server that answers questions with whatever bytes it likes; over TCP with what `overTcp` makes. */
async function hostileServer(
  overUdp: (question: Question, send: Send) => void,
  overTcp?: (question: Question) => Buffer,
): Promise<{ readonly address: string; readonly tcpQuestions: readonly string[] }> {
  const udp = createSocket('udp4');
  const tcpQuestions: string[] = [];
  const sockets = new Set<Socket>();
  const tcp = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    let received = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE()) {
        const length = received.readUInt16BE();
        const question = read(received.subarray(2, 2 + length));
        received = received.subarray(2 + length);
        tcpQuestions.push(question.type);
        const answer = overTcp?.(question);
        if (answer === undefined) return void socket.destroy();
        const size = Buffer.alloc(2);
        size.writeUInt16BE(answer.length);
        socket.write(Buffer.concat([size, answer]));
      }
    });
  });
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const { port } = tcp.address() as AddressInfo;
  udp.on('message', (message, from) =>
    overUdp(read(message), (datagram, socket = udp) => socket.send(datagram, from.port, from.address)),
  );
  udp.bind(port, '127.0.0.1');
  await once(udp, 'listening');
  house.onClose(async () => {
    udp.close();
    for (const socket of sockets) socket.destroy();
    tcp.close();
  });
  return { address: `127.0.0.1:${port}`, tcpQuestions };
}

function read(message: Buffer): Question {
  const { id = 0, questions = [] } = decode(message);
  return { id, type: questions[0]?.type ?? '', name: questions[0]?.name ?? '', message };
}

interface Changes {
  readonly id?: number;
  readonly asked?: string;
  readonly flags?: number;
}

/** An answer to the question; no records for AAAA unless they are. */
function answer({ id, type }: Question, records: readonly Answer[], changes: Changes = {}): Buffer {
  return encode({
    type: 'response',
    id: changes.id ?? id,
    flags: AUTHORITATIVE_ANSWER | (changes.flags ?? 0),
    questions: [{ type: type as 'A', name: changes.asked ?? name, class: 'IN' }],
    answers: records.filter((record) => record.type === type || record.type === 'CNAME'),
  });
}

const a = (data: string, owner = name): Answer => ({ type: 'A', name: owner, ttl: 30, data });
const alias = (owner: string, data: string): Answer => ({ type: 'CNAME', name: owner, ttl: 30, data });

/** What a POST to the name comes to with such a server; the receiver is at the good address. */
async function postThrough(server: { readonly address: string }) {
  const receiver = await house.receiver();
  const { post, dials } = house.door({ caPem: receiver.caPem, dnsServers: [server.address] });
  const outcome = await post(`https://${name}:${receiver.port}/`);
  return { outcome, dials, receiver, where: `127.0.0.1:${receiver.port}` };
}

describe('a DNS answer', () => {
  test.each<[what: string, forge: (question: Question, send: Send, elsewhere: UdpSocket) => void]>([
    ['with another id', (question, send) => send(answer(question, [a(bad)], { id: question.id ^ 1 }))],
    ['to another question', (question, send) => send(answer(question, [a(bad)], { asked: 'other.example' }))],
    ['from another port', (question, send, elsewhere) => send(answer(question, [a(bad)]), elsewhere)],
  ])('%s is not believed, and the right one that follows is', async (_what, forge) => {
    const elsewhere = createSocket('udp4');
    elsewhere.bind(0, '127.0.0.1');
    await once(elsewhere, 'listening');
    house.onClose(async () => void elsewhere.close());
    const server = await hostileServer((question, send) => {
      forge(question, send, elsewhere);
      // Datagrams from two sockets keep their order on loopback once the first has left.
      setImmediate(() => send(answer(question, [a(good)])));
    });
    const { outcome, dials, where } = await postThrough(server);
    expect(outcome).toMatchObject({ kind: 'answered', address: where });
    expect(dials).toEqual([where]);
  });

  test('that was cut off is asked for again over TCP, and vetted', async () => {
    const cut = (question: Question, send: Send): void =>
      send(answer(question, [a(good)], { flags: TRUNCATED_RESPONSE }));
    const honest = await hostileServer(cut, (question) => answer(question, [a(good)]));
    const fine = await postThrough(honest);
    expect(fine.outcome).toMatchObject({ kind: 'answered', address: fine.where });
    expect(honest.tcpQuestions).toContain('A');
    const mixed = await postThrough(
      await hostileServer(cut, (question) => answer(question, [a(good), a(bad)])),
    );
    expect(mixed.outcome).toMatchObject({ kind: 'refused', stage: 'dns' });
    expect(mixed.dials).toEqual([]);
    expect(mixed.receiver.accepts).toBe(0);
  });

  test('with more than 16 addresses over TCP is refused', async () => {
    const many = Array.from({ length: 200 }, (_, index) => a(`127.0.0.${index + 1}`));
    const server = await hostileServer(
      (question, send) => send(answer(question, [], { flags: TRUNCATED_RESPONSE })),
      (question) => answer(question, many),
    );
    const { outcome, dials } = await postThrough(server);
    expect(outcome).toMatchObject({
      kind: 'refused',
      message: `blocked: ${name} has 200 addresses; at most 16 are vetted`,
    });
    expect(dials).toEqual([]);
  });

  test.each<[what: string, records: readonly Answer[]]>([
    ['for another name beside it', [a(good), a(bad, 'other.example')]],
    [
      'at the end of a chain of aliases',
      [alias(name, 'b.example'), alias('b.example', 'c.example'), a(bad, 'c.example')],
    ],
    ['that is mapped IPv4', [a(good), { type: 'AAAA', name, ttl: 30, data: '::ffff:10.1.2.3' }]],
  ])('with a bad address %s opens no socket to it', async (_what, records) => {
    const server = await hostileServer((question, send) => send(answer(question, records)));
    const { outcome, dials, receiver } = await postThrough(server);
    expect(outcome).toMatchObject({ kind: 'refused', stage: 'dns' });
    expect(dials).toEqual([]);
    expect(receiver.accepts).toBe(0);
  });

  const header = (question: Question, answers: number): Buffer => {
    const head = Buffer.from(question.message.subarray(0, 12));
    head.writeUInt16BE(0x8400, 2);
    head.writeUInt16BE(answers, 6);
    head.writeUInt16BE(0, 8);
    head.writeUInt16BE(0, 10);
    return head;
  };
  const asked = Buffer.concat([Buffer.from('\u0008receiver\u0007example\0'), Buffer.from([0, 1, 0, 1])]);
  const rest = Buffer.from([0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 127, 0, 0, 1]);

  test.each<[what: string, datagram: (question: Question) => Buffer]>([
    [
      'with aliases in a circle',
      (question) => answer(question, [alias(name, 'b.example'), alias('b.example', name)]),
    ],
    ['with an alias to itself', (question) => answer(question, [alias(name, name)])],
    ['with an alias and no address', (question) => answer(question, [alias(name, 'b.example')])],
    [
      'whose name points to itself',
      (question) => Buffer.concat([header(question, 1), asked, Buffer.from([0xc0, 34]), rest]),
    ],
    [
      'whose name points behind the end',
      (question) => Buffer.concat([header(question, 1), asked, Buffer.from([0xff, 0xff]), rest]),
    ],
    ['that promises more records than it has', (question) => Buffer.concat([header(question, 9), asked])],
    ['that is the question again', ({ message }) => message],
    ['of noise', () => Buffer.alloc(512, 0xa5)],
    ['with nothing in it', (question) => answer(question, [])],
    [
      'cut off, with nobody to ask over TCP',
      (question) => answer(question, [a(good)], { flags: TRUNCATED_RESPONSE }),
    ],
    ['with another id alone', (question) => answer(question, [a(good)], { id: question.id ^ 1 })],
  ])('%s is a failure of DNS, and opens no socket', async (_what, datagram) => {
    const server = await hostileServer((question, send) => send(datagram(question)));
    const { outcome, dials, receiver } = await postThrough(server);
    expect(outcome).toMatchObject({ kind: 'failed', reason: 'DNS' });
    expect(dials).toEqual([]);
    expect(receiver.accepts).toBe(0);
  });

  test('of the hosts file is not asked for', async () => {
    // /etc/hosts says where this is on every machine.
    const server = await hostileServer((question, send) =>
      send(answer(question, [], { flags: 3, asked: question.name })),
    );
    const { post, dials } = house.door({
      allow: ['*.localdomain', 'ip6-localhost'],
      dnsServers: [server.address],
    });
    for (const host of ['localhost.localdomain', 'ip6-localhost'])
      expect(await post(`https://${host}/`)).toMatchObject({ kind: 'failed', reason: 'DNS' });
    expect(dials).toEqual([]);
  });
});
