import { spawnSync } from 'node:child_process';

/** Whether there is a kubectl: what is said of it has to be seen with it. */
export const hasKubectl = spawnSync('kubectl', ['version', '--client'], { stdio: 'ignore' }).status === 0;
