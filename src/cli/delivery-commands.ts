import { type Command, Option } from 'commander';
import { type CommandSetup, groupOf } from './command-setup.ts';
import { addEgressFlags } from './egress-options.ts';
import { collectValues, durationMs, oneOf } from './flags.ts';

/** Declares the commands about Deliveries, hooks and egress. */
export function addDeliveryCommands(program: Command, setup: CommandSetup): void {
  addDeliveries(program, setup);
  const { add, handle } = setup;

  const hooks = groupOf(program, setup, 'hooks', 'try hooks out');
  const test = addEgressFlags(add(hooks, 'test', 'send what a hook would get, and show the answer'))
    .option(
      '-f, --file <path>',
      'manifests with the hooks, and their Secrets if need be; repeatable',
      collectValues,
    )
    .option('--hook <name>', 'only this hook')
    .addOption(phaseOption('the phase to tell of (default: the first that the hook wants)'))
    .option('--print', 'only show the request')
    .addOption(hookSecretsOption());
  handle(test, async (context, _args, flags) =>
    (await import('./commands/hooks-test.ts')).testHooks(context, flags as object),
  );

  const egress = groupOf(program, setup, 'egress', 'ask where Telos may connect');
  const check = addEgressFlags(add(egress, 'check [urls...]', 'would Telos connect there? Connects nowhere'));
  handle(check, async (context, urls, flags) =>
    (await import('./commands/egress-check.ts')).checkEgress(context, urls, flags as object),
  );
}

function addDeliveries(program: Command, setup: CommandSetup): void {
  const { add, handle } = setup;
  const deliveries = groupOf(program, setup, 'deliveries', 'see Deliveries, and send them again');

  const list = add(deliveries, 'list', 'list Deliveries')
    .addOption(
      new Option('--phase <phase>', 'Pending, Retrying, Delivered, Failed or Skipped').argParser(
        oneOf('Pending', 'Retrying', 'Delivered', 'Failed', 'Skipped'),
      ),
    )
    .option('--hook <name>', 'of hooks of this name')
    .option('--task <name>', 'of this Task')
    .option('--reason <reason>', 'with this reason')
    .addOption(sinceOption('made within the last so much time'));
  handle(list, async (context, args, flags) =>
    (await import('./commands/deliveries.ts')).listDeliveries(context, args, flags as object),
  );

  const show = add(deliveries, 'show [names...]', 'tell the story of Deliveries, attempt by attempt');
  handle(show, async (context, args) =>
    (await import('./commands/deliveries.ts')).showDeliveries(context, args),
  );

  const redeliver = add(deliveries, 'redeliver [names...]', 'send again, with the same webhook-id');
  handle(redeliver, async (context, args) =>
    (await import('./commands/deliveries.ts')).redeliverDeliveries(context, args),
  );

  const recover = add(deliveries, 'recover', 'send all that failed lately again')
    .addOption(sinceOption('failed within the last so much time'))
    .option('--hook <name>', 'only of hooks of this name');
  handle(recover, async (context, args, flags) =>
    (await import('./commands/deliveries.ts')).recoverDeliveries(context, args, flags as object),
  );

  const replay = add(deliveries, 'replay [task...]', 'tell all hooks of a Task once more');
  handle(replay, async (context, args) =>
    (await import('./commands/deliveries.ts')).replayTask(context, args),
  );

  const skip = add(deliveries, 'skip [task...]', 'let a Task go without telling its hooks');
  handle(skip, async (context, args) => (await import('./commands/deliveries.ts')).skipTask(context, args));
}

function sinceOption(description: string): Option {
  return new Option('--since <duration>', `${description}, such as 24h`).argParser(durationMs);
}

function phaseOption(description: string): Option {
  return new Option('--phase <phase>', description).argParser(oneOf('Succeeded', 'Failed'));
}

/** Which Secrets hooks may send. */
export function hookSecretsOption(): Option {
  return new Option(
    '--hook-secrets <which>',
    'Secrets that hooks may send: any, or labelled (telos.dev/hook-secret=true) (default: any)',
  ).argParser(oneOf('any', 'labelled'));
}
