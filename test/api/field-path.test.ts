import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatFieldPath, parseFieldPath } from '../../src/api/field-path.ts';

describe('a field path', () => {
  it('reads like the manifest', () => {
    expect(formatFieldPath(['spec', 'onCompletion', 'hooks', 0, 'webhook', 'url'])).toBe(
      'spec.onCompletion.hooks[0].webhook.url',
    );
    expect(formatFieldPath(['metadata', 'labels', 'a.b/c'])).toBe('metadata.labels["a.b/c"]');
    expect(formatFieldPath([])).toBe('');
  });

  it('is read back as it was written, whatever the keys', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string(), fc.nat(), fc.constantFrom('a', 'b-c', '$x', '0'))),
        (path) => {
          expect(parseFieldPath(formatFieldPath(path))).toEqual(path);
        },
      ),
    );
  });

  it('ends where it cannot be read', () => {
    expect(parseFieldPath('spec.when[x].y')).toEqual(['spec', 'when']);
  });
});
