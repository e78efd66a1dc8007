import { createHash } from 'node:crypto';

/** Numbers that look random and are the same for the same seed and purpose, whatever else was drawn before. */
export class Random {
  readonly #seed: string;
  #drawn = 0;

  constructor(seed: string, ...purpose: readonly (string | number)[]) {
    this.#seed = JSON.stringify([seed, ...purpose]);
  }

  /** From 0 to 1, which it never is. */
  next(): number {
    this.#drawn += 1;
    const digest = createHash('sha256').update(`${this.#seed}${this.#drawn}`).digest();
    return digest.readUInt32BE() / 2 ** 32;
  }

  /** A whole number from `least` to `most`, both possible. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  /** One of the keys, each as likely as its weight says. */
  pick<Key extends string>(weights: Readonly<Record<Key, number>>): Key {
    const entries = Object.entries(weights) as [Key, number][];
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      left -= weight;
      if (left < 0) return key;
    }
    throw new Error('nothing to pick from');
  }
}
