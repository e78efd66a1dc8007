import { Command, Option } from 'commander';
import { TelosError } from '../base/errors.ts';
import { explainError, UsageError } from './cli-error.ts';
import type { CliIo } from './cli-io.ts';
import { type CommandSetup, commandSetup } from './command-setup.ts';
import { addDeliveryCommands } from './delivery-commands.ts';
import { addEngineCommands, watchNamespaceOption } from './engine-commands.ts';
import { collectList, collectValues, imageName, oneOf } from './flags.ts';
import { addGlobalOptions } from './global-options.ts';
import { version } from './version.ts';

/** A signal asked the program to stop. */
export class Stopped extends TelosError {
  readonly exitCode: number;

  constructor(signal: 'SIGINT' | 'SIGTERM') {
    super('Stopped', `stopped by ${signal}`);
    this.exitCode = signal === 'SIGINT' ? 130 : 143;
  }
}

/** Nobody reads stdout any more. */
export class OutputClosed extends TelosError {
  constructor() {
    super('OutputClosed', 'nobody reads the output any more');
  }
}

/** Does what the arguments say; everything that goes wrong becomes lines on stderr and an exit code. */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  let exitCode = 0;
  const program = createProgram(io, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(argv.length === 0 ? ['--help'] : [...argv], { from: 'user' });
    return exitCode;
  } catch (thrown) {
    return reportError(thrown, argv, io);
  }
}

/** Says on stderr what went wrong; returns the exit code. */
export function reportError(
  thrown: unknown,
  argv: readonly string[],
  io: Pick<CliIo, 'stderr' | 'env'>,
): number {
  if (thrown instanceof OutputClosed) return 0;
  if (thrown instanceof Stopped) return thrown.exitCode;
  const debug = argv.includes('--debug') || /^(1|true|yes|on)$/i.test(io.env['TELOS_DEBUG'] ?? '');
  const { lines, exitCode } = explainError(thrown, debug);
  for (const line of lines) io.stderr.write(`${line}\n`);
  return exitCode;
}

/** Declares every command. What does the work is loaded when the command is used. */
function createProgram(io: CliIo, finish: (exitCode: number) => void): Command {
  const program = new Command('telos')
    .description('Turns events into coding-agent Tasks, runs them, and tells the world when they complete.')
    .version(`telos ${version}`, '-V, --version', 'show the version')
    .enablePositionalOptions()
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help of a command')
    .exitOverride()
    .configureOutput({ writeOut: (text) => void io.stdout.write(text), writeErr: () => {} });
  addGlobalOptions(program);
  const setup = commandSetup(io, finish);
  addEngineCommands(program, setup);
  addResourceCommands(program, setup);
  addDeliveryCommands(program, setup);
  addOtherCommands(program, setup);
  return program;
}

const fileOption = (): Option =>
  new Option('-f, --file <path>', 'manifests: a file, a folder, or - for stdin; repeatable').argParser(
    collectValues,
  );

function addResourceCommands(program: Command, { add, handle }: CommandSetup): void {
  const apply = add(program, 'apply', 'create or update resources')
    .addOption(fileOption())
    .option('--dry-run', 'check everything, store nothing');
  handle(apply, async (context, _args, flags) => {
    await (await import('./commands/apply.ts')).apply(context, flags as object);
  });

  const validate = add(program, 'validate', 'check manifests without a store').addOption(fileOption());
  handle(validate, async (context, _args, flags) => {
    await (await import('./commands/validate.ts')).validate(context, flags as object);
  });

  const get = add(program, 'get [resources...]', 'show resources: KIND, KIND NAME, KIND/NAME, all');
  handle(get, async (context, args) => (await import('./commands/get.ts')).get(context, args));

  const describe = add(program, 'describe [resources...]', 'tell the story of resources');
  handle(describe, async (context, args) => (await import('./commands/describe.ts')).describe(context, args));

  const remove = add(program, 'delete [resources...]', 'delete resources')
    .addOption(fileOption())
    .option('--all', 'all of the kind')
    .option('--ignore-not-found', 'what is not there is no error')
    .option('--no-wait', 'do not wait until they are gone');
  handle(remove, async (context, args, flags) =>
    (await import('./commands/delete.ts')).deleteResources(context, args, flags as object),
  );

  for (const [verb, marks] of [
    ['annotate', 'annotations'],
    ['label', 'labels'],
  ] as const) {
    const mark = add(program, `${verb} [arguments...]`, `set ${marks}: KIND/NAME KEY=VALUE… KEY-…`).option(
      '--overwrite',
      'replace other values',
    );
    handle(mark, async (context, args, flags) =>
      (await import('./commands/annotate.ts')).setMarks(context, args, marks, flags as object),
    );
  }

  for (const verb of ['suspend', 'resume'] as const) {
    const command = add(program, `${verb} [resource...]`, `${verb} a TaskSpawner (or a Task that waits)`);
    handle(command, async (context, args) =>
      (await import('./commands/suspend.ts')).setSuspend(context, args, verb === 'suspend'),
    );
  }

  const run = add(program, 'run [argv...]', 'make one Task now; what stands after -- is its program')
    .option('-p, --prompt <text>', 'what the agent is asked')
    .option('--type <type>', 'the agent, or command (default: claude-code, with a program command)')
    .option('--model <model>', 'the model of the agent')
    .option('--from <taskspawner>', "take a TaskSpawner's template and hooks: taskspawner/X")
    .option('--hook <url>', 'tell this URL when it ends; repeatable', collectValues)
    .option('--env <variable>', 'NAME=VALUE for its process; repeatable', collectValues)
    .option('--name <name>', 'its name (default: made up)');
  handle(run, async (context, args, flags) => {
    const argv = afterDashes(run, args);
    return (await import('./commands/run.ts')).run(context, argv, flags as object);
  });

  const logs = add(program, 'logs [task...]', 'show what the program of a Task printed').option(
    '-f, --follow',
    'until the Task has ended',
  );
  handle(logs, async (context, args, flags) =>
    (await import('./commands/logs.ts')).logs(context, args, flags as object),
  );
}

function addOtherCommands(program: Command, { add, handle }: CommandSetup): void {
  const manifests = add(
    program,
    'manifests',
    'print what installs Telos on Kubernetes, for kubectl apply -f -',
  )
    .addOption(
      new Option(
        '--mode <mode>',
        'companion: reports beside Kelos; standalone: does all itself (default: companion)',
      ).argParser(oneOf('companion', 'standalone')),
    )
    .addOption(watchNamespaceOption())
    .addOption(
      new Option('--image <image>', `the container image (default: telos:${version})`).argParser(imageName),
    );
  handle(manifests, async (context, _args, flags) => {
    (await import('./commands/manifests.ts')).printManifests(context, flags as object);
  });

  const doctor = add(program, 'doctor', 'check what Telos needs, and say how to mend it').option(
    '--dns-server <address>',
    "ask this server (IP[:PORT]) instead of the system's; repeatable",
    collectList,
  );
  handle(doctor, async (context, _args, flags) => {
    return (await import('./commands/doctor.ts')).doctor(context, flags as object);
  });

  const showVersion = add(program, 'version', 'show the version');
  handle(showVersion, async (context) => {
    await (await import('./commands/version.ts')).showVersion(context);
  });

  const completion = add(program, 'completion [shell]', 'print a completion script for bash, zsh or fish');
  handle(completion, async (context, args) =>
    (await import('./commands/completion.ts')).completion(context, args, program),
  );
}

/** What stands after `--`: flags before it are Telos's, everything after it is the program's. */
function afterDashes(command: Command, args: readonly string[]): readonly string[] {
  const root = command.parent ?? command;
  const raw = (root as Command & { readonly rawArgs: readonly string[] }).rawArgs;
  const dashes = raw.indexOf('--');
  const expected = dashes === -1 ? 0 : raw.length - dashes - 1;
  if (args.length > expected) {
    throw new UsageError('unexpected argument', `'${args[0]}'`, 'put the program to run after --');
  }
  return args;
}
