import { type Command, Option } from 'commander';
import type { CliIo } from './cli-io.ts';
import { oneOf } from './flags.ts';
import { parseStoreLocation, type StoreLocation } from './store-location.ts';

export type OutputFormat = 'table' | 'wide' | 'json' | 'yaml' | 'name';

/** What every command takes. */
export interface GlobalOptions {
  readonly store: StoreLocation;
  readonly namespace: string;
  /** Whether the namespace was asked for, not just the default. */
  readonly namespaceGiven: boolean;
  readonly allNamespaces: boolean;
  /** A Kubernetes label selector. */
  readonly selector: string | undefined;
  readonly output: OutputFormat;
  readonly watch: boolean;
  /** Whether stdout takes colours. */
  readonly color: boolean;
  /** Whether errors show where they come from, and everything is logged. */
  readonly debug: boolean;
}

const heading = 'Options of every command:';

/** Declares the options that every command takes. */
export function addGlobalOptions(command: Command): Command {
  const options = [
    new Option(
      '--store <where>',
      'sqlite:PATH or kubernetes[:CONTEXT] (default: telos.db in the data folder)',
    ),
    new Option('-n, --namespace <name>', 'namespace (default: default)'),
    new Option('-A, --all-namespaces', 'all namespaces'),
    new Option('-l, --selector <labels>', 'only resources with such labels (a=b,c!=d,e in (f,g),!h)'),
    new Option('-o, --output <format>', 'json, yaml, wide or name').argParser(
      oneOf('json', 'yaml', 'wide', 'name'),
    ),
    new Option('-w, --watch', 'go on and show changes'),
    new Option('--no-color', 'no colours (also: NO_COLOR)'),
    new Option('--debug', 'show where an error comes from, and log everything'),
  ];
  for (const option of options) command.addOption(option.helpGroup(heading));
  return command;
}

interface GlobalFlags {
  readonly store?: string;
  readonly namespace?: string;
  readonly allNamespaces?: boolean;
  readonly selector?: string;
  readonly output?: OutputFormat;
  readonly watch?: boolean;
  readonly color?: boolean;
  readonly debug?: boolean;
}

/** Reads them from the flags given. @throws UsageError */
export function readGlobalOptions(flags: GlobalFlags, io: Pick<CliIo, 'env' | 'stdout'>): GlobalOptions {
  return {
    store: parseStoreLocation(flags.store, io.env),
    namespace: flags.namespace ?? 'default',
    namespaceGiven: flags.namespace !== undefined,
    allNamespaces: flags.allNamespaces ?? false,
    selector: flags.selector,
    output: flags.output ?? 'table',
    watch: flags.watch ?? false,
    color:
      flags.color !== false && io.stdout.isTTY === true && !io.env['NO_COLOR'] && io.env['TERM'] !== 'dumb',
    debug: flags.debug ?? false,
  };
}
