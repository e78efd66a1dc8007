import { describe, expect, test } from 'vitest';
import type { GenericWebhook } from '../../src/api/task-spawner.ts';
import type { Reading } from '../../src/spawn/source.ts';
import { webhookSource } from '../../src/spawn/sources/webhook.ts';

function read(spec: Omit<GenericWebhook, 'source'>, payload: unknown): Reading {
  const body = Buffer.from(JSON.stringify(payload));
  return webhookSource({ source: 'ci', ...spec }).read({ payload, body });
}

function item(
  fieldMapping: Record<string, string>,
  payload: unknown,
): Extract<Reading, { outcome: 'item' }>['item'] {
  const reading = read({ fieldMapping }, payload);
  if (reading.outcome !== 'item') throw new Error(reading.reason);
  return reading.item;
}

describe('the fields of an event', () => {
  test('become variables under the names of the mapping, the four known ones in both spellings', () => {
    const payload = { id: 7, t: 'hello', who: { name: 'ann' } };
    expect(item({ id: '$.id', title: '$.t', author: '$.who.name' }, payload).variables).toEqual({
      id: '7',
      ID: '7',
      title: 'hello',
      Title: 'hello',
      body: '',
      Body: '',
      url: '',
      URL: '',
      author: 'ann',
      Kind: 'GenericWebhook',
      Payload: payload,
    });
  });

  test.each([
    [12345678, '1.2345678e+07'],
    [999999, '999999'],
    [0.5, '0.5'],
    [true, 'true'],
    [null, '<nil>'],
    ['text', 'text'],
    [['a', 'b'], '[a b]'],
    [{ b: 2, a: 1 }, 'map[a:1 b:2]'],
    [[null, { k: [] }], '[<nil> map[k:[]]]'],
  ])('that hold %j read as Go prints it: %s', (value, text) => {
    expect(item({ id: '$.v', title: '$.v' }, { v: value }).variables['Title']).toBe(text);
  });

  test('keep the name that the mapping gives them, also that of a known one', () => {
    const { variables } = item({ id: '$.id', Title: '$.t' }, { id: 'x', t: 'mapped' });
    expect(variables).toMatchObject({ title: '', Title: 'mapped' });
  });

  test('that are missing are empty', () => {
    expect(item({ id: '$.id', extra: '$.nowhere.at.all' }, { id: 'x' }).variables['extra']).toBe('');
  });

  test('may have any name, __proto__ too', () => {
    const { variables } = item(JSON.parse('{"id":"$.id","__proto__":"$.id"}'), { id: 'x' });
    expect(Object.entries(variables)).toContainEqual(['__proto__', 'x']);
    expect(Object.getPrototypeOf(variables)).toBe(Object.prototype);
  });
});

describe('the id of a delivery', () => {
  const deliveryId = (payload: unknown): string => {
    const { name } = item({ id: '$.id' }, payload);
    return name.kind === 'delivery' ? name.deliveryId : '';
  };

  test('is the mapped id', () => {
    expect(deliveryId({ id: 'abc' })).toBe('generic-ci-abc');
    expect(deliveryId({ id: 12345678 })).toBe('generic-ci-1.2345678e+07');
  });

  test.each([{}, { id: null }, { id: '' }, [1], 'text'])(
    'is the hash of the body when there is none: %j',
    (payload) => {
      expect(deliveryId(payload)).toMatch(/^generic-ci-[0-9a-f]{64}$/);
      expect(deliveryId(payload)).toBe(deliveryId(payload));
      expect(deliveryId(payload)).not.toBe(deliveryId({ other: true }));
    },
  );
});

describe('filters', () => {
  const fieldMapping = { id: '$.id' };
  const outcome = (spec: Partial<GenericWebhook>, payload: unknown): string =>
    read({ fieldMapping, ...spec }, payload).outcome;

  test('must all match', () => {
    const filters = [
      { field: '$.action', value: 'opened' },
      { field: '$.n', pattern: '^[0-9]+$' },
    ];
    expect(outcome({ filters }, { action: 'opened', n: 5 })).toBe('item');
    expect(outcome({ filters }, { action: 'opened', n: 'x' })).toBe('filtered');
    expect(outcome({ filters }, { action: 'closed', n: 5 })).toBe('filtered');
  });

  test('do not match a field that is missing, not even with an empty value', () => {
    expect(outcome({ filters: [{ field: '$.a', value: '' }] }, {})).toBe('filtered');
    expect(outcome({ filters: [{ field: '$.a', value: '' }] }, { a: '' })).toBe('item');
    expect(outcome({ filters: [{ field: '$.a', pattern: '.*' }] }, {})).toBe('filtered');
  });

  test('compare the text that Go prints', () => {
    expect(outcome({ filters: [{ field: '$.a', value: 'true' }] }, { a: true })).toBe('item');
    expect(outcome({ filters: [{ field: '$.a', value: '<nil>' }] }, { a: null })).toBe('item');
    expect(outcome({ filters: [{ field: '$.a[*]', value: '[x y]' }] }, { a: ['x', 'y'] })).toBe('item');
  });

  test('that exclude need only one match, and a missing field is none', () => {
    const excludeFilters = [
      { field: '$.bot', value: 'true' },
      { field: '$.title', pattern: 'WIP' },
    ];
    expect(outcome({ excludeFilters }, {})).toBe('item');
    expect(outcome({ excludeFilters }, { bot: true })).toBe('filtered');
    expect(outcome({ excludeFilters }, { title: 'a WIP b' })).toBe('filtered');
  });

  test('say which of them said no, without the words of the event', () => {
    expect(read({ fieldMapping, filters: [{ field: '$.a', value: 'x' }] }, { a: 'private' })).toEqual({
      outcome: 'filtered',
      reason: 'filters[0]: $.a does not match',
    });
    expect(read({ fieldMapping, excludeFilters: [{ field: '$.a', value: 'x' }] }, { a: 'x' })).toEqual({
      outcome: 'filtered',
      reason: 'excludeFilters[0]: $.a matches',
    });
  });

  test('and mappings that are wrong are refused with their place', () => {
    expect(() => webhookSource({ source: 's', fieldMapping: { id: '$[' } })).toThrow(
      /^spec\.when\.webhook\.fieldMapping\.id: /,
    );
    const filters = [{ field: '$.a', pattern: '(' }];
    expect(() => webhookSource({ source: 's', fieldMapping, filters })).toThrow(
      /^spec\.when\.webhook\.filters\[0\]\.pattern: not an RE2 expression/,
    );
  });
});
