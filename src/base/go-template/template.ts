import { builtins, type TemplateFunction } from './builtins.ts';
import { parse } from './parser.ts';
import { type RenderLimits, render } from './render.ts';

export type { TemplateFunction } from './builtins.ts';
export { TemplateError } from './errors.ts';

export interface TemplateOptions {
  /** Functions besides Go's own, by name. */
  readonly functions?: Readonly<Record<string, TemplateFunction>>;
}

/** A parsed template: parse once, render as often as you like. */
export interface Template {
  /**
   * Renders over data: own properties of plain objects and Maps are keys, arrays are lists, a number is a
   * float64, a bigint an int. A key that is not there is an error.
   * @throws TemplateError
   */
  render(data: unknown, limits?: RenderLimits): string;
}

const noFunctions = {};

/** Parses a template in the language of Go's text/template, with `missingkey=error`. @throws TemplateError */
export function parseTemplate(text: string, options: TemplateOptions = {}): Template {
  const { functions = noFunctions } = options;
  const names = new Set([...Object.keys(builtins), 'and', 'or', ...Object.keys(functions)]);
  const parsed = parse(text, names);
  return { render: (data, limits = {}) => render(parsed, functions, data, limits) };
}
