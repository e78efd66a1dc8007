import { type Command, InvalidArgumentError, type Option } from 'commander';
import { dnsLabel, dnsSubdomain } from '../api/meta.ts';
import { parseDuration } from '../base/duration.ts';
import { nearest } from '../base/nearest.ts';
import { UsageError } from './cli-error.ts';

/** Collects a repeatable flag, one value each time; in a variable one per line. */
export function collectValues(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** Collects a repeatable flag whose values may also be joined by commas or white space. An empty one is refused. */
export function collectList(value: string, before: readonly string[] = []): readonly string[] {
  const values = listed(value);
  if (values.length === 0) throw new InvalidArgumentError('Give a value, or leave the flag out.');
  return [...before, ...values];
}

function listed(value: string): readonly string[] {
  return value.split(/[\s,]+/).filter((part) => part !== '');
}

/** Collects names of namespaces, each once. */
export function namespaceNames(value: string, before: readonly string[] = []): readonly string[] {
  const names = listed(value);
  if (names.length === 0 || !names.every(isNamespace))
    throw new InvalidArgumentError(`Use ${namespaceForm}.`);
  return [...new Set([...before, ...names])];
}

/** Reads the name of a namespace. */
export function imageName(value: string): string {
  if (!/^[\w][\w.:/@-]{0,511}$/.test(value))
    throw new InvalidArgumentError('Write the name of an image, such as registry.example.com/telos:0.1.0.');
  return value;
}

export function namespaceName(value: string): string {
  if (!isNamespace(value)) throw new InvalidArgumentError(`Use ${namespaceForm}.`);
  return value;
}

/** Reads the name of an object of the cluster. */
export function objectName(value: string): string {
  if (dnsSubdomain.test(value) && value.length <= 253) return value;
  throw new InvalidArgumentError('Use lower-case letters, digits, dashes and dots.');
}

/** @throws UsageError when what `-n` says cannot be a namespace */
export function checkNamespace(name: string): void {
  if (isNamespace(name)) return;
  throw new UsageError(`'${name}' cannot be a namespace`, '--namespace', `use ${namespaceForm}`);
}

const namespaceForm = 'at most 63 lower-case letters, digits and dashes';

function isNamespace(name: string): boolean {
  return dnsLabel.test(name) && name.length <= 63;
}

/** Reads a duration flag as milliseconds. */
export function durationMs(value: string): number {
  const parsed = parseDuration(value);
  if (parsed === undefined) throw new InvalidArgumentError('Write a duration such as 90s, 30m or 24h.');
  return parsed;
}

/** The most that may be under way: each takes a socket. */
const maxCount = 4096;

/** Reads how many of something there may be at once. */
export function count(value: string): number {
  const number = Number(value);
  if (!/^\d{1,9}$/.test(value) || number < 1 || number > maxCount)
    throw new InvalidArgumentError(`Write a whole number from 1 to ${maxCount}.`);
  return number;
}

const hourMs = 3_600_000;

/** Reads how long something settled is kept, in milliseconds: long enough to be looked at. */
export function retentionMs(value: string): number {
  const parsed = parseDuration(value);
  if (parsed === undefined || parsed < hourMs)
    throw new InvalidArgumentError('Write a duration of an hour or more, such as 7d.');
  return parsed;
}

/** A hook may want so many attempts at most. */
const maxWaits = 19;

/** Reads the waits between attempts, joined by commas, as milliseconds. */
export function retryWaitsMs(value: string): readonly number[] {
  const waits = value.split(',').map((part) => parseDuration(part.trim()));
  const isWait = (ms: number | undefined): ms is number =>
    ms !== undefined && ms >= 1_000 && ms <= 24 * hourMs;
  if (waits.length > maxWaits || !waits.every(isWait))
    throw new InvalidArgumentError(`Write 1 to ${maxWaits} waits from 1s to 24h, such as 5s,30s,2m.`);
  return waits;
}

/** Reads a TCP port; 0 lets the system choose. */
export function portNumber(value: string): number {
  const port = Number(value);
  if (!/^\d{1,5}$/.test(value) || port > 65_535) {
    throw new InvalidArgumentError('Write a port from 0 to 65535.');
  }
  return port;
}

/** The most shards that there may be: each has an engine and a Lease that is renewed every few seconds. */
const maxShards = 64;

/** Reads a number of shards. */
export function shardCount(value: string): number {
  const count = Number(value);
  if (!/^[1-9]\d?$/.test(value) || count > maxShards) {
    throw new InvalidArgumentError(`Write a number from 1 to ${maxShards}.`);
  }
  return count;
}

/** Makes a reader of a flag that takes one of a few words. */
export function oneOf<const T extends string>(...words: readonly T[]): (value: string) => T {
  return (value) => {
    const found = words.find((word) => word === value);
    if (found !== undefined) return found;
    const near = nearest(value, words);
    throw new InvalidArgumentError(
      near === undefined ? `Use one of ${words.join(', ')}.` : `Did you mean ${near}?`,
    );
  };
}

/** The variable that stands for a long flag: `--egress-allow` is `TELOS_EGRESS_ALLOW`. */
function variableOf(option: Pick<Option, 'long'>): string | undefined {
  return option.long === undefined
    ? undefined
    : `TELOS_${option.long.replace(/^--/, '').replaceAll('-', '_').toUpperCase()}`;
}

/**
 * The values of all flags of a command: what stands on the command line (nearest the command wins), else what
 * its variable says. Flags that are given nowhere are absent.
 * @throws UsageError when a variable holds what the flag would not take.
 */
export function readFlags(
  command: Command,
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, unknown>> {
  const flags: Record<string, unknown> = {};
  for (const option of command.options) {
    const value = variableValue(option, env);
    if (value !== undefined) flags[option.attributeName()] = value;
  }
  for (const level of lineage(command)) {
    for (const option of level.options) {
      const name = option.attributeName();
      if (level.getOptionValueSource(name) === 'cli') flags[name] = level.getOptionValue(name);
    }
  }
  return flags;
}

function lineage(command: Command): Command[] {
  return command.parent === null ? [command] : [...lineage(command.parent), command];
}

function variableValue(option: Option, env: Readonly<Record<string, string | undefined>>): unknown {
  const variable = variableOf(option);
  const text = variable === undefined ? undefined : env[variable];
  if (variable === undefined || text === undefined || text === '') return undefined;
  if (option.isBoolean()) return truth(variable, text) !== option.negate;
  const { parseArg } = option;
  if (parseArg === undefined) return text;
  try {
    return parseArg === collectValues ? text.split('\n').filter(Boolean) : parseArg(text, undefined);
  } catch (thrown) {
    if (!(thrown instanceof InvalidArgumentError)) throw thrown;
    throw new UsageError(`'${text}' is invalid`, `variable ${variable}`, thrown.message, { cause: thrown });
  }
}

function truth(variable: string, text: string): boolean {
  const word = text.toLowerCase();
  if (['1', 'true', 'yes', 'on'].includes(word)) return true;
  if (['0', 'false', 'no', 'off'].includes(word)) return false;
  throw new UsageError(`'${text}' is invalid`, `variable ${variable}`, 'write true or false');
}
