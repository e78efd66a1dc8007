import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { errorCode } from '../../base/errors.ts';

/** What is told to a keeper on its standard input. */
export interface KeeperOrder {
  readonly task: { readonly namespace: string; readonly name: string };
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string;
  readonly stdin: string;
  readonly deadlineMs: number | undefined;
  /** From TERM to KILL. */
  readonly graceMs: number;
  /** The log takes so many bytes from the beginning of the output, and some from its end. */
  readonly logBytes: number;
}

/** The files of one run, in the folder named after the Task's uid. */
export const runFiles = { log: 'log', state: 'state.json', exit: 'exit.json', work: 'work' } as const;

const Identity = z.object({ pid: z.int().min(1), started: z.string(), boot: z.string() });

/** Who keeps a run: written by the keeper before anything starts, and again once the program has. */
export const RunState = z.object({
  task: z.object({ namespace: z.string(), name: z.string() }),
  keeper: Identity,
  program: Identity.optional(),
});
export type RunState = z.infer<typeof RunState>;

/** How a run ended: written by its keeper, last of all. */
export const RunExit = z.object({
  end: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('exited'), code: z.int() }),
    z.object({ kind: z.literal('signaled'), signal: z.string() }),
    z.object({ kind: z.literal('deadline') }),
    z.object({ kind: z.literal('canceled') }),
    z.object({ kind: z.literal('notStarted'), message: z.string() }),
  ]),
  finishedAt: z.number(),
  outputs: z.array(z.string()),
  results: z.record(z.string(), z.string()),
  lastLine: z.string().optional(),
});
export type RunExit = z.infer<typeof RunExit>;

/** Reads a file of a run; undefined when it is not there, or is not what it should be. */
export async function readRunFile<T>(
  folder: string,
  name: string,
  schema: z.ZodType<T>,
): Promise<T | undefined> {
  try {
    const parsed = schema.safeParse(JSON.parse(await readFile(join(folder, name), 'utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch (thrown) {
    if (errorCode(thrown) === 'ENOENT' || thrown instanceof SyntaxError) return undefined;
    throw thrown;
  }
}
