import { expect, test } from 'vitest';
import { hiddenValues } from '../../src/run/hidden-values.ts';

test('are those of Secrets, and each long line of them', () => {
  expect(hiddenValues(['short', 'BEGIN\nMIIEvQIBADANBgkqhkiG\nEND'], {})).toEqual([
    'short',
    'BEGIN\nMIIEvQIBADANBgkqhkiG\nEND',
    'MIIEvQIBADANBgkqhkiG',
  ]);
});

test('are those of variables named as credentials are, but no settings and no paths', () => {
  const variables = {
    GITHUB_TOKEN: 'ghp_12345678',
    TOKENIZERS_PARALLELISM: 'false',
    GOOGLE_APPLICATION_CREDENTIALS: '/etc/google.json',
    MODEL: 'a-model-of-some-kind',
  };
  expect(hiddenValues([], variables)).toEqual(['ghp_12345678']);
});

test('are passwords in URLs, as they stand there and decoded', () => {
  const url = 'http://user:p%40ssword@proxy.example:3128';
  expect(hiddenValues([], { HTTPS_PROXY: url, MAIL: 'a@b.example', BAD: '%@' })).toEqual([
    url,
    'p%40ssword',
    'p@ssword',
  ]);
});
