import stringWidth from 'string-width';
import { terminalText } from '../terminal-text.ts';

/** A label and its value; several lines stand below one another. What is undefined or empty is left out. */
export type Field = readonly [label: string, value: string | number | boolean | undefined];

/** Text for people: fields with their values in one column, and sections below headings. Control characters are escaped. */
export class Outline {
  readonly #lines: string[] = [];
  /** Fields since the last section: they share a column. */
  #fields: { readonly label: string; readonly lines: readonly string[] }[] = [];

  fields(fields: readonly Field[]): this {
    for (const [label, value] of fields) {
      if (value !== undefined && value !== '') {
        this.#fields.push({ label: `${label}:`, lines: linesOf(String(value)) });
      }
    }
    return this;
  }

  /** A heading with lines below it; nothing at all when there are none. */
  section(heading: string, texts: readonly string[]): this {
    if (texts.length === 0) return this;
    this.#endFields();
    this.#lines.push(`${heading}:`, ...texts.flatMap(linesOf).map((line) => `  ${line}`));
    return this;
  }

  toString(): string {
    this.#endFields();
    return this.#lines.map((line) => `${line.trimEnd()}\n`).join('');
  }

  #endFields(): void {
    const width = Math.max(0, ...this.#fields.map(({ label }) => stringWidth(label))) + 2;
    for (const { label, lines } of this.#fields) {
      for (const [index, line] of lines.entries()) {
        const lead = index === 0 ? label : '';
        this.#lines.push(`${lead}${' '.repeat(width - stringWidth(lead))}${line}`);
      }
    }
    this.#fields = [];
  }
}

function linesOf(text: string): readonly string[] {
  return terminalText(text).replace(/\n+$/, '').split('\n');
}
