import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeCertificate } from '../../src/cli/demo/certificate.ts';
import { bundleProgram, ChildProgram } from '../support/child-program.ts';
import { House } from './house.ts';

let house: House;

beforeEach(() => {
  house = new House();
});
afterEach(() => house.close());

test('the anchors of --ca-file come besides those that Node was started with', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'telos-anchors-'));
  house.onClose(() => rm(folder, { recursive: true }));
  // Vouches for itself, since all authorities here have one name.
  const itself = await makeCertificate({ names: ['127.0.0.1'] });
  const given = await house.receiver();
  const usual = await house.receiver({ certificate: itself });
  const unknown = await house.receiver();
  const caFile = join(folder, 'ca.pem');
  const extraFile = join(folder, 'extra.pem');
  await writeFile(caFile, given.caPem);
  await writeFile(extraFile, itself.certPem);
  const program = await bundleProgram('test/egress/child.ts', folder);
  const child = new ChildProgram(
    program,
    [caFile, given.origin, usual.origin, unknown.origin],
    ['env', `NODE_EXTRA_CA_CERTS=${extraFile}`],
  );
  house.onClose(() => child.kill());
  expect(await child.lines()).toEqual(['200', '200', expect.stringContaining('signed by nobody we trust')]);
});

test('NODE_TLS_REJECT_UNAUTHORIZED=0 does not make it trust anybody', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'telos-anchors-'));
  house.onClose(() => rm(folder, { recursive: true }));
  const given = await house.receiver();
  const unknown = await house.receiver();
  const caFile = join(folder, 'ca.pem');
  await writeFile(caFile, given.caPem);
  const program = await bundleProgram('test/egress/child.ts', folder);
  const child = new ChildProgram(
    program,
    [caFile, given.origin, unknown.origin],
    ['env', 'NODE_TLS_REJECT_UNAUTHORIZED=0'],
  );
  house.onClose(() => child.kill());
  expect(await child.lines()).toEqual(['200', expect.stringContaining('signed by nobody we trust')]);
});
