import {
  type CelFunc,
  CelScalar,
  celError,
  celFunc,
  celListConcat,
  celMethod,
  listType,
} from '@bufbuild/cel';
import { strings } from '@bufbuild/cel/ext';

/** Characters of a string, or bytes, that an expression may make. */
const maxText = 1024 * 1024;

/** Elements of a list that an expression may make. */
const maxMade = 10_000;

const { STRING, BYTES, INT, DYN } = CelScalar;
const list = listType(DYN);

/**
 * The strings extension, and additions, of which none makes a text or a list without bounds: an expression of a
 * hundred characters could otherwise ask for more memory than there is. To be added behind the standard library,
 * whose functions of the same signature they replace.
 */
export const boundedText: readonly CelFunc[] = [
  ...strings.filter(({ name }) => !['replace', 'split', 'join', 'format'].includes(name)),
  celMethod('replace', STRING, [STRING, STRING], STRING, function (part, by) {
    return replace(this, part, by, Infinity);
  }),
  celMethod('replace', STRING, [STRING, STRING, INT], STRING, function (part, by, count) {
    return replace(this, part, by, count < 0n ? Infinity : Number(count));
  }),
  celMethod('split', STRING, [STRING], list, function (separator) {
    return split(this, separator, Infinity);
  }),
  celMethod('split', STRING, [STRING, INT], list, function (separator, count) {
    return split(this, separator, count < 0n ? Infinity : Number(count));
  }),
  ...strings.filter(({ name }) => name === 'join' || name === 'format').map(boundedResult),
  celFunc('_+_', [STRING, STRING], STRING, (a, b) => {
    checkText(a.length + b.length);
    return a + b;
  }),
  celFunc('_+_', [BYTES, BYTES], BYTES, (a, b) => {
    checkText(a.length + b.length);
    return Buffer.concat([a, b]);
  }),
  celFunc('_+_', [list, list], list, (a, b) => {
    checkMade(a.size + b.size);
    return celListConcat(a, b);
  }),
];

function replace(text: string, part: string, by: string, count: number): string {
  const parts = part === '' ? ['', ...text, ''] : text.split(part);
  const replaced = Math.min(count, parts.length - 1);
  checkText(text.length + replaced * (by.length - part.length));
  const rest = parts.slice(replaced + 1);
  return [parts.slice(0, replaced + 1).join(by), ...rest].join(part);
}

/** At most `count` parts, the last of which is all that is left. */
function split(text: string, separator: string, count: number): string[] {
  if (count === 0) return [];
  const parts = text.split(separator, maxMade + 1);
  checkMade(Math.min(parts.length, count));
  if (parts.length <= count) return parts;
  const first = parts.slice(0, count - 1);
  const taken = first.reduce((sum, part) => sum + part.length + separator.length, 0);
  return [...first, text.slice(taken)];
}

/** What it makes is checked afterwards: as long as nobody looks into it, a long text is only a note of its parts. */
function boundedResult(made: CelFunc): CelFunc {
  return {
    ...made,
    id: made.id,
    name: made.name,
    target: made.target,
    arguments: made.arguments,
    result: made.result,
    call(id, target, args) {
      const result = made.call(id, target, args);
      return typeof result === 'string' && result.length > maxText ? celError(tooLong(), id) : result;
    },
  };
}

function checkText(length: number): void {
  if (length > maxText) throw tooLong();
}

function tooLong(): Error {
  return new Error(`makes a text of more than ${maxText} characters`);
}

function checkMade(size: number): void {
  if (size > maxMade) throw new Error(`makes a list of more than ${maxMade} elements`);
}
