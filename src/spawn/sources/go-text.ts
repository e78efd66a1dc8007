import { parseTemplate } from '../../base/go-template/template.ts';

const printed = parseTemplate('{{printf "%v" .value}}');

/**
 * A JSON value as Go's `%v` writes it, which is what fields of an event are compared and named by: numbers as
 * float64 (`1.2345678e+07`), null as `<nil>`, lists as `[a b]`, objects as `map[a:1]`.
 */
export function goText(value: unknown): string {
  return typeof value === 'string' ? value : printed.render({ value });
}
