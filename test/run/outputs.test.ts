import { describe, expect, test } from 'vitest';
import { lastLineOf, parseOutputs } from '../../src/run/outputs.ts';

const start = '---KELOS_OUTPUTS_START---';
const end = '---KELOS_OUTPUTS_END---';

describe('outputs', () => {
  test.each<[string, string, string[]]>([
    ['are the lines between the markers', `x\n${start}\na: 1\nb\n${end}\ny`, ['a: 1', 'b']],
    ['are trimmed, without empty lines', `${start}\n  a  \n\n\t\n${end}`, ['a']],
    ['may have Windows line ends', `${start}\r\na\r\n${end}\r\n`, ['a']],
    ['are those of the last block', `${start}\na\n${end}\n${start}\nb\n${end}`, ['b']],
    ['are those of the last complete block', `${start}\na\n${end}\n${start}\nb`, ['a']],
    ['begin anew with a second start', `${start}\na\n${start}\nb\n${end}`, ['b']],
    ['end with the first end', `${start}\na\n${end}\nb\n${end}`, ['a']],
    ['are none without an end', `${start}\na`, []],
    ['are none without a start', `a\n${end}`, []],
    ['are none between markers the wrong way round', `${end}\na\n${start}`, []],
    ['are found after text without a newline', `progress 99%${start}\na\n${end}done`, ['a']],
    ['are not what merely quotes a marker', `{"text":"${start}\\na\\n${end}"}`, []],
    ['are none in nothing', '', []],
  ])('%s', (_title, text, outputs) => {
    expect(parseOutputs(text).outputs).toEqual(outputs);
  });

  test('that read key: value are results, the last of a key wins, and any key will do', () => {
    const text = [
      start,
      'pr: 1',
      'url: https://x: y',
      'pr: 2',
      ': none',
      'no:space',
      '__proto__: z',
      end,
    ].join('\n');
    const { results } = parseOutputs(text);
    expect(Object.entries(results)).toEqual([
      ['pr', '2'],
      ['url', 'https://x: y'],
      ['__proto__', 'z'],
    ]);
  });

  test('beyond 64 KiB or 256 lines are left out and counted, the small ones after a big one are not', () => {
    const big = `big: ${'x'.repeat(70_000)}`;
    expect(parseOutputs([start, 'a: 1', big, 'b: 2', end].join('\n'))).toMatchObject({
      outputs: ['a: 1', 'b: 2'],
      outputsLeftOut: 1,
    });
    const many = Array.from({ length: 300 }, (_, index) => `line ${index}`);
    expect(parseOutputs([start, ...many, end].join('\n'))).toMatchObject({ outputsLeftOut: 44 });
  });
});

describe('the last words', () => {
  test.each([
    ['are the last line with text', 'a\nb\n\n', 'b'],
    ['are not the outputs', `said\n${start}\na: 1\n${end}\n`, 'said'],
    ['drive no terminal', 'x\u001b[31mred\u0007', 'x\\x1b[31mred\\x07'],
    ['are none of a program that said nothing', '\n \n', ''],
  ])('%s', (_title, text, line) => {
    expect(lastLineOf(text)).toBe(line);
  });

  test('are short', () => {
    expect(lastLineOf('é'.repeat(1000))).toBe(`${'é'.repeat(100)}…`);
  });
});
