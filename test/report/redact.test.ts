import { expect, it } from 'vitest';
import { redact } from '../../src/report/redact.ts';

it('strikes out the whole of a secret that begins as a shorter one does', () => {
  expect(redact('you sent abcdefgh-secret', ['abcd', 'abcdefgh-secret'])).toBe('you sent ***');
});

it('strikes out the credential of a scheme by itself, and a secret as JSON writes it', () => {
  expect(redact('token s3cr3t-token and a\\"b-quoted', ['Bearer s3cr3t-token', 'a"b-quoted'])).toBe(
    'token *** and ***',
  );
});
