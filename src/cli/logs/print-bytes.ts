import { StringDecoder } from 'node:string_decoder';
import type { CliIo } from '../cli-io.ts';
import { terminalText } from '../terminal-text.ts';

/** Writes what a program printed: into a file or pipe as it is; a terminal would obey it. */
export function bytePrinter({ stdout }: Pick<CliIo, 'stdout'>): (bytes: Uint8Array) => void {
  const decoder = new StringDecoder('utf8');
  return (bytes) => {
    stdout.write(stdout.isTTY ? terminalText(decoder.write(Buffer.from(bytes))) : Buffer.from(bytes));
  };
}
