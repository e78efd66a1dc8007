import stringWidth from 'string-width';
import { terminalText } from '../terminal-text.ts';

/** A label and its value; several lines stand below one another. What is undefined or empty is left out. */
export type Field = readonly [label: string, value: string | number | boolean | undefined];

/** Text for people: aligned fields, and sections below headings. Control characters are escaped. */
export class Outline {
  #text = '';

  /** Fields with their values in one column. */
  fields(fields: readonly Field[], indent = ''): this {
    const shown = fields.flatMap(([label, value]) =>
      value === undefined || value === '' ? [] : [{ label: `${label}:`, value: terminalText(String(value)) }],
    );
    const width = Math.max(0, ...shown.map(({ label }) => stringWidth(label))) + 2;
    for (const { label, value } of shown) {
      const [first = '', ...rest] = value.replace(/\n+$/, '').split('\n');
      this.#line(`${indent}${label}${' '.repeat(width - stringWidth(label))}${first}`);
      for (const line of rest) this.#line(`${indent}${' '.repeat(width)}${line}`);
    }
    return this;
  }

  /** A heading with lines below it; nothing at all when there are none. */
  section(heading: string, lines: readonly string[]): this {
    if (lines.length === 0) return this;
    this.#line(`${heading}:`);
    for (const line of lines) {
      for (const part of terminalText(line).replace(/\n+$/, '').split('\n')) this.#line(`  ${part}`);
    }
    return this;
  }

  toString(): string {
    return this.#text;
  }

  #line(text: string): void {
    this.#text += `${text.trimEnd()}\n`;
  }
}
