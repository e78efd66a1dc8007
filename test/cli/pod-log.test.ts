import { afterEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { PodLog } from '../../src/cli/logs/pod-log.ts';
import { taskOf } from '../run/fixtures.ts';
import { refused } from '../store/contract.ts';
import { type Exchange, ScriptedApiServer } from '../store/kubernetes/api-server.ts';
import { ManualClock } from '../support/manual-clock.ts';

let server: ScriptedApiServer;
afterEach(() => server.close());

type Step = (exchange: Exchange) => void;
const ends =
  (text: string): Step =>
  ({ response }) =>
    response.end(text);
const breaks =
  (text: string): Step =>
  ({ response }) =>
    response.write(text, () => response.socket?.destroy());
const answers =
  (status: number): Step =>
  ({ response }) =>
    response.writeHead(status).end('{}');

/** A log that is opened against these answers, one after another. */
async function open(steps: readonly Step[], clock = systemClock) {
  server = await new ScriptedApiServer((exchange, count) => steps[count - 1]?.(exchange)).listen();
  let output = '';
  const stdout = {
    write: (bytes: string | Uint8Array) => {
      output += Buffer.from(bytes).toString('latin1');
    },
  };
  const signal = new AbortController().signal;
  const log = new PodLog(server.transport(), { stdout, signal, clock });
  const copy = (follow = true, podName: string | undefined = 'a-1') =>
    log.copy({ ...taskOf('a', {}, 'uid'), status: { podName } }, follow);
  const queries = () =>
    server.exchanges.map(({ request }) => new URL(request.url ?? '', 'http://h').searchParams);
  return {
    copy,
    output: () => output,
    since: () => queries().map((query) => query.get('sinceTime')),
    queries,
  };
}

const at = (time: string, line: string): string => `2026-01-02T03:04:${time}Z ${line}`;
const one = at('05.100000000', 'one\n');
const two = at('06.200000000', 'two\n');
const three = at('06.200000000', 'three\n');
const four = at('07.000000001', 'four\n');

describe('the log of a Pod that is followed', () => {
  test('goes on where its stream ended although the program runs, from that second on', async () => {
    const { copy, output, since } = await open([ends(one + two), ends(two + three + four), ends(four)]);
    for (const follow of [true, true, false]) expect(await copy(follow)).toEqual({ kind: 'copied' });
    expect(output()).toBe('one\ntwo\nthree\nfour\n');
    expect(since()).toEqual([null, '2026-01-02T03:04:06Z', '2026-01-02T03:04:07Z']);
  });

  const whole = one + two + three + four;
  test('goes on where it broke, after whichever byte, each byte once', async () => {
    for (let length = 0; length < whole.length; length += 1) {
      const { copy, output } = await open([breaks(whole.slice(0, length)), ends(whole)]);
      await refused('Unavailable', copy());
      await copy();
      expect(output(), `broken after ${length} bytes`).toBe('one\ntwo\nthree\nfour\n');
      await server.close();
    }
  });

  test('loses nothing when its node has thrown the beginning away meanwhile', async () => {
    const { copy, output } = await open([ends(one + two), ends(four)]);
    await copy();
    await copy();
    expect(output()).toBe('one\ntwo\nfour\n');
  });

  test('goes on in the middle of a long line, whatever the line before looks like', async () => {
    const long = at('06.3', 'x'.repeat(20_000));
    const { copy, output } = await open([
      breaks(one + long.slice(0, 9_000)),
      ends(`the end of a line of the second before\n${long}y\n2026 is no time\n`),
    ]);
    await refused('Unavailable', copy());
    await copy();
    expect(output()).toBe(`one\n${'x'.repeat(20_000)}y\n2026 is no time\n`);
  });

  test('knows its place when the clock of its node is put into another time zone', async () => {
    const { copy, output, since } = await open([
      ends('2026-01-02T03:04:05.5+02:00 one\n'),
      ends('2026-01-02T02:04:05.500000000+01:00 one\n2026-01-02T02:04:05.500000001+01:00 two\n'),
    ]);
    await copy();
    await copy();
    expect(since()).toEqual([null, '2026-01-02T01:04:05Z']);
    expect(output()).toBe('one\ntwo\n');
  });

  test('is shown as it is where a node writes no times, and goes on by its bytes', async () => {
    const { copy, output, since } = await open([breaks('one\ntw'), ends('one\ntwo\nend')]);
    await refused('Unavailable', copy());
    await copy();
    expect(output()).toBe('one\ntwo\nend');
    expect(since()).toEqual([null, null]);
  });

  test('is read to its end when the Task has another Pod', async () => {
    const { copy, output } = await open([breaks(one), ends(one + two), ends(one)]);
    await refused('Unavailable', copy());
    await copy(true, 'a-2');
    expect(output()).toBe('one\ntwo\none\n');
    const pods = server.exchanges.map(({ request }) => request.url?.split('/')[6]);
    expect(pods).toEqual(['a-1', 'a-1', 'a-2']);
  });

  test('is opened anew when nothing has come for a minute: the connection may be dead', async () => {
    const clock = new ManualClock();
    const { copy, output, queries } = await open(
      [({ response }) => response.write(one), ends(one + two)],
      clock,
    );
    const copied = copy();
    await vi.waitUntil(() => output() !== '');
    clock.advance(60_000);
    expect(await copied).toEqual({ kind: 'copied' });
    await copy();
    expect(output()).toBe('one\ntwo\n');
    expect(queries().map((query) => query.get('follow'))).toEqual(['true', 'true']);
  });
});

test.each([
  [404, 'Pod a-1 is gone, and its log with it'],
  [204, 'Pod a-1 has printed nothing (it has no node yet)'],
])('a log that is refused with %i is none', async (status, what) => {
  const { copy } = await open([answers(status)]);
  expect(await copy(false)).toMatchObject({ kind: 'none', what });
});
