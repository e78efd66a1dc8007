import { describe, expect, test } from 'vitest';
import { compileJsonPath, compilePattern } from '../../src/spawn/sources/json-path.ts';

const find = (path: string, document: unknown): unknown => compileJsonPath(path, 'field')(document);

describe('a JSONPath', () => {
  test('to one value finds it, null too, or nothing', () => {
    expect(find('$.a.b', { a: { b: 1 } })).toEqual({ found: true, value: 1 });
    expect(find('$.a', { a: null })).toEqual({ found: true, value: null });
    expect(find('$.a.c', { a: { b: 1 } })).toEqual({ found: false });
    expect(find('$.a[1]', { a: ['x', 'y'] })).toEqual({ found: true, value: 'y' });
  });

  test('to several finds the list of them, also the empty one', () => {
    expect(find('$.a[*].k', { a: [{ k: 1 }, { k: 2 }] })).toEqual({ found: true, value: [1, 2] });
    expect(find('$..k', { a: 1 })).toEqual({ found: true, value: [] });
    expect(find('$.a[?(@.k=="b")].v', { a: [{ k: 'b', v: 7 }] })).toEqual({ found: true, value: [7] });
  });

  test('may leave out the leading $', () => {
    expect(find('a.b', { a: { b: 1 } })).toEqual({ found: true, value: 1 });
    expect(find('["x y"]', { 'x y': 1 })).toEqual({ found: true, value: 1 });
  });

  test('sees only what the document itself holds', () => {
    expect(find('$.constructor', {})).toEqual({ found: false });
    expect(find('$.length', 'text')).toEqual({ found: false });
  });

  test('finds nothing in what is not an object', () => {
    expect(find('$.a', 7)).toEqual({ found: false });
    expect(find('$', 7)).toEqual({ found: true, value: 7 });
  });

  test.each(['$[', '{.a}', '$.', '$.a[?'])('refuses %s and names the field', (path) => {
    expect(() => compileJsonPath(path, 'spec.x')).toThrow(/^spec\.x: .* is not a JSONPath/);
  });

  test('with a pattern that backtracking would need ages for answers at once', () => {
    const document = { a: [{ k: `${'a'.repeat(40)}!` }] };
    expect(find("$.a[?search(@.k, '(a+)+$')]", document)).toEqual({ found: true, value: [] });
    expect(find("$.a[?match(@.k, '(a|a)*!')].k", document)).toEqual({
      found: true,
      value: [document.a[0]?.k],
    });
  });

  test('too deep for its document finds nothing and does not throw', () => {
    let deep: unknown = 1;
    for (let level = 0; level < 3000; level += 1) deep = { k: deep };
    expect(find('$..k', deep)).toEqual({ found: false });
  });
});

describe('a pattern', () => {
  test('is found anywhere in the text, in RE2 syntax', () => {
    expect(compilePattern('(?i)urgent|(?P<p>p0)', 'f')('it is URGENT')).toBe(true);
    expect(compilePattern('^a$', 'f')('ba')).toBe(false);
  });

  test.each(['(a', '(?=a)', '(a)\\1'])('that RE2 does not know is refused: %s', (pattern) => {
    expect(() => compilePattern(pattern, 'spec.x')).toThrow(/^spec\.x: not an RE2 expression/);
  });
});
