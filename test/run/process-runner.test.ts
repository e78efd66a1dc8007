import { access, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { isAlive } from '../../src/run/process/process-identity.ts';
import { createProcessRunner, logPath } from '../../src/run/process/process-runner.ts';
import { ended, Workshop } from './fixtures.ts';

let workshop: Workshop;

beforeEach(async () => {
  workshop = await Workshop.open();
});

afterEach(() => workshop.close());

describe('how a program ends', () => {
  test('its exit status, times, log and last words are kept', async () => {
    const task = workshop.task({ command: ['sh', '-c', 'echo working; echo "went wrong" >&2; exit 3'] });
    const record = await ended(await workshop.start(task));

    expect(record).toMatchObject({
      outcome: { kind: 'exited', code: 3 },
      lastLine: 'went wrong',
      cancelled: false,
    });
    expect(record.finishedAt).toBeGreaterThanOrEqual(record.startedAt);
    const log = await readFile(logPath(workshop.directory, task.metadata.uid), 'utf8');
    expect(log).toBe('working\nwent wrong\n');
  });

  test('a signal is told from an exit status', async () => {
    const record = await workshop.sh('kill -SEGV $$');
    expect(record.outcome).toEqual({ kind: 'signaled', signal: 'SIGSEGV' });
  });

  test('outputs between the markers are reported', async () => {
    const record = await workshop.sh(
      'echo ---KELOS_OUTPUTS_START---; echo branch: b1; echo just text; echo ---KELOS_OUTPUTS_END---',
    );
    expect(record.outputs).toEqual(['branch: b1', 'just text']);
    expect(record.results).toEqual({ branch: 'b1' });
  });
});

describe('what cannot be started', () => {
  test.each([
    ['a program that is not in PATH', ['no-such-program'], 'program "no-such-program" was not found in PATH'],
    ['a path that leads nowhere', ['/nowhere/program'], 'program "/nowhere/program" does not exist'],
    ['a directory', ['/tmp'], 'program "/tmp" is not executable'],
    ['a NUL in an argument', ['true', 'a\0b'], 'program "true" cannot be started'],
  ])('%s', async (_title, command, message) => {
    const { outcome } = await ended(await workshop.start(workshop.task({ command })));
    expect(outcome).toMatchObject({ kind: 'notStarted', message: expect.stringContaining(message) });
  });

  test('a working directory that is not there', async () => {
    const { outcome } = await workshop.sh('true', { workingDir: '/nowhere/at-all' });
    expect(outcome).toEqual({
      kind: 'notStarted',
      message: 'working directory "/nowhere/at-all" does not exist: create it, or correct spec.workingDir',
    });
  });

  test('an argument that is too long for the system', async () => {
    const { outcome } = await ended(
      await workshop.start(workshop.task({ command: ['true', 'x'.repeat(200_000)] })),
    );
    expect(outcome).toMatchObject({ kind: 'notStarted', message: expect.stringContaining('too long') });
  });

  test('a runner without its keeper says what to build', () => {
    const create = () =>
      createProcessRunner({
        directory: workshop.directory,
        keeperPath: '/nowhere/keeper.js',
        clock: systemClock,
        log: silentLogger,
      });
    expect(create).toThrow('npm run build');
  });
});

describe('what a program is given', () => {
  test('the prompt on stdin, also by the name /dev/stdin, and a folder of its own', async () => {
    const task = workshop.task({ command: ['sh', '-c', 'cat /dev/stdin; pwd'], prompt: 'hello\nthere\n' });
    await ended(await workshop.start(task));
    const log = await readFile(logPath(workshop.directory, task.metadata.uid), 'utf8');
    expect(log).toBe(`hello\nthere\n${join(workshop.directory, task.metadata.uid, 'work')}\n`);
  });

  test('stderr can be opened by its name', async () => {
    const record = await workshop.sh('echo by name > /dev/stderr');
    expect(record).toMatchObject({ outcome: { kind: 'exited', code: 0 }, lastLine: 'by name' });
  });

  test('no prompt is an empty stdin', async () => {
    const record = await workshop.sh('wc -c');
    expect(record.lastLine.trim()).toBe('0');
  });

  test('a Secret reaches the environment, but neither the disk nor what is recorded', async () => {
    const task = workshop.task({
      command: [
        'sh',
        '-c',
        'echo "token is $TOKEN"; test -n "$TOKEN" || exit 9; echo "bad $TOKEN" >&2; exit 1',
      ],
      env: [{ name: 'TOKEN', valueFrom: { secretKeyRef: { name: 's', key: 'token' } } }],
    });
    const secret = {
      apiVersion: 'v1' as const,
      kind: 'Secret' as const,
      metadata: { ...task.metadata, name: 's' },
      data: { token: Buffer.from('hunter2hunter2').toString('base64') },
    };
    const started = await workshop
      .runner()
      .start({ task, prompt: '', readSecret: async () => secret }, new AbortController().signal);
    if (started.kind !== 'started') throw new Error(started.message);
    const record = await ended(started.run);
    expect(record).toMatchObject({ outcome: { kind: 'exited', code: 1 }, lastLine: 'bad ***' });
    const folder = join(workshop.directory, task.metadata.uid);
    for (const file of ['state.json', 'exit.json'])
      expect(await readFile(join(folder, file), 'utf8')).not.toContain('hunter2');
  });

  test('what it keeps on disk is for nobody else', async () => {
    const task = workshop.task({ command: ['true'] });
    await ended(await workshop.start(task));
    const log = logPath(workshop.directory, task.metadata.uid);
    expect((await stat(log)).mode & 0o077).toBe(0);
    expect((await stat(join(log, '..'))).mode & 0o077).toBe(0);
  });
});

describe('much output', () => {
  test('beginning and end are kept, what is left out is counted, and outputs at the end are found', async () => {
    const task = workshop.task({
      command: [
        'sh',
        '-c',
        `echo first line; head -c 67108864 /dev/zero | tr '\\0' 'x';
        echo; echo ---KELOS_OUTPUTS_START---; echo pr: 7; echo ---KELOS_OUTPUTS_END---`,
      ],
    });
    const record = await ended(await workshop.start(task, workshop.runner({ logHeadBytes: 64 * 1024 })));
    expect(record).toMatchObject({ outcome: { kind: 'exited', code: 0 }, results: { pr: '7' } });

    const log = await readFile(logPath(workshop.directory, task.metadata.uid), 'utf8');
    const total =
      'first line\n'.length +
      67_108_864 +
      1 +
      '---KELOS_OUTPUTS_START---\npr: 7\n---KELOS_OUTPUTS_END---\n'.length;
    const leftOut = total - (64 + 256) * 1024;
    expect(log.startsWith('first line\n')).toBe(true);
    expect(log).toContain(`\n[telos: ${leftOut} bytes left out here]\n`);
    expect(log.endsWith('pr: 7\n---KELOS_OUTPUTS_END---\n')).toBe(true);
    expect(log.length).toBeLessThan((64 + 256) * 1024 + 100);
  });
});

describe('stopping', () => {
  test('the deadline ends a program that takes too long', async () => {
    const record = await workshop.sh('sleep 60', { podOverrides: { activeDeadlineSeconds: 1 } });
    expect(record.outcome).toEqual({ kind: 'deadline' });
  });

  test('a program that ignores the polite signal is forced after the grace time', async () => {
    const task = workshop.task({
      command: ['sh', '-c', 'trap "" TERM; touch ready; while :; do sleep 0.05; done'],
    });
    const run = await workshop.start(task);
    await exists(join(workshop.directory, task.metadata.uid, 'work', 'ready'));
    run.cancel();
    expect(await ended(run)).toMatchObject({
      outcome: { kind: 'signaled', signal: 'SIGKILL' },
      cancelled: true,
    });
  });

  test('a program may use the grace time to end in order', async () => {
    const task = workshop.task({
      command: ['sh', '-c', 'trap "echo tidied; exit 4" TERM; touch ready; while :; do sleep 0.05; done'],
    });
    const run = await workshop.start(task, workshop.runner({ graceMs: 10_000 }));
    await exists(join(workshop.directory, task.metadata.uid, 'work', 'ready'));
    run.cancel();
    expect(await ended(run)).toMatchObject({ outcome: { kind: 'exited', code: 4 }, lastLine: 'tidied' });
  });

  test('children that stay behind end with the program', async () => {
    const task = workshop.task({
      command: ['sh', '-c', '(trap "" TERM; while :; do sleep 0.05; done) & echo $! > child; exit 0'],
    });
    expect((await ended(await workshop.start(task))).outcome).toEqual({ kind: 'exited', code: 0 });
    const child = await readFile(join(workshop.directory, task.metadata.uid, 'work', 'child'), 'utf8');
    await gone(Number(child));
  });

  test('a daemon that holds the output open does not hold the run', async () => {
    const task = workshop.task({
      command: [
        'sh',
        '-c',
        "setsid sh -c 'echo $$ > daemon; exec sleep 60' & while [ ! -s daemon ]; do sleep 0.02; done; exit 0",
      ],
    });
    expect((await ended(await workshop.start(task))).outcome).toEqual({ kind: 'exited', code: 0 });
    const daemon = await readFile(join(workshop.directory, task.metadata.uid, 'work', 'daemon'), 'utf8');
    process.kill(Number(daemon), 'SIGKILL');
  });
});

describe('an engine that comes after', () => {
  test('takes up a run that is under way, with its true exit status', async () => {
    const task = workshop.task({
      command: ['sh', '-c', 'while [ ! -e go ]; do sleep 0.02; done; exit 5'],
    });
    await workshop.start(task);
    const found = await workshop.runner().find(task.metadata.uid, new AbortController().signal);
    if (found === undefined) throw new Error('it was not found');
    await writeFile(join(workshop.directory, task.metadata.uid, 'work', 'go'), '');
    expect((await ended(found)).outcome).toEqual({ kind: 'exited', code: 5 });
  });

  test('finds a run that ended meanwhile', async () => {
    const task = workshop.task({ command: ['sh', '-c', 'exit 6'] });
    await ended(await workshop.start(task));
    const found = await workshop.runner().find(task.metadata.uid, new AbortController().signal);
    expect(found && (await ended(found)).outcome).toEqual({ kind: 'exited', code: 6 });
  });

  test('can cancel what it took up', async () => {
    const task = workshop.task({ command: ['sleep', '60'] });
    await workshop.start(task);
    const found = await workshop.runner().find(task.metadata.uid, new AbortController().signal);
    found?.cancel();
    expect(found && (await ended(found))).toMatchObject({
      outcome: { kind: 'signaled', signal: 'SIGTERM' },
      cancelled: true,
    });
  });

  test('knows nothing of a start that broke off before it had a keeper', async () => {
    await mkdir(join(workshop.directory, 'uid-broken', 'work'), { recursive: true });
    expect(await workshop.runner().find('uid-broken', new AbortController().signal)).toBeUndefined();
    const again = await workshop.start(workshop.task({ command: ['true'] }, 'uid-broken'));
    expect((await ended(again)).outcome).toEqual({ kind: 'exited', code: 0 });
  });

  test('never starts a uid twice', async () => {
    const task = workshop.task({ command: ['true'] });
    await ended(await workshop.start(task));
    await expect(workshop.start(task)).rejects.toThrow('was started before');
  });

  test('says that a run is lost when its keeper was killed, and ends what is left of it', async () => {
    const task = workshop.task({ command: ['sh', '-c', 'echo $$ > pid; exec sleep 60'] });
    const run = await workshop.start(task);
    const state = await stateWithAgent(join(workshop.directory, task.metadata.uid));
    process.kill(state.keeper.pid, 'SIGKILL');
    expect((await ended(run)).outcome).toMatchObject({
      kind: 'lost',
      message: expect.stringContaining('was killed or crashed'),
    });
    await gone(state.agent.pid);
  });

  test('leaves alone a process that merely has the pid of an old run', async () => {
    const innocent = workshop.task({ command: ['sleep', '60'] });
    await workshop.start(innocent);
    const state = await stateWithAgent(join(workshop.directory, innocent.metadata.uid));
    const forged = join(workshop.directory, 'uid-forged');
    await mkdir(forged);
    await writeFile(
      join(forged, 'state.json'),
      JSON.stringify({
        ...state,
        keeper: { ...state.keeper, startTime: '1' },
        agent: { ...state.agent, startTime: '1' },
      }),
    );
    const found = await workshop.runner().find('uid-forged', new AbortController().signal);
    expect(found && (await ended(found)).outcome.kind).toBe('lost');
    expect(isAlive(state.agent)).toBe(true);
  });

  test('believes no record that is none', async () => {
    const folder = join(workshop.directory, 'uid-odd');
    await mkdir(folder);
    await writeFile(join(folder, 'state.json'), 'not json');
    await writeFile(join(folder, 'exit.json'), '{"outcome":{"kind":"exited","code":"0"},"outputs":[7]}');
    const found = await workshop.runner().find('uid-odd', new AbortController().signal);
    expect(found && (await ended(found)).outcome).toMatchObject({
      kind: 'lost',
      message: expect.stringContaining('cannot be read'),
    });
  });

  test('says that the machine was restarted', async () => {
    const folder = join(workshop.directory, 'uid-boot');
    await mkdir(folder);
    const identity = { pid: process.pid, startTime: '1', bootId: 'another boot' };
    await writeFile(
      join(folder, 'state.json'),
      JSON.stringify({ keeper: identity, agent: identity, startedAt: 1 }),
    );
    const found = await workshop.runner().find('uid-boot', new AbortController().signal);
    expect(found && (await ended(found)).outcome).toMatchObject({
      kind: 'lost',
      message: expect.stringContaining('the machine was restarted'),
    });
  });

  test('forgets all of a run', async () => {
    const task = workshop.task({ command: ['true'] });
    const runner = workshop.runner();
    await ended(await workshop.start(task, runner));
    await runner.forget(task.metadata.uid);
    expect(await runner.find(task.metadata.uid, new AbortController().signal)).toBeUndefined();
    await expect(access(join(workshop.directory, task.metadata.uid))).rejects.toThrow('ENOENT');
  });

  test('takes no uid that is a path', async () => {
    await expect(workshop.runner().forget('../elsewhere')).rejects.toThrow('is no uid');
    expect(() => logPath(workshop.directory, '..')).toThrow('is no uid');
  });
});

/** Resolves when a file exists. */
async function exists(path: string): Promise<void> {
  await turn(async () =>
    access(path).then(
      () => true,
      () => false,
    ),
  );
}

/** Resolves when no process has this pid any more, except as a zombie that waits for its parent. */
async function gone(pid: number): Promise<void> {
  await turn(
    async () => !/^\d+ \(.*\) [^ZX]/.test(await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')),
  );
}

async function stateWithAgent(folder: string) {
  let text = '';
  await turn(async () => {
    text = await readFile(join(folder, 'state.json'), 'utf8');
    return text.includes('"agent"');
  });
  return JSON.parse(text);
}

/** Asks until it is so; the test's own timeout is the limit. */
async function turn(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 10));
}
