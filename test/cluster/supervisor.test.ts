import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it, onTestFinished } from 'vitest';
import { processExists } from './kit/process-exists.ts';
import { Supervisor } from './kit/supervised.ts';
import { readContainerLog } from './stand-in-node/container-log.ts';

/** As long as a test may take, however busy the machine. */
const patience = { timeout: 50_000 };

/** A parent that has a supervisor run a shell with a child, and says the ids of all three. */
const parent = `
import { fork } from 'node:child_process';
const [file, folder] = process.argv.slice(1);
const supervisor = fork(file, [folder], { cwd: folder, detached: true, execArgv: [] });
supervisor.once('message', ({ pid }) => console.log(supervisor.pid, pid));
const args = ['-c', 'sleep 600 & echo $!; wait'];
supervisor.send({ id: 1, program: { command: 'sh', args, cwd: folder, log: folder + '/log' } });
`;

async function startSupervisor(): Promise<Supervisor> {
  const supervisor = await Supervisor.start();
  onTestFinished(() => supervisor.stop());
  return supervisor;
}

describe('a supervisor', () => {
  it('ends all programs, with all that they started, when its parent is killed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'telos-test-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const file = join(import.meta.dirname, 'kit', 'supervisor.mjs');
    const args = ['--input-type=module', '-e', parent, file, folder];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const log = join(folder, 'log');
    await expect.poll(() => readFileSync(log, 'utf8'), patience).toMatch(/\n/);
    const pids = [...line.split(' '), readFileSync(log, 'utf8')].map(Number);
    expect(pids.filter(processExists)).toEqual(pids);
    child.kill('SIGKILL');
    await expect.poll(() => pids.filter(processExists), patience).toEqual([]);
    expect(existsSync(folder)).toBe(false);
  });

  it('says how a program ended', async () => {
    const supervisor = await startSupervisor();
    const run = (script: string) =>
      supervisor.run({ command: 'sh', args: ['-c', script], log: join(supervisor.folder, 'log') });
    await expect(run('exit 7').then(({ ended }) => ended)).resolves.toEqual({ code: 7, signal: null });
    await expect(run('kill -TERM $$').then(({ ended }) => ended)).resolves.toEqual({
      code: null,
      signal: 'SIGTERM',
    });
  });

  it('refuses a program that is not there', async () => {
    const supervisor = await startSupervisor();
    const program = { command: '/nowhere', args: [], log: join(supervisor.folder, 'log') };
    await expect(supervisor.run(program)).rejects.toThrow('ENOENT');
  });

  it('keeps every byte of a log, however long its lines, and whether or not the last one ends', async () => {
    const supervisor = await startSupervisor();
    const script = `head -c 50000 /dev/zero | tr '\\0' x; echo; echo; printf 'no\\rend'`;
    const log = join(supervisor.folder, 'log');
    const program = { command: 'sh', args: ['-c', script], log, lines: true };
    await (await supervisor.run(program)).ended;
    const chunks: Buffer[] = [];
    for await (const chunk of readContainerLog(log, { follow: false, timestamps: false }, () => true)) {
      chunks.push(chunk);
    }
    expect(Buffer.concat(chunks).toString()).toBe(`${'x'.repeat(50_000)}\n\nno\rend`);
  });
});
