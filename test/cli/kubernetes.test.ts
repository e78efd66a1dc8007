import { describe, expect, test } from 'vitest';
import { telos } from '../support/telos-program.ts';

describe('--store kubernetes', () => {
  test('without a kubeconfig is told in one line with the remedy', async () => {
    const env = { KUBECONFIG: '/nowhere/config' };
    const { exitCode, stderr } = await telos(['get', 'tasks', '--store', 'kubernetes'], { env });
    expect(exitCode).toBe(1);
    expect(stderr).toBe('error: /nowhere/config: no such file: set KUBECONFIG to your kubeconfig\n');
  });
});
