import { describe, expect, test } from 'vitest';
import { telos } from '../support/telos-program.ts';

describe('wrong usage exits with 2 and one line that says what to do', () => {
  test.each([
    [['gte', 'tasks'], "error: unknown command 'gte': did you mean get?\n"],
    [['deliveries', 'lsit'], "error: unknown command 'lsit': did you mean list?\n"],
    [
      ['get', 'tasks', '--namespcae', 'x'],
      "error: unknown option '--namespcae': did you mean --namespace?\n",
    ],
    [['get', 'taskz'], "error: unknown kind 'taskz': arguments: did you mean tasks?\n"],
    [
      ['get', 'tasks', '-o', 'jsno'],
      "error: option '-o, --output <format>' argument 'jsno' is invalid: Did you mean json?\n",
    ],
    [['get'], 'error: no resource named: arguments: write a kind such as tasks, or KIND/NAME\n'],
    [['get', 'tasks', '-n'], "error: option '-n, --namespace <name>' argument missing: see telos --help\n"],
    [['get', 'task/a/b'], "error: not a resource: 'task/a/b': write KIND/NAME, such as task/x\n"],
    [
      ['get', 'task', 'a', '-A'],
      'error: a name belongs to one namespace: --all-namespaces: use --namespace\n',
    ],
    [
      ['get', 'tasks', '--store', 'here.db'],
      "error: not a store: 'here.db': --store: write sqlite:PATH or kubernetes[:CONTEXT]\n",
    ],
    [
      ['get', 'tasks', '-n', 'Not A Name'],
      "error: 'Not A Name' cannot be a namespace: --namespace: use at most 63 lower-case letters, digits and dashes\n",
    ],
    [['apply'], 'error: no manifest named: -f: name a file, a folder, or - for stdin\n'],
    [['delete', 'tasks'], 'error: nothing chosen: arguments: give names, --selector or --all\n'],
    [['run'], 'error: nothing to run: arguments: give -p TEXT, --from taskspawner/X, or -- ARGV…\n'],
    [['run', 'git', 'log'], "error: unexpected argument: 'git': put the program to run after --\n"],
    [
      ['egress', 'check', 'https://example.com', '--egress-allow', ''],
      "error: option '--egress-allow <entry>' argument '' is invalid: Give a value, or leave the flag out\n",
    ],
    [
      ['up', '--egress-deny', ' , '],
      "error: option '--egress-deny <entry>' argument ' , ' is invalid: Give a value, or leave the flag out\n",
    ],
    [
      ['egress', 'check', 'https://example.com', '--egress-allow', '::1:8443'],
      'error: --egress-allow: "::1:8443": write [::1]:8443 for a port, [::1:8443] for an address\n',
    ],
    [
      ['up', '--port', '99999'],
      "error: option '--port <port>' argument '99999' is invalid: Write a port from 0 to 65535\n",
    ],
    [
      ['up', '--report-backlog', '5'],
      "error: option '--report-backlog <duration>' argument '5' is invalid: Write a duration such as 90s, 30m or 24h\n",
    ],
    [
      ['up', '--max-in-flight', '0'],
      "error: option '--max-in-flight <count>' argument '0' is invalid: Write a whole number from 1 to 4096\n",
    ],
    [
      ['up', '--max-in-flight-per-origin', '1e2'],
      "error: option '--max-in-flight-per-origin <count>' argument '1e2' is invalid: Write a whole number from 1 to 4096\n",
    ],
    [
      ['up', '--max-in-flight', '8', '--max-in-flight-per-origin', '9'],
      'error: 9 to one origin are more than 8 in all: --max-in-flight-per-origin: write at most 8, or raise --max-in-flight\n',
    ],
    [
      ['up', '--max-in-flight', '8'],
      'error: 16 to one origin are more than 8 in all: --max-in-flight-per-origin: write at most 8, or raise --max-in-flight\n',
    ],
    [
      ['up', '--retry-schedule', '5s,never'],
      "error: option '--retry-schedule <waits>' argument '5s,never' is invalid: Write 1 to 19 waits from 1s to 24h, such as 5s,30s,2m\n",
    ],
    [
      ['up', '--retry-schedule', '5s,25h'],
      "error: option '--retry-schedule <waits>' argument '5s,25h' is invalid: Write 1 to 19 waits from 1s to 24h, such as 5s,30s,2m\n",
    ],
    [
      ['up', '--delivery-retention', '5m'],
      "error: option '--delivery-retention <duration>' argument '5m' is invalid: Write a duration of an hour or more, such as 7d\n",
    ],
    [
      ['up', '--failed-delivery-retention', 'x'],
      "error: option '--failed-delivery-retention <duration>' argument 'x' is invalid: Write a duration of an hour or more, such as 7d\n",
    ],
    [['deliveries', 'recover'], 'error: no time given: --since: say how far back, such as 24h\n'],
    [
      ['deliveries', 'list', '--reason', 'Timeuot'],
      "error: unknown reason 'Timeuot': --reason: did you mean Timeout?\n",
    ],
    [['completion', 'bsah'], "error: unknown shell 'bsah': arguments: did you mean bash?\n"],
    [
      ['version', 'now'],
      "error: too many arguments for 'version'. Expected 0 arguments but got 1: see telos --help\n",
    ],
    [['deliveries'], 'error: no command given: arguments: see it with --help\n'],
  ])('%j', async (args, line) => {
    // A store that no test may touch: wrong usage is found before it is opened.
    const env = { HOME: '/nonexistent', TELOS_STORE: 'sqlite:/nonexistent/telos.db' };
    const result = await telos(args, { env });
    expect(result).toEqual({ exitCode: 2, stdout: '', stderr: line });
  });
});

describe('variables', () => {
  test('stand for long flags', async () => {
    const { stdout } = await telos(['version'], { env: { TELOS_OUTPUT: 'json' } });
    expect(JSON.parse(stdout)).toMatchObject({ telos: expect.stringMatching(/^\d+\.\d+\.\d+/) });
  });

  test('lose against flags', async () => {
    const { stdout } = await telos(['version', '-o', 'yaml'], { env: { TELOS_OUTPUT: 'json' } });
    expect(stdout).toMatch(/^telos: /);
  });

  test('lose against flags that stand before the command', async () => {
    const { stdout } = await telos(['-o', 'yaml', 'version'], { env: { TELOS_OUTPUT: 'json' } });
    expect(stdout).toMatch(/^telos: /);
  });

  test('that hold nonsense are named', async () => {
    const result = await telos(['version'], { env: { TELOS_OUTPUT: 'jsno', TELOS_DEBUG: 'false' } });
    expect(result.stderr).toBe("error: 'jsno' is invalid: variable TELOS_OUTPUT: Did you mean json?\n");
    expect(result.exitCode).toBe(2);
  });

  test('for switches take true and false, and nothing else', async () => {
    const result = await telos(['version'], { env: { TELOS_WATCH: 'perhaps' } });
    expect(result.stderr).toBe("error: 'perhaps' is invalid: variable TELOS_WATCH: write true or false\n");
  });
});

test('help is a result: stdout, exit 0', async () => {
  const whole = await telos([]);
  expect(whole).toMatchObject({ exitCode: 0, stderr: '' });
  expect(whole.stdout).toContain('Usage: telos');
  const one = await telos(['get', '-h']);
  expect(one).toMatchObject({ exitCode: 0, stderr: '' });
  expect(one.stdout).toContain('--namespace <name>');
});
