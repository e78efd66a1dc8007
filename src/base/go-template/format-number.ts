/** The decimal digits of a finite number, without sign: value = 0.d1d2… × 10^point. */
interface Digits {
  readonly digits: string;
  readonly point: number;
}

/**
 * A float as Go's strconv writes it: `e`, `f` or `g` with so many digits (for `g` significant ones, else after
 * the point); -1 takes the fewest that tell the number from its neighbours.
 */
export function formatFloat(value: number, verb: 'e' | 'f' | 'g', precision: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  return sign + formatMagnitude(Math.abs(value), verb, precision);
}

function formatMagnitude(value: number, verb: 'e' | 'f' | 'g', precision: number): string {
  switch (verb) {
    case 'e':
      return exponential(value, precision);
    case 'f':
      return fixed(value, precision);
    case 'g': {
      const significant = precision === 0 ? 1 : precision;
      const { digits, point } = digitsOf(value, significant < 0 ? undefined : significant - 1);
      const exponent = value === 0 ? 0 : point - 1;
      return exponent < -4 || exponent >= exponentLimit({ digits, point }, significant)
        ? exponential(value, digits.length - 1)
        : fixed(value, Math.max(digits.length - point, 0));
    }
  }
}

/** From which exponent on %g is exponential: its precision, but 6 for the shortest form. */
function exponentLimit({ digits, point }: Digits, significant: number): number {
  if (significant < 0) return 6;
  return significant > digits.length && digits.length >= point ? digits.length : significant;
}

/** `digitsAfter` digits after the first; undefined: the fewest. Trailing zeros are gone. */
function digitsOf(value: number, digitsAfter: number | undefined): Digits {
  const [mantissa = '', exponent = '0'] = exactExponential(value, digitsAfter).split('e');
  const digits = mantissa.replace('.', '').replace(/0+$/, '');
  return { digits: digits === '' ? '0' : digits, point: Number(exponent) + 1 };
}

function exponential(value: number, precision: number): string {
  const [mantissa = '', exponent = '+0'] = exactExponential(
    value,
    precision < 0 ? undefined : precision,
  ).split('e');
  const sign = exponent.startsWith('-') ? '-' : '+';
  return `${mantissa}e${sign}${exponent.replace(/^[+-]/, '').padStart(2, '0')}`;
}

/** JavaScript gives 100 digits at the most; no double has more that matter to anybody. */
function exactExponential(value: number, digitsAfter: number | undefined): string {
  if (digitsAfter === undefined) return value.toExponential();
  const text = value.toExponential(Math.min(digitsAfter, 100));
  if (digitsAfter <= 100) return text;
  const [mantissa = '', exponent = '+0'] = text.split('e');
  return `${mantissa}${'0'.repeat(digitsAfter - 100)}e${exponent}`;
}

function fixed(value: number, precision: number): string {
  if (precision < 0) {
    const { digits, point } = digitsOf(value, undefined);
    return fixed(value, Math.max(digits.length - point, 0));
  }
  const asked = Math.min(precision, 100);
  // toFixed turns to exponents from 1e21 on, where every double is an integer.
  const text =
    value >= 1e21 ? `${BigInt(value)}${asked > 0 ? `.${'0'.repeat(asked)}` : ''}` : value.toFixed(asked);
  return precision > 100 ? text + '0'.repeat(precision - 100) : text;
}
