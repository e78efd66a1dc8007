import { type Command, Option } from 'commander';
import type { CommandSetup } from './command-setup.ts';
import { hookSecretsOption } from './delivery-commands.ts';
import { addEgressFlags, type EgressFlags } from './egress-options.ts';
import {
  collectValues,
  count,
  durationMs,
  namespaceName,
  namespaceNames,
  objectName,
  portNumber,
  retentionMs,
  retryWaitsMs,
  shardCount,
} from './flags.ts';

/** The flags of whatever starts an engine. */
export interface EngineFlags extends EgressFlags {
  readonly hookSecrets?: 'any' | 'labelled';
  /** Completions older than this when first seen are skipped: milliseconds. */
  readonly reportBacklog?: number;
  readonly port?: number;
  readonly host?: string;
  readonly logFormat?: 'text' | 'json';
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error';
}

/** The flags that say how Deliveries are sent and kept. */
export interface OutboxFlags {
  readonly retrySchedule?: readonly number[];
  readonly maxInFlight?: number;
  readonly maxInFlightPerOrigin?: number;
  /** Milliseconds. */
  readonly deliveryRetention?: number;
  /** Milliseconds. */
  readonly failedDeliveryRetention?: number;
}

/** Declares `telos demo` and `telos up`. */
export function addEngineCommands(program: Command, { add, handle }: CommandSetup): void {
  const demo = add(program, 'demo', 'the main job on a throw-away store; ends by itself').option(
    '--keep',
    'leave the engine up afterwards',
  );
  handle(addEngineFlags(demo), async (context, _args, flags) => {
    const { readDemoOptions } = await import('./engine-options.ts');
    const { runDemo } = await import('./commands/demo.ts');
    return runDemo(await readDemoOptions(flags as object, context));
  });

  const up = add(program, 'up', 'the engine, in the foreground')
    .option('-f, --file <path>', 'manifests to apply first; repeatable', collectValues)
    .option('--spawn', 'make Tasks of events (with none of the three: all)')
    .option('--run', 'run Tasks')
    .option('--report', 'tell hooks of the Tasks that ended')
    .addOption(watchNamespaceOption())
    .addOption(
      new Option(
        '--role-binding <name>',
        'what gives the rights in each watched namespace; kept there until all is let go',
      ).argParser(objectName),
    )
    .addOption(
      new Option(
        '--shards <n>',
        'share the work with other replicas, in so many shards of namespaces (on Kubernetes)',
      ).argParser(shardCount),
    )
    .addOption(
      new Option(
        '--lease-namespace <name>',
        "of the replicas' Leases (default: the Pod's own, else telos-system)",
      ).argParser(namespaceName),
    )
    .addOption(
      new Option(
        '--lease-duration <duration>',
        'others take over when a replica is silent for so long (default: 10s)',
      ).argParser(durationMs),
    );
  handle(addEngineFlags(addOutboxFlags(up)), async (context, _args, flags) => {
    const { readUpOptions } = await import('./engine-options.ts');
    const { runUp } = await import('./commands/up.ts');
    return runUp(await readUpOptions(flags as object, context));
  });
}

/** Which namespaces an engine works in, and which its rights are for. */
export function watchNamespaceOption(): Option {
  return new Option(
    '--watch-namespace <name>',
    'work in this namespace only; repeatable (default: in all)',
  ).argParser(namespaceNames);
}

function addEngineFlags(command: Command): Command {
  return addEgressFlags(command)
    .addOption(hookSecretsOption())
    .addOption(
      new Option(
        '--report-backlog <duration>',
        'completions older than this when first seen are skipped (default: 24h)',
      ).argParser(durationMs),
    )
    .addOption(
      new Option(
        '--port <port>',
        'of webhooks, health and metrics; 0: any free one (default: 8484)',
      ).argParser(portNumber),
    )
    .option('--host <address>', 'to listen on (default: 127.0.0.1)')
    .addOption(
      new Option('--log-format <format>', 'of the log on stderr (default: text)').choices(['text', 'json']),
    )
    .addOption(
      new Option('--log-level <level>', 'the least that is logged (default: info)').choices([
        'debug',
        'info',
        'warn',
        'error',
      ]),
    );
}

function addOutboxFlags(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--retry-schedule <waits>',
        'from one attempt to the next (default: 5s,30s,2m,10m,30m,2h,5h,10h,10h)',
      ).argParser(retryWaitsMs),
    )
    .addOption(
      new Option(
        '--max-in-flight <count>',
        'attempts under way at once, in each shard (default: 256)',
      ).argParser(count),
    )
    .addOption(
      new Option('--max-in-flight-per-origin <count>', 'of them to one origin (default: 16)').argParser(
        count,
      ),
    )
    .addOption(
      new Option(
        '--delivery-retention <duration>',
        'how long Deliveries that arrived or were skipped are kept (default: 7d)',
      ).argParser(retentionMs),
    )
    .addOption(
      new Option(
        '--failed-delivery-retention <duration>',
        'how long Deliveries that failed are kept (default: 30d)',
      ).argParser(retentionMs),
    );
}
