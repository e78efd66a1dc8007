import { expect, test } from 'vitest';
import { telos } from '../support/telos-program.ts';

const onCluster = ['up', '--store', 'kubernetes'];

test.each([
  [['up', '--store', 'sqlite:/nowhere/x.db', '--shards', '2'], 'a file has one engine: --shards'],
  [[...onCluster, '--shards', '2', '--spawn'], 'use --shards 1 with --spawn or --run'],
  [[...onCluster, '--shards', '2', '--run'], 'use --shards 1 with --spawn or --run'],
  [[...onCluster, '--shards', '0'], 'Write a number from 1 to 64'],
  [[...onCluster, '--lease-duration', '10s'], 'add --shards 1, or more'],
  [[...onCluster, '--lease-namespace', 'a'], 'add --shards 1, or more'],
  [[...onCluster, '--role-binding', 'telos'], 'use it with --watch-namespace and --shards'],
  [[...onCluster, '--shards', '1', '--watch-namespace', 'a', '--role-binding', 'a/b'], '--role-binding'],
  [[...onCluster, '--shards', '2', '--lease-duration', '1s'], 'use 5s to 2m'],
  [[...onCluster, '--shards', '2', '--lease-namespace', 'A_b'], '--lease-namespace'],
])('refuses %j in one line, exit 2', async (args, message) => {
  const { stderr, exitCode } = await telos(args);
  expect(stderr).toContain(message);
  expect(stderr.trimEnd()).not.toContain('\n');
  expect(exitCode).toBe(2);
});
