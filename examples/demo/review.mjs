#!/usr/bin/env node
// Reviews one commit, as a stand-in for a coding agent: prints what it found and fails a commit that is too large.
//
//   review.mjs SHA --max-lines N [--repo DIR]
//
// The commit comes from git when --repo is given, else as JSON on standard input (as `history.json` has it).
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { repo: { type: 'string' }, 'max-lines': { type: 'string', default: '400' } },
});
const sha = positionals[0] ?? '';
const maxLines = Number(values['max-lines']);
const stdin = readFileSync(0, 'utf8');
const commit = values.repo === undefined ? JSON.parse(stdin) : fromGit(values.repo, sha);

const added = sum(commit.files.map((file) => file.added));
const deleted = sum(commit.files.map((file) => file.deleted));
const changed = added + deleted;
const tests = commit.files.filter((file) => /(^|\/)tests?\/|[._-](test|spec)\./.test(file.path)).length;
const verdict = changed > maxLines ? 'too large' : 'fine';

console.log(`reviewing ${sha.slice(0, 10)}: ${commit.subject}`);
for (const file of commit.files.slice(0, 20)) console.log(`  +${file.added} -${file.deleted} ${file.path}`);
console.log('---KELOS_OUTPUTS_START---');
console.log(`commit: ${sha}`);
console.log(`verdict: ${verdict}`);
console.log(`changed-lines: ${changed}`);
console.log(`changed-files: ${commit.files.length}`);
console.log(`changed-tests: ${tests}`);
console.log('---KELOS_OUTPUTS_END---');
if (changed > maxLines) {
  console.error(`${changed} changed lines are more than ${maxLines}: split the commit`);
  process.exit(3);
}

/** Subject and changed files of a commit; a binary file counts no lines. */
function fromGit(repo, commitSha) {
  const options = { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 };
  const args = ['-C', repo, 'show', '--diff-merges=first-parent', '--numstat', '--format=%s', commitSha];
  const [subject = '', ...lines] = execFileSync('git', args, options).split('\n');
  const files = lines
    .map((line) => line.split('\t'))
    .filter((parts) => parts.length === 3)
    .map(([more, less, path]) => ({ path, added: Number(more) || 0, deleted: Number(less) || 0 }));
  return { subject, files };
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
