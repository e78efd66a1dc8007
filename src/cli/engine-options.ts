import type { EgressOptions } from '../egress/policy.ts';
import { defaultInFlight } from '../report/agenda.ts';
import { defaultRetention } from '../report/retention.ts';
import type { ReportSettings } from '../report/room.ts';
import { UsageError } from './cli-error.ts';
import type { CommandContext } from './command-context.ts';
import { readEgressOptions } from './egress-options.ts';
import type { EngineFlags, OutboxFlags } from './engine-commands.ts';
import type { LoggerOptions } from './logger.ts';

/** What an engine is started with, wherever it said so. */
export interface EngineOptions {
  readonly context: CommandContext;
  readonly egress: EgressOptions;
  readonly hookSecrets: 'any' | 'labelled';
  /** Completions older than this when first seen are skipped. */
  readonly reportBacklogMs: number;
  /** 0: any free one. */
  readonly port: number;
  readonly host: string;
  readonly log: Pick<LoggerOptions, 'format' | 'level'>;
}

/** The rooms that are switched on. */
export interface RoomSwitches {
  readonly spawn: boolean;
  readonly run: boolean;
  readonly report: boolean;
}

/** How replicas share the work. */
export interface ShardingOptions {
  /** In how many shards the namespaces are divided. */
  readonly shards: number;
  /** Where the Leases are; undefined: in the Pod's own namespace, else `telos-system`. */
  readonly namespace: string | undefined;
  /** How long a replica may be silent until others take over, in milliseconds. */
  readonly durationMs: number;
}

export interface UpOptions extends EngineOptions {
  /** Manifests to apply first, as `-f` names them. */
  readonly files: readonly string[];
  /** Only these namespaces; undefined: all. */
  readonly namespaces: readonly string[] | undefined;
  /** The RoleBinding in each of them that gives the rights; undefined: they come from elsewhere. */
  readonly roleBinding: string | undefined;
  readonly rooms: RoomSwitches;
  readonly outbox: OutboxOptions;
  /** Undefined: there is no other replica. */
  readonly sharding: ShardingOptions | undefined;
}

/** How Deliveries are sent and kept. */
export type OutboxOptions = Pick<ReportSettings, 'maxInFlight' | 'retryStepsMs' | 'retentionMs'>;

export interface DemoOptions extends EngineOptions {
  /** Whether the engine stays up afterwards. */
  readonly keep: boolean;
}

interface UpFlags extends EngineFlags, OutboxFlags {
  readonly file?: readonly string[];
  readonly watchNamespace?: readonly string[];
  readonly roleBinding?: string;
  readonly spawn?: boolean;
  readonly run?: boolean;
  readonly report?: boolean;
  readonly shards?: number;
  readonly leaseNamespace?: string;
  /** Milliseconds. */
  readonly leaseDuration?: number;
}

/** @throws CliError when a file that a flag names cannot be read, UsageError when flags exclude each other */
export async function readUpOptions(flags: UpFlags, context: CommandContext): Promise<UpOptions> {
  return {
    ...(await readEngineOptions(flags, context)),
    files: flags.file ?? [],
    namespaces: namespacesOf(flags, context),
    roleBinding: roleBindingOf(flags),
    rooms: roomsOf(flags, context),
    outbox: outboxOf(flags),
    sharding: shardingOf(flags, context),
  };
}

/** @throws CliError when a file that a flag names cannot be read */
export async function readDemoOptions(
  flags: EngineFlags & { readonly keep?: boolean },
  context: CommandContext,
): Promise<DemoOptions> {
  return { ...(await readEngineOptions(flags, context)), keep: flags.keep ?? false };
}

const dayMs = 86_400_000;

async function readEngineOptions(flags: EngineFlags, context: CommandContext): Promise<EngineOptions> {
  return {
    context,
    egress: await readEgressOptions(flags),
    hookSecrets: flags.hookSecrets ?? 'any',
    reportBacklogMs: flags.reportBacklog ?? dayMs,
    port: flags.port ?? 8484,
    host: flags.host ?? '127.0.0.1',
    log: { format: flags.logFormat ?? 'text', level: flags.logLevel ?? 'info' },
  };
}

/** @throws UsageError with a store of one's own: whoever works on a file works on all of it */
function namespacesOf({ watchNamespace }: UpFlags, context: CommandContext): readonly string[] | undefined {
  if (watchNamespace !== undefined && context.options.store.kind === 'sqlite') {
    throw new UsageError(
      'a file is worked on as a whole',
      '--watch-namespace',
      'use it with --store kubernetes',
    );
  }
  return watchNamespace;
}

/** @throws UsageError where nobody would keep it */
function roleBindingOf({ roleBinding, watchNamespace, shards }: UpFlags): string | undefined {
  if (roleBinding !== undefined && (watchNamespace === undefined || shards === undefined)) {
    throw new UsageError(
      'only replicas that watch some namespaces keep their rights there',
      '--role-binding',
      'use it with --watch-namespace and --shards',
    );
  }
  return roleBinding;
}

/** @throws UsageError when one origin may have more than all */
function outboxOf(flags: OutboxFlags): OutboxOptions {
  const total = flags.maxInFlight ?? defaultInFlight.total;
  const perOrigin = flags.maxInFlightPerOrigin ?? defaultInFlight.perOrigin;
  if (perOrigin > total) {
    throw new UsageError(
      `${perOrigin} to one origin are more than ${total} in all`,
      '--max-in-flight-per-origin',
      `write at most ${total}, or raise --max-in-flight`,
    );
  }
  return {
    maxInFlight: { total, perOrigin },
    retryStepsMs: flags.retrySchedule,
    retentionMs: {
      settled: flags.deliveryRetention ?? defaultRetention.settled,
      failed: flags.failedDeliveryRetention ?? defaultRetention.failed,
    },
  };
}

const defaultLeaseMs = 10_000;
/** Shorter ones are lost whenever the API server is slow; longer ones leave work undone for minutes. */
const leaseBounds = { leastMs: 5_000, mostMs: 120_000 };

/** @throws UsageError when the flags do not go together */
function shardingOf(flags: UpFlags, context: CommandContext): ShardingOptions | undefined {
  const { shards, leaseNamespace: namespace, leaseDuration: durationMs = defaultLeaseMs } = flags;
  if (shards === undefined) {
    const alone = flags.leaseNamespace === undefined ? '--lease-duration' : '--lease-namespace';
    if (flags.leaseNamespace === undefined && flags.leaseDuration === undefined) return undefined;
    throw new UsageError('no Lease is held without shards', alone, 'add --shards 1, or more');
  }
  if (context.options.store.kind === 'sqlite') {
    throw new UsageError('a file has one engine', '--shards', 'use it with --store kubernetes');
  }
  const { spawn, run } = roomsOf(flags, context);
  if (shards > 1 && (spawn || run)) {
    throw new UsageError(
      'only telling hooks is divided: one replica takes the events and runs the Tasks',
      '--shards',
      'use --shards 1 with --spawn or --run',
    );
  }
  if (durationMs < leaseBounds.leastMs || durationMs > leaseBounds.mostMs) {
    throw new UsageError('not a duration for a Lease', '--lease-duration', 'use 5s to 2m');
  }
  return { shards, namespace, durationMs };
}

/** Naming one room leaves the others off; naming none is all, and on Kubernetes report: Kelos does the rest. */
function roomsOf(flags: UpFlags, context: CommandContext): RoomSwitches {
  const { spawn, run, report } = flags;
  if (spawn || run || report) return { spawn: spawn ?? false, run: run ?? false, report: report ?? false };
  const alone = context.options.store.kind === 'sqlite';
  return { spawn: alone, run: alone, report: true };
}
