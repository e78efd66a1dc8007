import { CommanderError } from 'commander';
import { errorCode, TelosError, toError } from '../base/errors.ts';
import { escapeControls } from '../base/text.ts';
import { StoreError } from '../store/errors.ts';

/** 0: done. 1: it did not work. 2: wrong usage. 130: stopped by Ctrl-C. */
type ExitCode = 0 | 1 | 2 | 130;

/** The command line is wrong: exit 2. The message reads `WHAT: WHERE: WHAT TO DO`. */
export class UsageError extends TelosError {
  constructor(what: string, where: string, remedy: string, options?: ErrorOptions) {
    super('Usage', joinLine(what, where, remedy), options);
  }
}

/** It did not work: exit 1. The message reads `WHAT: WHERE: WHAT TO DO`. */
export class CliError extends TelosError {
  constructor(what: string, where: string, remedy: string, options?: ErrorOptions) {
    super('Failed', joinLine(what, where, remedy), options);
  }
}

/** Parts that a cause has said already are empty. */
function joinLine(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(': ');
}

/** Several things are wrong at once: one line each, exit 1. */
export class FaultsError extends TelosError {
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super('Faults', lines.join('\n'));
    this.lines = lines;
  }
}

/** What people are told of an error: lines for stderr, and how the process ends. */
export interface Explanation {
  readonly lines: readonly string[];
  readonly exitCode: ExitCode;
}

/** Turns whatever was thrown into `error: …` lines without control characters, and an exit code. */
export function explainError(thrown: unknown, debug: boolean): Explanation {
  const { lines, exitCode } = explain(thrown);
  const shown = lines.map((line) => `error: ${escapeControls(line)}`);
  const frames =
    toError(thrown)
      .stack?.split('\n')
      .filter((line) => /^ +at /.test(line)) ?? [];
  return { lines: debug && lines.length > 0 ? [...shown, ...frames] : shown, exitCode };
}

function explain(thrown: unknown): Explanation {
  if (thrown instanceof CommanderError) return explainCommander(thrown);
  if (thrown instanceof UsageError) return { lines: [thrown.message], exitCode: 2 };
  if (thrown instanceof FaultsError) return { lines: thrown.lines, exitCode: 1 };
  if (thrown instanceof StoreError && thrown.faults.length > 0) {
    return { lines: thrown.faults.map((fault) => joinFault(fault.path, fault.message)), exitCode: 1 };
  }
  // Thrown where flags about egress are understood, which is deep inside what they are for.
  if (thrown instanceof TelosError && thrown.code === 'EgressConfig') {
    return { lines: [thrown.message], exitCode: 2 };
  }
  if (thrown instanceof TelosError) return { lines: [thrown.message], exitCode: 1 };
  const system = systemErrorWords(thrown);
  if (system !== undefined) {
    return { lines: [joinLine(system.what, system.where ?? '', system.remedy)], exitCode: 1 };
  }
  const message = (toError(thrown).message.split('\n')[0] ?? '').replace(/[.:]+$/, '');
  return { lines: [`internal error: ${message}: run it again with --debug and report it`], exitCode: 1 };
}

function joinFault(path: string, message: string): string {
  return path === '' ? message : `${path}: ${message}`;
}

/** Commander says what is wrong on a first line and the nearest right spelling in brackets on a second. */
function explainCommander(error: CommanderError): Explanation {
  if (error.exitCode === 0) return { lines: [], exitCode: 0 };
  if (error.code === 'commander.help') {
    return { lines: ['no command given: arguments: see it with --help'], exitCode: 2 };
  }
  const [first = '', hint] = error.message.replace(/^error: /, '').split('\n');
  // A value glued to an option that does not exist may be a credential.
  const what = first.replace(/\.$/, '').replace(/^(unknown option '--?[\w-]+)=.*'$/s, "$1'");
  const suggestion = hint?.match(/^\(Did you mean (?:one of )?(.*)\?\)$/)?.[1];
  const remedy = suggestion === undefined ? 'see telos --help' : `did you mean ${suggestion}?`;
  const clear = what.replace(/ is invalid\. (.+)$/, ' is invalid: $1');
  return { lines: [clear === what ? `${what}: ${remedy}` : clear], exitCode: 2 };
}

const systemErrors: Readonly<Record<string, readonly [what: string, remedy: string]>> = {
  ENOENT: ['no such file or directory', 'check the path'],
  EACCES: ['permission denied', 'check who may read and write it'],
  EPERM: ['operation not permitted', 'check who may read and write it'],
  EISDIR: ['is a directory', 'name a file'],
  ENOTDIR: ['a part of the path is not a directory', 'check the path'],
  ENOSPC: ['no space left on the disk', 'free some and try again'],
  EROFS: ['the file system is read-only', 'choose another path'],
  EMFILE: ['too many open files', 'raise the limit (ulimit -n)'],
  ELOOP: ['too many symbolic links', 'check the path'],
  ENAMETOOLONG: ['the name is too long', 'check the path'],
  EADDRINUSE: ['the port is in use', 'choose another with --port'],
  EADDRNOTAVAIL: ['the address is not one of this machine', 'choose another with --host'],
};

/** An error of the operating system, in words. */
export interface SystemErrorWords {
  readonly what: string;
  /** The path or address, when the error says it. */
  readonly where: string | undefined;
  readonly remedy: string;
}

/** Undefined when it is no error of the operating system. */
export function systemErrorWords(thrown: unknown): SystemErrorWords | undefined {
  const code = errorCode(thrown);
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) return undefined;
  const { path, address, port } = thrown as { path?: unknown; address?: unknown; port?: unknown };
  const [what, remedy] = systemErrors[code] ?? [`failed with ${code}`, 'run it again with --debug for more'];
  const endpoint = typeof address === 'string' ? `${address}:${String(port)}` : undefined;
  return { what, where: typeof path === 'string' ? path : endpoint, remedy };
}
