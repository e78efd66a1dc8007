import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makeFolder } from '../../src/base/make-folder.ts';

it('makes a folder with those above it, and takes one that is there', () => {
  const top = mkdtempSync(join(tmpdir(), 'telos-folder-'));
  try {
    makeFolder(join(top, 'a/b/c'));
    makeFolder(join(top, 'a/b/c'));
    expect(statSync(join(top, 'a/b/c')).mode & 0o777).toBe(0o700);
  } finally {
    rmSync(top, { recursive: true });
  }
});

it.runIf(process.platform === 'linux')(
  'fails where no folder can be made, instead of trying for ever',
  () => {
    expect(() => makeFolder('/proc/telos/data')).toThrow(/ENOENT/);
  },
);
