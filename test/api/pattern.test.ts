import fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, it } from 'vitest';
import * as patterns from '../../src/api/pattern.ts';

const all = Object.entries(patterns).flatMap(([name, pattern]) =>
  pattern instanceof RegExp ? [[name, pattern] as const] : [],
);

/** Texts near the patterns: white space and signs of every kind, and what URLs and names are made of. */
const text = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        'https://',
        'http://',
        'git@',
        'msg_',
        'C',
        'a',
        'Z',
        '0',
        '-',
        '.',
        '_',
        '/',
        '@',
        '?',
        '#',
      ),
      fc.constantFrom(
        '\\',
        ' ',
        '\t',
        '\n',
        '\r',
        '\v',
        '\f',
        '\0',
        '\x7f',
        '\x85',
        '\xa0',
        '\u2028',
        '\ufeff',
        'é',
      ),
      fc.constantFrom('[', ']', ':', '%', '"', '😀', '\u200b'),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

describe.each(all)('the pattern %s', (_name, pattern) => {
  it('means the same to an API server, which runs RE2, as it does here', () => {
    const re2 = RE2JS.compile(pattern.source);
    const unicode = new RegExp(pattern.source, 'u');
    fc.assert(
      fc.property(text, (candidate) => {
        const here = pattern.test(candidate);
        expect([re2.matcher(candidate).find(), unicode.test(candidate)]).toEqual([here, here]);
      }),
      { numRuns: 500 },
    );
  });

  it('is explained in words', () => {
    expect(patterns.patternMessage(pattern.source)).not.toContain(pattern.source);
  });
});
