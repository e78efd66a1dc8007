import { expect, test } from 'vitest';
import { exposureWarning } from '../../src/cli/exposure.ts';

test.each(['127.0.0.1', '127.9.8.7', '::1', 'localhost'])('an engine on %s warns of nothing', (host) => {
  expect(exposureWarning(host, { spawn: true })).toBeUndefined();
});

test.each(['0.0.0.0', '::', '192.0.2.1', '127.example.com'])(
  'an engine on %s says in one line what others reach, and what to do',
  (host) => {
    expect(exposureWarning(host, { spawn: true })).toMatch(
      /^[^\n]*\/metrics[^\n]*\/webhook[^\n]*--host 127\.0\.0\.1$/,
    );
    expect(exposureWarning(host, { spawn: false })).not.toContain('/webhook');
  },
);
