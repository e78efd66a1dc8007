import { describe, expect, it } from 'vitest';
import { redact } from '../../src/report/redact.ts';

it('strikes out the whole of a secret that begins as a shorter one does', () => {
  expect(redact('you sent abcdefgh-secret', ['abcd', 'abcdefgh-secret'])).toBe('you sent ***');
});

it('strikes out the credential of a scheme by itself, and a secret as JSON writes it', () => {
  expect(redact('token s3cr3t-token and a\\"b-quoted', ['Bearer s3cr3t-token', 'a"b-quoted'])).toBe(
    'token *** and ***',
  );
});

it('strikes out a password behind Basic in whichever way it was encoded', () => {
  for (const encoding of ['latin1', 'utf8'] as const) {
    const basic = `Basic ${Buffer.from('ann:pässwörd12', encoding).toString('base64')}`;
    expect(redact('you sent pässwörd12', [basic])).toBe('you sent ***');
  }
});

it('is not misled by a letter that grows when it is made small', () => {
  expect(redact('İ echo: ABCDEFGHIJKLMNOPQRST', ['ABCDEFGHIJKLMNOPQRST'])).toBe('İ echo: ***');
  expect(redact('echo: İABCDEFGHIJKLMNOPQRST', ['İABCDEFGHIJKLMNOPQRST'])).toBe('echo: ***');
});

describe('a receiver that echoes a secret in another way', () => {
  const secret = 'k9 "/&+=\\Zq7-Tr4Lm2-xW8';
  const halves = [secret.slice(0, 12), secret.slice(12)] as const;
  const json = JSON.stringify(secret);
  it.each([
    ['as it is', secret],
    ['in another case', secret.toUpperCase()],
    ['percent-encoded', encodeURIComponent(secret)],
    [
      'percent-encoded to the last letter',
      [...secret].map((c) => `%${c.charCodeAt(0).toString(16)}`).join(''),
    ],
    ['as a JSON string', json],
    ['as a JSON string that escapes the slash', json.replace('/', '\\/')],
    ['with \\u escapes', json.replace('&', '\\u0026').replace('+', '\\u002b')],
    ['in HTML', secret.replace('&', '&amp;').replace('"', '&quot;').replace('/', '&#x2F;')],
    ['in hex', Buffer.from(secret).toString('hex')],
    ['in base64', Buffer.from(secret).toString('base64')],
    ['in base64url', Buffer.from(secret).toString('base64url')],
    ['in base64 of more than it', Buffer.from(`x${secret}y`).toString('base64')],
    ['by its first half', halves[0]],
    ['by its second half', `…${halves[1]}`],
    ['in two pieces', `${halves[0]}\n${halves[1]}`],
  ])('%s keeps nothing of it', (_, echoed) => {
    const left = redact(`before ${echoed} after`, [secret]).replace('before ', '').replace(' after', '');
    // Of base64 within more, the characters at both ends belong to the neighbours too.
    expect(left).toMatch(/^\W*\w{0,3}\*\*\*(\n\*\*\*)?\w{0,3}\W*$/);
  });

  it('has the password of Basic struck out as well', () => {
    const header = `Basic ${Buffer.from('user:pass-word-1').toString('base64')}`;
    expect(redact('wrong password pass-word-1 for user', [header])).toBe('wrong password *** for user');
  });

  it('loses no ordinary words to short parts of a secret', () => {
    const text = 'the token has expired: ask for another, https://example.com/tokens';
    expect(redact(text, ['token-of-my-own-42', 'https:'])).toBe(text.replaceAll('https:', '***'));
  });
});
