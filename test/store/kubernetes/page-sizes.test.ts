import { describe, expect, test } from 'vitest';
import { PageSizes } from '../../../src/store/kubernetes/page-sizes.ts';

describe('the size of a page', () => {
  test('is what the caller wants, up to a hundred, while resources are small', () => {
    const sizes = new PageSizes();
    expect([sizes.limit('Task', 7), sizes.limit('Task', 500)]).toEqual([7, 100]);
    sizes.learn('Task', 100_000, 100);
    expect(sizes.limit('Task', 500)).toBe(100);
  });

  test('keeps a page of big resources within a few megabytes, for their kind only', () => {
    const sizes = new PageSizes();
    sizes.learn('Task', 20_000_000, 100);
    expect([sizes.limit('Task', 500), sizes.limit('Task', 3)]).toEqual([20, 3]);
    sizes.learn('Task', 150_000_000, 100);
    expect(sizes.limit('Task', 500)).toBe(10);
    expect(sizes.limit('Delivery', 500)).toBe(100);
    sizes.learn('Task', 100_000, 100);
    expect(sizes.limit('Task', 500)).toBe(100);
  });

  test('is not limited where the caller wants all, and learns nothing from an empty page', () => {
    const sizes = new PageSizes();
    sizes.learn('Task', 400, 0);
    expect([sizes.limit('Task', 0), sizes.limit('Task', 500)]).toEqual([0, 100]);
  });
});
