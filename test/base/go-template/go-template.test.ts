import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTemplate, TemplateError } from '../../../src/base/go-template/template.ts';
import cases from './go-output.json' with { type: 'json' };

/** The data that `go-output.json` was made with, by text/template with `missingkey=error`. */
const data = {
  s: 'text',
  n: 42,
  i: 42n,
  f: 1.5,
  b: true,
  zero: 0,
  empty: [],
  nil: null,
  l: [1, 'two', true, null],
  m: { k: 'v', a: 1 },
  deep: { a: ['x', 'y'] },
  big: 1e21,
  tiny: 1e-7,
  neg: -0.5,
  whole: 100,
  million: 1234567,
  third: 0.333333333333333,
};

function render(text: string, over: unknown = data): string {
  return parseTemplate(text).render(over);
}

function failure(work: () => unknown): TemplateError {
  try {
    work();
  } catch (error) {
    if (error instanceof TemplateError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('a template', () => {
  it.each(cases.filter((entry) => entry.output !== undefined))('renders as Go does: $template', (entry) => {
    expect(render(entry.template)).toBe(entry.output);
  });

  it.each(cases.filter((entry) => entry.fails === 'parse'))(
    'is refused where Go refuses it: $template',
    (entry) => {
      expect(failure(() => parseTemplate(entry.template)).code).toBe('TemplateSyntax');
    },
  );

  it.each(cases.filter((entry) => entry.fails === 'render'))('fails where Go fails: $template', (entry) => {
    const template = parseTemplate(entry.template);
    expect(failure(() => template.render(data)).code).toBe('TemplateRender');
  });

  it('says line and column of what is wrong, and which key is missing', () => {
    const error = failure(() => render('one\ntwo {{.s}}\n  {{.nope}}'));
    expect({ line: error.line, column: error.column }).toEqual({ line: 3, column: 5 });
    expect(error.message).toBe('3:5: map has no entry for key "nope"');
  });

  it('is parsed once and rendered often, each time alone', () => {
    const template = parseTemplate('{{$x := .s}}{{$x}}');
    expect([template.render({ s: 'a' }), template.render({ s: 'b' })]).toEqual(['a', 'b']);
  });

  it('may call functions that it is given', () => {
    const functions = { toJson: (value: unknown) => JSON.stringify(value) };
    expect(parseTemplate('{{toJson .m}}', { functions }).render(data)).toBe('{"k":"v","a":1}');
  });

  it('reports what a given function throws, with its place', () => {
    const functions = {
      fail: () => {
        throw new Error('no');
      },
    };
    const error = failure(() => parseTemplate('{{fail}}', { functions }).render({}));
    expect(error.message).toBe('1:3: fail: no');
  });
});

describe('hostile data and templates', () => {
  it.each(['constructor', '__proto__', 'toString', 'hasOwnProperty', 'length'])(
    'cannot reach %s, which data only inherit',
    (name) => {
      expect(failure(() => render(`{{.${name}}}`, {})).code).toBe('TemplateRender');
      expect(render(`{{index . "${name}"}}`, {})).toBe('<no value>');
    },
  );

  it('cannot call what data bring along', () => {
    expect(failure(() => render('{{.f}} {{call .f}}', { f: () => 'called' })).code).toBe('TemplateRender');
  });

  it.each([
    ['output', '{{range 100000}}{{printf "%100s" "x"}}{{end}}'],
    ['output of one padded value', '{{printf "%900000d" 1}}{{printf "%900000d" 1}}'],
    ['steps', '{{range 5000000}}{{end}}'],
    ['calls', '{{define "a"}}{{template "a"}}{{end}}{{template "a"}}'],
    ['nested blocks', `${'{{if true}}'.repeat(200)}${'{{end}}'.repeat(200)}`],
    ['parentheses', `{{${'('.repeat(5000)}1${')'.repeat(5000)}}}`],
    ['length', 'x'.repeat(2 ** 20 + 1)],
  ])('are stopped at a limit: %s', (_what, text) => {
    expect(failure(() => render(text)).code).toBe('TemplateLimit');
  });

  it('never end in anything but output or a TemplateError', () => {
    const pieces = [
      '{{',
      '}}',
      '{{-',
      '-}}',
      '.s',
      '.l',
      '$x',
      ':=',
      '=',
      '|',
      '(',
      ')',
      '"a"',
      '`',
      "'",
      ' ',
      '\n',
      'if',
      'range',
      'with',
      'else',
      'end',
      'define',
      'template',
      'break',
      'index',
      'printf',
      '"%d"',
      '1',
      '-',
      '/*',
      '*/',
      ',',
      '.',
    ];
    const text = fc.array(fc.constantFrom(...pieces), { maxLength: 30 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, (template) => {
        try {
          render(template);
        } catch (error) {
          expect(error).toBeInstanceOf(TemplateError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('take time that grows with their length, not faster', () => {
    expect(render(`${' '.repeat(200_000)}x`)).toHaveLength(200_001);
    expect(failure(() => render(`{{"${'\\'.repeat(200_001)}`)).code).toBe('TemplateSyntax');
  });
});

describe('printf', () => {
  it('prints any float that it is given so that it reads back as the same', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(Number(render('{{printf "%g" .}}', value))).toBe(value === 0 ? value : value);
        expect(Number(render('{{printf "%.20e" .}}', value))).toBe(value);
      }),
    );
  });

  it('pads any text to the width that is asked for', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme-ascii', maxLength: 40 }),
        fc.integer({ min: 0, max: 60 }),
        (text, width) => {
          expect(render(`{{printf "%${width === 0 ? '' : width}s" .}}`, text)).toBe(text.padStart(width));
        },
      ),
    );
  });
});
