import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { systemClock } from '../../src/base/clock.ts';
import { type Receiver, startReceiver } from '../support/receiver.ts';

/** A receiver that keeps a ledger: what came, when, and whether a message was ever under way twice at once. */
export interface Ledger {
  /** Where hooks send to. */
  readonly url: string;
  readonly port: number;
  readonly caPem: string;
  /** Each request in the order of coming: the message, the Task, and when. Monotonic milliseconds. */
  readonly entries: readonly { readonly id: string; readonly task: string; readonly at: number }[];
  /** Messages that came while an attempt at them was under way. */
  readonly overlaps: readonly string[];
  /** How long each answer takes from now on, in milliseconds. */
  answerAfterMs: number;
  /** Whether connections that come from now on are taken, but get no further until `letThrough`. */
  isHolding: boolean;
  letThrough(): void;
  /** Resolves when so many connections are held. */
  holding(count: number): Promise<void>;
  /** Resolves when the Task of this name has been told of. */
  told(task: string): Promise<void>;
  close(): Promise<void>;
}

export async function startLedger(): Promise<Ledger> {
  const entries: { id: string; task: string; at: number }[] = [];
  const overlaps: string[] = [];
  const underWay = new Set<string>();
  const waiting = new Set<{ done: () => boolean; resolve: () => void }>();
  const tell = (): void => {
    for (const waiter of waiting) if (waiter.done() && waiting.delete(waiter)) waiter.resolve();
  };
  const when = (done: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      waiting.add({ done, resolve });
      tell();
    });
  const receiver: Receiver = await startReceiver({
    answer: (request, response) => {
      const id = String(request.headers['webhook-id']);
      const { task } = JSON.parse(request.body.toString('utf8')) as { task: string };
      if (underWay.has(id)) overlaps.push(id);
      underWay.add(id);
      entries.push({ id, task, at: performance.now() });
      response.once('close', () => underWay.delete(id));
      systemClock.after(ledger.answerAfterMs, () => response.end());
      tell();
    },
  });
  const held: (() => void)[] = [];
  const gate = createServer((socket) => {
    socket.on('error', () => {});
    const open = (): void => {
      const onward = connect(receiver.port, '127.0.0.1');
      onward.on('error', () => socket.destroy());
      socket.on('close', () => onward.destroy());
      onward.on('close', () => socket.destroy());
      socket.pipe(onward).pipe(socket);
    };
    if (!ledger.isHolding) return open();
    held.push(open);
    tell();
  });
  gate.listen(0, '127.0.0.1');
  await once(gate, 'listening');
  const { port } = gate.address() as AddressInfo;
  const ledger: Ledger = {
    url: `https://127.0.0.1:${port}/hook`,
    port,
    caPem: receiver.caPem,
    entries,
    overlaps,
    answerAfterMs: 20,
    isHolding: false,
    letThrough() {
      ledger.isHolding = false;
      for (const open of held.splice(0)) open();
    },
    holding: (count) => when(() => held.length >= count),
    told: (task) => when(() => entries.some((entry) => entry.task === task)),
    async close() {
      gate.close();
      await receiver.close();
    },
  };
  return ledger;
}
