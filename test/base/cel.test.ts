import { describe, expect, it } from 'vitest';
import { CelError, compileCel } from '../../src/base/cel.ts';

function evaluate(expression: string, variables: Record<string, unknown> = {}): unknown {
  return compileCel(expression).evaluate(variables);
}

function codeOf(run: () => unknown): string {
  try {
    run();
    return 'none';
  } catch (error) {
    return error instanceof CelError ? error.code : String(error);
  }
}

describe('CEL', () => {
  it('takes whole JSON numbers as ints and others as doubles', () => {
    expect(evaluate('x + 1', { x: 2 })).toBe(3n);
    expect(evaluate('x + 0.5', { x: 2.5 })).toBe(3);
    expect(evaluate('x == 2 && y == 2.5', { x: 2, y: 2.5 })).toBe(true);
    expect(evaluate('x + 1', { x: 7n })).toBe(8n);
  });

  it('sees objects as maps of their own members only', () => {
    const self = JSON.parse('{"a": {"b": [1, {"c": "d"}]}, "__proto__": 1, "gone": null}') as unknown;
    expect(evaluate('has(self.a.b) && !has(self.constructor) && !has(self.toString)', { self })).toBe(true);
    expect(evaluate("self.a.b[1].c == 'd' && '__proto__' in self && size(self) == 3", { self })).toBe(true);
    expect(evaluate('self.all(key, key != "x") && self.gone == null', { self })).toBe(true);
    expect(evaluate('has(self.missing)', { self: { missing: undefined } })).toBe(false);
  });

  it('takes long chains: those of "or" and "and" are kept flat', () => {
    expect(evaluate(Array(300).fill('a').join('||'), { a: false })).toBe(false);
    expect(evaluate(Array(128).fill('1').join('+'))).toBe(128n);
  });

  it('tells what it takes from outside, which is neither a type nor a variable of a macro', () => {
    const { references } = compileCel(
      'a.b.c.all(x, x.y == 1 && has(a.d)) && [e].map(f, f + e) == [1] && type(g) == int',
    );
    expect(references).toEqual([
      { variable: 'a', field: 'b' },
      { variable: 'a', field: undefined },
      { variable: 'e', field: undefined },
      { variable: 'e', field: undefined },
      { variable: 'g', field: undefined },
    ]);
  });

  it('compares deeply', () => {
    const self = { a: [1, { b: 'c' }] };
    expect(evaluate('self == other', { self, other: structuredClone(self) })).toBe(true);
    expect(evaluate('self == other', { self, other: { a: [1, { b: 'd' }] } })).toBe(false);
  });

  it('has the strings extension, and patterns that take linear time', () => {
    expect(evaluate("'a,b'.split(',').size()")).toBe(2n);
    expect(evaluate("self.matches('^(a+)+$')", { self: `${'a'.repeat(50)}b` })).toBe(false);
  });

  it('keeps its programs apart: one used up leaves the next evaluation whole', () => {
    const program = compileCel('self.all(x, self.all(y, x >= 0 || y >= 0))');
    const long = Array.from({ length: 1000 }, (_, index) => index);
    expect(codeOf(() => program.evaluate({ self: long }))).toBe('CelLimit');
    expect(program.evaluate({ self: [1, 2, 3] })).toBe(true);
  });

  it.each([
    ['self.', 'CelSyntax'],
    ['', 'CelSyntax'],
    ['@step(true)', 'CelSyntax'],
    ['a'.repeat(2049), 'CelLimit'],
    [`${'('.repeat(5000)}1${')'.repeat(5000)}`, 'CelLimit'],
    [`${'['.repeat(33)}1${']'.repeat(33)}`, 'CelLimit'],
    [`a${'.b'.repeat(128)}`, 'CelLimit'],
    [Array(130).fill('1').join('+'), 'CelLimit'],
    [`${'a?b:'.repeat(128)}c`, 'CelLimit'],
  ])('refuses to compile %.20s with code %s', (expression, code) => {
    expect(codeOf(() => compileCel(expression))).toBe(code);
  });

  it.each([
    ['nobody', {}, 'CelRun'],
    ['self.x.y', { self: {} }, 'CelRun'],
    ["self + 'a'", { self: 1 }, 'CelRun'],
    ['self.size() > 0', { self: Array.from({ length: 10_001 }, () => 0) }, 'CelLimit'],
    ['[1, 2].all(x, self.all(y, self.all(z, true))) || true', { self: Array(200).fill(1) }, 'CelLimit'],
  ])('fails to evaluate %s with one line', (expression, variables, code) => {
    const program = compileCel(expression);
    expect(codeOf(() => program.evaluate(variables))).toBe(code);
    expect(() => program.evaluate(variables)).toThrow(/^[^\n]+$/);
  });

  it.each([
    ["'abcabc'.replace('b', 'xy')", 'axycaxyc'],
    ["'abcabc'.replace('b', 'xy', 1)", 'axycabc'],
    ["'abcabc'.replace('b', 'xy', 0)", 'abcabc'],
    ["'abcabc'.replace('b', 'xy', -1)", 'axycaxyc'],
    ["'ab'.replace('', '-')", '-a-b-'],
    ["'a,b,c'.split(',').join('+')", 'a+b+c'],
    ["'a,b,c'.split(',', 2).join('+')", 'a+b,c'],
    ["'a,b,c'.split(',', 1).join('+')", 'a,b,c'],
    ["'a,b,c'.split(',', 0).join('+')", ''],
    ["'a,b,c'.split(',', -1).join('+')", 'a+b+c'],
    ["'%s is %d'.format(['x', 2])", 'x is 2'],
    ["'a' + 'b'", 'ab'],
    ["string(b'a' + b'b')", 'ab'],
    ["(['a'] + ['b']).join()", 'ab'],
  ])('%s is %j', (expression, value) => {
    expect(evaluate(expression)).toBe(value);
  });

  it.each([
    `[x]${'.map(a, a + a)'.repeat(60)}.size() > 0`,
    `[bytes(x)]${'.map(a, a + a)'.repeat(60)}.size() > 0`,
    `[[x]]${'.map(a, a + a)'.repeat(60)}.size() > 0`,
    "x.replace('a', x) == ''",
    "x.split('').join(x) == ''",
    "x.replace('', x) == ''",
    "(x + x).split('').size() > 0",
    `'${'%s'.repeat(200)}'.format([${Array.from({ length: 200 }, () => 'x').join()}]) == ''`,
  ])('refuses to make more than there is room for: %s', (expression) => {
    expect(codeOf(() => evaluate(expression, { x: 'a'.repeat(8192) }))).toBe('CelRun');
  });
});
