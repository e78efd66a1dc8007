import stringWidth from 'string-width';
import { describe, expect, test } from 'vitest';
import type { Delivery } from '../../src/api/delivery.ts';
import { redeliverAnnotation } from '../../src/api/names.ts';
import type { Task } from '../../src/api/task.ts';
import { columnValue } from '../../src/cli/column-value.ts';
import { age, Table, type TableOptions } from '../../src/cli/table.ts';

const nowMs = Date.parse('2026-01-02T03:04:05Z');

const options: TableOptions = { wide: false, namespaces: false, kinds: false, color: false, nowMs };

function task(name: string, over: Partial<Pick<Task, 'spec' | 'status'>> = {}): Task {
  return {
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'Task',
    metadata: {
      name,
      namespace: 'default',
      uid: name,
      resourceVersion: '1',
      creationTimestamp: '2026-01-02T03:03:05Z',
      labels: { 'kelos.dev/taskspawner': 'nightly' },
    },
    spec: { type: 'command', command: ['true'] },
    ...over,
  };
}

describe('the table of a kind', () => {
  test('has the columns of the kind, in capitals, aligned', () => {
    const table = new Table('Task', options);
    expect(table.render([task('a'), task('longer', { status: { phase: 'Succeeded' } })])).toBe(
      [
        'NAME     TYPE      PHASE       SPAWNER   AGE',
        'a        command   <none>      nightly   60s',
        'longer   command   Succeeded   nightly   60s',
        '',
      ].join('\n'),
    );
  });

  test('says of a Delivery that is due at once, or late, that it is next now', () => {
    const delivery = (status?: Delivery['status'], annotations?: Record<string, string>): Delivery => ({
      apiVersion: 'telos.dev/v1alpha1',
      kind: 'Delivery',
      metadata: { ...task('d').metadata, annotations },
      spec: {
        id: `msg_${'a'.repeat(26)}`,
        task: { name: 't', uid: 'u', phase: 'Failed' },
        hook: { name: 'h' },
        payload: { task: 't', namespace: 'default', phase: 'Failed' },
      },
      status,
    });
    const next = (...args: Parameters<typeof delivery>): string | undefined => {
      const [heading = '', line = ''] = new Table('Delivery', options)
        .render([delivery(...args)])
        .split('\n');
      return line.slice(heading.indexOf('NEXT')).split('   ')[0];
    };
    const settledAt = '2026-01-02T03:00:00Z';
    expect(next()).toBe('now');
    expect(next({ phase: 'Pending' })).toBe('now');
    expect(next({ phase: 'Pending', reason: 'Exhausted', settledAt })).toBe('now');
    expect(next({ phase: 'Retrying', nextAttemptAt: '2026-01-02T03:04:00.000Z' })).toBe('now');
    expect(next({ phase: 'Retrying', nextAttemptAt: '2026-01-02T03:05:05.000Z' })).toBe('in 60s');
    expect(next({ phase: 'Delivered', settledAt })).toBe('<none>');
    expect(next({ phase: 'Failed', settledAt }, { [redeliverAnnotation]: 'r1' })).toBe('now');
  });

  test('shows namespaces, kinds and wide columns when asked', () => {
    const table = new Table('Task', { ...options, wide: true, namespaces: true, kinds: true });
    const [heading, line] = table.render([task('a', { status: { message: 'fine' } })]).split('\n');
    expect(heading).toMatch(/^NAMESPACE +NAME .* MESSAGE +AGE$/);
    expect(line).toMatch(/^default +task\/a .* fine +60s$/);
  });

  test('keeps the columns straight under wide characters', () => {
    const table = new Table('Task', { ...options, wide: true });
    const lines = table
      .render([
        task('a', { status: { message: '完了しました 🎉' } }),
        task('b', { status: { message: 'ok' } }),
      ])
      .split('\n')
      .slice(0, 3);
    const ageAt = lines.map((line) => stringWidth(line.slice(0, line.lastIndexOf(' ') + 1)));
    expect(new Set(ageAt).size).toBe(1);
  });

  test('never lets text of a resource drive the terminal', () => {
    const table = new Table('Task', { ...options, wide: true });
    const text = table.render([task('a', { status: { message: '\u001b[2J\u202egone\nnext\u009b1m' } })]);
    expect(text).toContain('\\x1b[2J\\u{202e}gone\\x0anext\\x9b1m');
    expect(text.split('\n')).toHaveLength(3);
  });

  test('rows that come later keep the widths', () => {
    const table = new Table('Task', options);
    const [heading = ''] = table.render([task('a-rather-long-name')]).split('\n');
    expect(table.row(task('b'), nowMs).indexOf('command')).toBe(heading.indexOf('TYPE'));
  });

  test('colours phases only when it may', () => {
    const failed = task('a', { status: { phase: 'Failed' } });
    expect(new Table('Task', { ...options, color: true }).render([failed])).toContain('\u001b[31mFailed');
    expect(new Table('Task', options).render([failed])).not.toContain('\u001b');
  });

  test('says in how long the next attempt is', () => {
    const delivery = {
      kind: 'Delivery',
      metadata: { name: 'd', namespace: 'default', creationTimestamp: '2026-01-02T03:04:05Z' },
      spec: { task: { name: 't' }, hook: { name: 'h' } },
      status: { phase: 'Retrying', nextAttemptAt: '2026-01-02T03:04:35.000Z' },
    } as unknown as Delivery;
    expect(new Table('Delivery', options).render([delivery])).toContain('in 30s');
  });
});

test('an age that cannot be read is unknown', () => {
  expect(age('yesterday', nowMs)).toBe('<unknown>');
});

describe('the path of a column', () => {
  const object = {
    metadata: { labels: { 'kelos.dev/taskspawner': 'x' } },
    spec: { items: [{ name: 'first' }] },
  };

  test.each([
    ['.metadata.labels.kelos\\.dev/taskspawner', 'x'],
    ['.spec.items[0].name', 'first'],
    ['.spec.items[1].name', undefined],
    ['.spec.constructor', undefined],
    ['.nothing.at.all', undefined],
  ])('%s finds what is there and nothing else', (path, value) => {
    expect(columnValue(object, path)).toBe(value);
  });
});
