import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { z } from 'zod';

/** One commit of the history that the demo reviews. */
const Commit = z.object({
  sha: z.string(),
  subject: z.string(),
  files: z.array(z.object({ path: z.string(), added: z.number(), deleted: z.number() })),
});
export type Commit = z.infer<typeof Commit>;

export interface History {
  /** The repository it was read from; absent when it is the one that ships with the examples. */
  readonly repo: string | undefined;
  /** Newest first. */
  readonly commits: readonly Commit[];
}

/** Fewer commits than this show nothing, so the demo takes the history that it brings. */
const fewestCommits = 5;

/**
 * The last `count` commits of the git repository that `directory` stands in; the history in `fallbackFile`
 * when there is no repository, no git, too few commits, or none that changes a line.
 */
export async function readHistory(
  directory: string,
  fallbackFile: string,
  count: number,
  signal: AbortSignal,
): Promise<History> {
  const fromGit = await readGitHistory(directory, count, signal).catch(() => undefined);
  if (fromGit !== undefined) return fromGit;
  const shipped = z.array(Commit).parse(JSON.parse(await readFile(fallbackFile, 'utf8')));
  return { repo: undefined, commits: shipped.slice(0, count) };
}

/** Lines that a commit adds and deletes, together. */
export function changedLines(commit: Commit): number {
  return commit.files.reduce((total, file) => total + file.added + file.deleted, 0);
}

async function readGitHistory(
  directory: string,
  count: number,
  signal: AbortSignal,
): Promise<History | undefined> {
  const git = async (...args: string[]): Promise<string> => {
    const options = { cwd: directory, signal, maxBuffer: 64 * 1024 * 1024 };
    return (await promisify(execFile)('git', args, options)).stdout;
  };
  const repo = (await git('rev-parse', '--show-toplevel')).trim();
  const log = await git(
    'log',
    `-${count}`,
    '--diff-merges=first-parent',
    '--numstat',
    '--format=%x00%H%x09%s',
  );
  const commits = log
    .split('\0')
    .filter((text) => text.trim() !== '')
    .map(parseCommit);
  return commits.length >= fewestCommits && commits.some((commit) => changedLines(commit) > 0)
    ? { repo, commits }
    : undefined;
}

/** Reads `SHA<TAB>subject`, then one `added<TAB>deleted<TAB>path` a line; a binary file has `-` for both. */
function parseCommit(text: string): Commit {
  const [head = '', ...lines] = text.split('\n');
  const tab = head.indexOf('\t');
  const files = lines
    .map((line) => line.split('\t'))
    .filter((parts) => parts.length === 3)
    .map(([added, deleted, path = '']) => ({
      path,
      added: Number(added) || 0,
      deleted: Number(deleted) || 0,
    }));
  return { sha: head.slice(0, tab), subject: head.slice(tab + 1), files };
}
