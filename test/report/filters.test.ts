import { describe, expect, it } from 'vitest';
import type { Payload } from '../../src/api/delivery.ts';
import { Filters } from '../../src/report/filters.ts';

const payload: Payload = {
  task: 'fix-7',
  namespace: 'default',
  phase: 'Failed',
  message: 'a'.repeat(8192),
  results: { 'cost-usd': '7.25', response: 'a'.repeat(32_768) },
};

describe('a filter', () => {
  it.each([
    ["task.phase == 'Failed' && task.spawner == ''", true],
    ["double(task.results['cost-usd']) > 5.0", true],
    ["task.results.exists(key, key == 'pr')", false],
    ["task.message.contains('b')", false],
    ["'pr' in task.results", false],
    ['size(task.outputs) == 0', true],
  ])('%s gives %s', (expression, value) => {
    const filters = new Filters();
    for (let times = 0; times < 3; times += 1) expect(filters.evaluate(expression, payload)).toBe(value);
  });

  it.each([
    "task.message.split('').all(c, task.results['response'].upperAscii().lowerAscii().upperAscii() != '')",
    "task.message.split('').all(a, task.results['response'].split('a', 9000).size() > 0)",
  ])('that would take for ever is stopped: %s', (expression) => {
    const filters = new Filters();
    expect(() => filters.evaluate(expression, payload)).toThrow('takes longer than');
    // Not begun again: this comes at once, and a test that waits for it each time would not end.
    for (let times = 0; times < 1000; times += 1)
      expect(() => filters.evaluate(expression, payload)).toThrow('takes longer than');
    expect(filters.evaluate("task.message.contains('a')", payload)).toBe(true);
  });

  it('that takes too long over one payload is still asked about smaller ones', () => {
    const filters = new Filters();
    const expression =
      "task.message.split('').all(c, task.results['response'].upperAscii().lowerAscii() != 'b')";
    expect(() => filters.evaluate(expression, payload)).toThrow('takes longer than');
    expect(filters.evaluate(expression, { ...payload, message: 'aa', results: { response: 'a' } })).toBe(
      true,
    );
  });

  it.each([
    `[task.message]${'.map(a, a + a)'.repeat(60)}.size() > 0`,
    "task.message.replace('a', task.message).replace('a', task.message).size() > 0",
    "task.message.split('').join(task.message).split('').join(task.message).size() > 0",
  ])('that grows out of all bounds fails: %s', (expression) => {
    expect(() => new Filters().evaluate(expression, payload)).toThrow('makes a text of more than');
  });
});
