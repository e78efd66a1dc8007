import { describe, expect, it } from 'vitest';
import { nearest } from '../../src/base/nearest.ts';

describe('the nearest name', () => {
  it.each([
    ['promt', 'prompt'],
    ['pormpt', 'prompt'],
    ['PROMPT', 'prompt'],
    ['prompts', 'prompt'],
    ['mdoel', 'model'],
    ['onCompletions', 'onCompletion'],
    ['on_completion', 'onCompletion'],
  ])('to %s is %s', (wrong, right) => {
    expect(nearest(wrong, ['prompt', 'model', 'onCompletion', 'env'])).toBe(right);
  });

  it.each(['x', 'zzzzzz', 'completelyDifferent', '', 'a'.repeat(100_000)])('to %.12s is none', (wrong) => {
    expect(nearest(wrong, ['prompt', 'model', 'env'])).toBeUndefined();
  });

  it('is the first of those equally near', () => {
    expect(nearest('v1alpha3', ['v1alpha2', 'v1alpha1'])).toBe('v1alpha2');
  });
});
