import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Payload } from '../../src/api/delivery.ts';
import { fitPayload } from '../../src/report/fit-payload.ts';
import { renderJson } from '../../src/report/formats/json.ts';
import { maxBodyBytes, payloadOf } from '../../src/report/payload.ts';
import { taskOf } from './fixtures.ts';

const whole = taskOf({
  metadata: { labels: { 'kelos.dev/taskspawner': 'fixer' } },
  spec: { type: 'claude-code', worker: { model: 'big' }, model: 'small', prompt: 'x' },
  status: {
    phase: 'Failed',
    message: 'Task failed',
    startTime: '2026-01-02T05:00:00+02:00',
    completionTime: '2026-01-02T03:04:05.999Z',
    outputs: ['branch: x', '<b>&'],
    results: { pr: 'https://example.com/1', '10': 'ten', '2': 'two', branch: 'x' },
  },
});

describe('the payload', () => {
  it('has the keys of the compatible core in their order, times in UTC with whole seconds', () => {
    expect(renderJson(payloadOf(whole, 'Failed'))).toBe(
      '{"task":"fix-7","namespace":"default","spawner":"fixer","phase":"Failed","message":"Task failed",' +
        '"agentType":"claude-code","model":"big","startTime":"2026-01-02T03:00:00Z","completionTime":"2026-01-02T03:04:05Z",' +
        '"outputs":["branch: x","<b>&"],"results":{"10":"ten","2":"two","branch":"x","pr":"https://example.com/1"}}',
    );
  });

  it('leaves out what is empty', () => {
    const task = taskOf({
      spec: { type: 'command' },
      status: { phase: 'Succeeded', message: '', outputs: [], results: {} },
    });
    expect(renderJson(payloadOf(task, 'Succeeded'))).toBe(
      '{"task":"fix-7","namespace":"default","phase":"Succeeded","agentType":"command"}',
    );
  });

  it('takes the spawner of a Task made by hand from its annotation', () => {
    const task = taskOf({ metadata: { annotations: { 'kelos.dev/created-from-taskspawner': 'fixer' } } });
    expect(payloadOf(task, 'Failed').spawner).toBe('fixer');
  });

  it('cuts a message at 8 KiB and a result at 32 KiB, and says so', () => {
    const task = taskOf({
      status: { message: 'é'.repeat(5000), results: { response: 'a'.repeat(40_000), pr: 'p' } },
    });
    const payload = payloadOf(task, 'Failed');
    expect(payload.message).toBe('é'.repeat(4096));
    expect(payload.results?.['response']).toHaveLength(32 * 1024);
    expect(payload.truncated).toEqual(['message', 'results.response']);
  });

  it('renders the same bytes whatever order the store gives back', () => {
    const text = fc.string({ unit: 'grapheme' });
    fc.assert(
      fc.property(fc.dictionary(text, text), (results) => {
        const payload: Payload = { task: 't', namespace: 'n', phase: 'Failed', results };
        const reversed = Object.fromEntries(Object.entries(results).reverse());
        const reordered = { results: reversed, phase: 'Failed', namespace: 'n', task: 't' } as const;
        expect(renderJson(reordered)).toBe(renderJson(payload));
        const parsed = JSON.parse(renderJson(payload));
        expect(parsed.results ?? {}).toEqual({ ...results });
      }),
    );
  });

  it('never exceeds its limit, never cuts inside a character, and names what it cut', () => {
    const piece = fc.constantFrom('a', '"', '\n', 'é', '漢', '🦀', '\u0001', '\\');
    const text = fc.tuple(piece, fc.nat(30_000)).map(([character, times]) => character.repeat(times));
    const results = fc.dictionary(fc.stringMatching(/^[a-z]{1,9}$/), text, { maxKeys: 12 });
    fc.assert(
      fc.property(results, fc.array(text, { maxLength: 12 }), (values, outputs) => {
        const payload: Payload = { task: 't', namespace: 'n', phase: 'Failed', outputs, results: values };
        const fitted = fitPayload(payload, 64 * 1024);
        expect(Buffer.byteLength(renderJson(fitted))).toBeLessThanOrEqual(64 * 1024);
        for (const [key, value] of Object.entries(fitted.results ?? {})) {
          expect(values[key]?.startsWith(value)).toBe(true);
          expect(value).not.toMatch(/\p{Surrogate}/u);
        }
        const changed = renderJson(fitted) !== renderJson(payload);
        expect(fitted.truncated !== undefined).toBe(changed);
      }),
      { numRuns: 40 },
    );
  });

  it('stays bounded when all of its short texts have to be escaped', () => {
    const text = '\u0001'.repeat(8 * 1024);
    const payload = { ...payloadOf(whole, 'Failed'), spawner: text, model: text, message: text };
    const fitted = fitPayload(payload, 64 * 1024);
    expect(Buffer.byteLength(renderJson(fitted))).toBeLessThanOrEqual(64 * 1024);
    expect(fitted.truncated).toEqual(expect.arrayContaining(['model', 'message']));
  });

  it('stays bounded when there are very many or very long result keys', () => {
    const many = Object.fromEntries(
      Array.from({ length: 20_000 }, (_, index) => [`key-${index}`, 'x'.repeat(40)]),
    );
    const long = { ['k'.repeat(300_000)]: 'v' };
    for (const results of [many, long]) {
      const payload = payloadOf(taskOf({ status: { results } }), 'Failed');
      expect(Buffer.byteLength(renderJson(payload))).toBeLessThanOrEqual(maxBodyBytes);
      expect(payload.truncated).toContain('results');
    }
  });

  it('stays within what etcd takes when its characters take six bytes there', () => {
    const markup = Array.from({ length: 8 }, () => '<&>\u2028'.repeat(5_000));
    const results = Object.fromEntries(markup.map((value, index) => [`page-${index}`, value]));
    const payload = payloadOf(taskOf({ status: { results } }), 'Failed');
    const stored = JSON.stringify(payload).replace(/[<>&\u2028]/g, '\\u0000');
    expect(stored.length).toBeLessThanOrEqual(768 * 1024);
    expect(Buffer.byteLength(renderJson(payload))).toBeGreaterThan(100 * 1024);
    expect(payload.truncated).toContain('results');
    const plain = { a: 'x'.repeat(32 * 1024), b: 'x'.repeat(32 * 1024) };
    expect(payloadOf(taskOf({ status: { results: plain } }), 'Failed').truncated).toBeUndefined();
  });
});
