import { createSocket, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import { type Answer, AUTHORITATIVE_ANSWER, decode, encode, type Packet } from 'dns-packet';

/**
 * What a question is answered with: addresses (TTL 30 s) or whole records, none for "no such data"; a name that
 * does not exist; a broken server; or no answer at all.
 */
export type DnsReply = readonly (string | Answer)[] | 'NXDOMAIN' | 'SERVFAIL' | 'silence';

/** A DNS server on loopback that says what the test wants, and counts. */
export interface DnsServer {
  /** `IP:PORT`, as `dnsServers` wants it. */
  readonly address: string;
  /** Every question so far, as `A name`. */
  readonly questions: readonly string[];
  /**
   * Sets what a question is answered with; a function is told how often it was asked before. A name of which
   * nothing was said does not exist; a type of which nothing was said has no data.
   */
  answer(type: 'A' | 'AAAA', name: string, reply: DnsReply | ((before: number) => DnsReply)): void;
  /** Resolves as soon as so many questions have come in all. */
  asked(count: number): Promise<void>;
  close(): Promise<void>;
}

const rcodes = { NXDOMAIN: 3, SERVFAIL: 2 } as const;

export async function startDnsServer(): Promise<DnsServer> {
  const replies = new Map<string, (before: number) => DnsReply>();
  const names = new Set<string>();
  const questions: string[] = [];
  const waiting = new Set<{ count: number; resolve: () => void }>();
  const socket = createSocket('udp4');

  const replyTo = (type: string, name: string): DnsReply => {
    const key = `${type} ${name}`;
    const before = questions.filter((question) => question === key).length;
    questions.push(key);
    return replies.get(key)?.(before) ?? (names.has(name) ? [] : 'NXDOMAIN');
  };
  const onMessage = (message: Buffer, from: RemoteInfo): void => {
    const query = decode(message);
    const question = query.questions?.[0];
    if (question === undefined) return;
    const name = question.name.toLowerCase();
    const reply = replyTo(question.type, name);
    for (const waiter of waiting) {
      if (questions.length < waiter.count) continue;
      waiting.delete(waiter);
      waiter.resolve();
    }
    if (reply !== 'silence') socket.send(packet(query, question.name, reply), from.port, from.address);
  };
  socket.on('message', onMessage);
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');

  return {
    address: `127.0.0.1:${socket.address().port}`,
    questions,
    answer(type, name, reply) {
      names.add(name);
      replies.set(`${type} ${name}`, typeof reply === 'function' ? reply : () => reply);
    },
    asked: (count) =>
      new Promise((resolve) => {
        if (questions.length >= count) resolve();
        else waiting.add({ count, resolve });
      }),
    async close() {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
}

function packet(query: Packet, name: string, reply: Exclude<DnsReply, 'silence'>): Buffer {
  const rcode = typeof reply === 'string' ? rcodes[reply] : 0;
  return encode({
    type: 'response',
    id: query.id ?? 0,
    // The low four bits of the flags are the answer's code.
    flags: AUTHORITATIVE_ANSWER | rcode,
    questions: query.questions ?? [],
    answers: typeof reply === 'string' ? [] : reply.map((record) => asRecord(name, record)),
  });
}

function asRecord(name: string, record: string | Answer): Answer {
  if (typeof record !== 'string') return record;
  return { type: record.includes(':') ? 'AAAA' : 'A', name, ttl: 30, data: record };
}
