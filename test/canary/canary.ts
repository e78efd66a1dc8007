import { randomBytes } from 'node:crypto';

/** A secret of the test's own: wherever any form of it turns up, something has leaked. */
export interface Canary {
  /** Where it was put. */
  readonly place: string;
  readonly value: string;
  /** Everything that gives it away, lower case. */
  readonly forms: readonly string[];
}

/**
 * Makes a secret of two random halves with a text between them (which encodings write differently). Either half
 * gives it away: as it is, backwards, in hex, and in base64 wherever it stands in what was encoded. A half is letters
 * and digits, which URLs and JSON write as they are; its base64 is looked for as they write that, too.
 */
export function makeCanary(place: string, middle = ''): Canary {
  const halves = [randomHalf(), randomHalf()] as const;
  return {
    place,
    value: halves.join(middle),
    forms: halves.flatMap((half) => [
      half,
      [...half].reverse().join(''),
      Buffer.from(half).toString('hex'),
      ...base64Forms(half),
    ]),
  };
}

/** The places whose secrets a text gives away. */
export function leaksIn(text: string, canaries: readonly Canary[]): string[] {
  const lower = text.toLowerCase();
  return canaries.flatMap(({ place, forms }) => (forms.some((form) => lower.includes(form)) ? [place] : []));
}

function randomHalf(): string {
  // Letters first, so that it may also stand in a name.
  return `c${randomBytes(8).toString('hex')}`;
}

/** What is sure to be there of a text's base64, whatever stands before and after it. */
function base64Forms(text: string): string[] {
  return [0, 1, 2].flatMap((offset) => {
    const encoded = Buffer.from('\0'.repeat(offset) + text).toString('base64');
    const first = Math.ceil((offset * 8) / 6);
    const last = Math.floor(((offset + text.length) * 8) / 6);
    const sure = encoded.slice(first, last).toLowerCase();
    return [
      sure,
      sure.replaceAll('+', '-').replaceAll('/', '_'),
      encodeURIComponent(sure).toLowerCase(),
      sure.replaceAll('/', '\\/'),
    ];
  });
}
