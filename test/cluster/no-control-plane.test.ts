import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { root } from '../../scripts/bundle.mjs';

const script = join(root, 'scripts', 'test-cluster.mjs');
const anotherWay =
  'install Go 1.26 or newer (it builds one, once, in about 10 minutes), or set TELOS_TEST_KUBECONFIG, KUBEBUILDER_ASSETS, or TEST_ASSET_KUBE_APISERVER and TEST_ASSET_ETCD';

describe('npm run test:cluster where no control plane is', () => {
  /** Where nothing is on the PATH but node, and nothing was built before. */
  let bare: string;
  beforeEach(async () => {
    bare = await mkdtemp(join(tmpdir(), 'telos-bare-'));
    await symlink(process.execPath, join(bare, 'node'));
  });
  afterEach(() => rm(bare, { recursive: true }));

  function run(env: Record<string, string> = {}): Promise<{ code: unknown; stdout: string; stderr: string }> {
    const options = { env: { PATH: bare, HOME: bare, ...env } };
    return new Promise((resolve) => {
      execFile(process.execPath, [script], options, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
      );
    });
  }

  it('says in one line what is missing and exits with 1', async () => {
    expect(await run()).toEqual({
      code: 1,
      stdout: '',
      stderr: `test:cluster: no control plane to test on: ${anotherWay}\n`,
    });
  });

  it('says that Go is too old', async () => {
    await writeFile(join(bare, 'go'), '#!/bin/sh\necho go1.21.3\n', { mode: 0o755 });
    const { code, stderr } = await run({ PATH: `${bare}:/bin:/usr/bin` });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `test:cluster: no control plane to test on: ${anotherWay}; this is go1.21\n`,
    });
  });

  it('says which program a folder that was named lacks', async () => {
    const { code, stderr } = await run({ KUBEBUILDER_ASSETS: bare });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `test:cluster: KUBEBUILDER_ASSETS: there is no etcd in ${bare}\n`,
    });
  });

  it('leaves the tests of the chart out where there is no helm, but not in CI', async () => {
    expect(await run({ TELOS_TEST_KUBECONFIG: join(bare, 'config'), CI: 'true' })).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'test:cluster: no helm for the tests of the chart: install helm or Go, or set TELOS_TEST_HELM\n',
    });
  });
});
