const maxInt = 2n ** 63n - 1n;
const minInt = -(2n ** 63n);

/** A Go number constant: an int (bigint) or a float64 (number). Undefined when it is neither, or does not fit. */
export function parseNumber(text: string): number | bigint | undefined {
  const sign = text.startsWith('-') ? -1 : 1;
  const digits = text.replace(/^[+-]/, '');
  if (/__|^_|_$|_\.|\._|_[eE]|[eE]_/.test(digits)) return undefined;
  const plain = digits.replaceAll('_', '').toLowerCase();
  const integer = integerText(plain);
  if (integer !== undefined) {
    const value = BigInt(integer) * BigInt(sign);
    return value >= minInt && value <= maxInt ? value : undefined;
  }
  if (!/^(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/.test(plain)) return undefined;
  const value = Number(plain) * sign;
  return Number.isFinite(value) ? value : undefined;
}

/** An integer as BigInt() reads it, or undefined. A leading 0 means octal. */
function integerText(text: string): string | undefined {
  if (/^0x[0-9a-f]+$|^0b[01]+$|^0o[0-7]+$/.test(text)) return text;
  if (/^0[0-7]+$/.test(text)) return `0o${text.slice(1)}`;
  return /^(?:0|[1-9]\d*)$/.test(text) ? text : undefined;
}
