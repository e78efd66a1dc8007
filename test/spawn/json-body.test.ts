import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseJsonBody } from '../../src/spawn/json-body.ts';

const parse = (text: string): ReturnType<typeof parseJsonBody> => parseJsonBody(Buffer.from(text));

describe('the body of an event', () => {
  test('may be any JSON value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const text = JSON.stringify(value);
        expect(parse(text)).toEqual({ ok: true, value: JSON.parse(text) });
      }),
    );
  });

  test.each([
    ['hello', 'line 1, column 1: not understood here'],
    ['{"a": 1,}', 'line 1, column 9: not understood here'],
    ['{"a": 1,\n  b: 2}', 'line 2, column 3: not understood here'],
    ['[1, 2', 'line 1, column 6: ends too early'],
    ['{"a": "x', 'line 1, column 7: not understood here'],
    ['{"a" 1}', 'line 1, column 6: not understood here'],
    ['[1] 2', 'line 1, column 5: not understood here'],
    ['[01]', 'line 1, column 3: not understood here'],
    ['[1}', 'line 1, column 3: not understood here'],
    ["{'a': 1}", 'line 1, column 2: not understood here'],
    ['[nul]', 'line 1, column 2: not understood here'],
    ['["\\x"]', 'line 1, column 2: not understood here'],
  ])('%j is refused with the place: %s', (text, place) => {
    expect(parse(text)).toEqual({ ok: false, error: `the body is not JSON: ${place}` });
  });

  test('that is empty is refused', () => {
    expect(parse(' ')).toEqual({ ok: false, error: 'the body is empty; send the event as JSON' });
  });

  test('nested 20,000 deep is refused, brackets inside strings are not nesting', () => {
    expect(parse('['.repeat(20_000))).toEqual({
      ok: false,
      error: 'the body is not JSON: line 1, column 201: nested deeper than 200 levels',
    });
    expect(parse(JSON.stringify('["\\'.repeat(20_000)))).toMatchObject({ ok: true });
  });

  test('that is not JSON never throws and always has a place', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const parsed = parseJsonBody(bytes);
        if (!parsed.ok) expect(parsed.error).toMatch(/line \d+, column \d+|is empty/);
      }),
    );
  });
});
